"""The one training loop, optimizers, schedules, the feed of batches and the hooks that come with them.

config.py       settings of a run: optimizer, schedule, budget, lengths, records
schedule.py     the learning rate over the run, as pure functions of progress
feed.py         which samples a step is made of, and its micro-batches
prefetch.py     prepares steps ahead of the loop, in a thread or in processes
muon.py         Muon: orthogonalised momentum for hidden matrices
optim.py        the optimizers of a model: decay groups, AdamW, Muon, state by parameter name
step.py         model and criterion as one module; gradients of a step, counts first
numbers.py      steps that are not finite, spikes of the loss
signals.py      SIGTERM, SIGUSR1 and SIGINT: save and leave
preflight.py    whether checkpoints and model will fit on the disk
distribute.py   the processes of a job and what they tell each other, without pickle
shards.py       whole tensors and the parts of them that this process has
parallel.py     model and criterion spread over the processes: DDP, FSDP2
agreement.py    what the processes agree on before each step
joint.py        the gradients of a step that several processes take together
run.py          Run, the live state that hooks see; Tally; Report
loop.py         fit: the loop
resume.py       what a checkpoint of a run holds; saving and continuing
runtime.py      memory that is kept and objects that are left out of collections while a model trains
records.py      metrics.jsonl
evaluation.py   hook: scores during training, best weights, early stopping
progress.py     hook: a bar on a terminal, lines elsewhere
doctor.py       what is wrong with a run, by its losses
flops.py        FLOPs of training, the machine's peak, MFU
memory.py       the most memory a process has held
energy.py       kWh and CO2 of a run
"""

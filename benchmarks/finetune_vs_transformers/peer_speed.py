"""transformers' side of the speed of fine-tuning: some steps of its Trainer, with a stopwatch."""

import tempfile
from argparse import Namespace
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import Subset
from transformers.trainer_pt_utils import get_length_grouped_indices

from finetune_vs_transformers.jobs import MODEL, Data
from finetune_vs_transformers.peer import KINDS, Trainer, encode, open_peer
from side_by_side.mlm_ours import Job
from side_by_side.mlm_peer import Stamps, num_graphs

WINDOW = 50
"""Batches from which the Trainer makes batches of like lengths."""


def order_of(lengths: list[int], batch_size: int, steps: int, seed: int, *, grouped: bool) -> list[int]:
    """The examples of the run, in random order; grouped: in random batches of like lengths."""
    rng = np.random.default_rng(seed)
    count = steps * batch_size
    if not grouped:
        rounds = [rng.permutation(len(lengths)) for _ in range(-(-count // len(lengths)))]
        return np.concatenate(rounds)[:count].tolist()
    order: list[int] = []
    generator = torch.Generator().manual_seed(seed)
    while len(order) < count:
        found = get_length_grouped_indices(lengths, batch_size, mega_batch_mult=WINDOW, generator=generator)
        batches = [found[at : at + batch_size] for at in range(0, len(found) - batch_size + 1, batch_size)]
        order += [number for at in rng.permutation(len(batches)) for number in batches[at]]
    return order[:count]


def time_transformers(data: Data, options: Namespace, seed: int, *, grouped: bool, compiled: bool) -> dict[str, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    rows = encode(data, data.train, tokenizer)
    steps = options.warmup + options.steps
    order = order_of([len(row["input_ids"]) for row in rows], options.batch_size, steps, seed, grouped=grouped)
    transformers.set_seed(seed)
    model = open_peer(data, MODEL, fresh_head=True)
    if grouped:
        model.set_attn_implementation("sdpa")
    arguments = transformers.TrainingArguments(
        output_dir=tempfile.gettempdir(),
        per_device_train_batch_size=options.batch_size,
        max_steps=steps,
        learning_rate=options.lr,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        adam_epsilon=1e-6,
        weight_decay=0.01,
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        seed=seed,
        use_cpu=True,
        dataloader_pin_memory=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        torch_compile=compiled,
    )
    watch = Stamps(Job(steps=steps, warmup=options.warmup))
    trainer = Trainer(
        keeps_losses=False,
        model=model,
        args=arguments,
        train_dataset=Subset(rows, order),
        data_collator=KINDS[data.job.task].collator(tokenizer),
        callbacks=[watch],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    seconds = watch.times[-1] - watch.times[options.warmup]
    return {
        "examples_per_second": options.steps * options.batch_size / seconds,
        "seconds": seconds,
        "warmup_seconds": watch.times[options.warmup] - watch.times[0],
        "padding": 1 - trainer.num_tokens / trainer.num_padded,
        "graphs_compiled_late": num_graphs() - watch.graphs,
    }

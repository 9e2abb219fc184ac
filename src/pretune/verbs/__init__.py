"""The Python face: here the parts meet. Each verb does what the command of its name does and returns its result.

pretrained.py   Pretrained and `load`: a model with its tokenizer and what one does with it
tokenizer.py    train_tokenizer
corpus.py       build_corpus, verify_corpus
pretrain.py     pretrain: corpus and recipe to a model
pretraining_feed.py  its samples, step by step
validation.py   its held-out samples and their losses
perplexity.py   perplexity: what a language model loses on a corpus's held-out text
generator.py    its generator of replaced tokens: from files, or fresh
finetune.py     finetune: model and labelled files to a model for a task
plan.py         plan: memory, time, disk, energy and price of a pre-training run, before it
probe.py        its probe: some real steps in a process of their own
plan_outcome.py  what a plan said and what happened
recipes.py      recipes: in what they differ, and one with its sources
check.py        check: what is wrong with labelled files, before a model is trained on them
doctor.py       problems of a corpus and of a run, in words with what to change
start.py        where fine-tuning starts: which weights are kept, which are fresh
tune.py         the fine-tuning itself, on records in memory
ensemble.py     several models of one task that predict together
evaluate.py     evaluate: a fine-tuned model on a labelled file
suite.py        suite: a model on a suite of labelled sets, with several seeds
suite_pairs.py  a suite of minimal pairs, which trains nothing
suite_runs.py   its runs: a part with each seed, predictions kept, a server's files answered
curve.py        curve: scores against the number of labelled records
compare.py      compare: recipes, or variants of one, on equal terms
compare_rows.py  its rows: what each is asked for
compare_plan.py  what each row will be, found out before the first run
compare_scores.py  the suites of a comparison
compare_guess.py  what a guess is worth at telling replaced tokens
compare_results.py  its tables and its page
predictions.py  what a model says of inputs, for the task it was fine-tuned for
search.py       search: the nearest texts of a file for each query
nearest.py      the nearest of any number of vectors, in blocks
export.py       export: a model's directory for other libraries
predict.py      predict, fill, embed over files of any size, block by block
generate.py     generate: texts from prompts
generate_file.py   generate over files of any size, and texts as they are written
inputs.py       lines and records of a file or standard input, in blocks
outputs.py      results to a file as they come, named when it is whole
settings.py     a run's settings from defaults, run.yaml and KEY=VALUE
console.py      what a verb tells while it works
records.py      run.yaml, metrics.json, and facts about the machine
pages.py        report.html and card.md of a run
quickstart.py   the whole main job on the bundled text
quickstart_tagging.py   its comparison of four taggers
quickstart_data/  the bundled text, its licences and provenance
"""

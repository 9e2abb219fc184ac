"""The command line, one verb a file, thin: it reads arguments, calls `verbs/` and prints. Imports torch only in a verb.

main.py        the `pretune` command: registers the verbs, turns errors into messages and exit statuses
options.py     options that several verbs share
torchrun.py    what a command started by torchrun must know
output.py      results as text, or as one JSON object on standard output
quickstart.py  pretune quickstart
tokenizer.py   pretune tokenizer train
corpus.py      pretune corpus build | verify
pretrain.py    pretune pretrain
check.py       pretune check
finetune.py    pretune finetune
evaluate.py    pretune evaluate
perplexity.py  pretune perplexity
suite.py        pretune suite
compare.py     pretune compare
plan.py        pretune plan
curve.py       pretune curve
predict.py     pretune predict
fill.py        pretune fill
generate.py    pretune generate
embed.py       pretune embed
search.py      pretune search
export.py      pretune export
settings.py    pretune settings: what KEY=VALUE can set
listing.py     pretune recipes | objectives | families | tasks
"""

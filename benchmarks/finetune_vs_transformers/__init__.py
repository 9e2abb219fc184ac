"""The parts of finetune_vs_transformers.py.

jobs.py      the data sets, their records and official metrics
ours.py      pretune's side
peer.py      transformers' side
table.py     what is printed of the scores
"""

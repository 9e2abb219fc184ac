"""How a model is adapted to a task: which weights train, one way a file.

full.py        everything trains
frozen.py      the body stays as it is, heads train
adaptation.py  `open_adaptation`, and how many parameters there are and train
"""

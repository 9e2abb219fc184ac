"""Downstream tasks, one a file: from a labelled record to a loss, a prediction and a score.

task.py       the Task protocol and `open_task`
classify.py   a class for a text
pair.py       a class for two texts
regress.py    a value for a text or two
tag.py        a tag for each word
classes.py    what tasks with one class a record share
texts.py      one text or two as an Example: cutting, the rows a head reads
sentences.py  tagged sentences: words, tags, places, windows
items.py      what an interval of each metric needs
baselines.py  simple methods without a network: TF-IDF and linear models, most frequent tags
source.py     TaskSource: records as training samples
run.py        predictions and scores of a model on records
"""

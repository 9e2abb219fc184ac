"""Downstream tasks, one a file: from a labelled record to a loss, a prediction and a score.

task.py       the Task protocol and `open_task`
classify.py   a class for a text
pair.py       a class for two texts
regress.py    a value for a text or two
tag.py        a tag for each word
answer.py     the span of a context that answers a question, or that there is none
contexts.py   a question and its context as sequences: windows, where answers may stand
candidates.py  from scores of starts and ends to answers and their probabilities
sliding_window.py  answers by shared words, without a network
classes.py    what tasks with one class a record share
texts.py      one text or two as an Example: cutting, the rows a head reads
sentences.py  tagged sentences: words, tags, places, windows; how a text is cut in words
word_rows.py  words as rows of pieces, and back
tag_schemes.py  records whose tags mark spans: what is wrong with them
entities.py   tagged words to the spans they mark
items.py      what an interval of each metric needs
baselines.py  simple methods without a network: TF-IDF and linear models, most frequent tags
source.py     TaskSource: records as training samples
measured.py   how a file's texts fit a model: lengths, what is cut, what the vocabulary lacks
run.py        predictions and scores of a model on records
"""

"""Suites of labelled sets, one a file: what belongs to it, in which files, scored how.

suite.py   Suite, Part; which files are there and what is missing
layouts.py  ways in which sets are published: a file to the records of a task
superglue_records.py  SuperGLUE's objects as records of our tasks
grouped.py  metrics over answers, queries and pairs that are judged together
submissions.py  files of answers as servers and official scorers read them
standing.py  medians, spreads, intervals and comparisons over seeds
glue.py    GLUE: nine tasks of sentence understanding, and the diagnostic set
superglue.py  SuperGLUE: eight tasks, and two diagnostic sets
squad.py   SQuAD 1.1 and 2.0: answers in a paragraph
multi30k.py  Multi30k: captions from German to English
scitldr.py SciTLDR: abstracts to one sentence, and to titles
texts_layouts.py  ways in which sets are published whose answer is a text
swag.py    SWAG: the ending that follows
sts.py     semantic textual similarity: STS-B, SemEval 2012 to 2016
conll.py   CoNLL-2003: named entities
minimal_pairs.py  suites that train nothing: which of two sentences a model finds likelier
pair_scores.py  their accuracies, intervals, and two models compared
pair_tables.py  what is told of them: notes, tables, pictures
blimp.py   BLiMP: 67 points of English grammar
ud.py      Universal Dependencies: parts of speech of a treebank
"""

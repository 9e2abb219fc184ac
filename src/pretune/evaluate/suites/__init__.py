"""Suites of labelled sets, one a file: what belongs to it, in which files, scored how.

suite.py   Suite, Part; a part's files in their published layout to records
standing.py  medians, spreads, intervals and comparisons over seeds
glue.py    GLUE: nine tasks of sentence understanding
conll.py   CoNLL-2003: named entities
"""

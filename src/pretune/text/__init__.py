"""Files to documents and records. Imports no torch, so that workers start at once.

faults.py      what is wrong with a line: raised as `file:line: what: what to do`, or skipped and counted by reason
lines.py       bytes to checked lines: plain, .gz, .zst; bounded memory
tables.py      rows of JSONL, CSV, TSV, Parquet and CoNLL files, each with its line
documents.py   raw text and tables to documents, whole or in parts
records.py     labelled files to records; columns renamed, required ones asserted
labels.py      are the labels of one kind: classes or numbers
sentences.py   sentence borders by a documented rule for English, German, French and CJK
clean.py       lower-casing, accent stripping and white space as BERT does
"""

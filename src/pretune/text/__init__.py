"""Files to documents and records. Imports no torch, so that workers start at once.

faults.py      what is wrong with a line: raised as `file:line: what: what to do`, or skipped and counted by reason
lines.py       bytes to checked lines: plain, .gz, .zst; bounded memory
tables.py      rows of JSONL, CSV, TSV, Parquet, CoNLL and CoNLL-U files, each with its line
conllu.py      CoNLL-U (Universal Dependencies) to a row a sentence
documents.py   raw text and tables to documents, whole or in parts
records.py     labelled files to records; columns renamed, required ones asserted
squad.py       SQuAD JSON to questions, offsets checked
answers.py     the answers of a record, from any layout
offsets.py     spans of a text by character
choices.py     what a multiple-choice record asks, from any layout
race.py        RACE's articles to a row a question
labels.py      are the labels of one kind: classes or numbers
contents.py    what a labelled record holds, whatever its task: texts and gold labels
check.py       what is wrong with labelled files, alone and together
findings.py    a finding of a check: how bad, how many rows, which lines
label_problems.py  mixed kinds of labels, names that differ by blanks or case, rare and unseen ones
overlap.py     rows with the same text: duplicates, label noise, leakage
suspects.py    characters of damaged texts: mojibake, replacement and control characters
lengths.py     how long texts are, and rows that are oddly short or long
sentences.py   sentence borders by a documented rule for English, German, French and CJK
clean.py       lower-casing, accent stripping and white space as BERT does
"""

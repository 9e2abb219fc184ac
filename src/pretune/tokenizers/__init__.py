"""Tokenizers: train them, load them, and turn text into ids with word marks. Imports no torch.

pieces.py      `Pieces`: ids of one text with word marks, character offsets and word numbers
tokenizer.py   `Tokenizer`: encode, decode, load, save; wraps a `tokenizers.Tokenizer`
columns.py     many short texts as pieces end to end, for a corpus
locality.py    where a long text may be cut so that its parts give the pieces of the whole
folder.py      a tokenizer's directory, read (also as Hugging Face wrote it) and written
pipelines.py   the seven kinds: normaliser, pre-tokeniser, decoder and template of each
sentinels.py   tokens <extra_id_0> ... that stand for spans taken out of a text
byt5.py        ByT5's: bytes, from a directory that holds no vocabulary
train.py       `train_tokenizer`: one call, with figures on held-out text
trainers.py    how each of the seven algorithms makes a vocabulary
source.py      texts or files as one stream, every k-th document held out
report.py      `TokenizerReport`: fertility, unknown rate and bytes a piece
word_counts.py how often each word occurs, counted as the text streams by
wordpiece.py   WordPiece trained by the likelihood score
pair_table.py  the counts of adjacent pieces that the WordPiece trainer keeps up to date
"""

"""Marks of a token, one byte each, combined by `|`. Imports no torch."""

WORD_START = 1
"""The token is the first piece of a word."""
SENTENCE_START = 2
"""The token is the first piece of a sentence."""
SPECIAL = 4
"""The token was put there by a template ([CLS], [SEP]); no objective touches it."""
END = 8
"""The token ends a document within a sample, and is SPECIAL; only what reads from left to right learns to write it."""

"""The nouns every other room uses. Imports nothing of pretune; `errors`, `config`, `vocab`, `marks` import no torch.

errors.py      exceptions that say what, where and what to do, and the exit status they lead to
finite.py      numbers for JSON, which has no NaN
config.py      typed settings: dotted overrides, YAML, unknown keys refused with the nearest known ones
marks.py       one byte a token: word start, sentence start, special
registry.py    finds the parts of a folder by the names of its files
vocab.py       Vocab: size, special ids, unigram frequencies
randomness.py  generators derived from (seed, epoch, sample), never from global state
stream.py      Span, Segments, Stream, Targets, Batch, Example: packed sequences without padding
assemble.py    Template and assemble: Segments to Example, where [CLS] and [SEP] go
pack.py        Examples to one Batch: sequences end to end, sorted by length
loss.py        Loss(sum, count): counts come first
protocols.py   Context and the Objective, Criterion and TokenStore protocols
hooks.py       the hook protocol of the training loop
"""

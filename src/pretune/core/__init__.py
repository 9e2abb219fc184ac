"""The nouns every other room uses. Imports nothing of pretune.
`errors`, `config`, `lock`, `processes`, `vocab`, `marks` and `problem` import no torch.

errors.py      exceptions that say what, where and what to do, and the exit status they lead to
lock.py        a directory that one process at a time may write in
processes.py   names of unfinished files that say which process makes them
heap.py        freed memory, given back to the system
npy.py         a .npy array written as it comes, in bounded memory
finite.py      numbers for JSON, which has no NaN
strict_json.py JSON of others: no key twice, no NaN, bounded depth and size
config.py      typed settings: dotted overrides, YAML, unknown keys refused with the nearest known ones
marks.py       one byte a token: word start, sentence start, special
registry.py    finds the parts of a folder by the names of its files
strict_yaml.py YAML of plain values: no anchors, tags, merge keys or keys twice
vocab.py       Vocab: size, special ids, unigram frequencies
randomness.py  generators derived from (seed, epoch, sample), never from global state
stream.py      Span, Segments, Stream, Targets, Batch, Example: packed sequences without padding
assemble.py    Template and assemble: Segments to Example, where [CLS] and [SEP] go
continuation.py texts to go on with or to answer, as Examples: for training and for writing
pack.py        Examples to one Batch: sequences end to end, sorted by length
loss.py        Loss(sum, count): counts come first
protocols.py   Context and the Objective, Criterion and TokenStore protocols
hooks.py       the hook protocol of the training loop
problem.py     what is wrong with a corpus or a run, in words, with what to change
"""

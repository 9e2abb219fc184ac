"""Ids on disk: built once, memory-mapped, ordered without memory. Building imports no torch.

build.py     `build_corpus`: files to a corpus directory, by any number of processes, the same bytes
blocks.py    files to blocks of text, with a hash of each document
encode.py    blocks to ids, word and sentence marks; a cache of words makes it fast
workers.py   blocks encoded in order by any number of processes
holdout.py   which text is held out for validation
write.py     the files of a split: ids, marks, document ends, sentence starts, unigram counts
manifest.py  manifest.json: what is in a corpus directory, and whether it is intact
tables.py    tables that are made from a corpus once and kept beside it
store.py     `Corpus`: a split of a corpus, memory-mapped
order.py     `shuffled`: the order of an epoch, a keyed permutation
samples.py   `PretrainingSource`: numbered samples of a corpus under an objective
doctor.py    what is wrong with a corpus and its samples, with what to change
share.py     a share of the samples, to be repeated
"""

"""Pre-training objectives, one a file: which positions, what the input becomes, what the target becomes.

mlm.py            masked tokens (Devlin et al. 2019)
next_sentence.py  does the second span follow the first (Devlin et al. 2019)
add.py            several objectives on the same sample, one forward pass
selectors.py      shared: which positions are predicted
rewriters.py      shared: what the input becomes there
arrangements.py   shared: a corpus as numbered places, cut inside documents
sentence_units.py shared: places made of whole sentences, for objectives on pairs of spans
draws.py          shared: static copies, draws that repeat every so many epochs
"""

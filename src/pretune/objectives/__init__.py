"""Pre-training objectives, one a file: which positions, what the input becomes, what the target becomes.

mlm.py                 masked tokens (Devlin et al. 2019)
whole_word.py          masked words, all their pieces together (google-research/bert, May 2019)
span_mask.py           masked spans of words (Joshi et al. 2020)
span_boundary.py       the same, and each token of a span from the tokens just outside it (Joshi et al. 2020)
replaced_token.py      which tokens a smaller generator replaced (Clark et al. 2020)
causal_lm.py           the next token, from left to right (Devlin et al. 2019, section 5.1)
next_sentence.py       does the second span follow the first (Devlin et al. 2019)
sentence_order.py      do two spans stand in their order (Lan et al. 2020)
full_sentences.py      arrangement: whole sentences across documents (Liu et al. 2019)
document_sentences.py  arrangement: whole sentences of one document (Liu et al. 2019)
add.py                 several objectives on the same sample, one forward pass
named.py               shared: objectives by name, "sentence_order+mlm"
selectors.py           shared: which positions are predicted, and how many
word_spans.py          shared: whole words and spans of them as positions
rewriters.py           shared: what the input becomes there
edits.py               shared: insertion, substitution, deletion and reordering, one after another
arrangements.py        shared: a corpus as numbered places, cut inside documents
sentence_units.py      shared: sentences, and pieces of those that are too long, as units of places
sentence_pairs.py      shared: two spans of one place, for objectives on pairs
whole_sentences.py     shared: places of whole sentences that fit
gumbel.py              shared: samples of a softmax, from a number a row
draws.py               shared: static copies, draws that repeat every so many epochs
"""

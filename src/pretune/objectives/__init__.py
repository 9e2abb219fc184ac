"""Pre-training objectives, one a file: which positions, what the input becomes, what the target becomes.

mlm.py                 masked tokens (Devlin et al. 2019)
whole_word.py          masked words, all their pieces together (google-research/bert, May 2019)
span_mask.py           masked spans of words (Joshi et al. 2020)
span_boundary.py       the same, and each token of a span from the tokens just outside it (Joshi et al. 2020)
replaced_token.py      which tokens a smaller generator replaced (Clark et al. 2020)
causal_lm.py           the next token, from left to right (Radford et al. 2018; Devlin et al. 2019, section 5.1)
prefix_lm.py           the rest of a text whose beginning is seen as a whole (Raffel et al. 2020)
text_infilling.py      spans, some of them empty, each one [MASK]; the text again (Lewis et al. 2020)
token_masking.py       masked tokens; the text again (Lewis et al. 2020)
token_deletion.py      deleted tokens; the text again (Lewis et al. 2020)
sentence_permutation.py  sentences in a random order; the text again (Lewis et al. 2020)
document_rotation.py   a text that begins somewhere else; the text again (Lewis et al. 2020)
span_corruption.py     spans, each a sentinel; what stood there (Raffel et al. 2020)
replace_spans.py       random tokens, each run a sentinel; what stood there (Raffel et al. 2020)
drop_tokens.py         dropped tokens; these alone (Raffel et al. 2020)
bert_style.py          masked and random tokens; the text again (Raffel et al. 2020)
mass_style.py          masked tokens; the text again (Raffel et al. 2020)
deshuffling.py         tokens in a random order; the text again (Raffel et al. 2020)
next_sentence.py       does the second span follow the first (Devlin et al. 2019)
sentence_order.py      do two spans stand in their order (Lan et al. 2020)
full_sentences.py      arrangement: whole sentences across documents (Liu et al. 2019)
document_sentences.py  arrangement: whole sentences of one document (Liu et al. 2019)
token_stream.py        arrangement: documents end to end, an end token behind each (Brown et al. 2020)
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
bodies.py              shared: which bodies an objective can train
text_to_text.py        shared: a corrupted text for an encoder, what a decoder writes of it
token_masks.py         shared: tokens that become the mask, as an edit
taken_out.py           shared: text without some tokens, and what is missing, with sentinels or without
draws.py               shared: static copies, draws that repeat every so many epochs
"""

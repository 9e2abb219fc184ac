"""Layers and bodies on packed streams: linear maps see real tokens only, attention pads inside small groups.

config.py        TransformerConfig and its typed choices; imports no torch
initial.py       weights from a seed: Normal or FanIn, each parameter from its own generator
kernels/         products (with what is activated after them) faster than torch's usual path
positions.py     Learned, Sinusoidal and Rotary positions as modules
norms.py         LayerNorm with or without bias, RMSNorm
feed_forward.py  MLP and gated feed-forward
layout.py        how packed sequences are grouped and padded inside attention; computed once a stream
masks.py         what a group's queries see: padding, visibility, windows
rows.py          moves of rows between packed and padded, whose backward moves rows too
cache.py         keys and values in slots, shared where sequences begin alike: a body goes on a token at a time
attention.py     attend(q, k, v, queries, keys), self-attention, and a decoder's attention to an encoder
relative.py      scores for the distance of key and query, in buckets
disentangled.py  contents that meet the vectors of distances (DeBERTa)
block.py         one block for every Transformer family, pre- or post-norm
body.py          Body: what every body offers
transformer.py   the Transformer body of one stream
encoder_decoder.py two such stacks: a decoder that reads an encoder's rows
pooling.py       from the rows of a text to one vector: mean, max, last + max + mean, attention
heads.py         MaskedLMHead, ClassificationHead
siamese.py       EmbeddingHead: the vector of a text; SiameseHead: classes of two vectors
crf.py           CRF: transitions, forward algorithm, Viterbi and marginals on packed sentences
generator.py     Generator: a head with a body of its own, which shares the model's embeddings
bilstm.py        BiLSTM: on top of a body, for fine-tuning
model.py         Model: a body and named heads
"""

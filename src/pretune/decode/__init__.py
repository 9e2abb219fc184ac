"""Text from a language model, one token after another: greedy, beam search, sampling, constrained.

settings.py   how to generate, with transformers' names; which choices do not go together
scores.py     what changes a step's scores: repetition, n-grams, a shortest length, temperature, top-k, nucleus, min-p
choices.py    a tree of the texts that may be written, and the tokens that may come next
draws.py      a token drawn for each sequence, by its own generator
stops.py      when a sequence has ended: an end token, a stop string
writing.py    the loop for greedy decoding and sampling
beams.py      the beams of several prompts, and one step of them
searching.py  the loop for beam search
prompts.py    a forced beginning behind what a prompt opens
generate.py   prompts in batches to what was written for each
texts.py      what was written as text, whole or as it comes
"""

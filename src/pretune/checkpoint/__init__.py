"""Saving and loading: training checkpoints that survive, and whole models in Hugging Face layout.

store.py        training checkpoints: atomic, verified by sha256, without pickle
state.py        a nested state as JSON and tensors
disk.py         room on the disk: estimated, required, waited for
bundle.py       Bundle: model, tokenizer and manifest, from a directory, a preset or the hub, and to a directory
huggingface.py  a model's directory: config.json and safetensors, shards too
generation.py   generation_config.json: kept from reading to writing
token_ids.py    ids of special tokens in a model's files: what they tell of a tokenizer, and written for it
sentence_transformers.py  what becomes of rows in a directory of sentence-transformers: its pooling, read and written
not_opened.py   what transformers does not open of a model, in words for its manifest
seal.py         sha256 of what pretune wrote into a model's directory, verified when it is loaded
folder.py       a directory that is replaced whole or not at all
header.py       a safetensors header, checked before anything is read by it
pickled.py      `pytorch_model.bin`, only on request, only tensors: the one place that opens a pickle
hub.py          fetches JSON, safetensors and vocabularies, nothing else
"""

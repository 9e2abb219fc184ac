"""Saving and loading: training checkpoints that survive, and whole models in Hugging Face layout.

store.py        training checkpoints: atomic, verified by sha256, without pickle
bundle.py       Bundle: model, tokenizer and manifest, from a directory, a preset or the hub, and to a directory
huggingface.py  a model's directory: config.json and safetensors, shards too, written whole or not at all
hub.py          fetches JSON, safetensors and vocabularies, nothing else
"""

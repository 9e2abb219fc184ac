"""Saving and loading: training checkpoints that survive, and whole models in Hugging Face layout.

store.py    training checkpoints: atomic, verified by sha256, without pickle
"""

"""Recipes: one published system a file, and what it is made of, each choice with its source.

recipe.py  Recipe: family, size, objective, run settings, sources; `open_recipe("bert-mini")`
bert.py    BERT as published (Devlin et al. 2019)
modern.py  our own best encoder recipe: ModernBERT's architecture with our initialisation and schedule
"""

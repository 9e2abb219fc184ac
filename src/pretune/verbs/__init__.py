"""The Python face: here the parts meet. Each verb does what the command of its name does and returns its result.

pretrained.py   Pretrained and `load`: a model with its tokenizer and what one does with it
tokenizer.py    train_tokenizer
corpus.py       build_corpus, verify_corpus
pretrain.py     pretrain: corpus and recipe to a model
finetune.py     finetune: model and labelled files to a model for a task
tune.py         the fine-tuning itself, on records in memory
evaluate.py     evaluate: a fine-tuned model on a labelled file
predict.py      predict, fill, embed over files, a batch at a time
records.py      run.yaml, metrics.json, card.md: what every run leaves behind
quickstart.py   the whole main job on the bundled text
quickstart_data/  the bundled text, its licences and provenance
"""

"""BERT with whole-word masking: all pieces of a word are masked together (google-research/bert, May 2019)."""

from pretune.recipes.bert import bert

bert_wwm = bert.derive(
    "bert-wwm",
    objective="next_sentence+whole_word",
    settings={"objective": {"masking_rate": 0.15}},
    sources={
        "objective": "google-research/bert, README of 31 May 2019: the rate stays 15 % of the pieces, the rest BERT's",
        "sizes": "published at large only; other sizes as BERT's",
    },
)

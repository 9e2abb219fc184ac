"""RoBERTa: masked words over full-length sequences, large batches, no next sentences (Liu et al. 2019)."""

from pretune.recipes.recipe import Recipe

SMALLER = {"steps": 1_000_000, "batch_size": 256, "optimizer": {"lr": 1e-4}}
"""Table 3, first row: the same compute as 31,000 steps of 8,000 samples."""

roberta = Recipe(
    name="roberta",
    family="roberta",
    size="base",
    objective="full_sentences+mlm",
    settings={
        "steps": 500_000,
        "batch_size": 8192,
        "max_length": 512,
        "objective": {"masking_rate": 0.15},
        "optimizer": {"name": "adamw", "lr": 6e-4, "betas": [0.9, 0.98], "eps": 1e-6, "weight_decay": 0.01},
        "schedule": {"name": "linear", "warmup": 24_000 / 500_000},
        "clip_norm": None,
    },
    by_size={
        **dict.fromkeys(("tiny", "mini", "small", "medium"), SMALLER),
        "large": {"optimizer": {"lr": 4e-4}, "schedule": {"warmup": 30_000 / 500_000}},
    },
    sources={
        "architecture": "Liu et al. 2019, section 3.1: BERT's",
        "objective": "sections 4.1 and 4.2: masks drawn anew each time; FULL-SENTENCES, across documents, no NSP",
        "lengths": "section 3.1: only full-length sequences of at most 512, no shorter phase first",
        "optimizer": "sections 3.1 and 5, table 9: Adam, beta2 0.98, 6e-4 (large: 4e-4), 8,000 samples, 500,000 steps",
        "clip_norm": "table 9: gradients are not clipped",
        "tokenizer": "section 4.4: byte-level BPE of 50,000 pieces; here the corpus's",
        "sizes": "base and large are published; smaller ones have the batch, rate and length of table 3's first row",
    },
)

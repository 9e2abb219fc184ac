"""T5: spans taken out, and written behind sentinels; t5-base-v1.1 is version 1.1 (Raffel et al. 2020)."""

from pretune.recipes.recipe import Recipe

V1_1 = {"model": {"hidden_dropout": 0.0}}
V1_1_SIZES = ("tiny-v1.1", "mini-v1.1", "small-v1.1", "base-v1.1", "large-v1.1", "xl-v1.1", "xxl-v1.1")

t5 = Recipe(
    name="t5",
    family="t5",
    size="base",
    objective="span_corruption",
    settings={
        "steps": 1_000_000,
        "batch_size": 2048,
        "max_length": 512,
        "objective": {"masking_rate": 0.15, "mean_length": 3.0},
        "optimizer": {"name": "adamw", "lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0},
        "schedule": {"name": "inverse_sqrt", "warmup": 10_000 / 1_000_000},
        "clip_norm": 1.0,
    },
    by_size={
        **dict.fromkeys(("tiny", "mini", "medium"), {"batch_size": 128, "steps": 524_288}),
        **dict.fromkeys(V1_1_SIZES, V1_1),
    },
    sources={
        "architecture": "Raffel et al. 2020, section 2.1, sizes of section 3.7; v1.1: gated, an output of its own "
        "(google-research/text-to-text-transfer-transformer, released_checkpoints.md)",
        "objective": "sections 3.1.4, 3.3.4 and 3.7: 15 % of the tokens, spans of 3 on average",
        "batch": "section 3.7: 1 million steps of 2,048 sequences of 512; sizes of ours have the baseline's (3.1.2)",
        "optimizer": "section 3.1.2: Adafactor at 0.01, relative to each weight, without weight decay; here AdamW, "
        "whose rate is ours",
        "schedule": "section 3.1.2: inverse square root after 10,000 steps, constant until then; here a warm-up, as "
        "Adam needs one",
        "clip_norm": "ours: Adafactor clips its updates, not gradients",
        "dropout": "section 3.1.2: 0.1; v1.1: none in pre-training (released_checkpoints.md); one setting, "
        "model.hidden_dropout, is all of it",
        "tokenizer": "section 2.2: SentencePiece of 32,000 pieces and 100 sentinels: tokenizer train --sentinels 100",
        "deviation": "text alone, as v1.1; v1.0 mixed supervised tasks in (section 3.7). One document a sample",
    },
)

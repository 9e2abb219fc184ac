"""ELECTRA: which tokens a smaller generator replaced, told by the model that is kept (Clark et al. 2020)."""

from pretune.recipes.recipe import Recipe

WARMUP_STEPS = 10_000

electra = Recipe(
    name="electra",
    family="electra",
    size="small",
    objective="replaced_token",
    settings={
        "steps": 1_000_000,
        "batch_size": 128,
        "max_length": 128,
        "objective": {"masking_rate": 0.15, "mask": 0.85, "weight": 50.0},
        "optimizer": {"name": "adamw", "lr": 5e-4, "betas": [0.9, 0.999], "eps": 1e-6, "weight_decay": 0.01},
        "schedule": {"name": "linear", "warmup": WARMUP_STEPS / 1_000_000},
        "clip_norm": 1.0,
    },
    by_size={
        "base": {
            "steps": 766_000,
            "batch_size": 256,
            "max_length": 512,
            "optimizer": {"lr": 2e-4},
            "schedule": {"warmup": WARMUP_STEPS / 766_000},
        },
        "large": {
            "steps": 400_000,
            "batch_size": 2048,
            "max_length": 512,
            "objective": {"masking_rate": 0.25},
            "optimizer": {"lr": 2e-4},
            "schedule": {"warmup": WARMUP_STEPS / 400_000},
        },
    },
    sources={
        "architecture": "Clark et al. 2020, table 6; small: embeddings of 128",
        "objective": "section 2, table 6: 15 % (large: 25 %), a generator a quarter as wide (base: a third), weight 50",
        "mask": "google-research/electra, pretrain_helpers.py: 85 % become [MASK], 15 % stay (the paper: all do)",
        "lengths": "section 3.3: 128 for small; 512 for base and large",
        "optimizer": "table 6: Adam, 5e-4 (else 2e-4), decay 0.01, warm-up 10,000 steps, linear decay, dropout 0.1",
        "clip_norm": "google-research/electra, model/optimization.py (the paper is silent)",
        "sizes": "small, base and large are published; the others have small's settings",
        "deviation": "one segment of text in a sample; the code (build_pretraining_dataset.py) mostly splits it in two",
    },
)

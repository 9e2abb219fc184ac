"""Our own best encoder recipe, the default: ModernBERT's architecture, fan-in weights, Muon, masked words only."""

from pretune.recipes.recipe import Recipe

modern = Recipe(
    name="modern",
    family="modern",
    size="mini",
    objective="mlm",
    settings={
        "steps": 20_000,
        "batch_size": 64,
        "max_length": 128,
        "objective": {"masking_rate": 0.2},
        "optimizer": {"name": "muon", "lr": 3e-3, "betas": [0.9, 0.98], "weight_decay": 0.01},
        "schedule": {"name": "wsd", "warmup": 0.02, "decay": 0.5},
        "clip_norm": 1.0,
    },
    by_size={
        "tiny": {"batch_size": 32, "max_length": 64, "steps": 10_000},
        "small": {"batch_size": 128, "max_length": 256, "steps": 100_000, "optimizer": {"lr": 2e-3}},
        "medium": {"batch_size": 128, "max_length": 512, "steps": 100_000, "optimizer": {"lr": 2e-3}},
        "base": {"batch_size": 256, "max_length": 512, "steps": 250_000, "optimizer": {"lr": 1e-3}},
    },
    sources={
        "architecture": "Warner et al. 2024: rotary positions, pre-norm, gated GELU, no biases; all layers global",
        "initialisation": "weights scaled by fan-in; at tiny size 0.02 does as well (benchmarks/LOG.md, ablation)",
        "objective": "masked words only (Liu et al. 2019), 20 % of them (Wettig et al. 2023 find 15 % too low)",
        "optimizer": "Muon on hidden matrices, AdamW elsewhere (Jordan 2024); betas 0.9/0.98 (Liu et al. 2019)",
        "schedule": "warm-up-stable-decay, decay over the last half (Hu et al. 2024)",
        "dropout": "none: corpora are seen once or a few times",
    },
)

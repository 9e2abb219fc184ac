"""BERT as published: masked words and next sentences, two lengths, learned positions (Devlin et al. 2019)."""

from pretune.recipes.recipe import Recipe

bert = Recipe(
    name="bert",
    family="bert",
    size="base",
    objective="next_sentence+mlm",
    settings={
        "steps": 1_000_000,
        "batch_size": 256,
        "max_length": 512,
        "short_length": 128,
        "short_share": 0.9,
        "objective": {"masking_rate": 0.15},
        "optimizer": {"name": "adamw", "lr": 1e-4, "betas": [0.9, 0.999], "eps": 1e-6, "weight_decay": 0.01},
        "schedule": {"name": "linear", "warmup": 0.01},
        "clip_norm": 1.0,
    },
    sources={
        "architecture": "Devlin et al. 2019, section 3; small sizes: Turc et al. 2019",
        "objective": "section 3.1: 15 % masked, 80/10/10; half the time the true next span; 10 % short sequences",
        "lengths": "appendix A.2: 90 % of the steps at 128, the rest at 512",
        "optimizer": "appendix A.2: Adam, 1e-4, decay 0.01, warm-up 10,000 steps, linear decay, dropout 0.1",
        "clip_norm, eps": "google-research/bert, optimization.py (the paper is silent)",
        "deviation": "masking is drawn anew each epoch; the code's ten pre-computed copies are objective.copies=10",
    },
)

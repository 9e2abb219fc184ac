"""ALBERT: n-grams of masked words and the order of sentences, one block for all layers (Lan et al. 2020)."""

from pretune.recipes.recipe import Recipe

albert = Recipe(
    name="albert",
    family="albert",
    size="base",
    objective="sentence_order+mlm",
    settings={
        "steps": 125_000,
        "batch_size": 4096,
        "max_length": 512,
        "objective": {"masking_rate": 0.15, "ngram": 3, "short_rate": 0.1},
        "optimizer": {"name": "adamw", "lr": 7e-4, "betas": [0.9, 0.999], "eps": 1e-6, "weight_decay": 0.01},
        "schedule": {"name": "linear", "warmup": 3125 / 125_000},
        "clip_norm": 1.0,
    },
    sources={
        "architecture": "Lan et al. 2020, section 3.1, table 1; smaller sizes are ours: BERT's, shared and factorised",
        "objective": "sections 3.1 and 4.1: order of two spans; n-grams of 1 to 3 words, shorter ones likelier, 15 %",
        "lengths": "section 4.1: 512, of which 10 % are shorter at random",
        "optimizer": "section 4.1: 125,000 steps of 4,096 samples; warm-up, betas, eps, decay: google-research/albert",
        "clip_norm": "google-research/albert, optimization.py",
        "dropout": "none (section 4.8, and the second version of the published models)",
        "tokenizer": "section 4.1: SentencePiece, 30,000 pieces; here the corpus's",
        "deviation": "AdamW where the paper has LAMB at 0.00176: 7e-4 is what Liu et al. 2019 (table 3) found best for "
        "Adam and 125,000 steps of 2,000 samples",
    },
)

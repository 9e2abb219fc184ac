"""GPT-2: the next piece from left to right (Radford et al. 2019), with GPT-3's settings where the paper is silent."""

from pretune.recipes.recipe import Recipe

STEPS = 572_205
"""300 billion tokens in steps of 512 x 1,024."""

gpt2 = Recipe(
    name="gpt2",
    family="gpt2",
    size="small",
    objective="token_stream+causal_lm",
    settings={
        "steps": STEPS,
        "batch_size": 512,
        "max_length": 1024,
        "optimizer": {"name": "adamw", "lr": 6e-4, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1},
        "schedule": {"name": "cosine", "warmup": 715 / STEPS, "final": 0.1},
        "clip_norm": 1.0,
    },
    by_size={
        "medium": {"optimizer": {"lr": 3e-4}},
        "large": {"optimizer": {"lr": 2.5e-4}},
        "xl": {"optimizer": {"lr": 2e-4}},
    },
    sources={
        "architecture": "Radford et al. 2019, section 2.3 and table 2: pre-norm, a last norm, smaller residual maps",
        "objective": "section 2: each piece from those before it",
        "arrangement": "documents end to end, an end token behind each, so that a model learns to end a text (the "
        "vocabulary has <|endoftext|>; Brown et al. 2020, appendix B, say so of GPT-3)",
        "batch": "section 2.3: 512 sequences of 1,024 pieces",
        "optimizer": "the paper only says that rates were tuned by hand; these are of GPT-3's models of the same names "
        "(Brown et al. 2020, table 2.1 and appendix B): Adam, beta2 0.95, weight decay 0.1, clipped at 1",
        "schedule": "Brown et al. 2020, appendix B: 375 million tokens of warm-up, a cosine to a tenth",
        "steps": "the paper is silent: GPT-3's 300 billion tokens (table 2.1)",
        "tokenizer": "section 2.2: byte-level BPE of 50,257 pieces; here the corpus's",
        "dropout": "0.1, as in transformers' configuration; the paper is silent",
        "sizes": "small, medium, large and xl are published; others have small's rate",
    },
)

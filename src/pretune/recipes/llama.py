"""Llama, the first: the next piece from left to right (Touvron et al. 2023); our small sizes with GPT-3's rates."""

from pretune.recipes.gpt2 import gpt2
from pretune.recipes.recipe import Recipe

STEPS = 238_419
"""A trillion tokens in steps of 2,048 x 2,048."""
PUBLISHED = {
    "steps": STEPS,
    "batch_size": 2048,
    "max_length": 2048,
    "optimizer": {"lr": 3e-4},
    "schedule": {"warmup": 2000 / STEPS},
}

llama = Recipe(
    name="llama",
    family="llama",
    size="base",
    objective=gpt2.objective,
    settings=gpt2.settings,
    by_size={
        "1b": PUBLISHED,
        "3b": PUBLISHED,
        "7b": PUBLISHED,
        "8b": PUBLISHED,
    },
    sources={
        "architecture": "Touvron et al. 2023, section 2.2: RMSNorm, SwiGLU, rotary positions; no biases",
        "objective": "section 2.3: each piece from those before it",
        "arrangement": "documents end to end, an end token behind each; the paper is silent",
        "batch": "7b: table 2, four million tokens, in sequences of 2,048; other sizes are not published",
        "optimizer": "section 2.3: AdamW, betas 0.9/0.95, weight decay 0.1, clipped at 1; 7b: 3e-4 (table 2); sizes up "
        "to base have the rate of GPT-3's smallest model (Brown et al. 2020, table 2.1)",
        "schedule": "section 2.3: 2,000 steps of warm-up, a cosine to a tenth; sizes up to base as gpt2",
        "steps": "7b: a trillion tokens (table 2); sizes up to base as gpt2",
        "tokenizer": "section 2.1: byte pairs of SentencePiece, 32,000 pieces, digits apart; here the corpus's",
        "dropout": "none",
        "sizes": "7b is of the paper; 1b, 3b and 8b are Llama 3's shapes, whose training is not published in such "
        "detail: they have 7b's; tiny to base are ours",
    },
)

"""GPT: the next piece from left to right, in contiguous text (Radford et al. 2018)."""

from pretune.recipes.recipe import Recipe

STEPS = 3_000_000
"""100 epochs of about a billion pieces in steps of 64 x 512."""

gpt = Recipe(
    name="gpt",
    family="gpt",
    size="base",
    objective="causal_lm",
    settings={
        "steps": STEPS,
        "batch_size": 64,
        "max_length": 512,
        "optimizer": {"name": "adamw", "lr": 2.5e-4, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01},
        "schedule": {"name": "cosine", "warmup": 2000 / STEPS},
        "clip_norm": 1.0,
    },
    sources={
        "architecture": "Radford et al. 2018, section 4.1: 12 layers of 768, post-norm, learned positions, gelu",
        "objective": "section 3.1: each piece from those before it",
        "optimizer": "section 4.1: Adam, 2.5e-4, weight decay 0.01 on all but biases and gains; betas are Adam's own",
        "schedule": "section 4.1: 2,000 updates of warm-up, then a cosine to 0",
        "batch": "section 4.1: 64 sequences of 512 pieces",
        "steps": "section 4.1: 100 epochs of BooksCorpus, 0.8 billion words, which we take for a billion pieces",
        "clip_norm": "openai/finetune-transformer-lm (train.py, --max_grad_norm 1), which fine-tunes",
        "tokenizer": "section 4.1: BPE with 40,000 merges; here the corpus's",
        "deviation": "no piece crosses a document's border: lengths differ, packed",
        "sizes": "base is published; smaller ones have its rate",
    },
)

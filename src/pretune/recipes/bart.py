"""BART: sentences out of order and spans of words taken out, the whole text written again (Lewis et al. 2020)."""

from pretune.recipes.recipe import Recipe

SMALLER = {"steps": 1_000_000, "batch_size": 256, "schedule": {"warmup": 0.01}}

bart = Recipe(
    name="bart",
    family="bart",
    size="base",
    objective="sentence_permutation+text_infilling",
    settings={
        "steps": 500_000,
        "batch_size": 8000,
        "max_length": 512,
        "objective": {"masking_rate": 0.3, "mean_length": 3.0},
        "optimizer": {"name": "adamw", "lr": 4e-4, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01},
        "schedule": {"name": "linear", "warmup": 10_000 / 500_000},
        "clip_norm": 0.1,
    },
    by_size=dict.fromkeys(("tiny", "mini", "small", "medium"), SMALLER),
    sources={
        "architecture": "Lewis et al. 2020, section 2.1; base and large are published",
        "objective": "sections 2.2 and 5.1: all sentences permuted, then 30 % of the text infilled, lengths of mean 3. "
        "The authors' command (facebookresearch/fairseq, issue 1899) has a mean of 3.5 and makes 10 % of the masks "
        "random tokens: objective.mean_length=3.5 objective.random=0.1",
        "batch": "section 5.1: 500,000 steps of 8,000 samples, for large",
        "lengths": "the same command: 512 tokens",
        "optimizer": "the same command: Adam (betas and eps are fairseq's own), 4e-4, decay 0.01, clipped at 0.1",
        "schedule": "the same command: 10,000 steps of warm-up, then linear",
        "tokenizer": "section 5.1: GPT-2's byte-level BPE; here the corpus's",
        "sizes": "smaller ones than base have BERT's batch and steps",
        "deviation": "dropout stays 0.1 to the end (section 5.1: none in the last 10 % of the steps); base has large's "
        "steps and batch, of which the paper says only that it saw 1 million steps (section 4)",
    },
)

"""SpanBERT: masked spans of words and their boundaries, one segment (Joshi et al. 2020)."""

from pretune.recipes.bert import bert

spanbert = bert.derive(
    "spanbert",
    objective="span_boundary",
    settings={
        "steps": 2_400_000,
        "short_length": None,
        "objective": {"masking_rate": 0.15, "geometric_p": 0.2, "max_words": 10},
        "optimizer": {"eps": 1e-8, "weight_decay": 0.1},
        "schedule": {"warmup": 10_000 / 2_400_000},
    },
    sources={
        "architecture": "Joshi et al. 2020, section 4.2: BERT's",
        "objective": "sections 3.1 to 3.3: spans of Geo(0.2) words, at most 10, 15 %; the sum of MLM and SBO; no NSP",
        "lengths": "sections 3.3 and 4.2: one segment of up to 512 tokens, no short sequences",
        "optimizer": "section 4.2: AdamW, 1e-4, warm-up 10,000 of 2.4 million steps, eps 1e-8, decay 0.1, 256 samples",
        "clip_norm, eps": "",
        "clip_norm": "as BERT's code (the paper is silent)",
        "sizes": "large is the paper's, base is published with its code",
        "deviation": "",
    },
)

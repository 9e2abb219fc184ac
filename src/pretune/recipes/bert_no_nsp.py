"""BERT's ablation "No NSP": masked words only (Devlin et al. 2019, section 5.1)."""

from pretune.recipes.bert import bert

bert_no_nsp = bert.derive(
    "bert-no-nsp",
    objective="mlm",
    settings={"objective": {"masking_rate": 0.15}},
    sources={
        "objective": "Devlin et al. 2019, section 5.1, table 5: masked words without next sentences; the rest BERT's",
        "deviation": "a sample is one piece of contiguous text (the paper does not say what became of the pairs); "
        "new masks each epoch, as in bert",
    },
)

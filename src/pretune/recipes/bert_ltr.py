"""BERT's ablation "LTR & No NSP": the next word from left to right (Devlin et al. 2019, section 5.1)."""

from pretune.recipes.bert import bert

bert_ltr = bert.derive(
    "bert-ltr",
    objective="causal_lm",
    sources={
        "objective": "Devlin et al. 2019, section 5.1, table 5: a left-context-only model, no next sentences",
        "fine-tuning": "section 5.1: the constraint stays (the model's files say that it is causal)",
        "deviation": "whole texts are read at their last token, for the first one sees nothing; the paper is silent",
    },
)

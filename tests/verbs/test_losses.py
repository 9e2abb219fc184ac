"""Losses that stand beside the unigram entropy are those of masked words alone, not BERT's sum of two."""

from pathlib import Path

from pretune.verbs.pages import lm_loss
from pretune.verbs.pretrain import summary


def test_the_loss_beside_the_entropy_is_the_masked_words():
    losses = {"train": 7.0, "valid": 6.9, "valid_lm": 6.2, "valid_next_sentence": 0.7}
    metrics = {"recipe": "bert-tiny", "steps": 1, "tokens": 1, "seconds": 1.0, "tokens_per_second": 1.0, "mfu": 0.1}
    metrics |= {"loss": losses, "unigram_entropy": 6.4, "notes": [], "findings": []}
    assert lm_loss(metrics) == 6.2
    assert "validation loss 6.200 nats" in summary(metrics, Path("run"))

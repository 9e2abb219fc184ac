import numpy as np
import pytest
import torch

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.loss import cross_entropy, total
from pretune.core.pack import pack
from pretune.core.stream import Segments, Span
from pretune.objectives.add import add
from pretune.objectives.mlm import mlm
from pretune.objectives.next_sentence import next_sentence


class CountingModel:
    """Logits that depend on nothing; says how often it ran and keeps an attribute."""

    body = "the body"

    def __init__(self):
        self.runs = 0

    def __call__(self, batch, heads=None):
        self.runs += 1
        sizes = {"lm": 60, "next_sentence": 2}
        return {name: torch.zeros(len(batch.predict[name]), sizes[name]) for name in heads or batch.predict}


def bert_batch(lab, objective, num=6):
    corpus = lab.varied()
    return pack([lab.example(objective, corpus, number) for number in range(num)]).to("cpu")


def test_losses_side_by_side_and_one_run(lab):
    objective = add(next_sentence(), mlm())
    batch, model = bert_batch(lab, objective), CountingModel()
    losses = objective.loss(model, batch)
    assert model.runs == 1
    assert {name: loss.count for name, loss in losses.items()} == objective.counts(batch)
    assert objective.counts(batch)["next_sentence"] == 6
    # the sum of two means (Devlin et al. 2019, appendix A.2)
    assert total(losses, objective.counts(batch)).item() == pytest.approx(np.log(60) + np.log(2), rel=1e-5)


class TwoRuns:
    """An objective that asks for one head, for all, and for another batch, and reaches into the model."""

    def __init__(self, other):
        self.other = other

    def loss(self, model, batch):
        assert model.body == "the body"
        model(batch), model(batch, heads=["lm"]), model(batch, ["lm"]), model(self.other), model(self.other)
        return {"own": cross_entropy(model(batch)["lm"], batch.predict["lm"])}


def test_memory_is_of_batch_and_heads(lab):
    bert = add(next_sentence(), mlm())
    batch, model = bert_batch(lab, bert), CountingModel()
    losses = add(next_sentence(), mlm(), TwoRuns(bert_batch(lab, bert, 3))).loss(model, batch)
    assert model.runs == 3 and set(losses) == {"next_sentence", "lm", "own"}


def test_masks_in_both_spans(lab):
    corpus, objective = lab.varied(), add(next_sentence(), mlm(0.4))
    segments_masked = set()
    for number in range(20):
        corrupted = lab.example(objective, corpus, number)
        rows = corrupted.predict["lm"].at_MK[:, 0]
        assert set(corrupted.predict) == {"next_sentence", "lm"}
        assert corrupted.predict["next_sentence"].at_MK.tolist() == [[0]]
        segments_masked |= set(corrupted.source.segment_ids_T[rows].tolist())
    assert segments_masked == {0, 1}


def test_the_copies_of_one_hold_for_all(lab):
    corpus, objective = lab.varied(), add(next_sentence(), mlm(copies=2))
    assert objective.parts[0].copies == 2
    texts = [
        [lab.example(objective, corpus, number, epoch=epoch).source.ids_T.tolist() for number in range(12)]
        for epoch in range(4)
    ]
    assert texts[:2] == texts[2:] and texts[0] != texts[1]
    with pytest.raises(InputError, match=r"different copies, \[2, 3\]"):
        add(next_sentence(copies=3), mlm(copies=2))


def test_label_and_masks_are_independent(lab):
    """With static copies the generators are made again: cutting and masking must not read the same numbers."""
    corpus, objective = lab.numbered(*[[4, 4]] * 6), add(next_sentence(), mlm(mask=1, random=0, copies=400))
    first_masked = {0: [], 1: []}
    for epoch in range(400):
        corrupted = lab.example(objective, corpus, 0, epoch=epoch)
        label = int(corrupted.predict["next_sentence"].gold_M[0])
        first_masked[label].append(corrupted.predict["lm"].at_MK[0, 0] == 1)
    assert abs(np.mean(first_masked[0]) - np.mean(first_masked[1])) < 0.12


def test_clashes_and_wrong_orders(lab):
    corpus = lab.varied()
    with pytest.raises(InputError, match="at least one"):
        add()
    with pytest.raises(InputError, match="head 'lm'"):
        add(mlm(), mlm()).heads(type("Body", (), {"family_head": lambda self, kind: torch.nn.Identity()})())
    with pytest.raises(InputError, match="head 'lm'"):
        lab.example(add(mlm(), mlm()), corpus, 0)
    with pytest.raises(InputError, match="name it first"):
        lab.example(add(mlm(), next_sentence()), corpus, 0)
    spans = [Span(np.arange(5, 9), np.ones(4, np.uint8))]
    with pytest.raises(InputError, match="name it first"):
        next_sentence().corrupt(assemble(Segments(spans), lab.TEMPLATE), lab.context(corpus))

import math

import numpy as np
import pytest
import torch

from pretune.core.loss import Loss, cross_entropy, total, weight_sum
from pretune.core.stream import Targets
from pretune.core.vocab import Vocab


def targets(gold, weight=None):
    at = torch.zeros(len(gold), 1, dtype=torch.int64)
    return Targets(at, torch.tensor(gold), None if weight is None else torch.tensor(weight))


def test_cross_entropy_by_hand():
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    loss = cross_entropy(logits, targets([0, 2]))
    assert loss.sum.item() == pytest.approx(-math.log(0.5) - math.log(0.8))
    assert loss.count == 2
    loss = cross_entropy(logits, targets([0, 2], [1.0, 0.5]))
    assert loss.sum.item() == pytest.approx(-math.log(0.5) - 0.5 * math.log(0.8))
    assert loss.count == weight_sum(targets([0, 2], [1.0, 0.5])) == 1.5


def test_no_predictions_is_a_zero_that_still_has_a_gradient():
    logits = torch.zeros(0, 5, requires_grad=True)
    loss = cross_entropy(logits, Targets(torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64)))
    loss.sum.backward()
    assert loss.sum.item() == 0.0
    assert loss.count == 0.0


def test_classes_give_the_loss_and_gradient_of_torchs_own():
    logits, weight = torch.randn(7, 11) * 5, torch.rand(7)
    gold = torch.randint(0, 11, (7,))
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    at = torch.zeros(7, 1, dtype=torch.int64)
    loss = cross_entropy(ours, Targets(at, gold, weight)).sum
    plain = (torch.nn.functional.cross_entropy(theirs, gold, reduction="none") * weight).sum()
    torch.testing.assert_close(loss, plain)
    loss.backward(retain_graph=True)
    plain.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_total_divides_each_loss_by_its_own_count():
    losses = {"lm": Loss(torch.tensor(6.0), 3), "next": Loss(torch.tensor(4.0), 2, weight=0.5)}
    assert total(losses, {"lm": 6.0, "next": 2.0}).item() == 6 / 6 + 0.5 * 4 / 2


def test_unigram_entropy_of_a_uniform_vocabulary():
    vocab = Vocab(4, np.zeros(4, np.bool_), unigram_V=np.full(4, 0.25))
    assert vocab.unigram_entropy() == pytest.approx(math.log(4))
    with pytest.raises(ValueError, match="no unigram"):
        Vocab(4, np.zeros(4, np.bool_)).unigram_entropy()

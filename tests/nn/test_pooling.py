"""Pooling of packed rows, against a loop over texts; the classification head with every kind of it."""

import pytest
import torch
import torch.nn.functional as F

from pretune.core.stream import Targets
from pretune.nn.config import FanIn, HeadTransform
from pretune.nn.heads import ClassificationHead
from pretune.nn.pooling import AttentionPooling, group_log_softmax, group_max, last_max_mean, texts_of

SIZES = (3, 1, 6, 2)


def rows_and_texts():
    x_MD = torch.randn(sum(SIZES), 5, generator=torch.Generator().manual_seed(0))
    return x_MD, torch.arange(len(SIZES)).repeat_interleave(torch.tensor(SIZES))


def targets_of(group_M, given_M=None):
    return Targets(torch.arange(len(group_M))[:, None], group_M=group_M, given_M=given_M)


def drawn(head):
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(parameter.numel()))
    return head.eval()


def by_hand(head, kind, part_PD):
    if kind == "mean":
        pooled_D = part_PD.mean(0)
    elif kind == "max":
        pooled_D = part_PD.amax(0)
    elif kind == "concat":
        pooled_D = torch.cat([part_PD[-1], part_PD.amax(0), part_PD.mean(0)])
    else:
        inner_PD = torch.tanh(part_PD @ head.attention.dense.weight.T + head.attention.dense.bias)
        pooled_D = torch.softmax(inner_PD @ head.attention.context.weight[0], 0) @ part_PD
    if head.transform is not None:
        pooled_D = F.gelu(head.transform.dense(pooled_D))
    return head.classifier(pooled_D)


@pytest.mark.parametrize("transform", [None, HeadTransform()])
@pytest.mark.parametrize("kind", ["mean", "max", "concat", "attention"])
def test_each_text_gets_the_logits_of_its_pooled_rows(kind, transform):
    x_MD, text_M = rows_and_texts()
    head = drawn(ClassificationHead(5, 3, FanIn(), pooling=kind, transform=transform))
    out_MC = head(x_MD[:, None], targets_of(text_M))
    for number, part_PD in enumerate(x_MD.split(SIZES)):
        expected_C = by_hand(head, kind, part_PD)
        for row_C in out_MC[text_M == number]:
            torch.testing.assert_close(row_C, expected_C)


@pytest.mark.parametrize("kind", ["mean", "max", "concat", "attention"])
def test_gradients_are_those_of_the_loop(kind):
    x_MD, text_M = rows_and_texts()
    head = drawn(ClassificationHead(5, 2, FanIn(), pooling=kind))
    found, looped = x_MD.clone().requires_grad_(), x_MD.clone().requires_grad_()
    first_M = torch.tensor([0, 3, 4, 10])
    (head(found[:, None], targets_of(text_M))[first_M] ** 2).sum().backward()
    torch.stack([by_hand(head, kind, part_PD) ** 2 for part_PD in looped.split(SIZES)]).sum().backward()
    torch.testing.assert_close(found.grad, looped.grad)


def test_the_texts_of_a_group_are_told_apart_by_what_is_given():
    group_M, given_M = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 1, 1])
    assert texts_of(targets_of(group_M, given_M)).tolist() == [0, 0, 1, 2, 2, 3]
    assert texts_of(targets_of(group_M)).tolist() == group_M.tolist()
    with pytest.raises(ValueError, match="needs group_M"):
        texts_of(Targets(torch.zeros(1, 1)))


def test_log_softmax_holds_for_large_scores():
    _, text_M = rows_and_texts()
    scores_M = 300 * torch.randn(len(text_M), generator=torch.Generator().manual_seed(1))
    expected_M = torch.cat([part.log_softmax(0) for part in scores_M.split(SIZES)])
    torch.testing.assert_close(group_log_softmax(scores_M, text_M), expected_M)


def test_nothing_pools_to_nothing():
    x_MD, text_M = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    assert group_max(x_MD, text_M).shape == (0, 4) and last_max_mean(x_MD, text_M).shape == (0, 12)
    assert AttentionPooling(4)(x_MD, text_M).shape == (0, 4)

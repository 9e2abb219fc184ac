"""Losses of siamese encoders on the vectors of a batch's texts, one value a record.

classification, regression and triplet objective: Reimers and Gurevych 2019, section 3. Ranking: Henderson et al. 2017,
section 4.4 (multiple negatives ranking), over cosines times a scale.

In-batch negatives are wrong where a text occurs twice in a batch: the answer of one record would be a wrong answer of
another that has the same question, or the very same answer. So candidates whose text, as the model reads it, is the
record's own first text, its answer, or an answer of another record with the same first text, are masked. Texts that
mean the same in other words cannot be told, and stay.

Dimensions: M rows, U texts, G records, H records with a third text, C candidates, D hidden size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pretune.core.stream import Targets
from pretune.nn.pooling import texts_of


@dataclass(frozen=True, eq=False)
class Views:
    """The vectors of G records: u of `text`, v of `text_b`, w of `text_c` where a record has one. In fp32.

    third_H: the records that have one. gold_U: the first row's gold of each text, where there is any, split likewise.
    """

    u_GD: Tensor
    v_GD: Tensor
    w_HD: Tensor
    third_H: Tensor
    gold: tuple[Tensor, Tensor, Tensor] | None


def views(vectors_UD: Tensor, targets: Targets) -> Views:
    """The vectors by the places of their texts in a record (`given_M`), records in the order of their groups."""
    text_M = texts_of(targets)
    starts_M = torch.ones_like(text_M, dtype=torch.bool)
    starts_M[1:] = text_M[1:] != text_M[:-1]
    place_U, record_U = targets.given_M[starts_M], targets.group_M[starts_M]
    parts = [place_U == place for place in range(3)]
    vectors_UD = vectors_UD.float()
    gold = None
    if targets.gold_M is not None:
        gold_U = targets.gold_M[starts_M]
        gold = (gold_U[parts[0]], gold_U[parts[1]], gold_U[parts[2]])
    u_GD, v_GD, w_HD = (vectors_UD[part] for part in parts)
    return Views(u_GD, v_GD, w_HD, record_U[parts[2]], gold)


def cosine_errors(u_GD: Tensor, v_GD: Tensor, cosine_G: Tensor) -> Tensor:
    """(cos(u, v) - cosine)²."""
    return (F.cosine_similarity(u_GD, v_GD, dim=-1) - cosine_G) ** 2


def triplet_losses(u_GD: Tensor, v_GD: Tensor, w_GD: Tensor, margin: float) -> Tensor:
    """max(|u - v| - |u - w| + margin, 0) with Euclidean lengths.

    >>> u, v, w = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.5]]])
    >>> round(float(triplet_losses(u, v, w, margin=1.0)), 4)
    0.5
    """
    return F.relu(F.pairwise_distance(u_GD, v_GD) - F.pairwise_distance(u_GD, w_GD) + margin)


def ranking_losses(found: Views, scale: float) -> Tensor:
    """-log softmax over all second and third texts of the batch, at the record's own second text.

    `found.gold`: a number for each text that is the same for the same text. A batch of one record without a third text
    has no negative, and its loss is 0.
    """
    assert found.gold is not None
    asked_G, right_G, wrong_H = found.gold
    known_C = torch.cat([right_G, wrong_H])
    logits_GC = scale * cosines(found.u_GD, torch.cat([found.v_GD, found.w_HD]))
    own_G = torch.arange(len(asked_G), device=logits_GC.device)
    is_no_negative_GC = right_answers(asked_G, right_G, known_C)
    is_no_negative_GC[own_G, own_G] = False
    return F.cross_entropy(logits_GC.masked_fill(is_no_negative_GC, float("-inf")), own_G, reduction="none")


def right_answers(asked_G: Tensor, right_G: Tensor, known_C: Tensor) -> Tensor:
    """Which candidates are no wrong answer of a record, [G, C].

    >>> right_answers(torch.tensor([1, 1, 2]), torch.tensor([5, 6, 7]), torch.tensor([5, 6, 7, 2])).int().tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    """
    is_same_question_GG = asked_G[:, None] == asked_G
    is_answer_GC = right_G[:, None] == known_C
    shared_GC = is_same_question_GG.float() @ is_answer_GC.float() > 0.5
    return shared_GC | (asked_G[:, None] == known_C)


def cosines(first_GD: Tensor, second_CD: Tensor) -> Tensor:
    """The cosine of each with each, [G, C], in fp32 whatever autocast says."""
    with torch.autocast(first_GD.device.type, enabled=False):
        return F.normalize(first_GD.float(), dim=-1) @ F.normalize(second_CD.float(), dim=-1).T

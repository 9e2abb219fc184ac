"""Official metrics of sets whose items are judged together: MultiRC's questions, ReCoRD's queries, AX-g's pairs.

MultiRC (Khashabi et al. 2018): F1a, the F1 of right answers over all answers of all questions; exact match,
the share of questions with every answer judged right. ReCoRD (Zhang et al. 2018): exact match and F1 in
words against the gold answer that fits best, by SQuAD 1.1's rules. AX-g (Wang et al. 2019): gender parity,
the share of minimal pairs with one prediction, right or wrong.

Items, the unit that a bootstrap draws, are questions, queries and pairs.

>>> rows = [Record({"idx": [0, question, n], "label": label}) for n, (question, label) in
...         enumerate([(0, "true"), (0, "false"), (1, "true"), (1, "true")])]
>>> said = [{"label": label} for label in ("true", "false", "true", "false")]
>>> f1a(said, rows).metric(np.arange(2)), exact_questions(said, rows).metric(np.arange(2))     # 2·2 / (2 + 3); 1 of 2
(0.8, 0.5)
"""

from collections.abc import Sequence

import numpy as np

from pretune.evaluate.suites.superglue_records import entity_of
from pretune.metrics.answers import answer_values
from pretune.metrics.checks import IntArray
from pretune.metrics.intervals import ratio_of_sums
from pretune.metrics.spans import f1_of_counts
from pretune.tasks.items import Items, of_sums
from pretune.tasks.task import Prediction
from pretune.text.records import Record


def f1a(predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
    """F1 of the answers that are right; questions are the items."""
    is_gold = np.array([record["label"] == "true" for record in records])
    is_said = np.array([one["label"] == "true" for one in predictions])
    counts_A3 = np.stack([is_gold & is_said, is_said, is_gold], -1)
    return of_sums(_sums(counts_A3.astype(np.int64), _questions(records)), f1_of_counts)


def exact_questions(predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
    """Share of questions with every answer judged right."""
    pairs = zip(predictions, records, strict=True)
    wrong_A1 = np.array([[one["label"] != record["label"]] for one, record in pairs], np.int64)
    is_exact = _sums(wrong_A1, _questions(records))[:, 0] == 0
    return of_sums(np.stack([is_exact, np.ones_like(is_exact)], -1), ratio_of_sums)


def entity_exact_match(predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
    """Share of queries whose entity is a gold answer."""
    return _of_entities(predictions, records, 0)


def entity_f1(predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
    """Mean F1 in words of the entity and the gold answer that fits best."""
    return _of_entities(predictions, records, 1)


def gender_parity(predictions: Sequence[Prediction], records: Sequence[Record]) -> Items:
    """Share of minimal pairs (`check_minimal_pairs`) with one prediction."""
    labels = [one["label"] for one in predictions]
    is_same = np.array([first == second for first, second in zip(labels[::2], labels[1::2], strict=True)])
    return of_sums(np.stack([is_same, np.ones_like(is_same)], -1), ratio_of_sums)


def _of_entities(predictions: Sequence[Prediction], records: Sequence[Record], column: int) -> Items:
    said = [entity_of(one, record) for one, record in zip(predictions, records, strict=True)]
    value_N = answer_values([record["answers"] for record in records], said)[:, column]
    return of_sums(np.stack([value_N, np.ones_like(value_N)], -1), ratio_of_sums)


def _questions(records: Sequence[Record]) -> IntArray:
    """The number of each answer's question."""
    numbers: dict[tuple[int, int], int] = {}
    return np.array([numbers.setdefault((r["idx"][0], r["idx"][1]), len(numbers)) for r in records], np.int64)


def _sums(counts_AC: IntArray, question_A: IntArray) -> IntArray:
    sums_QC = np.zeros((question_A.max() + 1, counts_AC.shape[1]), np.int64)
    np.add.at(sums_QC, question_A, counts_AC)
    return sums_QC

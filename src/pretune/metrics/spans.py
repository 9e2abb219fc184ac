"""Spans of BIO, IOB1 and BIOES tags, and precision, recall and F1 of whole spans.

The score of CoNLL-2000 and CoNLL-2003 (Tjong Kim Sang and Buchholz 2000; Tjong Kim Sang and De Meulder 2003): a span
counts when type, start and end all agree. Malformed sequences are read as the shared task's `conlleval` reads them, and
equal seqeval's default (lenient) mode: an I- that continues nothing opens a span. BILOU's letters L and U are read as
E and S. seqeval's strict mode is another way to read spans, `schemes.strict_spans`; scores take either.

>>> spans(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
[('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]
>>> gold      = [["B-PER", "I-PER", "O", "B-LOC"]]
>>> predicted = [["B-PER", "O",     "O", "B-LOC"]]
>>> span_scores(gold, predicted)
SpanScores(precision=0.5, recall=0.5, f1=0.5, support=2)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pretune.core.errors import InputError
from pretune.metrics.checks import FloatArray, IntArray

Tags = Sequence[str]
Span = tuple[str, int, int]
Reader = Callable[[Tags], Sequence[Span]]
"""How spans are read from tags."""
LETTERS = {"B": "B", "I": "I", "O": "O", "E": "E", "S": "S", "L": "E", "U": "S"}


def spans(tags: Tags) -> list[Span]:
    """(type, start, end) of each span of one sentence; `end` is exclusive. A bare `B` or `I` has the type `_`.

    A tag goes on with the span before it when it is I- or E-, the tag before it is B- or I-, and the types are equal.
    InputError for a tag that is neither O nor begins with B-, I-, E-, S-, L- or U-.
    """
    found: list[Span] = []
    before, kind_before = "O", ""
    for place, tag in enumerate(tags):
        prefix, kind = parse(tag)
        if prefix != "O":
            goes_on = prefix in "IE" and before in "BI" and kind == kind_before
            start = found.pop()[1] if goes_on else place
            found.append((kind, start, place + 1))
        before, kind_before = prefix, kind
    return found


def parse(tag: str) -> tuple[str, str]:
    """A tag's letter, as BIOES has it, and its type. InputError for what is no span's tag.

    >>> parse("B-A-B"), parse("U-PER"), parse("I")
    (('B', 'A-B'), ('S', 'PER'), ('I', '_'))
    """
    prefix, hyphen, kind = tag.partition("-")
    if prefix not in LETTERS or (prefix == "O" and hyphen):
        raise InputError(f"tag {tag!r} is not a span tag: write O, or B-TYPE and I-TYPE")
    return LETTERS[prefix], kind or "_"


@dataclass(frozen=True)
class SpanScores:
    """Precision, recall, F1 (0 to 1) of spans and the number of gold spans."""

    precision: float
    recall: float
    f1: float
    support: int


def span_counts(gold: Sequence[Tags], predicted: Sequence[Tags], read: Reader = spans) -> IntArray:
    """Counts [N, 3] of each sentence's spans: correct, predicted, gold. What a bootstrap over sentences sums.

    ValueError where sentences or their lengths do not match; InputError for no sentences.
    """
    pairs = _aligned(gold, predicted, read)
    return np.array([(len(a & b), len(b), len(a)) for a, b in pairs], np.int64).reshape(-1, 3)


def _aligned(gold: Sequence[Tags], predicted: Sequence[Tags], read: Reader) -> list[tuple[set[Span], set[Span]]]:
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sentences but {len(predicted)} predicted ones")
    if not len(gold):
        raise InputError("no sentences: there is nothing to score")
    for number, (a, b) in enumerate(zip(gold, predicted, strict=True)):
        if len(a) != len(b):
            raise ValueError(f"sentence {number} has {len(a)} gold tags but {len(b)} predicted ones")
    return [(set(read(a)), set(read(b))) for a, b in zip(gold, predicted, strict=True)]


def f1_of_counts(counts: FloatArray) -> FloatArray:
    """F1 of summed counts [..., 3] (correct, predicted, gold) -> [...]; 0 where there are no spans at all."""
    top, bottom = 2.0 * counts[..., 0], 1.0 * counts[..., 1] + counts[..., 2]
    return np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom > 0)


def span_scores(gold: Sequence[Tags], predicted: Sequence[Tags], read: Reader = spans) -> SpanScores:
    """Scores over all spans of all sentences (micro average, the shared tasks' figure)."""
    return _scores(span_counts(gold, predicted, read).sum(0))


def span_f1(gold: Sequence[Tags], predicted: Sequence[Tags], read: Reader = spans) -> float:
    """F1 over all spans: equal to `seqeval.metrics.f1_score`."""
    return span_scores(gold, predicted, read).f1


def span_scores_by_type(gold: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, SpanScores]:
    """Type -> scores of its spans, sorted by type, for every type that occurs in gold or prediction."""
    counts: dict[str, IntArray] = {}
    for gold_spans, predicted_spans in _aligned(gold, predicted, spans):
        for column, part in enumerate((gold_spans & predicted_spans, predicted_spans, gold_spans)):
            for kind, _, _ in part:
                counts.setdefault(kind, np.zeros(3, np.int64))[column] += 1
    return {kind: _scores(counts[kind]) for kind in sorted(counts)}


def _scores(counts: IntArray) -> SpanScores:
    correct, predicted, gold = (int(count) for count in counts)
    f1 = float(f1_of_counts(counts.astype(np.float64)))
    return SpanScores(correct / predicted if predicted else 0.0, correct / gold if gold else 0.0, f1, gold)

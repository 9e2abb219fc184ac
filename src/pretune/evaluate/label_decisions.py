"""Several labels a record: what became of each label, as one two-by-two confusion a row."""

from collections.abc import Sequence

from pretune.evaluate.judgements import Judgement
from pretune.evaluate.table import Cell, Table

MAX_LABELS = 30


def decisions_table(judged: Sequence[Judgement]) -> Table:
    """A row a label, those that most records have first. A ratio whose denominator is zero is shown as none.

    >>> judged = [Judgement(0, "yes", "yes", 0.9, "a"), Judgement(1, "no", "yes", 0.6, "a")]
    >>> decisions_table(judged).rows
    (('a', 1, 1, 1, 0, 0, 0.5, 1.0, 0.6666666666666666),)
    """
    counts: dict[str, dict[tuple[str, str], int]] = {}
    for one in judged:
        kinds = counts.setdefault(one.word or "", {})
        kinds[one.gold, one.predicted] = kinds.get((one.gold, one.predicted), 0) + 1
    rows = [_row(label, kinds) for label, kinds in counts.items()]
    rows.sort(key=lambda row: (-int(str(row[1])), str(row[0])))
    columns = ("label", "true", "given and true", "given, not true", "true, not given", "neither")
    notes = [] if len(rows) <= MAX_LABELS else [f"The {MAX_LABELS} most frequent of {len(rows):,} labels."]
    return Table((*columns, "precision", "recall", "F1"), tuple(rows[:MAX_LABELS]), "By label", tuple(notes))


def _row(label: str, kinds: dict[tuple[str, str], int]) -> tuple[Cell, ...]:
    hits, extra, missed, neither = (
        kinds.get(kind, 0) for kind in (("yes", "yes"), ("no", "yes"), ("yes", "no"), ("no", "no"))
    )
    precision = hits / (hits + extra) if hits + extra else None
    recall = hits / (hits + missed) if hits + missed else None
    f1 = 2 * hits / (2 * hits + extra + missed) if hits + extra + missed else None
    return label, hits + missed, hits, extra, missed, neither, precision, recall, f1

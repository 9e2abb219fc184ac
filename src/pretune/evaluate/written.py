"""What a model wrote, beside what training showed it: examples, novelty, the nearest training passages.

Novelty is the share of 4-grams of the written texts that no training text has, sources and targets
(`metrics/novelty.py`); beside it stands the same figure of the references, which are what a person wrote: a model far
below it copies.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pretune.evaluate.table import Cell, Table
from pretune.metrics.novelty import Nearest, Passages, novelty
from pretune.tasks.references import all_references, references_of, source_of
from pretune.tasks.task import Task
from pretune.tasks.written import Written, written_texts
from pretune.text.findings import place
from pretune.text.records import Record

NUM_SHOWN = 8
MAX_SHOWN = 240


@dataclass(frozen=True)
class AboutWritten:
    """figures: for metrics.json, {} of a task that writes no text. sentences: for a reader of the scores."""

    figures: dict[str, Any] = field(default_factory=dict)
    sections: tuple[Table, ...] = ()
    sentences: tuple[str, ...] = ()


def about_written(
    task: Task, predictions: Sequence[Any], records: Sequence[Record], train: Sequence[Record] = ()
) -> AboutWritten:
    """Of predictions on labelled records. train: what the model learnt from; without it only examples are shown. Labels
    (`text_to_text`) are all to be found in training: nothing is said of their novelty."""
    if not isinstance(task, Written):
        return AboutWritten()
    texts = written_texts(predictions)
    examples = examples_table(texts, records)
    if not train or task.label_settings:
        return AboutWritten(sections=(examples,))
    passages = Passages(training_texts(train))
    found = novelty(texts, passages)
    golds = novelty([each[0] for each in all_references(records)], passages)
    nearest = nearest_of(texts, passages)
    figures = {
        "novelty": found.share,
        "novelty_of_references": golds.share,
        "copies": found.num_copies,
        "copies_among_references": golds.num_copies,
        "nearest": [
            {
                "record": row,
                "written": texts[row],
                "passage": one.text,
                "shared": one.num_shared,
                "run": one.longest_run,
            }
            for row, one in nearest
        ],
    }
    sections = (examples, nearest_table(texts, nearest, records)) if nearest else (examples,)
    share, of_golds = (_percent(each.share) for each in (found, golds))
    told = (
        f"novelty: {share} of the written {found.n}-grams are in no training text (of the references' {of_golds}); "
        f"{found.num_copies:,} of {len(texts):,} texts are a training text word for word (of the references "
        f"{golds.num_copies:,})"
    )
    return AboutWritten(figures, sections, (told,))


def training_texts(train: Sequence[Record]) -> Iterator[str]:
    """Every source and every target that training showed."""
    for record in train:
        yield source_of(record)
        yield from references_of(record)


def nearest_of(texts: Sequence[str], passages: Passages) -> list[tuple[int, Nearest]]:
    """The texts that have the longest runs of words in common with a training text, and that text; longest first."""
    found = [(row, one) for row, text in enumerate(texts) if (one := passages.nearest(text)) is not None]
    return sorted(found, key=lambda pair: (-len(pair[1].longest_run.split()), pair[0]))[:NUM_SHOWN]


def examples_table(texts: Sequence[str], records: Sequence[Record]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for text, record in list(zip(texts, records, strict=True))[:NUM_SHOWN]:
        where = place(record.path, record.line)
        rows.append((_short(source_of(record)), _short(references_of(record)[0]), _short(text), where))
    return Table(("source", "reference", "written", "where"), tuple(rows), "What the model wrote")


def nearest_table(texts: Sequence[str], nearest: Sequence[tuple[int, Nearest]], records: Sequence[Record]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for row, one in nearest:
        where = place(records[row].path, records[row].line)
        words = len(one.longest_run.split())
        rows.append((words, _short(one.longest_run), _short(texts[row]), _short(one.text), where))
    columns = ("words in a row", "which", "written", "nearest training text", "where")
    return Table(columns, tuple(rows), "Most like training texts", ("Nearest: shares the most of its 4-grams.",))


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"

"""transformers' side of multiple choice: each choice with its text a row, the rows of a record one example."""

from collections.abc import Sequence
from typing import Any

from finetune_vs_transformers.jobs import Data
from pretune.text.choices import choices_of
from pretune.text.records import Record


def encode_choices(data: Data, records: Sequence[Record], tokenizer: Any) -> list[dict[str, Any]]:
    """Inputs of [choices][tokens]; the texts are those that pretune reads from the record."""
    found = []
    for record in records:
        asked = choices_of(record)
        texts = [asked.text] * len(asked.seconds)
        rows = tokenizer(texts, list(asked.seconds), truncation="longest_first", max_length=data.job.max_length)
        found.append({**rows, "labels": asked.label})
    return found


def best_choices(data: Data, predictions: Any, rows: Sequence[Any]) -> list[int]:
    """predictions: [records, choices], padded to the most choices."""
    return [int(scores[: len(row["input_ids"])].argmax()) for row, scores in zip(rows, predictions, strict=True)]

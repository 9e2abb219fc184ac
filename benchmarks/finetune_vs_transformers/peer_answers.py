"""transformers' side of extractive question answering, as its example script does it: it has no class for it.

Windows with a stride over long contexts, the answer's tokens as labels ([CLS] where a window has none), and of the 20
best starts and ends of each window the pair with the highest sum, at most 30 tokens long, over all windows.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from finetune_vs_transformers.jobs import Data
from pretune.text.answers import answers_of, place_of
from pretune.text.records import Record

STRIDE, NUM_BEST, MAX_ANSWER = 128, 20, 30


def encode_windows(data: Data, records: Sequence[Record], tokenizer: Any) -> list[dict[str, Any]]:
    """A row a window: inputs, labels, and for decoding the record's number and each token's characters."""
    rows = tokenizer(
        [record["question"].strip() for record in records],
        [record["context"] for record in records],
        truncation="only_second",
        max_length=data.job.max_length,
        stride=STRIDE,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    found = []
    for window, number in enumerate(rows["overflow_to_sample_mapping"]):
        chars = [
            pair if part == 1 else None
            for pair, part in zip(rows["offset_mapping"][window], rows.sequence_ids(window), strict=True)
        ]
        start, end = _answer(records[number], chars)
        inputs = {name: rows[name][window] for name in ("input_ids", "token_type_ids", "attention_mask")}
        found.append({**inputs, "start_positions": start, "end_positions": end, "number": number, "chars": chars})
    return found


def _answer(record: Record, chars: Sequence[tuple[int, int] | None]) -> tuple[int, int]:
    """The first answer's first and last token in a window; [CLS] where it is not wholly there."""
    first, last = place_of(record, answers_of(record)[0])
    inside = [number for number, pair in enumerate(chars) if pair is not None]
    if chars[inside[0]][0] > first or chars[inside[-1]][1] < last:  # type: ignore[index]
        return 0, 0
    start = max(number for number in inside if chars[number][0] <= first)  # type: ignore[index]
    end = min(number for number in inside if chars[number][1] >= last)  # type: ignore[index]
    return start, end


def best_answers(data: Data, predictions: Any, rows: Sequence[Any]) -> list[str]:
    """The text of each test record's best span. predictions: start and end logits, [windows, tokens] each."""
    best: dict[int, tuple[float, str]] = {}
    for row, starts, ends in zip(rows, *predictions, strict=True):
        chars = row["chars"]
        for start in np.argsort(starts[: len(chars)])[: -NUM_BEST - 1 : -1]:
            for end in np.argsort(ends[: len(chars)])[: -NUM_BEST - 1 : -1]:
                if chars[start] is None or chars[end] is None or not 0 <= end - start < MAX_ANSWER:
                    continue
                score = float(starts[start] + ends[end])
                if score > best.get(row["number"], (-np.inf, ""))[0]:
                    text = data.test[row["number"]]["context"][chars[start][0] : chars[end][1]]
                    best[row["number"]] = (score, text)
    return [best.get(number, (0.0, ""))[1] for number in range(len(data.test))]

"""Tagged words to the spans they mark, as users of pipelines know them (`aggregation_strategy="simple"`)."""

from collections.abc import Sequence
from typing import Any

from pretune.metrics.spans import spans


def entities_of(words: Sequence[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """{"entity_group", "word", "score", "start", "end"} of each span, in order.

    words: what `tag.decode` gives of one record, in any scheme of spans; text: what their places count in. `word` is
    the text of the span, `score` the mean of its words' scores, as pipelines have it.

    >>> john = {"word": "John", "entity": "B-PER", "score": 0.8, "start": 0, "end": 4}
    >>> smith = {"word": "Smith", "entity": "I-PER", "score": 0.6, "start": 6, "end": 11}
    >>> entities_of([john, smith], "John  Smith")
    [{'entity_group': 'PER', 'word': 'John  Smith', 'score': 0.7, 'start': 0, 'end': 11}]
    """
    found = []
    for kind, first, end in spans([word["entity"] for word in words]):
        part = words[first:end]
        start, stop = part[0]["start"], part[-1]["end"]
        score = sum(word["score"] for word in part) / len(part)
        found.append({"entity_group": kind, "word": text[start:stop], "score": score, "start": start, "end": stop})
    return found

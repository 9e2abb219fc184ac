"""The answer to the training source that is most like a source: a way to write texts without a network."""

from collections.abc import Callable, Sequence

import numpy as np

from pretune.text.records import Record

Words = Callable[[Record], str]
BLOCK = 1024
"""Sources compared with all training sources at once."""


def target_of_nearest(train: Sequence[Record], test: Sequence[Record], source: Words, target: Words) -> list[str]:
    """By the highest cosine of TF-IDF vectors of words, of equals the first; the first where no word is shared.

    >>> train = [Record({"s": "a red cat", "t": "rot"}), Record({"s": "a blue dog", "t": "blau"})]
    >>> target_of_nearest(train, [Record({"s": "the dog"})], lambda record: record["s"], lambda record: record["t"])
    ['blau']
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    answers = [target(record) for record in train]
    try:
        known = vectorizer.fit_transform([source(record) for record in train])
    except ValueError:  # no training source has a word
        return [answers[0]] * len(test)
    found: list[str] = []
    for start in range(0, len(test), BLOCK):
        asked = vectorizer.transform([source(record) for record in test[start : start + BLOCK]])
        best = np.asarray((asked @ known.T).todense()).argmax(1)
        found += [answers[row] for row in best.tolist()]
    return found

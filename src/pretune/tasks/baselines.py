"""Simple methods without a network, which every fine-tuned model is printed beside.

TF-IDF features (sublinear term frequency) of words and word pairs and of 2 to 5 characters inside words; for two texts,
those of each, and how they overlap. Logistic regression or ridge regression on top (Wang and Manning 2012 show how hard
such baselines are to beat on short texts). Settings are fixed: the same for every data set, and not tuned by a run.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Texts = Sequence[tuple[str, ...]]
FloatArray = NDArray[np.float64]

MAX_FEATURES = 200_000
"""Of each kind; the most frequent ones stay."""
INVERSE_PENALTY = 3.0
"""C of the logistic regression."""
RIDGE_PENALTY = 10.0


def linear_classes(train: Texts, gold: Sequence[str], test: Texts) -> list[str]:
    """Labels of the test texts by logistic regression; of the only class where training has but one."""
    if len(set(gold)) == 1:
        return [gold[0]] * len(test)
    features, test_features = text_features(train, test)
    return [str(label) for label in _logistic(features, list(gold), test_features)]


def linear_label_sets(
    train: Texts, gold: Sequence[Sequence[str]], labels: Sequence[str], test: Texts
) -> list[list[str]]:
    """Labels of the test texts, any number each, by a logistic regression a label; one that all training texts have, or
    none has, is given to all, or to none."""
    features, test_features = text_features(train, test)
    found: list[list[str]] = [[] for _ in test]
    for label in labels:
        has = [label in names for names in gold]
        guesses = _logistic(features, has, test_features) if len(set(has)) == 2 else [has[0]] * len(test)
        for names, guess in zip(found, guesses, strict=True):
            names += [label] * bool(guess)
    return found


def _logistic(features: Any, gold: Sequence[Any], test_features: Any) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=INVERSE_PENALTY, max_iter=300).fit(features, gold).predict(test_features)


def linear_values(train: Texts, gold: Sequence[float], test: Texts) -> list[float]:
    """Values of the test texts by ridge regression."""
    from sklearn.linear_model import Ridge

    features, test_features = text_features(train, test)
    model = Ridge(alpha=RIDGE_PENALTY, solver="sparse_cg").fit(features, np.asarray(gold, np.float64))
    return [float(value) for value in model.predict(test_features)]


def text_features(train: Texts, test: Texts) -> tuple[Any, Any]:
    """Sparse features [N, F] of both parts; weights and vocabulary come from the first alone."""
    columns = list(zip(*train, strict=True))
    test_columns = list(zip(*test, strict=True))
    blocks: list[Any] = []
    test_blocks: list[Any] = []
    for vectorizer in _vectorizers(len(train)):
        try:
            vectorizer.fit([text for texts in columns for text in texts])
        except ValueError:  # no training text has such a feature
            continue
        blocks += [vectorizer.transform(texts) for texts in columns]
        test_blocks += [vectorizer.transform(texts) for texts in test_columns]
    if len(columns) == 2 or not blocks:
        blocks.append(sparse.csr_matrix(overlap_features(train)))
        test_blocks.append(sparse.csr_matrix(overlap_features(test)))
    return sparse.hstack(blocks).tocsr(), sparse.hstack(test_blocks).tocsr()


def _vectorizers(num_texts: int) -> list[Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    shared = {"sublinear_tf": True, "max_features": MAX_FEATURES, "min_df": 1 if num_texts < 1000 else 2}
    return [
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", **shared),
        TfidfVectorizer(ngram_range=(2, 5), analyzer="char_wb", **shared),
    ]


def overlap_features(pairs: Texts) -> FloatArray:
    """How two texts overlap [N, 8]: Jaccard and both containments of words, of word pairs and of characters' triples'
    Jaccard, ratio of lengths. For one text, zeros.

    >>> overlap_features([("a cat sat", "a cat")])[0, :3].round(2).tolist()
    [0.67, 0.67, 1.0]
    """
    return np.array([_overlap(*pair) if len(pair) == 2 else [0.0] * 8 for pair in pairs])


def _overlap(first: str, second: str) -> list[float]:
    words = [re.findall(r"\w+", text.lower()) for text in (first, second)]
    pairs = [set(zip(part, part[1:], strict=False)) for part in words]
    triples = [{text.lower()[i : i + 3] for i in range(len(text) - 2)} for text in (first, second)]
    shorter, longer = sorted(len(part) for part in words)
    return [
        *_shares(*(set(part) for part in words)),
        *_shares(*pairs),
        _shares(*triples)[0],
        shorter / longer if longer else 1.0,
    ]


def _shares(a: set[Any], b: set[Any]) -> list[float]:
    """Jaccard, share of a that is in b, share of b that is in a; 0 for empty sets."""
    both = len(a & b)
    return [both / max(len(part), 1) for part in (a | b, a, b)]


def most_similar(seen: Sequence[str], asked: Sequence[tuple[str, Sequence[str]]]) -> list[int]:
    """The number of the choice with the highest cosine of TF-IDF vectors of words with its text; of equals the first.

    seen: training texts, which say how rare a word is; words that they lack do not count.

    >>> most_similar(["a cat", "a dog"], [("a cat sat", ["a dog", "cat"])])
    [1]
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+")
    try:
        vectorizer.fit(seen)
    except ValueError:  # no training text has a word
        return [0] * len(asked)
    texts = vectorizer.transform([text for text, _ in asked])
    choices = vectorizer.transform([choice for _, part in asked for choice in part])
    owner = np.repeat(np.arange(len(asked)), [len(part) for _, part in asked])
    cosines = np.asarray(texts[owner].multiply(choices).sum(1)).ravel()
    ends = np.cumsum([len(part) for _, part in asked])
    return [int(np.argmax(part)) for part in np.split(cosines, ends[:-1])]


def frequent_tags(
    words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], test: Sequence[Sequence[str]]
) -> list[list[str]]:
    """Each word's most frequent tag in training: as written, else in lower case, else the most frequent of all tags.

    >>> frequent_tags([["The", "cat", "sat"]], [["DET", "NOUN", "VERB"]], [["THE", "cat", "ran"]])
    [['DET', 'NOUN', 'DET']]
    """
    exact: dict[str, Counter[str]] = {}
    lower: dict[str, Counter[str]] = {}
    overall: Counter[str] = Counter()
    for sentence, labels in zip(words, tags, strict=True):
        overall.update(labels)
        for word, tag in zip(sentence, labels, strict=True):
            exact.setdefault(word, Counter())[tag] += 1
            lower.setdefault(word.lower(), Counter())[tag] += 1
    best = {word: most_frequent(counts) for word, counts in exact.items()}
    best_lower = {word: most_frequent(counts) for word, counts in lower.items()}
    unknown = most_frequent(overall)
    return [[best.get(word) or best_lower.get(word.lower(), unknown) for word in sentence] for sentence in test]


def most_frequent(counts: Counter[str]) -> str:
    """The label that occurs most often; of equals, the first by name."""
    return max(sorted(counts), key=counts.__getitem__)

"""Baselines: what they know, and that they learn what is there to learn."""

import numpy as np

from pretune.core.randomness import derive_rng
from pretune.tasks.baselines import frequent_tags, linear_classes, linear_values, overlap_features, text_features
from pretune.tasks.classify import classify
from pretune.tasks.tag import tag
from pretune.text.records import Record

FILLER = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def noisy(rng, *words):
    return " ".join([*words, *(str(word) for word in rng.choice(FILLER, 5))])


def test_linear_models_find_the_words_that_matter():
    rng = derive_rng("baseline")
    gold = [["good", "bad"][n % 2] for n in range(60)]
    texts = [(noisy(rng, "wonderful" if label == "good" else "dreadful"),) for label in gold]
    assert linear_classes(texts[:40], gold[:40], texts[40:]) == gold[40:]
    values = [float(n % 5) for n in range(60)]
    texts = [(noisy(rng, *["more"] * int(value)),) for value in values]
    predicted = linear_values(texts[:40], values[:40], texts[40:])
    assert np.corrcoef(predicted, values[40:])[0, 1] > 0.8


def test_pairs_are_told_by_their_overlap():
    rng = derive_rng("pairs")
    first = [noisy(rng) for _ in range(80)]
    gold = [["same", "other"][n % 2] for n in range(80)]
    pairs = [(a, a if label == "same" else noisy(rng)) for a, label in zip(first, gold, strict=True)]
    predicted = linear_classes(pairs[:60], gold[:60], pairs[60:])
    assert np.mean([a == b for a, b in zip(predicted, gold[60:], strict=True)]) > 0.9


def test_overlap_by_hand():
    features = overlap_features([("A cat sat.", "a CAT ran"), ("", ""), ("x", "")])
    words = [2 / 4, 2 / 3, 2 / 3]
    pairs = [1 / 3, 1 / 2, 1 / 2]
    np.testing.assert_allclose(features[0, [0, 1, 2, 3, 4, 5, 7]], [*words, *pairs, 1.0])
    assert features[1].tolist() == [0.0] * 7 + [1.0]
    assert features[2, 7] == 0.0


def test_features_are_fitted_to_training_texts_alone():
    train = [("good film",), ("bad film",)]
    alone, _ = text_features(train, train)
    beside, test = text_features(train, [("unheard words only",), ("",)])
    assert (alone != beside).nnz == 0
    assert test.shape == (2, alone.shape[1])
    blank, _ = text_features([("",), (" ",)], [("",)])  # nothing to count, nothing raised
    assert blank.shape[0] == 2


def test_one_class_in_training_is_predicted():
    assert linear_classes([("a",), ("b",)], ["x", "x"], [("c",)]) == ["x"]


def test_frequent_tags_fall_back_by_case_then_to_the_commonest():
    words, tags = [["Will", "will", "will", "cat", "cow", "hen"]], [["NAME", "AUX", "AUX", "NOUN", "NOUN", "NOUN"]]
    assert frequent_tags(words, tags, [["Will", "WILL", "dog"], []]) == [["NAME", "AUX", "NOUN"], []]


def test_ties_go_to_the_first_name():
    records = [Record({"text": "a", "label": label}) for label in ("z", "b", "z", "b")]
    assert classify().fit_labels(records).baseline_predictions(records, records[:1])["majority"] == [{"label": "b"}]


def test_tag_baseline_beats_the_commonest_tag():
    train = [Record({"words": ["the", "cat", "sat"], "tags": ["DET", "NOUN", "VERB"]})] * 3
    test = [Record({"words": ["The", "cat"], "tags": ["DET", "NOUN"]})]
    scores = tag().fit_labels(train).baselines(train, test)
    assert scores["most-frequent-tag"]["accuracy"] == 1.0
    assert scores["majority"]["accuracy"] == 0.5

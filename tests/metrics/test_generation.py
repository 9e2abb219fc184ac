"""Scores of written texts: beside sacrebleu and rouge-score, and beside plain versions of repetition and novelty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF

from pretune.core.errors import InputError
from pretune.core.randomness import derive_rng
from pretune.metrics.intervals import bootstrap_sums
from pretune.metrics.novelty import Passages, novelty, novelty_beside
from pretune.metrics.repetition import ngrams, repetition, repetition_values, words_of
from pretune.metrics.rouge import ROUGES, rouge_values, unread_letters
from pretune.metrics.translation import signature, translation_counts, translation_score

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "in", "mat", "house", ",", "."]
KINDS = {"bleu": BLEU, "chrf": CHRF}


def sentences(seed, number, least=1, most=12):
    rng = derive_rng("sentences", seed)
    return [" ".join(rng.choice(WORDS, rng.integers(least, most))) for _ in range(number)]


def near(texts, seed):
    """The texts with a fifth of their words exchanged."""
    rng = derive_rng("near", seed)
    pick = [[rng.choice(WORDS) if rng.random() < 0.2 else word for word in text.split()] for text in texts]
    return [" ".join(words) for words in pick]


@pytest.mark.parametrize("metric", KINDS)
@pytest.mark.parametrize("most", [1, 3])
def test_sums_of_counts_score_as_sacrebleu_scores_these_sentences(metric, most):
    rng = derive_rng("refs", most)
    first = sentences(1, 40)
    golds = [[text, *near([text] * int(rng.integers(0, most)), number)] for number, text in enumerate(first)]
    predicted = near(first, 2)
    predicted[3] = ""
    counts = translation_counts(metric, golds, predicted)
    score = translation_score(metric)
    for rows in (np.arange(40), *(rng.integers(40, size=40) for _ in range(5)), np.array([3])):
        chosen = [golds[row] for row in rows]
        streams = [[one[k] if k < len(one) else None for one in chosen] for k in range(max(map(len, chosen)))]
        expected = KINDS[metric]().corpus_score([predicted[row] for row in rows], streams).score / 100
        assert float(score(counts[rows].sum(0))) == pytest.approx(expected, abs=1e-12)
    assert score(np.stack([counts.sum(0), counts[:9].sum(0)])).shape == (2,)


def test_an_interval_of_bleu_covers_its_estimate():
    first = sentences(1, 60)
    counts = translation_counts("bleu", [[text] for text in first], near(first, 2))
    interval = bootstrap_sums(counts, translation_score("bleu"), rng=np.random.default_rng(0), num_resamples=200)
    assert interval.estimate == pytest.approx(BLEU().corpus_score(near(first, 2), [first]).score / 100)
    assert 0.01 < interval.high - interval.low < 0.2 and interval.low < interval.estimate < interval.high


def test_a_perfect_translation_is_1_and_the_tokenization_counts():
    texts = ["ein großer Hund, ein kleiner!", "Zwei Katzen schlafen heute lange."]
    counts = translation_counts("bleu", [[text] for text in texts], texts)
    assert float(translation_score("bleu")(counts.sum(0))) == 1.0
    bare = translation_counts("bleu", [["a cat, a dog"]], ["a cat , a dog"], "none")
    assert bare[0][:3].tolist() == [5, 4, 3]  # words, those of the reference, right ones
    assert translation_counts("bleu", [["a cat, a dog"]], ["a cat , a dog"])[0][:3].tolist() == [5, 5, 5]
    assert signature("bleu", "none").startswith("case:mixed|eff:no|tok:none|smooth:exp|version:")
    assert signature("chrf").startswith("case:mixed|eff:yes|nc:6|nw:0")


def test_rouge_is_rouge_scores_and_the_best_reference_counts():
    golds = [[text, near([text], number)[0]] for number, text in enumerate(sentences(1, 20))]
    predicted = near([each[0] for each in golds], 2)
    found = rouge_values(golds, predicted)
    scorer = RougeScorer(ROUGES, use_stemmer=True)
    for row, references, text in zip(found, golds, predicted, strict=True):
        each = [scorer.score(reference, text) for reference in references]
        assert row.tolist() == [max(one[name].fmeasure for one in each) for name in ROUGES]
    assert rouge_values([["he walks"]], ["he walked"])[0][1] == 1.0  # stems
    assert unread_letters(["ab", "αβ 12"]) == 0.5


@pytest.mark.parametrize("count", [lambda golds, texts: translation_counts("bleu", golds, texts), rouge_values])
def test_what_cannot_be_scored_is_refused(count):
    with pytest.raises(InputError, match="nothing to score"):
        count([], [])
    with pytest.raises(InputError, match="no reference"):
        count([["a"], []], ["a", "b"])
    with pytest.raises(ValueError, match="2 .* but 1"):
        count([["a"], ["b"]], ["a"])


def test_unknown_settings_are_named():
    with pytest.raises(InputError, match="unknown metric 'blue'; did you mean bleu"):
        translation_score("blue")
    with pytest.raises(InputError, match="unknown tokenization"):
        translation_counts("bleu", [["a"]], ["a"], "13b")


def test_repetition_by_hand():
    assert words_of("Don't; STOP") == ["don", "'", "t", ";", "stop"]
    loop = "we went home " * 4  # 12 words, 9 4-grams, 3 distinct
    assert repetition_values([loop, "one two three four five", "short"]).tolist() == [pytest.approx(6 / 9), 0.0, 0.0]
    assert repetition([loop, "short"]) == pytest.approx(1 / 3)
    with pytest.raises(InputError, match="no texts"):
        repetition([])


TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join), min_size=1, max_size=6)


@given(training=TEXTS, written=TEXTS, n=st.integers(1, 4))
def test_novelty_and_nearest_equal_a_plain_count(training, written, n):
    index, known = Passages(training, n), [set(ngrams(words_of(text), n)) for text in training]
    found = novelty(written, index)
    each = [[one not in set().union(*known) for one in ngrams(words_of(text), n)] for text in written]
    total = sum(map(len, each))
    assert found.share == (sum(map(sum, each)) / total if total else None)
    assert found.num_copies == sum(words_of(text) in [words_of(one) for one in training] for text in written)
    for text in written:
        shared = [len(set(ngrams(words_of(text), n)) & theirs) for theirs in known]
        nearest = index.nearest(text)
        assert (None if nearest is None else (nearest.passage, nearest.num_shared)) == (
            (shared.index(max(shared)), max(shared)) if max(shared) else None
        )
        if nearest is not None:
            assert f" {nearest.longest_run} " in f" {text} " and nearest.longest_run in nearest.text
            assert len(nearest.longest_run.split()) >= n


def test_an_n_gram_lies_within_one_text_and_order_counts():
    index = Passages(["a b c", "d e f"], n=2)
    assert index.is_known("b c d e c b").tolist() == [True, False, True, False, False]
    assert novelty(["x y z"], index).share == 1.0 and not index.is_copy("x y z") and index.is_copy("A b  c")
    assert novelty_beside([], []) == 0.0
    with pytest.raises(InputError, match="no training text"):
        Passages([])

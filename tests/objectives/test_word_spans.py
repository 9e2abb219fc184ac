"""Whole words and spans: mlm's n-grams, whole_word, span_mask and span_boundary, and rates that change over the run."""

from dataclasses import replace

import numpy as np
import pytest

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL, WORD_START
from pretune.core.pack import pack
from pretune.core.stream import Example, Segments, Span, bidirectional
from pretune.objectives.mlm import mlm
from pretune.objectives.rewriters import mask_random_keep, runs_of
from pretune.objectives.selectors import Budget, budget
from pretune.objectives.span_boundary import MAX_POSITIONS, span_boundary
from pretune.objectives.span_mask import span_mask
from pretune.objectives.whole_word import whole_word
from pretune.objectives.word_spans import WordSpans, geometric_lengths, ngram_lengths, words_of

MAKERS = {
    "n-grams": lambda **settings: mlm(ngram=3, **settings),
    "whole words": whole_word,
    "spans": span_mask,
    "boundaries": span_boundary,
}


def text(lab, lengths, seed=0, first=None):
    """[CLS], words of so many pieces, [SEP], as an example. Ids are drawn; `first`: ids count up from there."""
    marks = [WORD_START if piece == 0 else 0 for length in lengths for piece in range(length)]
    ids = np.random.default_rng(seed).integers(lab.FIRST, 60, len(marks))
    ids = ids if first is None else np.arange(first, first + len(marks))
    return assemble(Segments([Span(ids.astype(np.int32), np.array(marks, np.uint8))]), lab.TEMPLATE)


def predicted(example, objective, lab, seed=0, progress=0.0, head="lm"):
    """(rows, the corrupted example)"""
    told = replace(lab.context(lab.numbered([80]), 512, seed), progress=progress)
    corrupted = objective.corrupt(example, told)
    return corrupted.predict[head].at_MK[:, 0], corrupted


def ragged(number, seed=0):
    return np.random.default_rng(seed).integers(1, 6, number).tolist()


@pytest.mark.parametrize("maker", MAKERS)
def test_words_are_predicted_whole(lab, maker):
    """Every word of 1 to 5 pieces is predicted wholly or not at all, whatever the ids spell."""
    lengths = ragged(60)
    word_of = np.repeat(np.arange(60), lengths)
    for seed in range(60):
        rows, _ = predicted(text(lab, lengths, seed), MAKERS[maker](), lab, seed)
        hit = np.bincount(word_of[rows - 1], minlength=60)
        assert set(hit / lengths) <= {0.0, 1.0}


@pytest.mark.parametrize("maker", MAKERS)
def test_rate_counts_pieces(lab, maker):
    """15 % of the pieces, never more, and less only where no whole word fits into what is left."""
    predictions = tokens = 0
    for seed in range(150):
        lengths = ragged(80, seed)
        rows, _ = predicted(text(lab, lengths, seed), MAKERS[maker](), lab, seed)
        assert len(rows) <= round(0.15 * sum(lengths))
        predictions, tokens = predictions + len(rows), tokens + sum(lengths)
    assert abs(predictions / tokens - 0.15) < 0.002


def test_words_hand_made(lab):
    # 5 6 | 7 | 8 9 10: of six pieces a half is three: 8 9 10, or 5 6 and 7
    seen = set()
    for seed in range(40):
        _, corrupted = predicted(text(lab, [2, 1, 3], first=5), whole_word(0.5, mask=1, random=0), lab, seed)
        seen.add(tuple(corrupted.source.ids_T[1:-1].tolist()))
    m = lab.MASK
    assert seen == {(5, 6, 7, m, m, m), (m, m, m, 8, 9, 10)}


def test_a_word_that_is_cut_is_a_word(lab):
    """A sample may begin inside a word and end inside one."""
    marks = np.array([SPECIAL, 0, 0, WORD_START, WORD_START, 0, SPECIAL], np.uint8)
    example = Example(bidirectional(np.array([1, 5, 6, 7, 8, 9, 2]), marks_T=marks))
    seen = {tuple(predicted(example, whole_word(0.4), lab, seed)[0].tolist()) for seed in range(40)}
    assert seen == {(1, 2), (3,), (4, 5)}


def test_words_do_not_reach_over_special_tokens(lab):
    """Neither over a template's [SEP] nor over one inside a text; a word of [UNK] alone ends a span too."""
    marks = np.array([SPECIAL, 1, 0, SPECIAL, 0, 0, 1, 1, 1, SPECIAL], np.uint8)
    ids = np.array([1, 5, 6, 2, 7, 8, 9, lab.UNK, 10, 2])
    firsts, ends, last = words_of(bidirectional(ids, marks_T=marks), (marks & SPECIAL == 0) & (ids != lab.UNK))
    assert firsts.tolist() == [1, 4, 6, 8] and ends.tolist() == [3, 6, 7, 9] and last.tolist() == [1, 3, 3, 4]


def test_every_word_alike_whatever_its_length(lab):
    """The starting word is uniform over words (Joshi et al. 2020), so a long word is not likelier than a short one."""
    lengths, hits = [4, 1] * 20, np.zeros(40)
    for seed in range(800):
        rows, _ = predicted(text(lab, lengths, seed), whole_word(0.3), lab, seed)
        hits += np.bincount(np.repeat(np.arange(40), lengths)[rows - 1], minlength=40) > 0
    share = hits / 800
    for of_length in (share[::2], share[1::2]):
        assert abs(of_length / of_length.mean() - 1).max() < 0.25
    # the last words drawn must fit into what is left: long ones a little rarer, as in Google's code
    assert 0.7 < share[::2].mean() / share[1::2].mean() < 1


def test_where_no_word_fits_one_is_predicted(lab):
    example = text(lab, [4, 5])
    for seed in range(20):
        assert len(predicted(example, whole_word(), lab, seed)[0]) in (4, 5)
        assert len(predicted(example, whole_word(max_predictions=3), lab, seed)[0]) == 0
    unknown = Example(bidirectional(np.full(4, lab.UNK), marks_T=np.ones(4, np.uint8)))
    rows, corrupted = predicted(unknown, whole_word(), lab)
    assert len(rows) == 0 and corrupted.source.ids_T.tolist() == [lab.UNK] * 4


def run_lengths(objective, lab, num_words=4000, times=120):
    """Lengths of the spans that stand alone, among many words and few predictions, so that few touch."""
    found = []
    for seed in range(times):
        rows, _ = predicted(text(lab, [1] * num_words, seed), objective, lab, seed)
        starts, ends = runs_of(rows)
        found += (ends - starts + 1)[starts == np.arange(len(rows))].tolist()
    return np.bincount(found, minlength=12)[1:] / len(found)


def test_span_lengths_are_geometric(lab):
    seen = run_lengths(span_mask(0.02), lab)
    expected = np.array([*geometric_lengths(0.2, 10), 0.0])
    assert abs(seen[:11] - expected).max() < 0.03
    assert abs((seen * np.arange(1, len(seen) + 1)).sum() - 3.8) < 0.3
    assert expected[0] == pytest.approx(0.2 / (1 - 0.8**10))


def test_ngram_lengths(lab):
    seen = run_lengths(mlm(0.02, ngram=3), lab)
    assert abs(seen[:3] - [6 / 11, 3 / 11, 2 / 11]).max() < 0.03
    assert ngram_lengths(1) == (1.0,)


def split(objective, lab, times=200):
    """For each run of predicted tokens: what became of it."""
    found = []
    for seed in range(times):
        example = text(lab, [1] * 200, seed)
        rows, corrupted = predicted(example, objective, lab, seed)
        starts, ends = runs_of(rows)
        for start, end in sorted(set(zip(rows[starts].tolist(), rows[ends].tolist(), strict=True))):
            before, after = example.source.ids_T[start : end + 1], corrupted.source.ids_T[start : end + 1]
            masked, kept = (after == lab.MASK).all(), (after == before).all()
            found.append((end - start + 1, "mask" if masked else "keep" if kept else "other", after, before))
    return found


def test_one_choice_a_span(lab):
    """80/10/10 of spans; the tokens of a random span are drawn one by one."""
    found = split(span_mask(), lab)
    kinds = [kind for _, kind, *_ in found]
    assert abs(kinds.count("mask") / len(kinds) - 0.8) < 0.03 and abs(kinds.count("keep") / len(kinds) - 0.1) < 0.025
    others = [after for _, kind, after, _ in found if kind == "other"]
    assert not any((after == lab.MASK).any() for after in others)
    assert np.mean([len(set(after.tolist())) == 1 for after in others if len(after) > 2]) < 0.05


def test_a_choice_a_token_where_words_are_masked(lab):
    long = [(after == lab.MASK).mean() for length, _, after, _ in split(mlm(0.3, ngram=10), lab, 60) if length > 4]
    assert 0.7 < np.mean(long) < 0.9 and np.mean([0 < share < 1 for share in long]) > 0.5


def test_boundaries(lab):
    """Boundaries are the visible tokens just outside, also beside [CLS] and [SEP]; 20 places are told apart."""
    longest = 0
    for seed in range(80):
        example = text(lab, ragged(40, seed), seed)
        told = lab.context(lab.numbered([80]), 512, seed)
        corrupted = span_boundary(0.4).corrupt(example, told)
        masked, boundary = corrupted.predict["lm"], corrupted.predict["span_boundary"]
        hidden = set(masked.at_MK[:, 0].tolist())
        for (left, right), place, gold in zip(boundary.at_MK.tolist(), boundary.given_M, boundary.gold_M, strict=True):
            assert left not in hidden and right not in hidden and set(range(left + 1, right)) <= hidden
            assert 0 <= place < min(MAX_POSITIONS, right - left - 1)
            assert example.source.ids_T[left + 1 + place] == gold
            longest = max(longest, right - left - 1)
        starts, _ = runs_of(masked.at_MK[:, 0])
        assert len(boundary) == (np.arange(len(masked)) - starts < MAX_POSITIONS).sum()
    assert longest > MAX_POSITIONS  # what lies behind the twentieth place is left to the masked LM


def test_boundaries_pack_with_samples_that_have_none(lab):
    unknown = text(lab, [1, 1])
    unknown = replace(unknown, source=replace(unknown.source, ids_T=np.array([1, lab.UNK, lab.UNK, 2])))
    told = lab.context(lab.numbered([80]), 512)
    objective = span_boundary()
    batch = pack([objective.corrupt(example, told) for example in (unknown, text(lab, [2] * 20))])
    assert objective.counts(batch) == {"lm": 6.0, "span_boundary": 6.0}
    assert batch.predict["span_boundary"].at_MK.shape == batch.predict["span_boundary"].slot_MK.shape == (6, 2)
    assert objective.counts(pack([objective.corrupt(unknown, told)])) == {"lm": 0.0, "span_boundary": 0.0}
    with pytest.raises(InputError, match="before and behind"):
        objective.corrupt(Example(bidirectional(np.arange(5, 9), marks_T=np.ones(4, np.uint8))), told)


@pytest.mark.parametrize("maker", [mlm, *MAKERS.values()])
def test_the_rate_falls_over_the_run(lab, maker):
    objective, example = maker(masking_rate=0.3, final_masking_rate=0.15), text(lab, [1] * 100)
    rates = [len(predicted(example, objective, lab, progress=progress)[0]) for progress in (0.0, 0.5, 1.0)]
    assert rates == [30, 22, 15]
    again = predicted(example, objective, lab, progress=0.5)[0]
    assert np.array_equal(again, predicted(example, objective, lab, progress=0.5)[0])


def test_budget():
    assert [Budget(0.1, 0.4).of(20, progress) for progress in (0, 0.5, 1)] == [2, 5, 8]
    assert Budget(0.15).of(0) == 0 and Budget(0.15).of(1) == 1 and Budget(0.5, max_predictions=3).of(20) == 3


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: mlm(ngram=0), "ngram is 0"),
        (lambda: span_mask(geometric_p=0), "geometric_p is 0"),
        (lambda: span_mask(max_words=0), "max_words is 0"),
        (lambda: span_boundary(masking_rate=2), "masking_rate is 2"),
        (lambda: whole_word(final_masking_rate=0), "final_masking_rate is 0"),
        (lambda: whole_word(copies=0), "copies is 0"),
        (lambda: budget(0.1, max_predictions=0), "max_predictions is 0"),
    ],
)
def test_wrong_settings(make, match):
    with pytest.raises(InputError, match=match):
        make()


def test_whole_words_are_n_grams_of_one(lab):
    example, told = text(lab, ragged(40)), lab.context(lab.numbered([80]), 512)
    one, other = (objective.corrupt(example, told) for objective in (whole_word(copies=3), mlm(ngram=1, copies=3)))
    assert np.array_equal(one.source.ids_T, other.source.ids_T)
    assert WordSpans(Budget(0.15)) == whole_word().select and mask_random_keep() == whole_word().rewrite

from dataclasses import replace

import numpy as np
import pytest

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL
from pretune.core.pack import pack
from pretune.core.protocols import Context
from pretune.core.stream import Example, Segments, Span, bidirectional
from pretune.core.vocab import Vocab
from pretune.objectives.mlm import mlm
from pretune.objectives.rewriters import draw_ids


def corrupt_ids(objective, lab, corpus, ids, seed=0):
    spans = [Span(np.array(ids, np.int32), np.ones(len(ids), np.uint8))]
    return objective.corrupt(assemble(Segments(spans), lab.TEMPLATE), lab.context(corpus, 64, seed))


def test_hand_made_six_tokens_one_mask(lab):
    # [CLS] 5 6 7 8 9 10 [SEP]: 15 % of six is 0.9, so one is masked
    corpus = lab.numbered([6])
    seen = set()
    for seed in range(60):
        corrupted = corrupt_ids(mlm(mask=1, random=0), lab, corpus, [5, 6, 7, 8, 9, 10], seed)
        (row,) = corrupted.predict["lm"].at_MK.ravel().tolist()
        expected = [1, 5, 6, 7, 8, 9, 10, 2]
        assert corrupted.predict["lm"].gold_M.tolist() == [expected[row]]
        expected[row] = lab.MASK
        assert corrupted.source.ids_T.tolist() == expected
        assert corrupted.predict["lm"].weight_M.tolist() == [1.0]
        seen.add(row)
    assert seen == {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize("length, expected", [(1, 1), (3, 1), (10, 2), (30, 4), (62, 9), (126, 19)])
def test_number_of_predictions_is_the_code_s_rounding(lab, length, expected):
    # 0.15 n to the nearest, half to even (1.5 -> 2, 4.5 -> 4), at least 1
    corrupted = corrupt_ids(mlm(), lab, lab.numbered([200]), range(5, 5 + length))
    assert len(corrupted.predict["lm"]) == expected


def test_max_predictions(lab):
    corpus = lab.numbered([200])
    assert len(corrupt_ids(mlm(max_predictions=7), lab, corpus, range(5, 131)).predict["lm"]) == 7


@pytest.fixture(scope="module")
def counted(lab):
    """(gold, what the input became) of 300 samples of 500 tokens, vocabulary 60, by kind of replacement."""

    def count(replacement):
        corpus = lab.varied()
        rng = np.random.default_rng(0)
        gold, became, maskable = [], [], 0
        for seed in range(300):
            ids = rng.integers(5, 60, 500)
            corrupted = corrupt_ids(mlm(replacement=replacement), lab, corpus, ids, seed)
            targets = corrupted.predict["lm"]
            gold.append(targets.gold_M)
            became.append(corrupted.source.ids_T[targets.at_MK[:, 0]])
            maskable += len(ids)
            untouched = np.delete(corrupted.source.ids_T, targets.at_MK[:, 0])
            assert np.array_equal(untouched, np.delete([1, *ids, 2], targets.at_MK[:, 0]))
        return np.concatenate(gold), np.concatenate(became), maskable, corpus.vocab

    return {kind: count(kind) for kind in ("uniform", "unigram")}


def test_rate_and_split(counted, lab):
    gold, became, maskable, vocab = counted["uniform"]
    assert abs(len(gold) / maskable - 0.15) < 0.0015
    masked, kept = np.mean(became == lab.MASK), np.mean(became == gold)
    # a random token is the original in 1 of 55 draws
    assert abs(masked - 0.8) < 0.01
    assert abs(kept - (0.1 + 0.1 / 55)) < 0.008
    assert abs(1 - masked - kept - 0.1 * 54 / 55) < 0.008


@pytest.mark.parametrize("kind", ["uniform", "unigram"])
def test_distribution_of_random_tokens(counted, lab, kind):
    gold, became, _, vocab = counted[kind]
    drawn = became[(became != lab.MASK) & (became != gold)]
    assert drawn.min() >= lab.FIRST
    expected = np.full(60, 1.0) if kind == "uniform" else vocab.unigram_V.copy()
    expected[: lab.FIRST] = 0
    # gold is uniform, and draws equal to gold cannot be seen: a token is seen in proportion p * (1 - 1 / 55)
    expected *= len(drawn) / expected.sum()
    observed = np.bincount(drawn, minlength=60)
    chi2 = ((observed - expected)[lab.FIRST :] ** 2 / np.maximum(expected[lab.FIRST :], 1e-9)).sum()
    assert chi2 < 54 + 4 * np.sqrt(2 * 54)


def test_unigram_never_draws_what_does_not_occur():
    vocab = Vocab(6, np.arange(6) < 2, unigram_V=np.array([0.5, 0, 0, 0.3, 0.2, 0]))
    drawn = draw_ids(vocab, np.linspace(0, 1, 1001, endpoint=False), "unigram")
    assert np.bincount(drawn, minlength=6).tolist() == pytest.approx([0, 0, 0, 601, 400, 0], abs=1)


def test_every_position_alike(lab):
    corpus, hits = lab.numbered([20]), np.zeros(22)
    for seed in range(4000):
        hits[corrupt_ids(mlm(), lab, corpus, range(5, 25), seed).predict["lm"].at_MK[:, 0]] += 1
    assert hits[0] == hits[-1] == 0 and hits.sum() == 12000
    assert abs(hits[1:-1] / 600 - 1).max() < 0.18


def test_specials_never_touched(lab):
    """Neither special ids in the text ([UNK], a written [MASK]) nor ordinary ids that a template put there."""
    corpus = lab.varied()
    for seed in range(300):
        ids = np.random.default_rng(seed).integers(0, 12, 30)
        marks = np.where(np.arange(30) % 7 == 0, SPECIAL, 0).astype(np.uint8)
        told = lab.context(corpus, 32, seed)
        corrupted = mlm(0.6).corrupt(Example(bidirectional(ids, marks_T=marks)), told)
        rows = corrupted.predict["lm"].at_MK[:, 0]
        assert (ids[rows] >= lab.FIRST).all() and not marks[rows].any()
        changed = corrupted.source.ids_T != ids
        assert set(np.flatnonzero(changed)) <= set(rows)
        assert set(corrupted.source.ids_T[changed]) & {0, 1, 2, 4} == set()


def test_nothing_to_mask_is_an_empty_target_that_packs(lab):
    corpus = lab.numbered([20])
    empty = corrupt_ids(mlm(), lab, corpus, [lab.UNK, lab.UNK])
    full = corrupt_ids(mlm(mask=1, random=0), lab, corpus, range(5, 15))
    assert len(empty.predict["lm"]) == 0 and empty.source.ids_T.tolist() == [1, 4, 4, 2]
    for mixture in ([empty], [empty, full], [full, empty, full], [empty, empty]):
        batch = pack(mixture)
        num_full = sum(example is full for example in mixture)
        assert mlm().counts(batch) == {"lm": 2.0 * num_full}
        lm = batch.predict["lm"]
        assert lm.at_MK.shape == (2 * num_full, 1) and lm.at_MK.dtype == np.int64 and lm.gold_M.dtype == np.int64
        assert (batch.source.ids_T[lm.at_MK[:, 0]] == lab.MASK).all()


def test_static_masks_repeat_and_dynamic_ones_do_not(lab):
    corpus = lab.numbered([200])

    def rows(objective, epoch, number=0):
        return lab.example(objective, corpus, number, 128, epoch=epoch).predict["lm"].at_MK[:, 0].tolist()

    static = [rows(mlm(copies=3), epoch) for epoch in range(6)]
    assert static[:3] == static[3:] and len({tuple(row) for row in static}) == 3
    assert rows(mlm(copies=3), 0, 1) != static[0]
    assert len({tuple(rows(mlm(), epoch)) for epoch in range(6)}) == 6
    with pytest.raises(ValueError, match="place"):
        example = Example(bidirectional(np.arange(5, 10)))
        mlm(copies=3).corrupt(example, replace(lab.context(corpus), place=None))


def test_input_is_left_as_it_was(lab):
    corpus = lab.numbered([30])
    before = corpus.ids_T.copy()
    lab.example(mlm(0.9), corpus, 0)
    assert np.array_equal(corpus.ids_T, before)


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"masking_rate": 0}, "masking_rate is 0"),
        ({"masking_rate": 1.5}, "masking_rate is 1.5"),
        ({"mask": -0.1}, "mask is -0.1"),
        ({"mask": 0.8, "random": 0.3}, "more than 1"),
        ({"replacement": "unigrams"}, "did you mean unigram"),
        ({"copies": 0}, "copies is 0"),
        ({"max_predictions": 0}, "max_predictions is 0"),
    ],
)
def test_wrong_settings(settings, match):
    with pytest.raises(InputError, match=match):
        mlm(**settings)


def test_wrong_vocabularies():
    example = Example(bidirectional(np.arange(4, 40)))
    for vocab, objective, match in (
        (Vocab(40, np.arange(40) < 4), mlm(), "no .MASK. token"),
        (Vocab(40, np.arange(40) < 4, mask_id=3), mlm(random=0.2, replacement="unigram"), "no unigram"),
    ):
        with pytest.raises(InputError, match=match):
            for seed in range(9):
                objective.corrupt(example, Context(vocab, 40, np.random.default_rng(seed)))

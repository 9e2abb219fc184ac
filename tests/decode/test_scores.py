"""Every edit of scores beside transformers' own class, and by hand."""

import numpy as np
import pytest
import torch

from pretune.decode import scores
from pretune.decode.draws import draw, generators
from pretune.decode.settings import Borders, Generation

theirs = pytest.importorskip("transformers.generation.logits_process")

V = 50


def given(seed=0, rows=6, length=17):
    """Scores, and histories in which tokens come again and again."""
    generator = torch.Generator().manual_seed(seed)
    history_NT = torch.randint(0, 7, (rows, length), generator=generator)
    return torch.randn(rows, V, generator=generator) * 3, history_NT


PROCESSORS = {
    "repetition": (
        lambda s, h: scores.penalise_repetition(s, h.tolist(), 1.7),
        lambda: theirs.RepetitionPenaltyLogitsProcessor(1.7),
    ),
    "reward of repetition": (
        lambda s, h: scores.penalise_repetition(s, h.tolist(), 0.6),
        lambda: theirs.RepetitionPenaltyLogitsProcessor(0.6),
    ),
    "1-grams": (
        lambda s, h: scores.forbid_repeated_ngrams(s, h.tolist(), 1),
        lambda: theirs.NoRepeatNGramLogitsProcessor(1),
    ),
    "2-grams": (
        lambda s, h: scores.forbid_repeated_ngrams(s, h.tolist(), 2),
        lambda: theirs.NoRepeatNGramLogitsProcessor(2),
    ),
    "3-grams": (
        lambda s, h: scores.forbid_repeated_ngrams(s, h.tolist(), 3),
        lambda: theirs.NoRepeatNGramLogitsProcessor(3),
    ),
    "18-grams of 17 tokens": (
        lambda s, h: scores.forbid_repeated_ngrams(s, h.tolist(), 18),
        lambda: theirs.NoRepeatNGramLogitsProcessor(18),
    ),
    "top k": (lambda s, h: scores.keep_top_k(s, 5), lambda: theirs.TopKLogitsWarper(5)),
    "top k of all": (lambda s, h: scores.keep_top_k(s, 500), lambda: theirs.TopKLogitsWarper(500)),
    "top p": (lambda s, h: scores.keep_top_p(s, 0.8), lambda: theirs.TopPLogitsWarper(0.8)),
    "tiny top p": (lambda s, h: scores.keep_top_p(s, 1e-6), lambda: theirs.TopPLogitsWarper(1e-6)),
    "min p": (lambda s, h: scores.keep_min_p(s, 0.1), lambda: theirs.MinPLogitsWarper(0.1)),
    "min p of 1": (lambda s, h: scores.keep_min_p(s, 1.0), lambda: theirs.MinPLogitsWarper(1.0)),
    "shortest length": (
        lambda s, h: scores.edit(s, h.tolist(), 2, Generation(min_new_tokens=3), Borders((4, 9))),
        lambda: theirs.MinNewTokensLengthLogitsProcessor(15, 3, [4, 9]),
    ),
    "shortest length, reached": (
        lambda s, h: scores.edit(s, h.tolist(), 3, Generation(min_new_tokens=3), Borders((4, 9))),
        lambda: theirs.MinNewTokensLengthLogitsProcessor(14, 3, [4, 9]),
    ),
    "forced end": (
        lambda s, h: scores.edit(s, h.tolist(), 5, Generation(max_new_tokens=6), Borders(last_id=9)),
        lambda: theirs.ForcedEOSTokenLogitsProcessor(18, 9),
    ),
    "never": (
        lambda s, h: scores.forbid_sequences(s, h.tolist(), [(8,), (3, 11), (5, 2, 12), (0, 4, 13), (9,) * 18]),
        lambda: theirs.NoBadWordsLogitsProcessor([[8], [3, 11], [5, 2, 12], [0, 4, 13], [9] * 18]),
    ),
    "temperature": (
        lambda s, h: scores.shape(s, Generation(do_sample=True, temperature=0.3)),
        lambda: theirs.TemperatureLogitsWarper(0.3),
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_an_edit_is_that_of_transformers(name):
    ours, make = PROCESSORS[name]
    scores_NV, history_NT = given()
    before = scores_NV.clone()
    wanted = make()(history_NT, scores_NV.clone())
    assert torch.equal(ours(scores_NV, history_NT), wanted)
    assert torch.equal(scores_NV, before)  # what is given stays as it is


def test_edits_come_in_the_order_of_transformers():
    scores_NV, history_NT = given(1)
    ours = Generation(do_sample=True, temperature=0.7, top_k=20, top_p=0.9, min_p=0.02, repetition_penalty=1.3,
                      no_repeat_ngram_size=2, min_new_tokens=9)  # fmt: skip
    wanted = scores_NV
    for each in (
        theirs.RepetitionPenaltyLogitsProcessor(1.3),
        theirs.NoRepeatNGramLogitsProcessor(2),
        theirs.NoBadWordsLogitsProcessor([[8], [1, 9]]),
        theirs.MinNewTokensLengthLogitsProcessor(10, 9, [3]),
        theirs.TemperatureLogitsWarper(0.7),
        theirs.TopKLogitsWarper(20),
        theirs.TopPLogitsWarper(0.9),
        theirs.MinPLogitsWarper(0.02),
    ):
        wanted = each(history_NT, wanted)
    edited = scores.edit(scores_NV, history_NT.tolist(), 7, ours, Borders((3,), never=((8,), (1, 9))))
    assert torch.equal(scores.shape(edited, ours), wanted)


def test_histories_may_be_unequal():
    scores_NV, _ = given(2, rows=3)
    found = scores.penalise_repetition(scores_NV, [[1], [], [2, 3, 2]], 2.0)
    changed = [row.nonzero().flatten().tolist() for row in found != scores_NV]
    assert changed == [[1], [], [2, 3]]
    found = scores.forbid_repeated_ngrams(scores_NV, [[5, 6, 5], [5], [5, 6, 7, 5, 6]], 2)
    assert [row.isinf().nonzero().flatten().tolist() for row in found] == [[6], [], [7]]


def test_what_is_allowed_alone_keeps_its_score_and_a_first_token_is_forced():
    scores_NV, _ = given(3, rows=2)
    found = scores.allow_only(scores_NV, [[4, 8], []])
    assert found.isfinite().nonzero().tolist() == [[0, 4], [0, 8]]
    assert torch.equal(found[0, [4, 8]], scores_NV[0, [4, 8]])
    forced = scores.edit(scores_NV, [], 0, Generation(), Borders(first_id=7))
    assert forced.isfinite().nonzero().tolist() == [[0, 7], [1, 7]] and forced[0, 7] == 0
    assert torch.equal(scores.edit(scores_NV, [], 1, Generation(), Borders(first_id=7)), scores_NV)


def test_draws_follow_the_distribution_and_never_take_what_is_left_out():
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2, 0.0])
    rng = np.random.default_rng(0)
    ids = draw(probabilities.log().expand(20_000, 5), list(rng.random(20_000)))
    shares = torch.bincount(ids, minlength=5) / 20_000
    assert (shares - probabilities).abs().max() < 0.01 and shares[1] == shares[4] == 0
    assert draw(probabilities.log().expand(2, 5), [0.0, np.nextafter(1, 0)]).tolist() == [0, 3]


def test_generators_depend_on_seed_prompt_and_number_alone():
    first = [[rng.random() for rng in generators(1, [1, 23], 2)] for _ in range(2)]
    assert first[0] == first[1] and first[0][0] != first[0][1]
    assert {rng.random() for rng in generators(1, [12, 3], 2) + generators(2, [1, 23], 2)}.isdisjoint(first[0])

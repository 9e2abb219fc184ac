"""What is taken out and written: the paper's table, exact segmentation, targets that give the text back, sentinels."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.core.stream import bidirectional
from pretune.core.vocab import Vocab
from pretune.objectives.add import add
from pretune.objectives.drop_tokens import drop_tokens
from pretune.objectives.full_sentences import full_sentences
from pretune.objectives.replace_spans import replace_spans
from pretune.objectives.selectors import budget
from pretune.objectives.span_corruption import RandomSpans, span_corruption
from pretune.objectives.taken_out import TakeOut, with_sentinels

SENTENCE = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
SENTINELS = (104, 103, 102, 101, 100)
VOCAB = Vocab(105, np.arange(105) >= 100, sentinel_ids=SENTINELS)
NAMES = dict(enumerate(SENTENCE)) | dict(zip(SENTINELS, ["<X>", "<Y>", "<Z>", "<V>", "<W>"], strict=True))


class Fixed:
    """A selector that takes these rows out."""

    def __init__(self, rows):
        self.rows = np.array(rows)

    def __call__(self, stream, maskable_T, rng, progress=0.0):
        return self.rows


@pytest.mark.parametrize(
    ("rows", "sentinels", "inputs", "targets"),
    [
        ([2, 3, 8], True, "Thank you <X> me to your party <Y> week .", "<X> for inviting <Y> last <Z>"),
        ([2, 3, 8], False, "Thank you me to your party week .", "for inviting last"),
        (
            [2, 3, 4, 6, 7, 8],
            True,
            "Thank you <X> to <Y> week .",
            "<X> for inviting me <Y> your party last <Z>",
        ),
        ([0, 10], True, "<X> you for inviting me to your party last week <Y>", "<X> Thank <Y> . <Z>"),
    ],
)
def test_the_paper_s_table(rows, sentinels, inputs, targets):
    """Table 3 of Raffel et al. 2020; the last row: spans at both ends."""
    corruption = TakeOut(Fixed(rows), budget(0.15), sentinels)
    told = corruption(bidirectional(np.arange(11)), VOCAB, np.random.default_rng(0), 0.0)
    assert tuple(" ".join(NAMES[token] for token in ids) for ids in told) == (inputs, targets)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_both_texts_give_the_original_back(taken):
    """Each sentinel in the one is filled with what stands behind it in the other."""
    taken_T = np.array(taken)
    marks = tuple(range(1000, 1042))
    rest, target = with_sentinels(np.arange(len(taken)), np.flatnonzero(taken_T), marks)
    parts = np.split(target, np.flatnonzero(target >= 1000))[1:]
    filled = {int(part[0]): part[1:].tolist() for part in parts}
    assert list(filled) == list(marks[: len(parts)]) and filled[marks[len(parts) - 1]] == []
    again = [token for each in rest.tolist() for token in (filled[each] if each >= 1000 else [each])]
    assert again == list(range(len(taken)))
    assert (rest >= 1000).sum() == len(parts) - 1 and all(filled[mark] for mark in marks[: len(parts) - 1])


@pytest.mark.parametrize("num_tokens", [2, 3, 9, 64, 200, 512, 568])
@pytest.mark.parametrize(("rate", "mean_length"), [(0.15, 3.0), (0.5, 2.0), (0.15, 10.0), (0.9, 1.0)])
def test_how_many_tokens_and_spans_is_no_matter_of_chance(num_tokens, rate, mean_length):
    for seed in range(20):
        taken_T = RandomSpans(budget(rate), mean_length).of(num_tokens, np.random.default_rng(seed))
        number = min(max(1, round(rate * num_tokens)), num_tokens - 1)
        spans = min(max(1, round(number / mean_length)), number, num_tokens - number)
        assert taken_T.sum() == number
        assert (np.diff(taken_T.astype(int)) == 1).sum() == spans
        assert not taken_T[0] and taken_T[-1]  # rest and span in turn


def plain_mask(num_tokens, number, num_spans, rng):
    """T5's way to draw: each part begins where a shuffled row of marks says so."""

    def lengths(items):
        marks = np.arange(items - 1) < num_spans - 1
        rng.shuffle(marks)
        return np.bincount(np.cumsum(np.concatenate([[0], marks])), minlength=num_spans)

    taken = []
    for rest, span in zip(lengths(num_tokens - number), lengths(number), strict=True):
        taken += [0] * rest + [1] * span
    return tuple(taken)


def test_all_segmentations_are_as_likely_as_in_the_published_code():
    """10 tokens, 4 taken out in 2 spans: 5 ways to cut the rest, 3 to cut the spans."""
    rng, number = np.random.default_rng(0), 6000
    select = RandomSpans(budget(0.4), 2.0)
    ours = Counter(tuple(select.of(10, rng).astype(int).tolist()) for _ in range(number))
    theirs = Counter(plain_mask(10, 4, 2, rng) for _ in range(number))
    assert ours.keys() == theirs.keys() and len(ours) == 15
    for counts in (ours, theirs):
        assert max(abs(count / number - 1 / 15) for count in counts.values()) < 0.015


def test_rolled_spans_are_anywhere():
    """Of a text with one span each token is as likely to be taken out; without rolling only the last ones ever are."""
    rng = np.random.default_rng(0)
    plain, rolled = (
        np.mean([RandomSpans(budget(0.15), 3.0, roll).of(20, rng) for _ in range(4000)], axis=0)
        for roll in (False, True)
    )
    assert plain.tolist() == [0] * 17 + [1] * 3
    assert abs(rolled - 0.15).max() < 0.02


def test_single_tokens_are_taken_out_alike():
    """15 % exactly, every token as often."""
    gone = np.zeros(100)
    vocab = Vocab(150, np.arange(150) >= 100, sentinel_ids=tuple(range(149, 99, -1)))
    for seed in range(800):
        text, rng = bidirectional(np.arange(100)), np.random.default_rng(seed)
        if seed % 2:
            rest, target = drop_tokens().corruption(text, vocab, rng, 0.0)
            assert sorted([*rest, *target]) == list(range(100)) and target.tolist() == sorted(target)
        else:
            rest, target = replace_spans().corruption(text, vocab, rng, 0.0)
        taken = target[target < 100]
        assert len(taken) == 15
        gone[taken] += 1
    assert abs(gone / 800 - 0.15).max() < 0.05


def test_too_few_sentinels_are_found_out_before_the_run(lab):
    """For the longest sample there may be: 510 tokens have 76 taken out in 25 spans (and one more sentinel)."""
    corpus = lab.MemoryCorpus([[[5, 6, 7, 8] * 40]], sentinels=26)
    assert span_corruption().samples(corpus, 512) == 1
    with pytest.raises(InputError, match=r"26 spans taken out, which need 27 sentinels, and the tokenizer has 26"):
        span_corruption(random_roll=True).samples(corpus, 512)
    with pytest.raises(InputError, match=r"76 spans taken out, which need 77 .* --sentinels 77"):
        replace_spans().samples(corpus, 512)
    assert drop_tokens().samples(corpus, 512) == 1
    with pytest.raises(InputError, match=r"76 spans taken out, which need 77"):
        add(full_sentences(), replace_spans()).samples(corpus, 512)
    few = lab.MemoryCorpus([[[5, 6, 7, 8] * 40]], sentinels=3)
    with pytest.raises(InputError, match="spans need .* sentinels, and there are 3"):
        lab.example(replace_spans(), few, 0, max_length=64, template=lab.TWO)


def test_a_target_longer_than_a_sample_is_found_out_before_the_run(lab):
    """For a decoder has as many positions as the encoder."""
    corpus = lab.MemoryCorpus([[[5, 6, 7, 8] * 40]], sentinels=30)
    with pytest.raises(InputError, match=r"of 20 tokens 12 would be taken out and up to 22 be written: lower"):
        replace_spans(0.6).samples(corpus, 22)
    assert span_corruption(0.6).samples(corpus, 22) == 8


@pytest.mark.parametrize("objective", [span_corruption(), replace_spans(), drop_tokens()])
def test_never_longer_than_a_sample(lab, objective):
    """Both texts, whatever the documents' lengths."""
    corpus = lab.varied(seed=2, sentinels=10)
    for number in range(objective.samples(corpus, 24)):
        one = lab.example(objective, corpus, number, max_length=24, template=lab.TWO)
        assert one.source.num_tokens <= 24 and one.target.num_tokens <= 24

"""sentence_order, full_sentences and document_sentences: what a sample holds, by hand and by counts."""

import numpy as np
import pytest

from pretune.core.assemble import assemble
from pretune.core.errors import InputError
from pretune.core.marks import SPECIAL
from pretune.core.vocab import Vocab
from pretune.objectives import whole_sentences
from pretune.objectives.add import add
from pretune.objectives.document_sentences import document_sentences
from pretune.objectives.full_sentences import full_sentences
from pretune.objectives.mlm import mlm
from pretune.objectives.sentence_order import sentence_order
from pretune.objectives.sentence_units import unit_starts
from pretune.objectives.whole_word import whole_word

SEP = 2


def spans_of(lab, objective, corpus, max_length, epoch=0):
    for number in range(objective.samples(corpus, max_length)):
        yield objective.arrange(corpus, number, lab.context(corpus, max_length, epoch=epoch, number=number))


def ids_of(lab, objective, corpus, max_length):
    return [segments.spans[0].ids_P.tolist() for segments in spans_of(lab, objective, corpus, max_length)]


# --- sentence order


def test_order_hand_made(lab):
    corpus = lab.numbered([2, 2])
    seen = set()
    for epoch in range(30):
        for segments in spans_of(lab, sentence_order(short_rate=0), corpus, 16, epoch):
            seen.add((*(tuple(span.ids_P.tolist()) for span in segments.spans), segments.labels["sentence_order"]))
    assert seen == {((5, 6), (7, 8), 0), ((7, 8), (5, 6), 1)}


@pytest.fixture(scope="module")
def pairs(lab):
    rng = np.random.default_rng(0)
    corpus = lab.numbered(*[rng.integers(1, 20, rng.integers(1, 15)).tolist() for _ in range(60)], [1], [])
    found = [
        (*(span.ids_P - lab.FIRST for span in segments.spans), segments.labels["sentence_order"])
        for epoch in range(30)
        for segments in spans_of(lab, sentence_order(), corpus, 43, epoch)
    ]
    return corpus, found


def test_half_are_swapped_and_labels_are_true(pairs):
    corpus, found = pairs
    document_of = np.searchsorted(corpus.document_starts, np.arange(corpus.num_tokens), "right")
    for a, b, label in found:
        assert len(a) and len(b) and len(a) + len(b) <= 40
        assert (np.diff(a) == 1).all() and (np.diff(b) == 1).all()
        assert len(set(document_of[np.concatenate([a, b])])) == 1  # both of one document, whatever the label
        assert (a[-1] < b[0]) == (label == 0) and (b[-1] < a[0]) == (label == 1)
    assert len(found) > 3000 and abs(np.mean([label for *_, label in found]) - 0.5) < 0.03


def test_lengths_do_not_tell_the_order(pairs):
    """In the text's order, the two spans have the same lengths on average under either label."""
    means = []
    for wanted in (0, 1):
        ordered = [(a, b) if label == 0 else (b, a) for a, b, label in pairs[1] if label == wanted]
        means.append(np.mean([(len(a), len(b)) for a, b in ordered], axis=0))
    assert abs(means[0] - means[1]).max() < 0.8


def test_one_document_is_enough_and_copies_repeat(lab):
    corpus = lab.numbered([5] * 12)
    objective = sentence_order(copies=2)
    epochs = [
        [
            (segments.spans[0].ids_P.tolist(), segments.labels)
            for segments in spans_of(lab, objective, corpus, 24, epoch)
        ]
        for epoch in range(4)
    ]
    assert epochs[:2] == epochs[2:] and epochs[0] != epochs[1]


def test_order_must_arrange(lab):
    corpus = lab.varied()
    with pytest.raises(InputError, match="name it first"):
        lab.example(add(mlm(), sentence_order()), corpus, 0)
    with pytest.raises(InputError, match="short_rate is -1"):
        sentence_order(short_rate=-1)


# --- whole sentences


def test_full_sentences_hand_made(lab):
    # sentences 2 2 | 3 | (an empty document) | 9 1, room 6: 2 2 and a [SEP] leave one; 3 and a [SEP] leave two; 9 is
    # cut in 6 3, and 3 1 fit together
    corpus = lab.numbered([2, 2], [3], [], [9, 1])
    assert ids_of(lab, full_sentences(), corpus, 8) == [
        [5, 6, 7, 8],
        [9, 10, 11],
        [12, 13, 14, 15, 16, 17],
        [18, 19, 20, 21],
    ]
    # room 8: 2 2 [SEP] 3, then 8 of 9, then 1 1
    assert ids_of(lab, full_sentences(), corpus, 10) == [
        [5, 6, 7, 8, SEP, 9, 10, 11],
        [12, 13, 14, 15, 16, 17, 18, 19],
        [20, 21],
    ]


def test_document_sentences_hand_made(lab):
    corpus = lab.numbered([2, 2], [3], [], [9, 1], [1])
    assert ids_of(lab, document_sentences(), corpus, 8) == [
        [5, 6, 7, 8],
        [9, 10, 11],
        [12, 13, 14, 15, 16, 17],
        [18, 19, 20, 21],
    ]  # the last document is one token alone: left out


@pytest.fixture(scope="module")
def many(lab):
    rng = np.random.default_rng(4)
    return lab.numbered(*[rng.integers(1, 30, rng.integers(0, 12)).tolist() for _ in range(80)], [1], [], [])


def brute(corpus, room, across):
    """Places by the plain definition, one sentence (or piece of one) after another: [start, end)."""
    bounds = set(corpus.document_starts.tolist())
    starts = sorted({*corpus.sentence_starts.tolist(), corpus.num_tokens})
    pieces = [
        (at, min(at + room, end))
        for start, end in zip(starts, starts[1:], strict=False)
        for at in range(start, end, room)
    ]
    places, first, last, separators = [], None, None, 0
    for start, end in pieces:
        border = start in bounds
        if first is not None and ((border and not across) or end - first + separators + border > room):
            places.append((first, last))
            first = None
        if first is None:
            first, separators = start, 0
        else:
            separators += border
        last = end
    return [place for place in [*places, (first, last)] if place[1] - place[0] >= 2]


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("room", [2, 7, 40, 1000])
@pytest.mark.parametrize("chunk", [3, 1 << 18])
def test_places_are_those_of_the_plain_definition(lab, many, monkeypatch, across, room, chunk):
    monkeypatch.setattr(whole_sentences, "CHUNK", chunk)
    corpus = lab.MemoryCorpus([[[5]]])
    vars(corpus).update({**vars(many), "tables": {}})
    found = whole_sentences.sentence_places(corpus, room, across)
    assert [tuple(place) for place in found.tolist()] == brute(many, room, across)


@pytest.mark.parametrize("max_length", [6, 19, 64])
def test_full_sentences_fill_and_separate(lab, many, max_length):
    """No sample is too long; nothing is lost but units of one token that stand alone; [SEP] stands exactly where a
    document begins."""
    seen = []
    borders = set(many.document_starts.tolist())
    for segments in spans_of(lab, full_sentences(), many, max_length):
        (span,) = segments.spans
        assert len(span) <= max_length - 2
        is_sep = span.ids_P == SEP
        assert np.array_equal(is_sep, span.marks_P == SPECIAL)
        places = span.ids_P - lab.FIRST
        assert not is_sep[0] and not is_sep[-1]
        assert all(places[at + 1] in borders for at in np.flatnonzero(is_sep))
        inside = places[1:][~is_sep[:-1] & ~is_sep[1:]]
        assert not set(inside.tolist()) & borders
        seen += places[~is_sep].tolist()
    starts = set(unit_starts(many, max_length - 2).tolist())
    missing = set(range(many.num_tokens)) - set(seen)
    assert seen == sorted(set(seen)) and all({place, place + 1} <= starts for place in missing)
    assert len(missing) < 0.1 * many.num_tokens / (max_length - 2)
    if max_length == 64:
        assert sum(SEP in ids for ids in ids_of(lab, full_sentences(), many, 64)) > 10


def test_separators_are_never_predicted_and_end_words(lab, many):
    corrupted = 0
    for number in range(full_sentences().samples(many, 64)):
        told = lab.context(many, 64, number=number)
        plain = assemble(full_sentences().arrange(many, number, told), lab.TEMPLATE)
        example = whole_word(0.5).corrupt(plain, told)
        assert np.array_equal(example.source.ids_T == SEP, plain.source.ids_T == SEP)
        assert not (example.predict["lm"].gold_M == SEP).any()
        corrupted += len(example.predict["lm"])
    assert corrupted > 100


def test_a_tokenizer_without_separator(lab):
    corpus = lab.numbered([3], [3])
    told = lab.context(corpus, 12)
    object.__setattr__(told, "vocab", Vocab(40, np.arange(40) < 5, mask_id=3))
    with pytest.raises(InputError, match=r"\[SEP\] token: choose document_sentences"):
        full_sentences().arrange(corpus, 0, told)
    assert len(document_sentences().arrange(corpus, 0, told).spans[0]) == 3


def test_an_arrangement_comes_first(lab):
    with pytest.raises(InputError, match="FullSentences arranges the sample: name it first"):
        add(mlm(), full_sentences())
    assert add(document_sentences(), mlm(copies=4)).parts[1].copies == 4

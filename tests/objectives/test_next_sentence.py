import numpy as np
import pytest

from pretune.core.errors import InputError
from pretune.core.marks import WORD_START
from pretune.objectives.next_sentence import next_sentence, truncate
from pretune.objectives.sentence_units import units


def pairs(lab, corpus, max_length, epochs=1, **settings):
    objective = next_sentence(**settings)
    for epoch in range(epochs):
        for number in range(objective.samples(corpus, max_length)):
            told = lab.context(corpus, max_length, epoch=epoch, number=number)
            segments = objective.arrange(corpus, number, told)
            yield *(span.ids_P - lab.FIRST for span in segments.spans), segments.labels["next_sentence"]


@pytest.fixture(scope="module")
def drawn(lab):
    rng = np.random.default_rng(0)
    corpus = lab.numbered(*[rng.integers(1, 20, rng.integers(1, 15)).tolist() for _ in range(60)], [1], [])
    document_of = np.searchsorted(corpus.document_starts, np.arange(corpus.num_tokens), "right")
    return corpus, document_of, list(pairs(lab, corpus, 43, epochs=40))


def test_places_hand_made(lab):
    # room 6: sentences 2 3 3 | 4, the third passes the room; 20 is cut in 6 6 6 2; one token alone has no place
    corpus = lab.numbered([2, 3, 3, 4], [20], [], [1])
    found = units(corpus, 6)
    assert found.starts.tolist() == [0, 2, 5, 8, 12, 18, 24, 30, 32, 33]
    assert found.of_document.tolist() == [0, 4, 8, 8, 9]
    assert found.places.tolist() == [[0, 3], [3, 4], [4, 5], [5, 6], [6, 7], [7, 8]]
    assert found.documents.tolist() == [0, 1]


def test_hand_made_pair(lab):
    # the first document is 0 1 | 2 3, the second 4 5; what follows 0 1 is 2 3, and anything else is 4 5
    corpus = lab.numbered([2, 2], [2])
    seen = {(tuple(a), tuple(b), label) for a, b, label in pairs(lab, corpus, 16, epochs=30, short_rate=0) if a[0] == 0}
    assert seen == {((0, 1), (2, 3), 0), ((0, 1), (4, 5), 1)}


def test_half_are_next(drawn):
    labels = [label for *_, label in drawn[2]]
    assert len(labels) > 5000 and abs(np.mean(labels) - 0.5) < 0.02


def test_spans_keep_to_documents_and_labels_are_true(drawn):
    _, document_of, samples = drawn
    for a, b, label in samples:
        assert len(a) and len(b) and len(a) + len(b) <= 40
        for ids in (a, b):
            assert (np.diff(ids) == 1).all() and len(set(document_of[ids])) == 1
        assert (document_of[a[0]] == document_of[b[0]]) == (label == 0)
        if label == 0:
            assert b[0] > a[-1]


def test_next_spans_touch_unless_cut(drawn):
    whole = [(a, b) for a, b, label in drawn[2] if label == 0 and len(a) + len(b) < 40]
    assert len(whole) > 500 and all(b[0] == a[-1] + 1 for a, b in whole)


def test_the_cut_does_not_tell(lab):
    """Pairs of one sentence are cut inside it: the random span then starts inside one as well."""
    corpus = lab.numbered(*[[18]] * 30, word_length=3)
    begins = {0: [], 1: []}
    for _, b, label in pairs(lab, corpus, 64, epochs=20, short_rate=0):
        begins[label].append(b[0] % 18)
        assert corpus.marks_T[b[0]] & WORD_START
    assert set(begins[0]) == set(begins[1]) == {3, 6, 9, 12, 15}
    assert abs(np.mean(begins[0]) - np.mean(begins[1])) < 1


def test_the_length_does_not_tell_without_sentence_breaks(lab):
    """A true pair fills the room, and a random one does, or ends with its document (one in eighteen)."""
    corpus, full = lab.numbered(*[[400]] * 30, word_length=3), {0: [], 1: []}
    for a, b, label in pairs(lab, corpus, 43, epochs=10, short_rate=0.1):
        full[label].append(len(a) + len(b) == 40)
        assert label == 0 or (corpus.marks_T[b[0]] & WORD_START and (b[-1] % 400 == 399 or full[1][-1]))
    assert all(full[0]) and len(full[1]) > 1000 and abs(np.mean(full[1]) - 0.95) < 0.03


def test_spans_are_whole_sentences_where_they_fit(lab):
    corpus = lab.numbered(*[[4, 5, 6, 3]] * 20)
    borders = set(corpus.sentence_starts) | {corpus.num_tokens}
    for a, b, _ in pairs(lab, corpus, 64, epochs=5):
        assert {a[0], a[-1] + 1, b[0], b[-1] + 1} <= borders or len(a) + len(b) < 10


def test_every_other_document_alike(lab):
    corpus = lab.numbered(*[[3, 3]] * 5)
    counts = np.zeros((5, 5))
    for a, b, label in pairs(lab, corpus, 32, epochs=800):
        if label == 1:
            counts[a[0] // 6, b[0] // 6] += 1
    assert (counts.diagonal() == 0).all()
    assert abs(counts[~np.eye(5, dtype=bool)] / 100 - 1).max() < 0.4


def test_short_share(lab):
    # sentences of one token: a pair has its target length exactly; 2 to 50, all alike, in a tenth; 50 in the rest
    corpus = lab.numbered(*[[1] * 500] * 12)
    lengths = np.array([len(a) + len(b) for a, b, label in pairs(lab, corpus, 53, epochs=100) if label == 0])
    assert len(lengths) > 5000 and abs(np.mean(lengths < 50) - 0.1 * 48 / 49) < 0.015
    short = lengths[lengths < 50]
    assert short.min() == 2 and abs(short.mean() - 25.5) < 2.5
    assert all(len(a) + len(b) == 50 for a, b, label in pairs(lab, corpus, 53, short_rate=0) if label == 0)


def test_truncation_has_the_distribution_of_one_token_at_a_time():
    def one_at_a_time(a, b, room, rng):
        a, b = list(range(*a)), list(range(*b))
        while len(a) + len(b) > room:
            longer = a if len(a) > len(b) else b
            longer.pop(0 if rng.random() < 0.5 else -1)
        return (a[0], a[-1] + 1), (b[0], b[-1] + 1)

    for a, b in (((0, 9), (20, 23)), ((0, 7), (20, 27)), ((0, 4), (20, 31)), ((0, 8), (20, 27))):
        fast, slow = ([f(a, b, 7, np.random.default_rng(n)) for n in range(1500)] for f in (truncate, one_at_a_time))
        assert {(x[1] - x[0], y[1] - y[0]) for x, y in fast} == {(x[1] - x[0], y[1] - y[0]) for x, y in slow}
        assert abs(np.array(fast).mean(0) - np.array(slow).mean(0)).max() < 0.2
        assert abs(np.array(fast).std(0) - np.array(slow).std(0)).max() < 0.1


def test_static_copies(lab):
    corpus = lab.numbered(*[[5, 5, 5]] * 8)
    epochs = [[(*a, *b) for a, b, _ in pairs_of_epoch(lab, corpus, epoch)] for epoch in range(4)]
    assert epochs[:2] == epochs[2:] and epochs[0] != epochs[1]


def pairs_of_epoch(lab, corpus, epoch):
    objective = next_sentence(copies=2)
    for number in range(objective.samples(corpus, 32)):
        segments = objective.arrange(corpus, number, lab.context(corpus, 32, epoch=epoch, number=number))
        yield *(span.ids_P for span in segments.spans), segments.labels["next_sentence"]


def test_errors(lab):
    with pytest.raises(InputError, match="two documents.*--documents"):
        next_sentence().samples(lab.numbered([5, 5], [1], []), 32)
    with pytest.raises(InputError, match="max_length is 4"):
        next_sentence().samples(lab.numbered([5, 5], [5]), 4)
    with pytest.raises(InputError, match="short_rate is 2"):
        next_sentence(short_rate=2)
    corpus = lab.numbered([5, 5], [5])
    with pytest.raises(IndexError, match="sample 2 of a corpus of 2"):
        next_sentence().arrange(corpus, 2, lab.context(corpus))


def test_random_span_fills_what_the_first_leaves(lab):
    # sentences of one token: the second span has 50 less the first, or ends with its document; the first is not cut
    corpus, longest = lab.numbered(*[[1] * 500] * 4), 0
    for a, b, label in pairs(lab, corpus, 53, epochs=20, short_rate=0):
        if label == 1:
            assert len(b) == min(50 - len(a), 500 - b[0] % 500)
            longest = max(longest, len(a))
    assert longest == 49

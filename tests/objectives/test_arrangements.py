import numpy as np
import pytest

from pretune.core.errors import InputError
from pretune.objectives.arrangements import Contiguous


def pieces(lab, corpus, max_length):
    arrangement = Contiguous()
    told = lab.context(corpus, max_length)
    number_of = arrangement.samples(corpus, max_length)
    return [arrangement.arrange(corpus, number, told).spans[0].ids_P.tolist() for number in range(number_of)]


def test_hand_made(lab):
    # room 4: a document of 6 gives 4 + 2, one of 5 gives 4 (the one token left is dropped), none and 1 give nothing
    corpus = lab.numbered([6], [], [5], [1], [2])
    assert pieces(lab, corpus, 6) == [[5, 6, 7, 8], [9, 10], [11, 12, 13, 14], [17, 18]]


@pytest.mark.parametrize("max_length", [4, 7, 32, 500])
def test_every_token_once_and_no_border_crossed(lab, max_length):
    rng = np.random.default_rng(max_length)
    corpus = lab.numbered(*[[int(n)] for n in rng.integers(0, 90, 50)])
    document_of = np.searchsorted(corpus.document_starts, np.arange(corpus.num_tokens), "right")
    seen = []
    for ids in pieces(lab, corpus, max_length):
        assert 2 <= len(ids) <= max_length - 2
        assert len(set(document_of[np.array(ids) - lab.FIRST])) == 1
        seen += ids
    assert len(seen) == len(set(seen))
    missing = set(range(corpus.num_tokens)) - {token - lab.FIRST for token in seen}
    # only a last token alone is left out
    assert all(place + 1 in corpus.document_starts for place in missing)
    assert len(missing) == sum(int(n) % (max_length - 2) == 1 for n in np.diff(corpus.document_starts))


def test_marks_come_along(lab):
    corpus = lab.numbered([3, 3], word_length=2)
    assert Contiguous().arrange(corpus, 0, lab.context(corpus, 8)).spans[0].marks_P.tolist() == [3, 0, 1, 3, 0, 1]


def test_special_tokens_of_the_template_are_counted(lab):
    corpus = lab.numbered([10])
    told = lab.context(corpus, 6, num_special=(1, 1))
    assert Contiguous().samples(corpus, 6, (1, 1)) == 2
    assert len(Contiguous().arrange(corpus, 0, told).spans[0]) == 5


def test_errors(lab):
    corpus = lab.numbered([10])
    with pytest.raises(InputError, match="max_length is 3.*at least 4"):
        Contiguous().samples(corpus, 3)
    with pytest.raises(InputError, match="no document"):
        Contiguous().samples(lab.numbered([1], [1]), 8)
    for number in (-1, 2):
        with pytest.raises(IndexError, match="2 samples"):
            Contiguous().arrange(corpus, number, lab.context(corpus, 8))

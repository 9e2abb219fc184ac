"""Documents end to end: nothing is lost or doubled, ends are marked, a language model learns to write them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.core.marks import END, SPECIAL
from pretune.objectives.add import add
from pretune.objectives.arrangements import MIN_TOKENS
from pretune.objectives.causal_lm import causal_lm
from pretune.objectives.mlm import mlm
from pretune.objectives.token_masking import token_masking
from pretune.objectives.token_stream import token_stream


@given(st.lists(st.lists(st.integers(1, 7), max_size=4), min_size=1, max_size=9), st.integers(2, 12))
def test_nothing_is_lost_or_doubled(documents, room):
    """The samples one after another are the documents, each with its end, but for a last token that is alone."""
    from tests.objectives.conftest import SEP, context, numbered

    corpus = numbered(*documents) if any(documents) else None
    if corpus is None:
        return
    expected, place = [], 5
    for document in documents:
        if document:
            expected += [*range(place, place + sum(document)), SEP]
            place += sum(document)
    expected = expected if len(expected) % room >= MIN_TOKENS else expected[: len(expected) // room * room]
    number = token_stream().samples(corpus, room + 2) if expected else 0
    spans = [token_stream().arrange(corpus, n, context(corpus, room + 2)).spans[0] for n in range(number)]
    assert [token for span in spans for token in span.ids_P.tolist()] == expected
    assert all(len(span) == room for span in spans[:-1])
    for span in spans:
        is_end = span.ids_P == SEP
        assert np.array_equal(span.marks_P == (SPECIAL | END), is_end) and len(span.marks_P) == len(span)


def test_marks_of_the_text_stay(lab):
    corpus = lab.numbered([3, 2], [4], word_length=2)
    told = lab.context(corpus, 14)
    (span,) = token_stream().arrange(corpus, 0, told).spans
    assert np.delete(span.marks_P, [5, 10]).tolist() == corpus.marks_T.tolist()


def test_a_language_model_learns_to_end(lab):
    """The end is predicted from the last token of its document; [CLS] and [SEP] around a sample are not."""
    corpus = lab.numbered([3], [4])
    one = lab.example(add(token_stream(), causal_lm()), corpus, 0, max_length=12)
    assert one.source.ids_T.tolist() == [1, 5, 6, 7, 2, 8, 9, 10, 11, 2, 2]
    assert one.predict["lm"].gold_M.tolist() == [5, 6, 7, 2, 8, 9, 10, 11, 2]
    assert one.predict["lm"].at_MK.ravel().tolist() == list(range(9))
    for seed in range(20):
        masked = lab.example(add(token_stream(), mlm(0.9)), corpus, 0, max_length=12, seed=seed)
        assert masked.source.ids_T[[0, 4, 9, 10]].tolist() == [1, 2, 2, 2]
        written = lab.example(add(token_stream(), token_masking(0.9)), corpus, 0, 12, seed=seed, template=lab.TWO)
        assert written.source.ids_T[[0, 4, 9, 10]].tolist() == [1, 2, 2, 2]
        assert written.predict["lm"].gold_M.tolist() == [1, 5, 6, 7, 2, 8, 9, 10, 11, 2, 2]


def test_the_end_is_the_tokenizer_s_own_where_it_has_one(lab):
    corpus = lab.numbered([3], [4])
    object.__setattr__(corpus.vocab, "eos_id", 3)
    told = lab.context(corpus, 14)
    assert token_stream().arrange(corpus, 0, told).spans[0].ids_P.tolist() == [5, 6, 7, 3, 8, 9, 10, 11, 3]
    for role in ("eos_id", "sep_id"):
        object.__setattr__(corpus.vocab, role, None)
    with pytest.raises(InputError, match="needs a tokenizer with an end of text"):
        token_stream().samples(corpus, 12)


def test_a_corpus_without_text(lab):
    corpus = lab.numbered([3])
    corpus.num_tokens, corpus.num_documents = 0, 0
    corpus.document_starts = np.zeros(1, np.int64)
    with pytest.raises(InputError, match="nothing to learn from"):
        token_stream().samples(corpus, 12)

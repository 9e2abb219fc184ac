"""Span F1 against seqeval on random tag sequences, malformed ones included."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.metrics.spans import span_counts, span_f1, span_scores, span_scores_by_type, spans

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from seqeval import metrics as reference
    from seqeval.metrics.sequence_labeling import get_entities

BIO = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-A-B", "I-A-B", "B", "I"]
IOBES = [*BIO, "E-PER", "S-PER", "E-LOC", "S"]


def sentences(tags: list[str]) -> st.SearchStrategy[list[list[tuple[str, str]]]]:
    pair = st.tuples(st.sampled_from(tags), st.sampled_from(tags))
    return st.lists(st.lists(pair, min_size=0, max_size=12), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.one_of(sentences(BIO), sentences(IOBES)))
@pytest.mark.filterwarnings("ignore")
def test_equals_seqeval(pairs: list[list[tuple[str, str]]]) -> None:
    gold = [[a for a, _ in sentence] for sentence in pairs]
    predicted = [[b for _, b in sentence] for sentence in pairs]
    for tags in gold:
        assert spans(tags) == [(kind, start, end + 1) for kind, start, end in get_entities(tags)]
    ours = span_scores(gold, predicted)
    assert ours.f1 == pytest.approx(reference.f1_score(gold, predicted))
    assert ours.precision == pytest.approx(reference.precision_score(gold, predicted))
    assert ours.recall == pytest.approx(reference.recall_score(gold, predicted))
    assert span_counts(gold, predicted).sum(0)[2] == ours.support
    by_type = span_scores_by_type(gold, predicted)
    if by_type:
        theirs = reference.f1_score(gold, predicted, average=None)
        assert [scores.f1 for scores in by_type.values()] == pytest.approx(list(theirs))


def test_malformed_sequences_by_hand() -> None:
    assert spans(["I-PER", "I-PER"]) == [("PER", 0, 2)]
    assert spans(["B-PER", "I-LOC", "I-PER"]) == [("PER", 0, 1), ("LOC", 1, 2), ("PER", 2, 3)]
    assert spans(["B-PER", "B-PER", "O", "O"]) == [("PER", 0, 1), ("PER", 1, 2)]


def test_no_spans_at_all_scores_zero() -> None:
    assert span_f1([["O", "O"]], [["O", "O"]]) == 0.0


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="'NOUN' is not a span tag"):
        spans(["NOUN"])
    with pytest.raises(InputError, match="no sentences"):
        span_f1([], [])
    with pytest.raises(ValueError, match="2 gold sentences but 1"):
        span_f1([["O"], ["O"]], [["O"]])
    with pytest.raises(ValueError, match="sentence 0 has 2 gold tags but 1"):
        span_f1([["O", "O"]], [["O"]])

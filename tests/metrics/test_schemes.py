"""Tag schemes: strict spans and F1 against seqeval, conversions that keep spans, detection, what may follow what."""

import warnings
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretune.core.errors import InputError
from pretune.metrics.schemes import (
    LETTERS,
    detect,
    faults,
    follows,
    legal_transitions,
    marks_spans,
    rewritten,
    scheme_of_labels,
    strict_spans,
)
from pretune.metrics.spans import span_f1, span_scores, spans

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from seqeval import metrics as reference
    from seqeval.metrics.v1 import precision_recall_fscore_support
    from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Tokens

THEIRS = {"iob1": IOB1, "bio": IOB2, "bioes": IOBES, "bilou": BILOU}
SCHEMES = sorted(THEIRS)


def tags_of(scheme: str) -> st.SearchStrategy[list[str]]:
    """Any sequence of a scheme's tags, most of them malformed."""
    tags = [letter if letter == "O" else f"{letter}-{kind}" for letter in LETTERS[scheme] for kind in ("PER", "LOC")]
    return st.lists(st.sampled_from(tags), min_size=1, max_size=9)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_strict_spans_are_seqevals(scheme, data):
    tags = data.draw(tags_of(scheme))
    theirs = [(entity.tag, entity.start, entity.end) for entity in Tokens(tags, THEIRS[scheme]).entities]
    assert strict_spans(tags, scheme) == theirs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_f1_is_seqevals_in_both_modes(scheme, data):
    gold = data.draw(st.lists(tags_of(scheme), min_size=1, max_size=4))
    tag = st.sampled_from(sorted({tag for sentence in gold for tag in sentence}))
    predicted = [[data.draw(tag) for _ in sentence] for sentence in gold]
    strict = span_scores(gold, predicted, partial(strict_spans, scheme=scheme))
    theirs = precision_recall_fscore_support(gold, predicted, average="micro", scheme=THEIRS[scheme], zero_division=0)
    assert (strict.precision, strict.recall, strict.f1) == pytest.approx(theirs[:3])
    if scheme != "bilou":  # whose letters seqeval's default mode does not know
        assert span_f1(gold, predicted) == pytest.approx(reference.f1_score(gold, predicted))


@pytest.mark.parametrize("target", SCHEMES)
@pytest.mark.parametrize("source", SCHEMES)
@given(data=st.data())
def test_conversion_keeps_spans_and_breaks_no_scheme(source, target, data):
    tags = data.draw(tags_of(source))
    found = rewritten(tags, target)
    assert spans(found) == spans(tags)
    assert not faults(found, target)
    assert strict_spans(found, target) == spans(tags)
    assert rewritten(rewritten(found, source), target) == found


def test_conversion_by_hand():
    iob1 = ["I-PER", "I-PER", "B-PER", "I-LOC", "O", "I-LOC"]
    bio = ["B-PER", "I-PER", "B-PER", "B-LOC", "O", "B-LOC"]
    bioes = ["B-PER", "E-PER", "S-PER", "S-LOC", "O", "S-LOC"]
    bilou = ["B-PER", "L-PER", "U-PER", "U-LOC", "O", "U-LOC"]
    forms = {"iob1": iob1, "bio": bio, "bioes": bioes, "bilou": bilou}
    for scheme, tags in forms.items():
        for other in forms.values():
            assert rewritten(other, scheme) == tags
    assert rewritten(["B", "I", "O"], "bioes") == ["B", "E", "O"]  # no types
    assert rewritten(["O", "I-PER", "E-LOC"], "bio") == ["O", "B-PER", "B-LOC"]  # malformed: read as conlleval does


@pytest.mark.parametrize("scheme", SCHEMES)
@given(data=st.data())
def test_well_formed_tags_are_detected(scheme, data):
    tags = rewritten(data.draw(tags_of("bio").filter(spans)), scheme)
    letters = {tag[0] for tag in tags}
    assert detect([tags]) == scheme
    if scheme in ("bio", "iob1") and "B" in letters:
        assert scheme_of_labels(tags) == "bio"  # names alone cannot tell
    elif scheme == "iob1":
        assert scheme_of_labels(tags) == "iob1"


def test_detection_of_broken_files_goes_by_what_fewer_tags_break():
    right = [["B-X", "I-X", "O", "B-X"]] * 3
    assert detect([*right, ["O", "I-X"]]) == "bio"
    assert detect([["I-X", "I-X", "O", "I-X"], ["B-X", "O"]]) == "iob1"
    assert detect([["I-X", "O", "B-X"]]) == "bio"  # one break either way
    assert (
        detect([["O", "O"]]) == detect([["DET", "O"]]) == detect([["B", "I", "O"]]) == detect([["-", "B-"]]) == "plain"
    )
    with pytest.raises(InputError, match="BIOES and of BILOU side by side"):
        detect([["B-X", "E-X"], ["U-X"]])


def test_what_marks_spans():
    assert marks_spans(["B-X", "O"]) and marks_spans(["U-X"]) and not marks_spans(["I", "B", "O"])
    assert not marks_spans(["B-X", "NOUN"]) and not marks_spans([])


def test_faults_by_hand():
    assert faults(["I-X", "O", "I-X", "I-Y"], "bio") == [0, 2, 3]
    assert faults(["B-X", "B-X", "O", "B-Y"], "iob1") == [0, 3]
    assert faults(["B-X", "O", "E-X", "B-X"], "bioes") == [1, 2, 3]
    assert faults(["B-X", "L-X", "U-X", "O"], "bilou") == faults(["anything"], "plain") == faults([], "bio") == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_legal_transitions_are_those_of_well_formed_tags(scheme):
    labels = tuple(letter if letter == "O" else f"{letter}-{kind}" for letter in LETTERS[scheme] for kind in "XY")
    labels = tuple(dict.fromkeys(labels))
    legal = legal_transitions(labels, scheme)
    number = {label: n for n, label in enumerate(labels)} | {None: len(labels)}
    for before in [None, *labels]:
        for after in [*labels, None]:
            assert legal[number[before], number[after]] == follows(before, after, scheme)
            pair = [tag for tag in (before, after) if tag]
            if len(pair) == 2:  # a sentence of the two is as `rewritten` would have it, or its edges are wrong
                edges = follows(None, before, scheme) and follows(after, None, scheme)
                assert (rewritten(pair, scheme) == pair) == (legal[number[before], number[after]] and edges)


def test_what_is_refused():
    with pytest.raises(InputError, match="'E-X' is none of bio"):
        strict_spans(["E-X"], "bio")
    with pytest.raises(InputError, match="no legal bioes sequence of one word"):
        legal_transitions(["B-X", "E-X"], "bioes")
    with pytest.raises(InputError, match="'NOUN' is not a span tag"):
        rewritten(["NOUN"], "bio")

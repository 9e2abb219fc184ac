"""pack renumbers rows and groups; every other property of the examples survives it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.assemble import Template, assemble
from pretune.core.marks import SPECIAL, WORD_START
from pretune.core.pack import pack
from pretune.core.stream import Batch, Segments, Span, Targets, bidirectional

TEMPLATE = Template({"cls": 101, "sep": 102})


def span(*ids):
    return Span(np.array(ids, np.int32), np.full(len(ids), WORD_START, np.uint8))


def test_assemble_is_bert_by_hand():
    example = assemble(Segments([span(7, 8), span(9)], {"next_sentence": 1}), TEMPLATE, origin=4)
    assert example.source.ids_T.tolist() == [101, 7, 8, 102, 9, 102]
    assert example.source.segment_ids_T.tolist() == [0, 0, 0, 0, 1, 1]
    assert example.source.positions_T.tolist() == [0, 1, 2, 3, 4, 5]
    assert example.source.marks_T.tolist() == [SPECIAL, WORD_START, WORD_START, SPECIAL, WORD_START, SPECIAL]
    assert example.predict["next_sentence"].at_MK.tolist() == [[0]]
    assert example.predict["next_sentence"].gold_M.tolist() == [1]
    assert example.origin_E.tolist() == [4]
    assert TEMPLATE.num_special(2) == 3
    assert TEMPLATE.offset(1, [2, 1]) == 4


def test_three_spans_are_refused():
    with pytest.raises(ValueError, match="one span or two, not 3"):
        assemble(Segments([span(1), span(2), span(3)]), TEMPLATE)


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@given(lengths, st.data())
def test_targets_still_point_at_their_tokens(sizes, data):
    examples, wanted = [], []
    for number, size in enumerate(sizes):
        ids = np.arange(size) + 100 * (number + 1)
        rows = data.draw(st.lists(st.integers(0, size - 1), max_size=3, unique=True))
        at = np.array(sorted(rows), np.int64).reshape(-1, 1)
        wanted += ids[at[:, 0]].tolist()
        targets = Targets(at_MK=at, gold_M=ids[at[:, 0]], weight_M=np.ones(len(at), np.float32))
        examples.append(Batch(source=bidirectional(ids), predict={"lm": targets}))
    batch = pack(examples)
    assert batch.source.ids_T[batch.predict["lm"].at_MK[:, 0]].tolist() == wanted
    assert batch.predict["lm"].gold_M.tolist() == wanted
    assert batch.rows_R[batch.predict["lm"].slot_MK[:, 0]].tolist() == batch.predict["lm"].at_MK[:, 0].tolist()
    assert sorted(batch.source.lengths_N.tolist()) == batch.source.lengths_N.tolist() == sorted(sizes)
    starts = np.cumsum(batch.source.lengths_N) - batch.source.lengths_N
    for place, original in enumerate(batch.source.order_N):
        row = starts[place]
        assert batch.source.ids_T[row] == 100 * (original + 1)
        assert batch.source.positions_T[row] == 0


def test_groups_are_renumbered_and_gaps_do_not_appear():
    def example(groups):
        at = np.zeros((len(groups), 1), np.int64)
        targets = Targets(at, group_M=np.array(groups, np.int64))
        return Batch(source=bidirectional(np.arange(3)), predict={"token": targets})

    batch = pack([example([0, 0, 1]), example([]), example([0, 1, 1])])
    assert batch.predict["token"].group_M.tolist() == [0, 0, 1, 2, 3, 3]


def test_visibility_is_named():
    ids = np.arange(4)
    full = bidirectional(ids)
    causal = Batch(source=type(full)(ids, ids, ids * 0, ids, ids, full.lengths_N))
    assert pack([Batch(source=full), Batch(source=full)]).source.visibility == "full"
    assert pack([causal, causal]).source.visibility == "causal"
    assert pack([causal, Batch(source=full)]).source.visibility == "mixed"


def test_target_streams_are_sorted_like_their_sources():
    def pair(source_size, target_size, mark):
        at = Targets(at_MK=np.array([[target_size - 1]]), gold_M=np.array([mark]))
        return Batch(bidirectional(np.full(source_size, mark)), bidirectional(np.full(target_size, mark)), {"lm": at})

    batch = pack([pair(5, 2, 1), pair(1, 3, 2), pair(3, 1, 3)])
    per_sequence = [stream.ids_T[np.cumsum(stream.lengths_N) - 1].tolist() for stream in (batch.source, batch.target)]
    assert per_sequence[0] == per_sequence[1]
    assert batch.target.ids_T[batch.predict["lm"].at_MK[:, 0]].tolist() == [1, 2, 3]


def test_mixtures_that_cannot_be_packed_are_refused():
    stream = bidirectional(np.arange(2))
    with pytest.raises(ValueError, match="at least one"):
        pack([])
    with pytest.raises(ValueError, match="target stream"):
        pack([Batch(stream), Batch(stream, stream)])
    gold = Batch(stream, predict={"x": Targets(np.zeros((1, 1), np.int64), gold_M=np.zeros(1, np.int64))})
    none = Batch(stream, predict={"x": Targets(np.zeros((1, 1), np.int64))})
    with pytest.raises(ValueError, match="1 of 2 examples have no gold_M"):
        pack([gold, none])


def test_to_gives_tensors_and_bounds():
    batch = pack([Batch(bidirectional(np.arange(3))), Batch(bidirectional(np.arange(2)))]).to("cpu")
    assert batch.source.cu_seqlens.tolist() == [0, 2, 5]
    assert batch.source.ids_T.tolist() == [0, 1, 0, 1, 2]

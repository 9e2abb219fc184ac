from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pretune.nn import layout, masks
from pretune.nn.layout import MAX_PADDING, cut, layout_of, read_rows
from pretune.nn.transformer import Transformer


@given(st.lists(st.integers(1, 300), min_size=1, max_size=80).map(sorted))
def test_groups_cover_all_sequences_and_pad_little(lengths):
    lengths_N = np.array(lengths)
    borders = cut([lengths_N])
    assert borders[0] == 0 and borders[-1] == len(lengths) and all(a < b for a, b in pairwise(borders))
    for first, last in pairwise(borders):
        group = lengths_N[first:last]
        assert len(group) * group.max() - group.sum() <= MAX_PADDING


def test_close_lengths_share_a_group():
    assert cut([np.array([10, 11, 12, 13, 14, 15])]) == [0, 6]


def test_many_sequences_of_one_length_stand_alone():
    assert cut([np.array([60, 63] + [64] * 30 + [65, 66])]) == [0, 2, 32, 34]


def test_layout_and_masks_are_computed_once_a_stream(nn_tools, monkeypatch):
    calls = []
    for module, name in ((layout, "_layout"), (masks, "_visible")):
        plain = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, plain=plain, name=name: calls.append(name) or plain(*a))
    batch = nn_tools.batch([3, 5, 70], "prefix")
    body = Transformer(nn_tools.config())
    body(batch, rows=batch.rows_R)
    groups = len(layout_of(batch.source, batch.source).keys)
    assert calls.count("_layout") == 2  # all rows, read rows
    assert calls.count("_visible") == 2 * groups
    body(batch, rows=batch.rows_R)
    assert len(calls) == 2 + 2 * groups


@pytest.mark.parametrize("rows", [[2, 1], [1, 1], [-1, 2], [3, 12]])
def test_rows_must_be_sorted_unique_and_there(nn_tools, rows):
    with pytest.raises(ValueError, match="sorted, unique and within the 12 rows"):
        read_rows(nn_tools.batch([4, 8]).source, torch.tensor(rows))


def test_read_rows_counts_rows_of_each_sequence(nn_tools):
    read = read_rows(nn_tools.batch([4, 8, 9]).source, torch.tensor([1, 3, 12, 20]))
    assert read.lengths_N.tolist() == [2, 0, 2]
    assert read.positions_T.tolist() == [1, 3, 0, 8]

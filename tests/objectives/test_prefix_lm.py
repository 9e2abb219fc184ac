"""Prefixes: where texts are cut, who sees what, what is predicted, on one stream and on two."""

import numpy as np
import pytest

from pretune.core.assemble import Template, assemble
from pretune.core.pack import pack
from pretune.core.stream import Segments, Span
from pretune.objectives.prefix_lm import prefix_lm

BARE = Template({}, single=(0,), pair=(0, 1), segments_single=(0,), segments_pair=(0, 0), summary=-1)


def cut(lab, ids, seed=0, template=None):
    template = template or lab.TEMPLATE
    told = lab.context(lab.numbered([80]), 64, seed, template=template)
    text = Span(np.array(ids, np.int32), np.ones(len(ids), np.uint8))
    return prefix_lm().corrupt(assemble(Segments([text]), template), told)


@pytest.mark.parametrize("on", ["one", "two"])
def test_cuts(lab, on):
    """From one token to all but one are predicted, each number as often; both streams cut alike."""
    sizes = []
    for seed in range(600):
        one = cut(lab, range(10, 20), seed, lab.TWO if on == "two" else lab.TEMPLATE)
        gold = one.predict["lm"].gold_M
        if on == "two":
            assert gold[[0, -1]].tolist() == [1, 2] and one.target.ids_T.tolist() == [2, *gold[:-1]]
            gold = gold[1:-1]
            assert one.source.ids_T.tolist() == [1, *range(10, 20 - len(gold)), 2]
        assert gold.tolist() == list(range(20 - len(gold), 20))
        sizes.append(len(gold))
    counts = np.bincount(sizes, minlength=11)
    assert counts[0] == counts[10] == 0 and counts[1:10].min() > 40


def test_who_sees_what(lab):
    """[CLS] and the prefix see each other; a later row what stands before it; [SEP] is neither seen early nor asked."""
    for seed in range(20):
        one = cut(lab, [10, 11, lab.UNK, 13, 14, 15], seed)
        source, targets = one.source, one.predict["lm"]
        first = int(np.flatnonzero(source.shown_at_T)[0])  # of those that are shown later
        assert source.shown_at_T.tolist() == [0] * first + list(range(first, 8))
        assert source.sees_up_to_T.tolist() == source.shown_at_T.tolist()
        expected = [row for row in range(first, 7) if source.ids_T[row] != lab.UNK]
        assert (targets.at_MK.ravel() + 1).tolist() == expected
        assert targets.gold_M.tolist() == source.ids_T[expected].tolist()
        assert pack([one]).source.visibility == ("causal" if first == 1 else "mixed")


def test_short_texts_and_no_template(lab):
    """One token: nothing is seen before it, so that it is predicted from [CLS], or not at all where there is none."""
    assert cut(lab, [10]).predict["lm"].gold_M.tolist() == [10]
    assert len(cut(lab, [10], template=BARE).predict["lm"]) == 0
    for seed in range(10):
        two = cut(lab, [10, 11], seed, BARE)
        assert two.source.sees_up_to_T.tolist() == [0, 1] and two.predict["lm"].gold_M.tolist() == [11]
    both = cut(lab, [10], template=lab.TWO)
    assert both.source.ids_T.tolist() == [1, 2] and both.predict["lm"].gold_M.tolist() == [1, 10, 2]

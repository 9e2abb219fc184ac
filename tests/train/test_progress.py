"""Progress: plain lines elsewhere, a bar on a terminal, and how a continued run begins."""

import io
import re

import pytest
from train_toys import ToyCriterion, ToyModel, toy_feed, toy_settings

from pretune.train.loop import fit
from pretune.train.progress import ShowProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, out=None, **arguments):
    course = toy_settings(steps=4)
    fit(ToyModel(), ToyCriterion(), toy_feed(course), course, [ShowProgress("toy", stream, **arguments)], out=out)
    return stream.getvalue()


def test_plain_lines():
    lines = shown(io.StringIO(), every_seconds=0.0).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("toy:  25% step 1/4, loss ") and lines[-1].startswith("toy: 100% step 4/4, loss ")
    assert len(shown(io.StringIO()).splitlines()) == 1  # the last step is always shown


def test_several_losses_are_shown_each():
    first = shown(io.StringIO(), every_seconds=0.0).splitlines()[0]
    parts = re.search(r"loss ([\d.]+) \(token ([\d.]+), whole ([\d.]+)\)", first)
    assert float(parts[1]) == pytest.approx(float(parts[2]) + float(parts[3]), abs=2e-4)


def test_a_bar_on_a_terminal():
    text = shown(Terminal())
    assert "step 4/4" in text and "\x1b[" in text


def test_says_that_a_run_was_complete(tmp_path):
    shown(io.StringIO(), tmp_path)
    assert shown(io.StringIO(), tmp_path) == "toy: complete at step 4\n"

"""Tags that a small training sample lacks: scored as wrong and told, refused only where no tag at all is known."""

import pytest

from pretune.core.errors import InputError
from pretune.tasks.tag import tag
from pretune.text.records import Record

TRAIN = [Record({"words": ["she", "sings"], "tags": ["PRON", "VERB"]}, "train.conll", 1)]
TEST = [Record({"words": ["she", "sings", "&"], "tags": ["PRON", "VERB", "SYM"]}, "test.conll", 1)]


def test_unseen_tags_count_as_wrong_and_are_told():
    task = tag().fit_labels(TRAIN)
    task.check(TEST)
    assert task.remarks(TRAIN) == ()
    assert task.remarks(TEST) == ("1 words have tags never seen in training, which count as wrong: SYM (1).",)
    guesses = [[{"entity": "PRON"}, {"entity": "VERB"}, {"entity": "VERB"}]]
    assert task.score(guesses, TEST)["accuracy"] == pytest.approx(2 / 3)


def test_a_file_of_other_tags_is_refused():
    other = [Record({"words": ["she"], "tags": ["pronoun"]}, "test.conll", 1)]
    with pytest.raises(InputError, match="never seen in training: 'pronoun'"):
        tag().fit_labels(TRAIN).check(other)

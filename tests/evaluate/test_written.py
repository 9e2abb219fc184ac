"""What is said of written texts beside training."""

from pretune.evaluate.written import about_written
from pretune.tasks.task import open_task
from pretune.text.records import Record

TRAIN = [Record({"source": "der hund lief heute weit weg", "target": "the dog ran far away today"})]
RECORDS = [
    Record({"source": "ein hund", "target": "a dog that nobody knew ran off"}, "test.tsv", 2),
    Record({"source": "der hund", "target": "the dog ran far away here"}, "test.tsv", 3),
]


def test_novelty_of_written_texts_and_of_references():
    said = [{"target": "the dog ran far away home"}, {"target": "The dog ran far away today"}]
    found = about_written(open_task("translate"), said, RECORDS, TRAIN)
    # 3 4-grams each, of which "ran far away home" is new; of the references' 4 and 3, the 4 are, and the last
    assert found.figures["novelty"] == 1 / 6 and found.figures["novelty_of_references"] == 5 / 7
    assert (found.figures["copies"], found.figures["copies_among_references"]) == (1, 0)
    assert [one["record"] for one in found.figures["nearest"]] == [1, 0]
    assert found.figures["nearest"][1]["run"] == "the dog ran far away"
    examples, nearest = found.sections
    assert examples.rows[0] == ("ein hund", RECORDS[0]["target"], said[0]["target"], "test.tsv:2")
    assert nearest.rows[0][0] == 6 and nearest.rows[0][-1] == "test.tsv:3"
    assert "16.7% of the written 4-grams" in found.sentences[0] and "1 of 2 texts" in found.sentences[0]


def test_a_source_that_training_showed_counts_as_seen():
    said = [{"target": "der hund lief heute"}, {"target": "x"}]
    assert about_written(open_task("translate"), said, RECORDS, TRAIN).figures["novelty"] == 0.0


def test_nothing_is_said_of_labels_of_unknown_training_and_of_other_tasks():
    said = [{"target": "a"}, {"target": "b"}]
    bound = open_task("text-to-text", {"labels": ("a", "b")})
    for task, train in ((bound, TRAIN), (open_task("translate"), [])):
        found = about_written(task, said, RECORDS, train)
        assert not found.figures and not found.sentences and len(found.sections) == 1
    assert about_written(open_task("classify", {"labels": ["a"]}), [], [], TRAIN).sections == ()


def test_texts_without_a_4_gram_have_no_novelty():
    found = about_written(open_task("translate"), [{"target": "a"}, {"target": "b"}], RECORDS, TRAIN)
    assert found.figures["novelty"] is None and "none of the written" in found.sentences[0]

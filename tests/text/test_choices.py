"""Multiple choice from each published layout, with the pairs typed by hand; what is wrong names its line."""

import json

import pytest

from pretune.core.errors import InputError
from pretune.text.choices import choices_of, layout_of
from pretune.text.records import Record, read_records

COPA = {"premise": "The man broke his toe.", "choice1": "He got a hole in his sock.", "choice2": "He dropped a hammer."}
ARC = {
    "id": "Mercury_1",
    "question": {"stem": "What is hot?", "choices": [{"text": "Ice", "label": "A"}, {"text": "Fire", "label": "B"}]},
    "answerKey": "B",
}
ARTICLE = {
    "id": "high1.txt",
    "article": "A cat sat.",
    "questions": ["Who sat?", "It _ there ."],
    "options": [["dog", "cat"], ["sat", "ran"]],
    "answers": ["B", "A"],
}


def write_jsonl(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_swag_as_its_csv(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(
        ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
        '0,a,1,"x","Members walk, slowly.","A band",gold,"plays.","sings.","falls.","stops.",3\n'
    )
    found = choices_of(read_records(path)[0])
    assert found.text == "Members walk, slowly."
    assert found.seconds == ("A band plays.", "A band sings.", "A band falls.", "A band stops.")
    assert (found.layout, found.texts[3], found.label) == ("swag", "stops.", 3)


@pytest.mark.parametrize(("question", "words"), [("cause", "cause of this?"), ("effect", "happened as a result?")])
def test_copa_as_superglue_has_it(question, words):
    found = choices_of(Record(COPA | {"question": question, "label": 1, "idx": 0}))
    assert found.text.startswith("The man broke his toe. What ") and found.text.endswith(words)
    assert found.seconds == found.texts == (COPA["choice1"], COPA["choice2"]) and found.label == 1
    plain = Record({"text": COPA["premise"], "question": question, "choices": list(found.texts), "label": 1})
    assert choices_of(plain) == found


def test_arc_with_letters_and_digits_and_as_the_hub_has_it():
    found = choices_of(Record(ARC))
    assert (found.layout, found.text, found.seconds, found.label) == ("arc", "What is hot?", ("Ice", "Fire"), 1)
    digits = [{"text": "Ice", "label": "1"}, {"text": "Fire", "label": "2"}, {"text": "Snow", "label": "3"}]
    with_digits = {"question": {"stem": "What is hot?", "choices": digits}, "answerKey": "2"}
    assert choices_of(Record(with_digits)).label == 1
    hub = {"question": "What is hot?", "choices": {"text": ["Ice", "Fire"], "label": ["A", "B"]}, "answerKey": "B"}
    assert choices_of(Record(hub)) == found
    assert choices_of(Record(hub | {"answerKey": ""})).label is None


def test_race_as_a_folder_of_articles_and_a_line_each(tmp_path):
    (tmp_path / "RACE" / "high").mkdir(parents=True)
    (tmp_path / "RACE" / "high" / "1.txt").write_text(json.dumps(ARTICLE))
    (tmp_path / "RACE" / "high" / "2.txt").write_text(json.dumps(ARTICLE | {"article": "Two."}))
    records = read_records(tmp_path / "RACE")
    assert [record.line for record in records] == [1, 2, 1, 2] and records[0].path.endswith("high/1.txt")
    first, second = map(choices_of, records[:2])
    assert (first.text, first.seconds, first.label) == ("A cat sat.", ("Who sat? dog", "Who sat? cat"), 1)
    assert (second.seconds, second.texts, second.label) == (("It sat there .", "It ran there ."), ("sat", "ran"), 0)
    lines = read_records(write_jsonl(tmp_path / "race.jsonl", ARTICLE))
    assert list(map(choices_of, lines)) == [first, second] and [record.line for record in lines] == [1, 1]
    (tmp_path / "RACE" / "high" / "2.txt").write_text(json.dumps(ARTICLE | {"options": [["a", "b"]]}))
    with pytest.raises(InputError, match=r"2.txt:1: wrong type \(options: there is not one for each question"):
        read_records(tmp_path / "RACE")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without .txt files"):
        read_records(tmp_path / "empty")


def test_a_question_in_words_goes_before_each_choice():
    record = Record({"text": "It rained.", "question": "Who is wet?", "choices": ["he", "she"], "label": 0})
    assert choices_of(record).seconds == ("Who is wet? he", "Who is wet? she")


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"text": "a", "label": 0}, "no 'choices'; the record has 'text', 'label'"),
        (COPA | {"choices": ["a", "b"], "question": "cause"}, "the columns of plain and of copa at once"),
        ({"text": "a", "choices": ["b"], "label": 0}, "1 choices: there is nothing to choose"),
        ({"text": "a", "choices": "b", "label": 0}, "'choices' is str, not a list"),
        ({"text": "a", "choices": ["b", 3], "label": 0}, "choice 1 is 3, not text"),
        ({"text": "a", "choices": ["b", " "], "label": 0}, "choice 1 is ' ', not text"),
        ({"text": "a", "choices": ["b", "c"], "label": 2}, "label 2 is no index of 2 choices: give 0 to 1"),
        ({"text": "a", "choices": ["b", "c"], "label": True}, "label True is no index"),
        ({"text": "a", "choices": ["b", "c"], "label": "B"}, "label 'B' is no index"),
        ({"choices": ["b", "c"], "label": 0}, "no 'text'"),
        (COPA | {"question": "why", "label": 0}, "COPA asks for the cause or the effect"),
        ({"sent1": "a", "sent2": "b", "ending0": "c", "ending2": "d"}, "endings are ending0, ending2"),
        ({"article": "a", "question": "b", "options": ["c", "d"], "answer": "E"}, "answer 'E' is not one of"),
        (ARC | {"answerKey": "C"}, "answerKey 'C' is not one of the choices A, B"),
        ({"question": {"stem": "a", "choices": ["b", "c"]}, "answerKey": "A"}, "no list of text and label"),
    ],
)
def test_what_is_wrong_names_its_line(row, what):
    with pytest.raises(InputError, match=r"dev.jsonl:7: .*") as error:
        choices_of(Record(row, "dev.jsonl", 7))
    assert what in str(error.value)


def test_layouts_are_told_by_their_columns():
    rows = {"copa": COPA | {"question": "cause"}, "arc": ARC, "plain": {"text": "a", "choices": ["b", "c"]}}
    assert {layout_of(Record(row)) for row in rows.values()} == set(rows)


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "choices": ["b", "c"], "label": -1},
        {"article": "a", "question": "q", "options": ["b", "c"], "answer": "Z"},
        ARC | {"answerKey": "Z"},
    ],
)
def test_labels_are_not_looked_at_where_nobody_needs_them(row):
    record = Record(row, "test.jsonl", 2)
    with pytest.raises(InputError, match="test.jsonl:2"):
        choices_of(record)
    found = choices_of(record, labelled=False)
    assert found.label is None and len(found.texts) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "choices": ["b", "c"], "question": ["cause"]}, "'question' is list, not text"),
        (COPA | {"question": ["cause"]}, "COPA asks for the cause or the effect"),
        ({"choices": {"text": ["b", "c"], "label": ["A", "B"]}}, "the question's stem is None"),
    ],
)
def test_a_question_of_another_type_names_its_line(row, message):
    with pytest.raises(InputError, match=f"test.jsonl:2: .*{message}"):
        choices_of(Record(row, "test.jsonl", 2))


def test_a_name_with_an_underscore_is_no_blank():
    def seconds(question):
        return choices_of(Record({"text": "a", "question": question, "choices": ["b", "c"]})).seconds

    assert seconds("What does my_var do?") == ("What does my_var do? b", "What does my_var do? c")
    assert seconds("Is __init__ or ___ ?") == ("Is __init__ or b ?", "Is __init__ or c ?")
    race = Record({"article": "a", "question": "It_ there", "options": ["b", "c"], "answer": "A"})
    assert choices_of(race).seconds == ("Itb there", "Itc there")

"""What a check of labelled files finds, each case made by hand, and what it leaves alone."""

from hypothesis import given
from hypothesis import strategies as st

from pretune.tasks.task import open_task
from pretune.text.check import MIN_JUDGED, Part, check_parts
from pretune.text.contents import contents_of
from pretune.text.overlap import fingerprints, leaks, near_form, repeats, same_form
from pretune.text.records import Record
from pretune.text.suspects import suspicion

LABELS = ("good", "bad")


def rows(texts, labels=LABELS, path="train.csv"):
    """Records with the labels in turn, from line 2 of a file."""
    return [
        Record({"text": text, "label": labels[number % len(labels)]}, path, number + 2)
        for number, text in enumerate(texts)
    ]


def texts(number, start=0):
    return [f"this is the text of row {row} here" for row in range(start, start + number)]


def found_in(**parts):
    checked = check_parts([Part(role, role, records) for role, records in parts.items()], contents_of)
    return {(one.part, one.kind): one for one in checked.findings}


def test_clean_files_have_no_finding():
    assert found_in(train=rows(texts(60)), valid=rows(texts(60, 60)), test=rows(texts(60, 120))) == {}


def test_the_same_text_with_another_label_is_label_noise():
    records = rows(["one fine day", "a sad story", *texts(20), "one  fine day ", "a sad story"])
    records[-2]["label"] = "bad"  # contradicts line 2; the last row agrees with line 3
    found = found_in(train=records)
    noise = found["train", "label noise"]
    assert (noise.severity, noise.count, noise.places) == ("warning", 1, ("train.csv:24 and train.csv:2",))
    assert found["train", "duplicates"].count == 2


def test_other_case_and_punctuation_are_near_duplicates_and_no_label_noise():
    found = found_in(train=rows(["One fine day!", "x y z", "one fine DAY", *texts(20)], labels=("good", "bad", "bad")))
    assert found["train", "near duplicates"].count == 1
    assert ("train", "label noise") not in found and ("train", "duplicates") not in found


def leaked(number, total, role="test"):
    """So many of the rows of a test file are rows of the training file."""
    test = rows([*texts(number), *texts(total - number, 1000)], path="test.csv")
    return found_in(train=rows(texts(200)), **{role: test})


def test_a_tenth_of_leaked_rows_is_an_error_and_fewer_are_a_warning():
    error, warning = (leaked(number, 100)["test", "leakage"] for number in (10, 9))
    assert (error.severity, error.count, error.places[0]) == ("error", 10, "test.csv:2 and train.csv:2")
    assert (warning.severity, warning.count) == ("warning", 9)
    assert "9 of 100 (9 %) rows are in the training data (9 exactly" in warning.what


def test_a_few_rows_are_only_warned_of():
    assert leaked(MIN_JUDGED - 1, MIN_JUDGED - 1)["test", "leakage"].severity == "warning"
    assert leaked(MIN_JUDGED, MIN_JUDGED)["test", "leakage"].severity == "error"


def test_the_judged_file_is_the_test_file_else_the_validation_file():
    assert leaked(60, 100, "valid")["valid", "leakage"].severity == "error"
    found = found_in(train=rows(texts(200)), valid=rows(texts(100)), test=rows(texts(100, 1000)))
    assert found["valid", "leakage"].severity == "warning" and ("test", "leakage") not in found


def test_leaked_rows_are_found_whatever_their_case_and_counted_where_labels_differ():
    found = found_in(train=rows(texts(100)), test=rows([text.upper() + "!" for text in texts(99, 1)]))
    assert "(0 exactly" in found["test", "leakage"].what and "99 with another label" in found["test", "leakage"].what


def test_rows_of_validation_and_test_file_both():
    found = found_in(train=rows(texts(60)), valid=rows(texts(60, 100)), test=rows(texts(60, 100)))
    assert found["test", "in two files"].severity == "warning"


def test_labels_that_differ_by_blanks_or_case_are_an_error():
    records = rows(texts(40))
    records[5]["label"], records[7]["label"], records[8]["label"] = "Bad", "bad ", "Good"
    records[5]["text"] = "x"
    checked = check_parts([Part("train", "train", records)], contents_of)
    variants = [one for one in checked.findings if one.kind == "label variants"]
    assert [one.severity for one in variants] == ["error", "error"]
    assert sorted(one.count for one in variants) == [1, 2]
    assert {place for one in variants for place in one.places} == {
        *("train.csv:7: 'Bad'", "train.csv:9: 'bad '", "train.csv:10: 'Good'")
    }


def test_variants_are_found_across_files_and_blanks_alone_are_a_warning():
    found = found_in(train=rows(texts(60)), test=rows(texts(60, 100), ("Good", "bad")))
    assert found["test", "label variants"].severity == "error"
    assert found_in(train=rows(texts(60), ("good ", "bad")))["train", "label blanks"].severity == "warning"


def test_labels_of_two_kinds_name_the_lines_of_the_rarer_one():
    records = rows(texts(30))
    records[4]["label"], records[9]["label"] = 1, "2"
    mixed = found_in(train=records)["train", "mixed label types"]
    assert (mixed.severity, mixed.count) == ("error", 2)
    assert mixed.places == ("train.csv:6: 1", "train.csv:11: '2'")


def test_missing_texts_and_labels_are_errors_and_empty_texts_a_warning():
    records = rows(texts(30))
    records[0]["text"] = None
    records[1]["text"] = "  "
    records[2]["label"] = ""
    del records[3]["label"]
    found = found_in(train=records)
    assert (found["train", "missing text"].severity, found["train", "missing text"].places) == (
        "error",
        ("train.csv:2",),
    )
    assert found["train", "empty text"].severity == "warning"
    assert found["train", "missing label"].count == 2


def test_labels_of_a_held_out_file():
    found = found_in(train=rows(texts(30), ("a", "b", "c")), test=rows(texts(30, 50), ("a", "b", "d")))
    assert (found["test", "unseen labels"].severity, found["test", "unseen labels"].count) == ("error", 10)
    assert found["test", "labels not tested"].severity == "remark"


def test_rare_and_common_labels():
    found = found_in(train=rows(texts(50), ("a",) * 47 + ("b",) * 3))
    assert found["train", "imbalance"].severity == "warning" and found["train", "rare labels"].severity == "remark"
    assert found_in(train=rows(texts(50), ("a",)))["train", "one label"].severity == "error"


def test_tags_are_labels_of_words_and_no_majority_is_held_against_them():
    records = [Record({"words": ["Anna", f"ran{n}"], "tags": ["B-PER", "O"]}, "t.conll", n) for n in range(30)]
    assert found_in(train=records) == {}
    test = [Record({"words": ["Bob", "sat"], "tags": ["B-LOC", "O"]}, "e.conll", 1)]
    assert found_in(train=records, test=test)["test", "unseen labels"].severity == "warning"


def test_values_are_not_counted_as_classes():
    records = rows(texts(50), [str(number / 7) for number in range(50)])
    assert found_in(train=records) == {}
    records[-1]["text"] = records[0]["text"]
    assert found_in(train=records)["train", "label noise"].severity == "remark"


def test_positions_of_choices_are_counted_and_no_names_of_classes():
    records = [
        Record({"text": text, "choices": ["a", "b"], "label": n % 2}, "c.jsonl", n) for n, text in enumerate(texts(30))
    ]
    test = [Record({"text": "x", "choices": ["a", "b", "c"], "label": 2}, "d.jsonl", 1)]
    task = open_task("choose")
    checked = check_parts([Part("train", "train", records), Part("test", "test", test)], task.contents)
    assert checked.findings == []
    assert checked.files[0].as_json()["labels"] == {"0": 15, "1": 15}


def test_one_word_among_sentences_and_a_text_many_times_longer():
    records = rows([*texts(198), "stub", "very long " * 200])
    found = found_in(train=records)
    assert found["train", "one word"].places == ("train.csv:200: stub",)
    assert found["train", "very long"].count == 1
    assert found_in(train=rows([f"w{n}" for n in range(200)])) == {}, "all of one word: that is what the data are like"


def test_damaged_characters():
    assert suspicion("Stallone â€™s") == "mojibake 'â€™', which should be '’'"
    assert suspicion("SÃ£o") == "mojibake 'Ã£', which should be 'ã'"
    for fine in ("São Paulo, l'été à « Paris »", "ÄÖÜ straße", "Ñandú «ñ»", "tab\tand\nline", "東京", "Â"):
        assert suspicion(fine) is None, fine


words = st.lists(st.sampled_from(["a", "A", "b!", " b ", "ab", "—", "é", "É"]), max_size=3).map(" ".join)


@given(st.lists(st.tuples(words, st.sampled_from("xy")), max_size=12), st.lists(words, max_size=6))
def test_overlaps_are_those_of_comparing_every_pair(pairs, others):
    records = [Record({"text": text, "label": label}) for text, label in pairs]
    found = repeats(fingerprints(records))
    same = [same_form(text) for text, _ in pairs]
    near = [near_form(text) for text, _ in pairs]
    assert [row for _, row in found.exact] == [row for row in range(len(same)) if same[row] in same[:row]]
    only_near = [row for row in range(len(near)) if near[row] in near[:row] and same[row] not in same[:row]]
    assert [row for _, row in found.near] == only_near
    noisy = [
        row for row in range(len(same)) if same[row] in same[:row] and pairs[row][1] != pairs[same.index(same[row])][1]
    ]
    assert [row for _, row in found.noisy] == noisy
    here = [Record({"text": text, "label": "x"}) for text in others]
    shared = leaks(fingerprints(here), fingerprints(records))
    assert [row for _, row in shared.pairs] == [row for row, text in enumerate(others) if near_form(text) in near]
    assert shared.exact == sum(same_form(text) in same for text in others)

"""classify and pair: labels keep their names, what is unknown or mixed is refused, decoding by hand."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from pretune.core.config import parse_assignments
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.stream import Targets
from pretune.tasks.classify import classify
from pretune.tasks.pair import pair
from pretune.tasks.run import evaluate_task
from pretune.tasks.source import TaskSource
from pretune.tasks.task import open_task
from pretune.tasks.texts import cut_lengths, one_a_group
from pretune.text.records import Record, read_records


def labelled(labels):
    return [Record({"text": "a", "label": label}, "train.csv", line) for line, label in enumerate(labels, 2)]


def test_labels_keep_their_names_and_have_an_order():
    assert classify().fit_labels(labelled(["b", "a", "B", "a"])).labels == ("B", "a", "b")
    assert classify().fit_labels(labelled([10, 9, 1])).labels == ("1", "9", "10")
    assert classify().fit_labels(labelled(["10", "9", "1"])).labels == ("1", "9", "10")
    assert classify().fit_labels(labelled([True, False])).labels == ("false", "true")
    bound = classify(labels=("b", "a"))  # a model's own order stays
    assert bound.fit_labels(labelled(["a", "b"])) == bound


def test_mixed_and_single_labels_are_refused():
    with pytest.raises(InputError, match="train.csv:4: mixed label types: 1 is a whole number"):
        classify().fit_labels(labelled(["a", "b", 1, "a"]))
    with pytest.raises(InputError, match="train.csv:3: mixed"):
        classify().fit_labels(labelled(["a", True, "b"]))
    with pytest.raises(InputError, match="all 2 records have the same label"):
        classify().fit_labels(labelled(["a", "a"]))
    with pytest.raises(InputError, match="train.csv:3: the label is missing"):
        classify().fit_labels(labelled(["a", "", "b"]))
    with pytest.raises(InputError, match="train.csv:2: .*0.5.*regress"):
        classify().fit_labels(labelled([0.5, 0.25]))


@pytest.mark.parametrize("use", ["check", "source", "evaluate"])
def test_labels_never_seen_are_listed_with_their_number_and_place(use, tiny, tokenizer, template):
    task, records = classify(labels=("a", "b")), labelled(["a", "x", "y", "x"])
    with pytest.raises(InputError) as error:
        if use == "check":
            task.check(records)
        elif use == "source":
            TaskSource(task, records, tokenizer, template, 8)
        else:
            evaluate_task(tiny.model(task), task, records, tokenizer, template, 8)
    assert "2 labels were never seen in training: 'x' (2 times, first at train.csv:3); 'y' (1 times" in str(error.value)
    assert "Known labels: a, b" in str(error.value)
    with pytest.raises(InputError, match="train.csv:3: label 'x' is none of a, b"):
        task.featurize(labelled(["a", "x"])[1], None, None, 8)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="unknown metric 'acuracy'; did you mean accuracy"):
        classify(metric="acuracy")
    with pytest.raises(InputError, match="positive='c' is none of the labels"):
        classify(labels=("a", "b"), positive="c")
    with pytest.raises(InputError, match="f1 is of one of two classes, here are 3"):
        classify(labels=("a", "b", "c"), metric="f1")
    with pytest.raises(InputError, match="label_smoothing"):
        classify(label_smoothing=1.0)


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(0)
    names = np.array(["no", "yes"])
    gold, predicted = names[rng.integers(2, size=60)], names[rng.integers(2, size=60)]
    task = classify(labels=("no", "yes"), positive="no", metric="f1")
    scores = task.score([{"label": str(label)} for label in predicted], labelled(gold.tolist()))
    assert task.main_metric == "f1"
    assert scores == pytest.approx(
        {
            "accuracy": sk.accuracy_score(gold, predicted),
            "f1": sk.f1_score(gold, predicted, pos_label="no"),
            "macro_f1": sk.f1_score(gold, predicted, average="macro"),
            "matthews": sk.matthews_corrcoef(gold, predicted),
        }
    )


def test_the_positive_class_is_the_second_unless_named():
    records, predictions = labelled(["yes", "yes", "no"]), [{"label": "yes"}] * 3
    assert classify(labels=("no", "yes")).score(predictions, records)["f1"] == pytest.approx(0.8)
    assert classify(labels=("no", "yes"), positive="no").score(predictions, records)["f1"] == 0.0
    assert "f1" not in classify(labels=("maybe", "no", "yes")).score(predictions, records)


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (("equivalent", "not_equivalent"), "equivalent"),  # MRPC as Hugging Face names it, in our order
        (("not_equivalent", "equivalent"), "equivalent"),
        (("Hate", "non-hate"), "Hate"),
        (("negative", "positive"), "positive"),
        (("one", "someone"), "someone"),
    ],
)
def test_the_class_that_the_other_denies_is_positive_and_the_scores_say_so(labels, positive):
    task = classify(labels=labels, metric="f1")
    assert task.score([{"label": positive}], labelled([positive]))["f1"] == 1.0
    assert task.notes == (f"f1 is of the class {positive!r} (task.positive=NAME)",)
    assert classify(labels=("a", "b", "c")).notes == ()


def test_numbers_as_labels_are_scored_by_name():
    task = classify().fit_labels(labelled([0, 1]))
    assert task.score([{"label": "1"}, {"label": "0"}], labelled([1, 1]))["accuracy"] == 0.5


def test_decode_by_hand():
    task = classify(labels=("no", "yes"))
    logits = torch.log(torch.tensor([[3.0, 1.0], [1.0, 4.0]]))
    targets = Targets(at_MK=np.array([[0], [3]]))
    batch = type("Packed", (), {"predict": {"sequence": targets}})
    first, second = task.decode({"sequence": logits}, batch, [Record({}), Record({})])
    assert first == {
        "label": "no",
        "score": pytest.approx(0.75),
        "scores": {"no": pytest.approx(0.75), "yes": pytest.approx(0.25)},
    }
    assert second["label"] == "yes" and second["score"] == pytest.approx(0.8)
    with pytest.raises(InputError, match="the head gives 2 scores but the task has 3 labels"):
        classify(labels=("a", "b", "c")).decode({"sequence": logits}, batch, [])


def test_rows_of_a_group_give_one_output():
    outputs = torch.tensor([[1.0], [1.0], [2.0], [3.0], [3.0]])
    targets = Targets(at_MK=None, group_M=torch.tensor([0, 0, 1, 2, 2]))
    assert one_a_group(outputs, targets).tolist() == [[1.0], [2.0], [3.0]]


def test_label_smoothing_is_torchs(tiny, tokenizer, template):
    records = tiny.records("classify")
    task = classify(label_smoothing=0.2).fit_labels(records)
    batch = pack(TaskSource(task, records, tokenizer, template, 16).examples)
    logits = torch.randn(len(records), 3, generator=torch.Generator().manual_seed(0))
    gold = torch.tensor([task.labels.index(record["label"]) for record in records])
    expected = torch.nn.functional.cross_entropy(logits, gold, label_smoothing=0.2, reduction="sum")
    assert float(task.loss_of({"sequence": logits}, batch.to("cpu"))["sequence"].sum) == pytest.approx(float(expected))


def by_popping(lengths, room):
    lengths = list(lengths)
    while sum(lengths) > room:
        lengths[0 if len(lengths) == 1 or lengths[0] > lengths[1] else 1] -= 1
    return lengths


def test_the_longer_text_is_cut_first():
    for first in range(9):
        assert cut_lengths([first], 5) == by_popping([first], 5)
        for second in range(9):
            for room in range(2, 19):
                assert cut_lengths([first, second], room) == by_popping([first, second], room)


def test_a_long_pair_by_hand(tokenizer, template):
    task = pair(labels=("0", "1"))
    record = Record({"text": "the cat saw the dog", "text_b": "a film", "label": 0})
    example = task.featurize(record, tokenizer, template, 8)
    tokens = [tokenizer.token(number) for number in example.source.ids_T]
    assert tokens == ["[CLS]", "the", "cat", "saw", "[SEP]", "a", "film", "[SEP]"]
    assert example.num_cut == 2
    assert example.predict["sequence"].at_MK.tolist() == [[0]]


def test_empty_texts_are_predicted_and_counted(tiny, tokenizer, template):
    records = [Record({"text": " ", "label": "pos"}), Record({"text": "a", "label": "neg"})]
    task = classify().fit_labels(records)
    source = TaskSource(task, records, tokenizer, template, 8)
    assert source.num_empty == 1
    assert [tokenizer.token(number) for number in source.examples[0].source.ids_T] == ["[CLS]", "[SEP]"]


def test_from_a_file(tmp_path, tokenizer, template):
    path = tmp_path / "pairs.csv"
    path.write_text("text,text_b,label\na cat,the cat,same\na dog,Paris,other\n")
    records = read_records(path)
    task = pair().fit_labels(records)
    source = TaskSource(task, records, tokenizer, template, 16)
    batch = pack(source.examples)
    assert task.labels == ("other", "same")
    assert batch.predict["sequence"].gold_M.tolist() == [1, 0]
    assert batch.origin_E.tolist() == [0, 1]
    del records[1]["text_b"]
    with pytest.raises(InputError, match=r"pairs.csv:3: no 'text_b'; the record has 'text', 'label'"):
        TaskSource(task, records, tokenizer, template, 16)


@pytest.mark.parametrize(
    ("given", "labels"), [("0", (0, 1)), ('"0"', ("0", "1")), ("no", ("no", "yes")), ("false", (False, True))]
)
def test_any_label_can_be_named_positive(given, labels):
    settings = parse_assignments([f"task.positive={given}"])["task"]
    task = open_task("classify", settings).fit_labels([Record({"text": "a", "label": label}) for label in labels])
    assert task.positive == given.strip('"') and f"{task.positive!r}" in task.notes[0]

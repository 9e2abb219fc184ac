"""Any number of labels a text: how they are written, the loss, the scores, class weights of both kinds."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.tasks.classify import classify
from pretune.tasks.pair import pair
from pretune.tasks.run import evaluate_task, predict
from pretune.tasks.source import TaskSource
from pretune.text.records import Record

LABELS = ("art", "music", "news")


def labelled(labels):
    return [Record({"text": "a cat", "label": label}, "train.csv", line) for line, label in enumerate(labels, 2)]


def several(**settings):
    return classify(multi_label=True, labels=LABELS, **settings)


def drawn_sets(number=50, seed=0):
    rng = np.random.default_rng(seed)
    return [[label for label in LABELS if rng.random() < 0.4] for _ in range(number)]


def test_labels_are_lists_or_stand_between_separators():
    for task, labels in (
        (classify(multi_label=True), [["news"], [], ["art", "music"]]),
        (classify(multi_label=True), ['["news"]', "[]", '["art", "music"]']),
        (classify(multi_label=True, separator="|"), ["news", [], "art | music"]),
    ):
        bound = task.fit_labels(labelled(labels))
        assert bound.labels == LABELS
    numbers = classify(multi_label=True).fit_labels(labelled([[10, 9], [9], [1]]))
    assert numbers.labels == ("1", "9", "10")
    assert numbers.head_spec.problem == "multi_label_classification"


@pytest.mark.parametrize(
    ("label", "what"),
    [
        (None, "the label is missing"),
        ("", "the label is missing"),
        ("news", "is no list of labels"),
        ('["news', "is no JSON list"),
        (["news", "news"], "stands twice"),
        (["news", 0.5], "0.5 among the labels is no name"),
        (["news", ""], "'' among the labels is no name"),
        ({"news": 1}, "is no list of labels"),
    ],
)
def test_labels_written_otherwise_are_errors_that_name_the_line(label, what):
    with pytest.raises(InputError, match="train.csv:3: .*") as error:
        classify(multi_label=True).fit_labels(labelled([["art"], label]))
    assert what in str(error.value)


def test_labels_never_seen_are_listed(tokenizer, template):
    with pytest.raises(
        InputError, match=r"1 labels were never seen in training: 'x' \(2 times, first at train.csv:2\)"
    ):
        several().check(labelled([["x", "art"], ["x"]]))
    with pytest.raises(InputError, match="train.csv:2: label 'x' is none of art"):
        several().featurize(labelled([["x"]])[0], tokenizer, template, 8)
    with pytest.raises(InputError, match="none of 2 records has a label"):
        classify(multi_label=True).fit_labels(labelled([[], []]))


def test_checks_of_the_data_see_single_labels():
    task = classify(multi_label=True, separator=";")
    assert task.contents(labelled(["news; art"])[0]).names == ("news", "art")
    assert task.contents(labelled([[]])[0]).labelled and not task.contents(labelled([""])[0]).labelled


def test_loss_is_torchs_and_counts_records(tokenizer, template):
    records = labelled(drawn_sets())
    weights = {"art": 2.5, "news": 0.5}
    for task, pos_weight in ((several(), None), (several(class_weights=weights), torch.tensor([2.5, 1.0, 0.5]))):
        batch = pack(TaskSource(task, records, tokenizer, template, 8).examples).to("cpu")
        logits = torch.randn(len(records), 3, generator=torch.Generator().manual_seed(1))
        gold = torch.tensor([[float(label in record["label"]) for label in LABELS] for record in records])
        loss = task.loss_of({"sequence": logits}, batch)["sequence"]
        expected = torch.nn.BCEWithLogitsLoss(pos_weight=pos_weight)(logits, gold)
        assert loss.count == len(records) == task.counts(batch)["sequence"]
        torch.testing.assert_close(loss.sum / loss.count, expected)


def test_labels_above_the_threshold_are_given_the_most_probable_first(tiny, tokenizer, template):
    task, records = several(threshold=0.6), labelled([["art"]])
    batch = pack(TaskSource(task, records, tokenizer, template, 8).examples)
    (found,) = task.decode({"sequence": torch.tensor([[0.5, 2.0, 0.3]])}, batch, records)
    assert [one["label"] for one in found["labels"]] == ["music", "art"]
    assert found["labels"][0]["score"] == found["scores"]["music"] == pytest.approx(0.8808, abs=1e-4)
    (none,) = task.decode({"sequence": torch.tensor([[0.0, -2.0, 0.3]])}, batch, records)
    assert none["labels"] == [] and set(none["scores"]) == set(LABELS)


def test_scores_are_scikit_learns_and_have_intervals():
    gold, predicted = drawn_sets(), drawn_sets(seed=3)
    records = labelled(gold)
    predictions = [{"labels": [{"label": label} for label in names]} for names in predicted]
    matrices = [[[label in names for label in LABELS] for names in part] for part in (gold, predicted)]
    scores = several().score(predictions, records)
    assert scores == pytest.approx(
        {
            "micro_f1": sk.f1_score(*matrices, average="micro"),
            "macro_f1": sk.f1_score(*matrices, average="macro"),
            "subset_accuracy": sk.accuracy_score(*matrices),
        }
    )
    for metric, value in scores.items():
        interval = several(metric=metric).items(predictions, records).interval(rng=np.random.default_rng(0))
        assert interval.estimate == pytest.approx(value) and interval.low < value < interval.high
    nothing = [{"labels": []}] * len(records)
    assert several().score(nothing, labelled([[]] * 50)) == {"micro_f1": 0, "macro_f1": 0, "subset_accuracy": 1}


def test_learns_sets_by_heart(tiny, tokenizer, template):
    records = [
        Record({**one, "label": names}) for one, names in zip(tiny.records("classify", 8), drawn_sets(8), strict=True)
    ]
    task = classify(multi_label=True).fit_labels(records)
    model = tiny.model(task, **tiny.without_dropout("bert"))
    model.heads["sequence"].dropout = 0.0
    batch = pack(TaskSource(task, records, tokenizer, template, 16).examples).to("cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        task.loss(model, batch)["sequence"].sum.backward()
        optimizer.step()
    found = evaluate_task(model, task, records, tokenizer, template, 16)
    assert found.scores["subset_accuracy"] == 1.0
    baselines = task.baselines(records, records)
    assert baselines["tfidf"]["micro_f1"] > baselines["majority"]["micro_f1"]


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="unknown metric 'accuracy'"):
        several(metric="accuracy")
    with pytest.raises(InputError, match="unknown metric 'micro_f1'"):
        classify(metric="micro_f1")
    with pytest.raises(InputError, match="separator=';' goes only with multi_label=true"):
        classify(separator=";")
    with pytest.raises(InputError, match="threshold=0.3 goes only with"):
        classify(threshold=0.3)
    with pytest.raises(InputError, match="label_smoothing=0.1 goes not with"):
        several(label_smoothing=0.1)
    with pytest.raises(InputError, match="threshold=1.0"):
        several(threshold=1.0)
    with pytest.raises(InputError, match="separator=''"):
        several(separator="")


def test_one_label_a_record_weighs_what_its_class_does(tiny, tokenizer, template):
    """As torch's cross-entropy with `weight`: the weights are in the count too."""
    records = tiny.records("classify")[:7]
    weights = {"neg": 3.0, "so-so": 0.25}
    task = classify(class_weights=weights).fit_labels(records)
    batch = pack(TaskSource(task, records, tokenizer, template, 16).examples).to("cpu")
    logits = torch.randn(len(records), 3, generator=torch.Generator().manual_seed(0))
    gold = torch.tensor([task.labels.index(record["label"]) for record in records])
    loss = task.loss_of({"sequence": logits}, batch)["sequence"]
    expected = torch.nn.CrossEntropyLoss(weight=torch.tensor([weights.get(label, 1.0) for label in task.labels]))
    torch.testing.assert_close(loss.sum / loss.count, expected(logits, gold))
    assert loss.count == task.counts(batch)["sequence"] == pytest.approx(3 * 3.0 + 2 * 1.0 + 2 * 0.25)
    plain = classify(labels=task.labels)
    args = (records, tokenizer, template, 16)
    assert predict(tiny.model(task), task, *args) == predict(tiny.model(plain), plain, *args)


def test_balanced_weights_are_scikit_learns_and_are_kept():
    names = ["a"] * 6 + ["b"] * 3 + ["c"]
    task = pair(class_weights="balanced").fit_labels(labelled(names))
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=np.array(names))
    assert [task.class_weights[label] for label in "abc"] == pytest.approx(expected)
    assert task.fit_labels(labelled(["a", "b"])) == task  # bound once
    found = classify(multi_label=True, class_weights="balanced").fit_labels(labelled([["a", "b"], ["a"], [], []]))
    assert found.class_weights == {"a": 1.0, "b": 3.0}
    with pytest.raises(InputError, match="no training record has the label c"):
        classify(labels=("a", "c"), class_weights="balanced").fit_labels(labelled(["a", "a"]))
    with pytest.raises(InputError, match="2 of 2 training records have 'a': name its weight"):
        classify(multi_label=True, class_weights="balanced").fit_labels(labelled([["a"], ["a", "b"]]))
    with pytest.raises(InputError, match="'x' is none of the labels"):
        classify(labels=("a", "b"), class_weights={"x": 2.0})
    with pytest.raises(InputError, match="'x' is none of the labels: a, b"):
        classify(class_weights={"x": 2.0}).fit_labels(labelled(["a", "b"]))
    with pytest.raises(InputError, match="weighs 0.0: give a number above 0"):
        classify(class_weights={"a": 0.0})

"""What ensembles average: means by hand, what one model's evidence decides is its own prediction, what is refused."""

import numpy as np
import pytest
import torch

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.registry import entries
from pretune.tasks.evidence import Evidence, mean_evidence
from pretune.tasks.run import evidence_source, predict_source
from pretune.tasks.source import TaskSource
from pretune.tasks.task import open_task
from pretune.text.records import Record

RECORD = Record({"text": "a"}, "t.csv", 3)


def of(*rows, columns=("no", "yes"), **more):
    return Evidence(np.array(rows), columns, **more)


def test_means_are_of_probabilities_and_labels_go_by_name():
    found = mean_evidence([of([0.9, 0.1]), of([0.3, 0.7], columns=("yes", "no")), of([0.5, 0.5])], RECORD)
    assert found.columns == ("no", "yes") and found.values[0].tolist() == pytest.approx([2.1 / 3, 0.9 / 3])
    logs = mean_evidence([of(np.log([0.9, 0.1]), is_log=True), of(np.log([0.3, 0.7]), is_log=True)], RECORD)
    assert np.exp(logs.values[0]).tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize(
    "other, message",
    [
        (of([0.5, 0.5], columns=("no", "maybe")), "t.csv:3: the models' labels differ .maybe, yes."),
        (of([0.5, 0.5], [0.5, 0.5]), "different pieces or windows"),
        (of([0.5, 0.5], rows=np.array([[1, 2]])), "different pieces or windows"),
    ],
)
def test_models_that_speak_of_other_things_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        mean_evidence([of([0.9, 0.1], rows=np.array([[1, 1]])), other], RECORD)


SETTINGS = {
    "pair": {"windows": "mean"},
    "answer": {"stride": 2, "no_answer": True, "num_best": 2},
    "tag": {"decode_pieces": "mean", "label_pieces": "all"},
}


NO_EVIDENCE = ("similar", "language-modelling", "summarise", "text-to-text", "translate")


def sourced(tiny, task, records, tokenizer, template):
    model = tiny.model(task)
    return model, TaskSource(task.suit(model), records, tokenizer, template, 24, labelled=False)


def close(first, second):
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            close(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            close(one, other)
    else:
        assert first == pytest.approx(second, abs=1e-9) if isinstance(first, float) else first == second


@pytest.mark.parametrize("name", entries("pretune.tasks"))
def test_what_is_decided_on_one_models_evidence_is_its_prediction(tiny, tokenizer, template, name):
    task, records = tiny.fitted(name, **SETTINGS.get(name, {}))
    model, source = sourced(tiny, task, records, tokenizer, template)
    if name in NO_EVIDENCE:
        with pytest.raises(InputError, match="has nothing that models could average: name one model"):
            evidence_source(model, source)
        return
    each = evidence_source(model, source)
    means = [mean_evidence([one, one, one], record) for one, record in zip(each, records, strict=True)]
    close(source.task.conclude(means, records), predict_source(model, source))


def test_constrained_tags_are_decided_on_the_mean(tiny, tokenizer, template):
    records = [Record({"words": ["Anna", "Bob", "ran"], "tags": ["B-PER", "I-PER", "O"]})]
    task = open_task("tag", {"decoding": "constrained"}).fit_labels(records)
    assert task.labels == ("B-PER", "I-PER", "O")
    first = Evidence(np.array([[0.1, 0.2, 0.7], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]), task.labels)
    second = Evidence(np.array([[0.0, 0.1, 0.9], [0.3, 0.1, 0.6], [0.1, 0.1, 0.8]]), task.labels)
    (alone,), (both,) = (
        task.conclude([mean_evidence(members, records[0])], records) for members in ([first], [first, second])
    )
    # O I is forbidden: alone 0.1 · 0.8 · 0.8 (B, I, O) beats 0.7 · 0.1 · 0.8; on the mean 0.05 · 0.45 · 0.8 loses
    assert [word["entity"] for word in alone] == ["B-PER", "I-PER", "O"]
    assert [word["entity"] for word in both] == ["O", "O", "O"]
    free = open_task("tag", {}).fit_labels(records).conclude([first], records)[0]
    assert [word["entity"] for word in free] == ["O", "I-PER", "O"] and free[0]["score"] == pytest.approx(0.7)


def test_crfs_are_averaged_by_their_marginal_probabilities(tiny, tokenizer, template):
    task, records = tiny.fitted("tag", crf=True)
    model, source = sourced(tiny, task, records, tokenizer, template)
    with torch.no_grad():
        model.heads["crf"].transitions.copy_(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))
    each = evidence_source(model, source)
    for one, words in zip(each, predict_source(model, source), strict=True):
        assert one.values.sum(-1) == pytest.approx(1.0)
        rows = zip(one.values, words, strict=True)
        assert all(p[task.labels.index(word["entity"])] == pytest.approx(word["score"]) for p, word in rows)
    half = [Evidence(np.full_like(one.values, 0.5), one.columns) for one in each]
    mixed = [mean_evidence(pair, record) for *pair, record in zip(each, half, records, strict=True)]
    found = task.conclude(mixed, records)
    best = [word["score"] for words in found for word in words]
    expected = [(p.max() + 0.5) / 2 for one in each for p in one.values]
    assert best == pytest.approx(expected)


def test_starts_and_ends_of_answers_are_averaged_over_all_windows(tiny, tokenizer, template):
    """Probabilities typed by hand for a context of three words; each model alone would answer otherwise."""
    record = Record({"question": "she ran", "context": "Paris saw Rome", "answers": [{"text": "Rome", "start": 10}]})
    task = open_task("answer").fit_labels([record])
    example = pack([task.featurize(record, tokenizer, template, 16, labelled=False)])

    def said(start, end):
        logits = torch.tensor(np.log(np.array([start, end]).T)) + 3.0  # a constant changes nothing
        return task.evidence({"answer": logits}, example, [record])[0]

    first = said([0.1, 0.5, 0.3, 0.1], [0.1, 0.5, 0.1, 0.3])
    second = said([0.1, 0.0999, 0.0001, 0.8], [0.1, 0.0001, 0.0999, 0.8])
    mean = mean_evidence([first, second], record)
    assert np.exp(mean.values)[:, 0].tolist() == pytest.approx([0.1, 0.29995, 0.15005, 0.45])
    answers = [task.conclude([one], [record])[0] for one in (first, second, mean)]
    assert [each["answer"] for each in answers] == ["Paris", "Rome", "Rome"]
    start, end = np.exp(mean.values[1:]).T
    total = sum(start[a] * end[b] for a in range(3) for b in range(a, 3))
    assert answers[2]["score"] == pytest.approx(0.45 * 0.55 / total)

"""tag with a CRF, constrained decoding, schemes of its own: losses, legal sequences, scores, conversions, refusals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from pretune.core.errors import InputError
from pretune.core.loss import total
from pretune.core.pack import pack
from pretune.metrics.schemes import LETTERS, faults, rewritten
from pretune.metrics.spans import spans
from pretune.tasks.run import evaluate_task, predict
from pretune.tasks.source import TaskSource
from pretune.tasks.tag import tag
from pretune.text.records import Record

IOB1 = [
    ("Anna Bob saw Paris in Rome", "I-PER B-PER O I-LOC O I-LOC"),
    ("she ran", "O O"),
    ("Bob Bob and Rome", "I-PER I-PER O I-LOC"),
    ("Paris", "I-LOC"),
    ("the cats saw Anna Anna .", "O O O I-PER I-PER O"),
]
RECORDS = [
    Record({"words": text.split(), "tags": tags.split()}, "train.conll", 10 * number + 1)
    for number, (text, tags) in enumerate(IOB1)
]
ALL = {"label_pieces": "all", "decode_pieces": "mean"}


def batch_of(task, records, tokenizer, template, labelled=True, max_length=16):
    return pack(TaskSource(task, records, tokenizer, template, max_length, labelled=labelled).examples)


def entities(predictions):
    return [[word["entity"] for word in sentence] for sentence in predictions]


@pytest.mark.parametrize("settings", [{}, ALL])
@pytest.mark.parametrize("max_length", [16, 5])
def test_a_crf_without_transitions_is_the_tagger_of_words(settings, max_length, tiny, tokenizer, template):
    """Loss (with the mean of a word's logits its own), count and predictions, windows of long sentences included."""
    task = tag(crf=True, **settings).fit_labels(RECORDS)
    model = tiny.model(task).eval()
    torch.nn.init.zeros_(model.heads["crf"].transitions)
    batch = batch_of(task, RECORDS, tokenizer, template, max_length=max_length)
    loss = task.loss(model, batch.to("cpu"))["token"]
    rows, targets = model(batch.to("cpu"), heads=["token"])["token"], batch.predict["token"]
    words = [rows[torch.from_numpy(targets.group_M == word)].mean(0) for word in range(targets.group_M.max() + 1)]
    gold = torch.tensor([task.labels.index(name) for record in RECORDS for name in record["tags"]])
    expected = torch.nn.functional.cross_entropy(torch.stack(words), gold, reduction="sum")
    torch.testing.assert_close(loss.sum, expected)
    assert loss.count == len(gold) == task.counts(batch)["token"]
    if not settings:
        plain = predict(model, replace(task, crf=False), RECORDS, tokenizer, template, max_length)
        for one, other in zip(predict(model, task, RECORDS, tokenizer, template, max_length), plain, strict=True):
            assert [word["entity"] for word in one] == [word["entity"] for word in other]
            assert [word["score"] for word in one] == pytest.approx([word["score"] for word in other], abs=1e-6)


def paths_of(task, transitions, scores):
    """{tags: p} of one sentence by enumeration; illegal ones have none with constrained decoding."""
    edge, found = len(task.labels), {}
    for path in itertools.product(range(edge), repeat=len(scores)):
        names = tuple(task.labels[tag] for tag in path)
        if task.decoding == "free" or not faults(names, task.head_scheme):
            steps = itertools.pairwise([edge, *path, edge])
            at = sum(float(scores[place, tag]) for place, tag in enumerate(path))
            found[names] = at + sum(float(transitions[a, b]) for a, b in steps)
    log_z = np.logaddexp.reduce(list(found.values()))
    return {names: np.exp(score - log_z) for names, score in found.items()}


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("decoding", ["free", "constrained"])
@pytest.mark.parametrize("train_scheme", ["auto", "bio", "bioes"])
def test_decodes_the_best_sequence_with_marginals_and_gives_the_files_scheme(
    crf, decoding, train_scheme, tiny, tokenizer, template
):
    records = [Record({"words": record["words"][:4], "tags": record["tags"][:4]}) for record in RECORDS]
    task = tag(crf=crf, decoding=decoding, train_scheme=train_scheme).fit_labels(records)
    assert task.scheme == "iob1" and task.head_scheme == ("iob1" if train_scheme == "auto" else train_scheme)
    model = tiny.model(task, seed=3).eval()
    with torch.no_grad():
        model.heads["token"].classifier.weight.mul_(8)  # far from uniform, and often illegal
        if crf:
            model.heads["crf"].transitions.mul_(8)
    batch = batch_of(task, records, tokenizer, template, labelled=False)
    with torch.no_grad():
        logits = model(batch.to("cpu"), heads=["token"])["token"].double()
    zero = torch.zeros(len(task.labels) + 1, len(task.labels) + 1)
    transitions = model.heads["crf"].transitions.detach() if crf else zero
    found = predict(model, task, records, tokenizer, template, 16)
    start = 0
    for record, words in zip(records, found, strict=True):
        rows = logits[start : start + len(words)]
        start += len(words)
        paths = paths_of(task, transitions, rows)
        best = max(paths, key=paths.__getitem__)
        expected = list(best) if train_scheme == "auto" else rewritten(best, "iob1")
        assert entities([words])[0] == expected, record
        for place, word in enumerate(words):
            marginal = sum(p for names, p in paths.items() if names[place] == best[place])
            assert word["score"] == pytest.approx(marginal, abs=1e-6)
    assert start == len(logits)


@pytest.mark.parametrize("settings", [{}, ALL])
@pytest.mark.parametrize("decoding", ["free", "constrained"])
@pytest.mark.parametrize("max_length", [16, 5])  # 5: long sentences are several sequences
def test_loss_is_minus_log_p_of_the_gold_sequences(settings, decoding, max_length, tiny, tokenizer, template):
    records = [Record({"words": record["words"][:4], "tags": record["tags"][:4]}) for record in RECORDS]
    task = tag(crf=True, decoding=decoding, **settings).fit_labels(records)
    model = tiny.model(task, seed=3).eval()
    with torch.no_grad():
        model.heads["crf"].transitions.mul_(8)
    batch = batch_of(task, records, tokenizer, template, max_length=max_length)
    loss = task.loss(model, batch.to("cpu"))["token"]
    with torch.no_grad():
        rows, groups = model(batch.to("cpu"), heads=["token"])["token"].double(), batch.predict["token"].group_M
    logits = torch.stack([rows[torch.from_numpy(groups == word)].mean(0) for word in range(groups.max() + 1)])
    expected, start = 0.0, 0
    for record in records:
        scores, start = logits[start : start + len(record["words"])], start + len(record["words"])
        paths = paths_of(task, model.heads["crf"].transitions.detach(), scores)
        expected -= np.log(paths[tuple(record["tags"])])
    assert float(loss.sum.detach()) == pytest.approx(expected, rel=1e-5)
    assert loss.count == len(logits)


def test_free_decoding_does_break_the_scheme_where_constrained_does_not(tokenizer, template, tiny):
    task = tag(train_scheme="bioes").fit_labels(RECORDS)
    model = tiny.model(task, seed=3)
    with torch.no_grad():
        model.heads["token"].classifier.weight.mul_(8)
    broken = {}
    for decoding in ("free", "constrained"):
        one = replace(task, decoding=decoding, scheme="bioes", train_scheme="auto")  # shown as the head has them
        found = entities(predict(model, one, RECORDS, tokenizer, template, 16))
        broken[decoding] = sum(len(faults(tags, "bioes")) for tags in found)
    assert broken["free"] > 0 and broken["constrained"] == 0


@pytest.mark.parametrize("family", ["bert", "modern"])
@pytest.mark.parametrize("scheme", ["iob1", "bio", "bioes", "bilou"])
def test_learns_files_of_every_scheme_by_heart(family, scheme, tiny, tokenizer, template):
    records = [Record({**record, "tags": rewritten(record["tags"], scheme)}) for record in RECORDS]
    task = tag(crf=True, decoding="constrained", train_scheme="bioes").fit_labels(records)
    assert task.scheme == scheme and {label[0] for label in task.labels} <= set("BIOES")
    model = tiny.model(task, family, **tiny.without_dropout(family))
    batch = batch_of(task, records, tokenizer, template).to("cpu")
    counts = task.counts(batch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    before = float(total(task.loss(model, batch), counts).detach())
    for _ in range(40):
        optimizer.zero_grad()
        total(task.loss(model, batch), counts).backward()
        optimizer.step()
    assert float(total(task.loss(model, batch), counts).detach()) < 0.05 < before
    found = evaluate_task(model, task, records, tokenizer, template, 16)
    assert found.scores["f1"] == found.scores["accuracy"] == 1.0
    assert entities(found.predictions) == [record["tags"] for record in records]
    assert found.remarks == ()


@pytest.mark.parametrize("settings", [{}, ALL, {"decoding": "constrained"}])
def test_predictions_with_a_crf_do_not_depend_on_batches(settings, tiny, tokenizer, template):
    task = tag(crf=True, **settings).fit_labels(RECORDS)
    model = tiny.model(task)
    for max_length in (16, 5):  # 5: a long sentence is several sequences and still one chain
        together = predict(model, task, RECORDS, tokenizer, template, max_length)
        alone = [predict(model, task, [record], tokenizer, template, max_length)[0] for record in RECORDS]
        assert entities(together) == entities(alone)
        for one, other in zip(together, alone, strict=True):
            assert [word["score"] for word in one] == pytest.approx([word["score"] for word in other], abs=1e-6)


def test_a_long_sentence_is_one_chain(tiny, tokenizer, template):
    """A transition that is forbidden between the last word of a window and the first of the next one is not taken."""
    task = tag(crf=True).fit_labels(RECORDS)
    model = tiny.model(task).eval()
    with torch.no_grad():
        model.heads["crf"].transitions.fill_(-1e4).fill_diagonal_(0.0)  # a tag may follow itself only
        model.heads["crf"].transitions[-1] = model.heads["crf"].transitions[:, -1] = 0.0
    found = entities(predict(model, task, RECORDS[:1], tokenizer, template, 5))[0]
    assert len(found) == 6 and len(set(found)) == 1


def test_gold_tags_are_learned_in_the_heads_scheme(tokenizer, template):
    task = tag(train_scheme="bioes").fit_labels(RECORDS)
    targets = batch_of(task, RECORDS[:1], tokenizer, template).predict["token"]
    assert [task.labels[number] for number in targets.gold_M] == ["S-PER", "S-PER", "O", "S-LOC", "O", "S-LOC"]
    same = tag().fit_labels(RECORDS)
    targets = batch_of(same, RECORDS[:1], tokenizer, template).predict["token"]
    assert [same.labels[number] for number in targets.gold_M] == RECORDS[0]["tags"]


def test_broken_sequences_are_counted_and_unknown_tags_refused():
    broken = Record({"words": ["in", "Anna", "Bob"], "tags": ["O", "I-PER", "B-PER"]}, "dev.conll", 7)
    bio = [Record({**record, "tags": rewritten(record["tags"], "bio")}, "train.conll", 1) for record in RECORDS]
    for settings in ({}, {"decoding": "constrained"}):
        task = tag(**settings).fit_labels(bio)
        (remark,) = task.remarks([broken])
        assert remark.startswith("1 tags of 1 sentences (first dev.conll:7) stand where bio forbids it")
        assert task.remarks(bio) == ()
        assert task.gold_tags(broken) == (["O", "B-PER", "B-PER"] if settings else broken["tags"])
    foreign = Record({"words": ["in", "Rome"], "tags": ["ADP", "PROPN"]}, "dev.conll", 9)
    with pytest.raises(InputError, match="dev.conll:9: tag 'ADP' is not a span tag"):
        tag().fit_labels(bio).check([foreign])
    with pytest.raises(InputError, match="train.conll:1: tag 'S-PER' is not of the scheme bio"):
        tag(scheme="bio").fit_labels([Record({**bio[0], "tags": rewritten(bio[0]["tags"], "bioes")}, "train.conll", 1)])
    with pytest.raises(InputError, match="train.conll: .*side by side"):
        tag().fit_labels([Record({"words": ["a", "b"], "tags": ["S-X", "U-X"]}, "train.conll", 1)])


def test_a_scheme_that_is_said_is_not_detected():
    bare = [Record({"words": ["a", "b", "c"], "tags": ["B", "I", "O"]}, "x", 1)]
    assert tag().fit_labels(bare).scheme == "plain" and tag().fit_labels(bare).main_metric == "accuracy"
    assert "task.scheme=bio" in tag().fit_labels(bare).notes[0]
    assert tag(scheme="bio").fit_labels(bare).main_metric == "f1"
    assert tag(scheme="plain").fit_labels(RECORDS).main_metric == "accuracy"
    assert tag(scheme="bio", train_scheme="bioes").fit_labels(bare).labels == ("B", "E", "O")


def test_models_that_do_not_say_their_scheme():
    assert tag(labels=("B-X", "I-X", "O")).file_scheme == "bio"
    assert tag(labels=("I-X", "O")).file_scheme == "iob1"
    assert tag(labels=("B-X", "E-X", "O")).file_scheme == "bioes"
    assert tag(labels=("NOUN", "VERB")).file_scheme == "plain"
    assert tag(labels=("B-X", "I-X", "O"), scheme="iob1").head_scheme == "iob1"
    asked = tag(labels=("B-X", "I-X", "O"), scheme="bioes")
    assert (asked.file_scheme, asked.head_scheme) == ("bioes", "bio")


@pytest.mark.parametrize("scheme", ["bio", "bioes", "bilou"])
def test_another_scheme_can_be_asked_of_a_trained_model(scheme, tiny, tokenizer, template):
    task = tag().fit_labels(RECORDS)
    asked, model = replace(task, scheme=scheme), tiny.model(task)
    found, other = (entities(predict(model, each, RECORDS, tokenizer, template, 16)) for each in (task, asked))
    assert other == [rewritten(tags, scheme) for tags in found] != found
    records = [Record({**record, "tags": rewritten(record["tags"], scheme)}) for record in RECORDS]
    scores = evaluate_task(model, task, RECORDS, tokenizer, template, 16).scores
    assert evaluate_task(model, asked, records, tokenizer, template, 16).scores["f1"] == scores["f1"]


@pytest.mark.parametrize("scheme", sorted(LETTERS))
def test_strict_mode_is_a_setting_and_told(scheme):
    records = [Record({**record, "tags": rewritten(record["tags"], scheme)}) for record in RECORDS]
    task = tag(span_mode="strict").fit_labels(records)
    right = [[{"entity": name} for name in record["tags"]] for record in records]
    assert task.score(right, records)["f1"] == 1.0 and "strict mode" in task.notes[0]
    wrong = {"iob1": ("I-PER I-PER", "B-PER I-PER"), "bio": ("B-PER I-PER", "I-PER I-PER")}
    wrong |= {"bioes": ("B-PER E-PER", "B-PER I-PER"), "bilou": ("B-PER L-PER", "B-PER I-PER")}
    gold, guess = (part.split() for part in wrong[scheme])
    pair = [Record({"words": ["a", "b"], "tags": gold})]
    guesses = [[{"entity": name} for name in guess]]
    assert task.score(guesses, pair)["f1"] == 0.0
    assert replace(task, span_mode="default").score(guesses, pair)["f1"] == 1.0
    assert task.items(guesses, pair).interval(rng=np.random.default_rng(0)).estimate == 0.0


def test_settings_that_do_not_fit_are_refused(tiny, tokenizer, template):
    plain = [Record({"words": ["a", "cat"], "tags": ["DET", "NOUN"]}, "train.conll", 1)]
    for settings, what in (
        ({"metric": "f1"}, "f1 is of spans"),
        ({"train_scheme": "bio"}, "train_scheme is of spans|'DET' is not a span tag"),
        ({"decoding": "constrained"}, "constrained decoding is of spans"),
        ({"span_mode": "strict"}, "span_mode is of spans"),
        ({"output": "entities"}, "entities are spans"),
    ):
        with pytest.raises(InputError, match=what):
            tag(**settings).fit_labels(plain)
    with pytest.raises(InputError, match="must read words alike"):
        tag(crf=True, decode_pieces="mean")
    for field in ("scheme", "train_scheme", "decoding", "span_mode", "output"):
        with pytest.raises(InputError, match=f"unknown {field} 'iobx'"):
            tag(**{field: "iobx"})
    task = tag(crf=True).fit_labels(plain)  # parts of speech have transitions too
    assert task.notes == ()
    model = tiny.model(replace(task, crf=False))
    with pytest.raises(ValueError, match="the model has none"):
        predict(model, task, plain, tokenizer, template, 16)


def test_entities_are_the_spans_with_their_text():
    task = tag(output="entities").fit_labels(RECORDS)
    record = Record({"text": "Anna  Bob saw Rome."})
    places = [("Anna", 0, 4), ("Bob", 6, 9), ("saw", 10, 13), ("Rome", 14, 18), (".", 18, 19)]
    names = ["I-PER", "I-PER", "O", "I-LOC", "O"]
    words = [
        {"word": word, "entity": name, "score": 0.5 + place / 10, "start": start, "end": end}
        for place, ((word, start, end), name) in enumerate(zip(places, names, strict=True))
    ]
    assert task.shown([words], [record]) == [
        [
            {"entity_group": "PER", "word": "Anna  Bob", "score": pytest.approx(0.55), "start": 0, "end": 9},
            {"entity_group": "LOC", "word": "Rome", "score": pytest.approx(0.8), "start": 14, "end": 18},
        ]
    ]
    assert replace(task, output="words").shown([words], [record]) == [words]
    assert [len(spans(names))] == [2]

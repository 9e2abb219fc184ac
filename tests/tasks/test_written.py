"""Tasks whose answer a model writes: on a decoder, as a prefix LM and on an encoder-decoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sacrebleu.metrics import BLEU

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.loss import total
from pretune.core.pack import pack
from pretune.core.stream import Batch, bidirectional, left_to_right
from pretune.families.family import open_family
from pretune.nn.config import Decoder
from pretune.nn.encoder_decoder import EncoderDecoder
from pretune.nn.model import Model
from pretune.tasks.run import evaluate_task, predict
from pretune.tasks.source import TaskSource
from pretune.tasks.task import open_task
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Backend, Tokenizer

NAMES = ("summarise", "text-to-text", "translate")
PAIRS = [("the cat", "a dog"), ("Bob ran", "Anna saw Paris"), ("good film .", "she"), ("he saw a book", "poor cat")]


SHORT = {"translate": {"metric": "chrf"}}
"""Texts without 4-grams have no BLEU."""


def records(number=8):
    rows = [PAIRS[row % 4] for row in range(number)]
    return [
        Record({"source": source, "target": target}, "train.jsonl", row) for row, (source, target) in enumerate(rows)
    ]


@pytest.fixture(scope="session")
def tokenizer(tokenizer):
    """One that knows its special tokens, so that they are no part of a text."""
    backend = Backend.from_str(tokenizer.backend.to_str())
    backend.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return Tokenizer(backend)


@pytest.fixture(scope="module")
def shapes(tiny, tokenizer, template):
    """(model, template) of each way to read a source."""

    def made(shape, task, **changes):
        if shape == "decoder":
            return tiny.model(task, "gpt2", **tiny.without_dropout("gpt2")), template
        body = tiny.model(task, "gpt2", **tiny.without_dropout("gpt2")).body
        attention = replace(body.config.attention, causal=False, prefix=shape == "prefix")
        if shape == "prefix":
            other = body.like(attention=attention)
            other.initialise(1)
            return Model(other, {"lm": other.family_head("lm")}), template
        both = EncoderDecoder(replace(body.config, attention=attention, decoder=Decoder(2, 2, 64)), seed=3)
        both.join("gpt2", lambda kind, of, labels: open_family("gpt2").head(kind, of, labels))
        around = (
            {"segments_single": (0, 0, 0)} if shape == "bart" else {"single": (0, "sep"), "segments_single": (0, 0)}
        )
        return Model(both, {"lm": both.family_head("lm")}), Template(tokenizer.special_ids, start="sep", **around)

    return made


def learn(model, task, source, steps=60, lr=3e-3):
    batch = pack([source.example(number, 0, 0.0) for number in range(len(source))]).to("cpu")
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        losses = task.loss(model, batch)
        optimizer.zero_grad()
        total(losses, task.counts(batch)).backward()
        optimizer.step()


def plainly(model, tokenizer, read, after, most):
    """Greedy decoding without a cache. read(ids) -> Batch of what was read with these written."""
    written = []
    for _ in range(most):
        with torch.no_grad():
            logits = model.heads["lm"](model.body(read(written).to("cpu"))[-1:, None], None)
        token = int(logits[0].argmax())
        if token == after:
            break
        written.append(token)
    return tokenizer.decode(written).strip()


@pytest.mark.parametrize(
    ("name", "shape"),
    [*((name, "decoder") for name in NAMES), *(("translate", one) for one in ("prefix", "bart", "t5"))],
)
def test_learns_by_heart_and_writes_it(name, shape, shapes, tokenizer):
    task = open_task(name, SHORT.get(name)).fit_labels(records())
    model, template = shapes(shape, task)
    task = task.suit(model)
    assert task.sees_prompt is (True if shape == "prefix" else None)
    source = TaskSource(task, records(), tokenizer, template, 24)
    before = evaluate_task(model, task, records(), tokenizer, template, 24).scores
    learn(model, task, source)
    after = evaluate_task(model, task, records(), tokenizer, template, 24)
    assert before[task.main_metric] < 0.5 and after.scores[task.main_metric] > 0.99
    assert [one["target"] for one in after.predictions] == [record["target"] for record in records()]
    assert after.scores["unfinished"] == 0.0 and model.training


@pytest.mark.parametrize("shape", ["decoder", "prefix", "bart", "t5"])
def test_what_is_written_is_plain_greedy_decoding(shape, shapes, tokenizer):
    task = open_task("translate", {"max_target": 6, "prefix": "saw "})
    model, template = shapes(shape, task)
    task = task.suit(model)
    special = tokenizer.special_ids
    for record, found in zip(records(4), predict(model, task, records(4), tokenizer, template, 24), strict=True):
        ids = tokenizer.encode("saw " + record["source"]).ids_P.tolist()

        def read(written, ids=ids):
            prompt = [special["cls"], *ids, special["sep"]]
            if shape in ("bart", "t5"):
                source = bidirectional(np.array(prompt[shape == "t5" :]))
                return Batch(source, left_to_right(bidirectional(np.array([special["sep"], *written]))))
            stream = left_to_right(bidirectional(np.array([*prompt, *written])))
            if shape == "decoder":
                return Batch(stream)
            seen = np.where(np.arange(stream.num_tokens) < len(prompt), 0, np.arange(stream.num_tokens))
            return Batch(replace(stream, shown_at_T=seen, sees_up_to_T=seen, visibility="mixed"))

        assert found["target"] == plainly(model.eval(), tokenizer, read, special["sep"], 7 + (shape == "bart"))


@pytest.mark.parametrize("name", NAMES)
def test_the_batches_and_the_order_do_not_change_what_is_written(name, shapes, tokenizer):
    task = open_task(name, {"max_target": 5})
    model, template = shapes("decoder", task)
    alone = [predict(model, task, [record], tokenizer, template, 24)[0] for record in records(4)]
    assert predict(model, task, records(4), tokenizer, template, 24) == alone
    assert predict(model, task, records(4)[::-1], tokenizer, template, 24)[::-1] == alone
    bare = [Record({"source": record["source"]}) for record in records(4)]
    assert predict(model, task, bare, tokenizer, template, 24) == alone
    assert not task.featurize(bare[0], tokenizer, template, 24, labelled=False).predict


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_named(name, tokenizer, template):
    task = open_task(name)
    for row, what in (
        ({"source": "a"}, "target is missing"),
        ({"source": "a", "target": ["b", 3]}, "target is int, not text"),
        ({"source": "a", "target": "  "}, "target is empty"),
        ({"target": "a"}, "no 'source'.*columns.source"),
    ):
        record = Record(row, "dev.csv", 7)
        for use in (task.check, task.fit_labels, lambda rows: task.featurize(rows[0], tokenizer, template, 16)):
            with pytest.raises(InputError, match=f"dev.csv:7: .*{what}"):
                use([record])
    with pytest.raises(InputError, match="max_length=3 leaves no room"):
        task.featurize(records()[0], tokenizer, template, 3)


@pytest.mark.parametrize("shape", ["decoder", "bart", "t5"])
def test_what_is_cut_is_counted_and_a_source_is_the_same_in_training_and_after(shape, shapes, tokenizer):
    task = open_task("summarise", {"max_target": 3})
    _, template = shapes(shape, task)
    record = Record({"source": "the a cat dog film book good bad fine poor", "target": "she he walk run ran saw"})
    trained = task.featurize(record, tokenizer, template, 9)
    asked = task.featurize(record, tokenizer, template, 9, labelled=False)
    kept = asked.source.ids_T.tolist()
    assert trained.source.ids_T.tolist()[: len(kept)] == kept
    read = {"decoder": 4, "bart": 7, "t5": 8}[shape]
    assert asked.num_cut == 10 - read and trained.num_cut == 10 - read + 3
    assert trained.predict["lm"].gold_M.tolist()[-4:-1] == tokenizer.encode("she he walk").ids_P.tolist()
    assert max(trained.source.num_tokens, trained.read.num_tokens) <= 9
    whole = task.featurize(record, tokenizer, template, 64)
    assert whole.num_cut == 3  # of the answer alone


def test_settings_that_cannot_be_are_refused(tiny, shapes, tokenizer, template):
    for settings, what in (
        ({"generate": {"num_bems": 2}}, "num_bems.*num_beams"),
        ({"generate": {"max_new_tokens": 9}}, "set task.max_target"),
        ({"generate": {"length_penalty": 2.0}}, "without effect"),
        ({"max_target": 0}, "max_target=0"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"metric": "accuracy"}, "unknown metric"),
        ({"tokenization": "13b"}, "tokenization"),
    ):
        with pytest.raises(InputError, match=what):
            open_task("translate", settings)
    encoder = tiny.model(tiny.fitted("classify")[0], "bert")
    with pytest.raises(InputError, match="writes no text"):
        predict(encoder, open_task("translate"), records(), tokenizer, template, 24)
    model, _ = shapes("decoder", open_task("translate"))
    with pytest.raises(InputError, match="prefix_lm"):
        predict(model, open_task("translate", {"sees_prompt": True}), records(), tokenizer, template, 24)


def test_beams_are_used(shapes, tokenizer):
    task = open_task("translate", {"max_target": 5, "generate": {"num_beams": 3, "length_penalty": 2.0}})
    model, template = shapes("t5", task)
    found = predict(model, task, records(4), tokenizer, template, 24)
    greedy = predict(model, open_task("translate", {"max_target": 5}), records(4), tokenizer, template, 24)
    assert found != greedy and "num_beams=3" in task.notes[0]


def test_labels_are_bound_written_and_alone_where_closed(shapes, tokenizer):
    rows = [Record({"source": PAIRS[row % 4][0], "target": ["good film", "poor cat"][row % 2]}) for row in range(8)]
    task = open_task("text-to-text", {"max_target": 4}).fit_labels(rows)
    assert task.labels == ("good film", "poor cat") and task.contents(rows[0]).gold == "classes"
    assert open_task("text-to-text").fit_labels(records(4)).labels == ()  # four targets, once each
    model, template = shapes("decoder", task)
    loose = evaluate_task(model, task, rows, tokenizer, template, 24)
    assert loose.scores["known"] == 0.0 and loose.scores["exact_match"] == 0.0
    closed = replace(task, closed=True)
    found = evaluate_task(model, closed, rows, tokenizer, template, 24)
    assert found.scores["known"] == 1.0 and {one["target"] for one in found.predictions} <= set(task.labels)
    with pytest.raises(InputError, match="4 records have 4 different targets"):
        open_task("text-to-text", {"closed": True}).fit_labels(records(4))


def test_a_label_that_the_tokenizer_writes_otherwise_is_still_that_label(shapes, tokenizer):
    """WordPiece puts spaces around signs and knows no other case of "Paris": what has a label's pieces is the label."""
    rows = [Record({"source": PAIRS[row % 4][0], "target": ["Paris,Rome", "dogs."][row % 2]}) for row in range(8)]
    assert tokenizer.decode(tokenizer.encode("Paris,Rome").ids_P) != "Paris,Rome"
    task = open_task("text-to-text", {"max_target": 4}).fit_labels(rows)
    model, template = shapes("decoder", task)
    learn(model, task, TaskSource(task, rows, tokenizer, template, 24))
    assert evaluate_task(model, task, rows, tokenizer, template, 24).scores["exact_match"] == 1.0


def test_a_label_without_pieces_is_refused(tokenizer, template):
    task = open_task("text-to-text", {"labels": ("good", "Good")})
    with pytest.raises(InputError, match="a.tsv:3: the tokenizer has no pieces for the label 'Good'"):
        task.featurize(Record({"source": "cat", "target": "Good"}, "a.tsv", 3), tokenizer, template, 16)
    assert task.texts_of(["", "x"], [(), (tokenizer.id("good"),)], TaskSource(task, [], tokenizer, template, 16)) == [
        "",
        "good",
    ]


def test_scores_are_of_the_texts_and_every_reference_counts():
    rows = [
        Record({"source": "a b", "target": ["the cat sat here", "one cat sat"]}),
        Record({"source": "c", "target": "a dog"}),
    ]
    said = [{"target": "one cat sat"}, {"target": "a dog", "unfinished": True}]
    scores = open_task("translate").score(said, rows)
    expected = BLEU().corpus_score(
        [one["target"] for one in said], [["the cat sat here", "a dog"], ["one cat sat", None]]
    )
    assert scores["bleu"] == pytest.approx(expected.score / 100) and scores["unfinished"] == 0.5
    assert open_task("summarise").score(said, rows)["rouge1"] == 1.0
    assert open_task("text-to-text").score(said, rows)["exact_match"] == 1.0
    assert open_task("summarise").score([{"target": "x y z x y z x y z"}, said[1]], rows)["repetition"] == 0.25
    with pytest.raises(InputError, match="no texts"):
        open_task("translate").score([], [])


@pytest.mark.parametrize("name", NAMES)
def test_baselines_and_items_give_the_main_metric(name):
    task = open_task(name, SHORT.get(name)).fit_labels(records())
    test = [Record({"source": "the cat ran", "target": "a dog"}), *records(3)]
    for guesses in task.baseline_predictions(records(), test).values():
        scores = task.score(guesses, test)
        assert scores.keys() == task.score([{"target": "a"}] * 4, test).keys()
        interval = task.items(guesses, test).interval(rng=np.random.default_rng(0), num_resamples=100)
        assert interval.estimate == pytest.approx(scores[task.main_metric])
    first, last = task.baselines(records(), test).values()
    assert last[task.main_metric] == 1.0 > first[task.main_metric]


def test_several_tasks_have_a_score_each_and_a_mean():
    rows = [Record({"source": "a", "target": "b", "task": name}) for name in ("cola", "cola", "cola", "sst")]
    said = [{"target": text} for text in ("b", "b", "b", "c")]
    task = open_task("text-to-text", {"metric": "macro_exact_match"})
    scores = task.score(said, rows)
    assert (scores["exact_match"], scores["macro_exact_match"]) == (0.75, 0.5)
    assert (scores["cola_exact_match"], scores["sst_exact_match"]) == (1.0, 0.0)
    assert task.items(said, rows).interval(rng=np.random.default_rng(0)).estimate == 0.5
    assert "sst_exact_match" not in task.score(said[:3], rows[:3])


def test_a_record_has_a_prefix_of_its_own(tokenizer, template):
    task = open_task("text-to-text", {"prefix": "the "})
    rows = [Record({"source": "cat", "target": "a"} | more) for more in ({}, {"prefix": "good "}, {"prefix": ""})]
    assert [task.text_before(row) for row in rows] == ["the cat", "good cat", "cat"]


def test_a_mixture_is_what_an_epoch_is_made_of(tokenizer, template):
    rows = [Record({"source": "cat", "target": "a", "task": "big"}) for _ in range(12)]
    rows += [Record({"source": "dog", "target": "a", "task": "small"}) for _ in range(2)]
    task = open_task("text-to-text", {"cap": 4})
    source = TaskSource(task, rows, tokenizer, template, 16)
    assert len(source) == 4 + 2
    seen = [int(source.example(place, epoch, 0.0).origin_E[0]) for epoch in range(3) for place in range(6)]
    assert sorted(seen) == sorted([*range(12), *[12, 13] * 3])  # in three epochs every one of the large task, once
    assert len(TaskSource(task, rows, tokenizer, template, 16, labelled=False)) == 14
    assert len(TaskSource(open_task("text-to-text"), rows, tokenizer, template, 16)) == 14
    warm = TaskSource(open_task("text-to-text", {"temperature": 100.0}), rows, tokenizer, template, 16)
    drawn = [int(warm.example(place, 0, 0.0).origin_E[0]) >= 12 for place in range(len(warm))]
    assert (len(drawn), sum(drawn)) == (14, 7)  # both alike
    assert len(TaskSource(open_task("text-to-text"), records(), tokenizer, template, 16)) == 8  # one task: each once
    with pytest.raises(InputError, match="temperature=0.5"):
        open_task("text-to-text", {"temperature": 0.5})

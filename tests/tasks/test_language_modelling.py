"""Perplexity a token, a word and a byte through a sliding window, on a decoder and on an encoder-decoder."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pretune.core.assemble import Template
from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.core.stream import Batch, bidirectional, left_to_right
from pretune.families.family import open_family
from pretune.nn.config import Decoder
from pretune.nn.encoder_decoder import EncoderDecoder
from pretune.nn.model import Model
from pretune.tasks.byte_ngrams import ByteNgrams
from pretune.tasks.language_modelling import language_modelling
from pretune.tasks.run import evaluate_task, predict
from pretune.tasks.source import TaskSource
from pretune.tasks.text_windows import windows
from pretune.text.records import Record

TEXT = "she ran in Paris , he saw a good dog . the cat saw Bob in Rome"
RECORDS = [Record({"text": text}) for text in (TEXT, "a dog", "Bob saw Anna in a film . she ran")]


@pytest.fixture(scope="module")
def gpt2(tiny):
    return tiny.model(language_modelling(), "gpt2").eval()


@pytest.fixture(scope="module")
def bare(tokenizer):
    """GPT's template: nothing stands around a text."""
    return open_family("gpt2").template(tokenizer.special_ids)


def plain_nats(model, ids, from_row=1):
    """-log P of each token given all before it, in one pass over the whole."""
    stream = left_to_right(bidirectional(np.asarray(ids, np.int64)))
    with torch.no_grad():
        logits = model.heads["lm"](model.body(Batch(stream).to("cpu"))[:, None], None)
    log_p = logits.log_softmax(-1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return float(-log_p[from_row - 1 :].sum())


@given(n=st.integers(1, 40), room=st.integers(2, 12), data=st.data())
def test_each_token_is_predicted_once_with_enough_before_it(n, room, data):
    first = data.draw(st.integers(0, 1))
    stride = data.draw(st.integers(1, room - first))
    found = list(windows(n, room, stride, first))
    predicted = [token for part in found for token in range(part.first, part.end)]
    assert predicted == list(range(first, n))
    assert all(0 < part.end - part.start <= room for part in found)
    for part in found[1:]:
        assert part.end - part.start == room and part.first - part.start >= room - stride >= first


def test_a_text_that_fits_has_the_probability_of_one_plain_pass(gpt2, tokenizer, template, bare):
    ids = tokenizer.encode(TEXT).ids_P.tolist()
    (found,) = predict(gpt2, language_modelling(), RECORDS[:1], tokenizer, template, 64)
    cls = tokenizer.special_ids["cls"]
    assert found["nats"] == pytest.approx(plain_nats(gpt2, [cls, *ids]), rel=1e-5)
    assert (found["tokens"], found["words"], found["bytes"]) == (len(ids), len(TEXT.split()), len(TEXT))
    (found,) = predict(gpt2, language_modelling(), RECORDS[:1], tokenizer, bare, 64)
    assert found["nats"] == pytest.approx(plain_nats(gpt2, ids), rel=1e-5)
    assert (found["tokens"], found["words"], found["bytes"]) == (len(ids) - 1, len(TEXT.split()) - 1, len(TEXT) - 3)


def test_a_prefix_model_sees_no_more_than_what_stands_before(tiny, tokenizer, template):
    body = tiny.model(language_modelling(), "gpt2").body
    attention = replace(body.config.attention, causal=False, prefix=True)
    other = body.like(attention=attention)
    model = Model(other, {"lm": other.family_head("lm")}).eval()
    ids = [tokenizer.special_ids["cls"], *tokenizer.encode(TEXT).ids_P.tolist()]
    (found,) = predict(model, language_modelling(), RECORDS[:1], tokenizer, template, 64)
    assert found["nats"] == pytest.approx(plain_nats(model, ids), rel=1e-5)


def test_bos_stands_before_the_text_where_nothing_else_does(gpt2, tokenizer, bare):
    with_bos = replace(bare, special_ids=bare.special_ids | {"bos": tokenizer.special_ids["sep"]})
    ids = [with_bos.special_ids["bos"], *tokenizer.encode(TEXT).ids_P.tolist()]
    (found,) = predict(gpt2, language_modelling(), RECORDS[:1], tokenizer, with_bos, 64)
    assert found["nats"] == pytest.approx(plain_nats(gpt2, ids), rel=1e-5) and found["bytes"] == len(TEXT)


@pytest.mark.parametrize("stride", [1, 3, None])
def test_a_long_text_is_the_sum_over_its_windows(gpt2, tokenizer, template, stride):
    ids, cls = tokenizer.encode(TEXT).ids_P.tolist(), tokenizer.special_ids["cls"]
    (found,) = predict(gpt2, language_modelling(stride=stride), RECORDS[:1], tokenizer, template, 8)
    expected = 0.0
    for part in windows(len(ids), 7, stride or 4):
        expected += plain_nats(gpt2, [cls, *ids[part.start : part.end]], 1 + part.first - part.start)
    assert found["nats"] == pytest.approx(expected, rel=1e-5) and found["tokens"] == len(ids)


def test_the_batches_do_not_change_it(gpt2, tokenizer, template):
    task = language_modelling(stride=2)
    whole = predict(gpt2, task, RECORDS, tokenizer, template, 8)
    small = predict(gpt2, task, RECORDS, tokenizer, template, 8, max_tokens=3)
    alone = [predict(gpt2, task, [record], tokenizer, template, 8)[0] for record in RECORDS]
    for other in (small, alone):
        assert [one["nats"] for one in other] == pytest.approx([one["nats"] for one in whole], rel=1e-5)


@pytest.mark.parametrize("single", [("cls", 0, "sep"), (0, "sep")])
def test_a_decoder_beside_an_encoder_reads_the_text_and_the_encoder_none(tiny, tokenizer, single):
    template = Template(
        tokenizer.special_ids,
        single=single,
        pair=("cls", 0, "sep", 1, "sep"),
        segments_single=(0,) * len(single),
        start="sep",
    )
    model = encoder_decoder(tiny)
    ids, special = tokenizer.encode(TEXT).ids_P.tolist(), tokenizer.special_ids
    before = [special["sep"], *([special["cls"]] if "cls" in single else [])]
    nothing = [special[part] for part in single if part != 0]
    source = bidirectional(np.array(nothing))
    target = left_to_right(bidirectional(np.array([*before, *ids])))
    with torch.no_grad():
        logits = model.heads["lm"](model.body(Batch(source, target).to("cpu"))[:, None], None)
    each = logits.log_softmax(-1)[torch.arange(len(ids)) + len(before) - 1, torch.tensor(ids)]
    (found,) = predict(model, language_modelling(), RECORDS[:1], tokenizer, template, 64)
    assert found["nats"] == pytest.approx(-float(each.sum()), rel=1e-5)


def encoder_decoder(tiny):
    body = tiny.model(language_modelling(), "gpt2").body
    attention = replace(body.config.attention, causal=False)
    both = EncoderDecoder(replace(body.config, attention=attention, decoder=Decoder(2, 2, 64)), seed=3)
    both.join("gpt2", lambda kind, of, labels: open_family("gpt2").head(kind, of, labels))
    return Model(both, {"lm": both.family_head("lm")}).eval()


def test_scores_by_hand():
    said = [
        {"nats": 8 * math.log(2), "tokens": 4, "words": 2, "bytes": 16, "unknown": 1, "kept": True},
        {"nats": 4 * math.log(2), "tokens": 2, "words": 2, "bytes": 8, "unknown": 0, "kept": False},
    ]
    scores = language_modelling().score(said, RECORDS[:2])
    assert scores["perplexity"] == pytest.approx(4) and scores["word_perplexity"] == pytest.approx(8)
    assert scores["bits_per_byte"] == pytest.approx(0.5) and scores["token_probability"] == pytest.approx(0.25)
    assert scores["unknown_rate"] == pytest.approx(1 / 6) and scores["text_kept"] == 0.5
    for metric in ("byte_probability", "word_probability", "token_probability"):
        interval = language_modelling(metric=metric).items(said, RECORDS[:2]).interval(rng=np.random.default_rng(0))
        assert interval.estimate == pytest.approx(scores[metric])


def test_what_a_tokenizer_loses_is_told(gpt2, tokenizer, template):
    records = [Record({"text": "she ran zzz"}), Record({"text": "she ran"}), Record({"text": "she  ran"})]
    found = evaluate_task(gpt2, language_modelling(), records, tokenizer, template, 16)
    assert found.scores["unknown_rate"] == pytest.approx(1 / 7)
    assert [one["kept"] for one in found.predictions] == [False, True, False]


def test_training_takes_a_window_a_sample_and_learns(tiny, tokenizer, template):
    task = language_modelling()
    source = TaskSource(task, RECORDS, tokenizer, template, 8)
    assert len(source) > len(RECORDS) and sum(task.counts(one)["lm"] for one in source.examples) == sum(
        len(tokenizer.encode(record["text"])) for record in RECORDS
    )
    model = tiny.model(task, "gpt2", **tiny.without_dropout("gpt2"))
    before = evaluate_task(model, task, RECORDS, tokenizer, template, 8).scores
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(30):
        optimizer.zero_grad()
        example = source.example(step % len(source), 0, 0.0)
        loss = task.loss(model, pack([example]).to("cpu"))["lm"]
        (loss.sum / loss.count).backward()
        optimizer.step()
    after = evaluate_task(model, task, RECORDS, tokenizer, template, 8).scores
    assert after["byte_probability"] > before["byte_probability"] and after["perplexity"] < before["perplexity"] / 4
    assert model.training


def test_what_cannot_be_scored_is_refused(tiny, gpt2, tokenizer, template, bare):
    task = language_modelling()
    with pytest.raises(InputError, match="reads both sides"):
        predict(tiny.model(tiny.fitted("classify")[0], "bert"), task, RECORDS, tokenizer, template, 8)
    for text, what, around in (("   ", "empty", template), ("dog", "one token", bare)):
        record = Record({"text": text}, "a.jsonl", 3)
        with pytest.raises(InputError, match=f"a.jsonl:3: .*{what}"):
            evaluate_task(gpt2, task, [record], tokenizer, around, 8)
    with pytest.raises(InputError, match="max_length=1 leaves no room"):
        predict(gpt2, task, RECORDS, tokenizer, template, 1)
    with pytest.raises(InputError, match="stride=0"):
        language_modelling(stride=0)
    with torch.no_grad():
        model = tiny.model(task, "gpt2")
        model.body.token_embedding.weight.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="diverged"):
        predict(model, task, RECORDS, tokenizer, template, 8)


def test_byte_ngrams_by_hand_and_sum_to_one():
    # order 1: a 4 and b 4 of 8, two kinds: (4 + 2/256) / 10; order 2 mixes with it by the kinds that follow
    unigram = (4 + 2 / 256) / 10
    model = ByteNgrams(["abababab"], order=2)
    first, b_after_a = (1 + unigram) / 2, (4 + unigram) / 5
    assert model.nats("ab") == pytest.approx(-math.log(first) - math.log(b_after_a))
    trained = ByteNgrams(["she ran", "he saw a dog"], order=3)
    ascii_mass = sum(math.exp(-trained.nats("sh" + chr(number))) for number in range(128))
    other = math.exp(-trained.nats("sh" + chr(1)))  # every byte that was never seen has the same
    assert ascii_mass + 128 * other == pytest.approx(math.exp(-trained.nats("sh")))
    with pytest.raises(ValueError, match="order is 8"):
        ByteNgrams(["a"], order=8)


def test_few_texts_are_told():
    assert "only 3 texts" in language_modelling().remarks(RECORDS)[0] and not language_modelling().remarks(RECORDS * 4)


def test_baselines_know_only_the_training_texts():
    found = language_modelling().baselines(RECORDS, RECORDS)
    assert found["byte-5-gram"]["byte_probability"] > found["byte-unigram"]["byte_probability"]
    other = language_modelling().baselines([Record({"text": "zzzz"})], RECORDS)
    assert other["byte-5-gram"]["bits_per_byte"] > 7

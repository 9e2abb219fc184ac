"""tag: gold labels at pieces, words from pieces by both rules, windows, places, span scores equal to seqeval's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqeval import metrics as seqeval

from pretune.core.errors import InputError
from pretune.core.pack import pack
from pretune.metrics.schemes import marks_spans
from pretune.tasks.run import predict
from pretune.tasks.sentences import windows
from pretune.tasks.source import TaskSource
from pretune.tasks.tag import tag
from pretune.text.records import Record, read_records

POS = Record({"words": ["the", "cats", "walked"], "tags": ["DET", "NOUN", "VERB"]}, "train.conll", 1)


def tokens(tokenizer, example):
    return [tokenizer.token(number) for number in example.source.ids_T]


def test_gold_labels_by_hand(tokenizer, template):
    task = tag().fit_labels([POS])
    example = task.featurize(POS, tokenizer, template, 16)
    assert tokens(tokenizer, example) == ["[CLS]", "the", "cat", "##s", "walk", "##ed", "[SEP]"]
    targets = example.predict["token"]
    assert task.labels == ("DET", "NOUN", "VERB")
    assert targets.at_MK[:, 0].tolist() == [1, 2, 4]
    assert targets.gold_M.tolist() == [0, 1, 2]
    assert targets.group_M.tolist() == [0, 1, 2]
    everywhere = replace(task, label_pieces="all").featurize(POS, tokenizer, template, 16).predict["token"]
    assert everywhere.at_MK[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert everywhere.gold_M.tolist() == [0, 1, 1, 2, 2]
    assert everywhere.group_M.tolist() == [0, 1, 1, 2, 2]


def test_rows_for_training_and_for_decoding_differ(tokenizer, template):
    task = tag(label_pieces="first", decode_pieces="mean").fit_labels([POS])
    assert len(task.featurize(POS, tokenizer, template, 16).predict["token"]) == 3
    assert len(task.featurize(POS, tokenizer, template, 16, labelled=False).predict["token"]) == 5
    other = tag(label_pieces="all", decode_pieces="first").fit_labels([POS])
    assert len(other.featurize(POS, tokenizer, template, 16).predict["token"]) == 5
    assert len(other.featurize(POS, tokenizer, template, 16, labelled=False).predict["token"]) == 3


def plain_decode(task, probabilities, words_of_pieces):
    """Ten plain lines: piece probabilities [P][C] and each piece's word to the words' tags."""
    found = []
    for word in dict.fromkeys(words_of_pieces):
        rows = [row for row, owner in zip(probabilities, words_of_pieces, strict=True) if owner == word]
        row = (
            rows[0]
            if task.decode_pieces == "first"
            else [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        )
        found.append((task.labels[row.index(max(row))], max(row)))
    return found


@pytest.mark.parametrize("rule", ["first", "mean"])
@given(
    sizes=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=1, max_size=4), seed=st.integers(0, 99)
)
def test_words_come_from_ragged_pieces_by_both_rules(rule, sizes, seed, tokenizer, template):
    task = tag(labels=("A", "B", "C"), decode_pieces=rule)
    records = [Record({"words": ["cat" + "s" * (size - 1) for size in sentence]}) for sentence in sizes]
    examples = [task.featurize(record, tokenizer, template, 64, labelled=False) for record in records]
    batch = pack(examples)
    logits = torch.randn(len(batch.predict["token"]), 3, generator=torch.Generator().manual_seed(seed))
    found = task.decode({"token": logits}, batch, records)
    assert [len(sentence) for sentence in found] == [len(sentence) for sentence in sizes]
    start = 0
    for sentence, example in zip(found, examples, strict=True):
        groups = example.predict["token"].group_M.tolist()
        rows = torch.softmax(logits[start : start + len(groups)].double(), -1).tolist()
        start += len(groups)
        expected = plain_decode(task, rows, groups)
        assert [word["entity"] for word in sentence] == [name for name, _ in expected]
        assert [word["score"] for word in sentence] == pytest.approx([score for _, score in expected])


def test_the_two_rules_can_disagree():
    targets = type("T", (), {"group_M": np.array([0, 0])})
    batch = type("Packed", (), {"predict": {"token": targets}})
    logits = torch.tensor([[0.55, 0.45], [0.1, 0.9]]).log()
    record = Record({"words": ["cats"]})
    first = tag(labels=("A", "B")).decode({"token": logits}, batch, [record])
    mean = tag(labels=("A", "B"), decode_pieces="mean").decode({"token": logits}, batch, [record])
    assert first == [[{"word": "cats", "entity": "A", "score": pytest.approx(0.55), "start": 0, "end": 4}]]
    assert mean == [[{"word": "cats", "entity": "B", "score": pytest.approx(0.675), "start": 0, "end": 4}]]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.integers(1, 7))
def test_windows_hold_whole_words_in_order(sizes, room):
    first = np.cumsum([0, *sizes[:-1]])
    cut = windows(first, sum(sizes), room)
    assert [word for start, end, _ in cut for word in range(start, end)] == list(range(len(sizes)))
    for (start, end, kept), following in zip(cut, [*cut[1:], None], strict=True):
        assert kept == min(sum(sizes[start:end]), room)
        assert end - start == 1 or sum(sizes[start:end]) <= room
        assert following is None or sum(sizes[start : end + 1]) > room  # one more word would not fit


@pytest.mark.parametrize("rule", ["first", "mean"])
def test_a_long_sentence_is_several_sequences_and_every_word_is_scored(rule, tiny, tokenizer, template):
    words = ["the", "cats", "saw", "dogs", "walkinged", "books", "in", "Paris"]
    record = Record({"words": words, "tags": ["A", "B"] * 4})
    short = Record({"words": ["a"], "tags": ["A"]})
    task = tag(decode_pieces=rule).fit_labels([record])
    example = task.featurize(record, tokenizer, template, 5, labelled=False)
    assert sorted(example.source.lengths_N.tolist()) == [3, 5, 5, 5, 5]
    assert example.num_cut == 0 and example.predict["token"].gold_M is None
    labelled = task.featurize(record, tokenizer, template, 5).predict["token"]
    assert labelled.gold_M.tolist() == [0, 1] * 4
    model = tiny.model(task)
    found = predict(model, task, [record, short, record], tokenizer, template, 5)
    assert [word["word"] for word in found[0]] == words
    assert [len(sentence) for sentence in found] == [8, 1, 8]
    # a window sees nothing of the others: its words are predicted as if they were a sentence of their own
    alone = predict(model, task, [Record({"words": words[:2]})], tokenizer, template, 5)[0]
    assert [word["score"] for word in found[2][:2]] == pytest.approx([word["score"] for word in alone], abs=1e-6)


def test_a_word_longer_than_a_sequence_loses_its_tail_counted(tokenizer, template):
    record = Record({"words": ["cat" + "s" * 5, "dog"], "tags": ["A", "B"]})
    task = tag(label_pieces="all").fit_labels([record])
    source = TaskSource(task, [record], tokenizer, template, 5)
    assert (source.num_cut, source.num_truncated) == (3, 1)
    assert source.examples[0].predict["token"].gold_M.tolist() == [0, 0, 0, 1]


def test_words_the_tokenizer_makes_nothing_of_keep_their_place(tokenizer, template):
    record = Record({"words": ["cat", "\u200b", "zebra", "dog"], "tags": ["A", "B", "A", "B"]})
    task = tag().fit_labels([record])
    assert len(task.featurize(record, tokenizer, template, 16).predict["token"]) == 4


def test_places_are_characters_of_the_text(tiny, tokenizer, template):
    task, _ = tiny.fitted("tag")
    text = "Anna  saw\tParis."
    found = predict(tiny.model(task), task, [Record({"text": text})], tokenizer, template, 16)[0]
    assert [text[word["start"] : word["end"]] for word in found] == ["Anna", "saw", "Paris", "."]
    assert [word["word"] for word in found] == ["Anna", "saw", "Paris", "."]
    words = ["Anna", "saw", "Paris"]
    found = predict(tiny.model(task), task, [Record({"words": words})], tokenizer, template, 16)[0]
    assert [" ".join(words)[word["start"] : word["end"]] for word in found] == words


def random_tags(rng, size):
    return [str(name) for name in rng.choice(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], size)]


def test_bio_is_scored_as_seqeval_does_and_others_by_accuracy():
    rng = np.random.default_rng(0)
    gold = [random_tags(rng, size) for size in rng.integers(1, 9, 50)]
    predicted = [random_tags(rng, len(sentence)) for sentence in gold]
    records = [Record({"words": ["a"] * len(sentence), "tags": sentence}) for sentence in gold]
    task = tag().fit_labels(records)
    scores = task.score([[{"entity": name} for name in sentence] for sentence in predicted], records)
    assert task.main_metric == "f1"
    assert scores == pytest.approx(
        {
            "f1": seqeval.f1_score(gold, predicted),
            "precision": seqeval.precision_score(gold, predicted),
            "recall": seqeval.recall_score(gold, predicted),
            "accuracy": seqeval.accuracy_score(gold, predicted),
        }
    )
    pos = tag().fit_labels([POS])
    assert pos.main_metric == "accuracy"
    guess = [[{"entity": name} for name in ("DET", "DET", "VERB")]]
    assert pos.score(guess, [POS]) == pytest.approx({"accuracy": 2 / 3, "macro_f1": (2 / 3 + 0 + 1) / 3})


def test_schemes_are_told_apart():
    assert marks_spans(["B-X", "O"]) and marks_spans(["B-X", "I-X", "E-X", "S-X", "O"])
    assert not marks_spans(["B-X", "NOUN"]) and not marks_spans(["I", "B", "O"])
    with pytest.raises(InputError, match="mark no spans.*f1 is of spans"):
        tag(labels=("DET", "NOUN"), metric="f1")


def test_faulty_sentences_are_errors_that_name_the_line(tokenizer, template):
    def check(row, what):
        with pytest.raises(InputError, match=f"dev.jsonl:3: {what}"):
            tag(labels=("A", "B")).featurize(Record(row, "dev.jsonl", 3), tokenizer, template, 16)

    check({"words": ["a", "cat"], "tags": ["A"]}, "2 words but 1 tags")
    check({"words": [], "tags": []}, "the sentence has no words")
    check({"words": ["a"], "tags": [None]}, "tag None of 'a' is not a name")
    check({"words": ["a"], "tags": ["C"]}, "label 'C' is none of A, B")
    check({"words": [1], "tags": ["A"]}, "no list of words")
    with pytest.raises(InputError, match=r"'C' \(1 times, first at dev.jsonl:3\)"):
        tag(labels=("A", "B")).check([Record({"words": ["a"], "tags": ["C"]}, "dev.jsonl", 3)])
    with pytest.raises(InputError, match="mixed label types"):
        tag().fit_labels([Record({"words": ["a", "b", "c"], "tags": ["A", 1, "B"]}, "dev.jsonl", 3)])


def test_from_conll(tmp_path, tokenizer, template):
    path = tmp_path / "ner.conll"
    path.write_text("Anna\tB-PER\nsaw\tO\nParis\tB-LOC\n\nthe\tO\nbook\tO\n")
    task = tag().fit_labels(records := read_records(path))
    assert task.labels == ("B-LOC", "B-PER", "O")
    batch = pack(TaskSource(task, records, tokenizer, template, 16).examples)
    assert batch.predict["token"].gold_M.tolist() == [1, 2, 0, 2, 2]
    assert batch.predict["token"].group_M.tolist() == [0, 1, 2, 3, 4]

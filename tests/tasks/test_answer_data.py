"""SQuAD's own files: sizes as published, whole words are nearly always enough, the baselines' figures."""

import os
from pathlib import Path

import pytest
import torch
from tokenizers import models, normalizers, pre_tokenizers

from pretune.core.assemble import Template
from pretune.core.pack import pack
from pretune.tasks.answer import answer
from pretune.tasks.source import TaskSource
from pretune.text.answers import answers_of
from pretune.text.records import read_records
from pretune.tokenizers.tokenizer import Backend, Tokenizer

DATA = Path(os.environ.get("PRETUNE_DATA", Path(__file__).parents[3] / "shared/data"))
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason="needs the data folder, at ../shared/data or PRETUNE_DATA"),
]
FILES = {"1.1": "squad_v1.1/dev-v1.1.json", "2.0": "squad_v2.0/dev-v2.0.json.gz"}


def a_piece_a_word():
    """BERT's words, each one piece that nobody knows: offsets are all that matters here."""
    backend = Backend(models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    return Tokenizer(backend)


def test_sizes_are_the_published_ones():
    for version, (number, without) in {"1.1": (10_570, 0), "2.0": (11_873, 5_945)}.items():
        records = read_records(DATA / FILES[version])
        assert (len(records), sum(not answers_of(record) for record in records)) == (number, without)


@pytest.mark.parametrize(("version", "ceiling"), [("1.1", 0.996), ("2.0", 0.997)])
def test_the_first_gold_answer_survives_pieces_windows_and_decoding(version, ceiling):
    """A model that says exactly what it was taught: what is lost are answers that are parts of words."""
    records = read_records(DATA / FILES[version])
    tokenizer = a_piece_a_word()
    task = answer(stride=64).fit_labels(records)
    assert task.no_answer == (version == "2.0")
    source = TaskSource(task, records, tokenizer, Template(tokenizer.special_ids), 160)
    assert source.num_cut == 0 and any(len(example.source.lengths_N) > 2 for example in source.examples)
    predictions = []
    for start in range(0, len(records), 64):
        batch = pack(source.examples[start : start + 64])
        gold = torch.from_numpy(batch.predict["answer"].gold_M)
        is_summary = torch.from_numpy(batch.predict["answer"].weight_M)[:, None] > 0
        taught = torch.where(is_summary & (not task.no_answer), 0.0, 20.0 * gold)
        if task.no_answer:  # [CLS] of a window without the answer says nothing of the others
            taught = torch.where(is_summary, 15.0 * gold, taught)
        predictions += task.decode({"answer": taught}, batch, records[start : start + 64])
    scores = task.score(predictions, records)
    assert scores["exact_match"] > ceiling
    assert scores.get("no_answer_exact_match", 1.0) == 1.0


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.1", {"first-sentence": (0.000, 0.097), "sliding-window": (0.121, 0.192)}),
        ("2.0", {"no-answer": (0.501, 0.501), "sliding-window": (0.059, 0.093)}),
    ],
)
def test_baselines(version, expected):
    records = read_records(DATA / FILES[version])
    found = answer().fit_labels(records).baselines([], records)
    assert found.keys() == expected.keys()
    for name, (exact, f1) in expected.items():
        assert (found[name]["exact_match"], found[name]["f1"]) == pytest.approx((exact, f1), abs=0.01)

"""A tiny tokenizer, tiny models of every family, and a few records of every task."""

import pytest
import torch
from tokenizers import models, pre_tokenizers

from pretune.core.assemble import Template
from pretune.core.randomness import derive_rng
from pretune.families.family import open_family
from pretune.nn.model import Model
from pretune.tasks.task import open_task
from pretune.text.records import Record
from pretune.tokenizers.tokenizer import Backend, Tokenizer

TEXT = "the a cat dog film book good bad fine poor she he walk run ran saw in . , Paris Rome Anna Bob"
WORDS = TEXT.split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "##ed", "##ing", "##ly"]


@pytest.fixture(scope="session")
def tokenizer():
    backend = Backend(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return Tokenizer(backend)


@pytest.fixture(scope="session")
def template(tokenizer):
    return Template(tokenizer.special_ids)


def sentence(rng, size):
    return [str(word) for word in rng.choice(WORDS, size)]


def text_of(rng, size):
    return " ".join(sentence(rng, size))


def make_question(index):
    """Two sentences and a question about the second or the first, whose answer is a name."""
    names = ["Paris", "Rome", "Anna", "Bob"]
    first, second = names[index % 4], names[(index + 1 + index // 4) % 4]
    context = f"{first} ran in a book. {second} saw the {['cat', 'dog', 'film'][index % 3]}."
    asked, gold = ("ran in a", first) if index % 5 == 4 else ("saw the", second)
    return {"context": context, "question": asked, "answers": [{"text": gold, "start": context.index(gold)}]}


def make_choices(rng, text, index):
    """Two to four choices, no two the same; the right one repeats words of the text."""
    first = [WORDS[(index + 5 * number) % len(WORDS)] for number in range(2 + index % 3)]
    choices = [f"{word} {text_of(rng, int(rng.integers(0, 3)))}".strip() for word in first]
    label = index // 3 % len(choices)
    choices[label] = " ".join([choices[label], *text.split()[-2:]])
    return {"text": text, "choices": choices, "label": label}


def make_similar(index, number):
    """Two texts that share more words from record to record, and a third that shares none."""
    words = [WORDS[(3 * index + place) % len(WORDS)] for place in range(6)]
    shared = round(6 * index / (number - 1))
    other = [WORDS[(3 * index + 6 + place) % len(WORDS)] for place in range(6)]
    second = " ".join(words[:shared] + other[: 5 - shared]) or other[0]
    return {"text": " ".join(words), "text_b": second, "text_c": " ".join(other[2:4]), "label": 1.0 + index / 2}


def make_records(task, number=12):
    """Records of unequal lengths that a model can learn by heart."""
    rng = derive_rng("records", task)
    rows = []
    for index in range(number):
        row = {"text": text_of(rng, int(rng.integers(1, 9)))}
        if task == "classify":
            row["label"] = ["neg", "pos", "so-so"][index % 3]
        elif task == "pair":
            row |= {"text_b": text_of(rng, int(rng.integers(1, 6))), "label": index % 2}
        elif task == "regress":
            row |= {"text_b": text_of(rng, 3), "label": 10.0 + index % 5}
        elif task == "tag":
            words = sentence(rng, int(rng.integers(1, 9)))
            words = [word + ("s" if word in ("cat", "dog", "book") else "") for word in words]
            row = {"words": words, "tags": [("B-LOC" if word[0].isupper() else "O") for word in words]}
        elif task == "answer":
            row = make_question(index)
        elif task == "similar":
            row = make_similar(index, number)
        elif task in ("summarise", "text-to-text", "translate"):
            row = {"source": row["text"], "target": text_of(rng, 4) if index % 2 else "she ran in Rome"}
        elif task == "choose":
            row = make_choices(rng, row["text"], index)
        rows.append(Record(row, "train.jsonl", index + 1))
    return rows


def make_model(task, family=None, seed=1, **changes):
    """A tiny body of a family with the task's head, weights large enough for outputs that differ. family: None for
    bert, or gpt2 where the task predicts next tokens."""
    family = family or ("gpt2" if task.head == "lm" else "bert")
    inner = 128 if family == "gpt" else 64  # whose files know no other
    family = open_family(family)
    size = {"num_layers": 2, "hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": inner}
    body = family.build(family.config(size, vocab_size=len(PIECES), **changes), seed=seed)
    model = Model(body, task.heads(body))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def without_dropout(family):
    return {"hidden_dropout": 0.0, "embedding_dropout": 0.0, "attention.dropout": 0.0} if family != "modern" else {}


def fitted(name, **settings):
    records = make_records(name)
    return open_task(name, settings).fit_labels(records), records


@pytest.fixture(scope="session")
def tiny():
    """What the tests build their cases from."""

    class Tiny:
        records = staticmethod(make_records)
        model = staticmethod(make_model)
        fitted = staticmethod(fitted)
        without_dropout = staticmethod(without_dropout)

    return Tiny

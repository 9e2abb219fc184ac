"""A corpus in memory, with tables kept as a real one keeps them, and helpers on it, as the fixture `lab`."""

from types import SimpleNamespace

import numpy as np
import pytest

from pretune.core.assemble import Template, assemble
from pretune.core.marks import SENTENCE_START, WORD_START
from pretune.core.protocols import Context
from pretune.core.randomness import derive_rng
from pretune.core.vocab import Vocab

PAD, CLS, SEP, MASK, UNK = range(5)
FIRST = 5
"""The first ordinary id."""
TEMPLATE = Template({"cls": CLS, "sep": SEP})
TWO = Template({"cls": CLS, "sep": SEP}, start="sep")
"""Of a decoder beside an encoder; BART's."""


class MemoryCorpus:
    """TokenStore of documents given as lists of sentences of ids. Every `word_length`-th token starts a word.
    vocab_size: without the sentinels, which are the last ids, <extra_id_0> the very last."""

    def __init__(self, documents, vocab_size=None, word_length=1, sentinels=0):
        sentences = [sentence for document in documents for sentence in document]
        lengths = [sum(map(len, document)) for document in documents]
        self.ids_T = np.array([token for sentence in sentences for token in sentence], np.int32)
        self.document_starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.sentence_starts = np.cumsum([0] + [len(sentence) for sentence in sentences])[:-1].astype(np.int64)
        self.num_documents, self.num_tokens = len(documents), len(self.ids_T)
        starts = [place % word_length == 0 for sentence in sentences for place in range(len(sentence))]
        self.marks_T = np.array(starts, np.uint8) * WORD_START
        self.marks_T[self.sentence_starts] |= SENTENCE_START
        plain = vocab_size or int(self.ids_T.max()) + 1
        size = plain + sentinels
        counts = np.bincount(self.ids_T, minlength=size)
        is_special = (np.arange(size) < FIRST) | (np.arange(size) >= plain)
        marks = tuple(range(size - 1, plain - 1, -1))
        self.vocab = Vocab(
            size, is_special, PAD, UNK, CLS, SEP, MASK, sentinel_ids=marks, unigram_V=counts / counts.sum()
        )
        self.tables = {}

    def ids(self, start, end):
        return self.ids_T[start:end]

    def marks(self, start, end):
        return self.marks_T[start:end]

    def table(self, name, compute):
        if name not in self.tables:
            self.tables[name] = np.concatenate(list(compute(self)))
            assert self.tables[name].dtype == np.int64 and self.tables[name].ndim == 1
        return self.tables[name]


def numbered(*documents, word_length=1):
    """A corpus whose ids are FIRST + place, so that an id says where it is from; documents are lists of lengths."""
    place, made = FIRST, []
    for lengths in documents:
        made.append([list(range(place + sum(lengths[:n]), place + sum(lengths[: n + 1]))) for n in range(len(lengths))])
        place += sum(lengths)
    return MemoryCorpus(made, vocab_size=max(place, FIRST + 2), word_length=word_length)


def varied(num_documents=40, num_sentences=12, seed=0, vocab_size=60, sentinels=0):
    """A corpus of documents of many lengths, some with one sentence, one token or none; Zipf's frequencies."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(1, vocab_size - FIRST + 1)

    def sentence():
        return (FIRST + rng.choice(len(weights), rng.integers(1, 25), p=weights / weights.sum())).tolist()

    documents = [[sentence() for _ in range(rng.integers(1, num_sentences))] for _ in range(num_documents)]
    return MemoryCorpus([*documents, [], [[FIRST]], [sentence()], []], vocab_size, sentinels=sentinels)


def context(corpus, max_length=32, seed=0, epoch=0, number=0, num_special=(2, 3), template=TEMPLATE):
    rng = derive_rng(seed, epoch, number)
    return Context(corpus.vocab, max_length, rng, num_special, place=(seed, epoch, number), start_id=template.start_id)


def example(objective, corpus, number, max_length=32, seed=0, epoch=0, template=TEMPLATE):
    """What the corpus's source does: arrange, assemble, corrupt with one generator."""
    told = context(corpus, max_length, seed, epoch, number, template=template)
    return objective.corrupt(assemble(objective.arrange(corpus, number, told), template), told)


@pytest.fixture(scope="session")
def lab():
    return SimpleNamespace(
        MemoryCorpus=MemoryCorpus,
        TEMPLATE=TEMPLATE,
        TWO=TWO,
        FIRST=FIRST,
        MASK=MASK,
        UNK=UNK,
        numbered=numbered,
        varied=varied,
        context=context,
        example=example,
    )

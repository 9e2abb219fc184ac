"""Sentinels: how many, which ids, in T5's order, special, counted in the size; roles that a vocabulary tells."""

import numpy as np
import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models

from pretune.core.errors import InputError
from pretune.tokenizers.pipelines import ALGORITHMS, SPECIAL_TOKENS
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer

SIZES = {"char": None, "byte": None, "byte-bpe": 300, "word": 100, "unigram": 157}


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_sentinels_are_the_last_ids_of_a_size_that_counts_them(prose, tmp_path, kind):
    """T5's order: <extra_id_0> is the last id. All else is as if a smaller vocabulary had been asked for."""
    size = SIZES.get(kind, 150)
    tokenizer, report = train_tokenizer(prose, algorithm=kind, vocab_size=size, sentinels=7)
    vocab = tokenizer.vocab
    assert report.vocab_size == vocab.size == (size or vocab.size) and not report.warnings
    assert vocab.sentinel_ids == tuple(range(vocab.size - 1, vocab.size - 8, -1))
    assert tokenizer.id("<extra_id_0>") == vocab.size - 1 and tokenizer.id("<extra_id_6>") == vocab.size - 7
    assert vocab.is_special_V[list(vocab.sentinel_ids)].all() and vocab.is_special_V.sum() == len(SPECIAL_TOKENS) + 7
    plain, _ = train_tokenizer(prose, algorithm=kind, vocab_size=size and size - 7)
    assert plain.vocab.sentinel_ids == () and plain.vocab.size == vocab.size - 7
    line = "It is a truth, universally acknowledged"
    assert tokenizer.encode(line).ids_P.tolist() == plain.encode(line).ids_P.tolist()
    tokenizer.save(tmp_path / kind)
    assert Tokenizer.load(tmp_path / kind).vocab.sentinel_ids == vocab.sentinel_ids


def test_texts_with_sentinels(prose, tmp_path):
    """A text for a model may name them; in a corpus the same signs are words."""
    tokenizer, _ = train_tokenizer(prose, algorithm="unigram", vocab_size=150, sentinels=3)
    ids = tokenizer.encode("a man<extra_id_0>truth").ids_P.tolist()
    assert ids.count(tokenizer.vocab.sentinel_ids[0]) == 1
    assert not np.isin(tokenizer.literal().encode("a man<extra_id_0>truth").ids_P, tokenizer.vocab.sentinel_ids).any()
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("a man<extra_id_0>truth", add_special_tokens=False)["input_ids"] == ids
    assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids)


def test_too_small_for_its_sentinels(prose):
    with pytest.raises(InputError, match="vocab_size is 100: wordpiece needs at least 106"):
        train_tokenizer(prose, algorithm="wordpiece", vocab_size=100, sentinels=100)
    with pytest.raises(InputError, match="special tokens and alphabet alone take more"):
        train_tokenizer(prose, algorithm="wordpiece", vocab_size=120, sentinels=100)
    with pytest.raises(InputError, match="sentinels is -1"):
        train_tokenizer(prose, algorithm="wordpiece", vocab_size=100, sentinels=-1)


def test_roles_of_a_published_vocabulary():
    """T5's: pad, end and unknown by name, sentinels from the end; what is missing in between ends the row of them."""
    tokens = ["<pad>", "</s>", "<unk>", "a", "b", "<extra_id_3>", "<extra_id_1>", "<extra_id_0>", "▁<extra_id_2>"]
    backend = Backend(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    vocab = Tokenizer(backend, special_tokens={"pad": "<pad>", "eos": "</s>", "unk": "<unk>", "bos": "a"}).vocab
    assert (vocab.pad_id, vocab.eos_id, vocab.unk_id, vocab.bos_id, vocab.mask_id) == (0, 1, 2, 3, None)
    assert vocab.sentinel_ids == (7, 6, 8, 5)
    assert np.flatnonzero(vocab.is_special_V).tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    del tokens[5:8]
    backend = Backend(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    assert Tokenizer(backend).vocab.sentinel_ids == ()

"""What every kind promises: ids, word starts, offsets, given words, decoding, pickling."""

import hashlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from pretune.core.errors import InputError
from pretune.core.marks import WORD_START
from pretune.tokenizers.columns import encode_columns
from pretune.tokenizers.pipelines import ALGORITHMS
from pretune.tokenizers.tokenizer import Tokenizer

each_kind = pytest.mark.parametrize("kind", ALGORITHMS)


@each_kind
def test_shapes_and_types(kinds, hard, kind):
    tokenizer = kinds[kind]
    assert tokenizer.kind == kind
    for text in hard:
        pieces = tokenizer.encode(text)
        assert pieces.ids_P.dtype == pieces.words_P.dtype == pieces.offsets_P2.dtype == np.int32
        assert pieces.marks_P.dtype == np.uint8
        assert pieces.offsets_P2.shape == (len(pieces), 2)
        assert pieces.ids_P.tolist() == tokenizer.backend.encode(text, add_special_tokens=False).ids
        starts = pieces.marks_P == WORD_START
        assert np.array_equal(pieces.words_P, np.cumsum(starts) - 1)
        assert not len(pieces) or starts[0]


@each_kind
def test_offsets_point_at_the_text(kinds, hard, kind):
    for text in hard:
        pieces = kinds[kind].encode(text)
        assert (pieces.offsets_P2[:, 0] <= pieces.offsets_P2[:, 1]).all()
        for start, end in pieces.offsets_P2:
            assert end <= len(text)
            assert not text[start:end][:1].isspace()


def shown(tokenizer, text):
    """The words of a text, each as the piece of text it stands for."""
    pieces = tokenizer.encode(text)
    words = []
    for number in range(int(pieces.words_P[-1]) + 1):
        of_word = pieces.offsets_P2[pieces.words_P == number]
        words.append(text[of_word[0, 0] : of_word[-1, 1]])
    return words


@each_kind
def test_words_are_words(kinds, kind):
    assert (
        shown(kinds[kind], "a truth, acknowledged (universally).")
        == (
            [
                "a",
                "truth",
                ",",
                "acknowledged",
                "(",
                "universally",
                ")" if kind in ("wordpiece", "word") else ").",
                ".",
            ][: 8 if kind in ("wordpiece", "word") else 7]
        )
    )


def test_byte_level_and_marked_pieces_start_words(kinds):
    pieces = kinds["byte-bpe"].encode("the wife of")
    starts = [kinds["byte-bpe"].token(i)[0] == "Ġ" for i in pieces.ids_P]
    assert starts == (pieces.marks_P == WORD_START).tolist()
    pieces = kinds["unigram"].encode("the wife of")
    starts = [kinds["unigram"].token(i)[0] == "▁" for i in pieces.ids_P]
    assert starts == (pieces.marks_P == WORD_START).tolist()


def test_marks_alone_start_words_where_the_library_knows_none():
    """A SentencePiece model without a pre-tokeniser (as LLaMA 1 has it): the library sees one single word."""
    ids = {piece: n for n, piece in enumerate(["<unk>", "▁", "a", "b", "▁a", "▁b", "ab", "▁ab"])}
    backend = Backend(models.BPE(ids, [("▁", "a"), ("▁", "b"), ("a", "b"), ("▁a", "b")], unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer = Tokenizer(backend)
    assert tokenizer.encode("ab ba b").words_P.tolist() == [0, 1, 1, 2]
    assert tokenizer.encode_words(["ab", "ba", "b"]).words_P.tolist() == [0, 1, 1, 2]


@each_kind
def test_given_words(kinds, kind):
    tokenizer = kinds[kind]
    words = ["Mr.", "", "don't", "New York", "\u200b", "x\u0301y", " wife", "[MASK]", "日本", "."]
    pieces = tokenizer.encode_words(words)
    assert sorted(set(pieces.words_P.tolist())) == list(range(len(words)))
    assert (np.diff(pieces.words_P) >= 0).all()
    first = np.concatenate([[True], np.diff(pieces.words_P) > 0])
    assert np.array_equal(pieces.marks_P == WORD_START, first)
    assert pieces.ids_P[pieces.words_P == 1].tolist() == [tokenizer.special_ids["unk"]]
    assert tokenizer.special_ids["mask"] in pieces.ids_P[pieces.words_P == 7]
    for (start, end), number in zip(pieces.offsets_P2, pieces.words_P, strict=True):
        assert 0 <= start <= end <= len(words[number])


@each_kind
def test_given_words_are_the_words_joined_by_spaces(kinds, kind):
    words = ["My", "dear", "Mr.", "Bennet", ",", "said", "his", "lady", ";", "won't", "you", "?", "100", "%", "naïve"]
    pieces = kinds[kind].encode_words(words)
    assert pieces.ids_P.tolist() == kinds[kind].encode(" ".join(words)).ids_P.tolist()
    assert [words[w][s:e] for (s, e), w in zip(pieces.offsets_P2, pieces.words_P, strict=True) if w == 3][-1][-1] == "t"


def gpt2_like(add_prefix_space):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ids = {piece: n for n, piece in enumerate(["<s>", "</s>", "<pad>", "<unk>", "<mask>", *alphabet, "he", "Ġhe"])}
    backend = Backend(models.BPE(ids, [("h", "e"), ("Ġ", "he")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>", "<pad>", "<unk>", "<mask>"])
    backend.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))
    return Tokenizer(backend)


@pytest.mark.parametrize("prefix", [True, False])
def test_given_words_get_the_space_of_byte_level_tokenizers(prefix):
    tokenizer = gpt2_like(prefix)
    pieces = tokenizer.encode_words(["he", "he", " he", "a"])
    first = "Ġhe" if prefix else "he"
    assert [tokenizer.token(i) for i in pieces.ids_P] == [first, "Ġhe", "Ġhe", "Ġ", "a"]
    assert pieces.offsets_P2.tolist() == [[0, 2], [0, 2], [1, 3], [0, 0], [0, 1]]
    assert tokenizer.special_ids == {"cls": 0, "sep": 1, "pad": 2, "unk": 3, "mask": 4}


def test_a_word_without_pieces_and_without_unknown_token():
    backend = gpt2_like(False).backend
    tokenizer = Tokenizer(backend, special_tokens={"cls": "<s>"})
    with pytest.raises(InputError, match=r"word 1 \(''\) has no pieces"):
        tokenizer.encode_words(["he", ""])


@each_kind
def test_decode(kinds, kind):
    text = "it is a truth universally acknowledged"
    tokenizer = kinds[kind]
    ids = tokenizer.encode(text).ids_P
    assert tokenizer.decode(ids) == text
    with_special = [tokenizer.special_ids["cls"], *ids, tokenizer.special_ids["sep"]]
    assert tokenizer.decode(with_special) == text
    assert "[SEP]" in tokenizer.decode(with_special, skip_special=False)


def test_byte_level_decodes_everything(kinds, hard):
    for text in hard:
        if "[" not in text and text[:1] != " ":
            assert kinds["byte"].decode(kinds["byte"].encode(text).ids_P) == text
            assert kinds["byte-bpe"].decode(kinds["byte-bpe"].encode(text).ids_P) == text


@each_kind
def test_batches_and_pickling(kinds, hard, kind):
    tokenizer = kinds[kind]
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.fingerprint == tokenizer.fingerprint == hashlib.sha256(tokenizer._text.encode()).hexdigest()
    assert again.special_ids == tokenizer.special_ids
    for text, pieces in zip(hard, again.encode_batch(hard), strict=True):
        for name in ("ids_P", "marks_P", "offsets_P2", "words_P"):
            assert np.array_equal(getattr(pieces, name), getattr(tokenizer.encode(text), name))


@each_kind
def test_vocab(kinds, kind):
    vocab = kinds[kind].vocab
    assert vocab.size == len(kinds[kind]) == len(vocab.is_special_V)
    assert np.flatnonzero(vocab.is_special_V).tolist() == [0, 1, 2, 3, 4]
    assert (vocab.pad_id, vocab.unk_id, vocab.cls_id, vocab.sep_id, vocab.mask_id) == (0, 1, 2, 3, 4)
    assert kinds[kind].id("[MASK]") == 4
    assert kinds[kind].token(4) == "[MASK]"
    assert kinds[kind].id("not such a piece") is None


def test_a_span_has_ids_and_marks(kinds):
    pieces = kinds["wordpiece"].encode("it is a truth")
    span = pieces.span(1, 3)
    assert span.ids_P.tolist() == pieces.ids_P[1:3].tolist()
    assert span.marks_P.tolist() == pieces.marks_P[1:3].tolist()
    assert len(pieces.span()) == len(pieces)


def test_wrong_input_is_explained(kinds):
    tokenizer = kinds["wordpiece"]
    for call in (
        tokenizer.encode,
        lambda text: tokenizer.encode_batch([text]),
        lambda text: tokenizer.encode_words([text]),
    ):
        with pytest.raises(InputError, match="half a surrogate pair"):
            call("a\ud800b")
        with pytest.raises(InputError, match="expected a text, got int"):
            call(3)
    for number in (-1, len(tokenizer)):
        with pytest.raises(InputError, match="no piece has the id"):
            tokenizer.decode([number])
        with pytest.raises(InputError, match="no piece has the id"):
            tokenizer.token(number)
    with pytest.raises(InputError, match="has no id"):
        Tokenizer(tokenizer.backend, special_tokens={"cls": "<s>"})


def test_a_model_without_its_unknown_token_is_explained():
    """The library raises a bare Exception where a WordLevel model meets a word and has no [UNK]."""
    tokenizer = Tokenizer(Backend(models.WordLevel({"cat": 0}, unk_token="[UNK]")))
    for call in (
        tokenizer.encode,
        lambda text: tokenizer.encode_batch([text]),
        lambda text: tokenizer.encode_words([text]),
        lambda text: encode_columns(tokenizer, [text]),
    ):
        call("cat")
        with pytest.raises(InputError, match=r"cannot encode every text: .*\[UNK\].* has its unknown token"):
            call("dog")


def test_truncation_and_padding_are_switched_off(kinds):
    backend = Backend.from_str(kinds["wordpiece"].backend.to_str())
    backend.enable_truncation(4)
    backend.enable_padding(length=64)
    assert len(Tokenizer(backend).encode("it is a truth universally acknowledged")) > 4
    assert len(Tokenizer(backend).encode("it")) < 64


def test_case(kinds):
    assert kinds["wordpiece"].lowercase
    assert not kinds["bpe"].lowercase
    pieces = kinds["wordpiece"].encode("TRUTH")
    assert pieces.ids_P.tolist() == kinds["wordpiece"].encode("truth").ids_P.tolist()


def test_other_pre_tokenisers_are_followed():
    backend = Backend(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex("-"), "removed")
    assert Tokenizer(backend).encode("a-b-c").words_P.tolist() == [0, 1, 2]


def test_no_torch():
    code = "import sys, pretune.tokenizers.train, pretune.corpus.encode; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_literal_reads_special_tokens_as_text(kinds, kind):
    tokenizer = kinds[kind]
    text = "a [MASK] b"
    literal = tokenizer.literal()
    assert tokenizer.special_ids["mask"] in tokenizer.encode(text).ids_P
    assert tokenizer.special_ids["mask"] not in literal.encode(text).ids_P
    assert tokenizer.special_ids["mask"] in tokenizer.encode(text).ids_P  # the copy changed nothing
    assert literal.fingerprint == tokenizer.fingerprint
    assert literal.encode("a b").ids_P.tolist() == tokenizer.encode("a b").ids_P.tolist()

"""Tokenizer: text to pieces and back, the same for every kind, around a `tokenizers.Tokenizer`.

A word starts where the pre-tokeniser starts one (BERT's words and punctuation, GPT-2's pattern) and at every piece with
SentencePiece's ▁, for tokenizers without such a pre-tokeniser. A special token written out in a text ("[MASK]") becomes
that token, as in Hugging Face's tokenizers and unlike the original BERT code; `literal` reads it as ordinary text.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding
from tokenizers import Tokenizer as Backend

from pretune.core.errors import InputError
from pretune.core.marks import WORD_START
from pretune.core.vocab import Vocab
from pretune.tokenizers.folder import NO_LIMIT, ROLES, read_folder, special_tokens, write_folder
from pretune.tokenizers.locality import PART_CHARS, Cutter
from pretune.tokenizers.pieces import Pieces, joined
from pretune.tokenizers.pipelines import BERT_TEMPLATE, Algorithm, Parts, template_processor
from pretune.tokenizers.sentinels import sentinel_ids

_PARTS_AT_ONCE = 8
_SURROGATE = re.compile("[\ud800-\udfff]")


class Tokenizer:
    """A trained tokenizer. Picklable; equal `fingerprint` means equal pieces for every text.

    backend: the `tokenizers.Tokenizer`; it is changed: truncation and padding are switched off.
    special_tokens: {role: token} with roles "cls", "sep", "mask", "pad", "unk", "bos", "eos"; None: found by name.
    model_max_length: pieces the model takes, only carried along for `save`; None where nobody said.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        special_tokens: Mapping[str, str] | None = None,
        model_max_length: int | None = None,
    ) -> None:
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self.special_tokens = dict(_find_specials(backend) if special_tokens is None else special_tokens)
        self.special_ids: dict[str, int] = {}
        for role, token in self.special_tokens.items():
            number = backend.token_to_id(token)
            if number is None:
                raise InputError(f"the {role} token {token!r} has no id in this tokenizer")
            self.special_ids[role] = number
        self.model_max_length = model_max_length

    @classmethod
    def load(cls, folder: str | Path) -> "Tokenizer":
        """The tokenizer of a directory written by `save` or by Hugging Face; see `folder.py` for what is read."""
        found = read_folder(folder)
        return cls(found.backend, special_tokens=found.special_tokens, model_max_length=found.model_max_length)

    def save(
        self,
        folder: str | Path,
        *,
        model_max_length: int | None = None,
        token_type_ids: bool | None = None,
        template: tuple[Parts, Parts] | None = None,
    ) -> None:
        """Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json, which `AutoTokenizer` opens.

        token_type_ids: whether `AutoTokenizer` hands them to the model by itself (a model without segments refuses
        them); None: if the template gives the second text another type.
        template: around one text and two, of the model that the tokenizer goes with: written where a pair has another
        number of special tokens here (RoBERTa's has two between the texts, GPT's none), so that `AutoTokenizer` joins
        texts as the model does.
        """
        num_special = sum(isinstance(part, str) for part, _ in template[1]) if template else 0
        is_other = self._num_joining != num_special and (self._num_joining > 0 or self._joins_bare)
        if template is not None and is_other:
            self._with(template).save(folder, model_max_length=model_max_length, token_type_ids=token_type_ids)
            return
        segments = '"type_id":1' in json.dumps(self._json["post_processor"], separators=(",", ":"))
        wanted = segments if token_type_ids is None else token_type_ids
        config: dict[str, Any] = {
            "do_lower_case": self.lowercase,
            "model_max_length": model_max_length or self.model_max_length or NO_LIMIT,
            "model_input_names": ["input_ids", *(["token_type_ids"] if wanted else []), "attention_mask"],
            "clean_up_tokenization_spaces": False,
        }
        byte_level = _find(self._json["pre_tokenizer"], "ByteLevel")
        if byte_level is not None:
            config["add_prefix_space"] = bool(byte_level["add_prefix_space"])
        write_folder(folder, self._text, self.special_tokens, config)

    def literal(self) -> "Tokenizer":
        """A copy for text that nobody wrote for a model, a corpus: "[MASK]" in it is a word between brackets."""
        copy = _unpickle(self._text, self.special_tokens, self.model_max_length)
        copy.backend.encode_special_tokens = True
        return copy

    def with_role(self, role: str, number: int) -> "Tokenizer":
        """The same pieces, with the one of this id as the special token of a role."""
        roles = {**self.special_tokens, role: self.token(number)}
        return Tokenizer(self.backend, special_tokens=roles, model_max_length=self.model_max_length)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._text, self.special_tokens, self.model_max_length)

    def __len__(self) -> int:
        return self.vocab.size

    @cached_property
    def _text(self) -> str:
        """The text of tokenizer.json, the same after any number of saves and loads.

        The library reads decimal numbers with an error in the last bit, so Unigram's scores are written with 12 digits.
        """
        text = self.backend.to_str()
        parsed = json.loads(text)
        if parsed["model"]["type"] != "Unigram":
            return text
        parsed["model"]["vocab"] = [[piece, float(f"{score:.12g}")] for piece, score in parsed["model"]["vocab"]]
        return json.dumps(parsed, ensure_ascii=False, separators=(",", ":"))

    @cached_property
    def _json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self._text)
        return parsed

    @property
    def _num_joining(self) -> int:
        """How many special tokens the library puts around and between two texts."""
        return self.backend.num_special_tokens_to_add(True)

    @property
    def _joins_bare(self) -> bool:
        """Whether it has [CLS] and [SEP] and a template without them, as GPT's files have."""
        kind = (self._json["post_processor"] or {}).get("type")
        return kind == "TemplateProcessing" and self._num_joining == 0 and {"cls", "sep"} <= self.special_tokens.keys()

    def _with(self, template: tuple[Parts, Parts]) -> "Tokenizer":
        """A copy whose files join texts as the template says."""
        copy = _unpickle(self._text, self.special_tokens, self.model_max_length)
        copy.backend.post_processor = template_processor(*template, self.special_tokens, copy.backend)
        return copy

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the text of tokenizer.json, hexadecimal, with BERT's template in the place of RoBERTa's and of
        GPT's: a model's directory has the model's, and the pieces are the same."""
        if self._num_joining == 4 or self._joins_bare:
            return self._with(BERT_TEMPLATE).fingerprint
        return hashlib.sha256(self._text.encode("utf-8")).hexdigest()

    @cached_property
    def kind(self) -> Algorithm:
        """Which of the seven kinds the model is."""
        model = self._json["model"]
        if model["type"] != "BPE":
            named: dict[str, Algorithm] = {"WordPiece": "wordpiece", "WordLevel": "word", "Unigram": "unigram"}
            return named[model["type"]]
        byte_level = _find(self._json["pre_tokenizer"], "ByteLevel") is not None
        if model["merges"]:
            return "byte-bpe" if byte_level else "bpe"
        return "byte" if byte_level else "char"

    @cached_property
    def lowercase(self) -> bool:
        """Whether the normaliser makes text lower case."""
        bert = _find(self._json["normalizer"], "BertNormalizer")
        return bool(bert and bert["lowercase"]) or _find(self._json["normalizer"], "Lowercase") is not None

    @cached_property
    def vocab(self) -> Vocab:
        """What objectives and heads know of it; no unigram frequencies, those come from a corpus."""
        size = max(self.backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        is_special_V = np.zeros(size, dtype=np.bool_)
        is_special_V[list(self.special_ids.values())] = True
        for number, added in self.backend.get_added_tokens_decoder().items():
            is_special_V[number] |= added.special
        sentinels = sentinel_ids(self.backend)
        is_special_V[list(sentinels)] = True
        pad, unk, cls, sep, mask, bos, eos = (self.special_ids.get(role) for role in ROLES)
        return Vocab(size, is_special_V, pad, unk, cls, sep, mask, bos, eos, sentinels)

    @cached_property
    def _marked_V(self) -> NDArray[np.bool_] | None:
        """Ids whose piece begins with ▁; None where the vocabulary does not mark words so."""
        if self.kind not in ("bpe", "unigram"):
            return None
        marked_V = np.zeros(self.vocab.size, dtype=np.bool_)
        for piece, number in self.backend.get_vocab(with_added_tokens=False).items():
            marked_V[number] = piece.startswith("▁")
        return marked_V if marked_V.any() else None

    def encode(self, text: str) -> Pieces:
        """The pieces of a text, without special tokens; nothing is cut off. A long text is encoded part by part."""
        if not isinstance(text, str) or len(text) <= PART_CHARS:  # what is no text is explained there
            return self._encode_part(text)
        return joined((start, self._encode_part(part)) for start, part in self._cutter.parts_of(text, PART_CHARS))

    def encode_start(self, text: str, num_pieces: int) -> tuple[Pieces, int]:
        """The first pieces of a text, at least `num_pieces` if it has so many, and how many it has in all.

        Of a long text the rest is only counted, part by part: faster than `encode`, and nothing of it is held.
        """
        if len(text) <= PART_CHARS:
            pieces = self.encode(text)
            return pieces, len(pieces)
        parts = self._cutter.parts_of(text, PART_CHARS)
        held: list[tuple[int, Pieces]] = []
        num_held = 0
        while (not held or num_held < num_pieces) and (part := next(parts, None)) is not None:
            held.append((part[0], self._encode_part(part[1])))
            num_held += len(held[-1][1])
        total = num_held
        while batch := [part for _, part in islice(parts, _PARTS_AT_ONCE)]:
            with explained(batch):
                total += sum(map(len, self.backend.encode_batch_fast(batch, add_special_tokens=False)))
        return joined(held), total

    def _encode_part(self, text: str) -> Pieces:
        """`encode` of a text that is not long, at once."""
        with explained([text]):
            return self._pieces(text, self.backend.encode(text, add_special_tokens=False))

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self._json)

    def encode_batch(self, texts: Sequence[str]) -> list[Pieces]:
        """`encode` of each text; the library uses all cores."""
        with explained(texts):
            encodings = self.backend.encode_batch(list(texts), add_special_tokens=False)
        return [self._pieces(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]

    def word_starts(self, ids_P: NDArray[Any], word_ids: Sequence[int | None]) -> NDArray[np.bool_]:
        """True [P] where a word starts, of what the library gave for a text."""
        numbers_P = np.array(word_ids, dtype=np.int64)
        starts_P = np.ones(len(ids_P), dtype=np.bool_)
        starts_P[1:] = numbers_P[1:] != numbers_P[:-1]
        if self._marked_V is not None:
            starts_P |= self._marked_V[ids_P]
        return starts_P

    def _pieces(self, text: str, encoding: Encoding) -> Pieces:
        ids_P = np.array(encoding.ids, dtype=np.int32)
        if not len(ids_P):
            return _no_pieces()
        starts_P = self.word_starts(ids_P, encoding.word_ids)
        offsets = encoding.offsets
        if self.kind not in ("wordpiece", "word"):
            offsets = [_without_space(text, start, end) for start, end in offsets]
        words_P = np.cumsum(starts_P, dtype=np.int32) - np.int32(1)
        return Pieces(ids_P, starts_P.astype(np.uint8) * np.uint8(WORD_START), _offsets(offsets), words_P)

    def encode_words(self, words: Sequence[str]) -> Pieces:
        """The pieces of words that are already cut, for tagging: `words_P` counts in `words`, offsets in the word.

        Every word has at least one piece: the unknown token where the normaliser leaves nothing of it (InputError if
        there is no such token). Kinds that keep the space of a word get it before every word but the first one, or
        before all where the tokenizer does so itself: the pieces are those of the words joined by spaces.
        """
        if not words:
            return _no_pieces()
        spaced = [word if not self._needs_space(n, word) else f" {word}" for n, word in enumerate(words)]
        with explained(words):
            encoding = self.backend.encode(spaced, is_pretokenized=True, add_special_tokens=False)
        ids, offsets = list(encoding.ids), []
        words_of = [int(number or 0) for number in encoding.word_ids]
        for number, (start, end) in zip(words_of, encoding.offsets, strict=True):
            moved = len(spaced[number]) - len(words[number])
            offsets.append(_without_space(words[number], max(start - moved, 0), max(end - moved, 0)))
        for number in sorted(set(range(len(words))) - set(words_of)):
            ids.append(self._unknown_for(number, words[number]))
            words_of.append(number)
            offsets.append((0, len(words[number])))
        order_P = np.argsort(np.array(words_of), kind="stable")
        words_P = np.array(words_of, dtype=np.int32)[order_P]
        starts_P = np.ones(len(words_P), dtype=np.uint8)
        starts_P[1:] = words_P[1:] != words_P[:-1]
        ids_P = np.array(ids, dtype=np.int32)[order_P]
        return Pieces(ids_P, starts_P * np.uint8(WORD_START), _offsets(offsets)[order_P], words_P)

    def _needs_space(self, number: int, word: str) -> bool:
        return number > 0 and self._spaces_words and not word[:1].isspace() and bool(word)

    @cached_property
    def _spaces_words(self) -> bool:
        byte_level = _find(self._json["pre_tokenizer"], "ByteLevel")
        return self.kind == "char" or (byte_level is not None and not byte_level["add_prefix_space"])

    def _unknown_for(self, number: int, word: str) -> int:
        if "unk" not in self.special_ids:
            raise InputError(f"word {number} ({word!r}) has no pieces and this tokenizer has no unknown token: drop it")
        return self.special_ids["unk"]

    def decode(self, ids: Sequence[int] | NDArray[Any], *, skip_special: bool = True) -> str:
        """The text of ids; special tokens are left out unless `skip_special=False`. InputError for an unknown id."""
        numbers = [int(number) for number in ids]
        for number in numbers:
            if not 0 <= number < self.vocab.size:
                raise InputError(f"no piece has the id {number}; ids go from 0 to {self.vocab.size - 1}")
        return self.backend.decode(numbers, skip_special_tokens=skip_special)

    def token(self, number: int) -> str:
        """The piece with this id. InputError if there is none."""
        piece = self.backend.id_to_token(int(number)) if number >= 0 else None
        if piece is None:
            raise InputError(f"no piece has the id {number}; ids go from 0 to {self.vocab.size - 1}")
        return piece

    def id(self, token: str) -> int | None:
        """The id of a piece, None if the vocabulary does not have it."""
        return self.backend.token_to_id(token)


@contextmanager
def explained(texts: Iterable[str]) -> Iterator[None]:
    """The library's errors in words: its TypeError about types, for half a surrogate pair; its bare Exception, for a
    text that the model has no pieces for."""
    try:
        yield
    except (TypeError, UnicodeEncodeError):
        for text in texts:
            if not isinstance(text, str):
                raise InputError(f"expected a text, got {type(text).__name__}: {text!r}") from None
            if _SURROGATE.search(text):
                raise InputError(f"half a surrogate pair in {text[:60]!r}: not valid Unicode; remove it") from None
        raise
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise InputError(
            f"this tokenizer cannot encode every text: {error}; give one that has its unknown token, or train one"
        ) from error
    except BaseException as error:  # the library's panics: a regular expression that backtracks without end
        if type(error).__name__ != "PanicException":
            raise
        raise InputError(f"this tokenizer cannot split {next(iter(texts), '')[:60]!r}...: {error}") from error


def _unpickle(text: str, special_tokens: dict[str, str], model_max_length: int | None) -> Tokenizer:
    return Tokenizer(Backend.from_str(text), special_tokens=special_tokens, model_max_length=model_max_length)


def _find_specials(backend: Backend) -> dict[str, str]:
    return special_tokens(backend, {})


def _find(part: Any, type_name: str) -> dict[str, Any] | None:
    """The first component of this type in a normaliser or pre-tokeniser, looking into sequences."""
    if not isinstance(part, dict):
        return None
    if part.get("type") == type_name:
        return part
    inner = part.get("normalizers") or part.get("pretokenizers") or []
    return next((found for found in (_find(each, type_name) for each in inner) if found is not None), None)


def _without_space(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _offsets(pairs: Sequence[tuple[int, int]]) -> NDArray[np.int32]:
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def _no_pieces() -> Pieces:
    empty = np.zeros(0, dtype=np.int32)
    return Pieces(empty, np.zeros(0, dtype=np.uint8), np.zeros((0, 2), dtype=np.int32), empty)

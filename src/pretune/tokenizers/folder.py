"""A tokenizer's directory: read as pretune or Hugging Face wrote it, and written so that `AutoTokenizer` opens it.

Read: `tokenizer.json` (the `tokenizers` library's format) if there is one, else `vocab.txt`, a WordPiece vocabulary one
piece a line as the original BERT releases have it, else nothing where ByT5's is named. `tokenizer_config.json`,
`special_tokens_map.json` and `added_tokens.json`'s roles are optional. SentencePiece models and `vocab.json` +
`merges.txt` are not read: their `tokenizer.json` is what the hub serves beside them. Code (`auto_map`) and pickles
beside a tokenizer are never read.

A regular expression in tokenizer.json that backtracks without end is stopped by the library's own limit (Oniguruma's
retries, under a second), which is an error here; one that is merely slow on long texts is not found out.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import normalizers

from pretune.core.errors import InputError
from pretune.core.strict_json import parse_object, read_object, read_text
from pretune.tokenizers.byt5 import CLASS as BYTES
from pretune.tokenizers.byt5 import byt5_backend
from pretune.tokenizers.pipelines import wordpiece_backend

ROLES = ("pad", "unk", "cls", "sep", "mask", "bos", "eos")
CUSTOMARY = {
    "pad": ("[PAD]", "<pad>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<cls>", "<s>"),
    "sep": ("[SEP]", "<sep>", "</s>"),
    "mask": ("[MASK]", "<mask>"),
}
"""Names a special token usually has, tried in this order where no file names it."""

OTHER_FORMATS = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "vocab.json", "merges.txt")
"""Of tokenizers whose tokenizer.json says the same."""
MAX_BYTES = 256 << 20
"""Of a tokenizer.json; those of 250,000 pieces have 30 MB."""
LARGEST_ID = (1 << 24) - 1
"""Arrays have a place for each id, so a file may not make them as large as it likes."""
PANIC = "PanicException"
"""What an error of the library that it did not foresee is called; it is no Exception."""
PROBE = "The cat sat, 1999: na\u00efve \u4f60\u597d \U0001f642\n" + "a" * 64 + "!"
NO_LIMIT = int(1e30)
"""What the ecosystem writes for `model_max_length` when there is none."""


@dataclass(frozen=True)
class Folder:
    """What a directory says. special_tokens: {role: token}; model_max_length: in pieces, None where none is named."""

    backend: Backend
    special_tokens: dict[str, str]
    model_max_length: int | None


def read_folder(folder: str | Path) -> Folder:
    """Reads a tokenizer's directory. InputError names the file that is missing or wrong."""
    folder = Path(folder)
    config = _read_json(folder / "tokenizer_config.json")
    if config.get("auto_map"):
        raise InputError(
            f"{folder / 'tokenizer_config.json'}: auto_map names code to split texts with, and pretune runs no code of "
            f"a model's directory, ever: if tokenizer.json alone is the tokenizer, remove the key from your copy"
        )
    if (folder / "tokenizer.json").is_file():
        backend = _read_backend(folder / "tokenizer.json", config)
    elif (folder / "vocab.txt").is_file():
        backend = _read_vocab_txt(folder / "vocab.txt", config)
    elif config.get("tokenizer_class") == BYTES:
        backend = byt5_backend(config)
    else:
        raise _no_tokenizer(folder)
    named = {**config, **_read_json(folder / "special_tokens_map.json")}
    return Folder(backend, special_tokens(backend, named), _max_length(config))


def _no_tokenizer(folder: Path) -> InputError:
    others = [name for name in OTHER_FORMATS if (folder / name).is_file()]
    if others:
        return InputError(
            f"{folder}: {', '.join(others)} is here and no tokenizer.json, which is what pretune reads: fetch the one "
            f"that the hub serves beside it, or let transformers write it: "
            f"AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        )
    return InputError(f"{folder}: no tokenizer here: looked for tokenizer.json and for vocab.txt")


def special_tokens(backend: Backend, named: Mapping[str, Any]) -> dict[str, str]:
    """{role: token} of the roles the tokenizer has: as `named` says (`cls_token: "[CLS]"`, or a dict with `content`),
    else as the model itself says (unk), else by customary names. A named token that has no id is left out.
    """
    found: dict[str, str] = {}
    for role in ROLES:
        value = named.get(f"{role}_token")
        token = value.get("content") if isinstance(value, dict) else value
        candidates = [token] if token is not None else [*_model_unknown(backend, role), *CUSTOMARY.get(role, ())]
        present = [name for name in candidates if isinstance(name, str) and backend.token_to_id(name) is not None]
        if present:
            found[role] = present[0]
    return found


def _model_unknown(backend: Backend, role: str) -> list[str]:
    unknown = getattr(backend.model, "unk_token", None) if role == "unk" else None
    return [unknown] if unknown else []


def write_folder(folder: str | Path, text: str, special_tokens: Mapping[str, str], config: Mapping[str, Any]) -> None:
    """Writes the three files; each is written beside its name and renamed, tokenizer.json last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"{role}_token": token for role, token in special_tokens.items()}
    _replace(folder / "special_tokens_map.json", json.dumps(named, indent=2, ensure_ascii=False) + "\n")
    full = {"tokenizer_class": "PreTrainedTokenizerFast", **named, **config}
    _replace(folder / "tokenizer_config.json", json.dumps(full, indent=2, ensure_ascii=False) + "\n")
    _replace(folder / "tokenizer.json", text)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(unfinished(path.name))
    with beside.open("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def unfinished(name: str) -> str:
    """The name of a file while it is being written; one that a killed process left is written over."""
    return f".{name}.unfinished"


def _read_json(path: Path) -> dict[str, Any]:
    return read_object(path, "write it again or delete it") if path.exists() else {}


def _read_backend(path: Path, config: Mapping[str, Any]) -> Backend:
    text = read_text(path, "fetch or write it again", MAX_BYTES)
    parse_object(path, text)
    try:
        backend = Backend.from_str(text)
        _follow_config(backend, config)
        ids = backend.get_vocab(with_added_tokens=True).values()
    except BaseException as error:  # the library raises bare Exception; its panics are BaseExceptions
        if not isinstance(error, Exception) and type(error).__name__ != PANIC:
            raise
        raise InputError(f"{path}: the tokenizers library cannot read it: {str(error):.200}") from error
    if (largest := max(ids, default=0)) > LARGEST_ID:
        raise InputError(f"{path}: a piece has the id {largest}: ids go up to {LARGEST_ID}: fetch or write it again")
    _probe(path, backend)
    return backend


def _probe(path: Path, backend: Backend) -> None:
    """Parts of the file that only fail in use (a regular expression without end) are found out on a short text."""
    try:
        backend.encode(PROBE, add_special_tokens=False)
    except Exception:  # no unknown token for some character: the texts will tell
        return
    except BaseException as error:
        if type(error).__name__ != PANIC:
            raise
        raise InputError(f"{path}: it cannot split a text: {str(error):.200}: fetch or write it again") from error


def _follow_config(backend: Backend, config: Mapping[str, Any]) -> None:
    """Lower-casing as the configuration says where it and a BertNormalizer differ: transformers' BERT does so too."""
    lowercase, bert = config.get("do_lower_case"), backend.normalizer
    if not isinstance(bert, normalizers.BertNormalizer) or not isinstance(lowercase, bool):
        return
    if "Bert" in str(config.get("tokenizer_class")) and lowercase != bert.lowercase:
        bert.lowercase = lowercase
        backend.normalizer = bert


def _read_vocab_txt(path: Path, config: Mapping[str, Any]) -> Backend:
    pieces = read_text(path, "fetch or write it again").split("\n")
    if pieces and pieces[-1] == "":
        pieces.pop()
    pieces = [piece.rstrip("\r") for piece in pieces]
    ids = {piece: number for number, piece in enumerate(pieces)}
    if len(ids) != len(pieces):
        twice = next(piece for number, piece in enumerate(pieces) if ids[piece] != number)
        raise InputError(f"{path}: the piece {twice!r} occurs twice: ids would be ambiguous; delete one")
    named = {role: config.get(f"{role}_token") for role in CUSTOMARY}
    tokens = {role: token.get("content") if isinstance(token, dict) else token for role, token in named.items()}
    if wrong := [role for role, token in tokens.items() if not isinstance(token, str | None)]:
        raise InputError(f"{path.parent / 'tokenizer_config.json'}: {wrong[0]}_token is no text: mend it")
    roles = {role: tokens[role] or CUSTOMARY[role][0] for role in CUSTOMARY}
    if roles["unk"] not in ids:
        raise InputError(f"{path}: no {roles['unk']} among its {len(ids)} pieces: is it a WordPiece vocabulary?")
    return wordpiece_backend(
        ids,
        roles,
        lowercase=bool(config.get("do_lower_case", True)),
        strip_accents=None if config.get("strip_accents") is None else bool(config["strip_accents"]),
        chinese=bool(config.get("tokenize_chinese_chars", True)),
    )


def _max_length(config: Mapping[str, Any]) -> int | None:
    length = config.get("model_max_length")
    return int(length) if isinstance(length, int | float) and 1 <= length < NO_LIMIT // 2 else None

"""manifest.json: what is in a corpus directory, and whether it is intact.

It has size and sha256 of each file, and its own sha256. Tables (`tables.py`) are no part of it: they are made from it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError, RunError
from pretune.core.strict_json import parse
from pretune.corpus.tables import damaged_tables

MANIFEST = "manifest.json"
FORMAT = "pretune corpus"
VERSION = 2
"""2: the manifest has its own sha256, and tables end with theirs."""
_READ_BYTES = 1 << 22


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file, read in blocks."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            sha.update(block)
    return sha.hexdigest()


def file_entry(path: Path) -> dict[str, Any]:
    """What a manifest keeps of a file: bytes and sha256."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """The text of manifest.json: the same for equal content, its own sha256 last."""
    body = {name: value for name, value in manifest.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(body, ensure_ascii=False).encode("utf-8")).hexdigest()
    return json.dumps({**body, "sha256": digest}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a corpus directory. InputError where there is none, it is damaged or of another version."""
    path = Path(folder) / MANIFEST
    try:
        text = path.read_bytes().decode("utf-8")
        manifest = parse(text)
    except FileNotFoundError:
        raise InputError(f"{folder}: no corpus here (no {MANIFEST}): build one with pretune corpus build") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: damaged, or no manifest ({error}): build the corpus anew") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path}: not the manifest of a corpus")
    if manifest.get("version") != VERSION:
        raise InputError(f"{path}: version {manifest.get('version')}, this pretune reads {VERSION}: build it anew")
    try:
        is_whole = manifest_text(manifest) == text
    except UnicodeEncodeError:  # half a character, which no text of ours holds
        is_whole = False
    if not is_whole:
        raise InputError(f"{path}: damaged: its sha256 is not the one written down: build the corpus anew")
    _check_shape(path, manifest)
    return manifest


def _check_shape(path: Path, manifest: Mapping[str, Any]) -> None:
    """InputError where somebody's manifest, though its sha256 is right, is not what `build` writes."""
    files, splits = manifest.get("files"), manifest.get("splits")
    if not isinstance(files, dict) or not all(
        isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)
        for entry in files.values()
    ):
        raise InputError(f"{path}: files: expected bytes and sha256 of each file: build the corpus anew")
    if strange := [name for name in files if not re.fullmatch(r"(tokenizer/)?\w[\w.-]*", name)]:
        raise InputError(f"{path}: files: {strange[0]!r:.80} is not a file of a corpus: build the corpus anew")
    counts = ("tokens", "documents")
    if not isinstance(splits, dict) or not all(
        isinstance(split, dict) and all(type(split.get(name)) is int and split[name] >= 0 for name in counts)
        for split in splits.values()
    ):
        raise InputError(f"{path}: splits: expected the numbers of tokens and documents: build the corpus anew")
    if manifest.get("token_dtype") not in ("<u2", "<u4"):
        raise InputError(f"{path}: token_dtype is {manifest.get('token_dtype')!r:.40}: build the corpus anew")
    if not isinstance(manifest.get("request"), dict) or "tokenizer" not in manifest["request"]:
        raise InputError(f"{path}: request: expected what the corpus was built from: build the corpus anew")


def check_sizes(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises InputError that names every file that is missing or of another size than the manifest says."""
    problems = []
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif path.stat().st_size != entry["bytes"]:
            problems.append(f"{name} has {path.stat().st_size:,} bytes instead of {entry['bytes']:,}")
    if problems:
        raise InputError(f"{folder}: a damaged corpus: {'; '.join(problems)}: build it anew")


def verify(folder: str | Path) -> dict[str, Any]:
    """Hashes every file of a corpus again and returns its manifest. RunError names the damaged files."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    damaged = []
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            damaged.append(f"{name} (missing)")
        elif file_entry(path) != entry:
            damaged.append(f"{name} (changed)")
    if damaged:
        count = f"{len(damaged)} of {len(manifest['files'])} files are damaged"
        raise RunError(f"{folder}: {count}: {', '.join(damaged)}: build it anew")
    if tables := damaged_tables(folder):
        raise RunError(f"{folder}: damaged: {', '.join(tables)}: delete them, they are made again when they are needed")
    return manifest

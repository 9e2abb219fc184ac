"""manifest.json: what is in a corpus directory, and whether it is intact."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretune.core.errors import InputError, RunError

MANIFEST = "manifest.json"
FORMAT = "pretune corpus"
VERSION = 1
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
    """The text of manifest.json: the same for equal content."""
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a corpus directory. InputError where there is none or it is of another version."""
    path = Path(folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder}: no corpus here (no {MANIFEST}): build one with pretune corpus build") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}): build the corpus anew") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path}: not the manifest of a corpus")
    if manifest.get("version") != VERSION:
        raise InputError(f"{path}: version {manifest.get('version')}, this pretune reads {VERSION}: build it anew")
    return manifest


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
        raise RunError(f"{folder}: {len(damaged)} of {len(manifest['files'])} files are damaged: {', '.join(damaged)}")
    return manifest

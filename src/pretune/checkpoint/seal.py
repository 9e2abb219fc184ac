"""The seal of a model's directory: pretune.json holds size and sha256 of each file that pretune wrote, itself too.

Loading verifies it, so that a flipped bit in the weights, the tokenizer or config.json is an error that names the file.
Who changes a file on purpose writes `"files": null` in pretune.json; nothing is verified then. Directories that
Hugging Face wrote have no seal, and those of format 1, the earlier one, had none either.

Does not: keep out who wants to deceive, for a seal can be made anew; see a tokenizer that is opened by itself, as
`corpus build --tokenizer MODEL` does.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

FORMAT = 2
MANIFEST = "pretune.json"
FILES = "files"


def write_sealed(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Writes pretune.json, last of all files of the folder."""
    files = {path.name: _entry(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST}
    sealed = {**manifest, "format": FORMAT, FILES: files}
    sealed[FILES] = {**files, MANIFEST: {"sha256": _own_sha256(sealed)}}
    (folder / MANIFEST).write_text(json.dumps(sealed, indent=2, ensure_ascii=False) + "\n", "utf-8")


def fault(folder: Path, manifest: Mapping[str, Any], leave_out: Collection[str] = ()) -> str | None:
    """What is wrong with a folder, in words that name the file; None where its seal holds or it has none.

    manifest: what its pretune.json says; leave_out: files that will not be read.
    """
    if not manifest or manifest.get("format") == 1:
        return None
    own = folder / MANIFEST
    if manifest.get("format") != FORMAT:
        return f"{own}: its format is {manifest.get('format')!r}, this pretune reads 1 and {FORMAT}: use a newer one"
    if FILES in manifest and manifest[FILES] is None:
        return None
    files = manifest.get(FILES)
    if not isinstance(files, dict) or not all(_is_entry(name, facts) for name, facts in files.items()):
        return _changed(own)
    if files.get(MANIFEST, {}).get("sha256") != _own_sha256(manifest):
        return _changed(own)
    for name, facts in files.items():
        path = folder / name
        if name in leave_out or name == MANIFEST:
            continue
        if not path.is_file():
            return f"{path}: missing, though pretune wrote it: fetch or write the model again"
        if path.stat().st_size != facts.get("bytes") or _sha256(path) != facts.get("sha256"):
            return _changed(path)
    return None


def opened(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says besides its seal."""
    return {key: value for key, value in manifest.items() if key != FILES}


def _changed(path: Path) -> str:
    return (
        f"{path}: damaged, or changed since pretune wrote it (its sha256 is another): fetch or write the model again; "
        f'if the change is yours, write "{FILES}": null in {path.with_name(MANIFEST)}'
    )


def _own_sha256(manifest: Mapping[str, Any]) -> str:
    files = {name: facts for name, facts in manifest[FILES].items() if name != MANIFEST}
    return hashlib.sha256(json.dumps({**manifest, FILES: files}, sort_keys=True).encode()).hexdigest()


def _is_entry(name: str, facts: Any) -> bool:
    return isinstance(facts, dict) and Path(name).name == name


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""build_corpus and verify_corpus: text files to ids on disk, and whether they are intact."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pretune.corpus.build import build_corpus as build
from pretune.corpus.doctor import corpus_problems
from pretune.corpus.manifest import verify
from pretune.corpus.store import Corpus
from pretune.text.documents import Documents
from pretune.text.faults import OnError
from pretune.verbs.console import Counting


def build_corpus(
    files: Sequence[str | Path],
    *,
    tokenizer: str | Path,
    out: str | Path,
    documents: Documents = "blank-line",
    valid_fraction: float = 0.01,
    workers: int = 1,
    language: str | None = None,
    column: str = "text",
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """Builds a corpus in `out` and returns its manifest, and "findings": what is wrong with it (`corpus/doctor.py`).

    A corpus that is there already from the same request is kept.

    Raises InputError for bad text, `file:line: what: what to do`, and for an `out` that holds something else.
    """
    with Counting("corpus") as progress:
        found = build(
            files,
            tokenizer,
            out,
            documents=documents,
            column=column,
            valid_fraction=valid_fraction,
            workers=workers,
            language=language,
            on_error=on_error,
            progress=lambda done: progress("bytes of text", done, None),
        )
    lines = [f"{out} holds this corpus already" if found["existing"] else f"built {out}"]
    for name, split in found["splits"].items():
        lines.append(f"{name}: {split['documents']:,} documents, {split['tokens']:,} tokens")
    lines += [f"skipped {count:,}: {reason}" for reason, count in found.get("skipped", {}).items()]
    problems = corpus_problems(Corpus.open(out))
    lines += map(str, problems)
    return found | {"findings": [problem.as_json() for problem in problems], "text": "\n".join(lines)}


def verify_corpus(directory: str | Path) -> dict[str, Any]:
    """Hashes every file again. Raises RunError that names the damaged files."""
    return verify(directory) | {"text": f"{directory}: every file has the sha256 of its manifest"}

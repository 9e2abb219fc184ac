"""train_tokenizer: a vocabulary from text files, measured on text it did not see."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pretune.core import lock
from pretune.core.errors import InputError
from pretune.text.documents import Documents, read_documents
from pretune.text.faults import OnError
from pretune.tokenizers import train
from pretune.tokenizers.folder import unfinished
from pretune.tokenizers.pipelines import Algorithm
from pretune.tokenizers.report import TokenizerReport
from pretune.verbs.console import Counting

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
OURS = {*FILES, *map(unfinished, FILES), lock.NAME}


def train_tokenizer(
    files: Sequence[str | Path],
    *,
    out: str | Path,
    vocab_size: int | None = None,
    algorithm: Algorithm = "wordpiece",
    lowercase: bool = False,
    min_pair_count: int | None = None,
    sentinels: int = 0,
    documents: Documents = "line",
    column: str = "text",
    on_error: OnError = "raise",
) -> dict[str, Any]:
    """Trains a tokenizer, saves it to `out` and returns its report, measured on held-out text.

    algorithm: wordpiece (likelihood score), bpe, byte-bpe, unigram, word, char or byte. vocab_size counts special
    tokens. sentinels: so many tokens <extra_id_0>, <extra_id_1> ... among these, for objectives that need them (T5:
    100). A tokenizer that is in `out` is replaced. Raises InputError where `out` holds other files, for unreadable
    text, an unknown algorithm and a size below the alphabet.
    """
    _refuse_other_files(Path(out))
    skipped: Counter[str] = Counter()
    found = read_documents(files, documents=documents, column=column, on_error=on_error, skipped=skipped)
    texts = (document.text for document in found)
    with lock.claimed(Path(out), "pretune tokenizer train"):
        with Counting("tokenizer") as progress:
            tokenizer, report = train.train_tokenizer(
                texts,
                algorithm=algorithm,
                vocab_size=vocab_size,
                lowercase=lowercase,
                min_pair_count=min_pair_count,
                sentinels=sentinels,
                progress=progress,
            )
        tokenizer.save(out)
    result = report.as_dict() | {"out": str(out), "skipped_lines": dict(skipped)}
    return result | {"text": _as_text(report, skipped, Path(out))}


def _refuse_other_files(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: name a directory with --out")
    if out.is_dir() and any(path.name not in OURS for path in out.iterdir()):
        raise InputError(f"{out} holds other files than a tokenizer's: give another --out")


def _as_text(report: TokenizerReport, skipped: Counter[str], out: Path) -> str:
    lines = [
        f"{report.algorithm}: {report.vocab_size:,} pieces, from {report.num_documents:,} documents "
        f"in {report.seconds:.1f} s"
    ]
    if report.held_out is not None:
        held = report.held_out
        lines.append(
            f"on {held.num_words:,} words of held-out text: {held.fertility:.3f} pieces a word, "
            f"{held.unknown_rate:.4%} unknown, {held.bytes_per_piece:.2f} bytes a piece"
        )
    lines += [f"note: {warning}" for warning in report.warnings]
    lines += [f"skipped {count:,} lines: {reason}" for reason, count in skipped.items()]
    lines.append(f"saved to {out}")
    return "\n".join(lines)

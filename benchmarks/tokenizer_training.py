"""WordPiece by likelihood beside byte-pair encoding in WordPiece's form, at equal size on the same text.

    python benchmarks/tokenizer_training.py FILE... [--valid FILE...] [--sizes 4096 30522] [--guards 5 20 50 100]
                                            [--cased] [--documents line] [--out results.json]

BPE is `tokenizers.trainers.WordPieceTrainer`, which joins the most frequent pair whatever its name says. Both see the
same documents, normaliser and pre-tokeniser and encode by the longest match; both are measured on every 100th document,
which neither saw, and on the `--valid` files. `--guards` adds the likelihood trainer with fixed minimum pair counts.
Prints a table and writes JSON.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import trainers

from pretune.text.documents import read_documents
from pretune.tokenizers.pipelines import LONGEST_WORD, SPECIAL_TOKENS, special_ids, wordpiece_backend
from pretune.tokenizers.report import HeldOut, measure
from pretune.tokenizers.source import HoldingOut, read_texts
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.tokenizers.train import train_tokenizer


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--valid", nargs="*", type=Path, default=[])
    parser.add_argument("--sizes", nargs="+", type=int, default=[30_522])
    parser.add_argument("--guards", nargs="*", type=int, default=[])
    parser.add_argument("--cased", action="store_true")
    parser.add_argument("--documents", default="line", choices=["line", "blank-line", "file"])
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def byte_pairs(arguments: argparse.Namespace, size: int) -> tuple[Tokenizer, dict[str, Any], HeldOut | None]:
    """The library's trainer, in the same pipeline and on the same documents."""
    started, started_cpu = time.perf_counter(), time.process_time()
    split = HoldingOut(read_texts(arguments.files, arguments.documents), 0.01, 8_000_000)
    backend = wordpiece_backend(special_ids(), lowercase=not arguments.cased)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=2,
        limit_alphabet=1000,
        special_tokens=list(SPECIAL_TOKENS.values()),
        show_progress=False,
    )
    backend.train_from_iterator(iter(split), trainer)
    vocab = backend.get_vocab()
    backend = wordpiece_backend(vocab, lowercase=not arguments.cased)
    tokenizer = Tokenizer(backend, special_tokens=SPECIAL_TOKENS)
    held_out = measure(tokenizer, split.held_out)
    facts = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - started_cpu}
    return tokenizer, {**facts, "min_pair_count": 2}, held_out


def likelihood(
    arguments: argparse.Namespace, size: int, guard: int | None
) -> tuple[Tokenizer, dict[str, Any], HeldOut | None]:
    started_cpu = time.process_time()
    tokenizer, report = train_tokenizer(
        arguments.files,
        algorithm="wordpiece",
        vocab_size=size,
        lowercase=not arguments.cased,
        documents=arguments.documents,
        min_pair_count=guard,
    )
    facts = {
        "seconds": report.seconds,
        "cpu_seconds": time.process_time() - started_cpu,
        "min_pair_count": report.min_pair_count,
        "merges": report.num_merges,
    }
    return tokenizer, facts, report.held_out


def row(
    name: str, size: int, trained: tuple[Tokenizer, dict[str, Any], HeldOut | None], valid: list[str]
) -> dict[str, Any]:
    tokenizer, facts, held_out = trained
    figures: dict[str, Any] = {"trainer": name, "requested_size": size, "vocab_size": len(tokenizer), **facts}
    for where, found in (("held_out", held_out), ("valid", measure(tokenizer, valid) if valid else None)):
        if found is not None:
            figures[where] = {
                "fertility": found.fertility,
                "unknown_rate": found.unknown_rate,
                "bytes_per_piece": found.bytes_per_piece,
                "num_words": found.num_words,
            }
    pieces = [tokenizer.token(number) for number in range(len(tokenizer))]
    figures["mean_piece_length"] = sum(len(piece.removeprefix("##")) for piece in pieces) / len(pieces)
    figures["continuing_share"] = sum(piece.startswith("##") for piece in pieces) / len(pieces)
    return figures


def rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    valid = [document.text for document in read_documents(arguments.valid, documents="line")] if arguments.valid else []
    for size in arguments.sizes:
        yield row("likelihood, falling guard", size, likelihood(arguments, size, None), valid)
        for guard in arguments.guards:
            yield row(f"likelihood, guard {guard}", size, likelihood(arguments, size, guard), valid)
        yield row("byte-pair encoding", size, byte_pairs(arguments, size), valid)


def line(figures: dict[str, Any]) -> str:
    cells = [
        figures["trainer"],
        f"{figures['requested_size']:,}",
        f"{figures['vocab_size']:,}",
        f"{figures['seconds']:.1f}",
        f"{figures['cpu_seconds']:.1f}",
    ]
    for where in ("held_out", "valid"):
        found = figures.get(where)
        cells += (
            ["-"] * 3
            if found is None
            else [
                f"{found['fertility']:.4f}",
                f"{found['unknown_rate']:.5f}",
                f"{found['bytes_per_piece']:.3f}",
            ]
        )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    arguments = read_arguments()
    names = ["trainer", "asked", "size", "seconds", "CPU s", "fertility", "unknown", "bytes/piece"]
    names += ["valid fertility", "valid unknown", "valid bytes/piece"]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    results = []
    for figures in rows(arguments):
        results.append(figures)
        print(line(figures), flush=True)
    if arguments.out:
        settings = {"files": [path.name for path in arguments.files], "lowercase": not arguments.cased}
        whole = {**settings, "longest_word": LONGEST_WORD, "results": results}
        arguments.out.write_text(json.dumps(whole, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()

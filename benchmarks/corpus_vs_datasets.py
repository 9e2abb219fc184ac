"""Tokenizing and packing text with `pretune corpus build` and with Hugging Face's datasets, MB of text a second a core.

    python benchmarks/corpus_vs_datasets.py --text NOVELS.txt --work DIR [--processes 1 2]
        [--repetitions 5] [--out corpus.json]

datasets: `load_dataset("text")`, `map(tokenize, batched=True, num_proc=...)` and `map(group_texts, batched=True,
num_proc=...)` into blocks of 512 (`--block-size`), as transformers' run_mlm.py has it, a line a row, special tokens
around each line; what nobody reads (token types, attention mask) is not made. pretune: the verb, which besides finds
sentences and words, holds out 1 % of the documents and writes checksums. Both have one tokenizer, BERT's of 30,522
pieces, and must find the same ids (special ones aside: how often each occurs), or the exit status is 1.

cold: a fresh process, imports and loading of the tokenizer included, the text not in memory (asked of the system, which
may refuse). warm: the same again in the process, into another place. again: the same call once more, into the first
place, where its result lies. CPU seconds count all processes of a side; "a core" is by them, so that one that keeps
more cores busy than it was told gains nothing. Each run is a process of its own, sides alternate.
"""

import argparse
import hashlib
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, add_arguments, main, measured
from side_by_side.figures import heading, ratio, row, spread, values

SIDES = ("pretune", "datasets")
STAGES = ("cold", "warm", "again")


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def forget(path: Path) -> None:
    """Asks the system to drop the file from memory."""
    if hasattr(os, "posix_fadvise"):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def measure(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    """The three stages of one side."""
    from side_by_side.mlm_data import uncased_tokenizer

    tokenizer, size = uncased_tokenizer(), sum(path.stat().st_size for path in options.text)
    for path in options.text:
        forget(path)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    build: Callable[[Path], Any] = {"pretune": build_pretune, "datasets": build_datasets}[cell["side"]](
        options, cell["processes"], tokenizer
    )
    found: dict[str, Any] = {"megabytes": size / 1e6}
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        for stage in STAGES:
            where = Path(folder) / ("second" if stage == "warm" else "first")
            began, cpu = time.perf_counter(), 0.0 if stage == "cold" else cpu_seconds()
            result = build(where)
            found[f"{stage}_seconds"] = time.perf_counter() - began
            found[f"{stage}_cpu_seconds"] = cpu_seconds() - cpu
        found["cold_seconds"] += started_ago() - sum(found[f"{stage}_seconds"] for stage in STAGES)
        found["num_tokens"], found["sha256"] = result()
    for stage in STAGES:
        found[f"{stage}_mb_per_second"] = size / 1e6 / found[f"{stage}_seconds"]
        found[f"{stage}_mb_per_cpu_second"] = size / 1e6 / max(found[f"{stage}_cpu_seconds"], 1e-3)
    return found


_STARTED = time.perf_counter()


def started_ago() -> float:
    """Seconds since this process had its first lines read."""
    return time.perf_counter() - _STARTED


def build_pretune(options: argparse.Namespace, processes: int, tokenizer: str) -> Callable[[Path], Any]:
    from pretune.verbs.corpus import build_corpus

    def build(where: Path) -> Callable[[], tuple[int, str]]:
        build_corpus(options.text, tokenizer=tokenizer, out=where, workers=processes, valid_fraction=0.01)
        return lambda: ids_of_corpus(where)

    return build


def ids_of_corpus(folder: Path) -> tuple[int, str]:
    """How many tokens there are, and what identifies them whatever their order: documents are held out."""
    import numpy as np

    from pretune.corpus.store import Corpus

    splits = [Corpus.open(folder, split=split) for split in ("train", "valid")]
    return fingerprint(np.concatenate([corpus.ids(0, corpus.num_tokens) for corpus in splits]))


def build_datasets(options: argparse.Namespace, processes: int, tokenizer: str) -> Callable[[Path], Any]:
    import datasets
    import transformers

    datasets.disable_progress_bars()
    opened = transformers.AutoTokenizer.from_pretrained(tokenizer)
    number = processes if processes > 1 else None

    def tokenize(rows: dict[str, Any]) -> dict[str, Any]:
        return opened(rows["text"], return_attention_mask=False, return_token_type_ids=False)

    def group_texts(rows: dict[str, Any]) -> dict[str, Any]:
        joined = [piece for row in rows["input_ids"] for piece in row]
        length = len(joined) // options.block_size * options.block_size
        return {"input_ids": [joined[at : at + options.block_size] for at in range(0, length, options.block_size)]}

    def build(where: Path) -> Callable[[], tuple[int, str]]:
        files = [str(path) for path in options.text]
        texts = datasets.load_dataset("text", data_files=files, split="train", cache_dir=str(where))
        ids = texts.map(tokenize, batched=True, num_proc=number, remove_columns=["text"])
        blocks = ids.map(group_texts, batched=True, num_proc=number)
        assert len(blocks)
        return lambda: ids_of_rows(ids, opened)

    return build


def ids_of_rows(ids: Any, tokenizer: Any) -> tuple[int, str]:
    import numpy as np

    flat = ids.data.column("input_ids").combine_chunks().flatten().to_numpy()
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id]
    return fingerprint(flat[~np.isin(flat, special)])


def fingerprint(ids_T: Any) -> tuple[int, str]:
    """Of the numbers of each piece: two texts in another order of their documents have the same."""
    import numpy as np

    counts = np.bincount(ids_T.astype(np.int64), minlength=1)
    return len(ids_T), hashlib.sha256(np.trim_zeros(counts, "b").astype("<i8").tobytes()).hexdigest()


def compare(options: argparse.Namespace, record: Record) -> Iterator[str]:
    yield from heading(
        "processes", "stage", "pretune MB/s", "datasets MB/s", "ratio", "pretune MB/s a core", "datasets", "ratio"
    )
    for processes in options.processes:
        cells = [{"side": side, "processes": processes} for side in SIDES]
        runs = measured(options, record, cells, options.repetitions)
        different = {result["sha256"] for result in runs if "sha256" in result}
        if len(different) > 1:
            record.add({"processes": processes, "failed": "the sides have other ids"})
            yield row(processes, "**the sides have other ids**", *[""] * 6)
            continue
        for stage in STAGES:
            shown: list[str] = []
            for name in (f"{stage}_mb_per_second", f"{stage}_mb_per_cpu_second"):
                found = [values(runs, name, side=side) for side in SIDES]
                shown += [*(spread(list(one.values()), 2) for one in found), ratio(*found)]
            yield row(processes, stage, *shown)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", type=Path, required=True, help=".txt, documents between blank lines")
    parser.add_argument("--work", type=Path, required=True, help="for what is built; removed after each run")
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="workers, num_proc")
    parser.add_argument("--block-size", type=int, default=512)
    add_arguments(parser, repetitions=5)
    return parser.parse_args()


def run() -> int:
    options = read_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    packed = [path for path in options.text if path.suffix != ".txt"]
    if packed:
        print(f"{packed[0]}: unpack it first, so that MB are those of text for both sides", file=sys.stderr)
        return 2
    if shutil.disk_usage(options.work).free < 20 * sum(path.stat().st_size for path in options.text):
        print(f"{options.work}: too little room for what both sides build", file=sys.stderr)
        return 2
    free = ("processes",)
    return main(options, lambda record: compare(options, record), lambda cell: measure(options, cell), free=free)


if __name__ == "__main__":
    sys.exit(run())

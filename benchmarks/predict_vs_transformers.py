"""Classifying and embedding texts of mixed lengths in fp32, with pretune and with the libraries people use for it.

    python benchmarks/predict_vs_transformers.py --work DIR [--data DATA] [--texts 1000] [--out predict.json]
        [--models minilm bert-base] [--uses classify embed] [--repetitions 5]

Beside pretune: transformers' pipeline, a text at a time (as most use it) and sorted by length in batches of 32;
sentence-transformers; ONNX Runtime at as many threads (`side_by_side/outputs.py`). The texts are questions (TREC),
sentences (SST-2), news (AG News) and paragraphs (SQuAD), as many of each, none longer than 254 pieces, so that nobody
cuts. Tokenization is in the time; loading, exporting and a first pass over other texts are not. Outputs must agree with
pretune's within 1e-4, or no ratio is given and the exit status is 1. Latency: one short text, call by call.
Each run is a process of its own, sides alternate.
"""

import argparse
import csv
import gzip
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, add_arguments, main, measured
from side_by_side.figures import heading, ratio, row, spread, values

TOLERANCE = 1e-4
MODELS = ("minilm", "bert-base", "bert-mini", "bert-tiny")
TABLES = ("trec/test.tsv", "sst2/test.tsv", "ag_news/test.tsv.gz")
PARAGRAPHS = "squad_v1.1/dev-v1.1.json"
LONGEST = 254
"""Pieces, without special tokens: sentence-transformers cuts this checkpoint's texts at 256."""
SHORT = "a gripping , beautifully made film ."


def read_texts(data: Path, count: int) -> tuple[list[str], list[str]]:
    """(texts to time, texts to warm up with), both mixed, from the beginning and the end of each shuffled file."""
    import numpy as np

    from pretune.tokenizers.tokenizer import Tokenizer
    from side_by_side.mlm_data import uncased_tokenizer

    tokenizer = Tokenizer.load(uncased_tokenizer())
    timed: list[str] = []
    others: list[str] = []
    sources = [column_of(data / table) for table in TABLES] + [paragraphs_of(data / PARAGRAPHS)]
    for texts in sources:
        rng = np.random.default_rng(0)
        wanted = count // len(sources)
        kept = [texts[number] for number in rng.permutation(len(texts))[: 2 * wanted]]
        kept = [text for text in kept if len(tokenizer.encode(text).ids_P) <= LONGEST]
        timed += kept[:wanted]
        others += kept[wanted : wanted + wanted // 4]
    rng = np.random.default_rng(1)
    return [timed[number] for number in rng.permutation(len(timed))], others


def column_of(path: Path) -> list[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as file:
        return [line["text"] for line in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def paragraphs_of(path: Path) -> list[str]:
    articles = json.loads(path.read_text("utf-8"))["data"]
    return [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]


def measure(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    """One side on all texts, then on one short text again and again."""
    import numpy as np

    from side_by_side.outputs import make_model, open_side

    folder = options.work / cell["model"]
    make_model(cell["model"], folder, options.seed)
    texts, others = read_texts(options.data, options.texts)
    compute = open_side(cell["use"], cell["side"], folder, options.threads)
    compute(others)
    started = time.perf_counter()
    found = compute(texts)
    seconds = time.perf_counter() - started
    np.save(options.work / outputs_name(cell), found.astype(np.float32))
    each = []
    for _ in range(options.calls + options.calls // 10):
        began = time.perf_counter()
        compute([SHORT])
        each.append(time.perf_counter() - began)
    latency = statistics.median(each[options.calls // 10 :])
    rate = len(texts) / seconds
    return {"texts": len(texts), "seconds": seconds, "texts_per_second": rate, "milliseconds": 1000 * latency}


def outputs_name(cell: Cell) -> str:
    return f"outputs-{cell['model']}-{cell['use']}-{cell['side']}.npy"


def compare(options: argparse.Namespace, record: Record) -> Iterator[str]:
    import numpy as np

    from side_by_side.outputs import SIDES

    yield from heading(
        "model", "use", "side", "largest difference", "texts/s", "pretune :", "one text, ms", ": pretune"
    )
    for model in options.models:
        for use in options.uses:
            cells = [{"model": model, "use": use, "side": side} for side in SIDES[use]]
            runs = measured(options, record, cells, options.repetitions)
            ours = values(runs, "texts_per_second", side="pretune"), values(runs, "milliseconds", side="pretune")
            for cell in cells:
                side = cell["side"]
                speeds, times = (values(runs, name, side=side) for name in ("texts_per_second", "milliseconds"))
                if not speeds or not ours[0]:
                    yield row(model, use, side, "failed", *[""] * 4)
                    continue
                mine, theirs = (np.load(options.work / outputs_name(c)) for c in (cells[0], cell))
                apart = float(np.abs(mine - theirs).max())
                if not apart <= TOLERANCE:
                    record.add(cell | {"failed": f"outputs differ by {apart}"})
                    yield row(model, use, side, f"**{apart:.1e}: not equal**", *[""] * 4)
                    continue
                figures = (spread(list(speeds.values()), 1), ratio(ours[0], speeds))
                latency = (spread(list(times.values()), 2), ratio(times, ours[1]))
                yield row(model, use, side, f"{apart:.1e}", *figures, *latency)


def read_arguments() -> argparse.Namespace:
    default_data = os.environ.get("PRETUNE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="for models, exported graphs and outputs")
    parser.add_argument("--data", type=Path, default=Path(default_data))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["minilm", "bert-base"], metavar="MODEL")
    parser.add_argument("--uses", nargs="+", choices=["classify", "embed"], default=["classify", "embed"])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=100, help="timed calls with one short text")
    parser.add_argument("--seed", type=int, default=1)
    add_arguments(parser, repetitions=5)
    return parser.parse_args()


def run() -> int:
    options = read_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    free = ("models", "uses", "data")
    return main(options, lambda record: compare(options, record), lambda cell: measure(options, cell), free=free)


if __name__ == "__main__":
    sys.exit(run())

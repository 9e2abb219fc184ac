"""Speed of fine-tuning a real checkpoint (MiniLM, 6 x 384) with pretune and with transformers' Trainer: examples/s.

    python benchmarks/finetune_speed.py [--tasks sst2 mrpc] [--steps 60] [--repetitions 3] [--out finetune_speed.json]

Both sides train on the same file with the same batch size, length, optimizer and dropout (the checkpoint's), without
evaluation or checkpoints; that their losses are equal is the matter of `finetune_vs_transformers.py --mode losses`. The
peer is measured as most use it (default: Trainer, a random order, padding to the batch's longest), with batches of like
lengths (grouped: from windows of 50 batches, as the Trainer makes them, but in random order, so that a few steps stand
for all; attention "sdpa"), and with `torch_compile=True` besides (compiled). Its texts are tokenized beforehand, as are
pretune's. Counted are the examples after `--warmup` steps, in which torch.compile does its work; graphs that it makes
later are in the JSON. Each run is a process of its own, sides alternate.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, add_arguments, main, measured
from side_by_side.figures import heading, ratio, row, spread, values

SIDES = ("pretune", "default", "grouped", "compiled")
TASKS = ("sst2", "mrpc", "cola", "rte", "stsb", "trec")


def compare(options: argparse.Namespace, record: Record) -> Iterator[str]:
    peers = [side for side in options.sides if side != "pretune"]
    padding = f"padding of {', '.join(peers)}"
    yield from heading("task", padding, *(f"{side}, examples/s" for side in options.sides), *map(_against, peers))
    for task in options.tasks:
        sides = [{"task": task, "side": side} for side in options.sides]
        runs = measured(options, record, sides, options.repetitions)
        found = {side: values(runs, "examples_per_second", side=side) for side in options.sides}
        shares = [list(values(runs, "padding", side=side).values()) for side in peers]
        padded = ", ".join(f"{100 * share[0]:.0f} %" if share else "failed" for share in shares)
        ratios = [ratio(found["pretune"], found[side]) for side in peers]
        yield row(task, padded, *(spread(list(found[side].values())) for side in options.sides), *ratios)


def _against(side: str) -> str:
    return f"pretune : {side}"


def measure(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    """One side's run."""
    import torch

    from finetune_vs_transformers.jobs import Data

    torch.set_num_threads(options.threads)
    told = argparse.Namespace(data=options.data, own_defaults=False, max_train=None, max_test=1)
    data, seed = Data.read(cell["task"], told), options.seed + cell["repetition"] - 1
    if cell["side"] == "pretune":
        from finetune_vs_transformers.ours import time_pretune

        return time_pretune(data, options, seed)
    from finetune_vs_transformers.peer_speed import time_transformers

    return time_transformers(
        data, options, seed, grouped=cell["side"] != "default", compiled=cell["side"] == "compiled"
    )


def read_arguments() -> argparse.Namespace:
    default_data = os.environ.get("PRETUNE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS[:2]), metavar="TASK")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--steps", type=int, default=60, help="timed steps of a run")
    parser.add_argument("--warmup", type=int, default=15, help="steps before the clock starts")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=Path(default_data))
    add_arguments(parser, repetitions=3)
    options = parser.parse_args()
    if "pretune" not in options.sides:
        parser.error("--sides needs pretune: ratios are its")
    return options


def run() -> int:
    options = read_arguments()
    return main(options, lambda record: compare(options, record), lambda cell: measure(options, cell), free=("data",))


if __name__ == "__main__":
    sys.exit(run())

"""Masked-language-model training with pretune and with transformers' Trainer: real tokens a second, and to a loss.

    python benchmarks/pretrain_vs_transformers.py --text NOVELS.txt.gz --work DIR --out speed.json
        [--models bert-mini modern-mini bert-base] [--arrangements natural packed] [--steps 40] [--repetitions 5]
    python benchmarks/pretrain_vs_transformers.py --mode to-loss --text NOVELS.txt.gz --work DIR --out to_loss.json
        [--seconds 600] [--budgets 100 150 200 300] [--peers modern bert]

speed: the same start weights, the same samples with the same masks (drawn by pretune), AdamW at one constant rate,
clipping at 1, dropout as `--dropout` says; sentences of natural lengths up to 128, or packed to 128. The peer is
measured as most use it (default) and at its best (`side_by_side/mlm_peer.py`). First the losses of the first steps are
compared, without dropout, in pretune's order; where they differ by more than 1e-4 no speed is measured and the exit
status is 1. Counted are real tokens (special ones included, padding not) after `--warmup` steps, in which torch.compile
does its work (its seconds stand in the JSON as warmup_seconds). Each run is a process of its own, sides alternate.

to-loss: see `side_by_side/to_loss.py`.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, add_arguments, main, measured
from side_by_side.figures import heading, ratio, row, spread, values

SIDES = ("pretune", "default", "best")
MODELS = ("bert-mini", "modern-mini", "bert-base", "modern-base", "bert-tiny", "modern-tiny")
TOLERANCE = 1e-4
PARITY_STEPS = 5
GROUPING_WINDOW = 50
"""Batches from which the Trainer makes batches of like lengths."""


def speed(options: argparse.Namespace, record: Record) -> Iterator[str]:
    columns = ("model", "texts", "padding of default, best", "largest loss difference", "pretune tokens/s")
    columns += ("default", "best", "pretune : default", "pretune : best")
    yield from heading(*columns)
    for model in options.models:
        for arrangement in options.arrangements:
            yield comparison(options, record, model, arrangement)


def comparison(options: argparse.Namespace, record: Record, model: str, arrangement: str) -> str:
    sides = [{"model": model, "arrangement": arrangement, "side": side} for side in options.sides]
    parity = measured(options, record, [side | {"what": "losses"} for side in sides], 1)
    apart = largest_difference(parity)
    if not apart <= TOLERANCE:
        record.add({"model": model, "arrangement": arrangement, "failed": f"losses differ by {apart}"})
        return row(model, arrangement, "", f"**{apart:.1e}: not equal**", *[""] * 5)
    runs = measured(options, record, [side | {"what": "speed"} for side in sides], options.repetitions)
    found = {side: values(runs, "tokens_per_second", side=side) for side in SIDES}
    padding = [
        f"{100 * one:.0f} %" for side in SIDES[1:] for one in list(values(runs, "padding", side=side).values())[:1]
    ]
    speeds = [spread(list(found[side].values())) for side in SIDES]
    ratios = [ratio(found["pretune"], found[side]) for side in SIDES[1:]]
    return row(model, arrangement, ", ".join(padding), f"{apart:.1e}", *speeds, *ratios)


def largest_difference(parity: list[Cell]) -> float:
    """Between pretune's losses and any other side's, over the first steps; infinite where a side failed."""
    if any("failed" in result for result in parity):
        return float("inf")
    losses = {result["side"]: result["losses"] for result in parity}
    ours = losses.pop("pretune")
    return max(
        (abs(a - b) for theirs in losses.values() for a, b in zip(ours, theirs, strict=True)), default=float("inf")
    )


def measure(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    """One side's run."""
    import torch

    torch.set_num_threads(options.threads)
    if cell.get("what") not in ("losses", "speed"):
        from side_by_side.to_loss import measure_to_loss

        return measure_to_loss(options, cell)
    from side_by_side.mlm_data import ARRANGEMENTS, make_source, open_corpus, uncased_tokenizer
    from side_by_side.mlm_ours import Job, fresh_bundle, run_pretune

    is_parity = cell["what"] == "losses"
    family, _, size = cell["model"].partition("-")
    corpus = open_corpus(options.work, options.text, uncased_tokenizer())
    seed = options.seed + cell["repetition"] - 1
    bundle = fresh_bundle(family, size, corpus.tokenizer, 0.0 if is_parity else options.dropout, seed)
    how = {"max_length": options.max_length, "masking_rate": options.masking_rate, "seed": seed}
    source = make_source(corpus, ARRANGEMENTS[cell["arrangement"]], bundle.template, **how)
    steps, warmup = (PARITY_STEPS, 0) if is_parity else (options.warmup + options.steps, options.warmup)
    job = Job(batch_size=options.batch_size, steps=steps, warmup=warmup, lr=options.lr, seed=seed)
    if cell["side"] == "pretune":
        return run_pretune(bundle, source, job).as_json()
    return run_peer(bundle, source, job, best=cell["side"] == "best", is_parity=is_parity)


def run_peer(bundle: Any, source: Any, job: Any, *, best: bool, is_parity: bool) -> Mapping[str, Any]:
    import transformers

    from side_by_side.mlm_data import peer_rows
    from side_by_side.mlm_peer import grouped, open_peer, run_transformers

    in_groups = best and not is_parity
    batches = max(4 * GROUPING_WINDOW, job.steps) if in_groups else job.steps
    rows = peer_rows(source, batches * job.batch_size, job.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(source.corpus.folder / "tokenizer")
    if in_groups:
        rows = grouped(rows, job.batch_size, job.seed)
    model = open_peer(bundle, best=best)
    return run_transformers(model, tokenizer, rows, job, best=best, losses=is_parity).as_json()


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["speed", "to-loss"], default="speed")
    parser.add_argument("--text", nargs="+", type=Path, required=True, help="files, documents between blank lines")
    parser.add_argument("--work", type=Path, required=True, help="for the corpus, and the runs of to-loss")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS[:3]), metavar="MODEL")
    parser.add_argument("--arrangements", nargs="+", choices=["natural", "packed"], default=["natural", "packed"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--steps", type=int, default=40, help="speed: timed steps of a run")
    parser.add_argument("--warmup", type=int, default=10, help="speed: steps before the clock starts")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--masking-rate", type=float, default=0.15)
    parser.add_argument("--dropout", type=float, default=0.0, help="speed: of bert; as published it is 0.1")
    parser.add_argument("--lr", type=float, default=1e-4, help="speed: of both sides")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", default="mini", help="to-loss: of both sides")
    parser.add_argument("--peers", nargs="+", choices=["modern", "bert"], default=["modern", "bert"], help="to-loss")
    parser.add_argument("--peer-lrs", nargs="+", type=float, default=[5e-4, 1e-3, 2e-3], help="to-loss: tried")
    parser.add_argument(
        "--peer-stds", nargs="+", type=float, default=[0.02, 0.06], help="to-loss: initial scales tried"
    )
    parser.add_argument("--tune-seconds", type=float, default=120.0, help="to-loss: of each run that tunes the peer")
    parser.add_argument("--seconds", type=float, default=600.0, help="to-loss: of the peer's run")
    parser.add_argument("--budgets", nargs="+", type=float, default=[100.0, 150.0, 200.0, 300.0, 600.0])
    parser.add_argument("--recipe", default="modern", help="to-loss: pretune's, with its own settings")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="to-loss: changes to the recipe")
    add_arguments(parser, repetitions=5)
    return parser.parse_args()


def run() -> int:
    options = read_arguments()

    def plan(record: Record) -> Iterator[str]:
        if options.mode == "speed":
            return speed(options, record)
        from side_by_side.to_loss import to_loss

        return to_loss(options, record)

    chosen = ("models", "arrangements", "sides", "peers", "budgets", "mode")
    return main(options, plan, lambda cell: measure(options, cell), free=chosen)


if __name__ == "__main__":
    sys.exit(run())

"""Useful MFU of pre-training: the share of the machine's best matrix product that a step's needed FLOPs make.

    python benchmarks/mfu.py --text NOVELS.txt.gz --work DIR [--models bert-base] [--arrangements natural packed]
        [--steps 20] [--batch-size 32] [--max-length 128] [--out mfu.json]

FLOPs as DESIGN section 7 counts them: real tokens, attention by true lengths, logits at predicted rows only; look-ups,
norms and the optimizer count nothing. The peak is the best matrix product measured in the same process with the same
threads, before and after the training (`train/flops.py`: torch's own product and the kernel that the model uses, three
sizes). The whole step counts, with its feed, clipping and AdamW. Dropout is 0 unless `--dropout` says otherwise.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import Cell, Record, add_arguments, main, measured
from side_by_side.figures import heading, row, spread, values

MODELS = ("bert-base", "bert-mini", "modern-mini", "modern-base", "bert-small", "bert-medium", "bert-tiny")


def measure(options: argparse.Namespace, cell: Cell) -> Mapping[str, Any]:
    import torch

    from pretune.train.flops import peak_flops
    from side_by_side.mlm_data import ARRANGEMENTS, make_source, open_corpus, uncased_tokenizer
    from side_by_side.mlm_ours import Job, fresh_bundle, run_pretune

    torch.set_num_threads(options.threads)
    family, _, size = cell["model"].partition("-")
    corpus = open_corpus(options.work, options.text, uncased_tokenizer())
    seed = options.seed + cell["repetition"] - 1
    bundle = fresh_bundle(family, size, corpus.tokenizer, options.dropout, seed)
    how = {"max_length": options.max_length, "masking_rate": options.masking_rate, "seed": seed}
    source = make_source(corpus, ARRANGEMENTS[cell["arrangement"]], bundle.template, **how)
    job = Job(batch_size=options.batch_size, steps=options.warmup + options.steps, warmup=options.warmup, seed=seed)
    before = peak_flops(seconds=options.peak_seconds)
    found = run_pretune(bundle, source, job).as_json()
    after = peak_flops(seconds=options.peak_seconds)
    peak = max(before, after)
    peaks = {"peak_flops_before": before, "peak_flops_after": after}
    return found | peaks | {"mfu": found["flops_per_second"] / peak, "peak_gflops": peak / 1e9}


def table(options: argparse.Namespace, record: Record) -> Iterator[str]:
    yield from heading(
        "model", "texts", "padding left out", "tokens/s", "useful GFLOP/s", "peak GFLOP/s", "useful MFU, %"
    )
    for model in options.models:
        for arrangement in options.arrangements:
            runs = measured(options, record, [{"model": model, "arrangement": arrangement}], options.repetitions)
            shown = [
                spread([scale * value for value in values(runs, name).values()], digits)
                for name, scale, digits in (
                    ("padding", 100.0, 0),
                    ("tokens_per_second", 1.0, 0),
                    ("flops_per_second", 1e-9, 0),
                    ("peak_gflops", 1.0, 0),
                    ("mfu", 100.0, 1),
                )
            ]
            yield row(model, arrangement, f"{shown[0]} %", *shown[1:])


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", type=Path, required=True, help="files, documents between blank lines")
    parser.add_argument("--work", type=Path, required=True, help="for the corpus")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["bert-base"], metavar="MODEL")
    parser.add_argument("--arrangements", nargs="+", choices=["natural", "packed"], default=["natural", "packed"])
    parser.add_argument("--steps", type=int, default=20, help="timed steps of a run")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--masking-rate", type=float, default=0.15)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--peak-seconds", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    add_arguments(parser, repetitions=3)
    return parser.parse_args()


def run() -> int:
    options = read_arguments()
    free = ("models", "arrangements")
    return main(options, lambda record: table(options, record), lambda cell: measure(options, cell), free=free)


if __name__ == "__main__":
    sys.exit(run())

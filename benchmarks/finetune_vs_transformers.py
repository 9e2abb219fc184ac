"""Fine-tuning a real checkpoint (MiniLM, 6 x 384) with pretune and with transformers' Trainer, in one run.

    python benchmarks/finetune_vs_transformers.py --mode losses [--tasks sst2 rte] [--steps 100] [--out losses.json]
    python benchmarks/finetune_vs_transformers.py --mode scores [--seeds 5] [--max-train N] --out scores.json

losses: both sides load the same head weights from one directory, written by pretune with dropout 0, and see the
examples in the order of pretune's feed, under the same schedule (one whole run of --steps) and optimizer. Exit status 1
if a loss differs by more than 1e-4.
scores: each side as it is used: dropout as in the checkpoint, its own fresh head and order from the seed; the same
learning rate, epochs, batch size, share of warm-up, decay, epsilon, clipping. The last weights are scored, none are
chosen, so RTE's and CoLA's dev files (their test labels are not public) serve as test files. --out is continued: each
(task, side, seed) runs once. The interval of a difference is a paired t interval over seeds: it holds for other seeds,
not for other test examples; of one seed, a paired bootstrap over the examples. TREC, WNUT-17, SQuAD, ARC-easy and COPA
can be asked for too; transformers has no CRF and no constrained decoding, there pretune stands alone. For SQuAD its
side is written as its example script is. COPA: the first 400 train, the last 100 and their mirrors test.

Each side tokenizes, batches and trains by its own code; predictions are scored by the same (sklearn, scipy). Where the
sides differ by design: pretune packs, the Trainer pads to the batch's longest; a step of pretune takes from two epochs
at their border, the Trainer ends an epoch with a smaller batch; of a warm-up given as a share, the Trainer rounds the
steps up (mode losses gives both a whole number); where both texts of a pair are too long, pretune leaves the odd token
to the first (as BERT's code), transformers to the longer, or the second (mode losses stops if an input differs; in
these files none does). STS-B's values are trained as they are on both sides; --own-defaults gives each side its own
instead: pretune standardises them, and the Trainer has epsilon 1e-8 and no weight decay.
"""

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import Subset

from finetune_vs_transformers.jobs import JOBS, MODEL, Data
from finetune_vs_transformers.ours import Recorder, run_pretune, settings_of
from finetune_vs_transformers.peer import encode, make_trainer, open_peer, run_transformers
from finetune_vs_transformers.table import SIDES, table
from pretune.checkpoint.bundle import Bundle
from pretune.tasks.source import TaskSource
from pretune.verbs.tune import tune

SIX = ["sst2", "cola", "mrpc", "rte", "stsb", "ud"]
TOLERANCE = 1e-4
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")


def change(path: Path, values: dict[str, Any]) -> None:
    """Sets keys of a file that holds one JSON object."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def compare_losses(name: str, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """The losses of both sides from the same weights in the same order without dropout."""
    settings = settings_of(data.job, options, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start"
        Bundle.load(MODEL, heads=[data.task.head_spec], seed=0).save(start)
        change(start / "config.json", dict.fromkeys(DROPOUTS, 0.0))
        change(start / "pretune.json", {"files": None})  # the change is ours: the sha256 of before does not count
        bundle = Bundle.load(start, heads=[data.task.head_spec])
        assert not bundle.fresh_weights, bundle.fresh_weights
        tokenizer = transformers.AutoTokenizer.from_pretrained(start)
        train = encode(data, data.train, tokenizer)
        source = TaskSource(data.task, data.train, bundle.tokenizer, bundle.template, settings.max_length)
        model = open_peer(data, start, fresh_head=False)
    ours = Recorder()
    tune(bundle, data.job.task, data.task, data.train, settings, hooks=[ours])
    for number in ours.order:
        if source.examples[number].source.ids_T.tolist() != train[number]["input_ids"]:
            raise SystemExit(f"{name}: the sides cut training example {number} differently")
    trainer = make_trainer(model, tokenizer, data, Subset(train, ours.order), settings, own=False)
    trainer.train()
    difference = np.abs(np.array(ours.losses) - np.array(trainer.losses))
    return {
        "steps": len(difference),
        "max_difference": float(difference.max()),
        "median_difference": float(np.median(difference)),
        "first_loss": ours.losses[0],
        "mean_of_last_ten": float(np.mean(ours.losses[-10:])),
        "losses": {"pretune": ours.losses, "transformers": trainer.losses},
    }


def main_losses(options: argparse.Namespace) -> int:
    found = {}
    print("| task | steps | first loss | mean of last 10 | median difference | largest difference |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in options.tasks:
        row = found[name] = compare_losses(name, Data.read(name, options), options)
        print(
            f"| {name} | {row['steps']} | {row['first_loss']:.4f} | {row['mean_of_last_ten']:.4f} "
            f"| {row['median_difference']:.1e} | {row['max_difference']:.1e} |",
            flush=True,
        )
    if options.out:
        _write(options.out, {"settings": _shown(options), "machine": machine(), "tasks": found})
    apart = [name for name, row in found.items() if not row["max_difference"] <= TOLERANCE]
    print(f"\nmore than {TOLERANCE:g} apart: {', '.join(apart) or 'none'}")
    return 1 if apart else 0


# Mode scores


def main_scores(options: argparse.Namespace) -> int:
    record: dict[str, Any] = {"settings": _shown(options), "machine": machine(), "runs": []}
    if options.out and options.out.exists():
        kept = json.loads(options.out.read_text())
        if kept["settings"] != record["settings"]:
            print(f"{options.out} holds runs with other settings: {kept['settings']}", file=sys.stderr)
            return 2
        record["runs"] = kept["runs"]
    done = {(run["task"], run["side"], run["seed"]) for run in record["runs"]}
    for name in options.tasks:
        data = Data.read(name, options)
        for seed in range(1, options.seeds + 1):
            for side in SIDES if seed % 2 else SIDES[::-1]:
                if (name, side, seed) not in done and (side == "pretune" or data.job.has_peer):
                    record["runs"].append(one_run(name, side, seed, data, options))
                    if options.out:
                        _write(options.out, record)
    print("\n" + table(record["runs"], options.tasks))
    return 0


def one_run(name: str, side: str, seed: int, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    settings = settings_of(data.job, options, seed)
    started = time.perf_counter()
    if side == "pretune":
        run = run_pretune(data, settings)
    else:
        run = run_transformers(data, settings, options.own_defaults)
    sizes = {"train": len(data.train), "test": len(data.test)}
    run = {"task": name, "side": side, "seed": seed, **sizes, **run, "seconds": time.perf_counter() - started}
    shown = ", ".join(f"{metric} {value:.4f}" for metric, value in run["scores"].items())
    print(
        f"{name} seed {seed} {side}: {shown}; {run['steps']} steps, {run['seconds']:.0f} s, "
        f"{run['examples_per_second']:.1f} training examples/s",
        file=sys.stderr,
        flush=True,
    )
    return run


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _shown(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that a run depends on."""
    free = {"tasks", "seeds", "out", "data"} | ({"epochs", "max_test"} if options.mode == "losses" else {"steps"})
    return {name: value for name, value in vars(options).items() if name not in free}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(record, indent=1) + "\n")
    beside.replace(path)


def read_arguments() -> argparse.Namespace:
    default_data = os.environ.get("PRETUNE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["losses", "scores"], required=True)
    parser.add_argument("--tasks", nargs="+", choices=JOBS, default=SIX, metavar="TASK", help=", ".join(JOBS))
    parser.add_argument("--seeds", type=int, default=5, help="scores: seeds 1 to this")
    parser.add_argument("--epochs", type=float, default=3.0, help="scores: passes over the training records")
    parser.add_argument("--steps", type=int, default=100, help="losses: steps of the run")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=5e-5)
    parser.add_argument("--warmup", type=float, default=0.1, help="share of the steps")
    parser.add_argument("--max-train", type=int, help="the first so many of a shuffle that all seeds share")
    parser.add_argument("--max-test", type=int, help="the same of the test records")
    parser.add_argument(
        "--own-defaults", action="store_true", help="scores: where the sides' defaults differ, keep them"
    )
    parser.add_argument("--data", type=Path, default=Path(default_data))
    parser.add_argument("--out", type=Path, help="JSON; scores: continued where it exists")
    return parser.parse_args()


def main() -> int:
    options = read_arguments()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    if options.mode == "losses" and options.own_defaults:
        print("--own-defaults is for --mode scores: equal losses need equal settings", file=sys.stderr)
        return 2
    if options.mode == "losses" and (other := set(options.tasks) - set(SIX)):
        print(f"--mode losses takes {', '.join(SIX)}, not {', '.join(sorted(other))}", file=sys.stderr)
        return 2
    return main_losses(options) if options.mode == "losses" else main_scores(options)


if __name__ == "__main__":
    sys.exit(main())

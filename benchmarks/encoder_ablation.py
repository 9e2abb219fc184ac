"""What makes a small encoder learn in a minute: one change at a time from `modern-tiny` with AdamW, and its peers.

    python benchmarks/encoder_ablation.py [FILE...] [--valid FILE...] [--seconds 50 | --steps N] [--seeds 1]
                                          [--rows base muon ...] [--threads 2] [--work DIR] [--out results.json]

Every row has 2 layers x 128, sequences of 64, batches of 32, no dropout, the same samples in the same order with the
same masks (20 %), and is scored on the same held-out samples with the same masks. Without files: the novels in the
package, 4,096 lower-cased pieces. The rows `transformers-*` are that library's classes in our loop, with the same data
and optimizer, in padded batches and with the logits of all tokens, as their own code computes them.

With --out a (row, seed) that the file holds is not run again. With --steps, results do not depend on the machine's
speed or load. Run it on an idle machine otherwise: `load` in the file is the load average before a row began.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pretune.core.config import merge, resolve
from pretune.core.loss import Loss
from pretune.core.pack import pack
from pretune.core.protocols import Criterion, Objective
from pretune.core.stream import Batch
from pretune.corpus.build import build_corpus
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.families.family import open_family
from pretune.nn.config import FanIn, LMHead, Normal, Sinusoidal, TransformerConfig
from pretune.nn.config import Learned as LearnedPositions
from pretune.nn.model import Model
from pretune.recipes.recipe import open_recipe
from pretune.tokenizers.train import train_tokenizer
from pretune.train.config import FitSettings
from pretune.train.feed import make_feed
from pretune.train.loop import fit

LENGTH, MASKING_RATE, VALID_SAMPLES = 64, 0.2, 2000
RUN: dict[str, Any] = {
    "batch_size": 32,
    "max_length": LENGTH,
    "optimizer": {"name": "adamw", "lr": 3e-3, "betas": [0.9, 0.98], "weight_decay": 0.01},
    "schedule": {"name": "wsd", "warmup": 0.02, "decay": 0.5},
    "clip_norm": 1.0,
}
NO_DROPOUT = {"hidden_dropout": 0.0, "embedding_dropout": 0.0, "attention.dropout": 0.0}


@dataclass(frozen=True)
class Row:
    """A body of `family`, with its config changed and, once built, its weights; trained with RUN and `run` over it.

    peer: transformers' class of that model in place of ours, with its own way of drawing weights.
    """

    what: str
    family: str = "modern"
    changes: Mapping[str, Any] = field(default_factory=dict)
    after: Callable[[Model, Corpus], None] | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    peer: bool = False


def start_positions(std: float) -> Callable[[Model, Corpus], None]:
    def redraw(model: Model, corpus: Corpus) -> None:
        nn.init.normal_(model.body.position.embedding.weight, 0.0, std, generator=torch.Generator().manual_seed(1))

    return redraw


@torch.no_grad()
def start_at_unigram(model: Model, corpus: Corpus) -> None:
    frequencies_V = torch.from_numpy(np.maximum(corpus.vocab.unigram_V, 1e-7))
    model.heads["lm"].decoder.bias.copy_(frequencies_V.log())


@torch.no_grad()
def start_at_zero(model: Model, corpus: Corpus) -> None:
    for layer in model.body.layers:
        layer.attention.output.weight.zero_()
        layer.feed_forward.output.weight.zero_()


def with_lr(lr: float) -> dict[str, Any]:
    return {"optimizer": {"lr": lr}}


def recipe_run() -> dict[str, Any]:
    defaults = open_recipe("modern-tiny")[0].defaults("tiny")
    return {key: defaults[key] for key in ("optimizer", "schedule", "clip_norm")}


LEARNED = {"position": LearnedPositions(LENGTH)}
ROWS = {
    "base": Row("modern-tiny: rotary, pre-norm, gated, fan-in weights; AdamW 3e-3"),
    "muon": Row("+ the recipe's optimizer: Muon on the matrices", run=recipe_run()),
    "learned": Row("learned positions, started as the token vectors", changes=LEARNED),
    "learned-0.02": Row("learned positions, started at 0.02", changes=LEARNED, after=start_positions(0.02)),
    "sinusoidal": Row("sinusoidal positions", changes={"position": Sinusoidal(LENGTH)}),
    "normal": Row("weights from N(0, 0.02²)", changes={"init": Normal(0.02)}),
    "normal-qk": Row(
        "weights from N(0, 0.02²), norms on queries and keys",
        changes={"init": Normal(0.02), "attention.qk_norm": True},
    ),
    "qk": Row("norms on queries and keys", changes={"attention.qk_norm": True}),
    "post-norm": Row("post-norm", changes={"placement": "post", "final_norm": False}),
    "no-gate": Row(
        "no gate, as many weights", changes={"feed_forward.gated": False, "feed_forward.intermediate_size": 480}
    ),
    "small-embeddings": Row("token vectors from N(0, 0.02²)", changes={"init": FanIn(embedding_std=0.02)}),
    "no-transform": Row("no dense layer and norm before the output", changes={"output": LMHead()}),
    "zero": Row("maps into the residual started at zero", after=start_at_zero),
    "unigram-bias": Row("output bias started at log unigram frequency", after=start_at_unigram),
    "bert": Row("bert-tiny, AdamW 1e-3", "bert", NO_DROPOUT, run=with_lr(1e-3)),
    "bert-3e-4": Row("bert-tiny, AdamW 3e-4", "bert", NO_DROPOUT, run=with_lr(3e-4)),
    "bert-3e-3": Row("bert-tiny, AdamW 3e-3", "bert", NO_DROPOUT),
    "transformers-bert": Row("BertForMaskedLM, 1e-3", "bert", NO_DROPOUT, run=with_lr(1e-3), peer=True),
    "transformers-modern": Row("ModernBertForMaskedLM, 0.02", changes={"init": Normal(0.02, 2.0)}, peer=True),
    "transformers-modern-0.09": Row("ModernBertForMaskedLM, 0.09", changes={"init": Normal(0.09, 2.0)}, peer=True),
}


def changed(config: TransformerConfig, changes: Mapping[str, Any]) -> TransformerConfig:
    """A config with fields replaced by dotted path, whether or not the family's files can express it."""
    for path, value in changes.items():
        choice, _, name = path.rpartition(".")
        if choice:
            value = replace(getattr(config, choice), **{name: value})
        config = replace(config, **{choice or name: value})
    return config


class PeerCriterion:
    """The objective's loss, computed by transformers' class from padded ids and labels."""

    def __init__(self, objective: Objective) -> None:
        self.counts = objective.counts

    def loss(self, model: nn.Module, batch: Batch) -> dict[str, Loss]:
        lengths_N = torch.from_numpy(np.asarray(batch.source.lengths_N))
        shown_NL = torch.arange(int(lengths_N.max())) < lengths_N[:, None]
        targets = batch.predict["lm"]
        labels_T = torch.full((batch.source.num_tokens,), -100)
        labels_T[targets.at_MK[:, 0]] = targets.gold_M
        ids_NL, labels_NL = padded(batch.source.ids_T, shown_NL, 0), padded(labels_T, shown_NL, -100)
        mask_NL = None if bool(shown_NL.all()) else shown_NL.long()
        output = model(input_ids=ids_NL, attention_mask=mask_NL, labels=labels_NL)
        count = self.counts(batch)["lm"]
        return {"lm": Loss(output.loss * count, count)}


def padded(column_T: Tensor, shown_NL: Tensor, filler: int) -> Tensor:
    return torch.full(shown_NL.shape, filler).masked_scatter_(shown_NL, column_T.long())


def build(row: Row, corpus: Corpus, objective: Objective, seed: int) -> tuple[nn.Module, Criterion]:
    """The row's model with fresh weights, and what computes its loss."""
    family = open_family(row.family)
    config = changed(family.config("tiny", corpus.vocab.size), row.changes)
    body = family.build(config, seed)
    model = Model(body, objective.heads(body))
    if row.after is not None:
        row.after(model, corpus)
    if not row.peer:
        return model, objective
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(seed)
    hf, _ = family.to_hf(model)
    return AutoModelForMaskedLM.from_config(AutoConfig.for_model(**hf)), PeerCriterion(objective)


@torch.no_grad()
def score(model: nn.Module, criterion: Criterion, batches: Sequence[Batch]) -> float:
    """Mean loss in nats over all predictions of the batches."""
    model.eval()
    losses = [criterion.loss(model, batch)["lm"] for batch in batches]
    return sum(float(loss.sum) for loss in losses) / sum(loss.count for loss in losses)


@dataclass(frozen=True)
class Data:
    train: Corpus
    valid: Corpus
    objective: Objective

    def source(self, corpus: Corpus, family: str, seed: int) -> PretrainingSource:
        template = open_family(family).template(self.train.tokenizer.special_ids)
        return PretrainingSource(self.objective, corpus, template, LENGTH, seed)

    def held_out(self, family: str) -> list[Batch]:
        source = self.source(self.valid, family, seed=0)
        numbers = np.linspace(0, len(source) - 1, min(len(source), VALID_SAMPLES)).astype(int)
        examples = [source.example(int(number), 0, 1.0) for number in numbers]
        return [pack(examples[first : first + 128]).to("cpu") for first in range(0, len(examples), 128)]


def run_row(name: str, seed: int, data: Data, budget: Mapping[str, float]) -> dict[str, Any]:
    row, load = ROWS[name], os.getloadavg()[0]
    model, criterion = build(row, data.train, data.objective, seed)
    settings = resolve(FitSettings, merge(RUN, row.run) | {"seed": seed} | budget)
    feed = make_feed([data.source(data.train, row.family, seed)], settings)
    report = fit(model, criterion, feed, settings)
    return {
        "row": name,
        "seed": seed,
        "valid_loss": score(model, criterion, data.held_out(row.family)),
        "train_loss": report.loss,
        "steps": report.steps,
        "tokens": report.tokens,
        "seconds": round(report.seconds, 2),
        "tokens_per_second": round(report.tokens_per_second),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "load": round(load, 2),
    }


def open_data(arguments: argparse.Namespace, work: Path) -> Data:
    """Tokenizer and corpora under `work`, built unless they are there."""
    novels = Path(str(resources.files("pretune.verbs"))) / "quickstart_data"
    train = arguments.files or [novels / "novels_train.txt.gz"]
    valid = arguments.valid or ([] if arguments.files else [novels / "novels_valid.txt.gz"])
    tokenizer_dir = work / "tokenizer"
    if not tokenizer_dir.exists():
        tokenizer, _ = train_tokenizer(
            train, algorithm="wordpiece", vocab_size=arguments.vocab_size, lowercase=True, documents="blank-line"
        )
        tokenizer.save(tokenizer_dir)
    build_corpus(train, tokenizer_dir, work / "train", valid_fraction=0.0 if valid else 0.02)
    if valid:
        build_corpus(valid, tokenizer_dir, work / "valid", valid_fraction=0.0)
    corpus = Corpus.open(work / "train", split="train")
    held_out = Corpus.open(work / "valid", split="train") if valid else Corpus.open(work / "train", split="valid")
    objective = open_recipe("modern-tiny")[0].make_objective({"masking_rate": MASKING_RATE})
    return Data(corpus, held_out, objective)


def table(results: Mapping[str, Any]) -> str:
    """Markdown: means over seeds, in the order of ROWS."""
    lines = [
        "| row | what | seeds | validation loss | against base | steps | tokens/s |",
        "|---|---|---|---|---|---|---|",
    ]
    found = {name: [each for each in results["rows"] if each["row"] == name] for name in ROWS}
    base = mean(each["valid_loss"] for each in found["base"]) if found["base"] else None
    for name, runs in found.items():
        if not runs:
            continue
        loss, steps, speed = (mean(each[key] for each in runs) for key in ("valid_loss", "steps", "tokens_per_second"))
        against = "" if base is None or name == "base" else f"{loss - base:+.3f}"
        cells = (f"`{name}`", ROWS[name].what, len(runs), f"{loss:.3f}", against, f"{steps:,.0f}", f"{speed:,.0f}")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines.append(f"\nUnigram entropy: {results['unigram_entropy']:.3f} nats.")
    return "\n".join(lines)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="text to train on; documents end at blank lines")
    parser.add_argument("--valid", nargs="*", type=Path, default=[], help="held-out text; else 2 % of the files")
    parser.add_argument("--vocab-size", type=int, default=4096)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--seconds", type=float, default=50.0)
    budget.add_argument("--steps", type=int)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, help="keeps tokenizer and corpora for the next call")
    parser.add_argument("--out", type=Path, help="JSON; a (row, seed) it holds is not run again")
    return parser.parse_args()


def facts(arguments: argparse.Namespace, data: Data) -> dict[str, Any]:
    """What results must share to stand in one table."""
    budget = {"steps": arguments.steps} if arguments.steps else {"seconds": arguments.seconds}
    return {
        "budget": budget,
        "threads": arguments.threads,
        "train": data.train.fingerprint,
        "valid": data.valid.fingerprint,
        "unigram_entropy": float(data.train.vocab.unigram_entropy()),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }


def run(arguments: argparse.Namespace, work: Path) -> None:
    torch.set_num_threads(arguments.threads)
    data = open_data(arguments, work)
    results: dict[str, Any] = facts(arguments, data) | {"rows": []}
    if arguments.out and arguments.out.exists():
        known = json.loads(arguments.out.read_text("utf-8"))
        if different := [key for key, value in results.items() if key != "rows" and known.get(key) != value]:
            raise SystemExit(f"{arguments.out} was made with other {', '.join(different)}: give another --out")
        results = known
    done = {(each["row"], each["seed"]) for each in results["rows"]}
    for seed in arguments.seeds:
        for name in arguments.rows:
            if (name, seed) in done:
                continue
            results["rows"].append(found := run_row(name, seed, data, results["budget"]))
            print(json.dumps(found), flush=True)
            if arguments.out:
                arguments.out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print("\n" + table(results))


def main() -> None:
    arguments = read_arguments()
    with tempfile.TemporaryDirectory() as temporary:
        run(arguments, arguments.work or Path(temporary))


if __name__ == "__main__":
    main()

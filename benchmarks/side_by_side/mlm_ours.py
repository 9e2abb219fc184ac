"""pretune's side of masked-language-model training: its loop as it is, with a stopwatch as a hook."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from pretune.checkpoint.bundle import Bundle
from pretune.core.hooks import Hook
from pretune.corpus.samples import PretrainingSource
from pretune.families.family import HeadSpec, open_family
from pretune.nn.model import Model
from pretune.tokenizers.tokenizer import Tokenizer
from pretune.train.config import FitSettings
from pretune.train.feed import make_feed
from pretune.train.flops import training_flops
from pretune.train.loop import fit


@dataclass(frozen=True)
class Job:
    """How both sides train. The learning rate is constant, so that losses do not depend on the number of steps.

    warmup: steps before the clock starts; they count among `steps`. precision: fp32, or bf16 by autocast.
    """

    batch_size: int = 32
    steps: int = 40
    warmup: int = 10
    lr: float = 1e-4
    seed: int = 1
    device: str = "cpu"
    precision: str = "fp32"
    max_tokens_per_batch: int = 16_384
    workers: int = 0


@dataclass
class Timed:
    """What a side did after its warm-up; `losses` are those of the first steps, warm-up included."""

    seconds: float
    tokens: int
    padded_tokens: int
    step_seconds: list[float]
    losses: list[float]
    warmup_seconds: float
    more: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "tokens_per_second": self.tokens / self.seconds,
            "padding": 1 - self.tokens / self.padded_tokens,
            **{key: value for key, value in vars(self).items() if key != "more"},
            **self.more,
        }


def fresh_bundle(
    family: str, size: str | dict[str, Any], tokenizer: Tokenizer, dropout: float, seed: int, rows: int | None = None
) -> Bundle:
    """Fresh weights with a masked-LM head. `modern` has no dropout; where its place is differs (families/modern.py).

    rows: of the vocabulary matrix, where it is to have more than the tokenizer has pieces.
    """
    changes: dict[str, Any] = {}
    if family == "bert":
        changes = {"hidden_dropout": dropout, "embedding_dropout": dropout, "attention.dropout": dropout}
    elif dropout:
        raise SystemExit(f"the sides of {family} drop out in different places: --dropout 0")
    chosen = open_family(family)
    body = chosen.build(chosen.config(size, rows or tokenizer.vocab.size, **changes), seed)
    return Bundle(Model(body, {"lm": body.family_head("lm")}), tokenizer, {"heads": [asdict(HeadSpec("lm"))]})


class Stopwatch(Hook):
    """When each step ended, its loss, and what had gone through the model by then."""

    def __init__(self) -> None:
        self.times = [time.perf_counter()]
        self.losses: list[float] = []
        self.tallies: list[dict[str, int]] = [dict.fromkeys(("tokens", "padded_tokens", "squared_lengths", "lm"), 0)]

    def on_start(self, run: Any) -> None:
        self.times = [time.perf_counter()]

    def on_step(self, run: Any) -> None:
        self.times.append(time.perf_counter())
        self.losses.append(run.loss)
        tally = {name: getattr(run.tally, name) for name in ("tokens", "padded_tokens", "squared_lengths")}
        self.tallies.append(tally | {"lm": run.tally.predictions["lm"]})


def run_pretune(bundle: Bundle, source: PretrainingSource, job: Job) -> Timed:
    """Trains `bundle` in place for the job's steps."""
    settings = FitSettings(
        seed=job.seed,
        batch_size=job.batch_size,
        steps=job.steps,
        max_length=source.max_length,
        max_tokens_per_batch=job.max_tokens_per_batch,
        optimizer={"lr": job.lr},
        schedule={"name": "constant", "warmup": 0.0},
        precision=job.precision,
        workers=job.workers,
    )
    watch = Stopwatch()
    feed = make_feed([source], settings)
    fit(bundle.model, source.objective, feed, settings, [watch], device=job.device)
    start, end = watch.tallies[job.warmup], watch.tallies[-1]
    done = {name: end[name] - start[name] for name in end}
    seconds = watch.times[-1] - watch.times[job.warmup]
    each = [after - before for before, after in zip(watch.times, watch.times[1:], strict=False)]
    return Timed(
        seconds=seconds,
        tokens=done["tokens"],
        padded_tokens=done["padded_tokens"],
        step_seconds=each[job.warmup :],
        losses=watch.losses[:10],
        warmup_seconds=watch.times[job.warmup] - watch.times[0],
        more={"flops_per_second": flops_of(bundle, done) / seconds, "predictions": done["lm"]},
    )


def flops_of(bundle: Bundle, done: dict[str, int]) -> float:
    """Useful FLOPs (DESIGN section 7): real tokens, and logits at predicted rows only."""
    config = bundle.model.body.config
    return training_flops(
        num_tokens=done["tokens"],
        squared_lengths=done["squared_lengths"],
        num_predictions=done["lm"],
        hidden_size=config.hidden_size,
        intermediate_size=config.feed_forward.intermediate_size,
        num_layers=config.num_layers,
        vocab_size=config.vocab_size,
        gated=config.feed_forward.gated,
    )


def synchronize(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()

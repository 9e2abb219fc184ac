"""Run: the live state of a training run, which hooks see and checkpoints keep; Report: what is left at the end."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pretune.checkpoint.disk import STOP, OnFull
from pretune.core.stream import Batch
from pretune.train.agreement import Agreement, Told
from pretune.train.config import FitSettings
from pretune.train.distribute import Processes
from pretune.train.feed import Feed
from pretune.train.memory import peak_bytes
from pretune.train.numbers import Numbers
from pretune.train.optim import Optimizers
from pretune.train.parallel import Parallel
from pretune.train.records import MetricsFile
from pretune.train.schedule import multiplier
from pretune.train.shards import share_state
from pretune.train.signals import Signals

NUM_RECENT = 100


@dataclass
class Tally:
    """What has gone through the model (`flops.Work`), and the tokens that batches padded to each step's longest
    sequence would have had; tokens that examples were cut by."""

    tokens: int = 0
    squared_lengths: int = 0
    padded_tokens: int = 0
    num_cut: int = 0
    predictions: dict[str, int] = field(default_factory=dict)
    target_tokens: int = 0
    target_squared_lengths: int = 0
    crossed_lengths: int = 0

    def since(self, before: "Tally") -> "Tally":
        """What has come after an earlier tally of the same run."""
        predictions = Counter(self.predictions)
        predictions.subtract(before.predictions)
        numbers = {name: value - getattr(before, name) for name, value in vars(self).items() if name != "predictions"}
        return Tally(**numbers, predictions=dict(predictions))

    def add(self, told: Told) -> None:
        """Adds one step, by what every process told of its `amounts`."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + int(told.sum(name)))
        self.padded_tokens += sum(int(told.sum(f"{name}/sequences") * told.max(f"{name}/longest")) for name in STREAMS)
        predictions = Counter(self.predictions)
        predictions.update({head: int(number) for head, number in told.sums("predictions/").items()})
        self.predictions = dict(predictions)


STREAMS = ("source", "target")
COUNTED = ("tokens", "squared_lengths", "num_cut", "target_tokens", "target_squared_lengths", "crossed_lengths")


def amounts(batches: Sequence[Batch]) -> dict[str, float]:
    """What a Tally counts, of one process's micro-batches of a step."""
    found: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    found.update(num_cut=sum(batch.num_cut for batch in batches))
    for name in STREAMS:
        streams = [stream for batch in batches if (stream := getattr(batch, name)) is not None]
        lengths = [int(length) for stream in streams for length in stream.lengths_N]
        found.update(tokens=sum(lengths), squared_lengths=sum(length * length for length in lengths))
        found.update({f"{name}/sequences": len(lengths), f"{name}/longest": max(lengths, default=0)})
    for batch in batches:
        if batch.target is not None:
            lengths_N = batch.target.lengths_N
            found.update(target_tokens=int(lengths_N.sum()), target_squared_lengths=int((lengths_N**2).sum()))
            found.update(crossed_lengths=int((lengths_N * batch.source.lengths_N).sum()))
        found.update({f"predictions/{head}": len(targets) for head, targets in batch.predict.items()})
    return dict(found)


def tallied(batches: Sequence[Batch]) -> Tally:
    """The tally of some batches, as one process tells of them."""
    told = amounts(batches)
    tally = Tally()
    tally.add(Told(list(told), np.array([list(told.values())])))
    return tally


@dataclass(frozen=True)
class Best:
    """The best evaluation so far: after which step, the metric that chooses, and all scores."""

    step: int
    metric: str
    score: float
    scores: dict[str, float]


@dataclass(frozen=True)
class Report:
    """A finished run. Losses are means over the last 100 steps; `seconds` is wall clock, `training_seconds` steps only.

    stopped: "steps", "seconds", or the reason a hook gave. tally: what went through the model.
    padding_saved: the share of a padded batch's tokens that packing left out. num_cut: tokens that were cut off to fit
    `max_length`. peak_memory_bytes: the most that a process held which trained the run (`memory.py`).
    notes: what the user should know.
    """

    steps: int
    tokens: int
    seconds: float
    training_seconds: float
    tokens_per_second: float
    loss: float
    losses: dict[str, float]
    tally: Tally
    padding_saved: float
    num_cut: int
    peak_memory_bytes: int
    stopped: str
    best: Best | None = None
    resumed_from: int | None = None
    notes: tuple[str, ...] = ()


@dataclass
class Run:
    """What hooks see. `step` counts finished steps; `loss`, `losses`, `lr`, `grad_norm` are those of the last one.

    hooks_due: how many hooks, the last ones, have not had their `on_step` of this step; a run that was interrupted in
    an evaluation makes up for it when it continues. saved: (step, hooks_due) of the newest checkpoint. peak_before: the
    most memory that earlier processes of this run held.
    """

    parallel: Parallel
    feed: Feed
    settings: FitSettings
    optimizers: Optimizers
    device: torch.device
    out: Path | None = None
    metrics: MetricsFile | None = None
    step: int = 0
    loss: float = float("nan")
    losses: dict[str, float] = field(default_factory=dict)
    lr: float = 0.0
    grad_norm: float = 0.0
    tokens_per_second: float = 0.0
    training_seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    recent: deque[dict[str, float]] = field(default_factory=lambda: deque(maxlen=NUM_RECENT))
    scores: dict[str, float] = field(default_factory=dict)
    best: Best | None = None
    stopped: str | None = None
    resumed_from: int | None = None
    notes: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    resumed_at: float = 0.0
    hooks_due: int = 0
    saved: tuple[int, int] = (0, 0)
    on_full: OnFull = STOP
    saved_at: float = field(default_factory=time.monotonic)
    peak_before: int = 0
    signals: Signals = field(default_factory=Signals)

    def __post_init__(self) -> None:
        self.agreement = Agreement(self.processes)
        self.told: Told | None = None
        self.asked: str | None = None
        self.signals.is_shared = self.processes.world > 1
        self.numbers = Numbers(self.settings.spike_window, self.settings.spike_sigma)

    @property
    def model(self) -> nn.Module:
        return self.parallel.model

    @property
    def processes(self) -> Processes:
        return self.parallel.processes

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.processes.is_first

    @property
    def seconds(self) -> float:
        """Wall clock spent in this run, those of earlier processes included."""
        return time.monotonic() - self.began

    @property
    def clock(self) -> float:
        """The seconds that decide: of several processes, those of process 0 before the last step."""
        if self.processes.world == 1:
            return self.seconds
        return self.told.first("seconds") if self.told is not None else self.resumed_at

    @property
    def peak_memory_bytes(self) -> int:
        """The most memory held in this run, by earlier processes too."""
        return max(self.peak_before, peak_bytes(self.device))

    @property
    def unsaved_seconds(self) -> float:
        """Since the newest checkpoint; of several processes, process 0's before the last step."""
        if self.processes.world > 1 and self.told is not None:
            return self.told.first("unsaved_seconds")
        return time.monotonic() - self.saved_at

    @property
    def num_steps(self) -> int | None:
        return self.feed.num_steps

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        return self.progress_at(self.step)

    def progress_at(self, step: int) -> float:
        """The share that is done before a step: of the steps, or of the seconds if that is more."""
        by_steps = 0.0 if self.num_steps is None else step / self.num_steps
        by_clock = 0.0 if self.settings.seconds is None else self.clock / self.settings.seconds
        return min(1.0, max(by_steps, by_clock))

    @property
    def multiplier(self) -> float:
        """What the next step multiplies the highest learning rates with."""
        return multiplier(self.settings.schedule, self.progress, self.num_steps)

    def stop(self, reason: str) -> None:
        """Ends the run after the current step, as complete; the first reason stays.

        Of several processes any may ask: they find out before the next step, and then all stop.
        """
        if self.processes.world == 1:
            self.stopped = self.stopped or reason
        self.asked = self.asked or reason

    def agree(self, facts: Mapping[str, float]) -> Told:
        """What all processes bring to the next step. Sets `stopped` in all where a hook asked in any. Collective."""
        own = {
            "seconds": self.seconds,
            "asked": float(self.asked is not None),
            "signal": float(self.signals.number),
            "unsaved_seconds": time.monotonic() - self.saved_at,
        }
        self.told = self.agreement.exchange({**own, **facts})
        if self.told.max("asked"):
            self.stopped = next(reason for reason in self.processes.gather_json(self.asked) if reason is not None)
        return self.told

    def scored(self, score: Callable[[Any], Mapping[str, float]]) -> dict[str, float]:
        """`score(model)` with whole weights: every process scores, and process 0's figures count. Collective."""
        return dict(self.processes.broadcast_json(dict(self.parallel.call(score))))

    def weights(self) -> dict[str, Tensor]:
        """A copy of the whole weights on the CPU, in process 0; empty in others. Collective."""
        return self.parallel.weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Gives the model whole weights, of which process 0's count. Collective."""
        self.parallel.load(share_state(self.processes, weights))

    def log(self, record: dict[str, Any]) -> None:
        """A line of metrics.jsonl, if the run has a directory; `step` and `seconds` are added."""
        if self.metrics is not None:
            self.metrics.append({"step": self.step, "seconds": round(self.seconds, 3)} | record)

    def state_dict(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "training_seconds": self.training_seconds,
            "tally": asdict(self.tally),
            "recent": list(self.recent),
            "peak_memory_bytes": self.peak_memory_bytes,
            "stopped": self.stopped or self.asked,
            "hooks_due": self.hooks_due,
            "numbers": self.numbers.state_dict(),
            "settings": self.settings.model_dump(mode="json"),
            "data": self.feed.state(self.step),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over counts and clocks; settings and data are compared by the loop before."""
        self.step = self.resumed_from = state["step"]
        self.began, self.resumed_at = time.monotonic() - state["seconds"], state["seconds"]
        self.training_seconds = state["training_seconds"]
        self.tally = Tally(**state["tally"])
        self.recent.extend(state["recent"])
        self.peak_before = state.get("peak_memory_bytes", 0)  # older checkpoints do not say it
        self.stopped = state["stopped"]
        self.hooks_due = state["hooks_due"]
        self.saved = self.step, self.hooks_due
        self.numbers.load_state_dict(state["numbers"])

    def report(self) -> Report:
        assert self.stopped is not None
        names = dict.fromkeys(name for losses in self.recent for name in losses)
        means = {name: sum(losses.get(name, 0.0) for losses in self.recent) / len(self.recent) for name in names}
        return Report(
            steps=self.step,
            tokens=self.tally.tokens,
            seconds=self.seconds,
            training_seconds=self.training_seconds,
            tokens_per_second=self.tally.tokens / max(self.training_seconds, 1e-9),
            loss=means.pop("total", float("nan")),
            losses=means,
            tally=self.tally,
            padding_saved=1 - self.tally.tokens / max(1, self.tally.padded_tokens),
            num_cut=self.tally.num_cut,
            peak_memory_bytes=self.peak_memory_bytes,
            stopped=self.stopped,
            best=self.best,
            resumed_from=self.resumed_from,
            notes=(*self.notes, *self.numbers.notes()),
        )

"""The probe of a plan: some real steps of a run on its real corpus, in a process of its own.

    python -m pretune.verbs.probe REQUEST.json RESULT.json

Everything a run does is done once and timed: steps at each of its lengths, an evaluation, a checkpoint, the model's
files. In a process of its own, because the most memory a process has held cannot be forgotten. The learning rate is
kept so low that nothing is learnt.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pretune.checkpoint.disk import held_bytes
from pretune.core.errors import PretuneError
from pretune.core.hooks import Hook
from pretune.corpus.store import Corpus
from pretune.recipes.recipe import open_recipe
from pretune.train.evaluation import scored
from pretune.train.feed import Feed, Phase
from pretune.train.flops import flops_of
from pretune.train.loop import fit
from pretune.train.memory import peak_bytes
from pretune.train.run import Run, Tally
from pretune.verbs import records
from pretune.verbs.pretrain import make_validation, parameters_of, start_model
from pretune.verbs.pretraining_feed import pretraining_feed
from pretune.verbs.settings import PretrainSettings

STEPS = 20
"""Of each length."""
WARM_UP = 4
"""The first ones of each length, whose time is left out: memory is taken and layouts are new."""
GENTLE = 1e-3


@dataclass
class Stopwatch(Hook):
    """When each step was over and what had gone through the model by then; when the last checkpoint was begun."""

    seconds: list[float] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    saving: float = 0.0
    ended: float = 0.0

    def on_start(self, run: Run) -> None:
        self.on_step(run)

    def on_step(self, run: Run) -> None:
        self.seconds.append(time.perf_counter())
        self.tallies.append(replace(run.tally))

    def on_save(self, run: Run) -> None:
        self.saving = time.perf_counter()

    def on_end(self, run: Run) -> None:
        self.ended = time.perf_counter()


def probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a run costs. request: recipe, corpus, init, settings (all of them), threads, folder for the checkpoint."""
    device = records.choose_device(request["threads"])
    recipe, size = open_recipe(request["recipe"])
    settings = PretrainSettings.model_validate(request["settings"])
    train, valid = (Corpus.open(request["corpus"], split=split) for split in ("train", "valid"))
    objective = recipe.make_objective(settings.objective)
    bundle = start_model(recipe, size, settings, train, objective, request["init"], request["allow_pickle"])
    feed = pretraining_feed(objective, train, bundle.template, settings)
    validation = make_validation(objective, valid, bundle, settings, device)
    feed = replace(feed, phases=tuple(phase for phase in feed.phases if phase.num_steps != 0))
    short, watch = shortened(feed), Stopwatch()
    with TemporaryDirectory(prefix=".pretune-probe-", dir=request["folder"]) as folder:
        out = Path(folder)
        fit(bundle.model, objective, short, gentle(settings, short), [watch], out=out, device=device)
        checkpoint = held_bytes(out / "checkpoints")
        began = time.perf_counter()
        scored(bundle.model, validation)
        evaluation = time.perf_counter() - began
        bundle.save(out / "model")
        model = held_bytes(out / "model")
    phases = measure(watch, short)
    for found, phase in zip(phases, feed.phases, strict=True):
        found["steps"] = phase.num_steps
        found["flops"] = flops_of(bundle.model, found.pop("work")) / found["probed"]
    return {
        "device": device,
        "phases": phases,
        "evaluation_seconds": evaluation,
        "checkpoint_seconds": watch.ended - watch.saving,
        "checkpoint_bytes": checkpoint,
        "model_bytes": model,
        "peak_memory_bytes": peak_bytes(device),
        **parameters_of(bundle),
    }


def shortened(feed: Feed) -> Feed:
    """The same samples, a few steps of each length."""
    phases = (Phase(phase.source, min(STEPS, phase.num_steps or STEPS)) for phase in feed.phases)
    return replace(feed, phases=tuple(phases))


def gentle(settings: PretrainSettings, feed: Feed) -> PretrainSettings:
    """The run's settings, but for a budget that is the probe's and updates that change next to nothing."""
    optimizer = settings.optimizer
    rate = None if optimizer.matrix_lr is None else optimizer.matrix_lr * GENTLE
    return settings.model_copy(
        update={
            "seconds": None,
            "optimizer": optimizer.model_copy(update={"lr": optimizer.lr * GENTLE, "matrix_lr": rate}),
            "schedule": settings.schedule.model_copy(update={"name": "constant", "warmup": 0.0}),
            "save_every_steps": feed.num_steps,
            "save_every_minutes": None,
        }
    )


def measure(watch: Stopwatch, feed: Feed) -> list[dict[str, Any]]:
    """Of each length: seconds and tokens of a step, means over the probe's, and "work", all that its steps did."""
    found, first = [], 0
    for phase in feed.phases:
        assert phase.num_steps is not None
        last = first + phase.num_steps
        warm = min(first + WARM_UP, last - 1)
        work = watch.tallies[last].since(watch.tallies[first])
        seconds = (watch.seconds[last] - watch.seconds[warm]) / (last - warm)
        tokens = work.tokens / phase.num_steps
        found.append({"probed": phase.num_steps, "seconds": seconds, "tokens": tokens, "work": work})
        first = last
    return found


def main(arguments: Sequence[str]) -> None:
    """Reads the request, writes what was found, or the error in words with its exit status."""
    request, result = map(Path, arguments)
    try:
        found: dict[str, Any] = probe(json.loads(request.read_text("utf-8")))
    except PretuneError as error:
        found = {"error": str(error), "exit_status": error.exit_status}
    result.write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

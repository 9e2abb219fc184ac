"""Courses that one process or a job of several runs, and what is left of them in files.

    python train_jobs.py DIR RANK WORLD     one process of a job; its courses stand in DIR/courses.json

A job's processes meet through a file in DIR, so it needs no port; what they say to each other goes over the loopback.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from train_toys import VOCAB, PoisonedCriterion, ToyCriterion, ToySource, toy_settings

from pretune.core.errors import PretuneError
from pretune.core.hooks import Hook
from pretune.core.marks import SPECIAL
from pretune.core.protocols import Context
from pretune.core.randomness import derive_rng
from pretune.core.stream import Example, Targets, bidirectional
from pretune.core.vocab import Vocab
from pretune.families.electra import electra
from pretune.nn.config import Attention, FanIn, FeedForward, HeadTransform, LMHead, Norm, Rotary, TransformerConfig
from pretune.nn.heads import ClassificationHead, MaskedLMHead
from pretune.nn.model import Model
from pretune.nn.transformer import Transformer
from pretune.objectives.replaced_token import replaced_token
from pretune.train import distribute
from pretune.train.evaluation import Evaluate
from pretune.train.feed import make_feed
from pretune.train.loop import fit


@dataclass(frozen=True)
class RareSource(ToySource):
    """Every fifth sample also predicts `rare`, so that some micro-batches, processes and steps have none of it."""

    def example(self, number: int, epoch: int, progress: float) -> Example:
        example = super().example(number, epoch, progress)
        if number % 5:
            return example
        rare = Targets(np.array([[1]]), np.array([number % 3]), np.ones(1, np.float32))
        return replace(example, predict={**example.predict, "rare": rare})


@dataclass(frozen=True)
class ElectraSource(ToySource):
    """Ids behind a [CLS], of which ELECTRA's objective masks some and draws others."""

    def example(self, number: int, epoch: int, progress: float) -> Example:
        ids = FIRST + derive_rng(self.seed, number).integers(0, ELECTRA_VOCAB - FIRST, 2 + number % self.max_length)
        special = np.arange(len(ids) + 1) == 0
        stream = bidirectional(np.append([1], ids), marks_T=special.astype(np.uint8) * SPECIAL)
        vocab = Vocab(ELECTRA_VOCAB, np.arange(ELECTRA_VOCAB) < FIRST, cls_id=1, mask_id=3)
        context = Context(vocab, self.max_length + 2, derive_rng(self.seed, epoch, number))
        return ELECTRA.corrupt(Example(stream, origin_E=np.array([number])), context)


FIRST, ELECTRA_VOCAB, ELECTRA = 4, 30, replaced_token(0.4)


def electra_model() -> Model:
    """A discriminator and its generator, which share their embeddings."""
    shape = {"hidden_size": 32, "attention.num_heads": 2, "feed_forward.intermediate_size": 24, "embedding_size": 12}
    still = {"embedding_dropout": 0.0, "hidden_dropout": 0.0, "attention.dropout": 0.0}
    body = electra.build(electra.config("tiny", ELECTRA_VOCAB, **shape, **still))
    return Model(body, ELECTRA.heads(body))


def small_model() -> Model:
    """Two blocks, a tied head, a head that is rarely used and one that never is. No size is a multiple of another."""
    norm = Norm(eps=1e-5, bias=True)
    body = Transformer(
        TransformerConfig(
            VOCAB, 10, 2, Rotary(), norm, "pre", FeedForward(7, gated=True), Attention(1), FanIn(), LMHead(),
            final_norm=True,
        )
    )  # fmt: skip
    heads = {
        "token": MaskedLMHead(body, LMHead(HeadTransform(norm=norm)), FanIn()),
        "whole": ClassificationHead(10, 2, FanIn(), seed=1),
        "rare": ClassificationHead(10, 3, FanIn(), seed=2),
        "never": ClassificationHead(10, 5, FanIn(), seed=3),
    }
    return Model(body, heads)


class Watch(Hook):
    """What a run looked like: losses, norms and rates by step, and on request a signal, a stop or digests."""

    def __init__(self, course, processes):
        self.course, self.processes = course, processes
        self.rows, self.digests, self.end = [], {}, {}

    def on_start(self, run):
        self.digests = digests(run)

    def on_end(self, run):
        self.end = digests(run)

    def on_save(self, run):
        self.end = digests(run)

    def on_step(self, run):
        self.rows.append([run.loss, run.losses, run.grad_norm, run.lr, run.tally.tokens])
        here = self.processes.rank == self.processes.world - 1
        if here and self.course.get("signal_at") == run.step:
            os.kill(os.getpid(), signal.SIGTERM)
        if here and self.course.get("stop_at") == run.step:
            run.stop("enough")
        if here and self.course.get("die_at") == run.step:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.course.get("sleep", 0.0) * (1 + self.processes.rank))


def digest(tensors):
    content = [(name, str(tensor.dtype), tensor.cpu().contiguous().numpy().tobytes()) for name, tensor in tensors]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def digests(run):
    """sha256 of the whole weights and of the whole optimizer state, as they are in this run."""
    weights = run.parallel.weights() if run.processes.world > 1 else run.model.state_dict()
    states = run.optimizers.state_dict()
    named = [(f"{name}.{key}", states[name][key]) for name in sorted(states) for key in sorted(states[name])]
    return {"weights": digest(sorted(weights.items())), "optimizer": digest(named)}


def settings_of(course):
    base = {"steps": 22, "batch_size": 7, "max_tokens_per_batch": 14, "clip_norm": 0.3, "schedule": {"warmup": 0.1}}
    known = {"optimizer": {"name": course.get("optimizer", "adamw"), "lr": 1e-2}}
    return toy_settings(**base | known | course.get("settings", {}))


def run_course(course, processes=distribute.ALONE, root=Path()):
    """Runs a course; returns what it looked like and the model."""
    if course.get("electra"):
        return run_electra(course, processes)
    settings, model = settings_of(course), small_model()
    if processes.rank and course.get("other_seed", True):  # process 0's weights count
        torch.nn.init.ones_(model.heads["whole"].classifier.weight)
    source = RareSource(23, settings.max_length)
    feed = make_feed([source], settings, rank=processes.rank, world=processes.world)
    criterion = ToyCriterion() if "poison" not in course else PoisonedCriterion(course["poison"])
    watch, hooks = Watch(course, processes), []
    if course.get("evaluate"):
        calls = []

        def score(model):
            with torch.inference_mode():
                batch = make_feed([source], settings).step(0, 0.0)[0].to("cpu")
                calls.append(float(model(batch, heads=["whole"])["whole"].square().mean()))
            better = {0: 0.1, 1: 0.9}.get(len(calls) - 1, 0.2) + processes.rank  # another figure in each process
            return {"size": calls[-1], "better": better}

        hooks.append(Evaluate(score, every=3, metric="better", patience=course["evaluate"]))
    out = root / course["out"] if "out" in course else None
    seen = {"error": None}
    try:
        report = fit(model, criterion, feed, settings, [*hooks, watch], out=out, processes=processes)
        seen |= {"stopped": report.stopped, "steps": report.steps, "tokens": report.tokens, "loss": report.loss}
        seen |= {
            "predictions": report.tally.predictions,
            "padding_saved": report.padding_saved,
            "best": report.best and vars(report.best),
        }
        seen |= {"resumed_from": report.resumed_from, "scores": [list(map(float, calls))] if hooks else []}
    except PretuneError as error:
        seen["error"] = [type(error).__name__, str(error)]
    return seen | {"rows": watch.rows, "digests": watch.digests, "end": watch.end}, model


def run_electra(course, processes):
    settings, model = settings_of(course), electra_model()
    if processes.rank:
        torch.nn.init.ones_(model.body.token_embedding.weight)
    feed = make_feed([ElectraSource(23, settings.max_length)], settings, rank=processes.rank, world=processes.world)
    watch = Watch(course, processes)
    report = fit(model, ELECTRA, feed, settings, [watch], processes=processes)
    seen = {"error": None, "tokens": report.tokens, "predictions": report.tally.predictions, "end": watch.end}
    return seen | {"rows": watch.rows}, model


def work(root, rank, world):
    torch.set_num_threads(1)
    store = dist.FileStore(str(root / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=120))
    processes = distribute.join()
    for course in json.loads((root / "courses.json").read_text()):
        if rank == 0 and "copy" in course:
            shutil.copytree(root / course["out"], root / course["copy"])
        seen, model = run_course(course, processes, root)
        (root / f"{course['name']}-{rank}.json").write_text(json.dumps(seen))
        weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        save_file(weights, root / f"{course['name']}-{rank}.safetensors")
    distribute.leave()


def start_job(root, courses, world=2):
    """Starts a job; returns its processes."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "courses.json").write_text(json.dumps(courses))
    (root / "store").unlink(missing_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    words = [sys.executable, __file__, str(root)]
    return [
        subprocess.Popen([*words, str(rank), str(world)], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

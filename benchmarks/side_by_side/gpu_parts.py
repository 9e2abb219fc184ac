"""The parts of gpu.py. Each is called with the options and `put(name, value)`, which writes at once."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from typing import Any

import numpy as np
import torch

from pretune.checkpoint.bundle import Bundle
from pretune.core.pack import pack
from pretune.core.stream import Batch
from pretune.corpus.build import build_corpus
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.tokenizers.train import train_tokenizer
from pretune.train.config import FitSettings
from pretune.train.feed import make_feed
from pretune.train.flops import peak_flops
from pretune.train.loop import autocast_dtype
from pretune.train.optim import build_optimizers
from pretune.train.step import Step, clip, gradients
from side_by_side.mlm_data import Blocks, Drawn, make_source, peer_rows
from side_by_side.mlm_ours import Job, Timed, flops_of, fresh_bundle, run_pretune, synchronize

Put = Callable[[str, Any], None]
ROWS = {"bert": 30_522, "modern": 50_368}
SEVENTEEN_MILLION = {
    "num_layers": 7,
    "hidden_size": 256,
    "attention.num_heads": 4,
    "feed_forward.intermediate_size": 384,
}
H100_BF16 = 989e12
SMALL_VOCABULARY = 4096
BOUNDS = {"hidden": 1e-4, "losses": 1e-3, "gradients": 1e-3}
"""hidden: absolute; losses: of five steps, absolute; gradients: of the largest gradient."""


def open_corpus(options: argparse.Namespace) -> Corpus:
    """The corpus that was given, or one of the bundled novels, made the first time."""
    if options.corpus is not None:
        return Corpus.open(options.corpus)
    made, tokenizer = options.work / "corpus", options.work / "tokenizer"
    with resources.as_file(resources.files("pretune.verbs").joinpath("quickstart_data")) as folder:
        novels = folder / "novels_train.txt.gz"
        if not tokenizer.exists():
            trained, _ = train_tokenizer([novels], algorithm="wordpiece", vocab_size=SMALL_VOCABULARY, lowercase=True)
            trained.save(tokenizer)
        build_corpus([novels], tokenizer, made, language="en")
    return Corpus.open(made)


def open_source(options: argparse.Namespace, bundle: Bundle, texts: str, corpus: Corpus) -> PretrainingSource:
    arrangement = Blocks() if texts == "packed" else Drawn(median=options.max_length / 4)
    how = {"max_length": options.max_length, "masking_rate": 0.15, "seed": 1}
    return make_source(corpus, arrangement, bundle.template, **how)


def job_of(options: argparse.Namespace) -> Job:
    precision = "bf16" if torch.device(options.device).type == "cuda" else "fp32"
    steps, tokens = options.warmup + options.steps, max(options.batch_size * options.max_length, 16_384)
    how = {"device": options.device, "precision": precision, "max_tokens_per_batch": tokens, "workers": options.workers}
    return Job(options.batch_size, steps, options.warmup, **how)


def parity(options: argparse.Namespace, put: Put) -> None:
    """The device against the CPU in fp32, for each family, on sequences of many lengths; bf16's distance beside it."""
    corpus = open_corpus(options)
    for family in ("bert", "modern"):
        size = "tiny" if options.tiny else "mini"
        there, here = (fresh_bundle(family, size, corpus.tokenizer, 0.0, 1) for _ in range(2))
        source = open_source(options, here, "drawn", corpus)
        batch = pack([source.example(number, 0) for number in range(16)])
        found: dict[str, tuple[float, float]] = {}
        hidden, grads = [], []
        for bundle, device in ((here, "cpu"), (there, options.device)):
            bundle.model.to(device)
            with torch.no_grad():
                hidden.append(bundle.model.body(batch.to(device)).float().cpu())
            loss = source.objective.loss(bundle.model, batch.to(device))["lm"]
            (loss.sum / loss.count).backward()
            grads.append([p.grad.float().cpu() for p in bundle.model.parameters() if p.grad is not None])
            bundle.model.zero_grad(set_to_none=True)
        largest = max(float(grad.abs().max()) for grad in grads[0])
        apart = max(float((a - b).abs().max()) for a, b in zip(*grads, strict=True))
        found["hidden"] = float((hidden[0] - hidden[1]).abs().max()), BOUNDS["hidden"]
        found["gradients"] = apart / largest, BOUNDS["gradients"]
        if torch.device(options.device).type == "cuda":
            with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
                half = there.model.body(batch.to(options.device)).float().cpu()
            found["hidden, bf16"] = float((hidden[0] - half).abs().max()), float("inf")
        job = replace(job_of(options), batch_size=8, steps=5, warmup=0, precision="fp32")
        losses = [
            run_pretune(bundle, source, replace(job, device=device)).losses
            for bundle, device in ((here, "cpu"), (there, options.device))
        ]
        found["losses"] = max(abs(a - b) for a, b in zip(*losses, strict=True)), BOUNDS["losses"]
        put(family, found)
        if wrong := [what for what, (value, bound) in found.items() if not value <= bound]:
            raise SystemExit(f"{family}: the device differs from the CPU in {', '.join(wrong)}: {found}")


def base(options: argparse.Namespace, put: Put) -> None:
    compare("bert", "tiny" if options.tiny else "base", options, put)


def small(options: argparse.Namespace, put: Put) -> None:
    compare("modern", "tiny" if options.tiny else SEVENTEEN_MILLION, options, put)


def compare(family: str, size: str | dict[str, Any], options: argparse.Namespace, put: Put) -> None:
    """All sides on both kinds of texts, alternating, for as long as there is time."""
    corpus, job = open_corpus(options), job_of(options)
    peak = measure_peak(options)
    put("peak_flops", peak)
    rows = ROWS[family] if len(corpus.tokenizer) <= ROWS[family] else None
    bundle = fresh_bundle(family, size, corpus.tokenizer, 0.0, 1, rows)
    for texts in ("drawn", "packed"):
        source = open_source(options, bundle, texts, corpus)
        torch._dynamo.reset()  # what was compiled for the other lengths is not used here
        sides = make_sides(bundle, source, job, options.sides)
        runs: list[dict[str, Any]] = []
        for repetition in range(options.repetitions + 1):  # the first is a rehearsal: compiling, allocating
            for side, run in sides if repetition % 2 else sides[::-1]:
                if time.time() > options.ends - 10:
                    return
                timed = run()
                if repetition == 0:
                    put(f"rehearsal/{texts}/{side}", {"warmup_seconds": timed.warmup_seconds})
                    continue
                runs.append({"side": side, "texts": texts, "repetition": repetition, **facts_of(timed, peak)})
                put(f"runs/{texts}", runs)


def facts_of(timed: Timed, peak: float) -> dict[str, Any]:
    facts = {name: value for name, value in timed.as_json().items() if name not in ("step_seconds", "losses")}
    if "flops_per_second" in facts:
        facts |= {"mfu": facts["flops_per_second"] / peak, "of_989_tflops": facts["flops_per_second"] / H100_BF16}
    return facts


def measure_peak(options: argparse.Namespace) -> float:
    precision = job_of(options).precision
    dtype = autocast_dtype(precision, torch.device(options.device)) or torch.float32
    return peak_flops(options.device, dtype, 0.2 if options.tiny else 4.0)


def make_sides(
    bundle: Bundle, source: PretrainingSource, job: Job, chosen: Sequence[str]
) -> list[tuple[str, Callable[[], Timed]]]:
    """Each side as a call. The peers' models are made once, so that what torch.compile made of them is used again."""
    sides: list[tuple[str, Callable[[], Timed]]] = [("pretune", lambda: run_pretune(bundle, source, job))]
    if set(chosen) - {"pretune"}:
        import transformers

        from side_by_side.mlm_peer import grouped, open_peer, run_transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(source.corpus.folder / "tokenizer")
        count = min(len(source), 200 * job.batch_size)
        rows = peer_rows(source, max(count, job.steps * job.batch_size), job.seed)

        def peer(name: str) -> Callable[[], Timed]:
            is_best = name == "best"
            model = open_peer(bundle, best=is_best)
            taken = grouped(rows, job.batch_size, job.seed) if is_best else rows[: job.steps * job.batch_size]
            return lambda: run_transformers(model, tokenizer, taken, job, best=is_best)

        sides += [(name, peer(name)) for name in ("default", "best") if name in chosen]
    return [(name, run) for name, run in sides if name in chosen]


def profile(options: argparse.Namespace, put: Put) -> None:
    """Time by operation over a few steps whose batches were made beforehand, for BERT-base and the small encoder."""
    corpus, job = open_corpus(options), job_of(options)
    peak = measure_peak(options)
    for name, family, size in (("base", "bert", "base"), ("small", "modern", SEVENTEEN_MILLION)):
        bundle = fresh_bundle(family, "tiny" if options.tiny else size, corpus.tokenizer, 0.0, 1, ROWS[family])
        for texts in ("drawn", "packed"):
            source = open_source(options, bundle, texts, corpus)
            batches = prepared(source, job, count=6)
            step = stepper(bundle, source, job)
            put(f"without_feed/{name}/{texts}", without_feed(step, batches, bundle, job, peak))
            if texts == "drawn":
                for order, found in tables(step, batches, job).items():
                    put(f"table/{name}/{order}", found)


def prepared(source: PretrainingSource, job: Job, count: int) -> list[list[Batch]]:
    settings = FitSettings(
        batch_size=job.batch_size,
        steps=count,
        max_length=source.max_length,
        max_tokens_per_batch=job.max_tokens_per_batch,
    )
    feed = make_feed([source], settings)
    return [[batch.to(job.device) for batch in feed.step(number, 0.0)] for number in range(count)]


def stepper(bundle: Bundle, source: PretrainingSource, job: Job) -> Callable[[list[Batch]], None]:
    """One whole optimizer step, as the loop takes it."""
    device = torch.device(job.device)
    model = bundle.model.to(device).train()
    step = Step(model, source.objective)
    settings = FitSettings(steps=1, optimizer={"lr": job.lr})
    optimizers = build_optimizers(model, settings.optimizer)
    dtype = autocast_dtype(job.precision, device)

    def take(batches: list[Batch]) -> None:
        optimizers.zero_grad()
        result = gradients(step, optimizers.parameters, batches, (1, 0, 0), device, dtype)
        clip(optimizers.parameters, result.norm, settings.clip_norm)
        optimizers.step(1.0)

    return take


def without_feed(
    take: Callable[[list[Batch]], None], batches: list[list[Batch]], bundle: Bundle, job: Job, peak: float
) -> dict[str, Any]:
    for step in batches[:3]:
        take(step)
    synchronize(job.device)
    rounds, started = (1 if job.device == "cpu" else 5), time.perf_counter()
    for step in batches * rounds:
        take(step)
    synchronize(job.device)
    seconds = time.perf_counter() - started
    streams = [batch.source for step in batches for batch in step]
    lengths = np.concatenate([stream.lengths_N for stream in streams])
    done = {"tokens": int(lengths.sum()), "squared_lengths": int((lengths.astype(np.int64) ** 2).sum())}
    done |= {"lm": sum(len(batch.predict["lm"]) for step in batches for batch in step)}
    flops = flops_of(bundle, done) * rounds / seconds
    return {"tokens_per_second": done["tokens"] * rounds / seconds, "mfu": flops / peak}


def tables(take: Callable[[list[Batch]], None], batches: list[list[Batch]], job: Job) -> dict[str, str]:
    """The most expensive operations, by the device's time and by the host's."""
    is_cuda = job.device != "cpu"
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * is_cuda
    with torch.profiler.profile(activities=kinds, acc_events=True) as found:
        for step in batches[:3]:
            take(step)
        synchronize(job.device)
    averages = found.key_averages()
    orders = {"host": "self_cpu_time_total"} | ({"device": "self_device_time_total"} if is_cuda else {})
    return {name: averages.table(sort_by=key, row_limit=25, max_name_column_width=60) for name, key in orders.items()}


def train(options: argparse.Namespace, put: Put) -> None:
    """modern-base on the corpus for the seconds that were asked for; the run's own records are kept."""
    import pretune

    corpus = open_corpus(options)
    size = "tiny" if options.tiny else "base"
    settings = {"seconds": options.train_seconds, "max_length": options.max_length, "workers": options.workers}
    if options.tiny:
        settings |= {"batch_size": 4}
    found = pretune.pretrain(f"modern-{size}", corpus=corpus.folder, out=options.work / "run", settings=settings)
    put("metrics", {name: value for name, value in found.items() if name != "text"})
    put("curve", (options.work / "run" / "metrics.jsonl").read_text("utf-8").splitlines())

"""quickstart: the whole main job on bundled real text. Also the pipeline to read in one file.

Novels (public domain) become a tokenizer, a corpus and a small pre-trained encoder; then it tags parts of speech of
modern web text from only 100 and 300 labelled sentences, beside a most-frequent-tag baseline, the same encoder from
scratch, and a linear layer on its frozen features. Intervals cover the test sentences and the draws of labelled ones.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.core.randomness import derive_rng
from pretune.evaluate import table
from pretune.evaluate.blanks import Blank, Blanks, guesses
from pretune.evaluate.outcome import Outcome
from pretune.evaluate.report import Code, Report, Text, write_report
from pretune.metrics.checks import FloatArray
from pretune.metrics.intervals import Interval, ratio_of_sums
from pretune.metrics.two_level import bootstrap_draws, bootstrap_draws_ratio
from pretune.tasks.tag import tag
from pretune.tasks.task import Task
from pretune.text.records import Record, read_records
from pretune.train.config import OptimizerSettings, ScheduleSettings
from pretune.verbs import pages, records
from pretune.verbs.console import say
from pretune.verbs.corpus import build_corpus
from pretune.verbs.pretrain import pretrain
from pretune.verbs.pretrained import Pretrained, load
from pretune.verbs.tokenizer import train_tokenizer
from pretune.verbs.tune import FinetuneSettings, Tuned, tune

RECIPE = "modern-tiny"
VOCAB_SIZE = 4096
BASELINE, SCRATCH, FROZEN, TUNED = (
    "most frequent tag",
    "same encoder from scratch",
    "frozen features + linear",
    "pre-trained + fine-tuned",
)
ROUNDS = ((100, 0), (300, 0), (100, 1), (300, 1), (100, 2), (100, 3), (100, 4), (300, 2))
NUM_SURE_ROUNDS = 4
"""These many rounds are run however long they take; the others only if they end before the deadline."""
DEADLINE_SECONDS = 215.0
BLANKS = (
    ("She looked at him and said", "nothing", "."),
    ("He took her", "hand", "in both of his own ."),
    ("The old man sat down by the", "fire", "and began to read ."),
    ("I do not", "know", "what you mean , sir ."),
    ("They walked slowly down the", "street", "towards the church ."),
    ("It was a", "great", "pleasure to see you again ."),
)
NEXT = """pretune tokenizer train YOUR.txt --algorithm wordpiece --vocab-size 8000 --lowercase --out tokenizer
pretune corpus build YOUR.txt --tokenizer tokenizer --out corpus && \\
  pretune pretrain --corpus corpus --out run seconds=600
pretune finetune classify --model run/model --train YOUR.csv --out classifier"""


@dataclass
class Results:
    """Counts of each system: counts[system, n] holds a [sentences, 2] array (right words, words) for each draw."""

    counts: dict[tuple[str, int], list[FloatArray]] = field(default_factory=dict)

    def add(self, system: str, num_labelled: int, counts_N2: FloatArray | None) -> None:
        assert counts_N2 is not None
        self.counts.setdefault((system, num_labelled), []).append(counts_N2)

    def num_draws(self, num_labelled: int) -> int:
        return len(self.counts[BASELINE, num_labelled])

    def accuracy(self, system: str, num_labelled: int, seed: int) -> Interval:
        """Mean accuracy over draws, with its interval over draws and test sentences."""
        counts_SN2 = np.stack(self.counts[system, num_labelled])
        return bootstrap_draws(counts_SN2, ratio_of_sums, rng=derive_rng(seed, "accuracy", system, num_labelled))

    def difference(self, first: str, second: str, num_labelled: int, seed: int) -> Outcome:
        """The first system's accuracy minus the second's, on the same draws and sentences."""
        both = [np.stack(self.counts[system, num_labelled]) for system in (first, second)]
        interval = bootstrap_draws_ratio(
            both[0][..., 0] - both[1][..., 0],
            both[0][0, :, 1],
            rng=derive_rng(seed, "difference", second, num_labelled),
        )
        return Outcome(f"{first} ({num_labelled} sentences)", second, "accuracy", interval)


def quickstart(out: str | Path = "quickstart", *, seed: int = 1, pretrain_seconds: float = 100.0) -> dict[str, Any]:
    """Runs the whole job in `out` and returns the table, the pre-training metrics and the path of report.html.

    Rerunning continues an interrupted pre-training. Raises InputError for an `out` that holds another run.
    """
    out, started = Path(out), time.monotonic()
    if pretrain_seconds <= 0:
        raise InputError(f"pretrain_seconds is {pretrain_seconds}: give a positive number")
    data = resources.files("pretune.verbs").joinpath("quickstart_data")
    with resources.as_file(data) as folder:
        novels = [folder / "novels_train.txt.gz", folder / "novels_valid.txt.gz"]
        say(f"1/5 tokenizer: {VOCAB_SIZE:,} WordPieces from {folder.joinpath(novels[0].name).name}")
        said = train_tokenizer(novels[:1], vocab_size=VOCAB_SIZE, lowercase=True, out=out / "tokenizer")
        say(_indented(said["text"]))
        say("2/5 corpus")
        built = build_corpus(
            novels, tokenizer=out / "tokenizer", out=out / "corpus", valid_fraction=0.04, language="en"
        )
        say(_indented(built["text"]))
        train, test = (read_records(folder / f"ewt_{part}.conll.gz") for part in ("train", "test"))
    say(f"3/5 pre-training {RECIPE} for {pretrain_seconds:.0f} s")
    settings = {"seconds": pretrain_seconds, "seed": seed, "valid_samples": 400, "save_every_steps": 500}
    pretraining = pretrain(RECIPE, corpus=out / "corpus", out=out / "pretrained", settings=settings)
    say(_indented(pretraining["text"]))
    say("4/5 tagging parts of speech from 100 and 300 labelled sentences")
    results, tuned = _compare(
        out / "pretrained" / "model", train, test, seed, started + DEADLINE_SECONDS * _slack(pretrain_seconds)
    )
    tuned.bundle.save(out / "tagger")
    say("5/5 report")
    return _finish(out, results, pretraining, _blanks(out, seed), len(test), seed, started)


def _slack(pretrain_seconds: float) -> float:
    """The deadline is for 100 s of pre-training and moves with it."""
    return (DEADLINE_SECONDS + pretrain_seconds - 100.0) / DEADLINE_SECONDS


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _compare(
    model: Path, train: Sequence[Record], test: Sequence[Record], seed: int, deadline: float
) -> tuple[Results, Tuned]:
    """Every system on every draw, as long as time allows; and the last model fine-tuned on the most sentences."""
    results = Results()
    task = tag().fit_labels(train)
    longest: dict[int, float] = {}
    best: Tuned | None = None
    for number, (num_labelled, draw) in enumerate(ROUNDS):
        if number >= NUM_SURE_ROUNDS and time.monotonic() + longest[num_labelled] > deadline:
            continue
        began = time.monotonic()
        labelled = train[draw * num_labelled : (draw + 1) * num_labelled]
        found = _round(results, model, task, labelled, test, derive_seed_of(seed, num_labelled, draw))
        best = found if num_labelled == 300 else best
        longest[num_labelled] = max(longest.get(num_labelled, 0.0), time.monotonic() - began)
        shown = {
            name: ratio_of_sums(results.counts[name, num_labelled][-1].sum(0))
            for name in (BASELINE, SCRATCH, FROZEN, TUNED)
        }
        say(f"    {num_labelled} sentences, draw {draw + 1}: " + ", ".join(f"{n} {v:.3f}" for n, v in shown.items()))
    assert best is not None
    return results, best


def derive_seed_of(seed: int, num_labelled: int, draw: int) -> int:
    """A seed for each draw, small enough for a setting."""
    return seed * 10_000 + num_labelled * 10 + draw


def _round(
    results: Results, model: Path, task: Task, labelled: Sequence[Record], test: Sequence[Record], seed: int
) -> Tuned:
    num = len(labelled)
    guesses_of = task.baseline_predictions(labelled, test)["most-frequent-tag"]
    results.add(BASELINE, num, task.items(guesses_of, test).counts_NC)
    scratch = Bundle.load(model, heads=[task.head_spec], seed=seed)
    scratch.model.initialise(seed)
    pretrained = (Bundle.load(model, heads=[task.head_spec], seed=seed) for _ in range(2))
    for system, bundle in zip((SCRATCH, FROZEN, TUNED), (scratch, *pretrained), strict=True):
        tuned = tune(bundle, "tag", task, labelled, tagging_settings(system, num, seed))
        results.add(system, num, tuned.evaluate(test, 128).items.counts_NC)
    return tuned


def tagging_settings(system: str, num_labelled: int, seed: int) -> FinetuneSettings:
    """Settings of a tagger, each system's chosen on training sentences that are in none of the draws."""
    epochs, lr = {SCRATCH: (20.0, 2e-3), FROZEN: (20.0, 1e-2), TUNED: (15.0, 1e-3)}[system]
    return FinetuneSettings(
        seed=seed,
        epochs=epochs if num_labelled <= 100 else epochs / 1.5,
        batch_size=16,
        adapt="frozen" if system == FROZEN else "full",
        optimizer=OptimizerSettings(lr=lr),
        schedule=ScheduleSettings(warmup=0.1),
    )


def _blanks(out: Path, seed: int) -> Blanks:
    """The same blanks filled by the untrained and by the pre-trained model."""
    after = load(out / "pretrained" / "model")
    before = Pretrained(
        Bundle.fresh(after.bundle.family, _size(), after.tokenizer, heads=after.bundle.specs, seed=seed)
    )
    texts = [f"{left} [MASK] {right}" for left, _, right in BLANKS]
    filled = zip(before.fill(texts), after.fill(texts), BLANKS, strict=True)
    blanks = tuple(Blank(left, right, guesses(b), guesses(a), word) for b, a, (left, word, right) in filled)
    return Blanks("Filling blanks, before and after pre-training", blanks)


def _size() -> str:
    return RECIPE.split("-", 1)[1]


def _finish(
    out: Path, results: Results, pretraining: dict[str, Any], blanks: Blanks, num_test: int, seed: int, started: float
) -> dict[str, Any]:
    sizes = (100, 300)
    systems = (BASELINE, SCRATCH, FROZEN, TUNED)
    scores = {system: {n: results.accuracy(system, n, seed) for n in sizes} for system in systems}
    draws = " and ".join(f"{results.num_draws(n)} draws of {n}" for n in sizes)
    shown = table.Table(
        ("tagging accuracy (words)", *(f"{n} labelled sentences" for n in sizes)),
        tuple((system, *scores[system].values()) for system in systems),
        notes=(f"{num_test} test sentences, {draws} labelled ones; in brackets: 95 % intervals over both",),
    )
    said = [
        results.difference(TUNED, other, n, seed).sentence() for n in sizes for other in (SCRATCH, FROZEN, BASELINE)
    ]
    seconds = time.monotonic() - started
    curve = pages.read_curve(out / "pretrained" / "metrics.jsonl")
    report = Report(
        "pretune quickstart",
        (
            Text("What this is", (__doc__.split("\n\n")[1].replace("\n", " "),)),
            shown,
            Text("Is the difference real?", tuple(said), warning=any("NOT" in s or "WORSE" in s for s in said)),
            pages.loss_chart(curve, pretraining["unigram_entropy"], "Pre-training loss"),
            blanks,
            Code("Next, on your own files", NEXT),
        ),
        f"seed {seed}, {seconds:.0f} s in all, of which {pretraining['seconds']:.0f} s pre-training",
        {"validation loss": pretraining["loss"]["valid"], "unigram entropy": pretraining["unigram_entropy"]},
    )
    path = write_report(report, out / "report.html")
    result = {
        "accuracy": {s: {n: [i.estimate, i.low, i.high] for n, i in row.items()} for s, row in scores.items()},
        "draws": {n: results.num_draws(n) for n in sizes},
        "test_sentences": num_test,
        "seed": seed,
        "seconds": round(seconds, 1),
        "pretraining": {key: value for key, value in pretraining.items() if key != "text"},
        "report": str(path),
    }
    records.write_json(out / "results.json", result)
    lines = [
        "",
        table.as_text(shown),
        "",
        *said,
        "",
        f"{seconds:.0f} s in all. Report: {path}",
        "",
        "Next, on your own files:",
        NEXT,
    ]
    return result | {"text": "\n".join(lines)}

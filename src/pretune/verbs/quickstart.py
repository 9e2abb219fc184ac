"""quickstart: the whole main job on bundled real text. Also the pipeline to read in one file.

Novels (public domain) become a tokenizer, a corpus and a small pre-trained encoder; then it tags parts of speech of
modern web text from only 100 and 300 labelled sentences, beside a most-frequent-tag baseline, the same encoder from
scratch, and a linear layer on its frozen features. Intervals cover the test sentences and the draws of labelled ones.
"""

import time
from importlib import resources
from pathlib import Path
from typing import Any

from pretune.checkpoint.bundle import Bundle
from pretune.core.errors import InputError
from pretune.evaluate.blanks import Blank, Blanks, guesses
from pretune.evaluate.learning_curve import LearningCurve
from pretune.evaluate.report import Code, Report, Section, Text, write_report
from pretune.evaluate.table import as_text
from pretune.text.records import read_records
from pretune.verbs import pages, records
from pretune.verbs.console import say
from pretune.verbs.corpus import build_corpus
from pretune.verbs.pretrain import pretrain
from pretune.verbs.pretrained import Pretrained, load
from pretune.verbs.quickstart_tagging import SIZES, SYSTEMS, accuracy_table, compare_taggers, outcomes
from pretune.verbs.tokenizer import train_tokenizer

RECIPE, SIZE = "modern", "tiny"
VOCAB_SIZE = 4096
PRETRAIN_SECONDS = 100.0
TUNING_ENDS_AFTER = 110.0
"""Seconds beyond pre-training after which no further draw is begun."""
BLANKS = (
    ("She looked at him and said", "nothing", "."),
    ("He took her", "hand", "in both of his own ."),
    ("The old man sat down by the", "fire", "and began to read ."),
    ("I do not", "know", "what you mean , sir ."),
    ("They walked slowly down the", "street", "towards the church ."),
    ("It was a", "great", "pleasure to see you again ."),
)
FILES = {"tokenizer", "corpus", "pretrained", "tagger", "report.html", "results.json"}
"""What a quickstart leaves in its directory."""
NEXT = """pretune tokenizer train YOUR.txt --algorithm wordpiece --vocab-size 8000 --lowercase --out tokenizer
pretune corpus build YOUR.txt --tokenizer tokenizer --out corpus
pretune pretrain modern-mini --corpus corpus --out run seconds=600"""


def quickstart(
    out: str | Path = "quickstart", *, seed: int = 1, pretrain_seconds: float = PRETRAIN_SECONDS
) -> dict[str, Any]:
    """Runs the whole job in `out` and returns the table, the pre-training metrics and the path of report.html.

    Rerunning continues an interrupted pre-training. Raises InputError for an `out` that holds another run.
    """
    out, started = Path(out), time.monotonic()
    if pretrain_seconds <= 0:
        raise InputError(f"pretrain_seconds is {pretrain_seconds}: give a positive number")
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= FILES):
        raise InputError(f"{out} holds other files than a quickstart's: give another --out")
    with resources.as_file(resources.files("pretune.verbs").joinpath("quickstart_data")) as folder:
        novels = [folder / "novels_train.txt.gz", folder / "novels_valid.txt.gz"]
        train, test = (read_records(folder / f"ewt_{part}.conll.gz") for part in ("train", "test"))
        say(f"1/5 tokenizer: {VOCAB_SIZE:,} WordPieces from novels")
        _show(train_tokenizer(novels[:1], vocab_size=VOCAB_SIZE, lowercase=True, out=out / "tokenizer"))
        say("2/5 corpus")
        _show(build_corpus(novels, tokenizer=out / "tokenizer", out=out / "corpus", valid_fraction=0.04, language="en"))
    say(f"3/5 pre-training {RECIPE}-{SIZE} for {pretrain_seconds:.0f} s")
    settings = {"seconds": pretrain_seconds, "seed": seed, "valid_samples": 400}
    pretraining = pretrain(f"{RECIPE}-{SIZE}", corpus=out / "corpus", out=out / "pretrained", settings=settings)
    _show(pretraining)
    say("4/5 tagging parts of speech from 100 and 300 labelled sentences")
    deadline = started + pretrain_seconds + TUNING_ENDS_AFTER
    results, tuned = compare_taggers(out / "pretrained" / "model", train, test, seed, deadline)
    tuned.bundle.save(out / "tagger")
    say("5/5 report")
    page = _page(results, len(test), pretraining, out, seed, time.monotonic() - started)
    return _finish(page, results, len(test), pretraining, out, seed, time.monotonic() - started)


def _show(result: dict[str, Any]) -> None:
    say("\n".join(f"    {line}" for line in result["text"].splitlines()))


def _page(
    results: LearningCurve, num_test: int, pretraining: dict[str, Any], out: Path, seed: int, seconds: float
) -> Report:
    said = tuple(outcome.sentence() for outcome in outcomes(results, seed))
    unbeaten = any(outcome.verdict != "beats" for outcome in outcomes(results, seed))
    curve = pages.read_curve(out / "pretrained" / "metrics.jsonl")
    sections: tuple[Section, ...] = (
        Text("What this is", (str(__doc__).split("\n\n")[1].replace("\n", " "),)),
        accuracy_table(results, num_test, seed),
        Text("Is the difference real?", said, warning=unbeaten),
        pages.loss_chart(curve, pretraining["unigram_entropy"], "Pre-training loss"),
        _blanks(out, seed),
        Code("Next, on your own files", NEXT),
    )
    figures = {"validation loss": pretraining["loss"]["valid"], "unigram entropy": pretraining["unigram_entropy"]}
    told = f"seed {seed}, {seconds:.0f} s in all, of which {pretraining['seconds']:.0f} s pre-training"
    return Report("pretune quickstart", sections, told, figures)


def _blanks(out: Path, seed: int) -> Blanks:
    """The same blanks filled by the untrained and by the pre-trained model."""
    after = load(out / "pretrained" / "model")
    before = Pretrained(Bundle.fresh(RECIPE, SIZE, after.tokenizer, heads=after.bundle.specs, seed=seed))
    texts = [f"{left} [MASK] {right}" for left, _, right in BLANKS]
    filled = zip(before.fill(texts), after.fill(texts), BLANKS, strict=True)
    blanks = tuple(Blank(left, right, guesses(b), guesses(a), word) for b, a, (left, word, right) in filled)
    return Blanks("Filling blanks, before and after pre-training", blanks)


def _finish(
    page: Report,
    results: LearningCurve,
    num_test: int,
    pretraining: dict[str, Any],
    out: Path,
    seed: int,
    seconds: float,
) -> dict[str, Any]:
    path = write_report(page, out / "report.html")
    scores = {system: {size: results.mean(system, size, seed)[0] for size in SIZES} for system in SYSTEMS}
    result = {
        "accuracy": {s: {str(n): [i.estimate, i.low, i.high] for n, i in row.items()} for s, row in scores.items()},
        "draws": {str(size): results.num_draws(size) for size in SIZES},
        "test_sentences": num_test,
        "seed": seed,
        "seconds": round(seconds, 1),
        "pretraining": {key: value for key, value in pretraining.items() if key != "text"},
        "report": str(path),
    }
    records.write_json(out / "results.json", result)
    said = [outcome.sentence() for outcome in outcomes(results, seed)]
    parts = [
        as_text(accuracy_table(results, num_test, seed)),
        "\n".join(said),
        f"{seconds:.0f} s in all. Report: {path}",
    ]
    return result | {"text": "\n\n".join(["", *parts, f"Next, on your own files:\n{NEXT}"])}

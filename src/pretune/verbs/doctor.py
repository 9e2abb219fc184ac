"""doctor: problems of a corpus and of a pre-training run, in words with what to change.

`corpus build` looks at what it built, `pretrain` at its samples before the first step and at its losses after the last
one, and `pretune check DIR` at a corpus or at a run: of a finished one it tells what was found then. Nothing is
refused: a problem is told.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pretune.checkpoint.huggingface import read_json
from pretune.core.config import load_yaml
from pretune.core.errors import InputError
from pretune.core.problem import Problem
from pretune.corpus.doctor import corpus_problems, sample_problems
from pretune.corpus.manifest import MANIFEST
from pretune.corpus.samples import PretrainingSource
from pretune.corpus.store import Corpus
from pretune.train.doctor import Curve, run_problems
from pretune.verbs.console import say
from pretune.verbs.pages import read_curve
from pretune.verbs.settings import PretrainSettings

RUN, METRICS, RESULT = "run.yaml", "metrics.jsonl", "metrics.json"


def before_the_run(source: PretrainingSource) -> list[Problem]:
    """Problems of a corpus and of the samples of a run on it, told at once on standard error."""
    found = [*corpus_problems(source.corpus), *sample_problems(source)]
    for problem in found:
        say(f"pre-training: {problem}")
    return found


def after_the_run(curve: Curve, corpus: Corpus, settings: PretrainSettings) -> list[Problem]:
    """Problems of a run, by its losses."""
    return run_problems(curve, corpus.vocab.unigram_entropy(), settings)


def as_json(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """For metrics.json."""
    return [problem.as_json() for problem in problems]


def is_checkable(path: Path) -> bool:
    """Whether a path is a directory of a corpus or of a pre-training run (a directory of labelled data is neither)."""
    return path.is_dir() and ((path / MANIFEST).is_file() or (path / RUN).is_file())


def check_folder(path: Path) -> dict[str, Any]:
    """Looks at a corpus or a pre-training run: {"worst", "findings", "files", "text"}, as `check` of labelled files.

    Raises InputError for a run of another verb, and for one that has not begun.
    """
    found = _of_corpus(path) if (path / MANIFEST).is_file() else _of_run(path)
    findings = [
        {"severity": "warning", "part": str(path), **problem.as_json(), "what": problem.seen} for problem in found
    ]
    lines = [f"{path}: {problem}" for problem in found] or [f"{path}: nothing to remark on"]
    worst = "warning" if found else "clean"
    return {"worst": worst, "findings": findings, "files": [], "text": "\n".join(lines)}


def _of_corpus(path: Path) -> list[Problem]:
    return corpus_problems(Corpus.open(path))


def _of_run(path: Path) -> Sequence[Problem]:
    facts = load_yaml(path / RUN)
    if facts.get("verb") != "pretrain":
        told = f"{path} holds a run of pretune {facts.get('verb')}"
        raise InputError(f"{told}: check takes labelled files, a corpus, or a run of pretune pretrain")
    if not (path / METRICS).is_file():
        raise InputError(f"{path} has no {METRICS} yet: the run has not begun")
    if (path / RESULT).is_file() and (kept := read_json(path / RESULT).get("findings")) is not None:
        return [Problem.of(one) for one in kept]
    settings = PretrainSettings.model_validate(facts["settings"])
    corpus = Corpus.open(facts["corpus"]["path"])
    curve = read_curve(path / METRICS)
    return [*corpus_problems(corpus), *after_the_run(curve, corpus, settings)]

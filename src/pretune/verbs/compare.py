"""compare: recipes, or variants of one, trained and scored on equal terms.

    out/compare.yaml                 the request: corpus, budget, bodies, settings, hashes of the suites' files
    out/runs/ROW/seed-N/             a pre-training run each, as `pretune pretrain` leaves it
    out/scores/ROW/seed-N/SUITE/     a suite's runs on its model, as `pretune suite` leaves them
    out/table.md, table.json, report.html

Every row has the same corpus, tokenizer, budget, seeds and fine-tuning settings (but for what is part of its recipe, a
BiLSTM on top), and for one seed the same order of the data: where rows cut the text alike, the same samples in the same
steps. The same call continues where it was interrupted, and rows, seeds and suites may be added later. What can be
found wrong is said before the first run. A row whose run fails (a loss that is not finite) is named, and the others go
on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretune.core.config import load_yaml, merge, parse_assignments
from pretune.core.errors import InputError, RunError, unknown
from pretune.core.lock import NAME as LOCK
from pretune.core.lock import claimed
from pretune.corpus.store import Corpus
from pretune.evaluate.comparison import Entry
from pretune.train.signals import Stopped
from pretune.verbs import records
from pretune.verbs.compare_guess import replaced_share
from pretune.verbs.compare_plan import Budget, Plan, make_plan
from pretune.verbs.compare_results import Failed, trained, write_results
from pretune.verbs.compare_rows import Bodies, check_settings, make_rows
from pretune.verbs.compare_scores import Wanted, check_suites, measured, open_suites, remarks_of, run_suite
from pretune.verbs.console import say
from pretune.verbs.pretrain import pretrain


@dataclass(frozen=True)
class Request:
    """What was asked. given: settings of the pre-training runs, finetune: of the fine-tuning runs, both nested."""

    corpus: Path
    out: Path
    budget: Budget
    seeds: int
    bodies: Bodies
    body: str
    given: Mapping[str, Any]
    finetune: Mapping[str, Any]
    suites: tuple[Wanted, ...]
    threads: int | None

    def run(self, plan: Plan, seed: int) -> Path:
        return self.out / "runs" / plan.row.folder / f"seed-{seed}"

    def scores(self, plan: Plan, seed: int, suite: Wanted) -> Path:
        return self.out / "scores" / plan.row.folder / f"seed-{seed}" / suite.name


def compare(
    recipes: Sequence[str],
    *,
    corpus: str | Path,
    out: str | Path,
    tokens: int | None = None,
    flops: float | None = None,
    seeds: int = 2,
    suites: Sequence[str] = (),
    data: Sequence[str | Path] = (),
    limit: int | None = None,
    vary: Sequence[str] = (),
    bodies: Bodies = "common",
    body: str = "modern",
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
) -> dict[str, Any]:
    """Trains and scores a row for each recipe and each combination of what varies; returns what table.json holds.

    tokens, flops: what each row gets, one of them. seeds: 1 to so many. suites: by name; data: "NAME=DIR" for each, or
    one directory; limit: of blimp, the first so many pairs of each set. vary: "KEY=V1,V2" texts. bodies: "common", the
    family, size and settings of the recipe `body` with each row's objective, or "faithful", each recipe's own.
    settings: of every row's pre-training, and `finetune.*`.
    Raises InputError for a wrong request, before anything is trained; RunError where a run failed, when the rest is
    done and told.
    """
    if bodies not in ("common", "faithful"):
        raise unknown("bodies,", bodies, ("common", "faithful"))
    if bodies == "faithful" and body != "modern":
        raise InputError(f"--body {body} is a common body, and --bodies faithful gives each its own: leave one out")
    if seeds < 1:
        raise InputError(f"seeds is {seeds}: give at least 1")
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    check_settings(given, body)
    finetune = given.pop("finetune", {})
    wanted, budget = tuple(open_suites(suites, data, limit)), Budget(tokens, flops)
    asked = Request(Path(corpus), Path(out), budget, seeds, bodies, body, given, finetune, wanted, threads)
    records.choose_device(threads)
    rows = make_rows(recipes, vary, bodies, body, given)
    train, valid = Corpus.open(corpus, split="train"), Corpus.open(corpus, split="valid")
    plans = [make_plan(row, train, valid, budget) for row in rows]
    check_suites(wanted, finetune, min(plan.longest for plan in plans))
    with claimed(asked.out, "pretune compare"):
        _write_request(asked, train.fingerprint)
        failed = _run(asked, plans)
        done = [plan for plan in plans if plan.row.name not in failed]
        entries = [_entry(asked, plan, (train, valid)) for plan in done]
        facts = _facts(asked, train) | {"remarks": _remarks(asked, done)}
        result = write_results(asked.out, entries, done, facts, failed)
    if failed:
        told = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise RunError(
            f"{len(failed)} of {len(plans)} rows failed ({told}); {asked.out / 'report.html'} has the others"
        )
    return result


def _write_request(asked: Request, fingerprint: str) -> None:
    """compare.yaml; InputError where the directory holds another comparison, or something else."""
    wanted = {
        "corpus": fingerprint,
        "budget": str(asked.budget),
        "bodies": asked.bodies,
        "body": asked.body if asked.bodies == "common" else None,
        "settings": records.assignments(asked.given),
        "finetune": records.assignments(asked.finetune),
    }
    path, files = asked.out / "compare.yaml", {one.name: one.hashes for one in asked.suites}
    if path.is_file() and next(asked.out.glob("runs/*/seed-*"), None):
        before = load_yaml(path)
        changed = [key for key in wanted if _in_order(before.get(key)) != _in_order(wanted[key])]
        kept: dict[str, dict[str, Any]] = before.get("files", {})
        for name, hashes in files.items():
            old = kept.get(name, {})
            changed += [f"files of {part}" for part in hashes.keys() & old.keys() if hashes[part] != old[part]]
            files[name] = old | hashes
        if changed:
            raise InputError(f"{asked.out} holds another comparison ({', '.join(changed)} differ): give another --out")
        files = kept | files
    elif others := {one.name for one in asked.out.iterdir()} - {LOCK, path.name, path.name + records.PARTIAL}:
        raise InputError(f"{asked.out} holds other files ({min(others)}): give another --out")
    records.write_yaml(path, {**wanted, "files": files})


def _in_order(told: Any) -> Any:
    """What compare.yaml says of one thing; settings given in another order are the same."""
    return sorted(told, key=str) if isinstance(told, list) else told


def _run(asked: Request, plans: Sequence[Plan]) -> Failed:
    """Every run that is not done, seed by seed, so that all rows have their first seed early; which rows failed."""
    failed: dict[str, str] = {}
    total = len(plans) * asked.seeds
    for number, (seed, plan) in enumerate((seed, plan) for seed in range(1, asked.seeds + 1) for plan in plans):
        if plan.row.name in failed:
            continue
        run = asked.run(plan, seed)
        try:
            if not (run / "metrics.json").is_file():
                say(f"{number + 1} of {total}: {plan.row.name}, seed {seed}: {plan.steps:,} steps")
                settings = {**plan.settings, "seed": seed}
                pretrain(plan.row.recipe, corpus=asked.corpus, out=run, settings=settings, threads=asked.threads)
            finetune = merge(plan.row.finetune, asked.finetune)
            for one in asked.suites:
                run_suite(one, run / "model", asked.scores(plan, seed, one), seed, finetune, asked.threads)
        except Stopped:  # whoever stops a run by a signal means the whole comparison
            raise
        except RunError as error:
            failed[plan.row.name] = f"seed {seed}: {error}"
            say(f"{plan.row.name}, seed {seed} failed: {error}")
    return failed


def _entry(asked: Request, plan: Plan, corpora: tuple[Corpus, Corpus]) -> Entry:
    """A row, from the files of its finished runs."""
    seeds = range(1, asked.seeds + 1)
    said = [one for suite in asked.suites for seed in seeds for one in measured(suite, asked.scores(plan, seed, suite))]
    kept = asked.out / "scores" / plan.row.folder
    shares = [replaced_share(plan, *corpora, asked.run(plan, s), kept / f"seed-{s}" / "replaced.json") for s in seeds]
    runs = tuple(trained(asked.run(plan, seed), share) for seed, share in zip(seeds, shares, strict=True))
    return Entry(plan.row.name, runs, plan.samples, plan.predictions, said)


def _remarks(asked: Request, plans: Sequence[Plan]) -> list[str]:
    """What a suite said of its files, with any row."""
    seeds = range(1, asked.seeds + 1)
    places = [(one, asked.scores(plan, seed, one)) for plan in plans for seed in seeds for one in asked.suites]
    return list(dict.fromkeys(remark for place in places for remark in remarks_of(*place)))


def _facts(asked: Request, corpus: Corpus) -> dict[str, Any]:
    return {
        "corpus": str(asked.corpus),
        "corpus_tokens": corpus.num_tokens,
        "budget": str(asked.budget),
        "seeds": asked.seeds,
        "bodies": asked.bodies,
        "body": asked.body if asked.bodies == "common" else None,
        "settings": records.assignments(asked.given),
        "finetune": records.assignments(asked.finetune),
        "suites": {one.name: one.names for one in asked.suites},
        "missing": [text for one in asked.suites for text in one.missing],
    }

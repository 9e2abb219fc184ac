"""What a comparison leaves: its rows from the files of their runs, table.md, table.json and report.html."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.checkpoint.huggingface import read_json
from pretune.core.errors import RunError
from pretune.evaluate.comparison import Comparison, Difference, Entry, Trained
from pretune.evaluate.comparison_page import (
    cost_table,
    difference_table,
    loss_chart,
    result_table,
    score_forests,
    score_table,
    settings_table,
    verdicts,
)
from pretune.evaluate.report import Report, Section, Text, write_report
from pretune.evaluate.table import Cell, Table, as_markdown, as_text
from pretune.train.config import BUDGETS
from pretune.verbs import records
from pretune.verbs.compare_plan import Plan
from pretune.verbs.pages import read_curve

Failed = Mapping[str, str]
"""Rows whose runs failed, and why."""


def trained(run: Path, replaced_share: float | None = None) -> Trained:
    """A finished pre-training run."""
    metrics = read_json(run / "metrics.json")
    lines = [line for line in read_curve(run / "metrics.jsonl") if "valid" in line]
    each = metrics["tokens"] / metrics["steps"]
    points = {line["step"]: line["valid"].get("lm", line["valid"]["loss"]) for line in lines}
    curve = tuple((each * step, loss) for step, loss in sorted(points.items()))
    return Trained(metrics["seed"], metrics, curve, replaced_share)


def write_results(
    out: Path, entries: Sequence[Entry], plans: Sequence[Plan], facts: Mapping[str, Any], failed: Failed
) -> dict[str, Any]:
    """The three files, and what the verb returns."""
    if not entries:
        raise RunError("; ".join(f"{name}: {why}" for name, why in failed.items()))
    found = Comparison(entries)
    tables = [result_table(found)]
    if found.scores:
        tables += [score_table(found), difference_table(found)]
    tables += [cost_table(found), settings_table(*_settings(plans, facts))]
    said, common = verdicts(found), common_ground(found, plans, facts)
    notes = [*facts["remarks"], *(f"not there: {text}" for text in facts["missing"]), *_failures(failed)]
    result = {**facts, "rows": _rows(found, plans), "differences": _differences(found), "said": list(said)}
    result |= {"common": list(common), "failed": dict(failed)}
    records.write_json(out / "table.json", result)
    parts = [as_markdown(tables[0]), *said, *map(as_markdown, tables[1:]), *common, *notes]
    records.write_text(out / "table.md", "\n\n".join(["# Comparison", *parts]) + "\n")
    page = _page(found, tables, said, common, notes, facts)
    report = write_report(page, out / "report.html")
    missing = [f"{len(facts['missing'])} parts of the suites have no files here; the report names them"]
    told = [*said, *facts["remarks"], *(missing if facts["missing"] else []), *_failures(failed)]
    text = "\n\n".join([as_text(tables[0]), *(["\n".join(told)] if told else []), f"report: {report}"])
    return result | {"text": text}


def _failures(failed: Failed) -> list[str]:
    return [f"{name} failed and is left out: {why}" for name, why in failed.items()]


def common_ground(found: Comparison, plans: Sequence[Plan], facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What all rows share and how they were scored, in sentences."""
    steps = ", ".join(f"{plan.row.name} {plan.steps:,}" for plan in plans)
    own = {plan.row.name: plan.row.finetune for plan in plans if plan.row.finetune}
    body = f"the body and all settings but the objective are those of {facts['body']}"
    apart = "each recipe has its own body and settings"
    alike: dict[str, list[str]] = {}
    for plan in plans:
        alike.setdefault(plan.samples, []).append(plan.row.name)
    groups = "; ".join(", ".join(names) for names in alike.values() if len(names) > 1)
    same = f"the same samples in the same order: {groups}" if groups else "no two rows cut the text alike"
    return (
        f"Every row: {facts['budget']} of {facts['corpus']} ({facts['corpus_tokens']:,} tokens), its tokenizer, seeds "
        f"1 to {facts['seeds']}; {body if facts['bodies'] == 'common' else apart}.",
        f"Samples are taken in an order that the seed alone decides; {same}.",
        f"A budget in tokens counts real tokens; it was turned into steps row by row: {steps}.",
        *(
            [
                "A model pre-trained with seed s is fine-tuned with seed s, all rows with the same settings: "
                + (", ".join(facts["finetune"]) or "those of the suite")
                + "".join(f"; {name} also with {', '.join(records.assignments(more))}" for name, more in own.items())
                + ". Nothing was tuned for a row: a row may do better with other settings than these."
            ]
            if facts["suites"]
            else []
        ),
    )


def _settings(plans: Sequence[Plan], facts: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    """{row: its settings by dotted path}, without what the budget decides."""
    told = {}
    for plan in plans:
        tree = plan.resolved.model_dump(mode="json", exclude={*BUDGETS, "seed"})
        flat = dict(text.split("=", 1) for text in records.assignments(tree))
        told[plan.row.name] = {"body": plan.row.recipe, **{key: _shown(value) for key, value in flat.items()}}
    return told, ("all other settings are the same; each run's run.yaml has them all",)


def _shown(value: str) -> str | None:
    return None if value == "null" else value


def _rows(found: Comparison, plans: Sequence[Plan]) -> list[dict[str, Any]]:
    steps = {plan.row.name: plan for plan in plans}
    rows = []
    for row in found.rows:
        plan = steps[row.name]
        costs = {name: row.mean(name) for name in ("parameters", "steps", "tokens", "flops", "seconds", "energy_kwh")}
        average = vars(found.average(row.name)) if row.name in found.averages else None
        rows.append(
            {
                "row": row.name,
                "folder": plan.row.folder,
                "recipe": plan.row.recipe,
                "rank": found.ranks.get(row.name),
                "not_learnt": row.not_learnt,
                "valid_loss": [run.loss for run in row.runs],
                "valid_losses": [run.metrics["loss"] for run in row.runs],
                "replaced_share": [run.replaced_share for run in row.runs],
                "alike": found.groups[row.name],
                "not_comparable": found.why_not_comparable(row),
                "unigram_entropy": row.runs[0].metrics["unigram_entropy"],
                "mean_score": average,
                "scores": [
                    {**vars(test), "scores": scores[row.name].scores_S.tolist(), **_mean(found, test, row.name)}
                    for test, scores in found.scores.items()
                    if row.name in scores
                ],
                **costs,
                "tokens_per_step": plan.tokens_per_step,
                "settings": plan.resolved.model_dump(mode="json"),
            }
        )
    return rows


def _mean(found: Comparison, test: Any, row: str) -> dict[str, Any]:
    score = found.score(test, row)
    return {"mean": score.estimate, "low": score.low, "high": score.high, "n": found.scores[test][row].num_items}


def _differences(found: Comparison) -> list[dict[str, Any]]:
    return [_difference(found, one) for one in (*found.mean_differences.values(), *found.differences)]


def _difference(found: Comparison, one: Difference) -> dict[str, Any]:
    test = {"suite": None, "part": "mean"} if one.test is None else vars(one.test)
    figures = {"difference": one.interval.estimate, "low": one.interval.low, "high": one.interval.high}
    return {"row": one.row, "minus": found.first.name, **test, **figures, "p": one.p, "holm_p": one.holm_p}


def _page(
    found: Comparison,
    tables: Sequence[Table],
    said: Sequence[str],
    common: Sequence[str],
    notes: Sequence[str],
    facts: Mapping[str, Any],
) -> Report:
    sections: list[Section] = [tables[0]]
    if lacking := [f"{row.name}: {row.not_learnt}" for row in found.rows if row.not_learnt]:
        said_so = "Their scores are of models that know little more than how frequent words are: train longer."
        sections.append(Text("Not learnt", ("; ".join(lacking) + ". " + said_so,), warning=True))
    if said:
        sections.append(Text(f"Beside {found.first.name}", tuple(said)))
    sections += [loss_chart(found), *score_forests(found), *tables[1:]]
    sections.append(Text("What is common", tuple(common)))
    if notes:
        sections.append(Text("About the data and the runs", tuple(notes)))
    entropy: Cell = float(found.first.runs[0].metrics["unigram_entropy"])
    figures: dict[str, Cell] = {"rows": len(found.rows), "seeds": facts["seeds"], "budget": facts["budget"]}
    return Report("Comparison", tuple(sections), facts["corpus"], figures | {"unigram entropy": entropy})

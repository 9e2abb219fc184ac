"""report.html and card.md of a run, from what its files say."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pretune.core.config import dump_yaml
from pretune.evaluate.card import Card, Cost, DataSource, Score, as_card
from pretune.evaluate.chart import Chart, Reference, Series
from pretune.evaluate.findings import findings_table
from pretune.evaluate.report import Code, Report, Section, Text, write_report
from pretune.evaluate.table import Cell, Table, as_text
from pretune.metrics.intervals import Interval
from pretune.verbs import plan_outcome
from pretune.verbs.records import read_json_lines, write_text

MAX_POINTS = 400


def read_curve(metrics_file: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl."""
    return [_numbers(line) for line in read_json_lines(metrics_file)]


def _numbers(value: Any) -> Any:
    """null stands for a number that is not finite."""
    if isinstance(value, dict):
        return {key: _numbers(inner) for key, inner in value.items()}
    return math.nan if value is None else value


def loss_chart(curve: Sequence[Mapping[str, Any]], unigram_entropy: float, title: str = "Loss") -> Chart:
    """Training and validation loss of the masked words against the tokens seen, with the unigram entropy as a line."""
    entropy = Reference("unigram entropy (frequencies only)", unigram_entropy)
    return _chart(curve, "lm", title, "nats a predicted piece", (entropy,))


def _chart(
    curve: Sequence[Mapping[str, Any]], name: str, title: str, unit: str, references: tuple[Reference, ...] = ()
) -> Chart:
    """One loss where the run has it; for "lm" the sum of all where it has none."""
    tokens = 0
    train: list[tuple[float, float]] = []
    valid: list[tuple[float, float]] = []
    for line in curve:
        tokens = line.get("tokens", tokens)
        told, points = (line["losses"], train) if "losses" in line else (line.get("valid", {}), valid)
        whole = line.get("loss", told.get("loss")) if name == "lm" else None
        if (value := told.get(name, whole)) is not None:
            points.append((tokens / 1e6, value))
    every = -(-len(train) // MAX_POINTS)
    series = (
        Series("training batches", tuple(dict(train[::every]).items())),
        Series("validation", tuple(dict(valid).items())),
    )
    return Chart(title, "million tokens", unit, series, references)


def lm_loss(metrics: Mapping[str, Any]) -> float:
    """Validation loss of the masked words alone, which the unigram entropy is comparable with: BERT's sum is not. With
    a discriminator it is the generator's."""
    losses = metrics["loss"]
    return float(losses.get("valid_lm", losses["valid"]))


def other_losses(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Validation losses by name, without "lm": nats a prediction."""
    names = [name for name in metrics["loss"] if name.startswith("valid_") and name != "valid_lm"]
    return {name.removeprefix("valid_").replace("_", " "): float(metrics["loss"][name]) for name in names}


def other_charts(curve: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """A chart of each loss besides "lm", where there are several."""
    names = dict.fromkeys(name for line in curve for name in line.get("losses", {}) if name != "lm")
    if not any("lm" in line.get("losses", {}) for line in curve):
        return []
    return [_chart(curve, name, name.replace("_", " ").capitalize(), "nats a prediction") for name in names]


def pretraining_report(
    facts: Mapping[str, Any], metrics: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]
) -> Report:
    """The page of a pre-training run."""
    loss, entropy = lm_loss(metrics), metrics["unigram_entropy"]
    figures: dict[str, Cell] = {
        "generator's validation loss" if is_judge(metrics) else "validation loss": loss,
        "unigram entropy": entropy,
        **{f"validation loss, {name}": value for name, value in other_losses(metrics).items()},
        "tokens": metrics["tokens"],
        "tokens / s": int(metrics["tokens_per_second"]),
        "MFU": metrics["mfu"],
        "padding left out": metrics["padding_saved"],
        "parameters": metrics["parameters"],
    }
    title = "Loss of the generator" if is_judge(metrics) else "Loss"
    sections: list[Section] = [loss_chart(curve, entropy, title), *other_charts(curve)]
    if metrics["notes"]:
        sections.append(Text("About the run", tuple(metrics["notes"]), warning=True))
    if metrics["findings"]:
        rows = tuple(tuple(one[key] for key in ("kind", "seen", "why", "change")) for one in metrics["findings"])
        sections.append(Table(("problem", "what was seen", "why it matters", "what to change"), rows, "Problems"))
    if metrics.get("plan"):
        sections.append(plan_outcome.table(metrics["plan"]))
    sections.append(Table(("choice", "source"), tuple(facts["sources"].items()), "What the recipe is made of"))
    sections.append(Code("Settings", dump_yaml(facts)))
    return Report(f"Pre-training: {facts['recipe']}", tuple(sections), f"seed {metrics['seed']}", figures)


def pretraining_card(facts: Mapping[str, Any], metrics: Mapping[str, Any], corpus: Mapping[str, Any]) -> Card:
    """The model card of a pre-trained model; `corpus` is the corpus's manifest."""
    settings, request = facts["settings"], corpus["request"]
    data = [
        DataSource(one["name"], f"{one['bytes']:,} bytes of text", None, one["sha256"]) for one in request["sources"]
    ]
    return Card(
        name=facts["recipe"],
        summary=f"{_what(metrics)}, pre-trained with pretune's recipe {facts['recipe']}.",
        kind="pre-training",
        command=facts["command"],
        data=tuple(data),
        settings={key: str(value) for key, value in settings.items()},
        cost=Cost(
            metrics["seconds"],
            metrics["watts"],
            metrics["watts_source"],
            facts["environment"]["device"],
            metrics["tokens"],
        ),
        language=(request["language"],) if request["language"] else (),
        pipeline_tag="feature-extraction" if is_judge(metrics) else "fill-mask",
        base_model=facts["init"],
        scores=_held_out(metrics),
        limitations=(f"It was trained on sequences of up to {settings['max_length']} tokens.",),
    )


def is_judge(metrics: Mapping[str, Any]) -> bool:
    """Whether the model is a discriminator, which says what was replaced and predicts no words."""
    return "valid_replaced_token" in metrics["loss"]


def _what(metrics: Mapping[str, Any]) -> str:
    if not is_judge(metrics):
        return f"A masked language model of {metrics['parameters']:,} parameters"
    return (
        f"A discriminator of {metrics['parameters']:,} parameters, which says of each token whether it was replaced "
        f"(ELECTRA), with its generator in the folder `generator` ({metrics['generator_parameters']:,} more)"
    )


def _held_out(metrics: Mapping[str, Any]) -> tuple[Score, ...]:
    where = "held-out part of the corpus"
    if not is_judge(metrics):
        return (Score("fill-mask", where, "loss (nats a masked piece)", lm_loss(metrics)),)
    loss = metrics["loss"]["valid_replaced_token"]
    return (Score("replaced token detection", where, "loss (nats a token)", loss),)


def write_pages(out: Path, report: Report, card: Card) -> None:
    """report.html and card.md."""
    write_report(report, out / "report.html")
    write_text(out / "card.md", as_card(card))


def finetuning_report(
    facts: Mapping[str, Any],
    metrics: Mapping[str, Any],
    curve: Sequence[Mapping[str, Any]],
    outcomes: Sequence[str],
    errors: Sequence[Section] = (),
) -> Report:
    """The page of a fine-tuning run. errors: what `evaluate.diagnosis` shows of them."""
    figures: dict[str, Cell] = {"trainable parameters": metrics["trainable_parameters"], "steps": metrics["steps"]}
    figures["examples / s"] = int(metrics["examples_per_second"])
    sections: list[Section] = [scores_table(metrics)]
    if outcomes:
        unbeaten = any("NOT" in sentence or "WORSE" in sentence for sentence in outcomes)
        sections.append(Text("Against simple baselines", tuple(outcomes), warning=unbeaten))
    if said := metrics["start"]["sentences"]:
        sections.append(Text("Where it started", tuple(said)))
    if found := remarks(metrics):
        sections.append(Text("About the data", found, warning=True))
    sections += errors
    if metrics.get("check"):
        sections.append(findings_table(metrics["check"]))
    points = tuple((line["step"], line["loss"]) for line in curve if "loss" in line)
    if points:
        sections.append(Chart("Training loss", "step", "loss", (Series("training batches", points),)))
    metric = metrics["main_metric"]
    scores = tuple((line["step"], line["valid"][metric]) for line in curve if "valid" in line)
    if scores:
        sections.append(Chart("Validation score", "step", metric, (Series(metric, tuple(dict(scores).items())),)))
    sections.append(Code("Settings", dump_yaml(facts)))
    return Report(
        f"Fine-tuning: {facts['task']}", tuple(sections), f"{facts['model']}, seed {metrics['seed']}", figures
    )


def scores_table(metrics: Mapping[str, Any]) -> Table:
    """The network's scores and its baselines', a column a metric, on the test file or else the validation file."""
    part, found = metrics["baselines"]["of"], metrics["interval"]
    scores = metrics[part] or metrics["valid"]
    columns = tuple(scores)
    network: list[Cell] = [scores[name] for name in columns]
    if found is not None and metrics["main_metric"] in columns:
        place = columns.index(metrics["main_metric"])
        network[place] = Interval(scores[metrics["main_metric"]], found["low"], found["high"], found["level"])
    rows = [(name, *(each[column] for column in columns)) for name, each in metrics["baselines"]["scores"].items()]
    what = f"{part} file, {metrics['examples'].get(part, 0):,} examples; in brackets: 95 % interval over them"
    notes = (what, *metrics["score_notes"])
    return Table(("system", *columns), (*rows, ("the network", *network)), "Scores", notes)


def remarks(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """What happened to the data, in sentences."""
    total = metrics["examples"]["train"]
    found = list(metrics["notes"])
    if metrics["truncated"]:
        found.append(f"{metrics['truncated']:,} of {total:,} training texts were longer than max_length and were cut.")
    for part, number in metrics["truncated_when_scored"].items():
        if number:
            of = f"{number:,} of {metrics['examples'][part]:,} {part} texts"
            found.append(f"{of} were longer than max_length and were scored without what was cut.")
    if metrics["empty"]:
        found.append(f"{metrics['empty']:,} of {total:,} training texts are empty.")
    return tuple(found)


def finetuning_text(metrics: Mapping[str, Any], outcomes: Sequence[str], out: Path) -> str:
    """What the command prints."""
    lines = [as_text(scores_table(metrics)), ""] if metrics["interval"] is not None else []
    lines += [*outcomes, *remarks(metrics), f"model: {out / 'model'}   report: {out / 'report.html'}"]
    return "\n".join(lines)


PIPELINE_TAGS = {"tag": "token-classification", "similar": "sentence-similarity"}


def finetuning_card(facts: Mapping[str, Any], metrics: Mapping[str, Any], outcomes: Sequence[str]) -> Card:
    """The model card of a fine-tuned model."""
    settings, is_fresh = facts["settings"], "body" in facts["fresh_weights"]
    data = [
        DataSource(Path(one["path"]).name, f"{one['examples']:,} labelled examples ({name})", None, one["sha256"])
        for name, one in facts["data"].items()
    ]
    tag = PIPELINE_TAGS.get(facts["task"], "text-classification")
    part = metrics["baselines"]["of"]
    scores = [Score(tag, f"{part} file", name, value) for name, value in (metrics[part] or metrics["valid"]).items()]
    return Card(
        name=f"{Path(str(facts['model'])).name} for {facts['task']}",
        summary=f"{facts['model']}{', with fresh weights' if is_fresh else ''}, fine-tuned with pretune for the task "
        f"{facts['task']}.{_lineage(facts['start'])}",
        kind="fine-tuning",
        command=facts["command"],
        data=tuple(data),
        settings={key: str(value) for key, value in settings.items()},
        cost=Cost(
            metrics["seconds"],
            metrics["watts"],
            metrics["watts_source"],
            facts["environment"]["device"],
            metrics["tokens"],
        ),
        pipeline_tag=tag,
        base_model=None if is_fresh else str(facts["model"]),
        scores=tuple(scores),
        outcomes=(*metrics["score_notes"], *outcomes),
        limitations=(f"Texts longer than {settings['max_length']} tokens are cut.",),
    )


def _lineage(start: Mapping[str, Any]) -> str:
    """How the model came to be, where it was fine-tuned before."""
    steps = [f"{one['model']} ({one['task'] or 'pre-trained'})" for one in start["lineage"]]
    return f" It comes from {', then '.join(steps)}. {' '.join(start['sentences'])}" if start["task"] else ""

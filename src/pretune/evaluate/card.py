"""card.md: the model card (Mitchell et al. 2019), with the YAML head that Hugging Face model pages read.

It says what the model is, what it was trained on and under which licence, how many tokens and seconds that took, what
it cost in energy and CO2 by a formula that is shown, the command that made it, its scores and what it is not good for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pretune.core.config import dump_yaml
from pretune.evaluate.table import Cell, Table, as_markdown, escape_markdown
from pretune.metrics.intervals import Interval
from pretune.train.energy import KG_PER_POUND, POUNDS_PER_KWH, PUE, co2_kg, energy_kwh


@dataclass(frozen=True)
class DataSource:
    """One body of training data: what it is, where from, under which licence, and its sha256 where known."""

    name: str
    description: str
    licence: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Cost:
    """What the run took. tokens: real tokens, paddings not counted. watts: average power; watts_source: how known."""

    seconds: float
    watts: float
    watts_source: str
    hardware: str
    tokens: int | None = None
    pue: float = PUE
    pounds_per_kwh: float = POUNDS_PER_KWH

    @property
    def kwh(self) -> float:
        return energy_kwh(self.watts, self.seconds, self.pue)

    @property
    def co2_kg(self) -> float:
        return co2_kg(self.kwh, self.pounds_per_kwh)


@dataclass(frozen=True)
class Score:
    """One figure of the page's head: task and metric by their usual names, the data set, a value or an interval."""

    task: str
    dataset: str
    metric: str
    value: float | Interval


@dataclass(frozen=True)
class Card:
    """What the card says. licence: the model's own, None while its maker has not chosen one. language: ISO 639 codes.

    pipeline_tag: Hugging Face's name of the use (fill-mask, text-classification, token-classification).
    outcomes: sentences on baselines (`evaluate.outcome`). kind: "pre-training" or "fine-tuning".
    """

    name: str
    summary: str
    kind: str
    command: str
    data: tuple[DataSource, ...]
    settings: Mapping[str, Cell]
    cost: Cost
    language: tuple[str, ...] = ()
    licence: str | None = None
    pipeline_tag: str | None = None
    base_model: str | None = None
    scores: tuple[Score, ...] = ()
    outcomes: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    tags: tuple[str, ...] = field(default=("pretune",))


def as_card(card: Card) -> str:
    """The whole card.md as text."""
    parts = [
        "---\n" + dump_yaml(_head(card)) + "---",
        f"# {escape_markdown(card.name)}",
        escape_markdown(card.summary),
        "## Data",
        as_markdown(_data(card)),
        _licence(card),
        "## Training",
        "Made by this command:",
        _fenced(card.command, "sh"),
        as_markdown(Table(("setting", "value"), tuple(card.settings.items()))),
        "## Cost",
        _cost(card.cost),
        "## Scores",
        as_markdown(_scores(card)) if card.scores else "None were measured.",
        *(f"- {escape_markdown(sentence)}" for sentence in card.outcomes),
        "## Limitations",
        *(f"- {escape_markdown(sentence)}" for sentence in (*card.limitations, *STANDING_LIMITATIONS)),
    ]
    return "\n\n".join(parts) + "\n"


STANDING_LIMITATIONS = (
    "It repeats what its training text says and how it says it, prejudice included; nothing was done against that.",
    "Scores hold for data like that they were measured on.",
)


def _head(card: Card) -> dict[str, Any]:
    """Hugging Face's model card metadata; keys without a value are left out. Emissions are in grams there."""
    emissions = {
        "emissions": round(card.cost.co2_kg * 1000, 6),
        "source": "average power x hours x PUE x grid intensity (Strubell et al. 2019)",
        "training_type": card.kind,
        "hardware_used": card.cost.hardware,
    }
    head: dict[str, Any] = {
        "language": list(card.language),
        "license": card.licence,
        "library_name": "transformers",
        "pipeline_tag": card.pipeline_tag,
        "base_model": card.base_model,
        "tags": list(card.tags),
        "co2_eq_emissions": emissions,
        "model-index": [{"name": card.name, "results": [_result(score) for score in card.scores]}],
    }
    if not card.scores:
        del head["model-index"]
    return {key: value for key, value in head.items() if value not in (None, [])}


def _result(score: Score) -> dict[str, Any]:
    value = score.value.estimate if isinstance(score.value, Interval) else score.value
    return {
        "task": {"type": score.task},
        "dataset": {"name": score.dataset, "type": score.dataset},
        "metrics": [{"type": score.metric, "value": value}],
    }


def _data(card: Card) -> Table:
    rows = tuple((one.name, one.description, one.licence or "not stated", one.sha256) for one in card.data)
    return Table(("data", "what it is", "licence", "sha256"), rows)


def _licence(card: Card) -> str:
    if card.licence:
        return f"The model's licence: {escape_markdown(card.licence)}."
    return "The model's maker has not chosen a licence for it; the data's licences are above."


def _fenced(text: str, language: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}"


def _cost(cost: Cost) -> str:
    hours = cost.seconds / 3600
    tokens = [f"- real tokens: {cost.tokens:,}"] if cost.tokens is not None else []
    pounds = cost.pounds_per_kwh * cost.kwh
    return "\n".join(
        [
            *tokens,
            f"- seconds: {cost.seconds:,.1f} on {escape_markdown(cost.hardware)}",
            f"- energy (an estimate): average power · hours · PUE = {cost.watts:g} W · {hours:.4g} h · {cost.pue:g} "
            f"= {cost.kwh:.3g} kWh; the power is {escape_markdown(cost.watts_source)}",
            f"- CO2 (an estimate): {cost.pounds_per_kwh:g} pounds a kWh · {cost.kwh:.3g} kWh = {pounds:.3g} pounds "
            f"= {pounds * KG_PER_POUND:.3g} kg (Strubell et al. 2019; 0.954 is the average of the United States)",
        ]
    )


def _scores(card: Card) -> Table:
    rows = tuple((one.task, one.dataset, one.metric, one.value) for one in card.scores)
    levels = sorted({one.value.level for one in card.scores if isinstance(one.value, Interval)})
    notes = (f"In brackets: {', '.join(f'{100 * level:g} %' for level in levels)} intervals.",) if levels else ()
    return Table(("task", "data", "metric", "value"), rows, notes=notes)

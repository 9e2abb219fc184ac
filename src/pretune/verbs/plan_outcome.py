"""What a plan said and what happened: of a run in whose directory `plan` left a plan.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pretune.checkpoint.disk import as_text as as_size
from pretune.core.errors import InputError
from pretune.core.strict_json import read_object
from pretune.evaluate.table import Cell, Table
from pretune.verbs.settings import PretrainSettings

PLAN = "plan.json"
COMPARED = ("seconds", "peak_memory_bytes", "disk_bytes", "tokens", "flops", "energy_kwh")
"""Figures that a plan and metrics.json both have."""


def request_of(recipe: str, corpus: str, init: str | None, settings: PretrainSettings) -> dict[str, Any]:
    """What a plan is of. recipe: with its size; corpus: its fingerprint. A run of another request is not compared."""
    return {"recipe": recipe, "corpus": corpus, "init": init, "settings": settings.model_dump(mode="json")}


def compare(out: Path, request: Mapping[str, Any], metrics: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """{figure: {"planned", "happened"}} for metrics.json, and what the user should know. Nothing without a plan."""
    if not (out / PLAN).is_file():
        return {}, None
    try:
        planned = read_object(out / PLAN, "plan again or delete it")
        figures = {name: float(planned[name]) for name in COMPARED}
        differing = different(planned["request"], request)
    except (InputError, KeyError, TypeError, ValueError) as error:
        return {}, f"{out / PLAN} cannot be read and is not compared: {error}"
    if differing:
        return {}, f"{out / PLAN} is of another run, which differs in {', '.join(differing)}: not compared"
    return {name: {"planned": value, "happened": metrics[name]} for name, value in figures.items()}, None


def different(planned: Mapping[str, Any], request: Mapping[str, Any]) -> list[str]:
    """In what two requests differ, by dotted path; what a run may change when it is continued does not count.

    >>> different({"settings": {"steps": 1, "seed": 0}}, {"settings": {"steps": 2, "seed": 0}})
    ['settings.steps']
    """
    found = [key for key in request if key != "settings" and planned.get(key) != request[key]]
    ours, theirs = request["settings"], planned["settings"]
    free = {"watts", "spike_sigma", "spike_window", "log_every_steps"}
    names = [key for key in {**theirs, **ours} if key not in free and _plain(ours.get(key)) != _plain(theirs.get(key))]
    return found + [f"settings.{key}" for key in names]


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def table(compared: Mapping[str, Mapping[str, float]]) -> Table:
    """For the report: what was planned, what happened, and by how much that is more."""
    rows: list[tuple[Cell, ...]] = []
    for name, one in compared.items():
        planned, happened = one["planned"], one["happened"]
        more = f"{happened / planned - 1:+.1%}" if planned else None
        rows.append(
            (name.removesuffix("_bytes").replace("_", " "), _shown(name, planned), _shown(name, happened), more)
        )
    return Table(("figure", "planned", "happened", "difference"), tuple(rows), "Plan and what happened")


def _shown(name: str, value: float) -> Cell:
    if name.endswith("_bytes"):
        return as_size(int(value))
    return int(value) if name == "tokens" else f"{value:.3g}"

"""The rows of a comparison: recipes, and variants of them, each as what `pretune pretrain` is asked for.

With a common body (the default) a row takes its recipe's objective with its settings and everything else from the
recipe that gives the body, so that rows differ by the objective only. With faithful bodies a row is its recipe whole.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from pretune.core.config import merge, parse_assignments
from pretune.core.errors import InputError
from pretune.recipes.recipe import open_recipe
from pretune.train.config import BUDGETS
from pretune.verbs.settings import CompareSettings, PretrainSettings, objective_name, resolve_run

Bodies = Literal["common", "faithful"]
SET_ELSEWHERE = {"seed": "--seeds", **dict.fromkeys(BUDGETS, "--tokens or --flops")}
"""Settings that make rows equal, and the option that sets them."""


@dataclass(frozen=True)
class Row:
    """name: as tables show it. recipe: what pretrain is asked for, with a size. settings: over the recipe's own.

    source: the recipe whose row it is, as it was named; variant: what it changes, as KEY=VALUE texts.
    """

    name: str
    recipe: str
    source: str
    variant: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> str:
        """The name of its directory, which does not depend on the other rows."""
        return re.sub(r"[^\w.+=,-]", "_", ",".join([self.source, *self.variant]))

    @property
    def finetune(self) -> Mapping[str, Any]:
        """Settings of fine-tuning that are a part of the recipe (a BiLSTM on top)."""
        return open_recipe(self.source)[0].finetune

    def resolved(self, **changes: Any) -> PretrainSettings:
        """The settings of a run; changes: the budget and the seed."""
        recipe, size = open_recipe(self.recipe)
        return resolve_run(PretrainSettings, recipe.defaults(size), None, merge(self.settings, changes))


def make_rows(
    recipes: Sequence[str],
    vary: Sequence[str] = (),
    bodies: Bodies = "common",
    body: str = "modern",
    settings: Mapping[str, Any] | None = None,
) -> list[Row]:
    """A row for each recipe, or for each recipe and combination of what varies.

    vary: "KEY=V1,V2" texts. settings: of every row, nested. Raises InputError for unknown names and settings, for what
    options set, and for two rows that are the same run.
    """
    if not recipes:
        raise InputError("nothing to compare: name recipes, or one recipe and what varies with --vary KEY=V1,V2")
    variants = list(product(*map(varied, vary)))
    given = dict(settings or {})
    refuse_set_elsewhere(given)
    rows = []
    for recipe in recipes:
        for variant in variants:
            words = variant if len(recipes) == 1 and variant else (recipe, *variant)
            asked = merge(given, parse_assignments(variant))
            runs, asked = (recipe, asked) if bodies == "faithful" else _on_common_body(recipe, body, asked)
            rows.append(Row(" ".join(words), _sized(runs), recipe, tuple(variant), asked))
    _refuse_same(rows, bodies)
    return rows


def varied(text: str) -> list[str]:
    """A key and its values as assignments. Commas inside brackets belong to a value. InputError for fewer than two.

    >>> varied("optimizer.betas=[0.9,0.98],[0.9,0.999]")
    ['optimizer.betas=[0.9,0.98]', 'optimizer.betas=[0.9,0.999]']
    """
    key, _, values = text.partition("=")
    found = [value.strip() for value in re.split(r",(?![^\[]*\])", values)]
    if not key or len(found) < 2 or not all(found):
        raise InputError(f"--vary {text}: write a setting and two values or more, as model.num_layers=1,2,4")
    if len(set(found)) < len(found):
        raise InputError(f"--vary {text}: a value stands there twice")
    assignments = [f"{key}={value}" for value in found]
    refuse_set_elsewhere(parse_assignments(assignments[:1]))
    return assignments


def refuse_set_elsewhere(settings: Mapping[str, Any]) -> None:
    """InputError for settings that are the same for all rows by an option."""
    for name, option in SET_ELSEWHERE.items():
        if name in settings:
            raise InputError(f"{name} is set with {option}, the same for every row: leave {name}=... out")


def _on_common_body(recipe: str, body: str, asked: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What pretrain is asked for: the recipe of the body, with the objective of the row's recipe."""
    chosen, size = open_recipe(recipe)
    if recipe != chosen.name:
        raise InputError(
            f"{recipe}: all rows have one body, so a recipe has no size of its own: write {chosen.name}, and the size "
            f"as --body {body.split('-')[0]}-{size}; or give each recipe its own body with --bodies faithful"
        )
    if objective_name(asked) is not None:  # a variant's, which takes nothing over from the recipe's
        return body, dict(asked)
    objective = {"name": chosen.objective, **chosen.defaults(size).get("objective", {})}
    return body, merge({"objective": objective}, asked)


def _sized(recipe: str) -> str:
    chosen, size = open_recipe(recipe)
    return f"{chosen.name}-{size}"


def _refuse_same(rows: Sequence[Row], bodies: Bodies) -> None:
    seen: dict[str, Row] = {}
    for row in rows:
        try:
            settings = row.resolved(tokens=1)
            objective = open_recipe(row.recipe)[0].make_objective(settings.objective)
        except InputError as error:
            raise InputError(f"{row.name}: {error}") from error
        told = f"{row.recipe} {objective!r} {row.finetune} {settings.model_dump(mode='json', exclude={'objective'})}"
        if told in seen:
            first = seen[told]
            if bodies == "common" and first.source != row.source:
                raise InputError(
                    f"on a common body {first.name} and {row.name} are the same objective: leave one out, or give each "
                    "its own body with --bodies faithful"
                )
            raise InputError(f"{first.name} and {row.name} are the same row: leave one out")
        seen[told] = row


def check_settings(settings: Mapping[str, Any], body: str) -> CompareSettings:
    """All settings of the command at once. InputError for an unknown key, with the nearest known ones."""
    recipe, size = open_recipe(body)
    refuse_set_elsewhere(settings)
    return resolve_run(CompareSettings, recipe.defaults(size), None, settings)

"""Recipe: what a published system is made of. `open_recipe("bert-mini")` gives the recipe and the size.

A recipe is data: family, objective and the defaults of a run's settings. Everything it sets can be set otherwise by the
user; what it says about its sources is printed with the run.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pretune.core.config import called, merge
from pretune.core.errors import unknown
from pretune.core.protocols import Objective
from pretune.core.registry import entries, find
from pretune.objectives.named import open_objective


@dataclass(frozen=True)
class Recipe:
    """A published system.

    family: a name from `pretune families`. size: the default preset. objective: makes the objective; its arguments are
    the settings `objective.*`. settings: defaults of the run by key, all sizes; by_size: what a size changes.
    sources: choice -> where it comes from, and each deviation.
    """

    name: str
    family: str
    size: str
    objective: Callable[..., Objective]
    settings: Mapping[str, Any]
    by_size: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def defaults(self, size: str) -> dict[str, Any]:
        """The run's settings for a size, as a nested dict."""
        return merge(self.settings, self.by_size.get(size, {}))

    def make_objective(self, arguments: Mapping[str, Any]) -> Objective:
        """The objective with these `objective.*` settings; `name` puts another in its place, with its own defaults
        (`objectives/named.py`). Raises InputError for a setting it does not have."""
        if arguments.get("name") is not None:
            return open_objective(str(arguments["name"]), {key: arguments[key] for key in arguments if key != "name"})
        known = inspect.signature(self.objective).parameters
        for name in arguments:
            if name not in known:
                raise unknown(f"setting of the objective of {self.name},", name, known)
        return called("objective.*", self.objective, arguments)


def open_recipe(name: str) -> tuple[Recipe, str]:
    """`"bert"` or `"bert-mini"` to the recipe and the size. Raises InputError naming what there is."""
    from pretune.families.family import open_family

    known = entries("pretune.recipes")
    base = max((entry for entry in known if name == entry or name.startswith(entry + "-")), key=len, default=None)
    if base is None:
        raise unknown("recipe", name, known)
    recipe: Recipe = find("pretune.recipes", "recipe", base)
    size = name[len(base) + 1 :] or recipe.size
    sizes = open_family(recipe.family).presets
    if size not in sizes:
        raise unknown(f"size of {base},", size, sizes)
    return recipe, size

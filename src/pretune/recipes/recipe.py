"""Recipe: what a published system is made of. `open_recipe("bert-mini")` gives the recipe and the size.

A recipe is data: family, objective and the defaults of a run's settings. Everything it sets can be set otherwise by the
user; what it says about its sources is printed with the run. A file's underscores are hyphens of its recipe's name:
`bert_no_nsp.py` is `bert-no-nsp`, and `bert-no-nsp-mini` its size mini. A recipe that is another with some changes says
so (`bert.derive(...)`) and names only these. Imports no torch until an objective is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pretune.core.config import merge
from pretune.core.errors import unknown
from pretune.core.registry import entries, find

if TYPE_CHECKING:
    from pretune.core.protocols import Objective


@dataclass(frozen=True)
class Recipe:
    """A published system.

    family: a name from `pretune families`. size: the default preset. objective: a name from `pretune objectives`, or
    several with + between them; its arguments are the settings `objective.*`. settings: defaults of the run by key, all
    sizes; by_size: what a size changes. finetune: settings of fine-tuning that are part of the system. sources: choice
    -> where it comes from, and each deviation. derived_from: the recipe that it is, but for its changes.
    """

    name: str
    family: str
    size: str
    objective: str
    settings: Mapping[str, Any]
    by_size: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    derived_from: str | None = None

    def derive(self, name: str, **changes: Any) -> Recipe:
        """This recipe with fields changed; mappings are merged, and a source that is "" no longer holds. Settings of
        the objective go with the objective: another one has its own.

        >>> plain = Recipe("plain", "bert", "base", "mlm", {"steps": 9, "objective": {"ngram": 2}}, sources={"a": "b"})
        >>> plain.derive("causal", objective="causal_lm", sources={"a": ""}, settings={"batch_size": 4})
        ... # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        Recipe(name='causal', ... objective='causal_lm', settings={'steps': 9, 'batch_size': 4}, ...
               sources={}, derived_from='plain')
        """
        settings = {
            key: value for key, value in self.settings.items() if key != "objective" or "objective" not in changes
        }
        merged: dict[str, Any] = {"settings": merge(settings, changes.get("settings", {}))}
        for part in ("by_size", "finetune", "sources"):
            merged[part] = merge(getattr(self, part), changes.get(part, {}))
        merged["sources"] = {choice: source for choice, source in merged["sources"].items() if source}
        return replace(self, **{**changes, **merged, "name": name, "derived_from": self.name})

    def defaults(self, size: str) -> dict[str, Any]:
        """The run's settings for a size, as a nested dict."""
        return merge(self.settings, self.by_size.get(size, {}))

    def make_objective(self, arguments: Mapping[str, Any]) -> Objective:
        """The objective with these `objective.*` settings; `name` puts another in its place, with its own defaults
        (`objectives/named.py`). Raises InputError for a setting it does not have."""
        from pretune.objectives.named import open_objective

        name = arguments.get("name")
        settings = {key: value for key, value in arguments.items() if key != "name"}
        return open_objective(self.objective if name is None else str(name), settings)


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

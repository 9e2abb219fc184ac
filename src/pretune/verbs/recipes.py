"""recipes: the recipes side by side, in what they differ; or one, with its settings and their sources.

The settings are those a run would have, defaults included. Imports no torch for the table.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pretune.core.registry import entries, find
from pretune.evaluate.table import Cell, Table, as_text
from pretune.recipes.recipe import Recipe, open_recipe
from pretune.verbs.settings import PretrainSettings, resolve_run

LENGTHS = ("max_length", "short_length", "short_share")


def recipes() -> dict[str, Any]:
    """{name: what it is} for every recipe, each at its default size."""
    known = entries("pretune.recipes")
    found: dict[str, Recipe] = {name: find("pretune.recipes", "recipe", name) for name in known}
    return {name: _facts(recipe, recipe.size, known[name]) for name, recipe in found.items()}


def describe(name: str) -> dict[str, Any]:
    """What one recipe is, `bert-no-nsp` or with a size `bert-no-nsp-mini`, and its sizes; of a derived one also
    what it is derived from. Raises InputError for an unknown name."""
    from pretune.families.family import open_family

    recipe, size = open_recipe(name)
    facts = _facts(recipe, size, entries("pretune.recipes")[recipe.name])
    facts |= {"name": recipe.name, "sizes": list(open_family(recipe.family).presets)}
    if recipe.derived_from is not None:
        facts["parent"] = _facts(open_recipe(recipe.derived_from)[0], size, "")
    return facts


def _facts(recipe: Recipe, size: str, about: str) -> dict[str, Any]:
    settings = resolve_run(PretrainSettings, recipe.defaults(size)).model_dump(mode="json")
    return {
        "about": about,
        "family": recipe.family,
        "size": size,
        "objective": recipe.objective,
        "derived_from": recipe.derived_from,
        "settings": settings,
        "sets": list(_flat(recipe.defaults(size))),
        "finetune": dict(recipe.finetune),
        "sources": dict(recipe.sources),
    }


def as_tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Two tables with a row a recipe: what is learnt, and how. A setting that is the same everywhere is left out."""
    flat = {name: _flat(facts["settings"]) for name, facts in found.items()}
    different = [key for key in _keys(flat.values()) if len({repr(each.get(key)) for each in flat.values()}) > 1]
    lengths = [key for key in different if key in LENGTHS]
    how = [key for key in different if key not in LENGTHS and not key.startswith("objective.")]
    learnt = Table(
        ("recipe", "derived from", "family", "objective", "its settings", *map(_heading, lengths)),
        tuple(
            (
                name,
                facts["derived_from"],
                facts["family"],
                facts["objective"],
                _in_words(facts["settings"]["objective"] | _of_finetuning(facts)),
                *(_cell(flat[name].get(key)) for key in lengths),
            )
            for name, facts in found.items()
        ),
    )
    trained = Table(
        ("recipe", "size", *map(_heading, how)),
        tuple((name, facts["size"], *(_cell(flat[name].get(key)) for key in how)) for name, facts in found.items()),
        notes=("Each at its default size. `pretune recipes NAME` shows one with the sources of its choices.",),
    )
    return f"{as_text(learnt)}\n\n{as_text(trained)}"


def as_page(facts: Mapping[str, Any]) -> str:
    """One recipe: what it is, what it sets (in what it differs from the recipe it is derived from), and the sources."""
    parent = facts.get("parent")
    ours, theirs = _told(facts), _told(parent) if parent else {}
    shown = {"family", "objective", *facts["sets"]}
    rows = [
        (key, _cell(ours.get(key)), *((_cell(theirs.get(key)),) if parent else ()))
        for key in _keys([ours, theirs])
        if (ours.get(key) != theirs.get(key) if parent else key in shown)
    ]
    derived = facts["derived_from"]
    title = f"As {derived}, but:" if parent else "Settings"
    columns = ("setting", f"{facts['name']}-{facts['size']}", *((f"{derived}-{facts['size']}",) if parent else ()))
    lines = [
        facts["about"],
        f"Sizes: {', '.join(facts['sizes'])}.",
        "",
        as_text(Table(columns, tuple(rows), title)),
        "",
    ]
    lines += [f"{choice}: {source}" for choice, source in facts["sources"].items()]
    return "\n".join(lines)


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    what = {"family": facts["family"], "objective": facts["objective"]}
    return what | _flat(facts["settings"]) | _of_finetuning(facts)


def _of_finetuning(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"finetune {key}": value for key, value in facts["finetune"].items()}


def _keys(trees: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every key of some mappings, in order of first appearance."""
    return list(dict.fromkeys(key for tree in trees for key in tree))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted paths to values.

    >>> _flat({"steps": 9, "optimizer": {"lr": 0.1}})
    {'steps': 9, 'optimizer.lr': 0.1}
    """
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _heading(key: str) -> str:
    """A setting's own name, for an optimizer's or a schedule's that of the thing.

    >>> _heading("optimizer.name"), _heading("optimizer.weight_decay")
    ('optimizer', 'weight decay')
    """
    group, _, name = key.rpartition(".")
    return (group if name == "name" else name).replace("_", " ")


def _in_words(settings: Mapping[str, Any]) -> str | None:
    return ", ".join(f"{key} {value}" for key, value in settings.items()) or None


def _cell(value: Any) -> Cell:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else value

"""A run's settings from its layers: defaults, then a saved run.yaml, then `KEY=VALUE`; a given budget replaces ours."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pretune.core.config import load_yaml, parse_assignments, resolve
from pretune.train.config import BUDGETS, FitSettings

F = TypeVar("F", bound=FitSettings)


def resolve_run(
    kind: type[F],
    defaults: Mapping[str, Any],
    config: str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
) -> F:
    """The settings of a run. `settings` are `KEY=VALUE` texts or a nested dict; InputError for an unknown key.

    A budget (steps, tokens, epochs, seconds) in a later layer replaces those of earlier ones.
    """
    given = dict(settings) if isinstance(settings, Mapping) else parse_assignments(settings)
    layers = [dict(defaults), _saved(config), given]
    for number, layer in enumerate(layers):
        if any(layer.get(budget) is not None for budget in BUDGETS):
            for earlier in layers[:number]:
                for budget in BUDGETS:
                    earlier.pop(budget, None)
    return resolve(kind, *layers)


def _saved(config: str | Path | None) -> dict[str, Any]:
    """The settings of a run.yaml, or of a file that holds nothing but settings."""
    if config is None:
        return {}
    tree = load_yaml(config)
    inner = tree.get("settings", tree)
    return dict(inner) if isinstance(inner, dict) else tree

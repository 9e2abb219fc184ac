"""Objectives by name, as the command line and the comparison ask for them: "span_boundary", "sentence_order+mlm".

Names are those of the files; `a+b` is `add(a(), b())`. Hyphens and underscores are alike.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pretune.core.config import called
from pretune.core.errors import InputError, unknown
from pretune.core.protocols import Objective
from pretune.core.registry import find
from pretune.objectives.add import add


def open_objective(name: str, settings: Mapping[str, Any]) -> Objective:
    """The objective of a name with settings, which go to every part that has them: `masking_rate` of
    "sentence_order+mlm" is mlm's. Raises InputError for an unknown name and for a setting that no part has.

    >>> open_objective("next-sentence", {"short_rate": 0.2})
    NextSentence(short_rate=0.2, copies=None)
    """
    names = [part.strip() for part in name.split("+")]
    if "add" in names:
        raise InputError(f"objective.name={name}: write the names that are added with + between them, without add")
    makers: list[Callable[..., Objective]] = [find("pretune.objectives", "objective", part) for part in names]
    known = [list(inspect.signature(maker).parameters) for maker in makers]
    for setting in settings:
        if not any(setting in parameters for parameters in known):
            raise unknown(f"setting of the objective {name},", setting, [each for part in known for each in part])
    parts = [
        called("objective.*", maker, {key: value for key, value in settings.items() if key in parameters})
        for maker, parameters in zip(makers, known, strict=True)
    ]
    return parts[0] if len(parts) == 1 else add(*parts)

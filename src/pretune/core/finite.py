"""Numbers for JSON, which has no NaN and no infinity."""

import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """The value with None in place of each number that is not finite (a correlation of constants).

    >>> finite({"pearson": float("nan"), "n": [1, 2.5]})
    {'pearson': None, 'n': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

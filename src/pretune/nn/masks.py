"""Which keys a group's queries see, as float masks: padding, the two visibility integers, a window in positions.

Dimensions: N sequences of a group, Q padded queries, K padded keys. A mask is None where everything is seen.
"""

import torch
from torch import Tensor

from pretune.core.stream import Stream
from pretune.nn.layout import Layout, Side


def is_causal(queries: Stream, keys: Stream) -> bool:
    """Whether plain causal attention says it all. Padding lies behind the last token, so no query sees it."""
    return queries is keys and keys.visibility == "causal"


def narrowed(queries: Stream, keys: Stream, layout: Layout, window: int | None) -> int | None:
    """The window, or None where no two positions of the streams lie farther apart than it."""
    if window is None or queries.num_tokens == 0:
        return None
    if "reach" not in layout.masks:
        low_q, high_q = (int(value) for value in queries.positions_T.aminmax())
        low_k, high_k = (int(value) for value in keys.positions_T.aminmax())
        layout.masks["reach"] = max(high_q - low_k, high_k - low_q)
    return window if layout.masks["reach"] > window else None


def masks_of(
    queries: Stream, keys: Stream, layout: Layout, window: int | None, dtype: torch.dtype
) -> list[Tensor | None]:
    """A mask for each group, [N, 1, 1 or Q, K], 0 where a key is seen and -inf where not; kept in the layout."""
    key = (window, dtype)
    if key not in layout.masks:
        layout.masks[key] = [
            _additive(_visible(queries, keys, query, side, window), dtype)
            for query, side in zip(layout.queries, layout.keys, strict=True)
        ]
    return layout.masks[key]  # type: ignore[no-any-return]


def _visible(queries: Stream, keys: Stream, query: Side, key: Side, window: int | None) -> Tensor | None:
    visible: Tensor | None = None
    if keys.visibility != "full" or queries.visibility == "mixed":
        visible = key.pad(keys.shown_at_T)[:, None, :] <= query.pad(queries.sees_up_to_T)[:, :, None]
    if window is not None:
        apart = query.pad(queries.positions_T)[:, :, None] - key.pad(keys.positions_T)[:, None, :]
        visible = _both(visible, apart.abs() <= window)
    real_query, real_key = query.real(), key.real()
    if visible is not None and real_query is not None:
        visible = visible | ~real_query[:, :, None]  # a padded query may see anything: it stays finite and is dropped
    return visible if real_key is None else _both(visible, real_key[:, None, :])


def _both(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else one & other


def _additive(visible: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    if visible is None:
        return None
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill_(~visible, -torch.inf).unsqueeze(1)

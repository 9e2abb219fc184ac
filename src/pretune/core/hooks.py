"""The hook protocol of the training loop: everything that is not the loop itself (records, evaluation, stopping).

A hook overrides the calls it needs. Its `state` travels in checkpoints; `event` names what the call is about.
"""

from typing import Any


class Hook:
    """Base of hooks: every call does nothing. `run` is the live state of the loop (step, model, last losses)."""

    def on_start(self, run: Any) -> None:
        """Before the first step (and after a checkpoint was loaded)."""

    def on_step(self, run: Any) -> None:
        """After each optimizer step."""

    def on_save(self, run: Any) -> None:
        """Before a checkpoint is written."""

    def on_end(self, run: Any) -> None:
        """After the last step."""

    def state_dict(self) -> dict[str, Any]:
        """What the hook must find again after a restart: numbers, texts, tensors, lists and dicts of them."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave."""

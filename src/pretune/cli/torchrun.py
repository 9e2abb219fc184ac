"""What a command started by torchrun must know of how it was started. Imports no torch."""

import os
import sys

from pretune.core.errors import InputError

STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"

COMMANDS = ("pretrain", "finetune")
"""Commands that share their work among the processes of a job."""


def refuse_processes(command: str) -> None:
    """InputError where torchrun started several processes of a command that would do all of its work in each."""
    world = os.environ.get("WORLD_SIZE", "1")
    if command not in COMMANDS and world.isdecimal() and int(world) > 1:
        raise InputError(
            f"torchrun started {world} processes of `pretune {command}`, and each would do all of its work: start it "
            f"without torchrun (only {' and '.join(COMMANDS)} run on several processes)"
        )


def warn_of_restarts() -> None:
    """Says so where torchrun may restart this job with a store in which restarted processes read stale addresses."""
    first = os.environ.get("RANK", "0") == "0"
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if first and restarts.isdecimal() and int(restarts) > 0 and os.environ.get(STORE) != "1":
        print(
            f"pretune: torchrun --max-restarts without {STORE}=1 may fail to bring processes together again after one "
            "died: set it in the environment of torchrun",
            file=sys.stderr,
        )

"""What a command started by torchrun must know of how it was started. Imports no torch."""

import os
import sys

STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"


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

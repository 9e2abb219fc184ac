"""The most memory a process has held: of the processor, resident pages; of a GPU, what torch reserved there.

Resident pages include those of mapped files (a corpus), which the system takes back when it needs room.
"""

import resource
import sys

import torch


def peak_bytes(device: torch.device | str = "cpu") -> int:
    """Since the process began."""
    device = torch.device(device)
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

"""Memory that was freed in pieces goes back to the system."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
from pathlib import Path
import numpy as np
from pretune.core.heap import give_back

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) >> 10

blocks = [np.ones(12_500) for _ in range(4000)]  # 100 kB each: from the heap, not from a mapping of its own
del blocks[::2], blocks[:-1]
full = held()
give_back()
print(full, held())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_freed_pieces_are_given_back():
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    full, left = map(int, found.stdout.split())
    assert full > 300 and left < 100

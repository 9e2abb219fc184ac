"""Seconds until `pretune --help` has answered and `import pretune` is done, and whether torch was loaded for it.

    python benchmarks/startup.py [--repetitions 20] [--out startup.json]

Each call is a process of its own; the calls take turns. `python -c pass` is what Python itself needs; `import torch`
and `import transformers` are there to compare with. Exit status 1 where `import pretune` or `pretune --help` loads
torch.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from side_by_side.cells import machine
from side_by_side.figures import heading, row, spread

CALLS = {
    "python -c pass": ["-c", "pass"],
    "import pretune": ["-c", "import pretune"],
    "pretune --help": ["-m", "pretune", "--help"],
    "import torch": ["-c", "import torch"],
    "import transformers": ["-c", "import transformers"],
}
LOADS_TORCH = {
    "import pretune": "import sys, pretune; sys.exit('torch' in sys.modules)",
    "pretune --help": """
import contextlib, io, sys
from pretune.cli.main import run
sys.argv = ["pretune", "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    run()
sys.exit('torch' in sys.modules)
""",
}


def seconds_of(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in CALLS}
    for number in range(options.repetitions + 1):
        for name, arguments in CALLS.items():
            took = seconds_of(arguments)
            if number:  # the first round reads the files from disk and writes byte code
                seconds[name].append(took)
    loads = {name: subprocess.run([sys.executable, "-c", code]).returncode != 0 for name, code in LOADS_TORCH.items()}
    for line in heading("call", "seconds", "loads torch"):
        print(line)
    for name, found in seconds.items():
        print(row(name, spread(found, 3), {True: "**yes**", False: "no"}.get(loads.get(name), "")))
    if options.out:
        record: dict[str, Any] = {"settings": {"repetitions": options.repetitions}, "load": os.getloadavg()[0]}
        record |= {"machine": machine(), "seconds": seconds, "loads_torch": loads}
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return int(any(loads.values()))


if __name__ == "__main__":
    sys.exit(main())

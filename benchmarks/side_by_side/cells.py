"""Cells: each measurement runs in a process of its own, the sides of a comparison in turn; results are kept at once.

A script calls `main(options, run, measure)`. It runs itself again for every cell with `--cell`, so that no side
inherits another's caches, threads or memory, and all get the same environment (`--threads`). In every other repetition
the sides come in reverse order. With `--out` the same command continues; cells that failed are tried again.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Cell = dict[str, Any]
"""What is measured: JSON values; "side" names whose turn it is."""
FREE = {"out", "repetitions", "cell", "cell_out", "limit", "work", "text"}
"""Arguments that may differ when a file is continued."""
PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "sentence_transformers", "onnxruntime", "numpy")


class Record:
    """The settings, the machine and the results so far; with a path, written after each result."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.content: dict[str, Any] = {"settings": dict(settings), "machine": machine(), "results": []}
        if path is not None and path.exists():
            kept = json.loads(path.read_text("utf-8"))
            if kept["settings"] != self.content["settings"]:
                print(f"{path} holds results with other settings: {kept['settings']}", file=sys.stderr)
                raise SystemExit(2)
            self.content["results"] = [result for result in kept["results"] if "failed" not in result]

    @property
    def results(self) -> list[dict[str, Any]]:
        return self.content["results"]

    def find(self, cell: Cell) -> dict[str, Any] | None:
        """The result of a cell, if it did not fail."""
        found = (result for result in self.results if cell.items() <= result.items() and "failed" not in result)
        return next(found, None)

    def add(self, result: Mapping[str, Any]) -> None:
        self.results.append(dict(result))
        if self.path is not None:
            beside = self.path.with_name(self.path.name + ".part")
            beside.write_text(json.dumps(self.content, indent=1) + "\n", "utf-8")
            beside.replace(self.path)


def machine() -> dict[str, Any]:
    found: dict[str, Any] = {"cpus": os.cpu_count(), "python": platform.python_version(), "cpu": cpu_name()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """The processor's name, family and model: processors of one name differ in how wide their products are."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    pairs = [line.partition(":") for line in reversed(lines)]
    found = {name.strip(): value.strip() for name, _, value in pairs}
    wide = "with" if " avx512f " in f" {found.get('flags', '')} " else "without"
    family, model = found.get("cpu family", "?"), found.get("model", "?")
    return f"{found.get('model name', 'unknown')}, family {family}, model {model}, {wide} AVX-512"


def add_arguments(parser: argparse.ArgumentParser, repetitions: int) -> None:
    parser.add_argument("--repetitions", type=int, default=repetitions, help="alternating runs of each side")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every library, in every process")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which a process is given up")
    parser.add_argument("--out", type=Path, help="JSON; continued where it exists")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    parser.add_argument("--cell-out", type=Path, help=argparse.SUPPRESS)


def main(
    options: argparse.Namespace,
    run: Callable[[Record], Iterable[str]],
    measure: Callable[[Cell], Mapping[str, Any]],
    free: Iterable[str] = (),
) -> int:
    """A script's main. run: asks for cells by `measured` and gives the lines to print; measure: one cell, by itself.

    free: more arguments that may differ when a file is continued. Exit status 1 where a cell failed, or `run` has
    recorded that losses or outputs differ.
    """
    if options.cell is not None:
        options.cell_out.write_text(json.dumps(dict(measure(json.loads(options.cell)))), "utf-8")
        return 0
    left_out = FREE | set(free)
    settings = {name: as_json(value) for name, value in vars(options).items() if name not in left_out}
    record = Record(options.out, settings)
    for line in run(record):
        print(line, flush=True)
    return 1 if any("failed" in result for result in record.results) else 0


def as_json(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def measured(options: argparse.Namespace, record: Record, sides: Sequence[Cell], repetitions: int) -> list[Cell]:
    """The results of each side, `repetitions` times, those that are recorded or else run now."""
    found = []
    for repetition in range(1, repetitions + 1):
        for cell in sides if repetition % 2 else sides[::-1]:
            numbered = {**cell, "repetition": repetition}
            if (result := record.find(numbered)) is None:
                result = numbered | {"load": os.getloadavg()[0]} | in_own_process(options, numbered)
                record.add(result)
            found.append(result)
    return found


def in_own_process(options: argparse.Namespace, cell: Cell) -> dict[str, Any]:
    """What this script measures of a cell in a fresh process; {"failed": why} where it ends otherwise."""
    threads = str(options.threads)
    alike = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), threads)
    environment = {**os.environ, **alike, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    shown = " ".join(str(value) for value in cell.values())
    print(f"{shown} ...", file=sys.stderr, end=" ", flush=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "cell.json"
        command = [sys.executable, *sys.argv, "--cell", json.dumps(cell), "--cell-out", str(out)]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=options.limit)
        except subprocess.TimeoutExpired:
            print(f"given up after {options.limit:g} s", file=sys.stderr)
            return {"failed": f"more than {options.limit:g} s"}
        if done.returncode or not out.exists():
            print(f"failed with {done.returncode}\n{done.stderr[-3000:]}", file=sys.stderr)
            return {"failed": done.stderr[-1000:] or f"exit status {done.returncode}"}
        result: dict[str, Any] = json.loads(out.read_text("utf-8"))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return result

"""One run on one CUDA device: parity with the CPU, speed against transformers in bf16, useful MFU, and where time goes.

    PYTHONPATH=src python benchmarks/gpu.py --out gpu.json [--corpus CORPUS] [--limit 520]
    PYTHONPATH=src python benchmarks/gpu.py --out tiny.json --device cpu --tiny        tries the script itself

pretune need not be installed. The parts run one after another, each a process with seconds of its own; what a part has
found is written at once, so that a part that is ended leaves what it had:

    parity    fp32 on the device against fp32 on the CPU: hidden states, losses of some steps, gradients; bf16 beside it
    base      BERT-base masked LM, lengths up to 512 (drawn, lognormal, median 128) and packed to 512, bf16: real
              tokens/s of pretune and of transformers' Trainer (default; best: like lengths, torch.compile, sdpa, two
              data-loading processes), sides alternating; useful MFU of the best matrix product measured here
    small     a 17 M encoder (`modern`, 7 x 256, 50,368 rows), the same
    profile   where a step of pretune's spends its time, on the device and on the host, and its speed without the feed
    train     modern-base on the corpus for --train-seconds (0: left out), its loss curve kept

Without --corpus the ids come from the bundled novels with a small vocabulary; the model has all of its 30,522 rows, so
that its work is that of the real one.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from side_by_side.cells import as_json, machine
from side_by_side.figures import heading, ratio, row, spread, values

LIMITS = {"parity": 70.0, "base": 230.0, "small": 120.0, "profile": 80.0, "train": 0.0}
"""Seconds of each part; together they fit --limit."""


class Kept:
    """The results in one JSON file, written after each change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}

    def put(self, name: str, value: Any) -> None:
        self.content[name] = value
        beside = self.path.with_name(self.path.name + ".part")
        beside.write_text(json.dumps(self.content, indent=1, default=str) + "\n", "utf-8")
        beside.replace(self.path)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("/tmp/pretune-gpu"), help="for the corpus")
    parser.add_argument("--corpus", type=Path, help="a corpus of `pretune corpus build`")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small models and few steps: to try the script")
    parser.add_argument("--parts", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    parser.add_argument(
        "--sides", nargs="+", choices=["pretune", "default", "best"], default=["pretune", "default", "best"]
    )
    parser.add_argument("--limit", type=float, default=520.0, help="seconds of all parts")
    parser.add_argument("--train-seconds", type=float, default=0.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare pretune's batches; 0: a thread")
    parser.add_argument("--part", choices=list(LIMITS), help=argparse.SUPPRESS)
    parser.add_argument("--ends", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tiny:
        options.steps, options.warmup, options.repetitions, options.batch_size, options.max_length = 2, 1, 1, 4, 64
    return options


def main() -> int:
    options = read_arguments()
    if options.part:
        from side_by_side import gpu_parts

        kept = Kept(options.out)
        part: Callable[[argparse.Namespace, Callable[[str, Any], None]], None] = getattr(gpu_parts, options.part)
        part(options, lambda name, value: kept.put(f"{options.part}/{name}", value))
        return 0
    ends = time.time() + options.limit
    kept = Kept(options.out)
    kept.put("machine", machine())
    kept.put(
        "settings", {name: as_json(value) for name, value in vars(options).items() if name not in ("part", "ends")}
    )
    limits = LIMITS | {"train": options.train_seconds + 60 if options.train_seconds else 0.0}
    failed = []
    for name in options.parts:
        if limits[name] and not run_part(name, min(limits[name], ends - time.time()), options):
            failed.append(name)
    found = Kept(options.out)
    found.put("failed", failed)
    print("\n".join(table(found.content)))
    return 1 if failed else 0


def run_part(name: str, seconds: float, options: argparse.Namespace) -> bool:
    """Whether the part ended well and in its time. In a tiny run nothing is hurried."""
    seconds = 3600.0 if options.tiny else seconds
    if seconds < 15:
        print(f"{name}: no time is left", file=sys.stderr)
        return False
    started = time.perf_counter()
    command = [sys.executable, *sys.argv, "--part", name, "--ends", str(time.time() + seconds)]
    try:
        status = subprocess.run(command, timeout=seconds).returncode
    except subprocess.TimeoutExpired:
        status = -1
    how = "done" if status == 0 else f"ended with {status}" if status > 0 else "ended by the clock"
    print(f"{name}: {how} after {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return status == 0


def table(content: Mapping[str, Any]) -> list[str]:
    """Markdown of what there is."""
    lines = heading("parity with the CPU", "largest difference", "bound")
    for name, found in content.items():
        if name.startswith("parity/"):
            lines += [row(f"{name[7:]}, {what}", f"{value:.1e}", bound) for what, (value, bound) in found.items()]
    lines += ["", *heading("speed", "padding", "tokens/s", "pretune :", "useful MFU, %", "of 989 TFLOP/s, %")]
    for part in ("base", "small"):
        runs = [run for name, found in content.items() if name.startswith(f"{part}/runs") for run in found]
        for texts in dict.fromkeys(run["texts"] for run in runs):
            ours = values(runs, "tokens_per_second", texts=texts, side="pretune")
            for side in ("pretune", "default", "best"):
                which = {"texts": texts, "side": side}
                speeds = values(runs, "tokens_per_second", **which)
                if not speeds:
                    continue
                figures = [values(runs, name, **which) for name in ("padding", "mfu", "of_989_tflops")]
                shares = [spread([100 * one for one in found.values()], 1) if found else "" for found in figures]
                name = f"{part}, {texts}, {side}"
                shown = spread(list(speeds.values())), ratio(ours, speeds) if ours else ""
                lines.append(row(name, f"{shares[0]} %", *shown, *shares[1:]))
    lines += [f"\n{name}\n{found}" for name, found in content.items() if name.startswith("profile/table")]
    return lines


if __name__ == "__main__":
    sys.exit(main())

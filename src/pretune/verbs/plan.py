"""plan: what a pre-training run will take, before it is begun: memory, time, disk, energy and price.

Predicted from a probe (`probe.py`): some real steps of each of the run's lengths, an evaluation, a checkpoint, timed in
a process of their own. Time is the steps' and that of all evaluations and checkpoints; memory is the most the probe
held, and on the processor the corpus, which a run maps page by page; disk is what `keep_checkpoints` keep and one more
while it is written, and the model. Energy as `train/energy.py` has it. For one process; nothing is known of others'
work on the machine, nor of what a processor does when it gets hot.

With `out`, the directory that the run will have, the plan is left there as plan.json, and the run compares itself with
it when it is done (`plan_outcome.py`).
"""

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pretune.checkpoint.disk import as_text as as_size
from pretune.checkpoint.disk import free_bytes
from pretune.core.errors import InputError, RunError
from pretune.corpus.store import Corpus
from pretune.evaluate.table import Cell, Table, as_text
from pretune.recipes.recipe import open_recipe
from pretune.train.energy import average_watts, co2_kg, energy_kwh
from pretune.verbs import records
from pretune.verbs.plan_outcome import PLAN, request_of
from pretune.verbs.settings import PretrainSettings, read_run, resolve_run

EVALUATIONS = 10
"""Of a run that does not say when it is evaluated: every tenth of it."""
Steps = Sequence[tuple[float, Mapping[str, Any]]]
"""How many steps of each of the probe's phases."""


def plan(
    recipe: str | None = None,
    *,
    corpus: str | Path,
    out: str | Path | None = None,
    init: str | None = None,
    config: str | Path | None = None,
    settings: Sequence[str] | Mapping[str, Any] = (),
    threads: int | None = None,
    allow_pickle: bool = False,
    price_per_hour: float | None = None,
    price_per_kwh: float | None = None,
) -> dict[str, Any]:
    """What `pretrain` with the same arguments will take; nothing is trained.

    out: the directory that the run will have; plan.json is written there. price_per_hour: of the machine, as rented;
    price_per_kwh: of electricity; the price is the sum of what is given, None where neither is.
    Raises InputError for a wrong request, RunError where the probe died (out of memory, for example).
    """
    for name, price in (("price-per-hour", price_per_hour), ("price-per-kwh", price_per_kwh)):
        if price is not None and not 0 <= price < math.inf:
            raise InputError(f"--{name} is {price}: it must be a number from 0 on")
    saved = read_run(config, "pretrain")
    recipe, init = recipe or saved.get("recipe") or "modern", init or saved.get("init")
    chosen, size = open_recipe(recipe)
    resolved = resolve_run(PretrainSettings, chosen.defaults(size), saved["settings"], settings)
    train = Corpus.open(corpus, split="train")
    if out is not None and (Path(out) / "run.yaml").exists():
        raise InputError(f"{out} holds a run already: give the directory of the run that is planned, or no --out")
    request = request_of(f"{chosen.name}-{size}", train.fingerprint, init, resolved)
    asked = {"recipe": request["recipe"], "settings": request["settings"], "corpus": str(corpus), "init": init}
    near = Path(out).absolute() if out is not None else None
    folder = next((str(each) for each in near.parents if each.is_dir()), None) if near is not None else None
    probed = run_probe(asked | {"threads": threads, "allow_pickle": allow_pickle, "folder": folder})
    prices = {"per_hour": price_per_hour, "per_kwh": price_per_kwh}
    found = {"request": request, **predict(probed, resolved, train, prices), "probe": probed}
    if near is not None:
        found["free_bytes"] = free_bytes(near)
        records.write_json(near / PLAN, found)
    return found | {"text": summary(found, near)}


def run_probe(request: Mapping[str, Any]) -> dict[str, Any]:
    """The probe in a process of its own. Raises its errors, and RunError where it died."""
    with TemporaryDirectory() as folder:
        asked, told = Path(folder) / "request.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(request), "utf-8")
        words = [sys.executable, "-m", "pretune.verbs.probe", str(asked), str(told)]
        done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
        if not told.is_file():
            why = "it was killed: is there enough memory?" if done.returncode < 0 else done.stderr.strip()[-500:]
            raise RunError(f"the probe of 20 steps died ({why}); try a smaller max_tokens_per_batch or a smaller size")
        found: dict[str, Any] = json.loads(told.read_text("utf-8"))
    if "error" in found:
        raise (InputError if found["exit_status"] == InputError.exit_status else RunError)(found["error"])
    return found


def predict(
    probed: Mapping[str, Any], settings: PretrainSettings, corpus: Corpus, prices: Mapping[str, float | None]
) -> dict[str, Any]:
    """The run's figures from the probe's."""
    steps = _steps(probed, settings)
    training, evaluations, checkpoints = _work(probed, settings, steps)
    seconds = training + evaluations * probed["evaluation_seconds"] + checkpoints * probed["checkpoint_seconds"]
    watts, watts_source = average_watts(settings.watts, probed["device"])
    kwh = energy_kwh(watts, seconds)
    per_hour, per_kwh = prices["per_hour"], prices["per_kwh"]
    given = [rate * amount for rate, amount in ((per_hour, seconds / 3600), (per_kwh, kwh)) if rate is not None]
    kept = min(settings.keep_checkpoints, checkpoints)
    disk = kept * probed["checkpoint_bytes"] + probed["model_bytes"]
    return {
        "steps": round(sum(number for number, _ in steps)),
        "tokens": round(sum(number * phase["tokens"] for number, phase in steps)),
        "flops": sum(number * phase["flops"] for number, phase in steps),
        "seconds": seconds,
        "peak_memory_bytes": probed["peak_memory_bytes"] + _mapped(probed, corpus, steps),
        "disk_bytes": disk,
        "peak_disk_bytes": disk + (probed["checkpoint_bytes"] if checkpoints > kept else 0),
        "parameters": probed["parameters"],
        "watts": watts,
        "watts_source": watts_source,
        "energy_kwh": kwh,
        "co2_kg": co2_kg(kwh),
        "price": sum(given) if given else None,
    }


def _steps(probed: Mapping[str, Any], settings: PretrainSettings) -> Steps:
    """How many steps of each length. Where the clock ends the run, as many as fit in its seconds beside evaluations and
    checkpoints; the last of each come when the clock has ended it."""
    phases, clock = probed["phases"], settings.seconds
    if phases[-1]["steps"] is not None:
        most = [(float(phase["steps"]), phase) for phase in phases]
    else:
        assert clock is not None
        most = [(clock / phases[-1]["seconds"], phases[-1])]
    if clock is None or _before_the_end(probed, settings, most) <= clock:
        return most
    fits, too_many = 0.0, 1.0
    for _ in range(60):  # halved, since how many evaluations there are depends on how many steps there are
        share = (fits + too_many) / 2
        is_too_many = _before_the_end(probed, settings, _share_of(most, share)) > clock
        fits, too_many = (fits, share) if is_too_many else (share, too_many)
    return _share_of(most, fits)


def _share_of(steps: Steps, share: float) -> Steps:
    return [(number * share, phase) for number, phase in steps]


def _before_the_end(probed: Mapping[str, Any], settings: PretrainSettings, steps: Steps) -> float:
    """Seconds until the last step is done."""
    training, evaluations, checkpoints = _work(probed, settings, steps)
    between = (evaluations - 1) * probed["evaluation_seconds"] + (checkpoints - 1) * probed["checkpoint_seconds"]
    return float(training + between)


def _work(probed: Mapping[str, Any], settings: PretrainSettings, steps: Steps) -> tuple[float, int, int]:
    """Seconds of the steps alone, evaluations and checkpoints."""
    number, training = sum(number for number, _ in steps), sum(number * phase["seconds"] for number, phase in steps)
    evaluations = _evaluations(settings, number, probed["evaluation_seconds"])
    return training, evaluations, _checkpoints(settings, number, training)


def _evaluations(settings: PretrainSettings, steps: float, each: float) -> int:
    """How many, of so many seconds each. Tenths of a budget of seconds that pass in an evaluation have none."""
    if settings.evaluate_every_steps is not None:
        return max(1, math.ceil(steps / settings.evaluate_every_steps))
    most = EVALUATIONS
    if settings.seconds is not None and each > 0:
        most = min(most, 1 + int((1 - 1 / EVALUATIONS) * settings.seconds / each))
    return max(1, min(most, math.ceil(steps)))


def _checkpoints(settings: PretrainSettings, steps: float, seconds: float) -> int:
    """How many are written: by steps, by minutes, and at the end."""
    by_minutes = 0 if settings.save_every_minutes is None else math.ceil(seconds / 60 / settings.save_every_minutes)
    return max(math.ceil(steps / settings.save_every_steps), by_minutes, 1)


def _mapped(probed: Mapping[str, Any], corpus: Corpus, steps: Steps) -> int:
    """Bytes of the corpus that the run will have mapped at its end and the probe had not; a GPU holds none of it."""
    if probed["device"] != "cpu":
        return 0
    width = corpus.ids(0, 1).dtype.itemsize if corpus.num_tokens else 0
    tokens = sum(number * phase["tokens"] for number, phase in steps)
    seen = sum(phase["probed"] * phase["tokens"] for _, phase in steps)
    return int(max(0.0, min(corpus.num_tokens, tokens) - seen)) * width


def summary(found: Mapping[str, Any], out: Path | None) -> str:
    """What the command prints."""
    rows: list[tuple[Cell, ...]] = [
        ("steps", found["steps"]),
        ("tokens", found["tokens"]),
        ("time", as_time(found["seconds"])),
        ("memory", as_size(found["peak_memory_bytes"])),
        ("disk, at most", as_size(found["peak_disk_bytes"])),
        ("energy", f"{found['energy_kwh']:.3g} kWh ({found['watts']:g} W: {found['watts_source']})"),
        ("CO2", f"{found['co2_kg']:.3g} kg"),
        ("price", _as_price(found["price"])),
        ("parameters", found["parameters"]),
    ]
    probed = sum(phase["probed"] for phase in found["probe"]["phases"])
    notes = [f"Predicted from {probed} steps on this corpus and this machine, as busy as it was."]
    if out is not None:
        notes.append(f"{out / PLAN}: the run's report compares it with what happened.")
        if found["free_bytes"] < found["peak_disk_bytes"]:
            notes.append(f"Only {as_size(found['free_bytes'])} are free there: the run would be refused.")
    return as_text(Table(("plan", found["request"]["recipe"]), tuple(rows), notes=tuple(notes)))


def _as_price(price: float | None) -> str:
    if price is None:
        return "give --price-per-hour or --price-per-kwh"
    return f"{price:,.2f}" if price >= 1 else f"{price:.2g}"


def as_time(seconds: float) -> str:
    """
    >>> as_time(42.3), as_time(150), as_time(5430), as_time(200_000)
    ('42 s', '2.5 min', '1.5 h', '2.3 days')
    """
    for unit, size, least in (("days", 86_400, 172_800), ("h", 3600, 5400), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"

"""Whether a run's checkpoints and model will fit on the disk, asked before its first step.

The optimizer has no state then, so its size is told by what it will be: AdamW keeps two numbers a parameter, Muon one.
`keep_checkpoints` stay, and one more is there while the next is being written; the best weights travel in each. The
checkpoints that a continued run has already count as paid. Not counted: what hooks keep besides weights (it is small).
"""

from collections.abc import Sequence

from torch import nn

from pretune.checkpoint import disk, store
from pretune.core.hooks import Hook
from pretune.nn.generator import Generator
from pretune.train.evaluation import Evaluate
from pretune.train.muon import Muon
from pretune.train.optim import Optimizers
from pretune.train.run import Run

TOKENIZER = 8 << 20
"""Bytes allowed for a model's tokenizer, config and pages."""


def require_room(run: Run, hooks: Sequence[Hook], *, on_full: disk.OnDiskFull = "stop") -> None:
    """InputError where the run's directory has no room for what the run will leave there. A run without one has."""
    if run.out is None:
        return
    one, keep = checkpoint_size(run, hooks), run.settings.keep_checkpoints
    held = sum(disk.held_bytes(path) for _, path in store.checkpoints(run.out / "checkpoints"))
    model = disk.checkpoint_bytes({"model": run.model.state_dict()}) + TOKENIZER + generator_bytes(run.model)
    what = f"{keep} checkpoints of {disk.as_text(one)}, one more while it is written, and the model"
    disk.require(run.out, max(one, (keep + 1) * one - held) + model, what, on_full=on_full)


def generator_bytes(model: nn.Module) -> int:
    """Bytes of what a generator is saved with once more: the embeddings it shares, and a tokenizer."""
    generators = [module for module in model.modules() if isinstance(module, Generator)]
    shared = [parameter for each in generators for parameter in each.embeddings]
    return sum(each.numel() * each.element_size() for each in shared) + len(generators) * TOKENIZER


def checkpoint_size(run: Run, hooks: Sequence[Hook]) -> int:
    """Bytes of a checkpoint of this run, once its optimizer has a state."""
    weights = disk.checkpoint_bytes({"model": run.model.state_dict()})
    copies = 1 + sum(isinstance(hook, Evaluate) and hook.metric is not None for hook in hooks)
    return copies * weights + optimizer_bytes(run.optimizers)


def optimizer_bytes(optimizers: Optimizers) -> int:
    """Bytes of the optimizers' state after their first step, names included."""
    total = 0
    for part in optimizers.parts:
        moments = 1 if isinstance(part, Muon) else 2
        for group in part.param_groups:
            for parameter in group["params"]:
                name = len(optimizers.names[parameter])
                total += moments * (parameter.numel() * parameter.element_size() + 256 + 2 * name) + 256
    return total

"""Model and criterion spread over the processes: DDP keeps a copy in each, FSDP2 a share of every parameter.

Both are torch's (Li et al. 2020; Zhao et al. 2023, whose second form is `fully_shard`). Both average gradients over the
processes; losses are divided by counts that are sums over all of them, so each loss is multiplied by their number.

Which parameters a micro-batch uses depends on what it predicts, and the processes' micro-batches differ. DDP and FSDP2
both hang or refuse when one process has a gradient that another lacks. Therefore each forward pass adds zero times
every parameter that its graph does not reach, and says which those are: a parameter that nobody used in a whole step
loses its gradient again, as in a run of one process. (DDP's own search for unused parameters would do for DDP alone.)
The blocks of a body are all used by every batch; under FSDP2, where they are whole only while they compute, they are
left out of this.

Does not: shard the model while it is built (it must fit into each machine's memory once for each process at the
start), mixed precision by FSDP2 (autocast does it), tensor or pipeline parallelism.
"""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.nn.parallel import DistributedDataParallel

from pretune.core.stream import Batch
from pretune.nn.block import Block
from pretune.train.distribute import ALONE, Processes
from pretune.train.shards import gathered, restore, whole
from pretune.train.step import Step

T = TypeVar("T")


class Covering(nn.Module):
    """A Step that reaches every parameter: forward(batch, counts) -> (loss, sums, used_K), 1 for each one used."""

    def __init__(self, step: Step, sharded_apart: tuple[type[nn.Module], ...] = ()) -> None:
        super().__init__()
        self.step = step
        self.owners = list(_owners(step, sharded_apart))

    def forward(self, batch: Batch, counts: Mapping[str, float]) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        loss, sums = self.step(batch, counts)
        reached = _reached(loss)
        used = []
        for module, name in self.owners:
            parameter = getattr(module, name)
            used.append(float(id(parameter) in reached))
            if not used[-1]:
                loss = loss + (parameter * 0.0).sum().to(loss.dtype)
        return loss, sums, torch.tensor(used, dtype=torch.float64)

    def call(self, work: Callable[[Any], T]) -> T:
        """`work(model)` with whole parameters."""
        return work(self.step.model)


class Parallel:
    """The Step of one process among its like.

    step: what hooks and optimizers see; under FSDP2 a copy of the caller's model, with DTensors for parameters.
    """

    def __init__(self, step: Step, processes: Processes = ALONE, distribution: str = "ddp") -> None:
        self.processes = processes
        self.step = step
        self.is_sharded = processes.world > 1 and distribution == "fsdp"
        self.caller = step.model
        self.covering: Covering | None = None
        self.wrapper: nn.Module = step
        if self.is_sharded:
            self._shard()
        elif processes.world > 1:
            self.covering = Covering(step)
            with warnings.catch_warnings():  # torch 2.13 has a new name for broadcast_buffers, which 2.11 does not know
                warnings.simplefilter("ignore", FutureWarning)
                self.wrapper = DistributedDataParallel(
                    self.covering, broadcast_buffers=False, gradient_as_bucket_view=True
                )

    def _shard(self) -> None:
        model = copy.deepcopy(self.step.model)
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.copy_(self.processes.broadcast(tensor))
        self.step = Step(model, self.step.criterion)
        self.covering = Covering(self.step, (Block,))
        mesh = self.processes.mesh()
        for module in self.step.modules():
            if isinstance(module, Block):
                fully_shard(module, mesh=mesh)
        fully_shard(self.covering, mesh=mesh)
        self.wrapper = self.covering
        register_fsdp_forward_method(self.covering, "call")

    @property
    def model(self) -> nn.Module:
        return self.step.model

    def num_rounds(self, num_own: int, num_most: int) -> int:
        """Micro-batches this process works off: under FSDP2 as many as whoever has the most."""
        return num_most if self.is_sharded else num_own

    @contextlib.contextmanager
    def adding_up(self, is_last: bool) -> Iterator[None]:
        """Around a micro-batch: DDP adds gradients up over the processes in the last one only."""
        if isinstance(self.wrapper, DistributedDataParallel) and not is_last:
            with self.wrapper.no_sync():
                yield
        else:
            yield

    def drop_unused(self, used_K: list[float]) -> None:
        """Takes the gradients of parameters that nobody used away."""
        assert self.covering is not None
        for (module, name), count in zip(self.covering.owners, used_K, strict=True):
            if not count:
                getattr(module, name).grad = None

    def call(self, work: Callable[[Any], T]) -> T:
        """`work(model)` where every parameter is whole. All processes must do the same in it."""
        if not self.is_sharded:
            return work(self.model)
        assert self.covering is not None
        try:
            return self.covering.call(work)
        finally:
            for module in self.covering.modules():
                if isinstance(module, FSDPModule):
                    module.reshard()

    def weights(self) -> dict[str, Tensor]:
        """Whole weights on the CPU, in process 0; empty elsewhere. Collective."""
        return gathered(self.model.state_dict(), keep=self.processes.is_first)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Whole weights, of which process 0's count. RuntimeError for those of another model. Collective."""
        restore(self.model.state_dict(), weights, self.processes.broadcast)

    def finish(self, device: torch.device) -> None:
        """Brings the weights into the caller's model. Collective."""
        if self.is_sharded:
            with torch.no_grad():
                pairs = zip(self.caller.state_dict().values(), self.model.state_dict().values(), strict=True)
                for own, trained in pairs:
                    own.copy_(whole(trained))
            self.caller.to(device)


def _owners(module: nn.Module, apart: tuple[type[nn.Module], ...]) -> Iterator[tuple[nn.Module, str]]:
    """(module, name) of every trainable parameter, tied ones once; not those in modules of the kinds `apart`."""
    inside = {id(inner) for outer in module.modules() if isinstance(outer, apart) for inner in outer.modules()}
    seen: set[int] = set()
    for each in module.modules():
        for name, parameter in each.named_parameters(recurse=False):
            if id(each) not in inside and parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield each, name


def _reached(loss: Tensor) -> set[int]:
    """ids of the leaf tensors in a loss's graph."""
    found: set[int] = set()
    seen = set()
    following = [loss.grad_fn]
    while following:
        node = following.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            found.add(id(variable))
        following.extend(inner for inner, _ in node.next_functions)
    return found

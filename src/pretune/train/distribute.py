"""The processes of a job: which of them this one is, and what they tell each other. None of it is pickled.

`torchrun` starts the processes and torch's own initialisation reads what it tells them (rank, world, addresses); this
code reads no environment. Texts and numbers travel as JSON in bytes or as rows of float64, over Gloo on the CPU;
tensors travel where they lie, over NCCL on CUDA. Every call here but `join` is collective: all processes make it, in
the same order, or all of them wait. When one dies torchrun ends the others; over Gloo they see it before (`is_lost`).

The NCCL paths were written from torch's documentation and have not been run on several GPUs.
"""

import json
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from pretune.core.errors import InputError, PretuneError, RunError

T = TypeVar("T")

PATIENCE = timedelta(days=1)
"""How long a process waits for another: one that writes a large checkpoint, or waits for room on the disk, is not dead,
and of a dead one torchrun knows."""
LOST = ("gloo", "nccl", "connection closed by peer", "connection reset by peer", "broken pipe", "socket")


@dataclass(frozen=True)
class Processes:
    """One process among `world`, numbered by `rank`; `local_rank` numbers those of its machine.

    device: where its tensors belong. num_machines: how many hosts the processes are on.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    device: str = "cpu"
    num_machines: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is process 0, which reads and writes the run's files."""
        return self.rank == 0

    def mesh(self) -> DeviceMesh:
        """All processes in one dimension, over which parameters are sharded."""
        return init_device_mesh(torch.device(self.device).type, (self.world,), mesh_dim_names=("shard",))

    def gather(self, row_K: NDArray[np.float64]) -> NDArray[np.float64]:
        """Everybody's row of numbers, [P, K] by rank; all rows are of one length."""
        if self.world == 1:
            return row_K[None]
        rows = [torch.empty(len(row_K), dtype=torch.float64) for _ in range(self.world)]
        dist.all_gather(rows, torch.from_numpy(np.ascontiguousarray(row_K, np.float64)))
        return torch.stack(rows).numpy()

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of everybody's tensor, in place; equal bit by bit everywhere."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather_json(self, value: Any) -> list[Any]:
        """Everybody's value, by rank: numbers, texts, lists and dicts of any size."""
        if self.world == 1:
            return [value]
        data = _bytes(value)
        sizes = self.gather(np.array([len(data)], np.float64))[:, 0].astype(int)
        padded = torch.zeros(int(sizes.max()), dtype=torch.uint8)
        padded[: len(data)] = data
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        dist.all_gather(parts, padded)
        return [_value(part[:size]) for part, size in zip(parts, sizes.tolist(), strict=True)]

    def broadcast_json(self, value: Any) -> Any:
        """Process 0's value; what others give does not matter."""
        if self.world == 1:
            return value
        data = _bytes(value) if self.is_first else torch.empty(0, dtype=torch.uint8)
        size = torch.tensor([len(data)])
        dist.broadcast(size, 0)
        if not self.is_first:
            data = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(data, 0)
        return _value(data)

    def broadcast(self, tensor: Tensor) -> Tensor:
        """Process 0's tensor, bit by bit. Others give one of the same shape and type; meta tensors are filled out."""
        if self.world == 1:
            return tensor
        tensor = torch.empty_like(tensor, device="cpu") if tensor.is_meta else tensor.detach().contiguous()
        if tensor.numel():
            dist.broadcast(tensor.view(-1).view(torch.uint8), 0)
        return tensor

    def on_first(self, work: Callable[[], T]) -> T:
        """What `work` gives in process 0 (as JSON goes), in all of them. Its PretuneError is raised in all of them."""
        if self.world == 1:
            return work()
        told: dict[str, Any] = {}
        if self.is_first:
            try:
                told = {"value": work()}
            except PretuneError as error:
                self.broadcast_json({"error": str(error), "status": error.exit_status})
                raise
        told = self.broadcast_json(told)
        if "error" in told:
            raise (InputError if told["status"] == 2 else RunError)(f"process 0 of this job: {told['error']}")
        return told["value"]  # type: ignore[no-any-return]


ALONE = Processes()
"""A run of one process."""


def join(device: str = "cpu") -> Processes:
    """This process among those that torchrun started; one alone where it did not. device: "cpu" or "cuda".

    A group that the caller has initialised is taken as it is. Raises InputError for more processes than GPUs.
    """
    kind = torch.device(device).type
    if not dist.is_initialized():
        if not dist.is_torchelastic_launched():
            return Processes(device=device)
        local_rank = dist.get_node_local_rank()
        if kind == "cuda":
            _take_gpu(local_rank)
        dist.init_process_group("cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    local_rank = dist.get_node_local_rank(fallback_rank=dist.get_rank())
    if kind == "cuda":
        _take_gpu(local_rank)
        device = f"cuda:{local_rank}"
    found = Processes(dist.get_rank(), dist.get_world_size(), local_rank, device)
    host = zlib.crc32(socket.gethostname().encode())
    hosts = found.gather(np.array([host], np.float64))
    return Processes(found.rank, found.world, local_rank, device, len(np.unique(hosts)))


def leave() -> None:
    """Gives up the group, at the end of all that is done together. Others need not have come that far."""
    if dist.is_initialized():
        dist.destroy_process_group()


def is_lost(error: BaseException) -> bool:
    """Whether an error is a broken connection to another process, as torch's backends report it."""
    if isinstance(error, PretuneError) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or any(word in str(error).lower() for word in LOST)


def _take_gpu(local_rank: int) -> None:
    if local_rank >= torch.cuda.device_count():
        raise InputError(
            f"there is no GPU for process {local_rank + 1} of this machine, which has {torch.cuda.device_count()}: "
            "lower --nproc-per-node"
        )
    torch.cuda.set_device(local_rank)


def _bytes(value: Any) -> Tensor:
    return torch.from_numpy(np.frombuffer(json.dumps(value).encode(), np.uint8).copy())


def _value(data: Tensor) -> Any:
    return json.loads(data.numpy().tobytes())

"""The processes that train one network together, under `torchrun`."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from maas.errors import DataError, show

DISTRIBUTE = ("ddp", "fsdp")


@dataclass(frozen=True)
class World:
    """The processes, of which this is one.

    Args:
        rank: of this process, from 0.
        size: how many there are.
        host: the group over which decisions are made on the host; None for a process alone.
    """

    rank: int = 0
    size: int = 1
    host: Any = None

    @classmethod
    def of(cls, device: torch.device) -> World:
        """Join the processes that `torchrun` started; a process started by hand is alone.

        Raises:
            DataError: torchrun's variables are there, and the others cannot be joined.
        """
        if not dist.is_available() or int(os.environ.get("WORLD_SIZE", "1")) < 2:
            return cls()
        if not dist.is_initialized():
            try:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            except (RuntimeError, ValueError) as error:
                raise DataError(
                    f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the other processes cannot be joined: {error}; "
                    f"start them with torchrun, or unset WORLD_SIZE"
                ) from error
            atexit.register(_leave)
        host = dist.new_group(backend="gloo") if dist.get_backend() != "gloo" else dist.group.WORLD
        return cls(dist.get_rank(), dist.get_world_size(), host)

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and shows what is going on."""
        return self.rank == 0

    def sum(self, *tensors: torch.Tensor) -> None:
        """Add up tensors over the processes, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def sum_on_host(self, numbers: np.ndarray[Any, Any]) -> None:
        """Add up an array over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(torch.from_numpy(numbers), group=self.host)

    def most(self, *numbers: float) -> tuple[float, ...]:
        """The greatest of each number over the processes, agreed on by the hosts."""
        if self.size == 1:
            return numbers
        found = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(found, dist.ReduceOp.MAX, group=self.host)
        return tuple(found.tolist())

    def share(self, index: torch.Tensor) -> tuple[torch.Tensor, bool]:
        """This process's part of a batch's rows, and whether they count.

        A process for whom no row is left goes along with one that does not count, for the others wait for it.
        """
        if self.size == 1:
            return index, True
        part = index[self.rank :: self.size]
        return (part, True) if len(part) else (index[:1], False)

    def gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The tensors of all processes, on the CPU and of one shape, by rank."""
        if self.size == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor, group=self.host)
        return found

    def copy_from_first(self, network: nn.Module) -> None:
        """Give all processes the weights and buffers of the first."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                dist.broadcast(tensor, 0)

    def wait(self) -> None:
        """Wait for the others."""
        if self.size > 1:
            dist.barrier(group=self.host)


def rank() -> int:
    """The number of this process among those that `torchrun` started; 0 where it is alone.

    In a script that runs under torchrun, let only rank 0 save what `maas.fit` gives.
    """
    return int(os.environ.get("RANK", "0"))


def shard(network: nn.Module, device: torch.device) -> None:
    """Split a network's parameters over the processes, layer by layer (FSDP2)."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for module in network.children():
        blocks = module if isinstance(module, (nn.ModuleList, nn.Sequential)) else [module]
        for block in blocks:
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def check_distribute(distribute: Any, world: World) -> None:
    """Raise DataError for a way to distribute that is none, or that a process alone cannot go."""
    if not isinstance(distribute, str) or distribute not in DISTRIBUTE:
        raise DataError(f"`distribute` must be one of {', '.join(DISTRIBUTE)}, got {show(distribute)}")
    if distribute == "fsdp" and world.size == 1:
        raise DataError('`distribute="fsdp"` shards over several processes; start this under torchrun')


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()

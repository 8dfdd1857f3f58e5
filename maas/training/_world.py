"""The processes that train one network together, under `torchrun`."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from maas.errors import DataError, show
from maas.training._settings import Settings

DISTRIBUTE = ("ddp", "fsdp")
_JOIN_SECONDS = 120


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
        if device.type == "cuda":
            torch.cuda.set_device(device)  # where NCCL and FSDP work
        if not dist.is_initialized():
            try:
                _join()
            except (RuntimeError, ValueError) as error:
                raise DataError(
                    f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the other processes cannot be joined: "
                    f"{str(error).splitlines()[0]}; start them with torchrun, or unset WORLD_SIZE"
                ) from error
            atexit.register(_leave)
        serves_host = "gloo" in dist.get_backend_config()
        host = dist.group.WORLD if serves_host else dist.new_group(backend="gloo")
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

    def copy_from_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give all processes the tensors of the first, in place."""
        if self.size > 1:
            for tensor in tensors:
                sent = tensor.detach().contiguous()
                dist.broadcast(sent, 0)
                tensor.detach().copy_(sent)

    def check_alike(self, values: Mapping[str, Any]) -> None:
        """Raise DataError in all processes where a value, as JSON, is not the same in all of them."""
        for name, value in values.items():
            digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
            number = int(digest[:12], 16)
            greatest, least = self.most(number, -number)
            if greatest != -least:
                raise DataError(
                    f"the processes that train together were given different values of {name!r}; give each all rows "
                    f"and the same arguments: every batch is shared out among them"
                )


def rank() -> int:
    """The number of this process among those that `torchrun` started; 0 where it is alone.

    In a script that runs under torchrun, let only rank 0 save what `maas.fit` gives.
    """
    return int(os.environ.get("RANK", "0"))


def shard(network: nn.Module, device: torch.device) -> None:
    """Split a network's parameters over the processes (FSDP2).

    Parts with parts of their own, and those in a sequence or a list, are gathered when their turn comes; the rest, such
    as a table of embeddings that `forward` reads directly, at the start of the forward pass.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous()  # FSDP takes no others, such as channels-last ones
    for module in network.children():
        parts = list(module.children())
        for block in parts if isinstance(module, (nn.ModuleList, nn.Sequential)) else [module] if parts else []:
            if any(True for _ in block.parameters()):
                fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def check_distribute(distribute: Any, world: World, settings: Settings) -> None:
    """Raise DataError for a way to distribute that is none, or that this process or these settings cannot go."""
    if not isinstance(distribute, str) or distribute not in DISTRIBUTE:
        raise DataError(f"`distribute` must be one of {', '.join(DISTRIBUTE)}, got {show(distribute)}")
    if distribute == "fsdp" and world.size == 1:
        raise DataError('`distribute="fsdp"` shards over several processes; start this under torchrun')
    if distribute == "fsdp" and settings.non_finite == "skip" and settings.optimizer.kind == "sgd":
        raise DataError(
            '`non_finite="skip"` with `distribute="fsdp"` is for the optimizers "adamw" and "adam", got "sgd"; choose '
            'one of these, or distribute="ddp"'
        )


def _join() -> None:
    """Meet the other processes; a short wait here leaves collectives the long one they need."""
    store, number, size = next(rendezvous("env://", timeout=timedelta(seconds=_JOIN_SECONDS)))
    store.set_timeout(dist.default_pg_timeout)
    if os.environ.get("GROUP_WORLD_SIZE") == "1":  # torchrun's store outlives a restart, and so do addresses in it
        store = PrefixStore(f"attempt_{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=store, rank=number, world_size=size)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()

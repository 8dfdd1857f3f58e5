"""How many requests fit into memory at once."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from maas.errors import DataError
from maas.nn import CausalTransformer

_SHARE = 0.9  # of what is free: the rest is for what a step computes with
_GROUPS = Path("/sys/fs/cgroup")
_LIMITS = (  # of control groups of version 2 and 1
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def slots_that_fit(network: CausalTransformer, context: int | None = None, *, memory_bytes: int | None = None) -> int:
    """How many requests' keys and values fit into free memory, where the network runs.

    Args:
        network: with its weights in place already.
        context: most tokens of a request, prompt and answer; by default the network's.
        memory_bytes: to be used; None: nine tenths of what is free.

    Raises:
        DataError: not even one fits.
    """
    size = slot_bytes(network, network.context if context is None else context)
    room = int(free_bytes(network.embedding.weight.device) * _SHARE) if memory_bytes is None else memory_bytes
    if room < size:
        raise DataError(
            f"a request of {network.context if context is None else context} tokens takes {size / 1e6:,.0f} MB of "
            f"memory and {room / 1e6:,.0f} MB are there; choose a smaller `context`, or bfloat16 weights"
        )
    return room // size


def slot_bytes(network: CausalTransformer, context: int) -> int:
    """Bytes of the keys and values of a request of so many tokens."""
    numbers = 2 * len(network.blocks) * network.kv_heads * network.head_dim * context
    return numbers * network.embedding.weight.element_size()


def free_bytes(device: torch.device) -> int:
    """Memory that may still be taken: of the GPU; else of the machine, or of the container where that has less."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = [_meminfo(), *(_group(_GROUPS / most, _GROUPS / now) for most, now in _LIMITS)]
    return min((one for one in found if one is not None), default=_physical())


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def _group(most: Path, now: Path) -> int | None:
    """What a container may still take; files that the kernel has read for it give way."""
    try:
        lines = (now.parent / "memory.stat").read_text().splitlines()
        files = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
        return max(0, int(most.read_text()) - int(now.read_text()) + files)
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return None


def _physical() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

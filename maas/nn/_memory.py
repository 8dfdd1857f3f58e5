"""How much memory this process may use: in a container the machine has more than that."""

from __future__ import annotations

import os
from pathlib import Path

import torch

_GROUPS = Path("/sys/fs/cgroup")
_LIMITS = (  # of control groups of version 2 and 1: the most, and what is taken of it
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def total_bytes() -> int:
    """Memory of the machine, or of the container where that has less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *(limit for most, _ in _LIMITS if (limit := _limit(_GROUPS / most)) is not None)])


def free_bytes(device: torch.device) -> int:
    """Memory that may still be taken: of the GPU; else of the machine, or of the container where that has less."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = [_left_on_the_machine(), *(_left_in_a_group(_GROUPS / most, _GROUPS / now) for most, now in _LIMITS)]
    return min((one for one in found if one is not None), default=total_bytes())


def _limit(most: Path) -> int | None:
    try:
        return int(most.read_text())
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return None


def _left_on_the_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def _left_in_a_group(most: Path, now: Path) -> int | None:
    """What a container may still take; files that the kernel has read for it give way."""
    limit = _limit(most)
    if limit is None:
        return None
    try:
        lines = (now.parent / "memory.stat").read_text().splitlines()
        files = next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
        return max(0, limit - int(now.read_text()) + files)
    except (OSError, ValueError):
        return None

"""How many CPU cores this process may use: in a container the machine has more than that."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def available_cores(cgroups: Path = _CGROUPS) -> int:
    """Cores that the process may run on, or fewer where its control group has a quota of CPU time.

    Args:
        cgroups: where the kernel shows control groups.
    """
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, math.ceil(_quota(cgroups) or cores)))


def _quota(cgroups: Path) -> float | None:
    """The cores' worth of time that a container may use; None without a limit."""
    with contextlib.suppress(OSError, ValueError):  # "max" is no number
        quota, period = (cgroups / "cpu.max").read_text().split()
        return int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError):  # version 1
        quota, period = ((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else None
    return None

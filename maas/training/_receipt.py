"""What a step would take with nothing around it: the same network, rows and optimizer in a bare loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

import torch
from torch import nn

from maas.task import Task
from maas.training._feed import Portion
from maas.training._generators import forked
from maas.training._settings import PRECISIONS, Settings

_SECONDS = 0.5


def bare_microseconds(
    network: nn.Module, task: Task, windows: Sequence[Sequence[Portion]], settings: Settings
) -> float:
    """Of a step of a plain torch loop with torch's fused optimizer, over half a second.

    The network and the generators of random numbers are left as they are.

    Args:
        network: as `fit` leaves it.
        windows: a few, their rows on the device already.
    """
    twin = copy.deepcopy(network).train()
    device = next(twin.parameters()).device
    parameters = [one for one in twin.parameters() if one.requires_grad]
    optimizer = settings.make_optimizer([{"params": parameters}], device)
    dtype = PRECISIONS[settings.precision]
    with forked(device):
        steps, start = 0, 0.0
        for warm_up in (True, False):
            steps, start = 0, time.perf_counter()
            while not steps or time.perf_counter() - start < _SECONDS * (0.2 if warm_up else 1):
                for window in windows:
                    optimizer.zero_grad(set_to_none=True)
                    for portion in window:
                        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                            loss = task.loss(twin, portion.batch).mean() / len(window)
                        loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
                    steps += 1
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
    return 1e6 * (time.perf_counter() - start) / steps

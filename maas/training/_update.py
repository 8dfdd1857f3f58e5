"""What an optimizer does in a step, without the object: torch's functional forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from maas.training._settings import Settings


@torch.no_grad()
def step(optimizer: torch.optim.Optimizer, settings: Settings, found_inf: torch.Tensor | None = None) -> None:
    """The step of a fused optimizer, without the hooks around its own: of a small network they take a sixth of a step.

    Args:
        found_inf: 1 where nothing is to change, else 0: a float32 scalar on the device.
    """
    for group in optimizer.param_groups:
        parameters = [one for one in group["params"] if one.grad is not None]
        gradients = [one.grad for one in parameters]
        states = [optimizer.state[one] for one in parameters]
        if parameters:
            update(parameters, gradients, states, settings, group["lr"], fused=True, found_inf=found_inf)


def update(
    weights: list[torch.Tensor],
    gradients: list[torch.Tensor],
    states: Sequence[Mapping[str, torch.Tensor]],
    settings: Settings,
    rate: float | torch.Tensor,
    *,
    fused: bool,
    found_inf: torch.Tensor | None = None,
) -> None:
    """Update weights in place.

    Args:
        states: what the optimizer holds of each: "exp_avg", "exp_avg_sq" and "step", or "momentum_buffer".
        rate: the learning rate.
        fused: by one kernel; else by operations that a compiler can fuse.
        found_inf: see `step`.
    """
    options = settings.optimizer
    common: dict[str, Any] = {"foreach": False, "fused": fused, "grad_scale": None, "found_inf": found_inf}
    common |= {"lr": rate, "weight_decay": settings.weight_decay, "maximize": False}
    if options.kind == "sgd":
        of_sgd: dict[str, Any] = {"momentum": options.momentum, "dampening": 0.0, "nesterov": options.nesterov}
        sgd(weights, gradients, [held.get("momentum_buffer") for held in states], **of_sgd, **common)
        return
    first, second = options.betas
    (adamw if options.kind == "adamw" else adam)(
        weights,
        gradients,
        [held["exp_avg"] for held in states],
        [held["exp_avg_sq"] for held in states],
        [],
        [held["step"] for held in states],
        capturable=weights[0].is_cuda,
        differentiable=False,
        has_complex=False,
        amsgrad=False,
        beta1=first,
        beta2=second,
        eps=options.eps,
        **common,
    )

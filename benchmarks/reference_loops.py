"""Two training loops in plain torch that `benchmarks/training.py` measures the others against. Frozen.

`hand_tuned` is the best loop one would write by hand without a compiler: what it is faster by is care, not machinery.
`plain` is the loop of tutorials. Neither is to follow what `maas.fit` becomes: a yardstick that moves measures nothing.
"""

import contextlib
import time
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from turns import Turn

VALIDATION_BATCH = 256  # rows a pass where nothing is learned


@dataclass(frozen=True)
class Plan:
    """What all contenders have in common: AdamW, cross entropy, and these numbers.

    Args:
        turn: called before each epoch, outside of its clock.
    """

    epochs: int
    batch_size: int
    device: str
    precision: str  # "float32" or "bfloat16"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0
    turn: Turn = field(default_factory=lambda: Turn(given=False))


@dataclass(frozen=True)
class Part:
    """Prepared rows on the CPU: the network's inputs by parameter name of `forward`, and the classes, int64 (rows,)."""

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def dataset(self) -> TensorDataset:
        return TensorDataset(*self.inputs.values(), self.labels)


@dataclass(frozen=True)
class Epoch:
    """Training and validation of one epoch."""

    seconds: float
    train_loss: float
    validation_loss: float


def now(device: str) -> float:
    """The clock in seconds, once the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def hand_tuned(network: nn.Module, train: Part, validation: Part, plan: Plan) -> list[Epoch]:
    """All rows on the device, batches by index, channels last, a fused optimizer, and one wait for the device an epoch.

    Images lie as (rows, height, width, channels), so that a batch picked from them is channels last without a copy.
    """
    device = torch.device(plan.device)
    network.to(device, memory_format=torch.channels_last)  # touches the weights of convolutions only
    tensors, labels = [_laid_out(one.to(device)) for one in train.inputs.values()], train.labels.to(device)
    held_out = [
        [*map(_as_input, inputs), classes]
        for *inputs, classes in zip(
            *(_laid_out(one.to(device)).split(VALIDATION_BATCH) for one in validation.inputs.values()),
            validation.labels.to(device).split(VALIDATION_BATCH),
            strict=True,
        )
    ]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    cast = torch.autocast(device.type, torch.bfloat16) if plan.precision == "bfloat16" else contextlib.nullcontext()
    history = []
    for _ in range(plan.epochs):
        plan.turn()
        start = now(plan.device)
        network.train()
        total = torch.zeros((), device=device)
        for index in torch.randperm(len(train), device=device).split(plan.batch_size):
            optimizer.zero_grad(set_to_none=True)
            with cast:
                scores = network(*(_as_input(one.index_select(0, index)) for one in tensors))
                loss = F.cross_entropy(scores, labels.index_select(0, index))
            loss.backward()
            optimizer.step()
            total.add_(loss.detach(), alpha=len(index))
        network.eval()
        held_out_total = torch.zeros((), device=device)
        with torch.inference_mode():
            for *inputs, classes in held_out:
                held_out_total += F.cross_entropy(network(*inputs), classes, reduction="sum")
        losses = total.item() / len(train), held_out_total.item() / len(validation)
        history.append(Epoch(now(plan.device) - start, *losses))
    return history


def plain(network: nn.Module, train: Part, validation: Part, plan: Plan) -> list[Epoch]:
    """A DataLoader over a TensorDataset, an ordinary optimizer, and a wait for the loss of every step."""
    device = torch.device(plan.device)
    network.to(device)
    batches = DataLoader(train.dataset(), batch_size=plan.batch_size, shuffle=True)
    held_out = DataLoader(validation.dataset(), batch_size=VALIDATION_BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    low = plan.precision == "bfloat16"
    history = []
    for _ in range(plan.epochs):
        plan.turn()
        start = now(plan.device)
        network.train()
        total = 0.0
        for batch in batches:
            *inputs, labels = (one.to(device) for one in batch)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                loss = F.cross_entropy(network(*inputs), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        network.eval()
        held_out_total = 0.0
        with torch.no_grad():
            for batch in held_out:
                *inputs, labels = (one.to(device) for one in batch)
                held_out_total += F.cross_entropy(network(*inputs), labels, reduction="sum").item()
        losses = total / len(train), held_out_total / len(validation)
        history.append(Epoch(now(plan.device) - start, *losses))
    return history


def _laid_out(tensor: torch.Tensor) -> torch.Tensor:
    """Images (rows, channels, height, width) to (rows, height, width, channels); anything else as it is."""
    return tensor.permute(0, 2, 3, 1).contiguous() if tensor.dim() == 4 else tensor


def _as_input(tensor: torch.Tensor) -> torch.Tensor:
    """The inverse of `_laid_out`, without a copy."""
    return tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor

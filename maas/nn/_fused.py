"""Convolutions that add and rectify in the pass that computes them: by kernels of oneDNN, or the same without."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

ACTIVATIONS: Mapping[str, tuple[str, Callable[[torch.Tensor], torch.Tensor]]] = {
    "none": ("none", lambda outputs: outputs),
    "relu": ("relu", torch.relu_),
    "hardswish": ("hardswish", functools.partial(F.hardswish, inplace=True)),
    "silu": ("swish", functools.partial(F.silu, inplace=True)),
}
"""By name: what the kernels call it, and the function."""
_FEW_NUMBERS = 20_480  # of a row in float32: up to here torch takes no oneDNN kernel for it either, and is faster


class Kernel:
    """A convolution with all that it needs at hand: looking it up takes longer than a small image.

    Args:
        tensors: the weight as the kernel wants it, the bias, and the places as the operator takes them.
        activation: as the kernels call it.
    """

    def __init__(self, tensors: tuple[Any, ...], activation: str) -> None:
        self._plain = torch.ops.mkldnn._convolution_pointwise.default
        self._adding = torch.ops.mkldnn._convolution_pointwise.binary
        self._last = (*tensors, activation, [], "")
        self._last_adding = (*tensors, "add", None, None if activation == "none" else activation, [], None)

    def run(self, x: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
        """The outputs; see `FusedConv2d.forward`."""
        x = x.contiguous(memory_format=torch.channels_last)
        if other is None:
            outputs: torch.Tensor = self._plain(x, *self._last)
            return outputs
        other = other.contiguous(memory_format=torch.channels_last)
        added: torch.Tensor = self._adding(x, other, *self._last_adding)
        return added


class FusedConv2d(nn.Conv2d):
    """A convolution over images with the activation after it, and what is added in between.

    On the CPU its weight is laid out once, before the first row, as the kernel wants it, and again after it was loaded
    or moved. With gradients, on other devices, and where there are no kernels, it is made of torch's own functions.

    Args:
        layer: whose tensors and sizes it takes over; zeros around the image, as many at opposite sides.
        padding: how many, down and across.
        activation: one of `ACTIVATIONS`.
    """

    def __init__(self, layer: nn.Conv2d, *, padding: tuple[int, ...], activation: str) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]
            stride=layer.stride,  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            dilation=layer.dilation,  # type: ignore[arg-type]
            groups=layer.groups,
            bias=False,
            device="meta",
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.activation = activation
        self._places = (list(padding), list(layer.stride), list(layer.dilation), layer.groups)
        self._ready: tuple[Kernel | None, Kernel | None] | None = None

    def forward(self, x: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, channels, height, width) -> activation(convolution + other).

        `other` is as large as what it gives, and goes with "none" and "relu".
        """
        ready = self._ready
        if ready is None:
            ready = self._ready = self._made_ready(x)
        kernel = ready[len(x) > 1]
        if kernel is None or torch.is_grad_enabled():
            return self.by_functions(x, other)
        return kernel.run(x, other)

    def by_functions(self, x: torch.Tensor, other: torch.Tensor | None) -> torch.Tensor:
        """The outputs, by torch's own functions."""
        outputs = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        if other is not None:
            outputs = outputs.add_(other)
        return ACTIVATIONS[self.activation][1](outputs)

    def kernel(self, shape: Sequence[int]) -> Kernel:
        """oneDNN's kernel, for inputs of this shape or another number of rows; raises where there is none."""
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight.detach().contiguous(), *self._places, [1, *shape[1:]]
        )
        bias = None if self.bias is None else self.bias.detach()
        return Kernel((weight, bias, *self._places), ACTIVATIONS[self.activation][0])

    def _made_ready(self, x: torch.Tensor) -> tuple[Kernel | None, Kernel | None]:
        """The kernel for one row, and for several; None where torch's own functions do better, or there is none."""
        if x.device.type != "cpu" or not has_kernels(x.dtype):
            return None, None
        kernel = self.kernel(x.shape)
        few = x.dtype == torch.float32 and self.groups == 1 and x[0].numel() <= _FEW_NUMBERS
        return None if few else kernel, kernel

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> FusedConv2d:
        self._ready = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._ready = None
        super()._load_from_state_dict(*arguments)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}  # a packed weight cannot be copied


class FusedResidual(nn.Module):
    """Convolutions beside a short cut, the last of which adds it and rectifies.

    Args:
        convolutions: by name, in order.
        downsample: what the short cut goes through; None: nothing.
    """

    def __init__(self, convolutions: Mapping[str, FusedConv2d], downsample: nn.Module | None) -> None:
        super().__init__()
        self._names = list(convolutions)
        for name, one in convolutions.items():
            self.add_module(name, one)
        self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> as the block that it stands for."""
        outputs = x
        *before, last = (self.get_submodule(name) for name in self._names)
        for one in before:
            outputs = one(outputs)
        added: torch.Tensor = last(outputs, x if self.downsample is None else self.downsample(x))
        return added


@functools.cache
def has_kernels(dtype: torch.dtype) -> bool:
    """Whether this torch has kernels for a dtype on this processor that compute what they should; found by trying."""
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(16, 16, 3, padding=1).to(dtype)
    with torch.no_grad():
        for tensor in layer.parameters():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.5)
        x, other = ((torch.rand((2, 16, 8, 8), generator=generator) - 0.5).to(dtype) for _ in range(2))
        for activation in ACTIVATIONS:
            fused = FusedConv2d(layer, padding=(1, 1), activation=activation)
            for added in (None, other) if activation in ("none", "relu") else (None,):
                try:
                    found = fused.kernel(x.shape).run(x, added)
                except (AttributeError, RuntimeError, TypeError):  # not there, or not of this form
                    return False
                near = 0.05 if dtype == torch.bfloat16 else 1e-5
                if not torch.allclose(found.float(), fused.by_functions(x, added).float(), rtol=near, atol=near):
                    return False
    return True

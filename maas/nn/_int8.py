"""Layers that compute in 8-bit integers: by the processor's own kernels, or the same numbers without."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from maas.nn._codes import Codes


@dataclass(frozen=True)
class Ready:
    """What a layer makes of its tensors once, before its first row.

    Args:
        weight: as the kernel wants it, or without a kernel the codes in float32.
        zero_points: of the weights, all 0.
        read: the input's codes.
        give: the output's; None: it is float32.
        kernel: whether there is one.
    """

    weight: torch.Tensor
    zero_points: torch.Tensor
    read: Codes
    give: Codes | None
    kernel: bool


class Int8Layer(nn.Module):
    """A layer that reads float32 or codes, multiplies integers, and gives float32 or codes; abstract.

    Args:
        shape: of the weight; the first number is that of the outputs.
        bias: whether it has one.
        relu: whether negative outputs become 0.
        uint8: whether it gives codes, which the next layer reads.
    """

    def __init__(self, shape: tuple[int, ...], *, bias: bool, relu: bool, uint8: bool) -> None:
        super().__init__()
        self.relu, self.uint8 = relu, uint8
        self.weight = nn.Parameter(torch.zeros(shape, dtype=torch.int8), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(shape[0]), requires_grad=False) if bias else None
        self.weight_scale: torch.Tensor
        self.register_buffer("weight_scale", torch.ones(shape[0]))
        for name in ("input", "output") if uint8 else ("input",):
            self.register_buffer(f"{name}_scale", torch.ones(()))
            self.register_buffer(f"{name}_zero_point", torch.zeros((), dtype=torch.int32))
        self._ready: Ready | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As the float layer's, but that codes, uint8, may come in or go out."""
        ready = self._ready
        if ready is None:
            kernel = self.weight.device.type == "cpu" and has_kernels()
            ready = self._ready = self.made_ready(x.shape, kernel=kernel)
        return self.run(x if x.dtype == torch.uint8 else ready.read.of(x), ready)

    def made_ready(self, shape: Sequence[int], *, kernel: bool) -> Ready:
        """What `run` wants, once for all rows; fastest for one row of inputs of this shape."""
        read = self._codes("input")
        weight = self._packed(read, [1, *shape[1:]]) if kernel else self.weight.float()
        zero_points = torch.zeros(len(self.weight), dtype=torch.int32)
        return Ready(weight, zero_points, read, self._codes("output") if self.uint8 else None, kernel)

    def _codes(self, end: str) -> Codes:
        scale, zero_point = self.get_buffer(f"{end}_scale"), self.get_buffer(f"{end}_zero_point")
        return Codes(float(scale), int(zero_point), scale.device)

    def run(self, codes: torch.Tensor, ready: Ready) -> torch.Tensor:
        """The outputs for codes of the input."""
        if ready.kernel:
            return self._by_kernel(codes, ready)
        # The zero point goes before the sums: zeros beyond an image's rim are zeros.
        outputs = self._sums(codes.float() - ready.read.zero_point, ready.weight)
        outputs *= self._by_channel(self.weight_scale * ready.read.scale)
        if self.bias is not None:
            outputs += self._by_channel(self.bias)
        outputs = outputs.relu_() if self.relu else outputs
        return outputs if ready.give is None else ready.give.of(outputs)

    def _packed(self, read: Codes, shape: list[int]) -> torch.Tensor:
        raise NotImplementedError

    def _by_kernel(self, codes: torch.Tensor, ready: Ready) -> torch.Tensor:
        raise NotImplementedError

    def _sums(self, codes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _by_channel(self, one: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def _operands(self, codes: torch.Tensor, ready: Ready) -> tuple[Any, ...]:
        """What a kernel is told of its input, weight and bias."""
        read = ready.read
        return codes, read.scale, read.zero_point, ready.weight, self.weight_scale, ready.zero_points, self.bias

    def _ends(self, ready: Ready) -> tuple[float, int, torch.dtype]:
        """What a kernel is told of its output: scale, zero point, dtype."""
        if ready.give is None:
            return 1.0, 0, torch.float32
        return ready.give.scale, ready.give.zero_point, torch.uint8

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Int8Layer:
        def moved(one: torch.Tensor) -> torch.Tensor:  # to another device, but not to a dtype that rounds the scales
            found = fn(one)
            return found if found.dtype == one.dtype else one.to(found.device)

        self._ready = None
        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self._ready = None
        super()._load_from_state_dict(*arguments)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ready": None}  # a packed weight cannot be copied


class Int8Linear(Int8Layer):
    """y = x W^T + b in integers; see `Int8Layer`."""

    def __init__(self, in_features: int, out_features: int, *, bias: bool, relu: bool, uint8: bool) -> None:
        super().__init__((out_features, in_features), bias=bias, relu=relu, uint8=uint8)

    def _packed(self, read: Codes, shape: list[int]) -> torch.Tensor:
        packed: torch.Tensor = torch.ops.onednn.qlinear_prepack(self.weight, None)
        return packed

    def _by_kernel(self, codes: torch.Tensor, ready: Ready) -> torch.Tensor:
        rows = codes.reshape(-1, codes.shape[-1])
        outputs: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            *self._operands(rows, ready),
            *self._ends(ready),
            *("relu" if self.relu else "none", [], ""),
        )
        return outputs.reshape(*codes.shape[:-1], len(self.weight))

    def _sums(self, codes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.linear(codes, weight)

    def _by_channel(self, one: torch.Tensor) -> torch.Tensor:
        return one


class Int8Conv2d(Int8Layer):
    """A convolution over images in integers; see `Int8Layer`. Sizes are those of `nn.Conv2d`."""

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int,
        bias: bool,
        relu: bool,
        uint8: bool,
    ) -> None:
        super().__init__(shape, bias=bias, relu=relu, uint8=uint8)
        self.places = (list(stride), list(padding), list(dilation), groups)

    def _packed(self, read: Codes, shape: list[int]) -> torch.Tensor:
        weight = self.weight.contiguous()
        packed: torch.Tensor = torch.ops.onednn.qconv_prepack(
            weight, self.weight_scale, read.scale, read.zero_point, *self.places, shape
        )
        return packed

    def _by_kernel(self, codes: torch.Tensor, ready: Ready) -> torch.Tensor:
        codes = codes.contiguous(memory_format=torch.channels_last)
        outputs: torch.Tensor = torch.ops.onednn.qconv2d_pointwise(
            *self._operands(codes, ready),
            *self.places,
            *self._ends(ready),
            *("relu" if self.relu else "none", [], ""),
        )
        return outputs

    def _sums(self, codes: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        stride, padding, dilation, groups = self.places
        return F.conv2d(codes, weight, None, stride, padding, dilation, groups)

    def _by_channel(self, one: torch.Tensor) -> torch.Tensor:
        return one[:, None, None]


class Int8Embedding(nn.Module):
    """A table of int8 with a scale a row: a quarter of the memory, and the numbers that the float table would give."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((num_embeddings, embedding_dim), dtype=torch.int8), requires_grad=False)
        self.weight_scale: torch.Tensor
        self.register_buffer("weight_scale", torch.ones(num_embeddings))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Integers of any shape -> (*shape, embedding_dim)."""
        scales = self.weight_scale[tokens].unsqueeze(-1)
        return F.embedding(tokens, self.weight).to(scales.dtype).mul_(scales)


@functools.cache
def has_kernels() -> bool:
    """Whether this torch has kernels for int8 on this processor that compute what they should.

    Found by trying: processors without VNNI have been known to hold sums of two products at 16 bits, which is wrong.
    """
    sizes: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    trials: list[tuple[Int8Layer, tuple[int, ...]]] = [
        (Int8Linear(64, 32, bias=True, relu=True, uint8=False), (4, 64)),
        (Int8Conv2d((32, 32, 3, 3), **sizes, bias=True, relu=False, uint8=False), (2, 32, 8, 8)),
    ]
    for layer, shape in trials:
        layer.weight.fill_(127)
        codes = torch.full(shape, 255, dtype=torch.uint8)
        try:
            found = layer.run(codes, layer.made_ready(shape, kernel=True))
        except (AttributeError, RuntimeError, TypeError):  # not there, or not of this form
            return False
        if not torch.allclose(found, layer.run(codes, layer.made_ready(shape, kernel=False))):
            return False
    return True

"""torchvision's networks for images, by name, with a head of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_choice, check_dropout, check_positive
from maas.nn._cnn import image_sizes
from maas.nn._register import network
from maas.schema import TensorSpec

_NAMES = (
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"),
    *("mobilenet_v3_small", "mobilenet_v3_large"),
    *(f"efficientnet_b{size}" for size in range(8)),
    *("efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l"),
    *("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"),
)
_CHANNELS = 3
_MOST_SIDE = 4096
_POSITIONS = "body.encoder.pos_embedding"


@network("backbone")
class Backbone(nn.Module):
    """A network of torchvision as `body`, its last layer replaced by a linear `head` of one's own.

    It is built without weights. `maas.fit(..., start=...)` puts some in, and `freeze="body"` keeps them: transfer
    learning. Parameters are named as torchvision names them, behind "body."; the last layer's are left out, and the
    new one's are "head.weight" and "head.bias".

    Without starting weights, a MobileNetV3 needs some hundreds of steps before it evaluates well: torchvision lets its
    running batch statistics move by a hundredth a step.

    Args:
        name: of torchvision: a ResNet, ResNeXt, Wide ResNet, MobileNetV3, EfficientNet or vision transformer (ViT),
            such as "resnet50".
        out_features: outputs a row; raw scores, no softmax.
        channels: of an image: 3, as the published weights have.
        height, width: of an image, in pixels. A vision transformer wants a square of whole patches: 224 x 224 for one
            of 16 x 16, 32 x 32 or 14 x 14 pixels.
        dropout: share of values dropped in training before the head, from 0 to below 1, in place of torchvision's.

    Raises:
        RecipeError: the name is not known, an argument is out of its range, or the image does not suit the network.

    Source: He et al. 2016, arXiv:1512.03385; Xie et al. 2017, arXiv:1611.05431; Zagoruyko and Komodakis 2016,
    arXiv:1605.07146; Howard et al. 2019, arXiv:1905.02244; Tan and Le 2019 and 2021, arXiv:1905.11946 and 2104.00298;
    Dosovitskiy et al. 2021, arXiv:2010.11929.

    >>> sum(p.numel() for p in Backbone("mobilenet_v3_small", 10).parameters())
    1528106
    """

    names: ClassVar[tuple[str, ...]] = _NAMES

    def __init__(
        self,
        name: str,
        out_features: int,
        *,
        channels: int = _CHANNELS,
        height: int = 224,
        width: int = 224,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_choice("name", name, _NAMES)
        check_positive(out_features=out_features)
        if type(channels) is not int or channels != _CHANNELS:
            raise RecipeError(
                f"`channels` must be {_CHANNELS} (red, green, blue), got {show(channels)}; grey images become three "
                f"equal channels with preprocess=maas.preprocess.Image.with_options(channels={_CHANNELS})"
            )
        for argument, side in (("height", height), ("width", width)):
            if type(side) is not int or not 1 <= side <= _MOST_SIDE:
                raise RecipeError(f"`{argument}` must be an integer from 1 to {_MOST_SIDE}, got {show(side)}")
        check_dropout(dropout)
        self.body, self._last, features = _headless(name, height, width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: one input `image`."""
        channels, height, width = image_sizes(inputs, "a Backbone")
        return {"channels": channels, "height": height, "width": width, "out_features": num_outputs}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, 3, height, width) -> (batch, out_features)."""
        outputs: torch.Tensor = self.head(self.dropout(self.body(image)))
        return outputs

    def adopt(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Weights under the names they have here: those of torchvision's own network, and those of a Backbone.

        torchvision's last layer is left out: it knows other classes. The position embedding of a vision transformer is
        interpolated where it was learned on images of another size.

        Args:
            tensors: a state dict.

        Raises:
            RecipeError: the position embedding is not one of a square image.
        """
        if not any(name.startswith("body.") for name in tensors):
            last = (f"{self._last}.weight", f"{self._last}.bias")
            tensors = {f"body.{_renamed(name)}": tensor for name, tensor in tensors.items() if name not in last}
        adopted = dict(tensors)
        wanted = dict(self.named_parameters()).get(_POSITIONS)
        if _POSITIONS in adopted and wanted is not None:
            adopted[_POSITIONS] = _interpolated(adopted[_POSITIONS], wanted)
        return adopted


def _headless(name: str, height: int, width: int) -> tuple[nn.Module, str, int]:
    """torchvision's network without weights and last layer, that layer's name, and the features it is given."""
    # Imported here: it takes a second, and a worker that serves tables has no use for it.
    from torchvision.models import get_model

    if name.startswith("vit_"):
        patch = int(name.rpartition("_")[2])
        if height != width or height % patch:
            raise RecipeError(
                f"{name} takes square images whose sides are multiples of {patch} pixels, got {height} x {width}; give "
                f"preprocess=maas.preprocess.Image.published({name!r}), or Image.with_options(size=224, channels=3)"
            )
        body = get_model(name, weights=None, image_size=height)
        (name, last), body.heads = ("heads.head", body.heads.head), nn.Identity()
    elif name.startswith(("mobilenet_", "efficientnet_")):
        body = get_model(name, weights=None)
        *before, last = body.classifier
        name = f"classifier.{len(before)}"
        # Its dropout goes too; a layer before it, as MobileNetV3 has, is learned and stays.
        body.classifier = nn.Sequential(*[part for part in before if not isinstance(part, nn.Dropout)])
    else:
        body = get_model(name, weights=None)
        (name, last), body.fc = ("fc", body.fc), nn.Identity()
    return body, name, last.in_features


def _renamed(name: str) -> str:
    """Weights of vision transformers were published under the names of an older torchvision."""
    return name.replace(".mlp.linear_1.", ".mlp.0.").replace(".mlp.linear_2.", ".mlp.3.")


def _interpolated(positions: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """A position embedding, (1, 1 + old side**2, features), for another side; the first is the class token's."""
    if positions.shape == wanted.shape or positions.dim() != 3 or positions.shape[2] != wanted.shape[2]:
        return positions  # whoever loads it tells a wrong shape
    length, features = positions.shape[1:]
    old, new = math.isqrt(max(0, length - 1)), math.isqrt(wanted.shape[1] - 1)
    if positions.shape[0] != 1 or not 1 <= old <= _MOST_SIDE // 14 or old**2 != length - 1:
        raise RecipeError(
            f"{_POSITIONS!r} must have 1 + side**2 positions, those of a square image, got {tuple(positions.shape)}"
        )
    grid = positions[:, 1:].permute(0, 2, 1).reshape(1, features, old, old)
    resized = nn.functional.interpolate(grid.float(), (new, new), mode="bicubic", align_corners=True)
    return torch.cat([positions[:, :1], resized.flatten(2).permute(0, 2, 1).to(positions.dtype)], dim=1)

"""What published weights of torchvision were trained to be given."""

from __future__ import annotations

from dataclasses import dataclass

from maas.errors import DataError, show

INTERPOLATIONS = ("bilinear", "bicubic")


@dataclass(frozen=True)
class Published:
    """How images are made ready for published weights.

    Args:
        resize: pixels that the shorter side is brought to.
        size: side of the square then cut out around the centre, in pixels.
        interpolation: "bilinear" or "bicubic".
        mean, scale: of red, green and blue, pixels being from 0 to 1.
    """

    resize: int
    size: int
    interpolation: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]


def transform_of(name: str, weights: str) -> Published:
    """What torchvision says of weights that it publishes.

    Args:
        name: of the network, such as "resnet18".
        weights: which of its weights, such as "IMAGENET1K_V1", or "DEFAULT".

    Raises:
        DataError: there is no such network for images, or it has no such weights.
    """
    # Imported here: it takes a second, and a worker that serves tables has no use for it.
    from torchvision import models

    known = models.list_models(module=models)
    if not isinstance(name, str) or name not in known:
        raise DataError(f"`name` must be a network for images of torchvision, such as 'resnet18', got {show(name)}")
    entries = models.get_model_weights(name)
    names = [entry.name for entry in entries]
    if not isinstance(weights, str) or weights not in ("DEFAULT", *names):
        raise DataError(f"`weights` of {name} must be one of DEFAULT, {', '.join(names)}, got {show(weights)}")
    found = entries[weights].transforms()
    (resize,), (size,) = found.resize_size, found.crop_size
    return Published(resize, size, found.interpolation.value, tuple(found.mean), tuple(found.std))

"""Weights that torchvision publishes: fetched once, and held against the digest in their name each time."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from maas.errors import DataError, show
from maas.nn import Backbone, Recipe
from maas.storage import sha256

_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.")


@dataclass(frozen=True)
class PublishedWeights:
    """Weights of a backbone that torchvision publishes.

    Args:
        name: of the backbone, such as "resnet50".
        weights: such as "IMAGENET1K_V2", or "DEFAULT".
    """

    name: str
    weights: str

    @classmethod
    def of(cls, recipe: Recipe, weights: str) -> PublishedWeights:
        """The weights of this name for the network of a recipe.

        Raises:
            DataError: the network is no backbone, or it has no such weights.
        """
        from torchvision.models import get_model_weights

        name = recipe.arguments.get("name")
        if recipe.kind != "backbone" or name not in Backbone.names:
            raise DataError(
                f"`start` {show(weights)} names weights of torchvision, which go with "
                f"maas.recipe(maas.nn.Backbone, name=...); got a recipe of {recipe.kind!r}; or is a file missing?"
            )
        known = get_model_weights(name)
        if weights not in ("DEFAULT", *(entry.name for entry in known)):
            names = ", ".join(entry.name for entry in known)
            raise DataError(f"`start` must be one of {name}'s weights, DEFAULT, {names}, got {show(weights)}")
        return cls(name, known[weights].name)

    @property
    def url(self) -> str:
        from torchvision.models import get_model_weights

        url: str = get_model_weights(self.name)[self.weights].url
        return url

    def fetch(self) -> Path:
        """The file in torch's cache, downloaded if it is not there.

        Raises:
            DataError: it cannot be downloaded.
        """
        path = Path(torch.hub.get_dir(), "checkpoints", self.url.rpartition("/")[2])
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(self.url, str(path), self._digest, progress=sys.stderr.isatty())
            except (OSError, RuntimeError) as error:
                raise DataError(
                    f"`start` {self.weights} of {self.name} cannot be downloaded from {self.url}: {error}; fetch it "
                    f"on a machine with a network, and give the file's path as `start` or put it into {path.parent}"
                ) from error
        return path

    def check(self, path: Path, content: bytes) -> None:
        """Raise DataError for bytes that are not those published: a cache is a folder that anyone may have filled."""
        found = sha256(content)
        if not found.startswith(self._digest):
            raise DataError(
                f"`start` {path} is not what torchvision publishes: its SHA-256 begins with {found[:8]}, not "
                f"{self._digest}; remove the file, or give its path as `start` if you trust it"
            )

    @property
    def _digest(self) -> str:
        match = _DIGEST.search(self.url)
        assert match is not None
        return match[1]

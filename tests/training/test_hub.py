"""Published weights: by their name, from torch's cache or a server, and held against their digest. No network."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

import maas
from maas.errors import DataError
from maas.nn import Backbone
from maas.training._hub import PublishedWeights

RECIPE = maas.recipe(Backbone, name="mobilenet_v3_small")
WEIGHTS = "IMAGENET1K_V1"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("there is no network in this test")

    monkeypatch.setattr(socket.socket, "connect", offline)
    monkeypatch.setattr(socket, "getaddrinfo", offline)


@pytest.fixture(scope="module")
def theirs() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = models.mobilenet_v3_small(weights=None).state_dict()
    return state


def _publish(folder: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in for torchvision's server: a file whose name has the digest of its bytes, and an address by file://."""
    folder.mkdir(parents=True)
    torch.save(state, folder / "new.pth")
    content = (folder / "new.pth").read_bytes()
    path = (folder / "new.pth").rename(folder / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth")
    monkeypatch.setattr(PublishedWeights, "url", path.as_uri())
    return path


def _fit(start: str, **settings: Any) -> maas.Model:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rows = maas.data.read_images(((bunch.images[:6] * 15).astype("uint8"), bunch.target[:6] % 2))
    wanted = {"epochs": 1, "validation": 0, "keep": "last", "device": "cpu", "progress": False, **settings}
    return maas.fit(RECIPE, rows, start=start, freeze="body", **wanted)


def test_published_weights_come_with_their_preprocessing(
    theirs: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _publish(tmp_path / "server", theirs, monkeypatch)
    model = _fit(WEIGHTS)
    for name, tensor in theirs.items():
        if not name.startswith("classifier.3"):
            assert torch.equal(model.network.state_dict()[f"body.{name}"], tensor), name
    assert model.preprocess.state()[0] == {
        "height": 224, "width": 224, "resize": 256, "interpolation": "bilinear",
    }  # fmt: skip
    start = model.card["lineage"]["start"]
    assert (start["kind"], start["name"]) == ("published", "mobilenet_v3_small IMAGENET1K_V1")
    assert start["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    small = maas.preprocess.Image.published("mobilenet_v3_small", size=16)
    assert _fit("DEFAULT", preprocess=small).card["lineage"]["start"] == start  # from the cache


def test_a_cache_that_holds_something_else_is_refused(theirs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs, folder / "mobilenet_v3_small-047dcff4.pth")
    with pytest.raises(
        DataError, match=r"mobilenet_v3_small-047dcff4.pth is not what torchvision publishes: its SHA-256 begins with"
    ):
        _fit(WEIGHTS)


def test_a_download_of_something_else_is_refused(
    theirs: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _publish(tmp_path / "server", theirs, monkeypatch)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match=r"cannot be downloaded from file://.*: invalid hash value"):
        _fit(WEIGHTS)
    assert not list((tmp_path / "cache" / "hub" / "checkpoints").iterdir())


def test_without_a_network_the_file_and_the_folder_are_told() -> None:
    with pytest.raises(
        DataError,
        match=r"IMAGENET1K_V1 of mobilenet_v3_small cannot be downloaded from https://download.pytorch.org/models/"
        r"mobilenet_v3_small-047dcff4.pth: .*no network.*give the file's path as `start` or put it into .*checkpoints",
    ):
        _fit(WEIGHTS)


def test_weights_that_are_not_published() -> None:
    with pytest.raises(
        DataError, match="one of mobilenet_v3_small's weights, DEFAULT, IMAGENET1K_V1, got 'IMAGENET1K_V9'"
    ):
        _fit("IMAGENET1K_V9")


@pytest.mark.parametrize("name", Backbone.names)
def test_every_published_file_has_its_digest_in_its_name(name: str) -> None:
    for entry in models.get_model_weights(name):
        assert len(PublishedWeights(name, entry.name)._digest) == 8

"""What `benchmarks/serving.py` serves: models trained for seconds on made-up rows, and the bodies that clients send."""

import io
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from workloads import TABLE_WIDTH, table

import maas

JSON = "application/json"
NPY = "application/x-npy"
JPEG = "image/jpeg"
IMAGE_WIDTH, IMAGE_HEIGHT = 500, 375
IMAGE_CLASSES = 10
WORDS, TOPICS = 5_000, 4
ROWS_A_REQUEST = 1_000


@dataclass(frozen=True)
class Model:
    """A model, and what its peers need to serve the same network.

    Args:
        name: of the model.
        folder: the artifact in `artifact/`; `network.json`, `weights.safetensors`, `prepare.json` for peers.
    """

    name: str
    folder: Path

    @property
    def artifact(self) -> Path:
        return self.folder / "artifact"

    @property
    def vouched(self) -> Path:
        """The same model, whose card vouches for bfloat16 after a look at pictures that it has not seen."""
        return self.folder / "vouched"

    @property
    def int8(self) -> Path:
        """The same model with int8 kernels, compressed within half a point on pictures that it has not seen."""
        return self.folder / "int8"

    @property
    def fused(self) -> Path:
        """The same model with fused convolutions."""
        return self.folder / "fused"

    @property
    def fused_vouched(self) -> Path:
        """The fused one, whose card vouches for bfloat16."""
        return self.folder / "fused-vouched"


@dataclass(frozen=True)
class Load:
    """What clients send.

    Args:
        name: of the load, as the table has it.
        model: which of MODELS answers.
        media: of the bodies, by who gets them: "maas" and "peers".
        bodies: from a generator to bodies for maas and the same rows for its peers.
        rows: in a body.
        clients: how many connections at once, one after the other in the table.
        batch_size, delay_ms: how every server that batches is told to.
    """

    name: str
    model: str
    media: str
    bodies: Callable[[np.random.Generator], list[tuple[bytes, bytes]]]
    rows: int
    clients: tuple[int, ...]
    batch_size: int
    delay_ms: int = 1


def make(name: str, root: Path) -> Model:
    """The model of that name; trained on first use."""
    found = Model(name, root / name)
    if not (found.folder / "prepare.json").exists():
        shutil.rmtree(found.folder, ignore_errors=True)
        found.folder.mkdir(parents=True)
        model, learned = MODELS[name]()
        model.save(found.artifact)
        (found.folder / "network.json").write_text(json.dumps(model.recipe.to_json()))
        weights = {key: value.contiguous() for key, value in model.network.state_dict().items()}
        save_file(weights, found.folder / "weights.safetensors")
        inner = {f"inner.{key}": value for key, value in weights.items()}
        torch.save(inner, found.folder / "inner.pth")  # what TorchServe's own handler of images reads
        if learned["kind"] == "image":
            vouch(model)
            model.save(found.vouched)
        (found.folder / "prepare.json").write_text(json.dumps(learned))
    if name == "image" and not found.int8.exists():
        with tempfile.TemporaryDirectory() as folder:
            model = maas.load(found.artifact)
            maas.compress.quantize(model, pictures(Path(folder), 500, seed=1)).save(found.int8)
    if name == "image" and not found.fused_vouched.exists():
        with tempfile.TemporaryDirectory() as folder:
            model, unseen = maas.load(found.artifact), pictures(Path(folder), 500, seed=1)
            maas.compress.fuse(model, unseen).save(found.fused)
            maas.compress.fuse(model, unseen, precision="bfloat16").save(found.fused_vouched)
    return found


def rows_model() -> tuple[maas.Model, dict[str, Any]]:
    """An MLP 100-64-64-10."""
    inputs, classes = table(10_000, np.random.default_rng(0))
    rows = maas.data.from_arrays(inputs, classes, task="classification")
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(64, 64)), rows, epochs=3, device="cpu", progress=False)
    _, arrays = model.preprocess.state()
    return model, {"kind": "rows", "mean": arrays["mean"].tolist(), "scale": arrays["scale"].tolist()}


def image_model() -> tuple[maas.Model, dict[str, Any]]:
    """ResNet-18 on squares of 224 pixels: decoded, resized and cut as torchvision's published weights want it."""
    with tempfile.TemporaryDirectory() as folder:
        model = maas.fit(
            maas.recipe(maas.nn.Backbone, name="resnet18"),
            pictures(Path(folder), 640, seed=0),
            preprocess=maas.preprocess.Image.published("resnet18"),
            epochs=3,
            batch_size=32,
            device="cpu",
        )
    return model, {"kind": "image"}


def text_model() -> tuple[maas.Model, dict[str, Any]]:
    """An embedding and an LSTM."""
    rng = np.random.default_rng(0)
    topics = rng.integers(TOPICS, size=4_000)
    texts = [words(int(topic), rng) for topic in topics]
    rows = maas.data.read_texts((texts, topics.tolist()), task="classification")
    model = maas.fit(maas.recipe(maas.nn.TextRNN), rows, epochs=2, device="cpu", progress=False)
    tokens = model.preprocess.state()[0]["tokens"]
    return model, {"kind": "text", "tokens": {token: place for place, token in enumerate(tokens)}}


def pictures(folder: Path, count: int, seed: int) -> maas.data.Rows:
    """Pictures in a folder for each class."""
    rng = np.random.default_rng(seed)
    for number, label in enumerate(rng.integers(IMAGE_CLASSES, size=count)):
        file = folder / str(label) / f"{number}.jpg"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(picture(int(label), rng))
    return maas.data.read_images(folder)


def vouch(model: maas.Model) -> None:
    """Let the card say whether 500 pictures keep their classes in bfloat16."""
    with tempfile.TemporaryDirectory() as folder:
        model.vouch(pictures(Path(folder), 500, seed=1))


def picture(label: int, rng: np.random.Generator) -> bytes:
    """A JPEG of 500 x 375: stripes of the class's direction and colour under noise."""
    y, x = np.mgrid[:IMAGE_HEIGHT, :IMAGE_WIDTH].astype(np.float32)
    angle = np.pi * label / IMAGE_CLASSES
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) / 9 + rng.uniform(0, 6.28))
    colour = rng.uniform(0.3, 1.0, 3)
    noise = rng.standard_normal((IMAGE_HEIGHT // 5, IMAGE_WIDTH // 5, 3)).repeat(5, axis=0).repeat(5, axis=1)
    strength = rng.uniform(5, 30)  # some are hard to tell, so that rounding could change an answer
    pixels = 128 + strength * wave[..., None] * colour + 35 * noise
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=87)
    return file.getvalue()


def words(topic: int, rng: np.random.Generator) -> str:
    """3 to 120 words, most texts short, four in ten of which are of the topic."""
    count = int(np.clip(rng.lognormal(3.0, 0.8), 3, 120))
    every = rng.integers(WORDS, size=count)
    own = topic + TOPICS * rng.integers(WORDS // TOPICS, size=count)
    return " ".join(f"w{one}" for one in np.where(rng.random(count) < 0.4, own, every))


MODELS: dict[str, Callable[[], tuple[maas.Model, dict[str, Any]]]] = {
    "rows": rows_model,
    "image": image_model,
    "text": text_model,
}


def _images(rng: np.random.Generator) -> list[tuple[bytes, bytes]]:
    contents = [picture(int(rng.integers(IMAGE_CLASSES)), rng) for _ in range(40)]
    return [(content, content) for content in contents]


def _row(rng: np.random.Generator) -> list[tuple[bytes, bytes]]:
    bodies = [json.dumps({"x": _numbers(rng)}).encode() for _ in range(64)]
    return [(body, body) for body in bodies]


def _many(rng: np.random.Generator) -> list[tuple[bytes, bytes]]:
    bodies = [json.dumps({"instances": [{"x": _numbers(rng)} for _ in range(ROWS_A_REQUEST)]}).encode()] * 2
    return [(body, body) for body in bodies]


def _npy(rng: np.random.Generator) -> list[tuple[bytes, bytes]]:
    array = rng.standard_normal((ROWS_A_REQUEST, TABLE_WIDTH)).astype(np.float32)
    file = io.BytesIO()
    np.save(file, array)
    return [(file.getvalue(), b"")] * 2


def _texts(rng: np.random.Generator) -> list[tuple[bytes, bytes]]:
    bodies = [json.dumps({"text": words(int(rng.integers(TOPICS)), rng)}).encode() for _ in range(256)]
    return [(body, body) for body in bodies]


def _numbers(rng: np.random.Generator) -> list[float]:
    return [round(float(one), 4) for one in rng.standard_normal(TABLE_WIDTH)]


LOADS = {
    load.name: load
    for load in (
        Load("images", "image", JPEG, _images, 1, (8,), 8, delay_ms=10),
        Load("row", "rows", JSON, _row, 1, (1, 16, 32), 32),
        Load("rows-json", "rows", JSON, _many, ROWS_A_REQUEST, (4,), 4),
        Load("rows-npy", "rows", NPY, _npy, ROWS_A_REQUEST, (4,), 4),
        Load("text", "text", JSON, _texts, 1, (16,), 16),
    )
}

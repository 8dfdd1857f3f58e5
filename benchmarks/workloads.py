"""What `benchmarks/training.py` trains: networks of maas, and synthetic rows that they can learn from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from reference_loops import Part
from torch import nn

import maas
from maas.schema import TensorSpec

CLASSES = 10
TABLE_WIDTH = 100
WORDS, STEPS, TOPICS = 5_000, 100, 4
HELD_OUT = 0.1
PIXEL_NOISE, SEPARATION = 60.0, 4.0

Raw = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Workload:
    """A network, how it is trained, and the rows.

    Args:
        recipe: of the network.
        specs: the tensors that it takes.
        batch_size: rows a step.
        rows: how many, the held-out ones among them, by device.
        make: from a number of rows and a generator to inputs as a person would have them, and classes.
        threads: of the CPU; None: all. What maas.fit chooses: a second one gains nothing on a small network.
    """

    recipe: maas.Recipe
    specs: dict[str, TensorSpec]
    batch_size: int
    rows: dict[str, int]
    make: Callable[[int, np.random.Generator], tuple[Raw, Raw]]
    threads: int | None = None

    def network(self, seed: int) -> nn.Module:
        """The network with the weights that `maas.fit(..., seed=seed)` starts with."""
        torch.manual_seed(seed)
        return self.recipe.resolve(self.specs, CLASSES if "tokens" not in self.specs else TOPICS).build()

    def raw(self, device: str, scale: float, seed: int = 0) -> tuple[tuple[Raw, Raw], tuple[Raw, Raw]]:
        """Rows to learn from and held-out ones, each inputs and classes."""
        count = max(300, round(self.rows[device] * scale))
        inputs, classes = self.make(count, np.random.default_rng(seed))
        cut = round(count * (1 - HELD_OUT))
        return (inputs[:cut], classes[:cut]), (inputs[cut:], classes[cut:])


def table(count: int, generator: np.random.Generator) -> tuple[Raw, Raw]:
    """float32 (rows, 100), and the greatest of ten noisy linear scores."""
    x = generator.standard_normal((count, TABLE_WIDTH), np.float32)
    scores = x @ generator.standard_normal((TABLE_WIDTH, CLASSES), np.float32)
    noise = generator.standard_normal(scores.shape, np.float32)
    return x, (scores + 3 * noise).argmax(axis=1)


def images(side: int, channels: int) -> Callable[[int, np.random.Generator], tuple[Raw, Raw]]:
    """uint8 (rows, side, side, channels): a coarse pattern for each class under noise."""

    def make(count: int, generator: np.random.Generator) -> tuple[Raw, Raw]:
        coarse = generator.standard_normal((CLASSES, side // 4, side // 4, channels), np.float32)
        patterns = coarse.repeat(4, axis=1).repeat(4, axis=2)
        strength = SEPARATION * PIXEL_NOISE / (2 * side * side * channels) ** 0.5
        classes = generator.integers(CLASSES, size=count)
        pixels = np.empty((count, side, side, channels), np.uint8)
        for row, label in enumerate(classes):
            noise = PIXEL_NOISE * generator.standard_normal(patterns.shape[1:], np.float32)
            pixels[row] = np.clip(128 + strength * patterns[label] + noise, 0, 255)
        return pixels, classes

    return make


def words(count: int, generator: np.random.Generator) -> tuple[Raw, Raw]:
    """Numbers of words, int64 (rows, 100), four in ten of which are of the row's topic.

    The first rows hold every word twice, so that all are learned whatever the number of rows.
    """
    topics = generator.integers(TOPICS, size=count)
    every = generator.integers(WORDS, size=(count, STEPS))
    own = topics[:, None] + TOPICS * generator.integers(WORDS // TOPICS, size=(count, STEPS))
    found = np.where(generator.random((count, STEPS)) < 0.4, own, every)
    found.reshape(-1)[: 2 * WORDS] = np.concatenate([generator.permutation(WORDS) for _ in range(2)])
    return found, topics


WORKLOADS = {
    "mlp": Workload(
        maas.recipe(maas.nn.MLP, hidden=(64, 64)),
        {"x": TensorSpec((TABLE_WIDTH,), "float32")},
        64,
        {"cpu": 50_000, "cuda": 200_000},
        table,
        threads=1,
    ),
    **{
        f"cnn{batch_size}": Workload(
            maas.recipe(maas.nn.CNN, filters=(32, 64)),
            {"image": TensorSpec((1, 28, 28), "float32")},
            batch_size,
            {"cpu": 10_000, "cuda": 60_000},
            images(28, 1),
        )
        for batch_size in (32, 256)
    },
    "lstm": Workload(
        maas.recipe(maas.nn.TextRNN),
        {
            "tokens": TensorSpec((None,), "int64", WORDS + 2),
            "tokens_lengths": TensorSpec((), "int64"),
        },
        32,
        {"cpu": 8_000, "cuda": 40_000},
        words,
        threads=1,
    ),
    "resnet": Workload(
        maas.recipe(maas.nn.Backbone, name="resnet18"),
        {"image": TensorSpec((3, 64, 64), "float32")},
        32,
        {"cpu": 1_280, "cuda": 20_000},
        images(64, 3),
    ),
}


def as_rows(inputs: Raw, classes: Raw) -> maas.data.Rows:
    """As maas reads them."""
    if inputs.ndim == 4:
        return maas.data.read_images((inputs, classes), task="classification")
    if inputs.dtype == np.int64:
        texts = [" ".join(f"w{word}" for word in row) for row in inputs]
        return maas.data.read_texts((texts, classes.tolist()), task="classification")
    return maas.data.from_arrays(inputs, classes, task="classification")


def as_parts(train: tuple[Raw, Raw], validation: tuple[Raw, Raw]) -> tuple[Part, Part]:
    """As maas prepares them: numbers and channels standardised by the training rows, words numbered from 2."""
    inputs = train[0]
    if inputs.dtype == np.int64:
        lengths = [torch.full((len(raw),), STEPS) for raw, _ in (train, validation)]
        first, second = (
            Part({"tokens": torch.from_numpy(raw + 2), "tokens_lengths": length}, torch.from_numpy(classes))
            for (raw, classes), length in zip((train, validation), lengths, strict=True)
        )
        return first, second
    axes = tuple(range(inputs.ndim - 1))
    mean, deviation = (find(axes, np.float64).astype(np.float32) for find in (inputs.mean, inputs.std))
    parts = []
    for raw, classes in (train, validation):
        standard = torch.from_numpy((raw - mean) / deviation)
        named = {"image": standard.permute(0, 3, 1, 2).contiguous()} if raw.ndim == 4 else {"x": standard}
        parts.append(Part(named, torch.from_numpy(classes)))
    return parts[0], parts[1]

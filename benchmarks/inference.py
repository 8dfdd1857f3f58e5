"""Microseconds of the one inference path, taken apart, without a server: `maas.Model` from raw rows to dicts.

    python benchmarks/inference.py                # all cases, one thread and two
    python benchmarks/inference.py --only b --threads 1

Each figure is the tenth percentile of rounds that take turns, for a busy machine to matter less; "rest" is all but the
forward pass: checks, preprocessing, the task's answers, and dicts that JSON can write. Another checkout of maas is
measured with PYTHONPATH. It needs `maas-torch[dev]` for the images.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import maas
from maas.data import Rows
from maas.nn import MLP, Backbone, TextRNN
from maas.preprocess import Image, Table, Text
from maas.schema import Field, Schema
from maas.task import Classification

_SECONDS = 0.4  # of rounds for each figure
_CLASSES = tuple(f"class-{place}" for place in range(10))


def mlp() -> maas.Model:
    """100-64-64-10 over one field of 100 numbers."""
    schema = Schema((Field("x", "numeric", "number", (100,)),))
    return _model(MLP, {"hidden": (64, 64)}, schema, Table.identity(schema))


def table() -> maas.Model:
    """20 numbers and 5 categories of 8 values."""
    numbers = [Field(f"number_{place}", "numeric", "number", nullable=True) for place in range(20)]
    labels = [Field(f"label_{place}", "categorical", "label") for place in range(5)]
    schema = Schema((*numbers, *labels))
    generator = np.random.default_rng(0)
    columns: dict[str, Any] = {field.name: generator.normal(size=200) for field in numbers}
    columns |= {field.name: _objects([f"v{one}" for one in generator.integers(0, 8, 200)]) for field in labels}
    return _model(MLP, {"hidden": (64, 64)}, schema, Table.learn(schema, columns))


def texts() -> maas.Model:
    schema = Schema((Field("text", "text", "string"),))
    words = Text.with_options().learn(schema, {"text": _objects([" ".join(map(str, range(1000)))] * 2)})
    return _model(TextRNN, {"hidden_size": 64}, schema, words)


def images() -> maas.Model:
    """ResNet-18 over 224 x 224 pixels."""
    schema = Schema((Field("image", "image", "bytes"),))
    return _model(Backbone, {"name": "resnet18"}, schema, Image(schema, 224, 224, np.full(3, 0.45), np.full(3, 0.25)))


def photo(seed: int) -> bytes:
    """A JPEG of 500 x 375 pixels, with shapes and some noise, so that its size is that of a photograph."""
    from PIL import Image as Pillow

    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (12, 16, 3), np.uint8)
    picture = np.asarray(Pillow.fromarray(coarse).resize((500, 375), Pillow.Resampling.BICUBIC)).astype(float)
    noisy = np.clip(picture + generator.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(noisy).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def cases(only: str) -> dict[str, tuple[maas.Model, Any]]:
    """Models with the rows to answer, by name."""
    generator = np.random.default_rng(0)
    found: dict[str, tuple[maas.Model, Any]] = {}
    if "b" in only:
        one, two = mlp(), table()
        for count in (1, 8, 16, 32):
            lists = generator.normal(size=(count, 100)).tolist()
            found[f"b   {count:>6} rows, lists"] = one, [{"x": row} for row in lists]
        for count in (1, 8, 16, 32):
            rows = [
                dict(zip(two.schema.names, [*map(float, generator.normal(size=20)), *["v1"] * 5], strict=True))
                for _ in range(count)
            ]
            found[f"b2  {count:>6} rows, table"] = two, rows
    if "c" in only:
        one = mlp()
        for count in (1_000, 10_000):
            array = generator.normal(size=(count, 100)).astype(np.float32)
            found[f"c   {count:>6} rows, array"] = one, Rows(one.schema, {"x": array})
            found[f"c   {count:>6} rows, lists"] = one, [{"x": row} for row in array.tolist()]
    if "d" in only:
        one = texts()
        lengths = np.geomspace(2, 100, 32).astype(int)
        for count in (8, 32):
            rows = [{"text": " ".join(map(str, generator.integers(0, 1000, size)))} for size in lengths[:: 32 // count]]
            found[f"d   {count:>6} texts of 2 to 100 words"] = one, [rows[at] for at in generator.permutation(count)]
    if "a" in only:
        one = images()
        for count in (1, 8):
            found[f"a   {count:>6} JPEGs, ResNet-18"] = one, [{"image": photo(seed)} for seed in range(count)]
    return found


def whole(model: maas.Model, rows: Any) -> list[dict[str, Any]]:
    """The whole path."""
    return model.task.join(model.stream(model.prepare(rows).batch)).to_dicts()


def measure(model: maas.Model, rows: Any, clock: Callable[[], float]) -> dict[str, float]:
    """Microseconds of each part."""
    batch = model.prepare(rows).batch
    answers = model.task.join(model.stream(batch))

    def forward() -> None:
        with torch.inference_mode():
            model.network(**batch.trimmed().inputs)

    parts: dict[str, Callable[[], Any]] = {
        "all": lambda: whole(model, rows),
        "prepare": lambda: model.prepare(rows),
        "stream": lambda: model.task.join(model.stream(batch)),
        "forward": forward,
        "dicts": answers.to_dicts,
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    started = time.perf_counter()
    while time.perf_counter() - started < _SECONDS * len(parts) or len(times["all"]) < 10:
        for name, call in parts.items():
            begun = clock()
            call()
            times[name].append(1e6 * (clock() - begun))
    found = {name: statistics.quantiles(one, n=10)[0] for name, one in times.items()}
    return {**found, "rest": found["all"] - found["forward"]}


def _model(kind: Any, arguments: dict[str, Any], schema: Schema, preprocess: Any) -> maas.Model:
    torch.manual_seed(0)
    recipe = maas.recipe(kind, **arguments).resolve(preprocess.outputs, len(_CLASSES))
    return maas.Model(
        recipe.build(), recipe=recipe, schema=schema, preprocess=preprocess, task=Classification(_CLASSES)
    )


def _objects(values: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="abcd", help="which cases, by letter (default: all)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of torch (default: 1 2)")
    clocks = {"wall": time.perf_counter, "processor": time.process_time}
    parser.add_argument("--clock", choices=clocks, default="wall", help="processor time, on a machine that is shared")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    options = parser.parse_args()
    found = {}
    for threads in options.threads:
        torch.set_num_threads(threads)
        for name, (model, rows) in cases(options.only).items():
            times = found[f"{threads} {name}"] = measure(model, rows, clocks[options.clock])
            figures = "  ".join(f"{part} {microseconds:>10,.0f}" for part, microseconds in times.items())
            print(f"{threads} thread{'s' * (threads > 1):1} {name:36} {figures}", flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()

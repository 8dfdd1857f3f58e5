"""A model's network in a format for others, checked, with a description that they can go by."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors.torch
import torch

from maas.data import Rows
from maas.errors import ExportError, MaasError, show
from maas.exporting._check import TOLERANCE, check, why
from maas.exporting._describe import ARRAYS, DOCUMENT, describe
from maas.exporting._formats import Run, run_onnx, run_pt2, write_onnx, write_pt2
from maas.exporting._graph import Graph, graph_of
from maas.model import Model
from maas.storage import atomic_folder

FORMATS: dict[str, tuple[Callable[[Graph, Path], None], Callable[[Path, tuple[str, ...]], Run]]] = {
    "onnx": (write_onnx, run_onnx),
    "pt2": (write_pt2, run_pt2),
}
_NUM_EXAMPLES = 4


def export(model: Model, path: str | Path, *, format: str = "onnx") -> Path:
    """Write a model's network for use elsewhere, with all that others need to know to use it.

    The folder has the network (`model.onnx` or `model.pt2`), `model.json`, which says what goes in and what comes out,
    and `arrays.safetensors`: what preprocessing learned, and golden rows as tensors. The written file is run again
    (onnxruntime, torch.export) on the golden rows, all at once, alone and with more padding, and must answer them as
    the model does. What makes tensors of rows, and answers of outputs, is described and not exported.

    Args:
        model: the model, on the CPU and in float32.
        path: the folder; an export that stands there is replaced in one step.
        format: "onnx" or "pt2" (torch.export).

    Returns:
        The folder.

    Raises:
        ExportError: the network cannot be written in this format, or answers otherwise in it; or `path` is something
            else than an export.
    """
    if not isinstance(format, str) or format not in FORMATS:
        raise ExportError(f"`format` must be one of {', '.join(FORMATS)}, got {show(format)}")
    path = Path(path)
    if path.exists() and not (path.is_dir() and ((path / DOCUMENT).is_file() or not any(path.iterdir()))):
        raise ExportError(f"{path} is not an export and will not be replaced; choose another folder")
    if model.task.streams:
        raise ExportError(
            f"a {model.task.kind} answers token by token, which is no single pass that {format} could hold; package it "
            f"with maas.package"
        )
    if model.device.type != "cpu" or model.precision != "float32":
        raise ExportError(
            f"the model is on {model.device} and answers in {model.precision}; export it on the CPU and in float32: "
            f"maas.load(path), or model.to('cpu').set_precision('float32')"
        )
    rows = (model.example or {}).get("rows") or model.preprocess.examples(_NUM_EXAMPLES)
    prepared = model.prepare(rows)
    if prepared.errors:
        raise prepared.errors[min(prepared.errors)]
    write, run = FORMATS[format]
    with atomic_folder(path) as folder:
        file = folder / f"model.{format}"
        try:
            with _quiet(), torch.no_grad():
                graph = graph_of(model)
                write(graph, file)
                again = run(file, graph.names)
        except MaasError:
            raise
        except Exception as error:  # an exporter's, of any kind
            kind = model.recipe.kind
            raise ExportError(f"the network {kind!r} cannot be written as {format}: {why(model, error)}") from error
        differs = check(model, again, graph, prepared.batch, rows, format)
        columns, _ = model.schema.rows_to_columns(rows)
        sent = Rows(model.schema, columns).to_dicts()  # as JSON writes them
        document, tensors = describe(model, graph, prepared.batch, sent, file.name, TOLERANCE, differs)
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / DOCUMENT).write_text(text + "\n", "utf-8")
        (folder / ARRAYS).write_bytes(safetensors.torch.save(tensors))
    return path


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What exporters log, print and warn of is about their own insides; what goes wrong there they raise as well."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        nowhere = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

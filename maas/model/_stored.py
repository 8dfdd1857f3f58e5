"""A model and its stored form: what an artifact holds of it, and back, checked at each step."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from maas import preprocess, task
from maas.artifact import Artifact
from maas.errors import FormatError, MaasError, SkewError, show
from maas.model._fits import check_describes, first_line
from maas.nn import Recipe
from maas.schema import Schema

if TYPE_CHECKING:
    from maas.model._model import Model

TOLERANCE = {"float32": 1e-5, "float64": 1e-9, "bfloat16": 2e-2, "float16": 2e-3}
WRONG = (MaasError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""What reading a state that no maas wrote may raise."""


def description_of(model: Model) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """artifact.json, without what `maas.artifact` adds, and all tensors by their stored names."""
    state, arrays = model.preprocess.state()
    task_state, task_arrays = model.task.state()
    network: Mapping[str, torch.Tensor] = model.network.state_dict()
    for one in model.recipe.transforms:
        network = one.stored(network)
    tensors = {f"network.{name}": tensor for name, tensor in network.items()}
    tensors |= {f"preprocess.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    tensors |= {f"task.{name}": torch.from_numpy(array) for name, array in task_arrays.items()}
    description = {
        "recipe": replace(model.recipe, transforms=()).to_json(),
        "preprocess": {"kind": model.preprocess.kind, "state": state},
        "task": {"kind": model.task.kind, "state": task_state},
        "schema": model.schema.to_json(),
        "target": model.target,
        "transforms": [one.to_json() for one in model.recipe.transforms],
    }
    return description, tensors


def parts_of(stored: Artifact) -> dict[str, Any]:
    """The arguments of `Model` out of an artifact.

    Raises:
        FormatError, or one of `WRONG`: the artifact does not describe a model.
    """
    description = stored.description
    parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "preprocess": {}, "task": {}}
    for name, tensor in stored.tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    schema = Schema.from_json(description["schema"])
    arrays = {name: tensor.numpy() for name, tensor in parts["preprocess"].items()}
    learned = preprocess.from_state(
        _kind(description["preprocess"]), schema, description["preprocess"]["state"], arrays
    )
    arrays = {name: tensor.numpy() for name, tensor in parts["task"].items()}
    answer = task.from_state(_kind(description["task"]), description["task"]["state"], arrays, schema)
    recipe = Recipe.from_json({**description["recipe"], "transforms": description["transforms"]})
    for one in reversed(recipe.transforms):
        parts["network"] = one.restored(parts["network"])
    for part, wanted in (("preprocess", learned.state()[1]), ("task", answer.state()[1])):
        if more := sorted(set(parts[part]) - set(wanted)):
            raise FormatError(f"tensor '{part}.{more[0]}' belongs to nothing")
    if type(description["target"]) is not str:
        raise FormatError(f"the target's name is a string, got {show(description['target'])}")
    network = check_describes(recipe, parts["network"])
    if any(tensor.is_meta for tensor in _unstored(network)):
        with torch.random.fork_rng(devices=[]):
            network = recipe.build()  # its sizes are known by now to be those of the file
        network.load_state_dict(parts["network"], strict=True)
    else:
        network.load_state_dict(parts["network"], strict=True, assign=True)
    return {
        "network": network,
        "recipe": recipe,
        "schema": schema,
        "preprocess": learned,
        "task": answer,
        "target": description["target"],
        "card": stored.card,
    }


def replay(model: Model, example: Mapping[str, Any]) -> None:
    """Let a model answer its golden rows.

    Raises:
        FormatError: they cannot be answered.
        SkewError: an answer differs from the stored one by more than the tolerance.
    """
    try:
        rows, expected = example["rows"], example["answers"]
        tolerances, unit = example["tolerance"], example["unit"]
        if model.precision == "float32":
            tolerance = tolerances[dtype_of(model.network)]
        else:  # nobody may have vouched for it
            tolerance = tolerances.get(model.precision, TOLERANCE[model.precision])
        if (
            type(rows) is not list
            or not rows
            or len(rows) != len(expected)
            or type(tolerance) is not float
            or not 0 < tolerance < 1
        ):
            raise ValueError("example.json needs rows, as many answers, and a tolerance below 1, above 0")
        if unit != model.task.unit:
            raise ValueError(f"example.json has the unit {show(unit)}, the task {model.task.unit}")
        found = model._answers(rows).to_dicts()  # NaN and infinity too, which differ from any stored answer
    except WRONG as error:
        raise FormatError(f"the golden rows cannot be answered: {first_line(error)}") from error
    check_answers(expected, found, tolerance, unit)


def check_answers(expected: Sequence[Any], found: Sequence[Any], tolerance: float, unit: float) -> None:
    """Whether golden rows were answered as they were when the model was saved, but for rounding.

    Raises:
        SkewError: an answer differs from the stored one by more than the tolerance.
    """
    for row, (wanted, got) in enumerate(zip(expected, found, strict=True)):
        if not _agree(wanted, got, tolerance, unit):
            raise SkewError(
                f"golden row {row} was answered {show(str(wanted), 200)} when the model was saved, and is answered "
                f"{show(str(got), 200)} here; the installation differs in a way that changes answers"
            )


def tolerance_of(model: Model) -> dict[str, float]:
    """By how much golden answers may differ, by what computes them: the network's dtype, or a lower precision."""
    dtype = dtype_of(model.network)
    own = max([TOLERANCE[dtype], *(one.tolerance for one in model.recipe.transforms)])
    vouched = {"bfloat16": TOLERANCE["bfloat16"]} if "bfloat16" in model.card.get("precision", {}) else {}
    return {dtype: own} | vouched


def dtype_of(network: nn.Module) -> str:
    """The network's working dtype, as `example.json` names it."""
    floats = [tensor.dtype for tensor in network.state_dict().values() if tensor.is_floating_point()]
    return str(floats[0] if floats else torch.float32).removeprefix("torch.")


def _unstored(network: nn.Module) -> list[torch.Tensor]:
    """The buffers that `state_dict` leaves out: the class computes them when it is built."""
    stored = set(network.state_dict())
    return [buffer for name, buffer in network.named_buffers() if name not in stored]


def _kind(state: Mapping[str, Any]) -> str:
    if type(state["kind"]) is not str:
        raise FormatError(f"a kind is a string, got {show(state['kind'])}")
    kind: str = state["kind"]
    return kind


def _agree(wanted: Any, got: Any, tolerance: float, unit: float) -> bool:
    """Whether two answers are the same but for rounding."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(_agree(wanted[key], got[key], tolerance, unit) for key in wanted)
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(
            _agree(one, other, tolerance, unit) for one, other in zip(wanted, got, strict=True)
        )
    if type(got) is float and type(wanted) in (int, float) and abs(wanted) <= sys.float_info.max:
        return bool(abs(wanted - got) <= tolerance * max(unit, abs(wanted)))
    return type(wanted) is type(got) and bool(wanted == got)

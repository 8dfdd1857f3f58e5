"""The one inference path: raw rows in, answers out, for evaluation, batch scoring and serving alike."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import nn

from maas import artifact, data, preprocess, task
from maas._version import __version__
from maas.artifact import Artifact
from maas.data import Rows, read_columns
from maas.errors import (
    ArtifactError,
    DataError,
    FormatError,
    MaasError,
    RecipeError,
    RowError,
    SkewError,
    show,
)
from maas.metrics import Evaluation
from maas.nn import Recipe
from maas.preprocess import Preprocess
from maas.schema import Columns, Schema
from maas.task import Answers, Batch, Task

TOLERANCE = {"float32": 1e-5, "float64": 1e-9, "bfloat16": 2e-2, "float16": 2e-3}
_NUM_EXAMPLES = 4
_MOST_ROWS = 4096
_MOST_BYTES = 64 << 20
_STEPS = 256  # assumed of an input whose length differs from row to row


@dataclass(frozen=True)
class Prepared:
    """Rows made ready for the network.

    Args:
        batch: the good rows.
        kept: their positions among the rows given, int64.
        errors: why each of the others cannot be answered, by position.
    """

    batch: Batch
    kept: np.ndarray[Any, Any]
    errors: dict[int, RowError]


class Model:
    """Learned preprocessing, network and task: what turns raw rows into answers.

    `maas.fit` and `maas.load` give one. A network trained elsewhere is wrapped by hand and goes the same way.

    Args:
        network: a torch module whose `forward` takes the tensors of `preprocess.outputs` by name and gives
            `task.num_outputs` numbers a row. It is put into evaluation mode.
        recipe: describes the network, with all arguments: what the artifact stores in place of code.
        schema: the fields of a row.
        preprocess: rows to tensors.
        task: outputs to answers.
        target: name of what is predicted.
        card: what is known about the model, in JSON values.

    Raises:
        RecipeError: the recipe does not describe this network.
        DataError: the parts do not fit together.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        recipe: Recipe,
        schema: Schema,
        preprocess: Preprocess,
        task: Task,
        target: str = "target",
        card: Mapping[str, Any] | None = None,
    ) -> None:
        _check_describes(recipe, network.state_dict())
        self.network = network.eval()
        if any(isinstance(module, nn.Conv2d) for module in network.modules()):
            self.network.to(memory_format=torch.channels_last)
        self.recipe = recipe.bound()
        self.schema = schema
        self.preprocess = preprocess
        self.task = task
        self.target = target
        self.card = dict(card or {})
        self.digest: str | None = None  # of the artifact it was loaded from
        self.example: dict[str, Any] | None = None
        self._check_fits()

    def __repr__(self) -> str:
        return f"Model({self.recipe.kind}, {len(self.schema.fields)} fields -> {self.target} ({self.task.kind}))"

    @property
    def device(self) -> torch.device:
        """Where the network's parameters live."""
        return next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))

    def to(self, device: str | torch.device) -> Model:
        """Move the network; returns the model itself."""
        self.network.to(device)
        return self

    def prepare(self, rows: Any) -> Prepared:
        """Check rows and make them ready for the network. Bad rows are told, not raised.

        Args:
            rows: a sequence of mappings as a client sends them, `Rows`, a data frame, or, where the schema has
                one field, an array of shape (rows, *field.shape).

        Raises:
            DataError: `rows` is none of these, or lacks a column.
        """
        columns, errors = self._columns(rows)
        length = len(columns[self.schema.names[0]])
        kept = np.array([row for row in range(length) if row not in errors], np.int64)
        inputs, failed = self._apply(columns, kept, length)
        if failed:
            errors = {**errors, **{int(kept[row]): error.at(int(kept[row])) for row, error in failed.items()}}
            good = np.array([place for place in range(len(kept)) if place not in failed], np.int64)
            inputs = {name: tensor[torch.from_numpy(good)] for name, tensor in inputs.items()}
            kept = kept[good]
        return Prepared(Batch(inputs), kept, errors)

    @property
    def rows_at_once(self) -> int:
        """How many rows are prepared and go through the network at once: fewer where a row is large."""
        longest = [field.longest for field in self.schema.fields if field.shape[:1] == (None,)]
        row_bytes = 0
        for spec in self.preprocess.outputs.values():
            sizes = [max(longest, default=_STEPS) if size is None else size for size in spec.shape]
            row_bytes += math.prod(sizes) * getattr(torch, spec.dtype).itemsize
        return max(1, min(_MOST_ROWS, _MOST_BYTES // max(1, row_bytes)))

    def stream(self, batch: Batch) -> Iterator[Answers]:
        """The answers to prepared rows, in order, part by part."""
        device, size = self.device, self.rows_at_once
        for start in range(0, len(batch), size):
            with torch.inference_mode():
                yield from self.task.run(self.network, batch[start : start + size].trimmed().to(device))

    @overload
    def predict(self, rows: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def predict(self, rows: Any) -> Answers: ...
    def predict(self, rows: Any) -> Any:
        """Answer rows: exactly what the served model answers.

        Args:
            rows: one row as a mapping, or many in any form that `prepare` takes.

        Returns:
            For one row its answer as a dict, for many an `Answers`, as long as `rows`.

        Raises:
            DataError: a row cannot be answered; the message says which and why. `prepare` and `stream` answer the
                others.
        """
        if isinstance(rows, Mapping):
            return self.predict([rows])[0]
        parts: list[Answers] = []
        for start, part in self._parts(rows):
            prepared = self.prepare(part)
            if prepared.errors:
                errors = [error.at(start + row) for row, error in sorted(prepared.errors.items())]
                raise _as_one(errors, len(rows) if hasattr(rows, "__len__") else len(errors) + len(prepared.kept))
            parts += self.stream(prepared.batch)
        if not parts:
            raise DataError("there is no row to answer")
        return self.task.join(parts)

    def predict_proba(self, rows: Any) -> np.ndarray[Any, Any]:
        """Probabilities of shape (rows, classes), in the order of `model.task.classes`.

        Raises:
            DataError: the task has no probabilities, or as in `predict`.
        """
        answers = self.predict([rows] if isinstance(rows, Mapping) else rows)
        if "probabilities" not in answers.columns:
            raise DataError(f"a {self.task.kind} has no probabilities; use predict")
        return answers["probabilities"]

    def evaluate(self, test: Any, *, baselines_from: Any = None) -> Evaluation:
        """Score the model on rows it has not seen.

        Args:
            test: rows with their target: `Rows`, `(X, y)` or a torch `Dataset`.
            baselines_from: the training rows: simple methods are taught by them and scored on the same test rows.

        Raises:
            DataError: the rows have no target, or one that the model does not know.
        """
        rows = data.as_rows(test, task=self.task.kind)
        truth = _target(rows, "test")
        scores = self.task.score(self.predict(rows), truth)
        others = {}
        duplicates = None
        if baselines_from is not None:
            train = data.as_rows(baselines_from, task=self.task.kind)
            duplicates, _ = data.duplicates(train, rows)
            found = self.task.baselines(self.schema, train.columns, _target(train, "baselines_from"), rows.columns)
            others = {name: self.task.score(answers, truth) for name, answers in found.items()}
        return Evaluation.compare(
            self.task.kind, scores, others, fingerprint=rows.fingerprint(), num_duplicates=duplicates
        )

    def save(
        self,
        path: str | Path,
        *,
        evaluation: Evaluation | None = None,
        examples: Sequence[Mapping[str, Any]] | None = None,
    ) -> Path:
        """Store the model as an artifact, in one step, in place of one that stands there.

        Args:
            path: the folder.
            evaluation: scores for the card.
            examples: golden rows; by default made up within the ranges that training rows had.

        Returns:
            The path.

        Raises:
            ArtifactError: `path` is something else than an artifact.
            DataError: an example cannot be answered.
        """
        rows = [dict(row) for row in examples] if examples else self.preprocess.examples(_NUM_EXAMPLES)
        answers = self.predict(rows)
        if not answers.finite().all():
            raise ArtifactError("the model answers its example rows with NaN or infinity and will not be saved")
        state, arrays = self.preprocess.state()
        task_state, task_arrays = self.task.state()
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {f"preprocess.{name}": torch.from_numpy(array) for name, array in arrays.items()}
        tensors |= {f"task.{name}": torch.from_numpy(array) for name, array in task_arrays.items()}
        dtype = self._dtype()
        artifact.write(
            path,
            description={
                "recipe": self.recipe.to_json(),
                "preprocess": {"kind": self.preprocess.kind, "state": state},
                "task": {"kind": self.task.kind, "state": task_state},
                "schema": self.schema.to_json(),
                "target": self.target,
                "transforms": [],
            },
            card={
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {
                    "maas": __version__,
                    "torch": torch.__version__,
                    "python": platform.python_version(),
                },
                "num_parameters": sum(parameter.numel() for parameter in self.network.parameters()),
                **self.card,
                "evaluation": self.card.get("evaluation") if evaluation is None else evaluation.to_json(),
            },
            example={
                "rows": rows,
                "answers": answers.to_dicts(),
                "tolerance": {dtype: TOLERANCE[dtype]},
                "unit": self.task.unit,
            },
            tensors=tensors,
        )
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Model:
        """Load an artifact, and let it answer its golden rows before anyone else's.

        Args:
            path: the artifact's folder.
            device: where to put the network.

        Raises:
            IntegrityError: a file is missing, truncated or altered.
            FormatError: the files are whole, but are not a model that this installation can build.
            SkewError: the model answers its golden rows otherwise than when it was saved.
        """
        return cls.from_artifact(artifact.read(path), device=device)

    @classmethod
    def from_artifact(cls, stored: Artifact, *, device: str | torch.device = "cpu") -> Model:
        """The model in an artifact that has been read; as `load`, from there on."""
        try:
            model = cls._from(stored).to(device)
        except ArtifactError:
            raise
        except (MaasError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
            raise FormatError(f"the artifact does not describe a model: {_first_line(error)}") from error
        model._replay(stored.example)
        model.digest, model.example = stored.digest, stored.example
        return model

    @classmethod
    def _from(cls, stored: Artifact) -> Model:
        description = stored.description
        if description["transforms"] != []:
            raise FormatError(f"unknown transforms {show(description['transforms'])}")
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
        answer = task.from_state(_kind(description["task"]), description["task"]["state"], arrays)
        recipe = Recipe.from_json(description["recipe"])
        for part, wanted in (("preprocess", learned.state()[1]), ("task", answer.state()[1])):
            if more := sorted(set(parts[part]) - set(wanted)):
                raise FormatError(f"tensor '{part}.{more[0]}' belongs to nothing")
        if type(description["target"]) is not str:
            raise FormatError(f"the target's name is a string, got {show(description['target'])}")
        network = _check_describes(recipe, parts["network"])
        if any(tensor.is_meta for tensor in _unstored(network)):
            with torch.random.fork_rng(devices=[]):
                network = recipe.build()  # its sizes are known by now to be those of the file
            network.load_state_dict(parts["network"], strict=True)
        else:
            network.load_state_dict(parts["network"], strict=True, assign=True)
        return cls(
            network,
            recipe=recipe,
            schema=schema,
            preprocess=learned,
            task=answer,
            target=description["target"],
            card=stored.card,
        )

    def _replay(self, example: Mapping[str, Any]) -> None:
        try:
            rows, expected = example["rows"], example["answers"]
            tolerance, unit = example["tolerance"][self._dtype()], example["unit"]
            if not rows or len(rows) != len(expected) or type(tolerance) is not float or not 0 < tolerance < 1:
                raise ValueError("example.json needs rows, as many answers, and a tolerance below 1, above 0")
            if unit != self.task.unit:
                raise ValueError(f"example.json has the unit {show(unit)}, the task {self.task.unit}")
            found = self.predict(rows).to_dicts()
        except (
            MaasError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            RuntimeError,
        ) as error:
            raise FormatError(f"the golden rows cannot be answered: {_first_line(error)}") from error
        for row, (wanted, got) in enumerate(zip(expected, found, strict=True)):
            if not _agree(wanted, got, tolerance, unit):
                raise SkewError(
                    f"golden row {row} was answered {show(str(wanted), 200)} when the model was saved, and is answered "
                    f"{show(str(got), 200)} here; the installation differs in a way that changes answers"
                )

    def _parts(self, rows: Any) -> Iterator[tuple[int, Any]]:
        """The rows in parts that fit in memory once they are prepared, each with the position of its first row."""
        size = self.rows_at_once
        if isinstance(rows, (Rows, np.ndarray, torch.Tensor)) or (
            isinstance(rows, Sequence) and not isinstance(rows, (str, bytes))
        ):
            for start in range(0, len(rows), size):
                end = min(start + size, len(rows))
                yield start, rows.take(range(start, end)) if isinstance(rows, Rows) else rows[start:end]
        else:
            yield 0, rows

    def _columns(self, rows: Any) -> tuple[Columns, dict[int, RowError]]:
        if isinstance(rows, Rows):
            return self.schema.check(rows.columns, len(rows))
        if isinstance(rows, (np.ndarray, torch.Tensor)):
            array = rows.detach().cpu().numpy() if isinstance(rows, torch.Tensor) else rows
            if len(self.schema.fields) != 1:
                raise DataError(f"rows must be named: the model takes the fields {', '.join(self.schema.names)}")
            return self.schema.check({self.schema.names[0]: array}, len(array))
        if isinstance(rows, Sequence) and not isinstance(rows, (str, bytes)):
            return self.schema.rows_to_columns(rows)
        if isinstance(rows, (str, bytes, Path, int, float, type(None))):
            raise DataError(
                f"rows are mappings, maas.data.Rows, a data frame or an array, got {show(rows)}; read a file first"
            )
        found, errors = read_columns(rows, self.schema)
        return found.columns, errors

    def _apply(
        self, columns: Columns, kept: np.ndarray[Any, Any], length: int
    ) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        if len(kept) < length:
            columns = {name: column[kept] for name, column in columns.items()}
        return self.preprocess.apply(columns)

    def _check_fits(self) -> None:
        """Whether the network takes what the preprocessing makes, and gives what the task wants."""
        rows = self.preprocess.examples(2)
        try:
            prepared = self.prepare(rows)
            if prepared.errors:
                raise prepared.errors[min(prepared.errors)]
            with torch.inference_mode():
                outputs = self.network(**prepared.batch.to(self.device).inputs)
        except (MaasError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"the network does not take what the preprocessing makes: {_first_line(error)}") from error
        wanted = (len(rows), self.task.num_outputs)
        if not isinstance(outputs, torch.Tensor) or tuple(outputs.shape) != wanted:
            got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
            raise DataError(f"a {self.task.kind} wants outputs of shape {wanted} for 2 rows, the network gives {got}")

    def _dtype(self) -> str:
        """The network's working dtype, as `example.json` names it."""
        floats = [tensor.dtype for tensor in self.network.state_dict().values() if tensor.is_floating_point()]
        return str(floats[0] if floats else torch.float32).removeprefix("torch.")


def load(path: str | Path, *, device: str | torch.device = "cpu") -> Model:
    """Load an artifact: `Model.load`."""
    return Model.load(path, device=device)


def _check_describes(recipe: Recipe, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The recipe's network on the meta device, once names, shapes and dtypes are found to be those of `tensors`."""
    with torch.device("meta"):
        network = recipe.build()
    wanted = network.state_dict()
    for name in sorted({*wanted, *tensors}):
        if name not in tensors or name not in wanted:
            raise RecipeError(f"the recipe {recipe.kind!r} does not describe this network: only one has {show(name)}")
        want, have = wanted[name], tensors[name]
        if want.shape != have.shape or want.dtype != have.dtype:
            raise RecipeError(
                f"the recipe {recipe.kind!r} does not describe this network: {show(name)} is {want.dtype} "
                f"{tuple(want.shape)} by the recipe, {have.dtype} {tuple(have.shape)} in the network"
            )
    return network


def _unstored(network: nn.Module) -> list[torch.Tensor]:
    """The buffers that `state_dict` leaves out: the class computes them when it is built."""
    stored = set(network.state_dict())
    return [buffer for name, buffer in network.named_buffers() if name not in stored]


def _kind(state: Mapping[str, Any]) -> str:
    if type(state["kind"]) is not str:
        raise FormatError(f"a kind is a string, got {show(state['kind'])}")
    kind: str = state["kind"]
    return kind


def _target(rows: Rows, argument: str) -> np.ndarray[Any, Any]:
    if rows.target is None:
        raise DataError(f"`{argument}` has no target to score against; read it with target=...")
    return rows.target


def _as_one(errors: Sequence[RowError], length: int) -> DataError:
    if len(errors) == 1:
        return errors[0]
    more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
    return DataError(f"{len(errors)} of {length} rows cannot be answered: " + "; ".join(map(str, errors[:5])) + more)


def _first_line(error: Exception) -> str:
    """What an error says, without the backtrace that torch may append."""
    return (str(error).splitlines() or [type(error).__name__])[0][:500]


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

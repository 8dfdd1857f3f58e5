"""What goes into a network and what comes out of a model, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import torch

from maas.errors import DataError, RowError, show

_MOST_ROWS = 4096
_MOST_BYTES = 64 << 20
_ROWS_A_STEP = 8  # what a step costs beside its rows, in rows; measured on one core, where it was 0 to 8
_LEAST_SAVED = 0.2  # of the estimated cost, or the rows stay together


def rows_that_fit(row_bytes: int) -> int:
    """How many rows of this size are prepared, and go through a network, at once."""
    return max(1, min(_MOST_ROWS, _MOST_BYTES // max(1, row_bytes)))


@dataclass(frozen=True)
class Batch:
    """Prepared rows.

    Args:
        inputs: tensors by parameter name of the network's `forward`; their first axis counts rows.
        target: the encoded target of each row, when it is known.
    """

    inputs: Mapping[str, torch.Tensor]
    target: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return next(iter(self.inputs.values())).device

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Batch:
        """The same batch on a device."""
        if device.type == "cpu" and self.device.type == "cpu":
            return self
        target = None if self.target is None else self.target.to(device, non_blocking=non_blocking)
        return Batch({name: one.to(device, non_blocking=non_blocking) for name, one in self.inputs.items()}, target)

    def trimmed(self, longest: Mapping[str, int] | None = None) -> Batch:
        """The same rows, each padded input cut to the longest row.

        An input `name` of shape (batch, steps, ...) is padded where there is an input `name_lengths` of shape (batch,).

        Args:
            longest: the greatest of each input `name_lengths`, where it is known: a GPU need not be asked then.
        """
        padded = [name for name in self.inputs if f"{name}_lengths" in self.inputs]
        if not padded:
            return self
        cut = dict(self.inputs)
        for name in padded:
            if len(lengths := self.inputs[f"{name}_lengths"]):
                most = int(lengths.max()) if longest is None else longest[f"{name}_lengths"]
                cut[name] = self.inputs[name][:, :most]
        return Batch(cut, self.target)

    def lengths(self) -> torch.Tensor | None:
        """The length of each row's longest input, int64 of shape (batch,); None where all rows are alike."""
        found = [tensor for name, tensor in self.inputs.items() if name.endswith("_lengths")]
        return torch.stack(found).amax(dim=0) if found else None

    def passes(self, steps_a_pass: float) -> list[torch.Tensor]:
        """The positions of rows to run together, by length: so little is padded that it pays. Empty: run them at once.

        Every row is in one pass.

        Args:
            steps_a_pass: what it costs to begin another pass, in steps of a row.
        """
        lengths = self.lengths()
        if lengths is None or len(lengths) < 2 or lengths.device.type != "cpu":  # measured on the CPU only
            return []
        order = torch.argsort(lengths, descending=True, stable=True)
        steps = lengths[order].numpy()
        cuts = _cuts(steps, steps_a_pass, 0, len(steps))
        return list(torch.tensor_split(order, cuts)) if cuts else []

    def rows_a_pass(self) -> int:
        """How many of these rows go through the network at once: fewer where they are large."""
        row_bytes = sum(tensor[:1].numel() * tensor.element_size() for tensor in self.inputs.values())
        return rows_that_fit(row_bytes)

    def __getitem__(self, index: Any) -> Batch:
        target = None if self.target is None else self.target[index]
        return Batch({name: tensor[index] for name, tensor in self.inputs.items()}, target)

    def take(self, index: torch.Tensor) -> Batch:
        """The rows at these positions, int64 of shape (rows,), on the batch's device."""
        target = None if self.target is None else self.target.index_select(0, index)
        return Batch({name: tensor.index_select(0, index) for name, tensor in self.inputs.items()}, target)


@dataclass(frozen=True)
class Answers(Sequence[dict[str, Any]]):
    """One answer a row: a sequence of dicts to read, columns to compute with.

    `answers[0]` is the first row's answer as JSON writes it, `answers["label"]` is the column of all labels.

    Args:
        columns: arrays whose first axis counts rows: "label" and "probabilities", or "value".
        names: for a column of two axes, what the places of the second one are called.
    """

    columns: Mapping[str, np.ndarray[Any, Any]]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @overload
    def __getitem__(self, key: str) -> np.ndarray[Any, Any]: ...
    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> Answers: ...
    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        if isinstance(key, slice):
            return self.take(key)
        index = range(len(self))[key]
        return self[index : index + 1].to_dicts()[0]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_dicts())

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict a row, in values that JSON can write."""
        parts: dict[str, list[Any]] = {}
        for name, column in self.columns.items():
            values = column.tolist()
            if (names := self.names.get(name)) is not None:
                if column.shape[1:] != (len(names),):  # checked once, not row by row
                    raise ValueError(f"{name!r} has {column.shape[1:]} places a row, and {len(names)} names")
                values = [dict(zip(names, row)) for row in values]  # noqa: B905
            parts[name] = values
        if len({len(values) for values in parts.values()}) > 1:
            raise ValueError("columns of answers must be of one length")
        names = tuple(parts)
        return [dict(zip(names, row)) for row in zip(*parts.values())]  # noqa: B905

    def to_frame(self, backend: str = "pyarrow") -> Any:
        """The answers as a data frame; probabilities by class become columns `probabilities.CLASS`.

        Args:
            backend: "pandas", "polars" or "pyarrow".

        Raises:
            DataError: the backend is none of these, or not installed.
        """
        import narwhals as nw

        columns: dict[str, Any] = {}
        for name, column in self.columns.items():
            if (names := self.names.get(name)) is not None:
                columns |= {f"{name}.{one}": column[:, place] for place, one in enumerate(names)}
            else:
                columns[name] = column.tolist() if column.dtype == object or column.ndim > 1 else column
        chosen: Any = backend
        try:
            return nw.from_dict(columns, backend=chosen).to_native()
        except (ImportError, ValueError) as error:
            raise DataError(f"no frame of `backend` {show(backend)} can be made here: {error}") from error

    def take(self, index: Any) -> Answers:
        """The answers at these positions."""
        return Answers({name: column[index] for name, column in self.columns.items()}, self.names)

    def finite(self) -> np.ndarray[Any, Any]:
        """Whether each answer holds neither NaN nor infinity, bool of shape (rows,); lists of numbers count too."""
        good = np.ones(len(self), bool)
        for column in self.columns.values():
            if column.dtype.kind == "f":
                good &= np.isfinite(column).reshape(len(self), -1).all(axis=1)
            elif column.dtype == object and len(column) and isinstance(column[0], list):
                lists = [[one for one in cell if isinstance(one, float)] for cell in column]
                good &= np.array([bool(np.isfinite(one).all()) for one in lists])
        return good

    def not_finite(self) -> dict[int, RowError]:
        """Why each answer that is not finite cannot be given, by position, in order."""
        odd = np.flatnonzero(~self.finite()).tolist()
        return {row: RowError(row, None, "the network gives no finite number for this row") for row in odd}

    @staticmethod
    def join(parts: Sequence[Answers]) -> Answers:
        """The answers of consecutive batches, end to end."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return Answers({name: np.concatenate([part[name] for part in parts]) for name in first.columns}, first.names)


def _cuts(steps: np.ndarray[Any, Any], steps_a_pass: float, start: int, end: int) -> list[int]:
    """Where to cut rows start to end, whose lengths fall, so that passes over the parts cost less than one over all."""
    rows = end - start
    at = np.arange(1, rows)
    first = steps[start] * (at + _ROWS_A_STEP) + steps_a_pass
    others = steps[start + 1 : end] * (rows - at + _ROWS_A_STEP) + steps_a_pass
    whole = steps[start] * (rows + _ROWS_A_STEP) + steps_a_pass
    if rows < 2 or (first + others).min() > (1 - _LEAST_SAVED) * whole:
        return []
    cut = start + 1 + int((first + others).argmin())
    return [*_cuts(steps, steps_a_pass, start, cut), cut, *_cuts(steps, steps_a_pass, cut, end)]

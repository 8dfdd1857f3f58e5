"""Sequences: gaps filled, channels standardised, all padded to the longest of the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maas.errors import FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._examples import example_number
from maas.preprocess._standard import check_statistics, mean_and_scale
from maas.schema import Columns, Schema, TensorSpec

_MOST_EXAMPLE_STEPS = 50
_MOST_EXAMPLE_NUMBERS = 100_000


@preprocess("sequence")
@dataclass(frozen=True)
class Sequence:
    """`sequence`, float32 (batch, longest steps, channels), and `sequence_lengths`, int64 (batch,).

    The mean and deviation of each channel over all steps of the training rows are taken out. Where training rows had
    missing steps, a missing one repeats the one before it; those that begin a row are the training mean. Shorter rows
    are padded with zeros at their end; the lengths say where, and networks must not let padding change an answer.

    Args:
        schema: one field of the kind "sequence", of shape (None, channels), or (steps, channels) where all rows are
            of one length.
        mean, scale: float64 of shape (channels,).
        lengths: fewest and most steps of a training row.
    """

    kind = "sequence"

    schema: Schema
    mean: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    lengths: tuple[int, int]

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        fields = schema.fields
        return len(fields) == 1 and fields[0].kind == "sequence" and len(fields[0].shape) == 2

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Sequence:
        field = schema.fields[0]
        steps = np.concatenate(list(columns[field.name]))  # (all steps, channels)
        mean, scale = np.zeros(steps.shape[1]), np.ones(steps.shape[1])
        for channel, column in enumerate(steps.T):
            present = column[~np.isnan(column)]
            if not len(present):
                continue
            name = f"channel {channel} of field {show(field.name)}"
            mean[channel], scale[channel] = mean_and_scale(present, name)
        counts = [len(one) for one in columns[field.name]]
        return cls(schema, mean, scale, (min(counts), max(counts)))

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        steps = self.schema.fields[0].shape[0]
        return {
            "sequence": TensorSpec((steps, len(self.mean)), "float32"),
            "sequence_lengths": TensorSpec((), "int64"),
        }

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        field = self.schema.fields[0]
        column = columns[field.name]
        lengths = np.array([len(one) for one in column], np.int64)
        padded = np.zeros((len(column), int(lengths.max(initial=1)), len(self.mean)), np.float32)
        errors: dict[int, RowError] = {}
        for row, one in enumerate(column):
            with np.errstate(over="ignore"):
                padded[row, : len(one)] = (self._filled(one) - self.mean) / self.scale
            if not np.isfinite(padded[row]).all():
                errors[row] = RowError(row, field.name, f"field {show(field.name)} is too large for the model")
                padded[row] = 0.0
        return {"sequence": torch.from_numpy(padded), "sequence_lengths": torch.from_numpy(lengths)}, errors

    def baselines(self) -> Mapping[str, torch.Tensor]:
        """The training mean of each channel, at every step."""
        return {"sequence": torch.zeros(1)}

    def attribute(self, columns: Columns, parts: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """A number for each channel of each step."""
        name = self.schema.names[0]
        return [{name: part[: len(one)].tolist()} for one, part in zip(columns[name], parts["sequence"], strict=True)]

    def examples(self, count: int) -> list[dict[str, Any]]:
        field = self.schema.fields[0]
        room = max(1, min(_MOST_EXAMPLE_STEPS, _MOST_EXAMPLE_NUMBERS // len(self.mean)))
        least, most = (min(one, room) for one in self.lengths)
        rows = []
        for index in range(count):
            size = field.shape[0] or least + (most - least) * index // max(1, count - 1)
            steps: list[list[float | None]] = [
                [
                    example_number(mean, scale, field.range, channel, step, index + 1)
                    for channel, (mean, scale) in enumerate(zip(self.mean, self.scale, strict=True), 1)
                ]
                for step in range(1, size + 1)
            ]
            if field.nullable and index == count - 1:
                steps[size // 2] = [None] * len(self.mean)
            rows.append({field.name: steps})
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"lengths": list(self.lengths)}, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Sequence:
        if not cls.takes(schema) or schema.fields[0].dtype != "number":
            raise FormatError("a sequence is one field of the kind sequence, numbers of shape (steps, channels)")
        field = schema.fields[0]
        check_statistics(arrays, field.shape[1:])
        lengths = state["lengths"]
        most = field.longest if field.shape[0] is None else field.shape[0]
        good = type(lengths) is list and len(lengths) == 2 and all(type(one) is int for one in lengths)
        if not good or not 0 < lengths[0] <= lengths[1] <= most:
            raise FormatError(f"lengths must be the fewest and the most steps, 1 to {most}, got {lengths!r:.100}")
        return cls(schema, arrays["mean"], arrays["scale"], (lengths[0], lengths[1]))

    def _filled(self, steps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """One row, float64 (steps, channels), each missing step as the one before it, or the mean where none is."""
        missing = np.isnan(steps)
        if not missing.any():
            return steps
        last = np.maximum.accumulate(np.where(missing, -1, np.arange(len(steps))[:, None]), axis=0)
        filled = np.take_along_axis(steps, np.maximum(last, 0), axis=0)
        return np.where(last < 0, self.mean, filled)

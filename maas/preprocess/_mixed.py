"""Mixed rows: an image, a text or a sequence beside table fields, each part by its own preprocessing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, Explains, Learner, Preprocess, find, for_schema, from_state, preprocess
from maas.preprocess._table import KINDS
from maas.schema import Columns, Schema, TensorSpec

TABLE = "table"
BETWEEN = "__"


@dataclass(frozen=True)
class MixedOptions:
    """How the parts of mixed rows are to be read: what `Mixed.with_options` makes, for `maas.fit(preprocess=...)`.

    Args:
        parts: by part, its preprocessing; the others are read as they are by themselves.

    Raises:
        DataError: one is no preprocessing.
    """

    parts: Mapping[str, Learner]

    def __post_init__(self) -> None:
        for name, learner in self.parts.items():
            if not callable(getattr(learner, "learn", None)):
                raise DataError(
                    f"the part {show(name)} must be a preprocessing, as Text.with_options(), got {show(learner)}"
                )

    def learn(self, schema: Schema, columns: Columns) -> Mixed:
        """Learn each part from training rows, and only from them.

        Raises:
            DataError: the rows have no such part, are not mixed, or a part cannot be learned.
        """
        wanted = parts_of(schema)
        if len(wanted) < 2:
            raise DataError(
                f"mixed rows have fields of several kinds, these have {', '.join(map(show, schema.names))} of one; "
                f"leave `preprocess` out, or give that of the kind"
            )
        if unknown := [name for name in self.parts if name not in wanted]:
            raise DataError(f"these rows have no part {show(unknown[0])}, they have {', '.join(wanted)}")
        learned = {}
        for name, part in wanted.items():
            learner = self.parts[name] if name in self.parts else for_schema(part)
            takes: Any = getattr(learner, "takes", None)  # a class has it, one of a user's with options may not
            if takes is not None and not takes(part):
                fields = ", ".join(f"{show(field.name)} ({field.kind})" for field in part.fields)
                raise DataError(f"the preprocessing given for the part {show(name)} does not take its fields: {fields}")
            learned[name] = learner.learn(part, {field: columns[field] for field in part.names})
        return Mixed(schema, learned)


@preprocess("mixed")
@dataclass(frozen=True)
class Mixed:
    """The tensors of several parts of a row, each called by its part: `photo__image`, `note__tokens`, `table__x`.

    All numeric, boolean and categorical fields are the part `table`; every other field is a part of its own, called as
    the field is, what no identifier may hold replaced by "_". Of a row that several parts refuse the first one's reason
    is told.

    Use `Mixed.learn`, or `Mixed.with_options(photo=Image.with_options(size=32))` as `maas.fit(..., preprocess=...)`.

    Args:
        schema: the fields, in order.
        parts: by part, in the order of `parts_of(schema)`, what was learned.
    """

    kind = "mixed"

    schema: Schema
    parts: Mapping[str, Preprocess]

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        parts = parts_of(schema)
        return len(parts) > 1 and all(find(part) is not None for part in parts.values())

    @staticmethod
    def with_options(**parts: Learner) -> MixedOptions:
        """This preprocessing with that of some parts given: `Mixed.with_options(note=Text.with_options(longest=50))`.

        Args:
            parts: by part, a preprocessing class, or one with options.
        """
        return MixedOptions(parts)

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Mixed:
        return MixedOptions({}).learn(schema, columns)

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return {
            f"{name}{BETWEEN}{output}": spec
            for name, part in self.parts.items()
            for output, spec in part.outputs.items()
        }

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        tensors: dict[str, torch.Tensor] = {}
        errors: dict[int, RowError] = {}
        for name, schema in parts_of(self.schema).items():
            found, wrong = self.parts[name].apply({field: columns[field] for field in schema.names})
            tensors |= {f"{name}{BETWEEN}{output}": tensor for output, tensor in found.items()}
            errors = {**wrong, **errors}
        return tensors, errors

    def baselines(self) -> Mapping[str, torch.Tensor]:
        """Those of every part.

        Raises:
            DataError: a part cannot be explained.
        """
        return {
            f"{name}{BETWEEN}{tensor}": value
            for name in self.parts
            for tensor, value in self._explaining(name).baselines().items()
        }

    def attribute(self, columns: Columns, parts: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """What each part says of its fields."""
        rows: list[dict[str, Any]] = [{} for _ in columns[self.schema.names[0]]]
        for name, schema in parts_of(self.schema).items():
            start = f"{name}{BETWEEN}"
            own = {tensor.removeprefix(start): part for tensor, part in parts.items() if tensor.startswith(start)}
            found = self._explaining(name).attribute({field: columns[field] for field in schema.names}, own)
            for row, fields in zip(rows, found, strict=True):
                row |= fields
        return [{name: row[name] for name in self.schema.names} for row in rows]

    def _explaining(self, name: str) -> Explains:
        part = self.parts[name]
        if not isinstance(part, Explains):
            raise DataError(
                f"the part {show(name)} cannot be explained: its preprocessing {part.kind!r} does not say how its "
                f"tensors lead back to fields; leave the part out, or ask for no explanation"
            )
        return part

    def examples(self, count: int) -> list[dict[str, Any]]:
        parts = [part.examples(count) for part in self.parts.values()]
        merged = [{name: value for one in row for name, value in one.items()} for row in zip(*parts, strict=True)]
        return [{name: row[name] for name in self.schema.names} for row in merged]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        states: dict[str, Any] = {}
        arrays: dict[str, np.ndarray[Any, Any]] = {}
        for name, part in self.parts.items():
            state, learned = part.state()
            states[name] = {"kind": part.kind, "state": state}
            arrays |= {f"{name}.{array}": values for array, values in learned.items()}
        return {"parts": states}, arrays

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Mixed:
        wanted, stored = parts_of(schema), state.get("parts")
        if len(wanted) < 2:
            raise FormatError("mixed rows have fields of several kinds")
        if set(state) != {"parts"} or type(stored) is not dict or set(stored) != set(wanted):
            raise FormatError(f"the parts of these mixed rows are {', '.join(wanted)}, got {show(stored)}")
        own: dict[str, dict[str, np.ndarray[Any, Any]]] = {name: {} for name in wanted}
        for array, values in arrays.items():
            name, _, rest = array.partition(".")
            if name not in own:
                raise FormatError(f"preprocessing array {show(array)} is of no part; they are {', '.join(wanted)}")
            own[name][rest] = values
        parts = {}
        for name, part in wanted.items():
            one = stored[name]
            if type(one) is not dict or set(one) != {"kind", "state"} or type(one["kind"]) is not str:
                raise FormatError(f"the part {show(name)} must be {{kind: string, state: object}}, got {show(one)}")
            if type(one["state"]) is not dict:
                raise FormatError(f"the state of the part {show(name)} must be an object, got {show(one['state'])}")
            parts[name] = from_state(one["kind"], part, one["state"], own[name])
        return cls(schema, parts)


def parts_of(schema: Schema) -> dict[str, Schema]:
    """The parts of a row by name, in the order of their first fields. Names differ, and hold no "__" and no "."."""
    named: dict[str, Schema] = {}
    table = tuple(field for field in schema.fields if field.kind in KINDS)
    for field in schema.fields:
        if field in table:
            named.setdefault(TABLE, Schema(table))
            continue
        plain = re.sub(r"[\W_]+", "_", field.name).strip("_")
        plain = plain if plain.isidentifier() else f"part_{plain}".strip("_")
        name, count = plain, 1
        while name in named or name == TABLE:
            count += 1
            name = f"{plain}_{count}"
        named[name] = Schema((field,))
    return named

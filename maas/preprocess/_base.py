"""What a preprocessing is, and the register of those there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.schema import Columns, Schema, TensorSpec

ENTRY_POINTS = "maas.preprocess"
Arrays = Mapping[str, np.ndarray[Any, Any]]


class Preprocess(Protocol):
    """Columns in, tensors out, by what was learned on training rows. Serialisable as JSON and arrays."""

    kind: ClassVar[str]

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        """Whether this preprocessing is the one for these fields."""
        ...

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Preprocess:
        """Learn from training rows, and only from them."""
        ...

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """The tensors it makes. Their names are parameter names of the network's `forward`."""
        ...

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        """Tensors of the rows, the first axis counting them, and errors by row for what cannot be decoded.

        The tensors of a row in error hold placeholders.
        """
        ...

    def examples(self, count: int) -> list[dict[str, Any]]:
        """Made-up rows as a client would send them, within what training rows showed; the same each time."""
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        """All that was learned, as JSON and arrays."""
        ...

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Preprocess:
        """The inverse of `state`. Raises FormatError for a state that this class did not write."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A preprocessing whose tensors lead back to the fields of a row, so that answers can be explained."""

    def baselines(self) -> Mapping[str, torch.Tensor]:
        """By tensor what stands for knowing nothing, of a shape that broadcasts to it; lengths and the like are left
        out."""
        ...

    def attribute(self, columns: Columns, parts: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """What each number of the tensors adds to an answer, as what each field of a row adds, in JSON values.

        Args:
            columns: the rows.
            parts: by tensor of `baselines`, float of the shape that `apply` gave it; padding may be left off.
        """
        ...


class Learner(Protocol):
    """What gives a preprocessing: its class, or one with options, as `maas.preprocess.Text.with_options(...)` gives."""

    def learn(self, schema: Schema, columns: Columns) -> Preprocess:
        """Learn from training rows, and only from them."""
        ...


_REGISTER: dict[str, type[Preprocess]] = {}
_Class = TypeVar("_Class", bound=type)


def preprocess(kind: str) -> Callable[[_Class], _Class]:
    """Register a preprocessing class under the name that artifacts store.

    An installed package can register without being imported first, through an entry point of the group
    "maas.preprocess" that has the kind's name.

    Raises:
        DataError: another class has the name.
    """

    def register(cls: _Class) -> _Class:
        other = _REGISTER.get(kind)
        # A class of the same name from the same module is the same one, imported again.
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise DataError(f"the preprocessing {kind!r} is taken by {other.__module__}.{other.__qualname__}")
        cls.kind = kind  # type: ignore[attr-defined]
        _REGISTER[kind] = cls
        return cls

    return register


def find(schema: Schema) -> type[Preprocess] | None:
    """The preprocessing that takes these fields, if there is one; those of installed packages come last."""
    for cls in _REGISTER.values():
        if cls.takes(schema):
            return cls
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name not in _REGISTER:
            entry.load()
            if entry.name in _REGISTER and _REGISTER[entry.name].takes(schema):
                return _REGISTER[entry.name]
    return None


def for_schema(schema: Schema) -> type[Preprocess]:
    """The preprocessing that takes these fields.

    Raises:
        DataError: there is none.
    """
    if (found := find(schema)) is not None:
        return found
    kinds = ", ".join(sorted({field.kind for field in schema.fields}))
    raise DataError(f"no preprocessing takes fields of the kinds {kinds}; give one with `preprocess=`")


def from_state(kind: str, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Preprocess:
    """Rebuild a stored preprocessing.

    Raises:
        FormatError: no such kind is registered, or the state is not one of its.
    """
    if kind not in _REGISTER:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()
    if kind not in _REGISTER:
        raise FormatError(
            f"unknown preprocessing {show(kind)}; registered are {', '.join(sorted(_REGISTER))}; import the module "
            f"that registers it with @maas.preprocess.preprocess({show(kind)})"
        )
    return _REGISTER[kind].from_state(schema, state, arrays)

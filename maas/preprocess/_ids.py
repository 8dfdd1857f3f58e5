"""A user and an item to their numbers, for ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from maas.errors import FormatError, RowError
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._names import names_from_arrays, names_to_arrays
from maas.schema import Columns, Schema, TensorSpec


@preprocess("ids")
@dataclass(frozen=True)
class Ids:
    """`user` and `item`, int64 (batch,): the numbers of those seen in training, from 1; 0 for any other.

    The names stand in the artifact's arrays, not in the description.

    Args:
        schema: two fields of the kinds user and item.
        users, items: the names, in the order of their numbers.
    """

    kind = "ids"

    schema: Schema
    users: tuple[str, ...]
    items: tuple[str, ...]

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        wanted = [("user", "label", (), False), ("item", "label", (), False)]
        return [(one.kind, one.dtype, one.shape, one.nullable) for one in schema.fields] == wanted

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Ids:
        users, items = (tuple(dict.fromkeys(columns[name].tolist())) for name in schema.names)
        return cls(schema, users, items)

    @cached_property
    def _places(self) -> tuple[dict[str, int], dict[str, int]]:
        users, items = ({name: place for place, name in enumerate(names, 1)} for names in (self.users, self.items))
        return users, items

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return {
            "user": TensorSpec((), "int64", len(self.users) + 1),
            "item": TensorSpec((), "int64", len(self.items) + 1),
        }

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        found = {}
        for output, name, places in zip(("user", "item"), self.schema.names, self._places, strict=True):
            found[output] = torch.tensor([places.get(one, 0) for one in columns[name]], dtype=torch.int64)
        return found, {}

    def examples(self, count: int) -> list[dict[str, Any]]:
        """An unknown user with items that are spread over those known: no user is named."""
        user, item = self.schema.names
        places = [index * (len(self.items) - 1) // max(1, count - 1) for index in range(count)]
        return [{user: "", item: self.items[place]} for place in reversed(places)]

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {}, {**names_to_arrays("users", self.users), **names_to_arrays("items", self.items)}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Ids:
        if not cls.takes(schema):
            raise FormatError("ids are a user and an item, labels that are never null")
        users, items = names_from_arrays("users", arrays), names_from_arrays("items", arrays)
        if not users or not items:
            raise FormatError("ids need at least one user and one item")
        return cls(schema, users, items)

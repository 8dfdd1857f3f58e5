"""Users and the items they touched, as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._content import Content
from maas.preprocess._examples import spread
from maas.preprocess._names import check_ends, names_from_arrays, names_to_arrays
from maas.schema import Columns, Schema, TensorSpec, suggestion

_WANTED = [("user", "label", ()), ("items", "label", (None,)), ("item", "label", ())]


class ItemTable(Protocol):
    """A table of items, as `maas.data.read_items` gives."""

    @property
    def schema(self) -> Schema: ...
    @property
    def columns(self) -> Columns: ...


@dataclass(frozen=True)
class InteractionOptions:
    """How interactions are to be read; `Interactions.with_options` makes one, and `maas.fit(preprocess=...)` takes it.

    Args:
        items: a table of items, for networks that recommend by content.

    Raises:
        DataError: `items` is something else.
    """

    items: ItemTable | None = None

    def __post_init__(self) -> None:
        if self.items is not None and not isinstance(getattr(self.items, "schema", None), Schema):
            found = type(self.items).__name__
            raise DataError(f"`items` must be a table of items, got {found}; read it with maas.data.read_items")

    def takes(self, schema: Schema) -> bool:
        """Whether this preprocessing is the one for these fields."""
        return Interactions.takes(schema)

    def learn(self, schema: Schema, columns: Columns) -> Interactions:
        """Keep who touched what, and what the items are like."""
        plain = Interactions.learn(schema, columns)
        if self.items is None:
            return plain
        content = Content.learn(self.items.schema, self.items.columns, plain.items)
        return Interactions(schema, plain.users, plain.ends, plain.touched, content)


@preprocess("interactions")
@dataclass(frozen=True)
class Interactions:
    """A user, a list of items, or one item, to the numbers of users and items.

    - `user`, int64 (batch,): the number of a known user, from 1; 0 for anyone else.
    - `history`, int64 (batch, longest): the numbers of the items that the row names or that the user touched in
      training, its validation part included once training is over, from 0, in rising order and each once, padded
      with 0; `history_lengths`, int64 (batch,), from 1.
    - `content`, float32 (batch, items), where there is a table of items: how like the history each item is.

    A row has `user`, or `items`, or both (then the items stand in for what is known of the user, who may be new), or
    `similar_to` alone. A user who is not known and comes without items is refused, and so is an unknown item.

    The artifact holds who touched what in training, in arrays and not in the description: whoever has the artifact can
    read it, and whoever may ask the model can ask about a user.

    Use `Interactions.learn`.

    Args:
        schema: fields of the kinds user, items and item, as `maas.data.read_interactions` gives; all items there are
            stand in the second one's `values`.
        users: the known users.
        ends: int64 of shape (users + 1,): those of each user in `touched`.
        touched: int64, the numbers of the items, rising for each user.
        content: what the items are like.
    """

    kind: ClassVar[str] = "interactions"

    schema: Schema
    users: tuple[str, ...]
    ends: np.ndarray[Any, Any]
    touched: np.ndarray[Any, Any]
    content: Content | None = None

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        return [(one.kind, one.dtype, one.shape) for one in schema.fields] == _WANTED and bool(schema.fields[1].values)

    @staticmethod
    def with_options(*, items: ItemTable | None = None) -> InteractionOptions:
        """This preprocessing, told how: `maas.fit(..., preprocess=Interactions.with_options(items=table))`.

        Args: those of `InteractionOptions`.
        """
        return InteractionOptions(items)

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Interactions:
        if not cls.takes(schema):
            raise DataError("interactions have a user, items and an item; read them with maas.data.read_interactions")
        user, items, _ = schema.names
        known: dict[str, np.ndarray[Any, Any]] = {}
        places = {name: place for place, name in enumerate(schema[items].values or ())}
        for one, named in zip(columns[user], columns[items], strict=True):
            if one is not None and named is not None:
                if odd := [name for name in named if name not in places]:
                    raise DataError(f"item {show(odd[0])} is not among the schema's items")
                if one in known:
                    raise DataError(f"user {show(one)} has more than one row")
                known[one] = np.unique(np.array([places[name] for name in named], np.int64))
        ends = np.cumsum([0, *map(len, known.values())], dtype=np.int64)
        touched = np.concatenate([np.zeros(0, np.int64), *known.values()])
        return cls(schema, tuple(known), ends, touched)

    def knowing(self, columns: Columns, more: np.ndarray[Any, Any]) -> Interactions:
        """The same, where the users known have touched further items too, `longest` of the schema at most.

        Args:
            columns: rows, as for `learn`; those of users who are not known are passed over.
            more: further items of each row, tuples of names.
        """
        if not self.users:
            return self
        user, items, _ = self.schema.names
        parts = np.split(self.touched, self.ends[1:-1])
        for one, named, others in zip(columns[user], columns[items], more, strict=True):
            if one in self._user_places:
                place = self._user_places[one]
                asked = [self._item_places[name] for name in (*(named or ()), *others) if name in self._item_places]
                added = np.setdiff1d(np.array(asked, np.int64), parts[place])
                room = self.schema[items].longest - len(parts[place])
                parts[place] = np.sort(np.concatenate([parts[place], added[:room]]))
        ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return replace(self, ends=ends, touched=np.concatenate(parts))

    @property
    def items(self) -> tuple[str, ...]:
        """The names of the items, in the order of their numbers."""
        return self.schema.fields[1].values or ()

    @cached_property
    def _user_places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.users)}

    @cached_property
    def _item_places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.items)}

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        found = {
            "user": TensorSpec((), "int64", len(self.users) + 1),
            "history": TensorSpec((None,), "int64", len(self.items)),
            "history_lengths": TensorSpec((), "int64"),
        }
        if self.content is not None:
            found["content"] = TensorSpec((len(self.items),), "float32")
        return found

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        named = [columns[name] for name in self.schema.names]
        length = len(named[0])
        users = np.zeros(length, np.int64)
        histories = [np.zeros(1, np.int64)] * length
        errors: dict[int, RowError] = {}
        for row, (user, items, like) in enumerate(zip(*named, strict=True)):
            try:
                users[row], histories[row] = self._numbers(row, user, items, like)
            except RowError as error:
                errors[row] = error.with_traceback(None)  # whose frames would hold it, and all rows
        lengths = np.array([len(history) for history in histories], np.int64)
        history = np.zeros((length, max(lengths, default=1)), np.int64)
        for row, one in enumerate(histories):
            history[row, : len(one)] = one
        arrays = {"user": users, "history": history, "history_lengths": lengths}
        if self.content is not None:
            arrays["content"] = self.content.likeness(histories)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}, errors

    def _numbers(
        self, row: int, user: str | None, items: tuple[str, ...] | None, like: str | None
    ) -> tuple[int, np.ndarray[Any, Any]]:
        """The user's number and the history of one row; a RowError says why it has none."""
        names = self.schema.names
        if like is not None and (user is not None or items is not None):
            raise RowError(row, names[2], f"field {show(names[2])} must stand alone, without {names[0]} and {names[1]}")
        if like is None and user is None and items is None:
            raise RowError(row, names[0], f"a row must have {names[0]}, {names[1]} or {names[2]}, got none of them")
        number = 0 if user is None else self._user_places.get(user, -1) + 1
        if like is not None or items is not None:
            field, asked = (names[2], (like,)) if like is not None else (names[1], items or ())
            found = [self._item_places.get(one, -1) for one in asked]
            if -1 in found:
                odd = asked[found.index(-1)]
                hint = suggestion(odd, self.items)
                raise RowError(row, field, f"field {show(field)} has the unknown item {show(odd)}{hint}")
            return number, np.unique(np.array(found, np.int64))
        if not number:
            raise RowError(
                row,
                names[0],
                f"field {show(names[0])} has the unknown user {show(user)}; give what they like as {show(names[1])}",
            )
        return number, self.touched[self.ends[number - 1] : self.ends[number]]

    def examples(self, count: int) -> list[dict[str, Any]]:
        """Lists of items, longer from row to row, and one item: no user is named."""
        _, items, similar_to = self.schema.names
        last = len(self.items) - 1
        rows: list[dict[str, Any]] = []
        for index in range(count):
            places = [int(spread(index + 1, place + 1) * (last + 1)) for place in range(1 + 2 * index)]
            if index == 0:  # the greatest number, which a network with too few items has no place for
                rows.append({items: [self.items[last]]})
            elif index == 1:
                rows.append({similar_to: self.items[places[0]]})
            else:
                rows.append({items: [self.items[place] for place in dict.fromkeys(places)]})
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        arrays = {**names_to_arrays("users", self.users), "ends": self.ends, "touched": self.touched}
        if self.content is None:
            return {"content": None}, arrays
        state, more = self.content.state()
        return {"content": state}, {**arrays, **more}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Interactions:
        if not cls.takes(schema) or not all(field.optional for field in schema.fields):
            raise FormatError("interactions have three optional fields: a user, items with all their names, an item")
        names = schema.fields[1].values or ()
        if len(set(names)) < len(names):
            raise FormatError("the schema names an item twice")
        users = names_from_arrays("users", arrays)
        ends, touched = arrays["ends"], arrays["touched"]
        if touched.dtype != np.int64 or touched.ndim != 1:
            raise FormatError("preprocessing array 'touched' must be int64 of one axis")
        if len(touched) and not 0 <= touched.min() <= touched.max() < len(names):
            raise FormatError("preprocessing array 'touched' holds the number of no item")
        check_ends("ends", ends, len(touched))
        if len(ends) != len(users) + 1 or (np.diff(ends) < 1).any():
            raise FormatError("preprocessing array 'ends' must have at least one item for each user")
        lengths = np.diff(ends)
        rising = np.delete(np.diff(touched) > 0, ends[1:-1] - 1)
        if (lengths > schema.fields[1].longest).any() or not rising.all():
            raise FormatError("preprocessing array 'touched' must rise for each user, who may touch `longest` items")
        content = None if state["content"] is None else Content.from_state(state["content"], arrays, len(names))
        return cls(schema, users, ends, touched, content)

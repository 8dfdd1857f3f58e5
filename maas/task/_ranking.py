"""The best few items for a user, a list of items, or an item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, ranking_scores
from maas.nn import ItemNeighbours, Popularity
from maas.preprocess import Interactions, Preprocess
from maas.schema import Columns, Schema
from maas.task._answers import Answers, Batch, rows_that_fit
from maas.task._base import Arrays, Target, Task, task
from maas.task._ranking_loss import LOSSES, MASKED, touched

_MOST_TOP = 1000
_MOST_SCORES = 1 << 24  # numbers at once: bounds the memory of an answer over many items


@task("ranking")
@dataclass(frozen=True)
class Ranking(Task):
    """The best items, without those that the row names or that its user touched in training.

    The network gives a score for each item. Answers have `items`, at most `top` of them, best first, and their
    `scores`; fewer where fewer are left. Items of equal score stand in the order of their numbers.

    Only the second part of a split can be scored: the rows of the first name the items that they are to find, and what
    a row names is never answered.

    Args:
        items: all items, in the order of their numbers, as the schema has them.
        top: how many an answer has.
        loss, negatives: as in `Ranking.with_options`; only learning needs them.
    """

    kind = "ranking"

    items: tuple[str, ...]
    top: int = 10
    loss_name: str = "bpr"
    negatives: int = 1

    @staticmethod
    def with_options(*, top: int = 10, loss: str = "bpr", negatives: int = 1) -> RankingOptions:
        """This task, told how: `maas.fit(..., task=Ranking.with_options(top=20, loss="softmax"))`.

        Args: those of `RankingOptions`.
        """
        return RankingOptions(top, loss, negatives)

    @classmethod
    def learn(cls, target: Target, name: str, schema: Schema) -> Ranking:
        return RankingOptions().learn(target, name, schema)

    @property
    def num_outputs(self) -> int:
        return len(self.items)

    def remembering(self, preprocess: Preprocess, columns: Columns, truth: Target) -> Preprocess:
        """What users touched in the validation part they have, and are not to be recommended."""
        return preprocess.knowing(columns, truth) if isinstance(preprocess, Interactions) else preprocess

    def encode(self, target: Target) -> torch.Tensor:
        """Numbers of each row's items, int32 (rows, most), rising, padded with the number of items."""
        places = {item: place for place, item in enumerate(self.items)}
        encoded = np.full((len(target), max(map(len, target), default=1)), len(self.items), np.int32)
        for row, items in enumerate(target):
            numbers = [places.get(item, -1) for item in items]
            if -1 in numbers:
                raise DataError(f"item {show(items[numbers.index(-1)])} is not among the items that the model knows")
            encoded[row, : len(numbers)] = sorted(numbers)
        return torch.from_numpy(encoded)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of each row; see `RankingOptions`."""
        assert batch.target is not None
        return LOSSES[self.loss_name](network, batch, len(self.items), self.negatives)

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        size = max(1, _MOST_SCORES // len(self.items))
        for start in range(0, len(batch), size):
            part = batch[start : start + size]
            scores = network(**part.inputs).float()  # (part, items)
            # What is not finite must show in an answer, for that is then refused; -inf is what is left out.
            scores = scores.nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=float("inf"))
            rows, items = touched(part)
            scores[rows, items] = MASKED
            yield self._answers(*best(scores, min(self.top, len(self.items))))

    def _answers(self, scores: torch.Tensor, places: torch.Tensor) -> Answers:
        lists, found = np.empty(len(scores), object), np.empty(len(scores), object)
        for row, (values, numbers) in enumerate(zip(scores.cpu().tolist(), places.cpu().tolist(), strict=True)):
            kept = sum(value > MASKED for value in values)
            lists[row], found[row] = [self.items[number] for number in numbers[:kept]], values[:kept]
        return Answers({"items": lists, "scores": found})

    def check_test(self, schema: Schema, columns: Columns, truth: Target) -> None:
        """What a row names is never answered: a row that names what it is to find would score 0, whatever the model."""
        name = next((field.name for field in schema.fields if field.kind == "items"), None)
        for row, (named, wanted) in enumerate(zip(columns[name] if name else (), truth, strict=bool(name))):
            if both := set(wanted).intersection(named or ()):
                raise DataError(
                    f"row {row} is to find {show(min(both))}, which its {show(name)} name, and what a row names is "
                    f"never answered; score the second part of `rows.split(...)`, or rows whose {show(name)} are None"
                )

    def score(self, answers: Answers, truth: Target) -> Scores:
        if not all(map(len, truth)):
            raise DataError("a row has no item to find: a user without held-out items cannot be scored")
        return ranking_scores(truth.tolist(), answers["items"].tolist(), self.top, len(self.items))

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        """What is popular, and the neighbours of each item by cosine."""
        seen = Interactions.learn(schema, train)
        found = {}
        sizes = len(seen.users), len(self.items)
        with torch.inference_mode():
            for name, network in (("popularity", Popularity(*sizes)), ("item cosine", ItemNeighbours(*sizes))):
                network.solve(lambda: _parts(seen, train))
                found[name] = self.join(answers for part in _parts(seen, test) for answers in self.run(network, part))
        return found

    def meaning(self) -> dict[str, Any]:
        answer = (
            "a score for each of the schema's items, in their order; those in the row's history are left out, then the "
            "`top` greatest are the items, of equals the first"
        )
        return {"apply": None, "answer": answer}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"top": self.top}, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema) -> Ranking:
        try:
            return cls(_items(schema), RankingOptions(top=state["top"]).top)
        except DataError as error:
            raise FormatError(str(error)) from error


@dataclass(frozen=True)
class RankingOptions:
    """How a ranking is to be learned and answered; `maas.fit(task=...)` takes it.

    Args:
        top: how many items an answer has.
        loss: for networks that learn by gradient, the mean over the items that a row is to find.
            "bpr": -log sigmoid of the difference to an item drawn from those the user did not touch (Rendle et al.
            2009). "pointwise": logistic, 1 for the item and 0 for one drawn so (He et al. 2017). "softmax": -log of
            the item's share among all items (Liang et al. 2018); its cost grows with the number of items.
        negatives: items drawn for each one to find.

    Raises:
        DataError: an option is out of its range.
    """

    top: int = 10
    loss: str = "bpr"
    negatives: int = 1

    kind: ClassVar[str] = Ranking.kind

    def __post_init__(self) -> None:
        for name in ("top", "negatives"):
            value = getattr(self, name)
            if type(value) is not int or not 0 < value <= _MOST_TOP:
                raise DataError(f"`{name}` must be an integer from 1 to {_MOST_TOP}, got {show(value)}")
        if not isinstance(self.loss, str) or self.loss not in LOSSES:
            raise DataError(f"`loss` must be one of {', '.join(LOSSES)}, got {show(self.loss)}")

    def learn(self, target: Target, name: str, schema: Schema) -> Ranking:
        """Take the items from the schema."""
        return Ranking(_items(schema), self.top, self.loss, self.negatives)


def best(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The greatest scores of each row and their places, (batch, count), falling; of equals the first places.

    `torch.topk` alone does not say which of equals it takes.
    """
    least = scores.topk(count, dim=1).values[:, -1:]
    above, level = scores > least, scores == least
    room = count - above.sum(dim=1, keepdim=True)
    places = (above | (level & (level.cumsum(dim=1) <= room))).nonzero()[:, 1].view(len(scores), count)
    ordered = scores.gather(1, places).sort(dim=1, descending=True, stable=True)
    return ordered.values, places.gather(1, ordered.indices)


def _parts(seen: Interactions, columns: Columns) -> Iterator[Batch]:
    """The rows, prepared a few at a time: a history is padded to the longest beside it."""
    _, items, _ = seen.schema.names
    size = rows_that_fit(torch.int64.itemsize * seen.schema[items].longest)
    for start in range(0, len(columns[items]), size):
        yield Batch(seen.apply({name: column[start : start + size] for name, column in columns.items()})[0])


def _items(schema: Schema) -> tuple[str, ...]:
    for field in schema.fields:
        if field.kind == "items" and field.values:
            return field.values
    raise DataError("a ranking needs a field of items with all their names; use maas.data.read_interactions")

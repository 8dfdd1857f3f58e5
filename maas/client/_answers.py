"""What a served model answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from maas.errors import ClientError, RequestRefused

if TYPE_CHECKING:
    import numpy as np

RowErrors = list[dict[str, Any]]


class Prediction(dict[str, Any]):
    """The answer to one row, equal to what the model answers in process.

    Attributes:
        model: name, version and digest of the model that answered.
    """

    model: Mapping[str, str]

    def __init__(self, answer: Mapping[str, Any], model: Mapping[str, str]) -> None:
        super().__init__(answer)
        self.model = model


class Predictions(list[Prediction]):
    """The answers to many rows, in order; `predictions["label"]` is the column of all labels.

    Args:
        answers: one a row.
        backend: of `to_frame`: "pandas", "polars" or "pyarrow".
    """

    def __init__(self, answers: Iterable[Prediction], backend: str = "pyarrow") -> None:
        super().__init__(answers)
        self._backend = backend

    @property
    def model(self) -> Mapping[str, str]:
        """Name, version and digest of the model that answered last. During a release there may be two: `models`."""
        return self[-1].model if self else {}

    @property
    def models(self) -> list[Mapping[str, str]]:
        """The models that answered, in order: more than one where a release came between."""
        return list({tuple(sorted(answer.model.items())): answer.model for answer in self}.values())

    @overload  # type: ignore[override]
    def __getitem__(self, key: int) -> Prediction: ...
    @overload
    def __getitem__(self, key: slice) -> Predictions: ...
    @overload
    def __getitem__(self, key: str) -> np.ndarray[Any, Any]: ...
    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            from maas.client._arrays import column

            return column([answer[key] for answer in self])
        found = super().__getitem__(key)
        return Predictions(found, self._backend) if isinstance(key, slice) else found

    def to_frame(self, backend: str | None = None) -> Any:
        """The answers as a data frame; probabilities by class become columns `probabilities.CLASS`.

        Args:
            backend: "pandas", "polars" or "pyarrow"; by default that of the frame which was asked about, else pyarrow.

        Raises:
            ClientError: the backend is not installed.
        """
        import narwhals as nw

        columns: dict[str, list[Any]] = {}
        for place, answer in enumerate(self):
            for name, value in _flat(answer):
                columns.setdefault(name, [None] * len(self))[place] = value
        chosen: Any = backend or self._backend
        try:
            return nw.from_dict(columns, backend=chosen).to_native()
        except (ImportError, ValueError) as error:
            raise ClientError(f"no frame of backend {chosen!r} can be made here: {error}") from error


def _flat(answer: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in answer.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", one) for key, one in value.items())
        else:
            yield name, value


def answers_of(body: Mapping[str, Any]) -> Prediction | Predictions:
    """The answers in the body of a response.

    Raises:
        KeyError: it is none.
    """
    model = body["model"]
    if "predictions" in body:
        return Predictions(Prediction(answer, model) for answer in body["predictions"])
    return Prediction({name: value for name, value in body.items() if name != "model"}, model)


class Collected:
    """Answers and errors of chunks, put together in order."""

    def __init__(self) -> None:
        self._answers: list[Prediction | None] = []
        self._errors: RowErrors = []
        self._refused: RequestRefused | None = None

    def add(self, answers: Sequence[Prediction | None], errors: RowErrors, refused: RequestRefused | None) -> None:
        self._answers += answers
        self._errors += errors
        self._refused = self._refused or refused

    def result(self, backend: str) -> Predictions:
        """All answers.

        Raises:
            RequestRefused: a row has none; `.problem` holds `errors` and the other rows' `predictions`.
        """
        if self._refused is None:
            return Predictions([answer for answer in self._answers if answer is not None], backend)
        first = self._errors[0]
        rows = len(self._answers)
        detail = f"{len(self._errors)} of {rows} rows cannot be answered; row {first['row']}: {first['detail']}"
        found = {"row": first["row"], "field": first["field"], "errors": self._errors, "predictions": self._answers}
        raise RequestRefused(self._refused.status, {**self._refused.problem, "detail": detail, **found})

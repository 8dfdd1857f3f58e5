"""Every error a user can meet, drawn as a tree.

    MaasError
    |- DataError (ValueError)              the data cannot be used as it is
    |  `- RowError                         one row, and in it one field, cannot be used
    |- DivergedError (ArithmeticError)     training met a loss or a gradient that is not finite
    |- RunError (ValueError)               the folder of a training run cannot be used, or gone on with
    |- CompressionError (ValueError)       a model cannot be made smaller within the loss that is allowed
    |- ExportError (ValueError)            a model cannot be written in another format, or answers otherwise in it
    |- RecipeError (ValueError)            a network cannot be described or built from these arguments
    |- ArtifactError (ValueError)          a stored model cannot be used
    |  |- IntegrityError                   its bytes are not those that were saved
    |  |- FormatError                      its bytes are whole, what they say is not
    |  |- SignatureError                   it is not signed by a key that is trusted
    |  `- SkewError                        it answers its golden rows differently here
    |- RegistryError (ValueError)          a registry, or a version in it, cannot be used
    |- ArchiveError (ValueError)           a `.mar` cannot be written or trusted
    |- ServingError (RuntimeError)         TorchServe cannot be started, or a model in it
    `- ClientError (RuntimeError)          a server did not answer with a prediction
       |- RequestRefused                   it read the request and refused it (4xx)
       `- ServerUnavailable (also ConnectionError)   it cannot answer now (5xx, reset, time-out)

Each message names the thing, what was found, what is wanted and the remedy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class MaasError(Exception):
    """The root: `except maas.MaasError` catches whatever this library raises on purpose."""


class DataError(MaasError, ValueError):
    """The data cannot be used as it is."""


class RowError(DataError):
    """One row cannot be used; its neighbours can.

    Args:
        row: position of the row, counted from 0.
        field: name of the field at fault, or None when the row as a whole is.
        detail: what was found and what is wanted.
    """

    def __init__(self, row: int, field: str | None, detail: str) -> None:
        super().__init__(f"row {row}: {detail}")
        self.row = row
        self.field = field
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.row, self.field, self.detail)

    def at(self, row: int) -> RowError:
        """The same error, for a row that stands at another position."""
        return RowError(row, self.field, self.detail)


class DivergedError(MaasError, ArithmeticError):
    """A loss or a gradient is not finite, and the policy is not to skip such steps.

    Args:
        step: counted from 1, from the start of the run.
        epoch: counted from 1.
        learning_rate: of that step.
        rows: positions, among the rows given for training, of those that the step learned from.
        detail: what was not finite.
    """

    def __init__(self, step: int, epoch: int, learning_rate: float, rows: Sequence[int], detail: str) -> None:
        shown = ", ".join(map(str, rows[:8])) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
        super().__init__(
            f"training diverged in step {step}, of epoch {epoch}: {detail}, at a learning rate of "
            f"{learning_rate:g}{f', on rows {shown}' if rows else ''}; try a lower learning_rate, `clip_norm`, or "
            f'non_finite="skip" if such rows are rare'
        )
        self.step = step
        self.epoch = epoch
        self.learning_rate = learning_rate
        self.rows = list(rows)
        self.detail = detail

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.step, self.epoch, self.learning_rate, self.rows, self.detail)


class RunError(MaasError, ValueError):
    """The folder of a training run cannot be used, or the run in it cannot be gone on with."""


class CompressionError(MaasError, ValueError):
    """A model cannot be made smaller within the loss that is allowed."""


class ExportError(MaasError, ValueError):
    """A model cannot be written in another format, or answers otherwise in it."""


class RecipeError(MaasError, ValueError):
    """A network cannot be described or built from these arguments."""


class ArtifactError(MaasError, ValueError):
    """A stored model cannot be used."""


class IntegrityError(ArtifactError):
    """The bytes are not those that were saved: truncated, altered or missing."""


class FormatError(ArtifactError):
    """The bytes are whole, but what they say is not a model of this format."""


class SkewError(ArtifactError):
    """The stored model answers its own golden rows differently here from where it was saved."""


class SignatureError(ArtifactError):
    """The artifact is not signed by a key that is trusted, or is another one than was signed."""


class RegistryError(MaasError, ValueError):
    """A registry, or a version in it, cannot be used as asked."""


class ArchiveError(MaasError, ValueError):
    """A `.mar` cannot be written, or cannot be trusted."""


class ServingError(MaasError, RuntimeError):
    """TorchServe, or a model in it, could not be started or stopped."""


class ClientError(MaasError, RuntimeError):
    """A server did not answer with a prediction."""


class RequestRefused(ClientError):
    """The server read the request and refused it.

    Args:
        status: HTTP status, 400 to 499.
        problem: the server's RFC 9457 problem document, or what could be made of its answer.
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('title', '')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.problem)


class ServerUnavailable(ClientError, ConnectionError):
    """The server cannot answer now: no connection, reset, time-out or a 5xx status."""


def show(value: object, limit: int = 60) -> str:
    """A value as an error message shows it: its repr on one line, cut at `limit` characters."""
    if isinstance(value, (str, bytes)):
        value = value[: limit + 1]  # repr of megabytes costs as much as it is useless
    elif isinstance(value, (dict, list, tuple, set)):
        return f"{type(value).__name__} of {len(value)}"
    try:
        text = repr(value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value)
    except ValueError:  # an integer of thousands of digits, or an array
        text = f"{type(value).__name__} too large to show"
    return text if len(text) <= limit else text[: limit - 3] + "..."

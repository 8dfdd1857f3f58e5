"""The golden rows of a model, asked of an instance before it gets requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maas.errors import ServingError
from maas.serving._release import check_golden_rows, verified
from maas.serving._server import Server
from maas.serving._store import find


class Golden:
    """The golden rows of an archive in a store, once the model in it has answered them here.

    Args:
        store: folder of `.mar` files.
        name, version: of the model.

    Raises:
        ServingError, ArchiveError, ArtifactError: there is no such archive, or it cannot be trusted.
    """

    def __init__(self, store: Path, name: str, version: str) -> None:
        self._path = f"/predictions/{name}/{version}"
        self._example: tuple[dict[str, Any], float] = verified(find(store, f"{name}@{version}").path)

    def check(self, server: Server) -> None:
        """Ask an instance for them, over HTTP.

        Raises:
            ServingError, SkewError: it does not answer, or otherwise.
        """
        try:
            check_golden_rows(server.local, self._path, *self._example)
        except LookupError as error:
            raise ServingError(f"{server.url}{self._path} gives no predictions") from error

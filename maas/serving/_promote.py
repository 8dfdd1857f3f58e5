"""A promotion in a registry is a release of what serves by that alias on this machine; the alias comes last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maas.client import folder_of_servers, running_servers
from maas.errors import MaasError, ServingError
from maas.registry import Promotion, Registry, Version
from maas.serving._management import default_of
from maas.serving._registered import Source
from maas.serving._server import Server, is_running
from maas.serving.front._control import ask_front


@dataclass(frozen=True)
class Place:
    """A server, or a front, that serves from a registry.

    Args:
        source: what it serves from.
        server: None for the front.
    """

    source: Source
    server: Server | None

    def __str__(self) -> str:
        return "the front" if self.server is None else self.server.url

    def version(self, name: str) -> str:
        """Of a model, that answers now."""
        if self.server is not None:
            return default_of(self.server.local, name)
        models = next(one["models"] for one in ask_front("status")["instances"] if not one["canary"])
        return str(dict(one.split("@") for one in models)[name])

    def deploy(self, name: str, version: str) -> None:
        """Release a version that is in the store: as `maas deploy`, or `maas front deploy`.

        Raises:
            MaasError: it failed; what served before serves still.
        """
        if self.server is not None:
            self.server.deploy(name, version, store=self.source.store)
        else:
            ask_front("deploy", name=name, version=version)


def place_in(folder: Path) -> Place | None:
    """What lives in a folder and serves from a registry; None where nothing does, or no longer."""
    if (source := Source.read(folder)) is None:
        return None
    kind, _, rest = folder.name.partition("-")
    if kind == "front":
        return Place(source, None) if is_running(int(rest.partition("-")[0])) else None
    server = next((one for one in running_servers() if Path(one.folder) == folder), None)
    return None if server is None else Place(source, Server(server))


def places_of(registry: Registry, name: str, alias: str) -> list[Place]:
    """What serves a model on this machine, for this user, by an alias of a registry."""
    found = [place_in(folder) for folder in sorted(folder_of_servers().iterdir())]
    path = str(registry.path.resolve())
    return [one for one in found if one and one.source.registry == path and one.source.wanted.get(name) == alias]


def release(registry: Registry, promotion: Promotion) -> list[str]:
    """Release a version wherever it is served by the alias, and let the alias hold it; gives where it was released.

    Where one release fails, or another promotion was faster, those that were made are taken back.

    Raises:
        ServingError, ArtifactError: a release failed, and the alias holds what it held.
        RegistryError: the alias was changed meanwhile.
    """
    version, name = promotion.version, promotion.version.name
    begun: list[tuple[Place, str]] = []
    try:
        for place in places_of(registry, name, promotion.alias):
            if (before := place.version(name)) != version.version:
                place.source.add(version)
                begun.append((place, before))
                place.deploy(name, version.version)
        registry.make(promotion)
    except BaseException as error:
        left = [said for place, before in reversed(begun) if (said := _take_back(place, version, before))]
        if left and isinstance(error, MaasError):
            raise ServingError(f"{error}\n{'; '.join(left)}") from error
        raise
    return [str(place) for place, _ in begun]


def _take_back(place: Place, version: Version, before: str) -> str:
    """Let a place serve what it did; gives what could not be done."""
    try:
        if place.version(version.name) == version.version:
            place.deploy(version.name, before)
    except MaasError as error:
        return f"{place} could not be taken back to {version.name} {before}: {error}"
    return ""

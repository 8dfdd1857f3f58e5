"""Following the aliases of a registry: what another machine has promoted is released here, too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from maas.errors import MaasError
from maas.registry import Registry
from maas.serving._promote import place_in
from maas.serving._registered import Source


class Follower:
    """Looks at the aliases that a server or a front serves by, and releases what they have come to hold.

    It goes by changes of the alias, not by what is served: a promotion on this machine releases before it sets the
    alias, and is not to be undone by this.

    Args:
        folder: of the server or front.
        source: what it serves from.
        served: the version of each model that it was started with.
    """

    def __init__(self, folder: Path, source: Source, served: dict[str, str]) -> None:
        self._folder = folder
        self._source = source
        self._seen = dict(served)

    def look(self, tell: Callable[[str], None]) -> None:
        """Look once. A release that fails is told, and not tried again before the alias changes again."""
        for name, alias in self._source.wanted.items():
            try:
                version = Registry(self._source.registry).show(name, alias)
            except (MaasError, OSError) as error:
                tell(f"{name}@{alias} is not followed: {error}")
                continue
            if version.version == self._seen[name]:
                continue
            self._seen[name] = version.version
            try:
                place = place_in(self._folder)
                if place is not None and place.version(name) != version.version:
                    self._source.add(version)
                    place.deploy(name, version.version)
                    tell(f"{version} serves")
            except (MaasError, OSError) as error:
                tell(f"{version} is {alias} and is not released here: {error}\nit is not tried again; promote another")

    def start(self, seconds: float, tell: Callable[[str], None]) -> None:
        """Look every so many seconds, as long as the folder is there."""

        def run() -> None:
            while not pause.wait(seconds) and self._folder.exists():
                self.look(tell)

        pause = threading.Event()
        threading.Thread(target=run, daemon=True).start()

"""Renewing TorchServe's tokens before they expire, so that one that leaked dies."""

from __future__ import annotations

import contextlib
import threading

from maas.client import LocalServer
from maas.errors import MaasError
from maas.serving import _management

_RETRY_SECONDS = 5.0


class TokenRenewal:
    """A thread that renews both tokens at three quarters of their life, until it is stopped.

    TorchServe knows one token of a kind: the old one is refused from that moment. Clients on this machine read the
    key file again; others must be given the new one, or a function that finds it.

    Args:
        server: whose tokens.
        token_minutes: their life.
    """

    def __init__(self, server: LocalServer, token_minutes: float) -> None:
        self._server = server
        self._every = token_minutes * 60 * 0.75
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maas-tokens", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._told.set()
        self._thread.join()

    def _run(self) -> None:
        wait = self._every
        while not self._told.wait(wait):
            wait = min(_RETRY_SECONDS, self._every)
            with contextlib.suppress(MaasError):  # busy, or gone; tried again
                for kind in ("management", "inference"):
                    _management.renew(self._server, kind)
                wait = self._every

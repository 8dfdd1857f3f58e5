"""What both clients need of httpx. It is imported when a client is made: it takes a tenth of a second."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.client._steps import Failure, Reply, Send
from maas.errors import ClientError

if TYPE_CHECKING:
    import httpx

_CONNECT_SECONDS = 5.0
Verify = str | Path | ssl.SSLContext | None


def options(url: str, verify: Verify, parallel: int) -> dict[str, Any]:
    """Arguments of httpx.Client and httpx.AsyncClient.

    Raises:
        ClientError: `verify` is no file of certificates.
    """
    import httpx

    try:
        trusted: Any = url.startswith("https://")  # to read the system's certificates takes a while, and http has none
        if isinstance(verify, ssl.SSLContext):
            trusted = verify
        elif verify is not None:
            trusted = ssl.create_default_context(cafile=str(verify))
    except (OSError, ssl.SSLError) as error:
        raise ClientError(f"`verify` must be a PEM file of certificates, {verify} is none: {error}") from error
    connections = max(100, parallel)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=connections)
    return {"base_url": url, "verify": trusted, "limits": limits, "trust_env": False}


def timeouts(send: Send) -> httpx.Timeout:
    import httpx

    return httpx.Timeout(send.seconds, connect=min(_CONNECT_SECONDS, send.seconds))


def reply_of(response: httpx.Response, body: bytes) -> Reply:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, response.reason_phrase, headers, body)


def failure_of(error: Exception) -> Failure:
    """What an error of httpx means: after a reset another try may help, after a time-out no time is left."""
    import httpx

    again = isinstance(error, (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout))
    return Failure(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, again)


@contextlib.contextmanager
def progress_bar(wanted: bool, total: int | None) -> Iterator[Callable[[int], object]]:
    """A bar that counts rows; gives the function that moves it."""
    if not wanted:
        yield lambda rows: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=" rows") as bar:
        yield bar.update

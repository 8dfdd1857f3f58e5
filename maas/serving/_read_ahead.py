"""Reading what TorchServe sends its worker in large pieces, and taking requests apart in one go.

The worker of TorchServe 0.12 asks the system for each length and each name by itself: some thirty calls a request,
which cost more than the forward pass of a small network.
"""

from __future__ import annotations

import logging
import os
import struct
import sys
from collections.abc import Callable
from typing import Any

CODEC = "ts.protocol.otf_message_handler"
_PIECE_BYTES = 1 << 16
_length_at = struct.Struct("!i").unpack_from
_Bytes = bytes | bytearray


class ReadAhead:
    """Gives a connection's bytes as the worker's own reader does, and keeps what came with them for the next call."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._held: _Bytes = b""
        self._at = 0

    def __call__(self, connection: Any, length: int) -> _Bytes:
        """The next `length` bytes. A connection that was closed ends the process, as it does without this.

        Args:
            connection: a socket.
            length: in bytes, at least 0.
        """
        if connection is not self._connection:
            self._connection, self._held, self._at = connection, b"", 0
        start, stop = self._at, self._at + length
        if stop > len(self._held):
            self._hold(length)
            start, stop = 0, length
        self._at = stop
        return self._held[start:stop]

    def requests(self, connection: Any) -> list[dict[str, Any]]:
        """What `_retrieve_inference_msg` of TorchServe's codec gives: the requests of a batch, bodies as bytes."""
        self(connection, 0)
        found = []
        while (request := self._request()) is not None:
            found.append(request)
        return found

    def _request(self) -> dict[str, Any] | None:
        """The next request; None at the end of the batch."""
        while True:
            data, at = self._held, self._at
            try:
                (length,) = _length_at(data, at)
                at += 4
                if length == -1:
                    self._at = at
                    return None
                request_id = data[at : at + length]
                at += length
                headers, parameters = [], []
                while True:
                    (length,) = _length_at(data, at)
                    at += 4
                    if length == -1:
                        break
                    name = data[at : at + length]
                    at += length
                    (length,) = _length_at(data, at)
                    at += 4
                    headers.append({"name": name, "value": data[at : at + length]})
                    at += length
                while True:
                    (length,) = _length_at(data, at)
                    at += 4
                    if length == -1:
                        break
                    name = data[at : at + length]
                    at += length
                    (length,) = _length_at(data, at)
                    media = data[at + 4 : at + 4 + length]
                    at += 4 + length
                    (length,) = _length_at(data, at)
                    at += 4
                    parameters.append((name, media, data[at : at + length]))
                    at += length
            except struct.error:  # not all of it is here yet
                self._hold(at + 4 - self._at)
                continue
            self._at = at
            return {
                "requestId": request_id,
                "headers": headers,
                "parameters": [
                    {"name": name.decode(), "contentType": media.decode(), "value": value}
                    for name, media, value in parameters
                ],
            }

    def _hold(self, length: int) -> None:
        """Read until so many bytes, from the current one on, are held; it is then the first of them."""
        data = bytearray(self._held[self._at :])
        self._held, self._at = b"", 0
        while (missing := length - len(data)) > 0:
            # a large body is not read beyond its end, so that nothing of it is copied again
            piece = self._connection.recv(_PIECE_BYTES if missing < _PIECE_BYTES else missing)
            if not piece:
                logging.getLogger("maas.serving").info("TorchServe closed the connection")
                sys.exit(0)
            data += piece
        self._held = bytes(data)


def read_ahead() -> None:
    """Let the worker that this process is read ahead; nothing happens elsewhere, or where its reader is another."""
    codec: Any = sys.modules.get(CODEC)
    if codec is None or not _has(codec, "_retrieve_buffer"):
        return
    reader = ReadAhead()
    codec._retrieve_buffer = reader
    # Its own reader parses bodies if TorchServe is configured so, and looks that up for each.
    if _has(codec, "_retrieve_inference_msg") and os.environ.get("TS_DECODE_INPUT_REQUEST") == "false":
        codec._retrieve_inference_msg = reader.requests


def _has(codec: Any, name: str) -> bool:
    found: Callable[..., Any] | None = getattr(codec, name, None)
    return callable(found)

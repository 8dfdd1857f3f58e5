"""Reading what TorchServe sends its worker in large pieces.

The worker of TorchServe 0.12 asks the system for each length and each name by itself: some thirty calls a request,
which cost more than the forward pass of a small network.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

CODEC = "ts.protocol.otf_message_handler"
_PIECE_BYTES = 1 << 16


class ReadAhead:
    """Gives a connection's bytes as the worker's own reader does, and keeps what came with them for the next call."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._held: bytes | bytearray = b""
        self._at = 0

    def __call__(self, connection: Any, length: int) -> bytes | bytearray:
        """The next `length` bytes. A connection that was closed ends the process, as it does without this.

        Args:
            connection: a socket.
            length: in bytes, at least 0.
        """
        if connection is not self._connection:
            self._connection, self._held, self._at = connection, b"", 0
        start = self._at
        self._at = stop = start + length
        if stop <= len(self._held):
            return self._held[start:stop]
        data = bytearray(self._held[start:])
        self._held, self._at = b"", 0
        while (missing := length - len(data)) > 0:
            # a large body is not read beyond its end, so that nothing of it is copied again
            piece = connection.recv(_PIECE_BYTES if missing < _PIECE_BYTES else missing)
            if not piece:
                logging.getLogger("maas.serving").info("TorchServe closed the connection")
                sys.exit(0)
            data += piece
        self._held = bytes(data[length:])
        del data[length:]
        return data


def read_ahead() -> None:
    """Let the worker that this process is read ahead; nothing happens elsewhere, or where its reader is another."""
    codec = sys.modules.get(CODEC)
    if codec is not None and callable(getattr(codec, "_retrieve_buffer", None)):
        codec._retrieve_buffer = ReadAhead()  # type: ignore[attr-defined]

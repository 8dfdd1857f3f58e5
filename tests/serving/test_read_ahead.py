"""Reading ahead gives what TorchServe's own reader gives, however the bytes arrive."""

import socket
import struct
import sys
import threading
import warnings

import pytest

from maas.serving._read_ahead import CODEC, ReadAhead, read_ahead

with warnings.catch_warnings():  # TorchServe leaves the file of its version open
    warnings.simplefilter("ignore", ResourceWarning)
    from ts.protocol import otf_message_handler as codec


def message(bodies: list[bytes]) -> bytes:
    """An inference command as TorchServe 0.12 writes it; see `retrieve_msg` in its `otf_message_handler.py`."""

    def text(value: bytes) -> bytes:
        return struct.pack("!i", len(value)) + value

    end = struct.pack("!i", -1)
    requests = [
        text(b"id-%d" % number)
        + text(b"Host")
        + text("hier: \u00fc".encode())
        + text(b"Empty")
        + text(b"")
        + end
        + text("body-\u00e9".encode())
        + text(b"application/json")
        + text(body)
        + (text(b"more") + text(b"text/plain") + text(b"m")) * (number % 2)
        + end
        for number, body in enumerate(bodies)
    ]
    return b"I" + b"".join(requests) + end


@pytest.mark.parametrize("decode", ["false", "true"])
@pytest.mark.parametrize("piece", [1, 7, 1000, 1 << 20])
def test_it_reads_what_the_workers_own_reader_reads(piece: int, decode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_DECODE_INPUT_REQUEST", decode)
    messages = [message([b"", b"x" * 300_000, b'{"a": 1}']), message([b"last"])]
    sent = b"".join(messages) if piece > 1 else message([b"a", b""]) + messages[1]

    def read(count: int) -> list[object]:
        ours, theirs = socket.socketpair()
        with ours, theirs:

            def send() -> None:
                for start in range(0, len(sent), piece):
                    theirs.sendall(sent[start : start + piece])

            thread = threading.Thread(target=send)
            thread.start()
            found = [codec.retrieve_msg(ours) for _ in range(count)]
            thread.join()
            return found

    wanted = read(2)
    own = {name: getattr(codec, name) for name in ("_retrieve_buffer", "_retrieve_inference_msg")}
    for name, function in own.items():
        monkeypatch.setattr(codec, name, function)  # put back at the end
    read_ahead()
    assert (codec._retrieve_inference_msg is own["_retrieve_inference_msg"]) is (decode == "true")
    assert codec._retrieve_buffer is not own["_retrieve_buffer"]
    assert read(2) == wanted
    assert read(2) == wanted  # on another connection


def test_a_closed_connection_ends_the_worker() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall(b"abc")
        theirs.close()
        reader = ReadAhead()
        assert reader(ours, 2) == b"ab"
        with pytest.raises(SystemExit):
            reader(ours, 2)


def test_outside_of_a_worker_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, CODEC)
    read_ahead()
    assert CODEC not in sys.modules

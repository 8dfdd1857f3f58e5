"""Ports that are free when they are chosen, and taken when TorchServe listens."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import maas
from maas.errors import ServingError
from maas.serving import _ports, _serve
from maas.serving._ports import free_ports


@pytest.fixture
def taken_meanwhile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[int]]]:
    """Let a port of the first start be taken between its choice and Java's start; gives the ports of that kind."""
    with contextlib.ExitStack() as stack:

        def take(kind: str) -> list[int]:
            chosen: list[int] = []
            start = _serve._start

            def late(planned: _serve.Plan, timeout: float) -> _serve.Server:
                chosen.append(getattr(planned.instance, kind))
                if len(chosen) == 1:
                    taken = stack.enter_context(socket.socket())
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    with contextlib.suppress(OSError):  # where it is another's by now, that does as well
                        taken.bind(("127.0.0.1", chosen[0]))
                        taken.listen()
                return start(planned, timeout)

            monkeypatch.setattr(_serve, "_start", late)
            return chosen

        yield take


@pytest.mark.parametrize("kind", ["port", "grpc_port"])
def test_a_port_that_another_process_took_meanwhile(
    store: Path, taken_meanwhile: Callable[[str], list[int]], kind: str
) -> None:
    """Two servers that start at once both find 8080 free; whoever comes second looks for ports anew."""
    chosen = taken_meanwhile(kind)
    with maas.serve(store, ["wine"]) as server:
        assert server.client("wine").describe()
    assert len(chosen) >= 2  # once more where a server of another test takes 8080 meanwhile
    assert chosen[0] != chosen[-1]


def test_a_port_of_the_users_choice_that_another_process_took_meanwhile(
    store: Path, taken_meanwhile: Callable[[str], list[int]]
) -> None:
    chosen = taken_meanwhile("metrics_port")
    given, port = free_ports(2)  # not 8080, which a server of another test may take meanwhile
    with pytest.raises(ServingError, match=f"another process took port {given} while TorchServe started; choose"):
        maas.serve(store, ["wine"], port=port, metrics_port=given)
    assert chosen == [given]


def test_free_ports_are_none_that_outgoing_connections_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "range"
    monkeypatch.setattr(_ports, "_OUTGOING", file)
    file.write_text("20010\t60999\n")
    found = free_ports(3)
    assert len(set(found)) == 3
    assert all(20_000 <= port < 20_010 for port in found)
    file.write_text("1024\t65535\n")  # there are no others
    assert len(set(free_ports(3))) == 3
    file.unlink()
    assert all(20_000 <= port < 32_768 for port in free_ports(3))

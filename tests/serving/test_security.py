"""Each line of the launcher's defaults against the live server: what the network, and other users, cannot do."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import pytest

from maas.serving import Server

MANAGEMENT = "/org.pytorch.serve.grpc.management.ManagementAPIsService/"
INFERENCE = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/"
CHANGES = [
    ("POST", "/models?url=wine@1.0.mar"),
    ("DELETE", "/models/wine"),
    ("PUT", "/models/wine?min_worker=9"),
    ("PUT", "/models/wine/1.0/set-default"),
    ("GET", "/models"),
    ("GET", "/token?type=inference"),
]


def settings(server: Server) -> dict[str, str]:
    lines = (server.folder / "config.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def field(number: int, text: str) -> bytes:
    """A string field of a protobuf message."""
    data = text.encode()
    return bytes([number << 3 | 2, len(data)]) + data


def rpc(port: str, method: str, message: bytes, token: str | None) -> tuple[Any, str]:
    """A unary call; gives status and details, or OK and the answer as text."""
    metadata: Sequence[tuple[str, str]] = [("protocol", "gRPC")]
    if token:
        metadata = [*metadata, ("authorization", f"Bearer {token}")]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer: bytes = channel.unary_unary(method)(message, timeout=20, metadata=metadata)
        except grpc.RpcError as error:
            return error.code(), error.details()
    return grpc.StatusCode.OK, answer.decode(errors="replace")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "wrong"}])
@pytest.mark.parametrize("path", ["/predictions/wine", "/predictions/wine/1.0", "/ping", "/v2/models/wine/infer"])
def test_no_or_a_wrong_token_is_refused(path: str, headers: dict[str, str], server: Server) -> None:
    answer = httpx.post(server.url + path, json={}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "InvalidKeyException")


def test_the_management_token_is_none_for_predictions(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token('management')}"}
    assert httpx.post(f"{server.url}/predictions/wine", json={}, headers=headers).status_code == 400


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize("port", ["inference", "metrics"])
def test_nothing_is_managed_over_http(port: str, method: str, path: str, server: Server) -> None:
    url = server.url if port == "inference" else settings(server)["metrics_address"]
    before = server.manage("/models/wine/all")
    for token in ("inference", "management", "API"):
        answer = httpx.request(method, url + path, headers={"Authorization": f"Bearer {server.token(token)}"})
        assert answer.status_code in (400, 404, 405)
    assert server.manage("/models/wine/all") == before


@pytest.mark.parametrize("token", [None, "inference", "API"])
def test_grpc_manages_nothing_without_its_token(token: str | None, server: Server) -> None:
    port = settings(server)["grpc_management_port"]
    given = token and server.token(token)
    for method, message in (
        ("RegisterModel", field(9, "wine@1.0.mar")),
        ("UnregisterModel", field(1, "wine")),
        ("ScaleWorker", field(1, "wine")),
        ("ListModels", b""),
    ):
        status, details = rpc(port, MANAGEMENT + method, message, given)
        assert status == grpc.StatusCode.PERMISSION_DENIED, (method, details)


@pytest.mark.parametrize("url", ["file://{store}/wine.mar", "http://127.0.0.1:1/wine.mar", "{store}/wine.mar"])
def test_grpc_registers_no_file_or_url_from_elsewhere_with_it(url: str, server: Server, store: Path) -> None:
    """A folder it would register: docs/serving.md says so. The token lies in a file that this user alone can read."""
    message = field(9, url.format(store=store))
    status, details = rpc(
        settings(server)["grpc_management_port"], MANAGEMENT + "RegisterModel", message, server.token("management")
    )
    assert status == grpc.StatusCode.NOT_FOUND
    assert "does not match any allowed URL" in details or "Model not found at" in details
    assert [one["modelName"] for one in server.manage("/models?limit=9")["models"]] == ["cancer", "wine"]


def test_grpc_predicts_nothing_without_a_token_and_manages_nothing_at_that_port(server: Server) -> None:
    port = settings(server)["grpc_inference_port"]
    status, _ = rpc(port, INFERENCE + "Predictions", field(1, "wine"), None)
    assert status == grpc.StatusCode.PERMISSION_DENIED
    status, _ = rpc(port, MANAGEMENT + "ListModels", b"", server.token("management"))
    assert status == grpc.StatusCode.UNIMPLEMENTED


def test_every_port_is_on_loopback(server: Server) -> None:
    """Inference, metrics, and gRPC's two; and no other."""
    listening = {
        (connection.laddr.ip.removeprefix("::ffff:"), str(connection.laddr.port))
        for connection in psutil.Process(server.pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    said = settings(server)
    ports = [said[name].rpartition(":")[2] for name in ("inference_address", "metrics_address")]
    ports += [said["grpc_inference_port"], said["grpc_management_port"]]
    assert listening == {("127.0.0.1", port) for port in ports}


def test_no_other_user_reaches_socket_keys_or_archives(server: Server) -> None:
    assert stat.S_IMODE(server.folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_ISSOCK((server.folder / "management.sock").stat().st_mode)
    assert stat.S_IMODE((server.folder / "key_file.json").stat().st_mode) == 0o600


def test_the_logs_hold_no_token(server: Server) -> None:
    httpx.post(f"{server.url}/predictions/wine", json={}, headers={"Authorization": f"Bearer {server.token()}"})
    text = "".join(file.read_text(errors="replace") for file in server.logs.iterdir())
    assert text
    for kind in ("inference", "management", "API"):
        assert server.token(kind) not in text


def test_what_is_served_is_a_copy_that_was_checked(server: Server, store: Path) -> None:
    """Whoever changes the store afterwards changes nothing here."""
    copies = sorted(file.name for file in (server.folder / "store").iterdir())
    assert copies == ["cancer@2.1.mar", "wine@1.0.mar"]
    assert (server.folder / "store" / "wine@1.0.mar").read_bytes() == (store / "wine.mar").read_bytes()

"""Every protocol against the real TorchServe: over HTTP, over gRPC, and as TorchServe itself asks."""

import json
from typing import Any

import grpc
import httpx
import numpy as np
import pytest

import maas
from maas.data import Rows
from maas.serving import Server
from maas.serving.protocols._npy import read_npy

from .protocols.test_npy import npy

PREDICT, INFER = "/predictions/cancer", "/v2/models/cancer/infer"


@pytest.fixture(scope="module")
def rows(cancer_split: tuple[Rows, Rows]) -> Rows:
    return cancer_split[1].take(range(8))


@pytest.fixture(scope="module")
def wanted(cancer_model: maas.Model, rows: Rows) -> maas.task.Answers:
    return cancer_model.predict(rows)


def tensors(rows: Rows, *, binary: bool = False) -> tuple[list[dict[str, Any]], bytes]:
    inputs, blobs = [], b""
    for name, column in rows.columns.items():
        one: dict[str, Any] = {"name": name, "shape": [len(rows)], "datatype": "FP64"}
        if binary:
            one["parameters"] = {"binary_data_size": column.nbytes}
            blobs += column.tobytes()
        else:
            one["data"] = column.tolist()
        inputs.append(one)
    return inputs, blobs


def test_arrays_in_and_out(http: httpx.Client, rows: Rows, wanted: maas.task.Answers) -> None:
    array = np.stack(list(rows.columns.values()), axis=1)
    headers = {"Content-Type": "application/x-npy", "Accept": "application/x-npy"}
    answer = http.post(PREDICT, content=npy(array), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-npy")
    np.testing.assert_allclose(read_npy(answer.content), wanted["probabilities"], atol=1e-5)
    cut = http.post(PREDICT, content=npy(array)[:-1], headers=headers)
    assert (cut.status_code, cut.json()["type"]) == (400, "urn:maas:problem:not-npy")


def test_tensors_in_json(http: httpx.Client, rows: Rows, wanted: maas.task.Answers) -> None:
    answer = http.post(INFER, json={"id": "a-7", "inputs": tensors(rows)[0], "outputs": [{"name": "label"}]}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("cancer", "2.1", "a-7")
    assert answer["outputs"] == [{"name": "label", "datatype": "BYTES", "shape": [8], "data": wanted["label"].tolist()}]


def test_metadata_name_the_tensors_that_infer_takes_and_gives(http: httpx.Client, rows: Rows) -> None:
    answer = http.get(PREDICT, headers={"Accept": "application/vnd.maas.v2-metadata+json"})
    metadata = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (metadata["name"], metadata["versions"]) == ("cancer", ["2.1"])
    sent = tensors(rows)[0]
    assert metadata["inputs"] == [{"name": one["name"], "datatype": "FP64", "shape": [-1, 1]} for one in sent]
    given = http.post(INFER, json={"inputs": sent}).json()["outputs"]
    told = [{**one, "shape": [len(rows), *one["shape"][1:]]} for one in metadata["outputs"]]
    assert told == [{key: one[key] for key in ("name", "datatype", "shape")} for one in given]


def test_tensors_as_bytes(http: httpx.Client, rows: Rows, wanted: maas.task.Answers) -> None:
    inputs, blobs = tensors(rows, binary=True)
    head = json.dumps({"inputs": inputs, "outputs": [{"name": "probabilities", "parameters": {"binary_data": True}}]})
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    answer = http.post(INFER, content=head.encode() + blobs, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.content[:length])["outputs"][0]["shape"] == [8, 2]
    np.testing.assert_allclose(
        np.frombuffer(answer.content[length:], "<f4").reshape(8, 2), wanted["probabilities"], atol=1e-5
    )


def test_a_refusal_of_tensors_is_in_their_form(http: httpx.Client, rows: Rows) -> None:
    answer = http.post(INFER, json={"id": "a-7", "inputs": tensors(rows)[0][1:]})
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["id"]) == (422, 422, "a-7")
    assert problem["error"] == "tensor 'mean_radius': the tensor is missing; did you mean 'worst_radius'?"


def test_torchserves_own_question_for_a_description(server: Server, cancer_model: maas.Model) -> None:
    (found,) = server.manage("/models/cancer?customized=true")
    described = found["customizedMetadata"]
    assert described["schema"] == cancer_model.schema.json_schema()
    assert described["labels"] == ["benign", "malignant"]


def proto(number: int, value: bytes) -> bytes:
    """A field of bytes in the wire format of protocol buffers."""
    size, length = len(value), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def over_grpc(server: Server, inputs: dict[str, bytes], *, model: str = "cancer") -> bytes:
    """What `InferenceAPIsService.Predictions` answers: the message PredictionResponse has one field, the body."""
    entries = [proto(3, proto(1, name.encode()) + proto(2, value)) for name, value in inputs.items()]
    settings = (server.folder / "config.properties").read_text().splitlines()
    port = next(line.partition("=")[2] for line in settings if line.startswith("grpc_inference_port="))
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions")
        metadata = [("authorization", f"Bearer {server.token()}")]
        answer: bytes = call(proto(1, model.encode()) + b"".join(entries), metadata=metadata, timeout=30)
    place = 1
    while answer[place] > 127:
        place += 1
    return answer[place + 1 :]


def test_grpc_callers_see_errors_in_the_body(server: Server, rows: Rows, wanted: maas.task.Answers) -> None:
    row = rows.to_dicts()[0]
    for name in ("data", "body"):
        answer = json.loads(over_grpc(server, {name: json.dumps(row).encode()}))
        assert answer["label"] == wanted["label"][0]
        assert "status" not in answer
    parts = {name: json.dumps(value).encode() for name, value in row.items()}
    assert json.loads(over_grpc(server, parts))["label"] == wanted["label"][0]
    array = np.stack(list(rows.columns.values()), axis=1)
    inputs = {"body": npy(array), "content-type": b"application/x-npy", "accept": b"application/x-npy"}
    np.testing.assert_allclose(read_npy(over_grpc(server, inputs)), wanted["probabilities"], atol=1e-5)
    problem = json.loads(over_grpc(server, {"data": json.dumps({**row, "mean_radius": "wide"}).encode()}))
    assert (problem["status"], problem["field"]) == (422, "mean_radius")
    assert json.loads(over_grpc(server, {}))["type"] == "urn:maas:problem:empty"

"""The handler without a server: it never raises, and gives one answer a request."""

import gc
import io
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.archive import HANDLER, handler_path
from maas.client import DESCRIPTION
from maas.compress import quantize
from maas.serving import Handler


class FakeContext:
    """As TorchServe's, as far as the handler uses it."""

    def __init__(self, model_dir: Path) -> None:
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None, "batch_size": 4}
        self.manifest = {"model": {"modelName": "wine", "modelVersion": "1.0"}}
        self.model_yaml_config = {"maxWorkers": 2}
        self.headers: list[dict[str, str]] = []
        self.status: dict[int, tuple[int, str]] = {}
        self.content_type: dict[int, str] = {}
        self.response_headers: dict[int, dict[str, str]] = {}

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.headers[idx]

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.status[idx] = (code, phrase)

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.content_type[idx] = value

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.response_headers.setdefault(idx, {})[key] = value


@pytest.fixture
def context(wine_artifact: Path) -> FakeContext:
    return FakeContext(wine_artifact)


@pytest.fixture
def handler(context: FakeContext, monkeypatch: pytest.MonkeyPatch) -> Handler:
    threads = torch.get_num_threads()
    handler = Handler(context)
    torch.set_num_threads(threads)
    return handler


def ask(handler: Handler, context: FakeContext, bodies: list[Any], **headers: str) -> list[tuple[int, Any]]:
    """Statuses and parsed answers."""
    context.headers = [dict(headers) for _ in bodies]
    context.status = {}
    requests = [{"body": body if isinstance(body, bytes) else json.dumps(body).encode()} for body in bodies]
    answers = handler.handle(requests, context)
    assert len(answers) == len(bodies)
    assert all(type(answer) is bytes for answer in answers)
    return [(context.status.get(at, (200, ""))[0], json.loads(answer)) for at, answer in enumerate(answers)]


def rows_of(handler: Handler, count: int) -> list[dict[str, Any]]:
    return handler.model.preprocess.examples(count)


def test_good_and_bad_requests_in_one_batch(handler: Handler, context: FakeContext) -> None:
    rows = rows_of(handler, 3)
    got = ask(handler, context, [rows[0], b"{", {"instances": rows}, {**rows[0], "ash": []}, b"", rows[2]])
    assert [status for status, _ in got] == [200, 400, 200, 422, 400, 200]
    assert got[3][1]["field"] == "ash"
    wanted = handler.model.predict(rows).to_dicts()
    assert [one["label"] for one in got[2][1]["predictions"]] == [one["label"] for one in wanted]
    assert got[5][1]["probabilities"] == pytest.approx(wanted[2]["probabilities"], abs=1e-5)


def test_a_refusal_keeps_nothing_of_its_request(handler: Handler, context: FakeContext) -> None:
    """In a worker a full collection is rare: what only that would free is as good as lost."""
    row = rows_of(handler, 1)[0]
    bad = [b"{", b"", {**row, "ash": []}, {"inputs": 3}, {"instances": [{}] * 10_001}, b'{"ash": 1, "ash": 2}']
    ask(handler, context, bad)
    gc.collect()
    gc.disable()
    try:
        got = ask(handler, context, bad)
        assert all(status >= 400 for status, _ in got)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_an_error_body_is_the_same_alone_as_in_company(handler: Handler, context: FakeContext) -> None:
    row = rows_of(handler, 1)[0]
    bad = {**row, "ash": "grey"}
    alone = ask(handler, context, [bad])[0]
    assert ask(handler, context, [row, row, bad, row])[2] == alone


def test_rows_are_counted_within_their_request(handler: Handler, context: FakeContext) -> None:
    row = rows_of(handler, 1)[0]
    (_, first), (_, second) = ask(handler, context, [{"instances": [row] * 3}, {"instances": [row, {}]}])
    assert len(first["predictions"]) == 3
    assert (second["row"], second["field"]) == (1, next(iter(row)))
    assert second["predictions"][0]["label"] == first["predictions"][0]["label"]


def test_a_description_is_a_matter_of_accept(handler: Handler, context: FakeContext) -> None:
    ((status, described),) = ask(handler, context, [b""], accept=DESCRIPTION)
    assert status == 200
    assert context.content_type[0] == DESCRIPTION
    assert described["schema"]["required"] == list(handler.model.schema.names)
    sample = described["request"]
    ((status, answer),) = ask(handler, context, [sample["body"]], **sample["headers"])
    assert status == 200
    assert answer["model"] == sample["answer"]["model"]
    assert answer["probabilities"] == pytest.approx(sample["answer"]["probabilities"], abs=1e-5)


class Fussy(torch.nn.Module):
    """Throws, or gives NaN, where the first number is that of the poisoned row."""

    def __init__(self, inner: torch.nn.Module, poison: float, *, throws: bool) -> None:
        super().__init__()
        self.inner, self.poison, self.throws = inner, poison, throws

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hit = x[:, 0] == self.poison
        if self.throws and hit.any():
            raise RuntimeError("CUDA error: poisoned")
        outputs: torch.Tensor = torch.where(hit[:, None], torch.nan, self.inner(x))
        return outputs


@pytest.mark.parametrize(("throws", "status"), [(True, 500), (False, 422)])
def test_a_network_that_fails_on_a_row_fails_on_that_row_only(
    handler: Handler, context: FakeContext, throws: bool, status: int
) -> None:
    rows = rows_of(handler, 7)
    rows[4] = {**rows[4], "alcohol": 12.345}
    poison = float(handler.model.prepare([rows[4]]).batch.inputs["x"][0, 0])
    wanted = handler.model.predict(rows).to_dicts()
    handler.model.network = Fussy(handler.model.network, poison, throws=throws).eval()
    got = ask(handler, context, rows)
    assert [one for one, _ in got] == [200, 200, 200, 200, status, 200, 200]
    assert [body["label"] for at, (_, body) in enumerate(got) if at != 4] == [
        one["label"] for at, one in enumerate(wanted) if at != 4
    ]


class Cramped(torch.nn.Module):
    """Has memory for so many rows."""

    def __init__(self, inner: torch.nn.Module, most: int, fail: Callable[[], object]) -> None:
        super().__init__()
        self.inner, self.most, self.fail = inner, most, fail

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            self.fail()
        outputs: torch.Tensor = self.inner(x)
        return outputs


def no_gpu_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def no_cpu_memory() -> None:
    torch.empty(1 << 50)  # the CPU's allocator raises a RuntimeError of its own


@pytest.mark.parametrize("fail", [no_gpu_memory, no_cpu_memory])
def test_out_of_memory_halves_the_batch_and_is_told_only_where_a_row_alone_does_not_fit(
    handler: Handler, context: FakeContext, fail: Callable[[], object]
) -> None:
    rows = rows_of(handler, 7)
    wanted = handler.model.predict(rows).to_dicts()
    network = handler.model.network
    handler.model.network = Cramped(network, 2, fail).eval()
    got = ask(handler, context, [*rows[:4], {"instances": rows[4:]}])
    assert [status for status, _ in got] == [200] * 5
    answers = [body for _, body in got[:4]] + got[4][1]["predictions"]
    for answer, want in zip(answers, wanted, strict=True):
        assert answer["probabilities"] == pytest.approx(want["probabilities"], abs=1e-5)
    handler.model.network = Cramped(network, 0, fail).eval()
    ((status, problem),) = ask(handler, context, [rows[0]])
    assert (status, problem["type"]) == (503, "urn:maas:problem:out-of-memory")
    assert "enough memory" in problem["detail"]


def test_the_gravest_refusal_of_a_request_gives_its_status(handler: Handler, context: FakeContext) -> None:
    rows = rows_of(handler, 2)
    handler.model.network = Cramped(handler.model.network, 0, lambda: 1 / 0).eval()
    ((status, problem),) = ask(handler, context, [{"instances": [{}, *rows]}])
    assert (status, problem["row"]) == (500, 1)
    assert [error["row"] for error in problem["errors"]] == [0, 1, 2]
    assert problem["predictions"] == [None] * 3


def npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_requests_of_rows_and_of_columns_stand_in_one_batch(handler: Handler, context: FakeContext) -> None:
    rows = rows_of(handler, 3)
    array = np.array([list(row.values()) for row in rows])
    wanted = handler.model.predict(rows)
    names = list(rows[0])
    v2 = {
        "inputs": [
            {"name": n, "shape": [3], "datatype": "FP64", "data": array[:, i].tolist()} for i, n in enumerate(names)
        ]
    }
    bodies = [json.dumps(rows[1]).encode(), npy(array), npy(array), json.dumps(v2).encode(), npy(array[0])]
    context.headers = [
        {"Content-Type": "application/json"},
        {"Content-Type": "application/x-npy", "Accept": "application/x-npy"},
        {"content-type": "application/x-npy"},
        {},
        {"content-type": "application/x-npy"},
    ]
    answers = handler.handle([{"body": bytearray(body)} for body in bodies], context)
    assert context.status == {}
    np.testing.assert_allclose(np.load(io.BytesIO(answers[1])), wanted["probabilities"], atol=1e-5)
    one, many, tensors, alone = (json.loads(answers[index]) for index in (0, 2, 3, 4))
    assert [answer["label"] for answer in many["predictions"]] == wanted["label"].tolist()
    assert (one["label"], alone["label"]) == (wanted["label"][1], wanted["label"][0])
    assert tensors["outputs"][0] == {
        "name": "label",
        "datatype": "INT64",
        "shape": [3],
        "data": wanted["label"].tolist(),
    }
    media = ["application/json", "application/x-npy", *["application/json"] * 3]
    assert [context.content_type[index] for index in range(5)] == media


def test_a_bad_row_of_an_array_is_named_and_the_others_are_answered(handler: Handler, context: FakeContext) -> None:
    array = np.array([list(row.values()) for row in rows_of(handler, 3)])
    array[1, 2] = np.inf
    context.headers = [{"Content-Type": "application/x-npy", "Accept": "application/x-npy"}]
    problem = json.loads(handler.handle([{"body": npy(array)}], context)[0])
    assert (problem["status"], problem["row"], problem["field"]) == (422, 1, "ash")
    assert [answer is None for answer in problem["predictions"]] == [False, True, False]


def test_many_rows_are_answered_in_parts_that_fit(handler: Handler, context: FakeContext) -> None:
    rows = rows_of(handler, 5)
    wanted = handler.model.predict(rows)["label"].tolist()
    handler._forward._rows_at_once = 2
    ((status, body),) = ask(handler, context, [{"instances": rows}])
    assert (status, [answer["label"] for answer in body["predictions"]]) == (200, wanted)
    ((_, problem),) = ask(handler, context, [{"instances": [*rows[:3], {}, rows[4]]}])
    assert [None if one is None else one["label"] for one in problem["predictions"]] == [*wanted[:3], None, wanted[4]]


def test_while_it_drains_every_request_is_told_to_come_again(
    context: FakeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAAS_DRAIN", str(tmp_path / "drain"))
    threads = torch.get_num_threads()
    handler = Handler(context)
    torch.set_num_threads(threads)
    row = rows_of(handler, 1)[0]
    assert [status for status, _ in ask(handler, context, [row])] == [200]
    (tmp_path / "drain").touch()
    got = ask(handler, context, [row, b"{"])
    assert [(status, body["type"]) for status, body in got] == [(503, "urn:maas:problem:draining")] * 2
    assert context.response_headers == {0: {"Retry-After": "1"}, 1: {"Retry-After": "1"}}
    (tmp_path / "drain").unlink()
    assert [status for status, _ in ask(handler, context, [row])] == [200]


def test_batches_of_one_and_of_the_most_have_run_before_the_first_request(
    context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    stream = maas.Model.stream

    def watched(model: maas.Model, batch: Any) -> Any:
        sizes.append(len(batch))
        return stream(model, batch)

    monkeypatch.setattr(maas.Model, "stream", watched)
    threads = torch.get_num_threads()
    Handler(context)
    torch.set_num_threads(threads)
    assert sizes[-2:] == [1, 4]


def test_whatever_fails_inside_is_an_answer(
    handler: Handler, context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("\ud800 CUDA out of memory")

    monkeypatch.setattr(handler.model, "prepare", explode)
    # pytest sends what was logged from one of its processes to another, and cannot send this
    monkeypatch.setattr(logging.getLogger("maas.serving"), "disabled", True)
    got = ask(handler, context, [rows_of(handler, 1)[0], b"{"])
    assert [status for status, _ in got] == [500, 400]
    assert "CUDA" not in json.dumps(got[0][1])


def test_an_answer_too_large_for_torchserve_is_refused(
    handler: Handler, context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("_handler", "protocols._problems"):
        monkeypatch.setattr(f"maas.serving.{module}.MOST_RESPONSE_BYTES", 1000)
    rows = rows_of(handler, 2)
    got = ask(handler, context, [{"instances": rows * 20}, rows[0], {"instances": [*rows * 20, {}]}])
    assert [status for status, _ in got] == [413, 200, 422]
    assert "predictions" not in got[2][1]


def test_phrases_are_ascii_and_constant(handler: Handler, context: FakeContext) -> None:
    ask(handler, context, [{"é\r\n": 1}, b"\xff", {"instances": 7}])
    assert {phrase for _, phrase in context.status.values()} <= {
        "Bad Request",
        "Unprocessable Entity",
        "Unprocessable Content",
    }


def test_a_damaged_artifact_is_not_served(wine_artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(wine_artifact, tmp_path / "bad")
    with open(tmp_path / "bad" / "model.safetensors", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    with pytest.raises(maas.errors.IntegrityError, match=r"model\.safetensors is not what was saved"):
        Handler(FakeContext(tmp_path / "bad"))


def test_the_handler_file_has_one_class_and_imports_nothing(tmp_path: Path) -> None:
    text = handler_path().read_text()
    assert handler_path().name == HANDLER
    assert text.count("\nclass ") == 1
    assert not [line for line in text.splitlines() if line.startswith(("import", "from"))]


def test_a_quantised_model_is_served_as_any_other(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 12)).astype(np.float32)
    rows = x, (x[:, 0] > 0).astype(np.int64)
    recipe = maas.recipe(maas.nn.MLP, hidden=(1024, 512), normalization="batch")
    model = quantize(maas.fit(recipe, rows, epochs=1, progress=False), rows, max_drop=0.5)
    assert "int8" in [one.kind for one in model.recipe.transforms]
    context = FakeContext(model.save(tmp_path / "small"))
    threads = torch.get_num_threads()
    served = Handler(context)
    torch.set_num_threads(threads)
    ((status, answer), (bad, _)) = ask(served, context, [{"instances": [{"x": row.tolist()} for row in x]}, {"x": []}])
    assert (status, bad) == (200, 422)
    for one, wanted in zip(answer["predictions"], model.predict(x).to_dicts(), strict=True):
        assert one["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)

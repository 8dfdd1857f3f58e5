"""The handler without a server: it never raises, and gives one answer a request."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import maas
from maas.archive import HANDLER, handler_path
from maas.client import DESCRIPTION
from maas.serving import Handler


class FakeContext:
    """As TorchServe's, as far as the handler uses it."""

    def __init__(self, model_dir: Path) -> None:
        self.system_properties = {"model_dir": str(model_dir), "gpu_id": None}
        self.manifest = {"model": {"modelName": "wine", "modelVersion": "1.0"}}
        self.model_yaml_config = {"maxWorkers": 2}
        self.headers: list[dict[str, str]] = []
        self.status: dict[int, tuple[int, str]] = {}
        self.content_type: dict[int, str] = {}

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.headers[idx]

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.status[idx] = (code, phrase)

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.content_type[idx] = value


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


def test_whatever_fails_inside_is_an_answer(
    handler: Handler, context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("\ud800 CUDA out of memory")

    monkeypatch.setattr(handler.model, "prepare", explode)
    got = ask(handler, context, [rows_of(handler, 1)[0], b"{"])
    assert [status for status, _ in got] == [500, 400]
    assert "CUDA" not in json.dumps(got[0][1])


def test_an_answer_too_large_for_torchserve_is_refused(
    handler: Handler, context: FakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving._handler.MOST_RESPONSE_BYTES", 1000)
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

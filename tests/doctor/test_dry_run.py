"""Spoiled requests through the real handler, and through one that is broken in each way that it must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import maas
from maas.archive import GENERATE, HANDLER, handler_path, read_deployment
from maas.doctor import _dry_run
from maas.doctor._archive import _settings
from maas.doctor._child import run_child
from maas.doctor._poison import faults, requests
from maas.doctor._service import Answer, Context, Service

from .spoiling import only

CONFIG: dict[str, Any] = {"batchSize": 4, "maxWorkers": 1}
Broken = Callable[[list[Any], Context], Any]


def given(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "name": "wine",
        "version": "1.0",
        "handler": str(handler_path(HANDLER)),
        "config": CONFIG,
        **more,
    }


@pytest.fixture
def service(wine_artifact: Path) -> Iterator[Service]:
    threads = torch.get_num_threads()
    yield Service(handler_path(HANDLER), Context(str(wine_artifact), "wine", "1.0", CONFIG))
    torch.set_num_threads(threads)


def test_the_handler_answers_what_is_bad(service: Service) -> None:
    (found,) = _dry_run.poisoned(service, service.model.preprocess.examples(2))
    assert found.level == "ok", found
    assert found.detail.startswith("2 good requests among 14 bad ones: each bad one is told so alone")


def _as_text(bodies: list[Any], _: Context) -> Any:
    return [body.decode() for body in bodies]


def _nan(bodies: list[Any], _: Context) -> Any:
    return [b'{"label": NaN}' for _ in bodies]


def _infinite(bodies: list[Any], _: Context) -> Any:
    return [b'{"label": 1e999}' for _ in bodies]


def _too_large(bodies: list[Any], _: Context) -> Any:
    return [b'"' + b"x" * 6_553_500 + b'"' for _ in bodies]


def _by_company(bodies: list[Any], _: Context) -> Any:
    return [b'{"label": %d}' % len(bodies) for _ in bodies]


def _server_error(bodies: list[Any], context: Context) -> Any:
    for place in range(len(bodies)):
        context.set_response_status(500, "Internal Server Error", place)
    return bodies


def _phrase(bodies: list[Any], context: Context) -> Any:
    context.set_response_status(200, "schön", 0)
    return bodies


def _header(bodies: list[Any], context: Context) -> Any:
    context.set_response_header(0, "x-row", "a\r\nb")
    return bodies


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (_as_text, "a good row: the answer is str, not bytes"),
        (_nan, "a good row: the answer is no strict JSON: it has NaN in it"),
        (_infinite, "a good row: the answer is no strict JSON: it has a number in it that no float can hold"),
        (_too_large, "a good row: the answer has 6,553,502 bytes, more than TorchServe sends"),
        (_by_company, "a good row: is answered 200 b'{\"label\": 16}' in company and 200 b'{\"label\": 1}' alone"),
        (_server_error, "NaN: it caused an error of the server"),
        (_phrase, "a good row: the phrase 'schön' is not plain ASCII"),
        (_header, "a good row: the header x-row is 'a\\r\\nb'"),
    ],
)
def test_what_a_handler_must_not_do(
    broken: Broken, says: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = service._instance.handle
    monkeypatch.setattr(service._instance, "handle", lambda data, context: broken(handle(data, context), context))
    found = list(faults(service, requests(service.model.preprocess.examples(2))))
    assert any(one.startswith(says) for one in found), found


def test_a_bad_request_that_is_answered_and_a_good_one_that_is_not(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = requests(service.model.preprocess.examples(2))
    monkeypatch.setattr(service, "ask", lambda asked: [Answer(b"{}") for _ in asked])
    assert "an empty body: it is answered, 200 b'{}'" in list(faults(service, batch))
    monkeypatch.setattr(service, "ask", lambda asked: [Answer(b"{}", 400, "Bad Request") for _ in asked])
    assert "a good row: it is refused, 400 b'{}'" in list(faults(service, batch))


def test_too_few_answers(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service._instance, "handle", lambda data, context: [b""])
    with pytest.raises(ValueError, match="16 requests got 1 answers"):
        list(faults(service, requests(service.model.preprocess.examples(2))))


def test_time_limits_that_are_too_short(service: Service) -> None:
    found = list(_dry_run.batch(service, service.model.preprocess.examples(2), {**CONFIG, "responseTimeout": 1e-9}))
    assert "TorchServe kills a worker that does not answer within responseTimeout" in only(found, "warning").detail
    assert "bytes a row: a request for more than 10,000 rows or so" in only(found, "ok").detail


def test_more_workers_than_memory() -> None:
    assert only(_dry_run.memory({"maxWorkers": 1}), "ok").subject == "memory"
    found = only(_dry_run.memory({"maxWorkers": 100_000}), "error")
    assert "100000 of them" in found.detail
    assert "--workers" in found.remedy


def test_a_model_that_cannot_load(tmp_path: Path) -> None:
    (found,) = _dry_run.dry_run(given(tmp_path))
    assert "a worker could not load it: IntegrityError" in found.detail
    assert "--import MODULE" in found.remedy


def test_a_worker_that_would_die_is_told(wine_artifact: Path, tmp_path: Path) -> None:
    handler = tmp_path / "deadly.py"
    handler.write_text("class Deadly:\n    def initialize(self, context):\n        raise SystemExit(7)\n")
    ended = run_child("maas.doctor._dry_run", given(wine_artifact, handler=str(handler)), seconds=60)
    assert (ended.answer, ended.why) == (None, "its process ended with exit code 7")


def test_a_model_that_generates(tmp_path: Path) -> None:
    model = maas.fit(
        maas.recipe(maas.nn.CausalTransformer, width=16, num_layers=1, num_heads=1),
        maas.data.read_corpus(["the cat sees the dog and the dog sees the cat"] * 4),
        preprocess=maas.preprocess.Prompt.with_options(vocabulary=260, context=48),
        epochs=1,
        device="cpu",
        progress=False,
    )
    config = _settings(read_deployment(streams=True))
    threads = torch.get_num_threads()
    handler = str(handler_path(GENERATE))
    found = list(_dry_run.dry_run(given(model.save(tmp_path / "tiny"), handler=handler, config=config)))
    torch.set_num_threads(threads)
    assert {one.level for one in found} == {"ok"}, found
    assert [one.subject for one in found] == ["load", "poisoned batch", "full batch", "answer size", "memory"]

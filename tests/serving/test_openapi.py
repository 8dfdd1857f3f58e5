"""The OpenAPI document: valid by the specification's own schema, and true of what the model takes and answers."""

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from openapi_spec_validator import validate

import maas
from maas.cli import main
from maas.schema import Field
from maas.serving import openapi
from maas.serving.protocols import KINDS

NPY, OCTETS = "application/x-npy", "application/octet-stream"


def holds(document: dict[str, Any], name: str, value: Any) -> None:
    """Raise unless a value is what the document's schema of that name says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_of_a_running_server(http: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "cancer"]) == 0
    document = json.loads(capsys.readouterr().out)
    validate(document)
    (url,) = [one["url"] for one in document["servers"]]
    assert url == str(http.base_url).rstrip("/")
    predict = document["paths"]["/predictions/cancer"]["post"]
    examples = predict["requestBody"]["content"]["application/json"]["examples"]
    row, many = examples["one row"]["value"], examples["many rows"]["value"]
    holds(document, "Row", row)
    holds(document, "BareAnswer", http.post("/predictions/cancer", json=row).json())
    holds(document, "Answers", http.post("/predictions/cancer", json=many).json())
    holds(document, "Problem", http.post("/predictions/cancer", json={}).json())
    with pytest.raises(jsonschema.ValidationError, match="is not one of"):
        holds(document, "BareAnswer", {"label": "x", "probabilities": {"benign": 1.0, "malignant": 0.0}, "model": {}})
    infer = document["paths"]["/v2/models/cancer/infer"]["post"]
    request = infer["requestBody"]["content"]["application/json"]["example"]
    wanted = infer["responses"]["200"]["content"]["application/json"]["example"]
    holds(document, "InferenceRequest", request)
    answer = http.post("/v2/models/cancer/infer", json=request).json()
    holds(document, "InferenceResponse", answer)
    for one, other in zip(answer["outputs"], wanted["outputs"], strict=True):
        assert {**one, "data": None} == {**other, "data": None}
        if one["name"] == "probabilities":
            assert one["data"] == pytest.approx(other["data"], abs=1e-5)


def test_of_an_artifact_and_of_an_archive(wine_artifact: Path, store: Path, tmp_path: Path) -> None:
    for path in (wine_artifact, store / "wine.mar"):
        assert main(["openapi", str(path), "--output", str(tmp_path / "wine.json")]) == 0
        document = json.loads((tmp_path / "wine.json").read_text())
        validate(document)
        assert document["info"]["title"] == "wine"
        assert document["components"]["schemas"]["Answer"]["properties"]["label"] == {"enum": [0, 1, 2]}
        assert set(document["paths"]["/predictions/wine"]["post"]["responses"]) == {
            "200",
            *(str(status) for status, _ in KINDS.values()),
        }


def test_nothing_that_is_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["openapi", "beer"]) == 4
    assert "no server runs here that serves 'beer'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value", "answer", "media"),
    [
        (
            Field("photo", "image", "bytes"),
            "AAE=",
            {"label": "a", "probabilities": {"a": 1.0}},
            "application/octet-stream",
        ),
        (Field("review", "text", "string"), "good", {"labels": ["a"], "probabilities": {"a": 1.0}}, "text/plain"),
        (Field("steps", "sequence", "number", (None, 1)), [[0.0]], {"values": [1.0]}, NPY),
        (Field("seen", "items", "label", (None,)), ["a"], {"items": ["b"], "scores": [0.5]}, "application/json"),
        (
            Field("size", "numeric", "number", nullable=True),
            None,
            {"score": 1.0, "anomalous": False},
            "application/x-npy",
        ),
    ],
)
def test_of_every_kind_of_field_and_answer(field: Field, value: Any, answer: dict[str, Any], media: str) -> None:
    described = {
        "model": {"name": "m", "version": "1.0", "digest": "d"},
        "task": "?",
        "target": "y",
        "labels": None,
        "schema": maas.schema.Schema((field,)).json_schema(),
        "fields": [field.to_json()],
        "example": {"row": {field.name: value}, "answer": answer},
    }
    document = openapi(described)
    validate(document)
    holds(document, "Answer", answer)
    assert media in document["paths"]["/predictions/m"]["post"]["requestBody"]["content"]

"""bfloat16: vouched for on test rows, stored in the card, taken by `precision="auto"` where it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas import Model
from maas.cli import main
from maas.data import Rows
from maas.errors import DataError, SkewError
from maas.model import _model, _precision

from .conftest import edit

Parts = tuple[Rows, Rows]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that has units for bfloat16; what is tested is the choice, not the machine."""
    monkeypatch.setattr(_model, "is_fast", lambda device: True)


@pytest.fixture
def loaded(wine_artifact: Path) -> Model:
    return maas.load(wine_artifact)


def vouched(model: Model, folder: Path, **told: Any) -> Path:
    """The model saved with a card that says this of bfloat16."""
    model.card["precision"] = {"bfloat16": {"held": True, "device": "cpu", "times_as_fast": 2.0, **told}}
    return model.save(folder)


def test_bfloat16_answers_are_those_of_a_network_cast_by_hand(loaded: Model, wine_split: Parts) -> None:
    rows = wine_split[1]
    full = loaded.predict(rows)
    low = loaded.set_precision("bfloat16").predict(rows)
    x = loaded.prepare(rows).batch.inputs["x"]
    with torch.no_grad():
        by_hand = loaded.recipe.build()
        by_hand.load_state_dict(loaded.network.state_dict())
        wanted = torch.softmax(by_hand.eval().to(torch.bfloat16)(x.bfloat16()).float(), dim=1).numpy()
    np.testing.assert_array_equal(low["probabilities"], wanted)
    assert 0 < np.abs(low["probabilities"] - full["probabilities"]).max() < 0.05
    again = loaded.set_precision("float32").predict(rows)
    np.testing.assert_array_equal(again["probabilities"], full["probabilities"])
    assert {tensor.dtype for tensor in loaded.network.state_dict().values()} == {torch.float32}


def test_vouching_scores_both_and_leaves_the_model_in_float32(loaded: Model, wine_split: Parts) -> None:
    """Reference: the model's own evaluation in each precision."""
    found = loaded.vouch(wine_split[1], max_drop=0.1)
    assert loaded.precision == "float32"
    assert found == loaded.card["precision"]["bfloat16"]
    assert found["held"] is True
    assert (found["num_rows"], found["device"]) == (len(wine_split[1]), "cpu")
    answers = {}
    for precision in ("float32", "bfloat16"):
        loaded.set_precision(precision)
        assert loaded.evaluate(wine_split[1]).scores == found["scores"][precision]
        answers[precision] = loaded.predict(wine_split[1])["label"]
    assert found["agreement"] == np.mean(answers["float32"] == answers["bfloat16"])
    assert found["times_as_fast"] > 0


def test_a_drop_beyond_what_is_allowed_does_not_hold(loaded: Model, wine_split: Parts) -> None:
    """The output of this network moves by what its last digits are in bfloat16."""
    loaded.network.output.bias.data += 300  # type: ignore[union-attr, operator]
    found = loaded.vouch(wine_split[1], max_drop=0.0)
    assert found["drop"] > 0
    assert found["held"] is False


@pytest.mark.usefixtures("fast")
def test_auto_takes_bfloat16_where_the_card_vouches_for_it(loaded: Model, tmp_path: Path) -> None:
    assert maas.load(vouched(loaded, tmp_path / "a"), precision="auto").precision == "bfloat16"
    assert maas.load(tmp_path / "a").precision == "float32"
    stored = json.loads((tmp_path / "a" / "example.json").read_text())
    assert stored["tolerance"] == {"float32": 1e-5, "bfloat16": 2e-2}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "told", [{"held": False}, {"device": "cuda"}, {"times_as_fast": 0.9}, {"times_as_fast": None}, {"held": 1}]
)
def test_auto_stays_in_float32_where_it_does_not(loaded: Model, tmp_path: Path, told: dict[str, Any]) -> None:
    assert maas.load(vouched(loaded, tmp_path / "a", **told), precision="auto").precision == "float32"
    loaded.card["precision"] = {"bfloat16": "yes"}
    assert maas.load(loaded.save(tmp_path / "b"), precision="auto").precision == "float32"


def test_auto_stays_in_float32_on_a_device_without_units_for_it(
    loaded: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_model, "is_fast", lambda device: False)
    assert maas.load(vouched(loaded, tmp_path / "a"), precision="auto").precision == "float32"


def test_a_processor_says_of_itself_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for able, wanted in (({"amx_bf16": True}, True), ({"avx512_bf16": False, "avx2": True}, False), ({}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert _precision.is_fast(cpu) is wanted
    assert _precision.is_fast(torch.device("meta")) is False


@pytest.mark.usefixtures("fast")
def test_golden_answers_that_bfloat16_does_not_give(loaded: Model, tmp_path: Path) -> None:
    """Within the tolerance of nothing: "auto" stays in float32, and who insists is refused."""
    folder = vouched(loaded, tmp_path / "a")
    edit(folder, "example.json", tolerance={"float32": 1e-5, "bfloat16": 1e-9})
    assert maas.load(folder, precision="auto").precision == "float32"
    with pytest.raises(SkewError, match="golden row"):
        maas.load(folder, precision="bfloat16")


def test_saving_a_model_in_bfloat16_stores_what_float32_answers(loaded: Model, tmp_path: Path) -> None:
    one, other = loaded.save(tmp_path / "a"), loaded.set_precision("bfloat16").save(tmp_path / "b")
    assert loaded.precision == "bfloat16"
    assert (one / "example.json").read_bytes() == (other / "example.json").read_bytes()
    assert maas.load(other, precision="bfloat16").precision == "bfloat16"


def test_a_model_that_cannot_be_saved_keeps_its_precision(loaded: Model, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 0: there is no field 'x'|row 0: field 'alcohol' is missing"):
        loaded.set_precision("bfloat16").save(tmp_path / "a", examples=[{"x": 1.0}])
    assert loaded.precision == "bfloat16"


def test_wrong_arguments(loaded: Model, wine_split: Parts, wine_artifact: Path) -> None:
    with pytest.raises(DataError, match="`precision` must be one of float32, bfloat16, got 'float16'"):
        loaded.set_precision("float16")
    with pytest.raises(DataError, match="`precision` must be one of auto, float32, bfloat16, got 'fast'"):
        maas.load(wine_artifact, precision="fast")
    with pytest.raises(DataError, match="`precision` to vouch for must be bfloat16, got 'int8'"):
        loaded.vouch(wine_split[1], precision="int8")
    with pytest.raises(DataError, match="`max_drop` must be from 0 to below 1, got -1"):
        loaded.vouch(wine_split[1], max_drop=-1)


def test_the_command_writes_what_it_found_into_the_card(
    wine_model: Model, wine_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = wine_model.save(tmp_path / "wine")
    before = maas.load(folder)
    assert main(["vouch", str(folder), str(wine_csv), "--max-drop", "0.2"]) == 0
    assert "bfloat16 holds its accuracy" in capsys.readouterr().out
    after = maas.load(folder)
    assert after.card["precision"]["bfloat16"]["num_rows"] == 178
    assert (after.digest, after.example["rows"]) == (before.digest, before.example["rows"])  # type: ignore[index]

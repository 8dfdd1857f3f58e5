"""maas.compress.search: what it tries, how it measures, what it chooses."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import maas
from maas import artifact
from maas.compress import Candidate, Measured, Search, Unseen, quantize, search, smaller
from maas.compress._grid import Step
from maas.compress._measure import measure
from maas.compress._search import _try
from maas.data import Rows
from maas.errors import CompressionError, DataError, FormatError


def taken(p50: float, weights: int, rounds: tuple[float, ...] = ()) -> Measured:
    return Measured(weights, weights + 1000, 1, p50, 2 * p50, 3 * p50, 4 * p50, rounds or (p50,) * 4)


def found(*candidates: tuple[str, float, float, int], **how: Any) -> Search:
    """Of an accuracy of 0.9 at 4 ms and 4,000 bytes, and of these: a name, an accuracy, a p50, bytes."""
    lines = [("as it is", 0.9, 4.0, 4000), *candidates]
    made = [Candidate(name, score, round(0.9 - score, 9), taken(p50, size)) for name, score, p50, size in lines]
    given = {"max_drop": 0.01, "optimize": "latency", "candidates": tuple(made), **how}
    return Search(
        primary="accuracy",
        greater_is_better=True,
        num_rows=500,
        fingerprint="f" * 64,
        machine="a CPU, 1 thread",
        **given,
    )


def test_the_best_is_the_quickest_or_the_smallest_within_the_budget() -> None:
    candidates = (("int8", 0.895, 2.0, 1000), ("pruned", 0.891, 3.0, 500), ("too far", 0.85, 0.1, 10))
    assert found(*candidates).best.name == "int8"
    assert found(*candidates, optimize="size").best.name == "pruned"
    assert found(*candidates, max_drop=0.0).best.name == "as it is"
    assert found(*candidates, max_drop=0.1).best.name == "too far"


def test_what_differs_by_noise_is_decided_by_the_other() -> None:
    assert found(("a", 0.9, 2.0, 1000), ("b", 0.9, 2.05, 500)).best.name == "b"  # 2.5 % slower
    assert found(("a", 0.9, 2.0, 1000), ("b", 0.9, 2.1, 500)).best.name == "a"  # 5 %
    assert found(("a", 0.9, 2.0, 1000), ("b", 0.9, 1.0, 1005), optimize="size").best.name == "b"
    assert found(("a", 0.9, 2.0, 1000), ("b", 0.9, 1.0, 1020), optimize="size").best.name == "a"


def test_faster_is_what_was_so_in_three_of_four_rounds() -> None:
    slow = taken(2.0, 1, (2.0, 2.0, 2.0, 2.0))
    assert taken(1.0, 1, (1.0, 1.0, 1.0, 5.0)).is_faster_than(slow)
    assert not taken(1.0, 1, (1.0, 1.0, 5.0, 5.0)).is_faster_than(slow)
    assert not slow.is_faster_than(slow)


def test_a_front_holds_what_nothing_beats_in_both() -> None:
    search = found(
        ("int8", 0.895, 2.0, 1000), ("worse", 0.89, 3.0, 2000), ("same", 0.895, 2.0, 1000), ("far", 0.5, 1.0, 1500)
    )
    assert [one.name for one in search.front("latency")] == ["as it is", "int8", "same", "far"]
    assert [one.name for one in search.front("size")] == ["as it is", "int8", "same"]


def test_the_table_in_words() -> None:
    skipped = Candidate("distilled", skipped="needs rows to go on training with: train=")
    search = found(("int8", 0.895, 2.0, 1000), ("slim", 0.88, 3.99, 1000))
    search = replace(search, candidates=(*search.candidates, skipped))
    lines = str(search).splitlines()
    assert lines[0] == "500 rows judge, and accuracy may be worse by 0.01; a CPU, 1 thread"
    assert lines[1].split()[:2] == ["accuracy", "drop"]
    assert lines[2].startswith("as it is ")
    assert lines[3].split("  ")[-1] == "chosen; front: latency, size"
    assert "1 kB" in lines[3]
    assert "2 ms" in lines[3]
    assert lines[4].endswith("  over budget; no faster here")
    assert lines[5] == "distilled  skipped: needs rows to go on training with: train="
    assert lines[6] == (
        "chosen for latency: int8, 4.0 times smaller and 2.00 times as fast for one row; accuracy 0.9000 -> 0.8950, "
        "on the rows that chose it, so a little optimistic"
    )
    tested = replace(search, tested=Unseen(0.91, 0.9, 200, "g"))
    assert str(tested).endswith("0.9000 -> 0.8950; on 200 rows that had no say 0.9100 -> 0.9000")


@pytest.mark.parametrize(
    ("candidates", "optimize", "message"),
    [
        ([("int8", 0.8, 2.0, 1000)], "latency", "no candidate keeps accuracy within 0.01; allow more with max_drop"),
        ([("int8", 0.9, 5.0, 1000)], "latency", "answers faster here than the model as it is; optimize for size"),
        ([("int8", 0.9, 2.0, 5000)], "size", "no candidate within the budget is smaller than the model as it is"),
    ],
)
def test_where_nothing_is_chosen_it_says_why(candidates: Any, optimize: str, message: str) -> None:
    search = found(*candidates, optimize=optimize)
    assert search.best is search.as_it_is
    with pytest.raises(CompressionError, match=message) as caught:
        search.model  # noqa: B018
    assert "rows judge, and accuracy" in str(caught.value)
    assert str(search).splitlines()[-1].startswith("nothing chosen: ")


def test_it_comes_back_from_json() -> None:
    search = found(("int8", 0.895, 2.0, 1000), tested=Unseen(0.91, 0.9, 200, "g"))
    assert Search.from_json(json.loads(json.dumps(search.to_json()))) == search


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (["primary"], 3, "must have a string where it has 3"),
        (["optimize"], "beauty", "is for latency or size, got 'beauty'"),
        (["greater_is_better"], 1, "must have true or false where it has 1"),
        (["candidates"], [], "has 1 to 100 candidates, got list of 0"),
        (["candidates"], [{}] * 101, "has 1 to 100 candidates"),
        (["candidates", 0], {}, "does not hold a search: wants name, score"),
        (["candidates", 0, "drop"], 0.5, "is the model as it is, measured, with a drop of 0"),
        (["candidates", 1, "skipped"], "why", "was measured or skipped, 'int8' neither or both"),
        (["candidates", 1, "score"], float("nan"), "must have a finite number where it has nan"),
        (["candidates", 1, "measured", "p50_ms"], 0, "must have a time above 0 where it has 0"),
        (["candidates", 1, "measured", "rounds_ms"], [], "the times of 1 to 100 rounds"),
        (["candidates", 1, "measured", "rounds_ms"], [1.0], "as many rounds"),
        (["candidates", 1, "measured", "weights_bytes"], 0, "must have a count above 0 where it has 0"),
        (["candidates", 1, "measured", "weights_bytes"], 10**30, "must have a count above 0"),
        (["tested"], {"before": 1.0}, "does not hold a search"),
    ],
)
def test_a_hostile_one_is_refused(at: list[Any], value: Any, message: str) -> None:
    state = json.loads(json.dumps(found(("int8", 0.895, 2.0, 1000)).to_json()))
    place = state
    for key in at[:-1]:
        place = place[key]
    place[at[-1]] = value
    with pytest.raises(FormatError, match=message):
        Search.from_json(state)


@pytest.mark.parametrize(
    ("recipe", "arguments"),
    [
        (maas.recipe(maas.nn.MLP, hidden=(64, 1)), {"hidden": [32, 1]}),
        (maas.recipe(maas.nn.ResNet, width=24), {"width": 12}),
        (maas.recipe(maas.nn.TextRNN, embedding_dim=8, hidden_size=6), {"embedding_dim": 4, "hidden_size": 3}),
    ],
)
def test_a_smaller_recipe_is_of_half_the_width(recipe: maas.Recipe, arguments: dict[str, Any]) -> None:
    assert smaller(recipe).arguments == arguments


def test_of_some_kinds_no_smaller_recipe_follows() -> None:
    with pytest.raises(CompressionError, match="no smaller backbone follows by itself; give distil a recipe"):
        smaller(maas.recipe(maas.nn.Backbone, name="resnet18"))


@maas.network("test_search_own")
class Own(nn.Module):
    """A network that only this process knows."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    @classmethod
    def sizes(cls, inputs: Any, num_outputs: int) -> dict[str, Any]:
        return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.layer(x)
        return outputs


def test_measuring(wine_split: tuple[Rows, Rows], tmp_path: Path) -> None:
    train, test = wine_split
    for name, hidden in (("narrow", (4,)), ("wide", (1500, 1500))):
        recipe = maas.recipe(maas.nn.MLP, hidden=hidden)
        maas.fit(recipe, train, epochs=1, device="cpu", progress=False).save(tmp_path / name)
    folders = {name: tmp_path / name for name in ("narrow", "wide")}
    got = measure(folders, test.to_dicts(), rounds=3)
    for name, one in got.items():
        files = {file.name: file.stat().st_size for file in folders[name].iterdir()}
        assert one.weights_bytes == files["model.safetensors"]
        assert one.artifact_bytes == sum(files.values())
        assert 0 < one.p50_ms <= one.p99_ms
        assert 0 < one.p50_ms_of_8 <= one.p99_ms_of_8
        assert len(one.rounds_ms) == 3
        assert min(one.rounds_ms) <= one.p50_ms <= max(one.rounds_ms)
    weights = got["wide"].weights_bytes - got["narrow"].weights_bytes
    memory = [got[name].memory_bytes for name in ("narrow", "wide")]
    if None not in memory:
        assert memory[1] - memory[0] > 0.9 * weights

    Own.__module__ = "of_this_process_only"
    maas.fit(maas.recipe(Own), train, epochs=1, device="cpu", progress=False).save(tmp_path / "own")
    with pytest.raises(CompressionError, match=r"cannot answer with the model 'own': .*test_search_own.*imports="):
        measure({"own": tmp_path / "own"}, test.to_dicts(), rounds=1)


@pytest.fixture(scope="module")
def whole(wine_split: tuple[Rows, Rows]) -> tuple[maas.Model, Search, list[str]]:
    """A search with all that there is, of few epochs and rounds."""
    train, test = wine_split
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(128, 64)), train, epochs=20, device="cpu", progress=False)
    said: list[str] = []
    valid, rest = test.split(0.5, seed=1)
    search_ = search(
        model, valid, train=train, test=rest, optimize="size", max_drop=0.5, shares=(0.5,), epochs=4, rounds=2,
        progress=said.append, learning_rate=0.01,
    )  # fmt: skip
    return model, search_, said


def test_all_is_tried_and_measured(whole: tuple[maas.Model, Search, list[str]]) -> None:
    model, search, said = whole
    names = [one.name for one in search.candidates]
    assert names == [
        "as it is", "bfloat16", "int8_weights", "int8", "pruned 0.5", "pruned 0.5 + int8_weights", "pruned 0.5 + int8",
        "distilled", "distilled + int8_weights", "distilled + int8",
    ]  # fmt: skip
    # Nothing in it is heavy enough for integers to pay.
    assert {one.name: one.skipped for one in search.candidates if one.skipped} == {
        f"{before}int8": f"comes to the same as {before}int8_weights"
        for before in ("", "pruned 0.5 + ", "distilled + ")
    }
    assert said[:-1] == names[1:]
    sizes = {one.name: one.measured.weights_bytes for one in search.candidates if one.measured}
    assert sizes["int8_weights"] < sizes["bfloat16"] < sizes["as it is"]
    assert sizes["pruned 0.5 + int8_weights"] < sizes["pruned 0.5"] < sizes["as it is"]
    assert model.recipe.transforms == ()
    assert "compression" not in model.card


def test_the_best_carries_the_table_and_comes_back(
    whole: tuple[maas.Model, Search, list[str]], wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    model, search, _ = whole
    best = search.model
    best.save(tmp_path / "best")
    loaded = maas.load(tmp_path / "best")
    assert Search.from_json(loaded.card["compression_search"]) == replace(search, made=None)
    assert {one["max_drop"] for one in loaded.card["compression"]} == {0.5}
    stored = artifact.read_files(tmp_path / "best")
    measured = search.best.measured
    assert measured is not None
    assert measured.weights_bytes == len(stored["model.safetensors"])
    valid, rest = wine_split[1].split(0.5, seed=1)
    assert loaded.score(valid).values["accuracy"] == pytest.approx(search.best.score)
    assert search.tested is not None
    assert search.tested.after == pytest.approx(loaded.score(rest).values["accuracy"])
    assert search.tested.before == pytest.approx(model.score(rest).values["accuracy"])


def test_what_cannot_end_well_is_not_tried(wine_model: maas.Model, wine_split: tuple[Rows, Rows]) -> None:
    def costs(drop: float) -> Any:
        def make(model: maas.Model, max_drop: float) -> maas.Model:
            allowed.append(max_drop)
            made = copy.copy(model)
            made.recipe = replace(model.recipe, kind="mlp", arguments={**model.recipe.arguments, "seed": len(allowed)})
            made.card = {"compression": [{"after": scores.values["accuracy"] - drop}]}
            return made

        return make

    def cannot(model: maas.Model, max_drop: float) -> maas.Model:
        raise CompressionError("has no units that could go")

    def never(model: maas.Model, max_drop: float) -> maas.Model:
        raise AssertionError("tried")

    allowed: list[float] = []
    scores = wine_model.score(wine_split[1])
    steps = [
        Step("little", costs(0.02)),
        Step("little + more", costs(0.04), "little"),
        Step("much", costs(0.2), beyond="little"),
        Step("much + more", never, "much"),
        Step("most", never, beyond="much"),
        Step("other", cannot),
        Step("other + more", never, "other"),
    ]
    made, candidates = _try(wine_model, scores, steps, 0.05, lambda text: None)
    assert list(made) == ["as it is", "little", "little + more", "much"]
    assert allowed == pytest.approx([0.05, 0.03, 0.05])
    assert {one.name: one.skipped for one in candidates if one.skipped} == {
        "much + more": "much is over budget by itself",
        "most": "much is over budget, or could not be made",
        "other": "has no units that could go",
    }
    assert [one.drop for one in candidates if not one.skipped] == pytest.approx([0, 0.02, 0.04, 0.2])


def test_what_is_compressed_is_not_searched_again(wine_model: maas.Model, wine_split: tuple[Rows, Rows]) -> None:
    made = quantize(wine_model, wine_split[1], method="bfloat16", max_drop=0.5)
    with pytest.raises(CompressionError, match=r"compressed already \(bfloat16_weights\); search from the model that"):
        search(made, wine_split[1])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"optimize": "beauty"}, "`optimize` must be 'latency' or 'size', got 'beauty'"),
        ({"max_drop": 1.5}, "`max_drop` must be from 0 to below 1"),
        ({"learning_rate": 0.1}, "`learning_rate` is for training: give rows to go on with as `train`"),
        ({"shares": [0.5, 2.0]}, r"`shares` must be numbers above 0 and below 1, got '\[0.5, 2.0\]'"),
        ({"shares": "half"}, "`shares` must be numbers above 0 and below 1, got 'half'"),
        ({"rounds": 0}, "`rounds` must be an integer from 1 to 100, got 0"),
    ],
)
def test_arguments_out_of_range(how: Any, message: str, wine_model: maas.Model, wine_split: Any) -> None:
    with pytest.raises(DataError, match=message):
        search(wine_model, wine_split[1], **how)


def test_rows_without_a_target(wine_model: maas.Model, wine_split: tuple[Rows, Rows]) -> None:
    with pytest.raises(DataError, match="has no target to score against"):
        search(wine_model, replace(wine_split[1], target=None))

"""Matrices of low rank beside a network's own: only they learn, and they can be added into it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.data import Rows, read_corpus
from maas.errors import DataError, RecipeError
from maas.nn.transforms import LowRank
from maas.training import merged

WORDS = ["cat", "dog", "cow", "fox"]
SETTINGS: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.02, "device": "cpu", "progress": False}


def corpus(verb: str) -> Rows:
    return read_corpus([f"the {one} {verb} the {two}." for one, two in itertools.product(WORDS, WORDS)])


@pytest.fixture(scope="module")
def base() -> maas.Model:
    recipe = maas.recipe(maas.nn.CausalTransformer, width=16, num_layers=1, num_heads=2, tied=False)
    prompts = maas.preprocess.Prompt.with_options(vocabulary=280, context=32)
    return maas.fit(recipe, corpus("sees"), preprocess=prompts, epochs=2, **SETTINGS)


@pytest.fixture(scope="module")
def adapted(base: maas.Model) -> maas.Model:
    return maas.fit(base.recipe, corpus("eats"), start=base, adapt=LowRank(rank=2), epochs=4, **SETTINGS)


def test_only_the_added_matrices_learn(base: maas.Model, adapted: maas.Model) -> None:
    before, after = base.network.state_dict(), adapted.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    added = after.keys() - before.keys()
    assert added == set(adapted.recipe.transforms[0].added(adapted.network))  # type: ignore[attr-defined]
    assert len(added) == 2 * 8  # seven layers of the block, and the head
    assert all(after[name].any() for name in added)
    losses = [one["train_loss"] for one in adapted.card["training"]["history"]]
    assert losses[-1] < losses[0]
    assert adapted.card["lineage"]["start"]["new"] == sorted(added)


def test_it_begins_where_the_model_was(base: maas.Model) -> None:
    network = LowRank().apply(base.recipe.build()).eval()
    network.load_state_dict(base.network.state_dict(), strict=False)
    tokens = torch.tensor([[0, 5, 9]])
    torch.testing.assert_close(network(tokens), base.network(tokens), rtol=0, atol=0)


def test_it_is_saved_loaded_and_merged(base: maas.Model, adapted: maas.Model, tmp_path: Path) -> None:
    rows = corpus("eats")
    again = maas.load(adapted.save(tmp_path / "adapted"))
    wanted = adapted.predict(rows)["prompt_logprob"].astype(float)
    assert again.predict(rows)["prompt_logprob"].astype(float).tolist() == wanted.tolist()
    plain = merged(again)
    assert plain.recipe == base.recipe
    np.testing.assert_allclose(plain.predict(rows)["prompt_logprob"].astype(float), wanted, rtol=1e-5)
    assert plain.network.state_dict().keys() == base.network.state_dict().keys()
    maas.load(plain.save(tmp_path / "plain"))
    with pytest.raises(DataError, match="the model has no matrices of low rank to merge"):
        merged(plain)


def test_it_goes_on_from_an_adapted_model(adapted: maas.Model) -> None:
    again = maas.fit(adapted.recipe, corpus("eats"), start=adapted, epochs=1, **SETTINGS)
    frozen = again.network.state_dict().keys() - set(adapted.recipe.transforms[0].added(adapted.network))  # type: ignore[attr-defined]
    before, after = adapted.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_some_layers_only(base: maas.Model) -> None:
    adapt = LowRank(rank=2, targets=("query", "blocks.0.value"))
    network = adapt.apply(base.recipe.build())
    assert {name.rpartition(".")[0] for name in adapt.added(network)} == {"blocks.0.query", "blocks.0.value"}
    learning = {name for name, one in network.named_parameters() if one.requires_grad}
    assert learning == set(adapt.added(network))


def test_other_networks_have_linear_layers_too(wine_model: maas.Model, wine_split: tuple[Rows, Rows]) -> None:
    found = maas.fit(wine_model.recipe, wine_split[0], start=wine_model, adapt=LowRank(rank=1), epochs=2, **SETTINGS)
    np.testing.assert_allclose(
        merged(found).predict(wine_split[1])["probabilities"],
        found.predict(wine_split[1])["probabilities"],
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"rank": 0}, "`rank` must be an integer from 1 to 4096, got 0"),
        ({"alpha": -1}, "`alpha` must be positive and finite, got -1"),
        ({"targets": ()}, "`targets` must be names of layers"),
        ({"targets": "query"}, "`targets` must be names of layers"),
    ],
)
def test_arguments_out_of_their_range(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        LowRank(**arguments)


def test_networks_that_it_does_not_fit(base: maas.Model) -> None:
    with pytest.raises(RecipeError, match="`targets` names 'q_proj', the network's linear layers are called query"):
        LowRank(targets=("q_proj",)).apply(base.recipe.build())
    with pytest.raises(RecipeError, match="has matrices of low rank already"):
        LowRank().apply(LowRank().apply(base.recipe.build()))
    with pytest.raises(RecipeError, match="whose statistics would move with every batch"):
        LowRank().apply(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)))
    with pytest.raises(RecipeError, match="no linear layers to put matrices of low rank beside"):
        LowRank().apply(torch.nn.Sequential(torch.nn.ReLU()))


def test_fit_says_what_it_wants(base: maas.Model) -> None:
    with pytest.raises(DataError, match="`adapt` needs `start`, the model to adapt"):
        maas.fit(base.recipe, corpus("eats"), adapt=LowRank(), **SETTINGS)
    with pytest.raises(DataError, match=r"`adapt` must be a maas\.training\.LowRank, got 8"):
        maas.fit(base.recipe, corpus("eats"), start=base, adapt=8, **SETTINGS)  # type: ignore[arg-type]


def test_what_never_learns_has_no_optimizer_state(base: maas.Model, tmp_path: Path) -> None:
    """A run that is gone on with ends with the same weights, and its checkpoint holds no moments of the base."""
    from safetensors import safe_open

    whole = maas.fit(base.recipe, corpus("eats"), start=base, adapt=LowRank(rank=2), epochs=3, **SETTINGS)
    run = tmp_path / "run"
    for epochs in (2, 3):
        found = maas.fit(
            base.recipe,
            corpus("eats"),
            start=base,
            adapt=LowRank(rank=2),
            epochs=epochs,
            run=maas.Run(run, resume=epochs == 3),
            **SETTINGS,
        )
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, found.network.state_dict()[name])
    (file, *_) = sorted(run.rglob("*.safetensors"))
    with safe_open(file, "pt") as stored:
        moments = [name for name in stored.keys() if name.startswith("optimizer.exp_avg.")]  # noqa: SIM118
    assert moments
    assert all("low_rank" in name for name in moments)

"""Recipes as values, and the register of the classes they name."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import maas
from maas.errors import FormatError, RecipeError
from maas.nn import MLP, Recipe, network, network_class, recipe
from maas.nn._register import _REGISTER
from maas.schema import TensorSpec

VECTOR = {"x": TensorSpec((13,), "float32")}


@pytest.fixture(autouse=True)
def _register_as_before() -> Iterator[None]:
    before = dict(_REGISTER)
    yield
    _REGISTER.clear()
    _REGISTER.update(before)


class Unregistered(nn.Linear):
    pass


def test_from_the_class_and_from_its_name() -> None:
    assert recipe(MLP, hidden=(8,)) == recipe("mlp", hidden=[8]) == Recipe("mlp", {"hidden": [8]})
    assert recipe(MLP) != recipe(MLP, hidden=(8,))


def test_arguments_are_a_copy_in_json_values() -> None:
    sizes = [8, 4]
    one = recipe(MLP, hidden=sizes)
    sizes.append(-1)
    assert one.arguments == {"hidden": [8, 4]}
    assert type(recipe(MLP, hidden=(8, 4)).arguments["hidden"]) is list


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hiden": (8,)}, "MLP has no argument 'hiden', it has in_features, out_features, hidden"),
        ({"hidden": {8}}, "`hidden` of MLP must be a JSON value, got set of 1"),
        ({"hidden": torch.ones(2)}, "`hidden` of MLP must be a JSON value, got tensor"),
        ({"dropout": math.nan}, "`dropout` of MLP must be a JSON value, got nan"),
        ({"activation": nn.ReLU}, "`activation` of MLP must be a JSON value, got <class"),
        ({"hidden": [1] * 30_000}, "the arguments of a recipe take at most 65536 bytes, got 9"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_built(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(MLP, **arguments)


def test_resolve_binds_sizes_and_every_default() -> None:
    """Reference: the signature of MLP itself."""
    resolved = recipe(MLP, hidden=(8,)).resolve(VECTOR, 3)
    defaults = {name: one.default for name, one in inspect.signature(MLP).parameters.items()}
    assert resolved.arguments == {**defaults, "in_features": 13, "out_features": 3, "hidden": [8]}
    assert resolved.resolve(VECTOR, 3) == resolved


def test_resolve_refuses_a_contradiction_with_the_data() -> None:
    with pytest.raises(RecipeError, match="`in_features` of MLP is 12 in the recipe, and 13 by the data; leave it out"):
        recipe(MLP, in_features=12).resolve(VECTOR, 3)
    assert recipe(MLP, in_features=13).resolve(VECTOR, 3).arguments["in_features"] == 13


def test_resolve_names_an_argument_that_nobody_gives() -> None:
    @network("test.no_sizes")
    class NoSizes(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()

    with pytest.raises(RecipeError, match="NoSizes: missing a required argument: 'width'; give it in the recipe"):
        recipe(NoSizes).resolve(VECTOR, 3)
    assert recipe(NoSizes, width=2).resolve(VECTOR, 3).arguments == {"width": 2}


def test_two_builds_share_no_storage() -> None:
    resolved = recipe(MLP, hidden=(8,), normalization="batch", seed=1).resolve(VECTOR, 3)
    one, other = resolved.build().state_dict(), resolved.build().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    pointers = [tensor.untyped_storage().data_ptr() for state in (one, other) for tensor in state.values()]
    assert len(set(pointers)) == 2 * len(one)


def test_build_says_which_arguments_the_class_refuses() -> None:
    with pytest.raises(RecipeError, match="`hidden` must be positive integers"):
        recipe(MLP, in_features=2, out_features=1, hidden=(0,)).build()
    with pytest.raises(RecipeError, match=r"MLP cannot be built from .*missing 2 required positional arguments"):
        recipe(MLP).build()


def test_json_round_trip() -> None:
    one = recipe(MLP, hidden=(8, 4), dropout=0.25, normalization=None)
    assert Recipe.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize("state", [{"kind": 3, "arguments": {}}, {"kind": "mlp", "arguments": [1]}])
def test_from_json_wants_a_string_and_an_object(state: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=r"a recipe is {kind: string, arguments: object}"):
        Recipe.from_json(state)


def test_an_unregistered_class_is_refused_with_the_remedy() -> None:
    with pytest.raises(RecipeError, match=r"Unregistered is not registered; write @maas.network"):
        recipe(Unregistered)


@pytest.mark.parametrize("kind", ["hypernet", "os.system", "builtins.eval", "MLP", ""])
def test_an_unknown_kind_is_refused_with_those_there_are(kind: str) -> None:
    with pytest.raises(RecipeError, match=f"no network is registered as '{kind}'; import the module .*there are .*mlp"):
        recipe(kind)


@pytest.mark.parametrize("kind", ["", "My Net", "UPPER", "-x", "a" * 65, "a/b", "a\n"])
def test_a_malformed_kind_cannot_be_registered(kind: str) -> None:
    with pytest.raises(RecipeError, match="a network's kind is lower-case letters"):
        network(kind)


def test_a_taken_kind_is_refused_and_the_same_class_again_is_not() -> None:
    def define() -> type[nn.Module]:
        class Net(nn.Linear):
            pass

        return Net

    first, again = define(), define()
    assert network("test.taken")(first) is first
    network("test.taken")(again)  # as when its module is imported again
    assert network_class("test.taken") is again
    with pytest.raises(RecipeError, match=r"the kind 'test.taken' is taken by .*define.<locals>.Net"):
        network("test.taken")(Unregistered)
    with pytest.raises(RecipeError, match=r"the kind 'mlp' is taken by maas.nn._mlp.MLP"):
        network("mlp")(Unregistered)


def test_an_installed_package_registers_through_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "entry_nets.py").write_text(
        "import maas\nfrom torch import nn\n\n@maas.network('entry.net')\nclass Net(nn.Linear):\n    pass\n"
    )
    info = tmp_path / "entry_nets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: entry-nets\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[maas.networks]\nentry.net = entry_nets:Net\n")
    with pytest.raises(RecipeError, match=r"no network is registered as 'entry.net'"):
        maas.recipe("entry.net")
    monkeypatch.syspath_prepend(tmp_path)
    built = maas.recipe("entry.net", in_features=2, out_features=3).build()
    assert type(built).__name__ == "Net"
    assert built.weight.shape == (3, 2)

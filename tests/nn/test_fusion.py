"""Fusion: encoders beside each other, their recipes nested, resolved and bound."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
import torch

import maas
from maas.errors import RecipeError
from maas.nn import CNN, MLP, Fusion, Recipe, TextCNN, TextRNN, network_class
from maas.nn._register import _LEARNS
from maas.schema import TensorSpec

INPUTS = {
    "photo__image": TensorSpec((1, 8, 8), "float32"),
    "note__tokens": TensorSpec((None,), "int64", 20),
    "note__tokens_lengths": TensorSpec((), "int64"),
    "table__x": TensorSpec((5,), "float32"),
}
PARTS = {
    "photo": maas.recipe(CNN, channels=1, height=8, width=8, out_features=6, filters=(4,)),
    "note": maas.recipe(TextRNN, vocabulary=20, out_features=6, hidden_size=4),
    "table": maas.recipe(MLP, in_features=5, out_features=6, hidden=()),
}


def tensors(rows: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "photo__image": torch.rand(rows, 1, 8, 8, generator=generator),
        "note__tokens": torch.randint(2, 20, (rows, 7), generator=generator),
        "note__tokens_lengths": torch.tensor([7, 3, 1][:rows]),
        "table__x": torch.rand(rows, 5, generator=generator),
    }


def test_it_is_its_encoders_joined_before_the_head() -> None:
    """Reference: the same modules called by hand."""
    network = Fusion(PARTS, 3, width=6, hidden=(5,), activation="tanh", dropout=0.5).eval()
    given = tensors()
    assert network.names == ("note", "photo", "table")
    note, photo, table = network.encoders
    read = note(given["note__tokens"], given["note__tokens_lengths"])
    features = torch.cat([read, photo(given["photo__image"]), table(given["table__x"])], dim=1)
    hidden = torch.tanh(network.head.hidden[0](torch.tanh(features)))
    torch.testing.assert_close(network(**given), network.head.output(hidden))


def test_the_order_of_parts_does_not_matter() -> None:
    torch.manual_seed(0)
    one = Fusion(PARTS, 3, width=6)
    torch.manual_seed(0)
    other = Fusion(dict(reversed(PARTS.items())), 3, width=6)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert torch.equal(one(**tensors()), other(**dict(reversed(tensors().items()))))


def test_every_part_reaches_the_answer_and_learns() -> None:
    network = Fusion(PARTS, 2, width=6)
    network(**tensors()).sum().backward()
    for name, encoder in zip(network.names, network.encoders, strict=True):
        assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in encoder.parameters()), name


def test_a_recipe_holds_recipes_as_json() -> None:
    given = maas.recipe(Fusion, parts={"note": maas.recipe(TextRNN, hidden_size=4)}, hidden=(8,))
    assert given.arguments["parts"] == {"note": {"kind": "text_rnn", "arguments": {"hidden_size": 4}}}
    assert Recipe.from_json(json.loads(json.dumps(given.to_json()))) == given


def test_a_class_in_place_of_a_recipe_is_told_with_the_remedy() -> None:
    with pytest.raises(
        RecipeError, match=r"`parts` of Fusion must be a JSON value.*TextRNN is a class; give maas.recipe"
    ):
        maas.recipe(Fusion, parts={"note": TextRNN})
    with pytest.raises(RecipeError, match=r"`parts` of Fusion must be a JSON value, got dict of 1: a Tensor is none"):
        maas.recipe(Fusion, parts={"note": torch.zeros(1)})


def test_resolving_binds_every_argument_of_every_part() -> None:
    given = maas.recipe(Fusion, parts={"note": maas.recipe(TextRNN, hidden_size=4)}, width=6)
    resolved = given.resolve(INPUTS, 3)
    parts = resolved.arguments["parts"]
    assert {name: part["kind"] for name, part in parts.items()} == {"photo": "cnn", "note": "text_rnn", "table": "mlp"}
    for part in [resolved.to_json(), *parts.values()]:
        assert set(part["arguments"]) == set(inspect.signature(network_class(part["kind"])).parameters)
    assert parts["note"]["arguments"]["hidden_size"] == 4
    assert {part["arguments"]["out_features"] for part in parts.values()} == {6}
    assert resolved.arguments["out_features"] == 3
    assert resolved.resolve(INPUTS, 3) == resolved
    assert resolved.bound() == resolved
    assert resolved.build()(**tensors()).shape == (3, 3)


def test_a_nested_recipe_by_hand_is_bound_too() -> None:
    bound = maas.recipe(Fusion, parts=PARTS, out_features=2, width=6).bound()
    assert bound.arguments["parts"]["table"]["arguments"]["activation"] == "relu"
    with pytest.raises(RecipeError, match="CNN: missing a required argument: 'channels'"):
        maas.recipe(Fusion, parts={"photo": maas.recipe(CNN)}, out_features=2).bound()


@pytest.mark.parametrize(
    ("inputs", "kind", "more"),
    [
        ({"image": TensorSpec((3, 8, 8), "float32")}, "cnn", {"filters": [32]}),
        ({"image": TensorSpec((1, 28, 28), "float32")}, "cnn", {"filters": [32, 64]}),
        ({"image": TensorSpec((3, 224, 300), "float32")}, "cnn", {"filters": [32, 64, 128, 128, 128]}),
        ({"image": TensorSpec((1, 2, 2), "float32")}, "cnn", {"filters": [32]}),
        ({"tokens": TensorSpec((None,), "int64", 9), "tokens_lengths": TensorSpec((), "int64")}, "text_cnn", {}),
        ({"sequence": TensorSpec((None, 4), "f"), "sequence_lengths": TensorSpec((), "int64")}, "cnn1d", {}),
        ({"x": TensorSpec((4,), "float32")}, "mlp", {"hidden": [64]}),
    ],
)
def test_a_part_of_which_nothing_is_said_gets_what_suits_it(
    inputs: dict[str, TensorSpec], kind: str, more: dict[str, Any]
) -> None:
    given = {f"one__{name}": spec for name, spec in inputs.items()}
    part = maas.recipe(Fusion).resolve(given, 2).arguments["parts"]["one"]
    assert part["kind"] == kind
    assert more.items() <= part["arguments"].items()
    Recipe.from_json(part).build()


def test_what_does_not_fit_the_data_is_refused() -> None:
    with pytest.raises(RecipeError, match="the rows have no part 'picture', they have photo, note, table"):
        maas.recipe(Fusion, parts={"picture": maas.recipe(CNN)}).resolve(INPUTS, 2)
    with pytest.raises(RecipeError, match="part 'photo': an MLP takes one vector `x`"):
        maas.recipe(Fusion, parts={"photo": maas.recipe(MLP)}).resolve(INPUTS, 2)
    with pytest.raises(RecipeError, match="part 'photo': `channels` of CNN is 3 in the recipe, and 1 by the data"):
        maas.recipe(Fusion, parts={"photo": maas.recipe(CNN, channels=3)}).resolve(INPUTS, 2)
    with pytest.raises(RecipeError, match="`out_features` of Fusion is 5 in the recipe, and 2 by the data"):
        maas.recipe(Fusion, out_features=5).resolve(INPUTS, 2)
    with pytest.raises(RecipeError, match="takes the inputs of mixed rows, as photo__image, the data gives x; use a n"):
        maas.recipe(Fusion).resolve({"x": TensorSpec((3,), "float32")}, 2)
    with pytest.raises(RecipeError, match=r"an MLP takes .* table__x .*; of mixed rows, maas.nn.Fusion takes a"):
        maas.recipe(MLP).resolve(INPUTS, 2)
    with pytest.raises(RecipeError, match=r"no encoder is known for the inputs smell of the part 'nose'; give one, as"):
        maas.recipe(Fusion).resolve({"nose__smell": TensorSpec((3,), "float32")}, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": {}}, "`parts` must be 1 to 16 recipes, got 0"),
        ({"parts": {str(one): PARTS["table"] for one in range(17)}}, "`parts` must be 1 to 16 recipes, got 17"),
        ({"parts": [PARTS["table"]]}, "`parts` must be recipes by part, as .*, got list of 1"),
        ({"parts": {"table": 3}}, "the part 'table' must be a recipe, as maas.recipe.*, got 3"),
        ({"parts": {"table": {"kind": "mlp"}}}, "the part 'table' must be a recipe"),
        ({"parts": {"table": {"kind": 3, "arguments": {}}}}, "must be {kind: string, arguments: object}"),
        ({"parts": {"table": {"kind": "mlp", "arguments": []}}}, "must be {kind: string, arguments: object}"),
        ({"parts": {"table": {"kind": "none", "arguments": {}}}}, "no network is registered as 'none'"),
        ({"parts": {"all": maas.recipe(Fusion, parts={})}}, "'all' is a Fusion itself, and a part of a row has no par"),
        ({"width": 0}, "`width` must be a positive integer, got 0"),
        ({"width": True}, "`width` must be a positive integer, got True"),
        ({"hidden": (0,)}, "`hidden` must be positive integers"),
        ({"dropout": 1}, "`dropout` must be from 0 to below 1"),
        ({"activation": "sine"}, "`activation` must be one of relu"),
        ({"out_features": 0}, "`out_features` must be a positive integer"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Fusion(**{"parts": PARTS, "out_features": 2, "width": 6, **arguments})


def test_an_encoder_that_learns_in_closed_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_LEARNS, "mlp", "closed_form")
    with pytest.raises(RecipeError, match="the part 'table' learns in closed form, which an encoder cannot; give anot"):
        Fusion(PARTS, 2, width=6)


def test_an_encoder_of_another_width_and_an_input_of_no_part_are_told() -> None:
    network = Fusion(PARTS, 2, width=7)
    with pytest.raises(RecipeError, match=r"'note' must give 7 features a row \(`width`\), it gives \(6,\)"):
        network(**tensors())
    with pytest.raises(RecipeError, match="no part for the input 'wave__sequence', it has note, photo, table"):
        network(**tensors(), wave__sequence=torch.zeros(3, 1, 1))


def test_arguments_may_be_nested_so_deep_and_no_deeper() -> None:
    deep: Any = 1
    for _ in range(31):
        deep = [deep]
    maas.recipe(MLP, hidden=deep)
    with pytest.raises(RecipeError, match="`hidden` may be nested 32 deep, and is deeper"):
        maas.recipe(MLP, hidden=[deep])
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecipeError, match="`hidden` of MLP must be a JSON value"):
        maas.recipe(MLP, hidden=deep)


@pytest.mark.parametrize("cls", [TextRNN, maas.nn.TextTransformer])
def test_text_networks_have_so_many_layers_and_no_more(cls: type[torch.nn.Module]) -> None:
    with pytest.raises(RecipeError, match="`num_layers` may be at most 100, got 1000000000"):
        cls(10, 2, num_layers=10**9)


def test_padding_never_changes_an_answer() -> None:
    network = Fusion({**PARTS, "note": maas.recipe(TextCNN, vocabulary=20, out_features=6)}, 2, width=6).eval()
    given = tensors()
    alone = {name: tensor[1:2] for name, tensor in given.items()}
    alone["note__tokens"] = alone["note__tokens"][:, :3]
    torch.testing.assert_close(network(**given)[1:2], network(**alone))

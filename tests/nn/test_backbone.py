"""maas.nn.Backbone: torchvision's networks under their own names, with another head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision import models

import maas
from maas.errors import RecipeError
from maas.nn import Backbone, recipe
from maas.schema import TensorSpec

LAST = {"vit": "heads.head", "mobilenet": "classifier.3", "efficientnet": "classifier.1"}


def last_layer(name: str) -> str:
    return LAST.get(name.partition("_")[0], "fc")


def test_the_names_are_all_that_torchvision_has_of_these_families() -> None:
    families = ("resnet", "resnext", "wide_resnet", "mobilenet_v3", "efficientnet", "vit_")
    assert set(Backbone.names) == {name for name in models.list_models(module=models) if name.startswith(families)}


@pytest.mark.parametrize("name", Backbone.names)
def test_parameters_are_named_as_torchvision_names_them(name: str) -> None:
    """Reference: torchvision's own network; only its last layer is another."""
    with torch.device("meta"):
        network, reference = Backbone(name, 5), models.get_model(name, weights=None)
    theirs = {f"body.{one}": tensor.shape for one, tensor in reference.state_dict().items()}
    weight, _ = (theirs.pop(f"body.{last_layer(name)}.{kind}") for kind in ("weight", "bias"))
    ours = {one: tensor.shape for one, tensor in network.state_dict().items()}
    assert ours == {**theirs, "head.weight": (5, weight[1]), "head.bias": (5,)}
    adopted = network.adopt(reference.state_dict())
    assert {one: tensor.shape for one, tensor in adopted.items()} == theirs


@pytest.mark.parametrize(("name", "side"), [("resnet18", 32), ("mobilenet_v3_small", 48), ("efficientnet_b0", 40)])
def test_the_forward_pass_is_torchvisions(name: str, side: int) -> None:
    torch.manual_seed(0)
    network, reference = Backbone(name, 1000, height=side, width=side).eval(), models.get_model(name).eval()
    network.load_state_dict({**network.state_dict(), **network.adopt(reference.state_dict())})
    last = reference.get_submodule(last_layer(name))
    network.head.load_state_dict(last.state_dict())
    image = torch.randn(2, 3, side, side)
    with torch.inference_mode():
        assert torch.equal(network(image), reference(image))


def test_a_vision_transformer_of_another_size() -> None:
    """Reference: torchvision's interpolate_embeddings."""
    torch.manual_seed(0)
    network = Backbone("vit_b_32", 3, height=64, width=64).eval()
    theirs = models.vit_b_32(weights=None, image_size=96).state_dict()
    adopted = network.adopt(theirs)
    wanted = models.vision_transformer.interpolate_embeddings(64, 32, dict(theirs))["encoder.pos_embedding"]
    assert adopted["body.encoder.pos_embedding"].shape == (1, 5, 768)
    assert torch.equal(adopted["body.encoder.pos_embedding"], wanted)
    assert torch.equal(network.adopt(adopted)["body.encoder.pos_embedding"], wanted)
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


def test_names_of_vision_transformers_as_they_were_published() -> None:
    """An older torchvision called the layers of the MLP linear_1 and linear_2."""
    with torch.device("meta"):
        network, reference = Backbone("vit_b_16", 3), models.vit_b_16(weights=None).state_dict()
    old = {
        one.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): reference[one]
        for one in reference
    }
    assert set(old) != set(reference)
    assert set(network.adopt(old)) == set(network.state_dict()) - {"head.weight", "head.bias"}


@pytest.mark.parametrize("shape", [(1, 4, 768), (2, 5, 768), (1, 1, 768), (1, 10**8 + 1, 768)])
def test_positions_that_are_not_of_a_square_are_refused(shape: tuple[int, ...]) -> None:
    """The last of them would take 300 GB, and is a single number in a file."""
    with torch.device("meta"):
        network = Backbone("vit_b_32", 3)
    with pytest.raises(
        RecipeError, match=r"pos_embedding' must have 1 \+ side\*\*2 positions, .* got \(\d, \d+, 768\)"
    ):
        network.adopt({"body.encoder.pos_embedding": torch.zeros(1).expand(shape)})


def test_positions_of_other_features_are_left_to_whoever_loads_them() -> None:
    with torch.device("meta"):
        network = Backbone("vit_b_32", 3)
    given = torch.zeros(1).expand(1, 5, 10**9)
    assert network.adopt({"body.encoder.pos_embedding": given})["body.encoder.pos_embedding"] is given


def test_sizes_follow_from_the_data() -> None:
    resolved = recipe(Backbone, name="resnet18").resolve({"image": TensorSpec((3, 32, 40), "float32")}, 4)
    assert resolved.arguments == {
        "name": "resnet18", "out_features": 4, "channels": 3, "height": 32, "width": 40, "dropout": 0.0,
    }  # fmt: skip
    with pytest.raises(RecipeError, match="a Backbone takes one `image` of fixed size"):
        Backbone.sizes({"x": TensorSpec((8,), "float32")}, 4)


def test_dropout_stands_before_the_head_and_nowhere_else() -> None:
    with torch.device("meta"):
        network = Backbone("efficientnet_b0", 2, dropout=0.25)
    assert [one.p for one in network.modules() if isinstance(one, torch.nn.Dropout)] == [0.25]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "alexnet"}, "`name` must be one of resnet18, .*, got 'alexnet'"),
        ({"name": "__import__"}, "`name` must be one of .*, got '__import__'"),
        ({"name": ["resnet18"]}, "`name` must be one of .*, got list of 1"),
        ({"out_features": 0}, "`out_features` must be a positive integer, got 0"),
        ({"channels": 1}, r"`channels` must be 3 \(red, green, blue\), got 1; .*Image.with_options\(channels=3\)"),
        ({"height": 0}, "`height` must be an integer from 1 to 4096, got 0"),
        ({"width": 10**9}, "`width` must be an integer from 1 to 4096, got 1000000000"),
        ({"dropout": 1.0}, r"`dropout` must be from 0 to below 1, got 1\.0"),
        ({"name": "vit_b_16", "height": 100}, r"vit_b_16 takes square images .* multiples of 16 pixels, got 100 x 224"),
        (
            {"name": "vit_h_14", "height": 64, "width": 64},
            r"multiples of 14 pixels, got 64 x 64; .*published\('vit_h_14'",
        ),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message), torch.device("meta"):
        Backbone(**{"name": "resnet18", "out_features": 2, **arguments})


def test_a_recipe_without_a_name_says_so() -> None:
    with pytest.raises(RecipeError, match="missing a required argument: 'name'; give it in the recipe"):
        maas.recipe(Backbone).resolve({"image": TensorSpec((3, 8, 8), "float32")}, 4)

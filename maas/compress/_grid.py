"""What a search tries: a few compressions, alone and one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maas.compress._distil import distil
from maas.compress._fuse import fuse
from maas.compress._prune import prune
from maas.compress._quantize import quantize
from maas.errors import CompressionError
from maas.model import Model
from maas.nn import Recipe

AS_IT_IS = "as it is"
ANY_DROP = 0.999  # where a candidate cannot hold the budget, the table is to show what it costs
_FROM_SCRATCH = 2  # times as many epochs for a network that begins anew
_WIDTHS: Mapping[str, Sequence[str]] = {
    "mlp": ("hidden",),
    "cnn": ("filters", "hidden"),
    "cnn1d": ("filters",),
    "audio_cnn": ("filters",),
    "resnet": ("width",),
    "rnn": ("hidden_size",),
    "text_bag": ("embedding_dim",),
    "text_cnn": ("embedding_dim", "channels"),
    "text_rnn": ("embedding_dim", "hidden_size"),
    "text_transformer": ("width", "feed_forward"),
}


Make = Callable[[Model, float], Model]


@dataclass(frozen=True)
class Step:
    """A candidate of the search.

    Args:
        name: of what it makes.
        make: a model, and by how much its score may drop, to a smaller one, which may cost more all the same; raises
            CompressionError where it cannot.
        after: name of the candidate that it goes on from.
        beyond: name of one that does the same to a lesser degree; where that is over budget, this is not tried.
    """

    name: str
    make: Make
    after: str = AS_IT_IS
    beyond: str | None = None


def grid(
    data: Any,
    train: Any,
    *,
    shares: Sequence[float],
    epochs: int,
    fit_options: Mapping[str, Any],
    fusible: bool,
) -> list[Step]:
    """The candidates, each after the one it goes on from.

    Args:
        data, train, shares, epochs, fit_options: as of `search`.
        fusible: whether the network has convolutions over images.
    """

    def quantized(method: str) -> Make:
        def make(model: Model, max_drop: float) -> Model:
            try:  # within a budget, the layers that cost most stay in float32
                return quantize(model, data, method=method, max_drop=max_drop, calibration=train)
            except CompressionError:
                return quantize(model, data, method=method, max_drop=ANY_DROP, calibration=train)

        return make

    def fused(precision: str) -> Make:
        return lambda model, _: fuse(model, data, precision=precision, max_drop=ANY_DROP)

    def pruned(share: float) -> Make:
        how = {"train": train, "epochs": epochs, **fit_options}
        return lambda model, _: prune(model, data, share=share, max_drop=ANY_DROP, **how)

    def distilled(model: Model, _: float) -> Model:
        how = {"train": train, "epochs": _FROM_SCRATCH * epochs, **fit_options}
        return distil(model, data, recipe=smaller(model.recipe), max_drop=ANY_DROP, **how)

    def untrained(model: Model, _: float) -> Model:
        raise CompressionError("needs rows to go on training with: train=")

    fusing = {"fused": fused("float32"), "fused, bfloat16": fused("bfloat16")} if fusible else {}
    adding = {method: quantized(method) for method in ("int8_weights", "int8")} | fusing

    def on_top(name: str) -> list[Step]:
        return [Step(f"{name} + {method}", make, name) for method, make in adding.items()]

    steps = [Step("bfloat16", quantized("bfloat16")), *(Step(method, make) for method, make in adding.items())]
    if train is None:
        return [*steps, Step("pruned", untrained), Step("distilled", untrained)]
    names = [f"pruned {share:g}" for share in sorted(shares)]
    for name, share, lesser in zip(names, sorted(shares), [None, *names], strict=False):
        steps += [Step(name, pruned(share), beyond=lesser), *on_top(name)]
    return [*steps, Step("distilled", distilled), *on_top("distilled")]


def smaller(recipe: Recipe) -> Recipe:
    """The same kind of network of half the width.

    Raises:
        CompressionError: it is not known what that is for this kind.
    """
    halved: dict[str, int | list[int]] = {}
    for name in _WIDTHS.get(recipe.kind, ()):
        value = recipe.arguments.get(name)
        if isinstance(value, int) and value > 1:
            halved[name] = value // 2
        elif isinstance(value, list) and value:
            halved[name] = [max(1, one // 2) for one in value]
    if not halved:
        raise CompressionError(f"no smaller {recipe.kind} follows by itself; give distil a recipe")
    return Recipe(recipe.kind, {**recipe.arguments, **halved})

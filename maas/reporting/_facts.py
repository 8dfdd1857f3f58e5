"""What a page says of the data and of the model: out of a card, which may come from anyone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.metrics import Evaluation
from maas.model import Model
from maas.reporting._html import Html, cut, join, tag

_SETTINGS = (
    "epochs", "best_epoch", "batch_size", "accumulate", "optimizer", "learning_rate", "weight_decay", "clip_norm",
    "schedule", "ema", "precision", "patience", "augment", "skipped_steps", "seed", "device", "processes",
)  # fmt: skip
_RECEIPT = ("microseconds_a_step", "microseconds_of_a_bare_step")
_LONGEST = 2000
_WHOLE = 1e3  # from here on digits behind the point say nothing
_MOST_ARGUMENTS = 60


def data_facts(evaluation: Evaluation, card: Mapping[str, Any]) -> Html:
    """The rows: how many, how they were split, what identifies them."""
    known = _mapping(card.get("data"))
    pairs = [
        ("source", known.get("source")),
        ("training rows", known.get("num_rows")),
        ("validation rows", known.get("num_validation_rows")),
        ("split", known.get("split")),
        ("test rows", evaluation.num_rows),
        ("test rows that stand in training too", _compared(evaluation)),
        ("fingerprint of the training rows", known.get("fingerprint")),
        ("fingerprint of the test rows", evaluation.fingerprint),
    ]
    if evaluation.labels is not None:
        pairs.insert(6, ("classes", len(evaluation.labels)))
    return _listed(pairs)


def model_facts(model: Model) -> Html:
    """The network, how it was trained, with what."""
    card = model.card
    training = _mapping(card.get("training"))
    arguments = [f"{name}={value}" for name, value in model.recipe.arguments.items()]
    written = ", ".join(arguments[:_MOST_ARGUMENTS])
    pairs = [
        ("predicts", f"{model.target} ({model.task.kind})"),
        ("network", f"{model.recipe.kind}({written})"),
        ("parameters", sum(parameter.numel() for parameter in model.network.parameters())),
        ("digest", model.digest or "not loaded from an artifact"),
        ("created", card.get("created")),
        ("versions", ", ".join(f"{name} {one}" for name, one in _mapping(card.get("versions")).items()) or None),
    ]
    pairs += [(name.replace("_", " "), _with_options(training.get(name))) for name in _SETTINGS]
    receipt = _mapping(training.get("receipt"))
    pairs += [("steps computed", _mapping(training.get("speed")).get("chosen"))]
    pairs += [(name.replace("_", " "), receipt.get(name)) for name in _RECEIPT]
    return _listed(pairs)


def stated(card: Mapping[str, Any]) -> Html:
    """Intended use and limits, as whoever made the model wrote them."""
    parts = []
    for key, title in (("intended_use", "Intended use"), ("limits", "Limits")):
        text = card.get(key)
        known = isinstance(text, str) and text.strip()
        parts.append(tag("h3", title))
        parts.append(
            tag("p", cut(str(text), _LONGEST), class_="stated", dir="auto")
            if known
            else tag("p", "Not stated.", class_="note")
        )
    return join(*parts)


def _compared(evaluation: Evaluation) -> str:
    return "not compared" if evaluation.num_duplicates is None else f"{evaluation.num_duplicates:,}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _with_options(value: Any) -> Any:
    """A kind with its options as text: "sgd (momentum 0.9)"; anything else as it is."""
    if not isinstance(value, Mapping) or "kind" not in value:
        return value
    options = [f"{name} {option}" for name, option in value.items() if name != "kind"][:_MOST_ARGUMENTS]
    return f"{value['kind']} ({', '.join(options)})" if options else value["kind"]


def _listed(pairs: list[tuple[str, Any]]) -> Html:
    rows = []
    for name, value in pairs:
        if value is None or isinstance(value, (Mapping, list)):
            continue
        text = f"{value:,}" if type(value) is int and abs(value) < 2**63 else cut(str(value), _LONGEST)
        if type(value) is float and abs(value) >= _WHOLE:
            text = f"{value:,.0f}"
        rows.append(tag("div", tag("dt", name), tag("dd", text)))
    return tag("dl", *rows, class_="facts")

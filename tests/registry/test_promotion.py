"""Aliases: what may become production, two that promote at once, and the way back."""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path

import pytest

import maas
from maas import artifact
from maas.data import Rows, read_table
from maas.errors import DataError, IntegrityError, RegistryError
from maas.registry import Registry
from maas.registry._rule import _GREATER, _LESSER


def fit(train: Rows, epochs: int) -> maas.Model:
    recipe = maas.recipe(maas.nn.MLP, hidden=(16,))
    return maas.fit(recipe, train, epochs=epochs, learning_rate=0.01, device="cpu", progress=False)


@pytest.fixture(scope="module")
def good(wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path_factory: pytest.TempPathFactory) -> Path:
    evaluation = wine_model.evaluate(wine_split[1])
    return wine_model.save(tmp_path_factory.mktemp("good") / "wine", evaluation=evaluation)


@pytest.fixture(scope="module")
def worse(wine_split: tuple[Rows, Rows], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch: half of its answers are wrong."""
    model = fit(wine_split[0], epochs=1)
    return model.save(tmp_path_factory.mktemp("worse") / "wine", evaluation=model.evaluate(wine_split[1]))


@pytest.fixture
def registry(tmp_path: Path, good: Path, worse: Path, wine_artifact: Path) -> Registry:
    """1 is good, 2 worse, 3 as good as 1 and without an evaluation."""
    registry = Registry.create(tmp_path / "registry")
    for path in (good, worse, wine_artifact):
        registry.push(path, "wine")
    return registry


def test_the_first_to_be_production_has_nothing_to_be_held_against(registry: Registry) -> None:
    registry.promote("wine", "2")
    assert registry.aliases("wine") == {"production": "2"}
    assert registry.show("wine") == registry.show("wine", "production") == registry.show("wine", "2")


def test_a_better_one_is_promoted_and_a_worse_one_is_not(registry: Registry) -> None:
    registry.promote("wine", "2")
    registry.promote("wine", "1")
    with pytest.raises(RegistryError, match=r"wine@2 is worse than wine@1: accuracy 0\.\d+, it was .*with a reason"):
        registry.promote("wine", "2")
    assert registry.aliases("wine") == {"production": "1"}
    first, second = registry.history("wine")
    assert (first.before, first.score) == (None, None)
    assert second.before == "2"
    assert second.score is not None
    assert second.score["before"] < second.score["after"]


def test_a_reason_is_recorded(registry: Registry) -> None:
    registry.promote("wine", "1")
    with pytest.raises(RegistryError, match="`force` is the reason to promote against the rule, got an empty one"):
        registry.promote("wine", "2", force=" ")
    registry.promote("wine", "2", force="the customer wants it")
    assert registry.history("wine")[-1].why == "the customer wants it"


def test_scores_on_other_rows_do_not_count(
    registry: Registry, wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    train, test = wine_split
    registry.promote("wine", "1")
    with pytest.raises(RegistryError, match="wine@3 was saved without an evaluation; give test rows that score both"):
        registry.promote("wine", "3")
    registry.push(wine_model.save(tmp_path / "other", evaluation=wine_model.evaluate(train)), "wine")
    with pytest.raises(RegistryError, match="wine@4 was scored on other test rows, or by another score, than wine@1"):
        registry.promote("wine", "4")
    with pytest.raises(RegistryError, match="wine@2 is worse than wine@1: accuracy"):
        registry.promote("wine", "2", test=test)
    with pytest.raises(DataError, match="`test` has no target"):
        registry.promote("wine", "3", test=Rows(test.schema, test.columns))
    registry.promote("wine", "3", test=test)
    score = registry.history("wine")[-1].score
    assert score is not None
    assert score["fingerprint"] == test.fingerprint()
    assert score["before"] == score["after"]


def test_a_schema_that_breaks_clients_is_refused_with_the_fields_named(
    registry: Registry, wine_csv: Path, tmp_path: Path
) -> None:
    lines = wine_csv.read_text().splitlines()
    changed = [lines[0].replace("hue", "tint"), *lines[1:]]
    (tmp_path / "other.csv").write_text("\n".join(changed))
    rows = read_table(tmp_path / "other.csv", target="cultivar", types={"ash": "categorical"})
    registry.push(fit(rows, epochs=1).save(tmp_path / "other"), "wine")
    registry.promote("wine", "1")
    with pytest.raises(RegistryError) as caught:
        registry.promote("wine", "4", test=rows)
    said = str(caught.value)
    assert said.startswith("wine@4 would break clients of wine@1: field 'hue' is gone; field 'ash' has the kind")
    assert "field 'ash' has the type 'label', it had 'number'" in said
    assert "field 'tint' is new and must be given" in said
    assert registry.diff("wine", "1", "4")["fields"].keys() >= {"ash", "hue", "tint"}
    assert registry.aliases("wine") == {"production": "1"}


def test_back_to_what_it_held_before(registry: Registry) -> None:
    with pytest.raises(RegistryError, match="production of wine held nothing before now; there is none to go back to"):
        registry.rollback("wine")
    registry.promote("wine", "2")
    registry.promote("wine", "1")
    registry.promote("wine", "1")  # it does already: nothing more to take back
    registry.promote("wine", "3", force="to try")
    assert registry.rollback("wine").version == "1"
    assert registry.rollback("wine").version == "2"
    with pytest.raises(RegistryError, match="production of wine held nothing before 2"):
        registry.rollback("wine")
    assert [one.action for one in registry.history("wine")] == ["promote"] * 3 + ["rollback"] * 2


def test_not_back_to_what_was_deleted(registry: Registry) -> None:
    registry.promote("wine", "2")
    registry.promote("wine", "1")
    registry.delete("wine", "2")
    with pytest.raises(RegistryError, match="wine@2 was deleted by"):
        registry.rollback("wine")
    assert registry.show("wine").version == "1"


def test_aliases_of_ones_own(registry: Registry) -> None:
    registry.set_alias("wine", "candidate", "3")
    registry.promote("wine", "candidate")
    assert registry.aliases("wine") == {"candidate": "3", "production": "3"}
    with pytest.raises(RegistryError, match="'production' is set by a rule; use promote"):
        registry.set_alias("wine", "production", "1")
    with pytest.raises(RegistryError, match="no version of wine is its staging, aliases are candidate, production"):
        registry.show("wine", "staging")


def test_of_two_at_once_one_wins_and_the_other_is_told(registry: Registry) -> None:
    registry.promote("wine", "2")
    here, there = (Registry(registry.path).check_promotion("wine", "1") for _ in range(2))
    registry.make(here)
    with pytest.raises(RegistryError, match=r"was faster, with promote of wine@1; look at wine again"):
        registry.make(there)
    assert len(registry.history("wine")) == 2


def test_a_deletion_and_a_promotion_at_once(registry: Registry) -> None:
    registry.promote("wine", "2")
    promotion = registry.check_promotion("wine", "1")
    registry.delete("wine", "1")
    with pytest.raises(RegistryError, match=r"was faster, with delete of wine@1"):
        registry.make(promotion)
    assert registry.show("wine").version == "2"


def test_many_promoters_make_one_history(registry: Registry) -> None:
    """Eight threads, each with a registry of its own: what came through is what the history says, without a gap."""
    made: list[str] = []
    told: list[str] = []

    def promote(version: str) -> None:
        here = Registry(registry.path)
        for _ in range(5):
            try:
                here.promote("wine", version, f"alias-{version}", force="a race")
                here.set_alias("wine", "last", version)
                made.append(version)
            except RegistryError as error:
                told.append(str(error))

    threads = [threading.Thread(target=promote, args=(str(1 + number % 3),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = registry.history("wine")
    assert [one.number for one in history] == list(range(1, len(history) + 1))
    assert len(made) + len(told) == 40
    assert all("was faster" in one for one in told)
    last = [one for one in history if one.alias == "last"]
    assert all(one.before == before.version for before, one in pairwise(last))
    assert json.loads((registry.path / "models/wine/index.json").read_text()) == registry.scan("wine")


def test_a_damaged_history(registry: Registry) -> None:
    for version in ("2", "1", "3"):
        registry.promote("wine", version, force="to fill it")
    second = registry.path / "models/wine/history/000002.json"
    kept = second.read_text()
    for text in ("[]", "{}", kept.replace('"promote"', '"sell"'), kept.replace('"number": 2', '"number": 7')):
        second.write_text(text)
        with pytest.raises(RegistryError, match=r"000002\.json is damaged: .*put it back from a copy"):
            registry.show("wine")
    second.unlink()
    with pytest.raises(RegistryError, match=r"000002\.json is missing, and later records are there"):
        registry.promote("wine", "1")


def test_production_that_is_damaged_gives_way_to_a_reason_only(registry: Registry) -> None:
    registry.promote("wine", "1")
    (registry.path / "artifacts" / registry.show("wine").artifact / artifact.SUMS).unlink()
    with pytest.raises(IntegrityError, match="wine@1 is damaged"):
        registry.promote("wine", "3")
    registry.promote("wine", "3", force="1 is damaged")
    assert registry.verify("wine").version == "3"


def test_every_primary_score_has_a_direction(wine_split: tuple[Rows, Rows], wine_model: maas.Model) -> None:
    """Those that `maas.metrics` gives: a score to raise is no error to lower."""
    import numpy as np

    from maas.metrics import classification_scores, regression_scores
    from maas.metrics._anomaly import anomaly_scores

    truth, numbers = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.6])
    found = [
        classification_scores(truth, np.stack([1 - numbers, numbers], 1), ["a", "b"]),
        regression_scores(truth.astype(float), numbers),
        *(anomaly_scores(kind, numbers, numbers > 0.5) for kind in (truth > 0, truth < 0, truth < 2)),
    ]
    assert {one.primary: one.greater_is_better for one in found}.items() <= (
        dict.fromkeys(_GREATER, True) | dict.fromkeys(_LESSER, False)
    ).items()
    assert {one.primary for one in found} == {"accuracy", "rmse", "roc_auc", "false_alarm_rate", "recall"}

"""maas.tune: what it finds, that it finds it again, and what it tells of trials that fail."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import optuna
import pandas
import pytest
import torch

import maas
from maas.data import Rows, from_arrays, read_interactions, windows
from maas.errors import DataError
from maas.tuning import Range, Trial, Tuning

Parts = tuple[Rows, Rows]
SMALL = maas.recipe(maas.nn.MLP, hidden=(6,))
RATES = {"learning_rate": Range(1e-4, 1e-1, log=True), "hidden": [(4,), (8,)], "batch_size": Range(8, 32)}
QUICK: dict[str, Any] = {"epochs": 2, "device": "cpu", "progress": False}


def untimed(tuning: Tuning) -> tuple[Trial, ...]:
    return tuple(replace(trial, seconds=0.0) for trial in tuning.trials)


def test_the_best_is_the_one_that_scores_best_and_can_be_fitted_again(wine_split: Parts) -> None:
    train, test = wine_split
    tuning = maas.tune(SMALL, train, RATES, trials=6, **QUICK)
    assert tuning.score == "accuracy"
    assert [trial.number for trial in tuning.trials] == [1, 2, 3, 4, 5, 6]
    assert tuning.best.score == max(trial.score for trial in tuning.trials)  # type: ignore[type-var]
    chosen = tuning.best.chosen
    assert set(chosen) == set(RATES)
    assert tuning.recipe == maas.recipe(maas.nn.MLP, hidden=chosen["hidden"])
    want = {"epochs": 2, "device": "cpu", "seed": 0, "learning_rate": chosen["learning_rate"]}
    assert tuning.settings == {**want, "batch_size": chosen["batch_size"]}
    learning, judging = train.split(0.2, seed=0)
    again = maas.fit(tuning.recipe, learning, progress=False, **tuning.settings)
    assert again.evaluate(judging).scores["accuracy"] == tuning.best.score
    assert maas.fit(tuning.recipe, train, progress=False, **tuning.settings).evaluate(test).num_rows == len(test)


def test_a_seed_gives_the_same_search_and_leaves_generators_alone(wine_split: Parts) -> None:
    before, level = (torch.get_rng_state(), np.random.get_state()[1].copy()), optuna.logging.get_verbosity()
    one, again, other = (maas.tune(SMALL, wine_split[0], RATES, trials=3, seed=seed, **QUICK) for seed in (1, 1, 2))
    assert untimed(one) == untimed(again)
    assert untimed(one) != untimed(other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert optuna.logging.get_verbosity() == level


def test_few_choices_are_each_tried_once(wine_split: Parts) -> None:
    tuning = maas.tune(SMALL, wine_split[0], {"hidden": [(4,), (8,)], "dropout": [0.0, 0.3]}, **QUICK)
    tried = [(trial.chosen["hidden"], trial.chosen["dropout"]) for trial in tuning.trials]
    assert tried == [((4,), 0.0), ((4,), 0.3), ((8,), 0.0), ((8,), 0.3)]


def test_trials_that_fail_are_told_and_the_search_goes_on(wine_split: Parts) -> None:
    space = {"hidden": [(4,), (-4,)], "learning_rate": [0.01, 1e30]}
    tuning = maas.tune(SMALL, wine_split[0], space, optimizer="sgd", **QUICK)
    errors = [trial.error or "" for trial in tuning.trials]
    assert [bool(error) for error in errors] == [False, True, True, True]
    assert "training diverged in step" in errors[1]
    assert "`hidden` must be positive integers, got (-4,)" in errors[2]
    assert tuning.best.number == 1
    text = str(tuning)
    assert text.startswith("4 trials, 3 failed; best first by accuracy\n")
    assert "\ntrial 2 failed with hidden=[4], learning_rate=1e+30: training diverged" in text
    with pytest.raises(DataError, match="all 2 trials failed; the first: `hidden` must be positive integers, got"):
        maas.tune(SMALL, wine_split[0], {"hidden": [(-4,), (0,)]}, **QUICK)


def test_the_table_and_its_json(wine_split: Parts) -> None:
    smooth = maas.task.Classification.with_options(label_smoothing=0.1)
    tuning = maas.tune(SMALL, wine_split[0], {"task": ["classification", smooth]}, score="log_loss", **QUICK)
    scores = [trial.score for trial in tuning.trials]
    assert tuning.best.score == min(scores)  # type: ignore[type-var]
    lines = str(tuning).splitlines()
    assert lines[1].split() == ["trial", "log_loss", "task"]
    assert lines[2].split()[0] == str(tuning.best.number)
    state = json.loads(json.dumps(tuning.to_json()))
    assert state["recipe"] == {"kind": "mlp", "arguments": {"hidden": [6]}}
    assert [trial["score"] for trial in state["trials"]] == scores
    assert [trial["chosen"]["task"] for trial in state["trials"]] == ["classification", repr(smooth)]


def test_folds_judge_by_their_mean(wine_split: Parts) -> None:
    train = wine_split[0]
    tuning = maas.tune(SMALL, train, {"hidden": [(4,)]}, folds=3, **QUICK)
    found = maas.cross_validate(maas.recipe(maas.nn.MLP, hidden=(4,)), train, folds=3, **QUICK)
    assert tuning.best.scores == tuple(fold.scores["accuracy"] for fold in found.folds)
    assert tuning.best.score == pytest.approx(found.mean["accuracy"])


def test_rows_of_ones_own_judge(wine_split: Parts) -> None:
    train, judging = wine_split
    tuning = maas.tune(SMALL, train, {"hidden": [(4,)]}, judging, **QUICK)
    model = maas.fit(tuning.recipe, train, progress=False, **tuning.settings)
    assert model.evaluate(judging).scores["accuracy"] == tuning.best.score
    with pytest.raises(DataError, match="`validation` must be rows with their target and the fields of `train`"):
        maas.tune(SMALL, train, RATES, replace(judging, target=None), **QUICK)
    with pytest.raises(DataError, match="give `folds` or `validation`: folds judge by all rows"):
        maas.tune(SMALL, train, RATES, judging, folds=3, **QUICK)


def test_every_task_is_judged_the_right_way_round() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1000, 3))
    regression = maas.tune(SMALL, (x[:60], x[:60].sum(1)), {"learning_rate": [1e-4, 0.05]}, **QUICK)
    assert (regression.score, regression.best.number) == ("rmse", 2)
    recipe = maas.recipe(maas.nn.AutoEncoder)
    unlabelled = maas.tune(recipe, x, {"learning_rate": [1e-5, 0.03]}, task="anomaly", **QUICK)
    assert (unlabelled.score, unlabelled.best.number) == ("validation_loss", 2)
    forecast = windows(np.sin(np.arange(150.0)), window=8, horizon=2)
    tuned = maas.tune(maas.recipe(maas.nn.RNN, cell="gru"), forecast, {"hidden_size": [4]}, **QUICK)
    assert tuned.score == "rmse"


def test_a_recommender() -> None:
    """Judged by items that its fit has not seen."""
    generator = np.random.default_rng(0)
    pairs = [(f"u{user}", f"i{item}") for user in range(30) for item in generator.choice(12, 6, replace=False)]
    rows = read_interactions(pandas.DataFrame(pairs, columns=["user", "item"]))
    tuning = maas.tune(maas.recipe(maas.nn.EASE), rows, {"regularization": [1.0, 100.0]}, device="cpu", progress=False)
    assert tuning.score.startswith("ndcg@")
    assert all(trial.score for trial in tuning.trials)


@maas.network("test_tune.interrupted")
class Interrupted(maas.nn.MLP):
    """Is interrupted when it is built for the last time allowed."""

    left: ClassVar[int]

    def __init__(self, in_features: int, out_features: int, dropout: float = 0.0) -> None:
        super().__init__(in_features, out_features, hidden=(4,), dropout=dropout)
        type(self).left -= 1
        if not type(self).left:
            raise KeyboardInterrupt


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(wine_split: Parts, tmp_path: Path) -> None:
    recipe, train = maas.recipe(Interrupted), wine_split[0]
    space = {"learning_rate": Range(1e-4, 1e-1, log=True), "dropout": Range(0.0, 0.5)}
    Interrupted.left = 1000
    whole = maas.tune(recipe, train, space, trials=12, **QUICK)
    builds_a_trial = (1000 - Interrupted.left) // 12
    Interrupted.left = 3 * builds_a_trial + 1
    storage = tmp_path / "new" / "search.log"
    with pytest.raises(KeyboardInterrupt):
        maas.tune(recipe, train, space, trials=12, storage=storage, **QUICK)
    Interrupted.left = 9 * builds_a_trial + 1  # the first three are not fitted again
    continued = maas.tune(recipe, train, space, trials=12, storage=storage, **QUICK)
    assert untimed(continued) == untimed(whole)
    assert maas.tune(recipe, train, space, trials=12, storage=storage, **QUICK) == continued  # nothing left to do


def test_a_storage_of_something_else(wine_split: Parts, tmp_path: Path) -> None:
    space, storage = {"hidden": [(4,)]}, tmp_path / "search.log"
    maas.tune(SMALL, wine_split[0], space, storage=storage, **QUICK)
    with pytest.raises(DataError, match="holds a search with other space, settings; give another path, or the same"):
        maas.tune(SMALL, wine_split[0], {"hidden": [(5,)]}, storage=storage, **{**QUICK, "epochs": 1})
    with pytest.raises(DataError, match="holds a search with other rows, seed"):
        maas.tune(SMALL, wine_split[0], space, storage=storage, seed=1, **QUICK)
    storage.write_text("alcohol,cultivar\n13.2,0\n")
    with pytest.raises(DataError, match=r"`storage` .*search.log is no file of a search; give another path"):
        maas.tune(SMALL, wine_split[0], space, storage=storage, **QUICK)


def test_time_runs_out(wine_split: Parts) -> None:
    assert len(maas.tune(SMALL, wine_split[0], RATES, seconds=1e-3, **QUICK).trials) == 1


def test_what_is_refused(wine_split: Parts) -> None:
    train = wine_split[0]
    for space, arguments, message in (
        ({}, {}, "`space` is empty"),
        ({"hiden": [1]}, {}, "`space` names 'hiden'"),
        (RATES, {"trials": 0}, "`trials` must be a positive integer, got 0"),
        (RATES, {"seconds": 0}, "`seconds` must be positive, got 0"),
        (RATES, {"folds": 1}, "`folds` must be an integer of at least 2, got 1"),
        (RATES, {"score": "acuracy"}, "`score` must be one of accuracy, .*, validation_loss, got 'acuracy'"),
        (RATES, {"learning_rate": 0.1}, "`learning_rate` is given both in `space` and as a setting; leave one out"),
        (RATES, {"rate": 0.1}, "'rate' is no setting of maas.fit that many fits can share: task, "),
        (RATES, {"seed": -1}, r"`seed` must be an integer from 0"),
        (RATES, {"validation": 1.5}, r"`validation` is rows, or a share of `train` between 0 and 1, got 1\.5"),
        (RATES, {"validation": True}, "`validation` is rows, or a share of `train` between 0 and 1, got True"),
    ):
        with pytest.raises(DataError, match=message):
            maas.tune(SMALL, train, space, **{**QUICK, **arguments})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the rows have no target to learn; name it with"):
        maas.tune(SMALL, from_arrays(np.arange(40.0).reshape(20, 2)), RATES)


def test_without_optuna() -> None:
    """As pip installs maas without the extra: neither the room nor `maas.cross_validate` needs it."""
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "import maas\n"
        "maas.cross_validate, maas.tuning.Range(1, 2)\n"
        "try:\n    maas.tune(maas.recipe(maas.nn.MLP), None, {})\n"
        "except maas.MaasError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "a search needs the library optuna: pip install 'maas-torch[tune]'\n"

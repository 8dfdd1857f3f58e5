"""maas.task.Ranking: its losses, answers, scores and baselines, and the journey from fit to load."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import nn

import maas
from maas.data import read_interactions
from maas.errors import DataError, FormatError, SkewError
from maas.preprocess import Interactions
from maas.schema import Field, Schema
from maas.task import Answers, Batch, Ranking
from maas.task._ranking import best

LESSON = ["100100", "010010", "001001", "100010", "010001"]
ROWS = read_interactions(
    {
        "user": [f"u{user}" for user, row in enumerate(LESSON, 1) for one in row if one == "1"],
        "item": [f"i{item}" for row in LESSON for item, one in enumerate(row, 1) if one == "1"],
    }
)


def tastes(users: int = 120, items: int = 40, seed: int = 0) -> maas.data.Rows:
    """Two kinds of users, each with a half of the items that they like better."""
    random = np.random.default_rng(seed)
    pairs = []
    for user in range(users):
        chances = np.where(np.arange(items) % 2 == user % 2, 40.0, 1.0) / (1 + np.arange(items) // 8)
        chosen = random.choice(items, random.integers(6, 14), replace=False, p=chances / chances.sum())
        pairs += [(f"user {user}", f"item {item}") for item in chosen]
    return read_interactions({"user": [one for one, _ in pairs], "item": [one for _, one in pairs]})


class Fixed(nn.Module):
    """Scores that were given, whatever is asked."""

    def __init__(self, scores: Any) -> None:
        super().__init__()
        self.scores = torch.as_tensor(scores)

    def forward(self, user: torch.Tensor, history: torch.Tensor, history_lengths: torch.Tensor) -> torch.Tensor:
        return self.scores.clone()


def batch(histories: list[list[int]], target: list[list[int]] | None = None, num_items: int = 6) -> Batch:
    lengths = torch.tensor([len(one) for one in histories])
    most = int(lengths.max())
    history = torch.tensor([[*one, *[0] * (most - len(one))] for one in histories])
    inputs = {"user": torch.zeros(len(histories), dtype=torch.int64), "history": history, "history_lengths": lengths}
    if target is None:
        return Batch(inputs)
    most = max(map(len, target))
    return Batch(inputs, torch.tensor([[*one, *[num_items] * (most - len(one))] for one in target]).int())


def test_the_lesson_by_hand() -> None:
    """User 1 touched items 1 and 4: item 5 shares one of two users with item 1, the others nothing with either."""
    model = maas.fit(maas.recipe(maas.nn.ItemNeighbours), ROWS)
    assert model.predict({"user": "u1"}) == {"items": ["i5", "i2", "i3", "i6"], "scores": [0.5, 0.0, 0.0, 0.0]}
    like = model.predict({"similar_to": "i3"})
    assert like["items"] == ["i6", "i1", "i2", "i4", "i5"]
    assert like["scores"] == pytest.approx([1 / math.sqrt(2), 0, 0, 0, 0])
    assert model.predict({"items": ["i1", "i4"]}) == model.predict({"user": "u1"})
    assert model.predict({"user": "u1", "items": ["i3"]}) == model.predict({"items": ["i3"]})


def test_what_was_seen_is_left_out_and_equals_stand_by_number() -> None:
    task = Ranking(tuple("abcdef"), top=4)
    network = Fixed([[1.0, 1.0, 5.0, 1.0, 1.0, 1.0], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0]])
    answers = task.join(task.run(network, batch([[2, 3], [0, 1, 2, 4]])))
    assert answers.to_dicts() == [
        {"items": ["a", "b", "e", "f"], "scores": [1.0, 1.0, 1.0, 1.0]},
        {"items": ["d", "f"], "scores": [6.0, 4.0]},  # fewer are left
    ]


def test_scores_that_are_not_finite_show() -> None:
    task = Ranking(tuple("abc"), top=2)
    network = Fixed([[1.0, math.nan, 0.0], [1.0, 2.0, -math.inf], [math.inf, 0, 0], [0.5, 1.0, 2.0]])
    answers = task.join(task.run(network, batch([[0], [0], [1], [2]], num_items=3)))
    assert answers.finite().tolist() == [False, False, False, True]


@pytest.mark.parametrize("count", [1, 3, 7])
def test_best_is_a_stable_sort(count: int) -> None:
    """Reference: torch's stable sort of the whole."""
    scores = torch.randint(4, (50, 7), generator=torch.Generator().manual_seed(0)).float()
    scores[:5] = -math.inf
    wanted = scores.sort(dim=1, descending=True, stable=True)
    values, places = best(scores, count)
    assert torch.equal(values, wanted.values[:, :count])
    assert torch.equal(places, wanted.indices[:, :count])


def test_softmax_loss_by_hand() -> None:
    """Reference: torch's cross entropy, over all items but those touched otherwise."""
    scores = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    task = Ranking(tuple("abcdef"), loss_name="softmax")
    found = task.loss(Fixed(scores), batch([[0, 5], [2]], [[3, 4], [2]]))
    left = scores[0, 1:5]
    first = nn.functional.cross_entropy(left.expand(2, 4), torch.tensor([2, 3]))
    second = nn.functional.cross_entropy(scores[1:], torch.tensor([2]))
    torch.testing.assert_close(found, torch.stack([first, second]))


@pytest.mark.parametrize("loss", ["bpr", "pointwise"])
def test_sampled_losses_by_hand(loss: str) -> None:
    """All items but one were touched, so that what can be drawn is known; other draws count for nothing."""
    scores = torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0, 0.5]])
    task = Ranking(tuple("abcdef"), loss_name=loss, negatives=1000)
    found = task.loss(Fixed(scores).eval(), batch([[0, 1, 2]], [[3, 4]])).item()
    sigmoid = torch.nn.functional.logsigmoid
    share = [1 / 6] * 2  # of the draws
    if loss == "bpr":
        wanted = -sum(s * sigmoid(torch.tensor(w - 0.5)).item() for s, w in zip(share, (3, 4), strict=True)) / 2
    else:
        wanted = sum(-sigmoid(torch.tensor(float(w))).item() for w in (3, 4)) / 2
        wanted += -sigmoid(torch.tensor(-0.5)).item() / 6
    assert found == pytest.approx(wanted, rel=0.1)


def test_out_of_training_the_same_items_are_drawn() -> None:
    scores = torch.randn(1, 60, generator=torch.Generator().manual_seed(0))
    task = Ranking(tuple(f"i{item}" for item in range(60)))
    rows = batch([[0]], [[1, 2]], 60)
    network = Fixed(scores).eval()
    assert torch.equal(task.loss(network, rows), task.loss(network, rows))
    network.train()
    assert not torch.equal(task.loss(network, rows), task.loss(network, rows))


@pytest.mark.parametrize("loss", ["bpr", "pointwise", "softmax"])
def test_factors_learn_tastes_and_say_the_same_when_loaded(loss: str, tmp_path: Path) -> None:
    train, test = tastes().split(test=0.25, seed=0)
    model = maas.fit(
        maas.recipe(maas.nn.MatrixFactorization, embedding_dim=8),
        train,
        task=Ranking.with_options(loss=loss, top=5, negatives=2),
        epochs=40,
        learning_rate=0.03,
        weight_decay=0.5,
        device="cpu",
        progress=False,
    )
    evaluation = model.evaluate(test, baselines_from=train)
    assert [one.name for one in evaluation.baselines] == ["popularity", "item cosine"]
    assert evaluation.baselines[0].low > 0  # better than what is popular
    assert evaluation.primary == "ndcg@5"
    assert "precision@5" in str(evaluation)
    loaded = maas.load(model.save(tmp_path / "tastes", evaluation=evaluation))
    rows = [*test.to_dicts(), {"items": ["item 3"]}, {"similar_to": "item 4"}]
    assert loaded.predict(rows).to_dicts() == model.predict(rows).to_dicts()
    stored = "".join(
        (tmp_path / "tastes" / name).read_text() for name in ("artifact.json", "card.json", "example.json")
    )
    assert "user 1" not in stored
    assert "item 39" in stored


@pytest.mark.parametrize(
    "recipe",
    [
        maas.recipe(maas.nn.EASE, regularization=10.0),
        maas.recipe(maas.nn.ItemNeighbours, neighbours=20),
        maas.recipe(maas.nn.UserNeighbours, neighbours=30),
    ],
    ids=["ease", "items", "users"],
)
def test_closed_forms_go_the_same_way(recipe: maas.Recipe, tmp_path: Path) -> None:
    train, test = tastes().split(test=0.25, seed=0)
    model = maas.fit(recipe, train, device="cpu")
    evaluation = model.evaluate(test, baselines_from=train)
    assert evaluation.baselines[0].low > 0
    loaded = maas.load(model.save(tmp_path / "tastes", evaluation=evaluation))
    assert loaded.predict(test).to_dicts() == model.predict(test).to_dicts()
    for row, answer in zip(train.columns["items"], model.predict(train), strict=True):
        assert not set(row) & set(answer["items"])
    frame = pandas.DataFrame({"user": test.columns["user"]})
    assert model.predict(frame).to_dicts() == model.predict(test).to_dicts()  # what is known is what the rows say
    lists = pandas.DataFrame({"items": [list(items) for items in test.columns["items"]]})
    if recipe.kind != "user_neighbours":  # where someone unknown may have a known user, themselves, as a neighbour
        assert model.predict(lists).to_dicts() == model.predict(test).to_dicts()


def test_who_is_named_alone_is_answered_as_with_all_that_training_had_of_them(tmp_path: Path) -> None:
    """Also what was carved out to choose the epoch by: it is what the user has."""
    train, test = tastes().split(test=0.25, seed=0)
    recipe = maas.recipe(maas.nn.MatrixFactorization, embedding_dim=8)
    model = maas.fit(recipe, train, epochs=3, learning_rate=0.03, device="cpu", progress=False)
    loaded = maas.load(model.save(tmp_path / "tastes"))
    alone = loaded.predict([{"user": user} for user in test.columns["user"]])
    assert alone.to_dicts() == model.predict(test).to_dicts()
    known = dict(zip(train.columns["user"], train.columns["items"], strict=True))
    for user, items in zip(test.columns["user"], alone["items"], strict=True):
        assert not set(known[user]) & set(items)


def test_rows_that_name_what_they_are_to_find_are_not_scored() -> None:
    rows = tastes()
    model = maas.fit(maas.recipe(maas.nn.Popularity), rows)
    message = r"row 0 is to find 'item \d+', which its 'items' name, .* score the second part of `rows\.split"
    with pytest.raises(DataError, match=message):
        model.evaluate(rows)
    train, test = rows.split(test=0.25, seed=0)
    model = maas.fit(maas.recipe(maas.nn.Popularity), train)
    unnamed = replace(test, columns={**test.columns, "items": np.empty(len(test), object)})
    assert model.evaluate(unnamed).scores == model.evaluate(test).scores


def test_users_first_seen_in_the_validation_part_are_asked_about_by_their_items() -> None:
    """Split by time, the validation part takes all that some users did; the test part still says what that was."""
    early = [(user, f"i{(user * 7 + item * 3) % 40}", 100 * item + user) for user in range(20) for item in range(10)]
    early[9] = (*early[9][:2], 960)  # one who is there throughout
    late = [(user, f"i{user + item}", 950 if item < 3 else 980) for user in range(20, 30) for item in range(6)]
    source = zip(("user", "item", "time"), zip(*early, *late, strict=True), strict=True)
    rows = read_interactions(dict(source), time="time")
    train, test = rows.split(test=0.1, time="time")
    recipe = maas.recipe(maas.nn.MatrixFactorization, embedding_dim=4)
    model = maas.fit(recipe, train, epochs=2, device="cpu", progress=False)
    assert set(test.columns["user"]) - set(model.preprocess.users)  # type: ignore[attr-defined]
    assert len(model.evaluate(test, baselines_from=train).baselines) == 2


def test_the_popular_baseline_is_what_most_users_touched() -> None:
    train, test = tastes().split(test=0.25, seed=0)
    task = Ranking.learn(train.target, "items", train.schema)  # type: ignore[arg-type]
    found = task.baselines(train.schema, train.columns, train.target, test.columns)["popularity"]  # type: ignore[arg-type]
    counts: dict[str, int] = {}
    for items in train.columns["items"]:
        for item in items:
            counts[item] = counts.get(item, 0) + 1
    known = dict(zip(train.columns["user"], train.columns["items"], strict=True))
    places = {item: place for place, item in enumerate(task.items)}
    for user, answer in zip(test.columns["user"], found, strict=True):
        left = [item for item in counts if item not in known[user]]
        wanted = sorted(left, key=lambda item: (-counts[item], places[item]))[:10]
        assert answer["items"] == wanted


def test_baselines_need_not_prepare_all_rows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = tastes().split(test=0.25, seed=0)
    task = Ranking.learn(train.target, "items", train.schema)  # type: ignore[arg-type]
    asked = train.schema, train.columns, train.target, test.columns
    whole = task.baselines(*asked)  # type: ignore[arg-type]
    sizes: list[int] = []
    apply = Interactions.apply
    monkeypatch.setattr("maas.task._ranking.rows_that_fit", lambda row_bytes: sizes.append(row_bytes) or 7)
    monkeypatch.setattr(Interactions, "apply", lambda self, columns: _few(apply(self, columns)))
    parts = task.baselines(*asked)  # type: ignore[arg-type]
    assert set(sizes) == {8 * train.schema["items"].longest}
    assert {name: one.to_dicts() for name, one in parts.items()} == {
        name: one.to_dicts() for name, one in whole.items()
    }


def _few(prepared: Any) -> Any:
    assert len(prepared[0]["user"]) <= 7
    return prepared


def test_a_scored_list_of_nothing_to_find() -> None:
    with pytest.raises(DataError, match="a row has no item to find"):
        Ranking(("a", "b")).score(Answers({"items": np.array([["a"]], object)}), np.array([()], object))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "`top` must be an integer from 1 to 1000, got 0"),
        ({"top": 10.0}, "`top` must be an integer from 1 to 1000, got 10.0"),
        ({"negatives": 1001}, "`negatives` must be an integer from 1 to 1000, got 1001"),
        ({"loss": "warp"}, "`loss` must be one of bpr, pointwise, softmax, got 'warp'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Ranking.with_options(**options)


def test_what_is_no_ranking() -> None:
    schema = Schema((Field("x", "numeric", "number"),))
    with pytest.raises(DataError, match=r"a ranking needs a field of items .* use maas\.data\.read_interactions"):
        Ranking.learn(np.zeros(3), "x", schema)
    with pytest.raises(FormatError, match="a ranking needs a field of items"):
        Ranking.from_state({"top": 10}, {}, schema)
    with pytest.raises(FormatError, match="`top` must be an integer from 1 to 1000, got 100000000"):
        Ranking.from_state({"top": 10**8}, {}, ROWS.schema)
    with pytest.raises(DataError, match="item 'i9' is not among the items that the model knows"):
        Ranking(("i1",)).encode(np.array([("i1", "i9"), None], object)[:1])


def test_an_artifact_whose_items_were_exchanged_is_refused(tmp_path: Path) -> None:
    from maas.artifact import read, write

    path = maas.fit(maas.recipe(maas.nn.EASE, regularization=1.0), tastes()).save(tmp_path / "ease")
    stored = read(path)
    described = json.loads(json.dumps(stored.description))
    items = next(field for field in described["schema"] if field["name"] == "items")
    items["values"] = items["values"][::-1]
    kept = {key: described[key] for key in described if key not in ("format", "weights")}
    write(path, description=kept, card=stored.card, example=stored.example, tensors=stored.tensors)
    with pytest.raises(SkewError, match="golden row"):
        maas.load(path)


def test_ratings_go_the_whole_way(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    users, items = random.integers(0, 60, 1500), random.integers(0, 30, 1500)
    liking = random.normal(0, 1, (60, 3)) @ random.normal(0, 1, (3, 30)) + random.normal(0, 1, 30)
    ratings = liking[users, items] + random.normal(0, 0.1, 1500)
    rows = read_interactions({"user": users, "item": items, "rating": ratings}, task="regression")
    train, test = rows.split(test=0.25, seed=0, within="user")
    model = maas.fit(
        maas.recipe(maas.nn.RatingFactorization, embedding_dim=8, deviation=0.3),
        train,
        epochs=40,
        learning_rate=0.01,
        weight_decay=0.05,
        device="cpu",
        progress=False,
    )
    evaluation = model.evaluate(test, baselines_from=train)
    assert [one.name for one in evaluation.baselines] == ["mean", "user and item biases"]
    assert all(one.low > 0 for one in evaluation.baselines)
    loaded = maas.load(model.save(tmp_path / "ratings"))
    assert loaded.predict(test).to_dicts() == model.predict(test).to_dicts()
    nobody = model.predict({"user": "nobody", "item": "nothing"})["value"]
    assert nobody == pytest.approx(model.task.mean)  # type: ignore[attr-defined]


def test_biases_by_a_ridge_on_one_hot_columns() -> None:
    """Reference: scikit-learn's Ridge on one column a user and one an item, whose penalty is the damping."""
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import OneHotEncoder

    random = np.random.default_rng(0)
    source = {"user": random.integers(0, 15, 300), "item": random.integers(0, 12, 300)}
    source["rating"] = random.normal(3, 1, 300) + 0.2 * source["user"] - 0.3 * source["item"]
    rows = read_interactions(source, task="regression")
    task = maas.task.Regression.learn(rows.target)  # type: ignore[arg-type]
    found = task.baselines(rows.schema, rows.columns, rows.target, rows.columns)["user and item biases"]["value"]  # type: ignore[arg-type]
    hot = OneHotEncoder().fit_transform(np.stack([rows.columns["user"], rows.columns["item"]], axis=1))
    assert rows.target is not None
    mean = rows.target.mean()
    ridge = Ridge(alpha=3.0, fit_intercept=False).fit(hot, rows.target - mean)
    np.testing.assert_allclose(found, ridge.predict(hot) + mean, atol=1e-3)
    strange = replace(rows, columns={**rows.columns, "user": np.array(["?"] * len(rows), object)})
    unknown = task.baselines(rows.schema, rows.columns, rows.target, strange.columns)["user and item biases"]["value"]  # type: ignore[arg-type]
    assert np.ptp(unknown[rows.columns["item"] == "3"]) == 0

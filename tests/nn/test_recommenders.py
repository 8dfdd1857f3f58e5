"""Networks that learn who touched what in one go: by hand and against scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from maas import nn
from maas.errors import RecipeError
from maas.nn import EASE, ContentBased, ItemNeighbours, Popularity, UserNeighbours
from maas.schema import TensorSpec
from maas.task import Batch

LESSON = np.array([[int(one) for one in row] for row in ("100100", "010010", "001001", "100010", "010001")])


def batch_of(clicks: np.ndarray[Any, Any], *, known: bool = True) -> Batch:
    """Rows of zeros and ones as histories."""
    lengths = torch.from_numpy(clicks.sum(axis=1))
    history = torch.zeros(len(clicks), int(lengths.max()), dtype=torch.int64)
    for row, items in enumerate(clicks):
        history[row, : lengths[row]] = torch.from_numpy(np.flatnonzero(items))
    user = torch.arange(1, len(clicks) + 1) if known else torch.zeros(len(clicks), dtype=torch.int64)
    return Batch({"user": user, "history": history, "history_lengths": lengths})


def solved(network: Any, clicks: np.ndarray[Any, Any]) -> Any:
    network.solve(lambda: [batch_of(clicks)[:2], batch_of(clicks)[2:]])
    return network.eval()


def random_clicks(users: int = 40, items: int = 25) -> np.ndarray[Any, Any]:
    clicks = (np.random.default_rng(0).random((users, items)) < 0.2).astype(np.int64)
    clicks[:, 0] |= clicks.sum(axis=1) == 0  # everybody touched something
    clicks[:, -1] = 0  # and nobody the last
    return clicks


def test_the_lessons_items_by_hand() -> None:
    """Items 1 and 4 share one of 2 and 1 users: 1 / sqrt(2); items 1 and 5 one of 2 and 2: 1 / 2."""
    network = solved(ItemNeighbours(5, 6), LESSON)
    scores = network(**batch_of(LESSON).inputs)
    half, root = 0.5, 1 / math.sqrt(2)
    cosines = np.array(
        [
            [0, 0, 0, root, half, 0],
            [0, 0, 0, 0, half, half],
            [0, 0, 0, 0, 0, root],
            [root, 0, 0, 0, 0, 0],
            [half, half, 0, 0, 0, 0],
            [0, half, root, 0, 0, 0],
        ]
    )
    np.testing.assert_allclose(scores, LESSON @ cosines, rtol=1e-6)
    one = network(**batch_of(np.eye(6, dtype=np.int64), known=False).inputs)
    np.testing.assert_allclose(one, cosines, rtol=1e-6)  # no item is its own neighbour


def test_the_lessons_users_by_hand() -> None:
    """User 1 shares item 1 with user 4, each of 2 items: 1 / 2; a known user is not their own neighbour."""
    network = solved(UserNeighbours(5, 6), LESSON)
    scores = network(**batch_of(LESSON).inputs)
    cosines = 0.5 * np.array([[0, 0, 0, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [1, 1, 0, 0, 0], [0, 1, 1, 0, 0]])
    np.testing.assert_allclose(scores, cosines @ LESSON, rtol=1e-6)
    stranger = network(**batch_of(LESSON[:1], known=False).inputs)
    np.testing.assert_allclose(stranger[0], LESSON[0] + 0.5 * LESSON[3], rtol=1e-6)


def test_item_cosines_are_those_of_scikit_learn() -> None:
    clicks = random_clicks()
    scores = solved(ItemNeighbours(40, 25), clicks)(**batch_of(clicks).inputs)
    cosines = cosine_similarity(clicks.T)
    np.fill_diagonal(cosines, 0)
    np.testing.assert_allclose(scores, clicks @ cosines, rtol=1e-5, atol=1e-6)


def test_normalized_users_and_shrinkage() -> None:
    """Reference: scikit-learn's cosine of rows of length 1; shrinkage by its definition in numpy."""
    clicks = random_clicks()
    rows = clicks / np.sqrt(clicks.sum(axis=1, keepdims=True))
    cosines = cosine_similarity(rows.T)
    np.fill_diagonal(cosines, 0)
    network = solved(ItemNeighbours(40, 25, normalize_users=True), clicks)
    np.testing.assert_allclose(network(**batch_of(clicks).inputs), clicks @ cosines, rtol=1e-5, atol=1e-6)
    both, norms = clicks.T @ clicks, np.sqrt(clicks.sum(axis=0))
    wanted = both / (np.outer(norms, norms) + 5)
    np.fill_diagonal(wanted, 0)
    network = solved(ItemNeighbours(40, 25, shrinkage=5), clicks)
    np.testing.assert_allclose(network(**batch_of(clicks).inputs), clicks @ wanted, rtol=1e-5, atol=1e-6)


def test_few_neighbours_are_the_nearest_of_each_item() -> None:
    clicks = random_clicks()
    cosines = cosine_similarity(clicks.T)
    np.fill_diagonal(cosines, 0)
    kept = np.zeros_like(cosines)
    for item, column in enumerate(cosines.T):
        nearest = np.argsort(-column, kind="stable")[:3]
        kept[nearest, item] = column[nearest]
    network = solved(ItemNeighbours(40, 25, neighbours=3), clicks)
    np.testing.assert_allclose(network(**batch_of(clicks).inputs), clicks @ kept, rtol=1e-5, atol=1e-6)


def test_few_users_are_the_nearest() -> None:
    clicks = random_clicks()
    cosines = cosine_similarity(clicks)
    np.fill_diagonal(cosines, 0)
    kept = np.zeros_like(cosines)
    for user, row in enumerate(cosines.astype(np.float32)):
        nearest = np.argsort(-row, kind="stable")[:5]
        kept[user, nearest] = row[nearest]
    network = solved(UserNeighbours(40, 25, neighbours=5), clicks)
    scores = network(**batch_of(clicks).inputs).numpy()
    level = (
        np.sort(cosines, axis=1)[:, -5] - np.sort(cosines, axis=1)[:, -6] > 1e-6
    )  # which of equals is kept is not said
    assert level.sum() > 10
    np.testing.assert_allclose(scores[level], (kept @ clicks)[level], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "network",
    [EASE(40, 25), ItemNeighbours(40, 25, neighbours=7), UserNeighbours(40, 25), Popularity(40, 25)],
    ids=["ease", "items", "users", "popularity"],
)
def test_a_row_has_the_same_bits_alone_and_among_others(network: Any) -> None:
    clicks = random_clicks()
    network, rows = solved(network, clicks), batch_of(clicks)
    together = network(**rows.inputs)
    for row in (0, 7, 39):
        assert torch.equal(network(**rows[row : row + 1].trimmed().inputs)[0], together[row])


def test_popularity_counts() -> None:
    clicks = random_clicks()
    scores = solved(Popularity(40, 25), clicks)(**batch_of(clicks).inputs)
    np.testing.assert_array_equal(scores, np.tile(clicks.sum(axis=0), (40, 1)))


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (ItemNeighbours, {"neighbours": 0}, "`neighbours` must be a positive integer, got 0"),
        (ItemNeighbours, {"shrinkage": -1}, "`shrinkage` must be a number of at least 0, got -1"),
        (ItemNeighbours, {"normalize_users": 1}, "`normalize_users` must be true or false, got 1"),
        (UserNeighbours, {"neighbours": 2.0}, "`neighbours` must be a positive integer, got 2.0"),
        (EASE, {"regularization": math.nan}, "`regularization` must be a number of at least 0, got nan"),
        (ContentBased, {"popularity": "x"}, "`popularity` must be a number of at least 0, got 'x'"),
        (Popularity, {"num_items": True}, "`num_items` must be a positive integer, got True"),
    ],
)
def test_arguments_out_of_range(kind: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        kind(**{"num_users": 5, "num_items": 6, **arguments})


def test_the_data_must_be_users_and_items() -> None:
    with pytest.raises(RecipeError, match="a ItemNeighbours takes history, history_lengths, user"):
        nn.recipe(ItemNeighbours).resolve({"x": TensorSpec((3,), "float32")}, 6)


def test_user_neighbours_say_their_memory_before_they_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas.nn._clicks.free_bytes", lambda device: 10**9)
    with pytest.raises(RecipeError, match=r"800.0 GB of memory to be solved, 1.0 GB are available; take fewer users"):
        UserNeighbours(1_000_000, 100_000)


def test_ease_is_the_optimum_that_its_paper_derives() -> None:
    """Reference: for each item a ridge regression on the others (scikit-learn), which is the same problem."""
    from sklearn.linear_model import Ridge

    clicks = random_clicks()
    network = solved(EASE(40, 25, regularization=3.0), clicks)
    for item in (0, 7, 24):
        others = np.delete(np.arange(25), item)
        ridge = Ridge(alpha=3.0, fit_intercept=False).fit(clicks[:, others], clicks[:, item])
        np.testing.assert_allclose(network.weight[others, item], ridge.coef_, atol=1e-5)
        assert network.weight[item, item] == 0
    scores = network(**batch_of(clicks).inputs)
    np.testing.assert_allclose(scores, clicks @ network.weight.numpy(), atol=1e-5)


def test_ease_says_its_memory_before_it_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas.nn._clicks.free_bytes", lambda device: 2 * 10**9)
    message = r"EASE over 100,000 items needs 280.0 GB of memory to be solved, 2.0 GB are available; take fewer items"
    with pytest.raises(RecipeError, match=message):
        EASE(10, 100_000)
    with torch.device("meta"):  # as an artifact is read: no memory is taken
        assert EASE(10, 100_000).weight.shape == (100_000, 100_000)


def test_item_neighbours_say_their_memory_before_they_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas.nn._clicks.free_bytes", lambda device: 10**9)
    message = r"10,000,000 items, 200 neighbours of each, needs 80.0 GB .*, 1.0 GB are available; keep fewer `neighb"
    with pytest.raises(RecipeError, match=message):
        ItemNeighbours(10, 10_000_000)


def test_content_is_passed_on_and_popularity_added() -> None:
    clicks = random_clicks()
    content = torch.rand(40, 25, generator=torch.Generator().manual_seed(0))
    network = solved(ContentBased(40, 25, popularity=2.0), clicks)
    scores = network(**batch_of(clicks).inputs, content=content)
    np.testing.assert_allclose(scores, content.numpy() + 2 * clicks.mean(axis=0), rtol=1e-6)
    inputs = {"user": TensorSpec((), "int64", 41), "history": TensorSpec((None,), "int64", 25)}
    inputs["history_lengths"] = TensorSpec((), "int64")
    with pytest.raises(RecipeError, match="a ContentBased takes content, history, history_lengths, user"):
        nn.recipe(ContentBased).resolve(inputs, 25)

"""What a task says of the network's outputs is what it does with them: each sentence, done by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from maas.task import Anomaly, Answers, Batch, Classification, Forecast, MultiLabel, Ranking, Regression, Task

OUTPUTS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
HISTORY = {"history": torch.tensor([[1, 2], [0, 0], [3, 0], [2, 0], [0, 1], [1, 3]]), "user": torch.zeros(6).long()}
LENGTHS = torch.tensor([2, 1, 1, 1, 2, 2])


class Fixed(nn.Module):
    """A network that gives what it was given."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return self.outputs.clone()


def answered(task: Task, inputs: Mapping[str, torch.Tensor] | None = None) -> Answers:
    outputs = OUTPUTS[:, : task.num_outputs]
    return task.join(task.run(Fixed(outputs), Batch(inputs or {"x": outputs})))


def by_hand(task: Task) -> Any:
    outputs = OUTPUTS[:, : task.num_outputs]
    applied = {"softmax": lambda: outputs.softmax(1), "sigmoid": outputs.sigmoid, None: outputs.double}
    return applied[task.meaning()["apply"]]().numpy()


def test_classes() -> None:
    task = Classification(("a", "b", "c", "d"))
    assert "label is that of the greatest" in task.meaning()["answer"]
    assert answered(task)["label"].tolist() == [task.classes[place] for place in by_hand(task).argmax(1)]


def test_two_classes_with_a_threshold() -> None:
    task = Classification(("a", "b"), threshold=0.7)
    assert "probability of classes[1], which is the label where it is above the threshold" in task.meaning()["answer"]
    state, _ = task.state()
    labels = [state["classes"][int(one > state["threshold"])] for one in by_hand(task)[:, 0]]
    assert answered(task)["label"].tolist() == labels
    assert set(labels) == {"a", "b"}


def test_several_labels() -> None:
    task = MultiLabel(("p", "q", "r", "s"), (0.2, 0.5, 0.6, 0.4))
    assert "whose probability is above their threshold" in task.meaning()["answer"]
    above = by_hand(task) > np.array(task.state()[0]["thresholds"])
    assert answered(task)["labels"].tolist() == [
        [one for one, has in zip("pqrs", row, strict=True) if has] for row in above
    ]


def test_a_number_and_a_forecast() -> None:
    number = Regression(5.0, 3.0)
    assert "outputs[:, 0] * scale + mean" in number.meaning()["answer"]
    np.testing.assert_array_equal(answered(number)["value"], by_hand(number)[:, 0] * 3.0 + 5.0)
    ahead = Forecast(2, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert "reshaped to ['batch', 2, 2], * scale + mean" in ahead.meaning()["answer"]
    arrays = ahead.state()[1]
    values = by_hand(ahead).reshape(-1, 2, 2) * arrays["scale"] + arrays["mean"]
    np.testing.assert_array_equal(answered(ahead)["values"], values)


def test_an_anomaly() -> None:
    task = Anomaly(threshold=0.5)
    assert "outputs[:, 0] / threshold, in float64; anomalous is above 1" in task.meaning()["answer"]
    scores = by_hand(task)[:, 0] / task.state()[0]["threshold"]
    np.testing.assert_array_equal(answered(task)["score"], scores)
    assert answered(task)["anomalous"].tolist() == (scores > 1).tolist()


def test_a_ranking() -> None:
    task = Ranking(("i", "j", "k", "l"), top=2)
    assert "those in the row's history are left out, then the `top` greatest" in task.meaning()["answer"]
    wanted = []
    for row, scores in enumerate(by_hand(task)):
        seen = HISTORY["history"][row, : LENGTHS[row]].tolist()
        left = [place for place in np.argsort(-scores, kind="stable").tolist() if place not in seen]
        wanted.append([task.items[place] for place in left[: task.state()[0]["top"]]])
    assert answered(task, {**HISTORY, "history_lengths": LENGTHS})["items"].tolist() == wanted


def test_a_task_of_ones_own_that_says_nothing() -> None:
    class Mine(Regression):
        kind = "mine"
        meaning = Task.meaning

    assert Mine().meaning() == {"apply": None, "answer": "as the task 'mine' says, which is not one of maas"}

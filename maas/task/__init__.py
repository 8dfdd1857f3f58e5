"""What the answer is: classes or numbers, their encoding, loss, scores, and the baselines they are held against."""

from maas.task._answers import Answers, Batch, rows_that_fit
from maas.task._base import Task, from_state, learn, task
from maas.task._classification import Classification
from maas.task._forecast import Forecast
from maas.task._regression import Regression

__all__ = [
    "Answers",
    "Batch",
    "Classification",
    "Forecast",
    "Regression",
    "Task",
    "from_state",
    "learn",
    "rows_that_fit",
    "task",
]

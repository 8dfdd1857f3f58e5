"""Schedules, against those of torch, and that each step is taken at its own rate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from maas.task import Regression
from maas.training import Schedule, Settings
from maas.training._plan import Plan

from .by_hand import SGD, assert_same, random_rows, small_network, trained


def test_the_step_schedule_is_that_of_torch() -> None:
    """Reference: torch.optim.lr_scheduler.StepLR, once an epoch."""
    for every, factor in ((1, 0.5), (3, 0.1), (4, 0.9)):
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, every, factor)
        settings = Settings(10, learning_rate=0.5, schedule=Schedule("step", factor=factor, epochs=every))
        for epoch in range(1, 11):
            assert settings.rate(7, 100, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
            optimizer.step()
            scheduler.step()
    thirds = Settings(9, learning_rate=1.0, schedule=Schedule("step"))
    assert [thirds.rate(0, 9, epoch) for epoch in range(1, 10)] == pytest.approx([1] * 3 + [0.1] * 3 + [0.01] * 3)


def test_the_plateau_schedule_is_that_of_torch() -> None:
    """Reference: torch.optim.lr_scheduler.ReduceLROnPlateau, which waits for one epoch more than its patience."""
    for epochs, seed in ((1, 0), (2, 1), (3, 2), (5, 3)):
        generator = np.random.default_rng(seed)
        losses = (1 / np.arange(1, 61) + generator.normal(0, 0.05, 60)).round(2).tolist()  # ties among them
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=epochs - 1, threshold=0.0, cooldown=0, eps=0.0
        )
        settings = Settings(60, learning_rate=0.5, schedule=Schedule("plateau", factor=0.5, epochs=epochs))
        for epoch in range(1, 61):
            assert settings.rate(0, 60, epoch, losses[: epoch - 1]) == optimizer.param_groups[0]["lr"]
            optimizer.step()
            scheduler.step(losses[epoch - 1])
        assert optimizer.param_groups[0]["lr"] < 0.5 / 8


def test_a_plateau_reaches_the_steps_of_the_epochs_after_it() -> None:
    """Reference: torch's ReduceLROnPlateau over the losses that were recorded."""
    outcome = trained(
        small_network(),
        random_rows(40),
        validation=random_rows(20),
        epochs=20,
        learning_rate=0.3,
        schedule=Schedule("plateau", epochs=2, factor=0.5),
    )
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.3)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=0.0, eps=0.0)
    expected = []
    for record in outcome.history:
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(record["validation_loss"])
    assert [record["learning_rate"] for record in outcome.history] == expected
    assert len(set(expected)) > 2


def test_each_step_is_taken_at_its_own_rate() -> None:
    """Reference: a plain loop, its rate set before each step to what the schedule says."""
    ours, plain = small_network(), small_network()
    rows, settings = random_rows(60), Settings(2, 8, learning_rate=0.1, schedule=Schedule("cosine", warmup=0.2))
    trained(ours, rows, epochs=2, learning_rate=0.1, schedule=settings.schedule, optimizer=SGD)
    optimizer = torch.optim.SGD(plain.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    place = 0
    for epoch in (1, 2):
        for (index,) in Plan(60, 8, 1, 0).windows(epoch):
            optimizer.param_groups[0]["lr"] = settings.rate(place, 16, epoch)
            optimizer.zero_grad()
            Regression().loss(plain, rows[index]).mean().backward()
            optimizer.step()
            place += 1
    assert place == 16
    assert_same(ours, plain)

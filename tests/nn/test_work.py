"""What a pass costs: threads, and steps."""

from __future__ import annotations

import math

import torch

from maas.nn import MLP, CNN1d, TextBag, TextTransformer, steps_a_pass, threads, work_of, worth_threads


def test_a_small_network_is_worth_one_thread_and_a_large_one_all() -> None:
    with threads(2):
        assert [worth_threads(work) for work in (10, 1e9, math.inf)] == [1, 2, 2]
    assert work_of(MLP(3, 2, hidden=(4,))) == 3 * 4 + 4 + 4 * 2 + 2
    assert work_of(CNN1d(3, 2)) == math.inf


def test_torch_has_its_threads_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_embeddings_are_no_work_at_a_step() -> None:
    assert steps_a_pass(TextTransformer(10, 2)) == steps_a_pass(TextTransformer(1000, 2)) < 200
    assert steps_a_pass(TextBag(1000, 2)) > 10_000

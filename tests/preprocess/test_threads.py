"""maas.preprocess._threads: several decodings at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from maas.preprocess._threads import each


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_two_calls_run_at_a_time_and_their_order_is_kept() -> None:
    both = threading.Barrier(2, timeout=10)  # breaks unless two calls meet at it

    def call(place: int) -> int:
        both.wait()
        return place

    assert each(call, 6) == list(range(6))


def test_an_operation_in_a_call_takes_one_thread_and_torch_has_its_own_back() -> None:
    assert each(lambda place: torch.get_num_threads(), 4) == [1, 1, 1, 1]
    assert torch.get_num_threads() == 2


def test_with_one_thread_calls_are_made_here() -> None:
    torch.set_num_threads(1)
    assert each(lambda place: threading.get_ident(), 3) == [threading.get_ident()] * 3


def test_what_a_call_raises_is_raised_and_torch_has_its_threads_back() -> None:
    with pytest.raises(ZeroDivisionError):
        each(lambda place: 1 // (place - 1), 3)
    assert torch.get_num_threads() == 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_threads_of_its_own() -> None:
    each(abs, 2)
    child = os.fork()
    if child == 0:
        os._exit(0 if each(abs, 3) == [0, 1, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

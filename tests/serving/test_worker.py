"""What a worker sets for its process, tried in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, sys, torch
from maas.serving import _worker
library = ctypes.CDLL(None)
library.prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: one huge page would count for 512
if sys.argv[1] != "by environment":  # what glibc does by itself hangs on what else lies in its heap
    library.mallopt(-1, 1000)  # M_TRIM_THRESHOLD
    library.mallopt(-3, 100000)  # M_MMAP_THRESHOLD
if sys.argv[1] != "given back":
    _worker.keep_memory()
def passes(count):
    for _ in range(count):
        layers = [torch.ones(20 << 18) for _ in range(4)]  # 20 MiB each
        del layers
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = passes(3)
print(passes(10) - before)
"""
PAGES = 10 * 4 * (20 << 20) // 4096


def faults(*arguments: str, **environment: str) -> int:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS, *arguments]
    return int(subprocess.check_output(command, env={**plain, **environment}, text=True))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_a_pass_uses_the_memory_of_the_one_before() -> None:
    assert faults("given back") > PAGES / 4, "without it the pages come anew, or this test says nothing"
    assert faults("kept") < PAGES / 100


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc")
def test_the_users_own_setting_goes_before() -> None:
    assert faults("by environment", MALLOC_TRIM_THRESHOLD_="1000", MALLOC_MMAP_THRESHOLD_="100000") > PAGES / 4

"""scripts/bench: each benchmark has its place on its page, and only that is written."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
TABLE = "| server | requests/s, p50 | times stock |\n| --- | --- | --- |\n| maas | {} | {} |\n| stock | 10 | 1.00 |\n"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("bench")


def test_each_benchmark_is_there_and_has_its_place(bench: ModuleType) -> None:
    for name, one in bench.BENCHMARKS.items():
        assert bench.between((ROOT / one.page).read_text(), name).strip()
        for command in (*one.commands, *filter(None, [one.quick])):
            assert (ROOT / "benchmarks" / shlex.split(command)[0]).is_file()


def test_only_what_stands_between_the_marks_changes(bench: ModuleType) -> None:
    page = "# A\n<!-- bench:a -->\nold\n<!-- /bench -->\nb\n<!-- bench:c -->\nc\n<!-- /bench -->\n"
    changed = bench.put(page, "a", r"new \1")
    assert changed == page.replace("old\n", "\nnew \\1\n\n")
    with pytest.raises(SystemExit, match="no <!-- bench:b -->"):
        bench.put(page, "b", "new")


def test_a_row_says_what_is_not_indented(bench: ModuleType) -> None:
    text = bench.block(["faults/one.py"], ["20 stops\n  5 of them so far\n\nlost: 0 | 0"], True)
    assert text.splitlines()[-1] == "| `benchmarks/faults/one.py` | 20 stops; lost: 0 : 0 |"


def test_what_is_no_table_stands_as_it_was_printed(bench: ModuleType) -> None:
    assert bench.block(["one.py"], ["commit 1\n\n  two\n"], False).endswith("\n\n    commit 1\n\n      two")


def test_ratios_are_held_against_the_documented_ones(bench: ModuleType) -> None:
    documented = TABLE.format("25", "2.50")
    assert bench.strayed(documented, TABLE.format("90", "2.20")) == []
    assert bench.strayed(documented, TABLE.format("25", "2.00")) == [
        "maas, 25, 2.00: times stock 2.00 where 2.50 is documented"
    ]
    (other,) = bench.strayed(documented.replace("times stock", "times ours"), TABLE.format("25", "2.50"))
    assert (
        other == "columns server, requests/s, p50, times stock where server, requests/s, p50, times ours are documented"
    )
    assert bench.strayed("figures without a table", "others") == []
    assert bench.strayed(documented, "") == ["0 lines in the table where 4 are documented"]


def test_a_benchmark_that_fails_is_told_with_its_last_words(bench: ModuleType) -> None:
    with pytest.raises(bench.Failed, match=r"startup\.py.* ended with 2: .*--nothing"):
        bench.output("startup.py --nothing", None)


PLAYER = """
import sys
from turns import Turn
turn = Turn(given=True)
for _ in range(int(sys.argv[2])):
    turn()
    print(sys.argv[1], file=open("log", "a"))
print("waited", turn.waited > 0)
if sys.argv[1] == "c":
    sys.exit("no more")
"""


def test_processes_work_by_turns(bench: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turns = importlib.import_module("turns")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")}
    with contextlib.ExitStack() as stack:
        players = {
            name: stack.enter_context(turns.Player([sys.executable, "-c", PLAYER, name, times], environment))
            for name, times in (("a", "3"), ("b", "2"), ("c", "1"))
        }
        assert all(player.waits() for player in players.values())
        assert not Path("log").exists()
        for _ in range(3):
            for name in "abc":
                players[name].take_turn()  # of one that has ended, nothing comes
        assert Path("log").read_text().split() == ["a", "b", "c", "a", "b", "a"]
        assert not players["a"].take_turn()
        assert players["a"].printed == ["waited True\n"]
        assert [player.errors for player in players.values()] == ["", "", "no more"]

"""A finding says what to do; a check that fails itself is told."""

from collections.abc import Iterator

import pytest

from maas.doctor import Finding
from maas.doctor._finding import guarded


def test_a_warning_and_an_error_name_their_remedy() -> None:
    for level in ("warning", "error"):
        with pytest.raises(ValueError, match=f"the {level} about Java names no remedy"):
            Finding(level, "Java", "there is none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`level` is one of ok, warning, error, not checked, got 'bad'"):
        Finding("bad", "Java", "there is none")  # type: ignore[arg-type]


def test_json_and_back() -> None:
    one = Finding("error", "Java", "there is none", "install one")
    assert Finding.from_json(one.to_json()) == one


def test_a_check_that_fails_itself_is_told_with_what_it_found_before() -> None:
    def check() -> Iterator[Finding]:
        yield Finding("ok", "disk", "is there")
        raise OSError("gone")

    first, second = guarded("disk", check)
    assert first.level == "ok"
    assert (second.level, second.detail) == ("not checked", "this check failed itself: OSError: gone")

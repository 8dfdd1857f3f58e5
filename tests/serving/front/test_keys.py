"""The file of the keys of a front, and how traffic is shared."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from maas.errors import ServingError
from maas.serving.front._keys import make_keys, read_keys
from maas.serving.front._slots import COUNT, spread

from .upstream import KEY


def test_the_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    make_keys(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(read_keys(file)[0]) > 40
    file.write_text(f"# of ours\n\n{KEY}\n{KEY}2\n")
    assert read_keys(file) == [KEY, f"{KEY}2"]
    for text, match in (("# none\n", "holds no key"), ("short\n", "line 1 is no key"), ("a*" * 20, "line 1 is no key")):
        file.write_text(text)
        with pytest.raises(ServingError, match=match):
            read_keys(file)
    file.chmod(0o640)
    with pytest.raises(ServingError, match="can be read by others, its mode is 640; chmod 600"):
        read_keys(file)
    with pytest.raises(ServingError, match="cannot be read: "):
        read_keys(tmp_path / "none")


def test_shares() -> None:
    assert spread([1, 2], {}) == [1, 2] * (COUNT // 2)
    shared = spread([1, 2], {3: 10})
    assert [shared.count(port) for port in (1, 2, 3)] == [9, 9, 2]

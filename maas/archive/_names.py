"""Names and versions that TorchServe can bear."""

from __future__ import annotations

import re

from maas.errors import ArchiveError, show

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}")


def check_name(name: str) -> str:
    """A model's name, once it is found to be one that TorchServe can bear.

    Raises:
        ArchiveError: it is not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArchiveError(
            f"a model's name is 1 to 64 lower-case letters, digits, '_' and '-', beginning with a letter or digit, "
            f"got {show(name)}; give one with name="
        )
    if name == "models":
        raise ArchiveError(
            "a model cannot be called 'models': torch-model-archiver would delete TorchServe's own folder"
        )
    if "token" in name:
        raise ArchiveError(
            f"a model's name cannot contain 'token', got {show(name)}: TorchServe takes its address for that of the "
            f"token service, and it cannot be managed"
        )
    return name


def check_version(version: str) -> str:
    """A model's version, once it is found to be one to three numbers.

    Raises:
        ArchiveError: it is not.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ArchiveError(f"a version is one to three numbers, such as '1.0', got {show(version)}")
    return version

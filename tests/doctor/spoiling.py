"""Archives out of members, and findings picked out."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from maas.doctor import Finding


def zipped(members: Mapping[str, bytes], *more: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice, as it shall
        for name, data in (*members.items(), *more):
            archive.writestr(name, data)
    return buffer.getvalue()


def read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def only(found: Iterable[Finding], level: str) -> Finding:
    """The one finding of a level."""
    (one,) = (one for one in found if one.level == level)
    return one

"""Hostile `.mar` files: refused by a plain error, and nothing of them lands outside a temporary folder."""

from __future__ import annotations

import io
import json
import stat
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import maas
from maas.archive import CONFIG, HANDLER, MANIFEST, read_archive
from maas.artifact import SUMS, WEIGHTS
from maas.errors import ArchiveError, ArtifactError, IntegrityError

Members = dict[str, bytes]
Attack = Callable[[bytes], bytes]
CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"


@pytest.fixture(scope="module")
def good(wine_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return maas.package(wine_artifact, store=tmp_path_factory.mktemp("store"), name="wine").read_bytes()


def _read(data: bytes) -> Members:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def _written(members: Members, *more: tuple[str | zipfile.ZipInfo, bytes], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", **options) as archive:
        warnings.simplefilter("ignore")  # zipfile warns of a name that comes twice, as it shall here
        for name, data in (*members.items(), *more):
            archive.writestr(name, data)
    return buffer.getvalue()


def _more(name: str, data: bytes = b"print('hello')") -> Attack:
    return lambda good: _written(_read(good), (name, data))


def _without(name: str) -> Attack:
    return lambda good: _written({one: data for one, data in _read(good).items() if one != name})


def _changed(name: str, change: Callable[[bytes], bytes], **options: Any) -> Attack:
    def attack(good: bytes) -> bytes:
        members = _read(good)
        return _written({**members, name: change(members[name])}, **options)

    return attack


def _manifest(*path: str, value: Any) -> Attack:
    def change(data: bytes) -> bytes:
        document = parent = json.loads(data)
        for key in path[:-1]:
            parent = parent[key]
        if value is ...:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        return json.dumps(document).encode()

    return _changed(MANIFEST, change)


def _config(old: bytes, new: bytes) -> Attack:
    return _changed(CONFIG, lambda data: data.replace(old, new))


def _patched(
    name: str, field: int, layout: str, value: int, *, signature: bytes = CENTRAL, deflate: bool = False
) -> Attack:
    """Another number in a header of one member: the central directory's, or the one before its data."""

    def attack(good: bytes) -> bytes:
        data = bytearray(_written(_read(good), compression=zipfile.ZIP_DEFLATED) if deflate else good)
        length = 46 if signature == CENTRAL else 30
        place = -1
        while data[place + length : place + length + len(name)] != name.encode() or place < 0:
            place = data.index(signature, place + 1)
        struct.pack_into(layout, data, place + field, value)
        return bytes(data)

    return attack


def _garbled(good: bytes) -> bytes:
    """A deflated member whose stream is no deflate stream."""
    data = bytearray(_written(_read(good), compression=zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(HANDLER)
    start = info.header_offset + 30 + len(HANDLER)
    data[start : start + info.compress_size] = b"\xff" * info.compress_size
    return bytes(data)


def _lying_bomb(good: bytes) -> bytes:
    """64 MiB of zeros in 64 KiB, whose directory says that they are packed into a megabyte."""
    members = _read(good)
    bomb = _written({**members, WEIGHTS: bytes(1 << 26)}, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(bomb)
    struct.pack_into("<I", data, data.rindex(WEIGHTS.encode()) - 46 + 20, 1 << 20)
    return bytes(data)


def _other_content(good: bytes) -> bytes:
    """Stored bytes changed, their CRC not."""
    data = bytearray(good)
    place = good.index(b'"schema"')
    data[place : place + 8] = b'"SCHEMA"'
    return bytes(data)


def _link(good: bytes) -> bytes:
    members = _read(good)
    info = zipfile.ZipInfo("artifact.json")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    del members["artifact.json"]
    return _written(members, (info, b"/etc/passwd"))


STRUCTURE: dict[str, tuple[Attack, str]] = {
    "no zip": (lambda good: b"hello", "is not a whole archive: File is not a zip file"),
    "empty": (lambda good: b"", "is not a whole archive: File is not a zip file"),
    "an empty zip": (lambda good: _written({}), "must hold artifact.json once, it does 0 times"),
    "half": (lambda good: good[: len(good) // 2], "is not a whole archive"),
    "without its last byte": (lambda good: good[:-1], "is not a whole archive"),
    "without its directory": (lambda good: good[: good.index(CENTRAL)], "is not a whole archive"),
    "without its first bytes": (lambda good: good[100:], "is not a whole archive"),
    "junk before it": (lambda good: b"#!/bin/sh\nexit\n" + good, "archive"),
    "a comment after it": (lambda good: good[:-2] + struct.pack("<H", 5) + b"hello", "archive"),
    "a module": (_more("evil.py"), "holds 'evil.py', which maas does not put there"),
    "an __init__": (_more("__init__.py"), "holds '__init__.py', which maas does not put there"),
    "requirements": (_more("requirements.txt"), "holds 'requirements.txt', which maas does not put there"),
    "a path upwards": (_more("../evil.py"), "holds '../evil.py', which maas does not put there"),
    "weights upwards": (_more("../model.safetensors"), "holds '../model.safetensors', which maas does not put there"),
    "an absolute path": (_more("/tmp/maas-evil.py"), "holds '/tmp/maas-evil.py', which maas does not put there"),
    "a backslash": (_more("..\\model.safetensors"), r"model.safetensors', which maas does not put there"),
    "a folder": (_more("MAR-INF/", b""), "holds 'MAR-INF/', which maas does not put there"),
    "a name in a folder": (_more("sub/model.safetensors"), "holds 'sub/model.safetensors', which maas does not"),
    "a name with a line feed": (_more("model.safetensors\n"), "which maas does not put there"),
    "a repeated document": (_more("artifact.json", b"{}"), "must hold artifact.json once, it does 2 times"),
    "a repeated handler": (_more(HANDLER), "must hold maas_handler.py once, it does 2 times"),
    "a hundred members": (
        lambda good: _written(_read(good), *((f"model{one}.safetensors", b"") for one in range(100))),
        "has 108 members, maas writes at most 64",
    ),
    "no handler": (_without(HANDLER), "must hold maas_handler.py once, it does 0 times"),
    "no sums": (_without(SUMS), "must hold SHA256SUMS once, it does 0 times"),
    "no manifest": (_without(MANIFEST), "must hold MAR-INF/MANIFEST.json once, it does 0 times"),
    "another handler": (
        _changed(HANDLER, lambda _: b"import os"),
        "holds another maas_handler.py than the one installed",
    ),
    "a handler with another byte": (
        _changed(HANDLER, lambda data: data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]),
        "holds another maas_handler.py than the one installed here; package the artifact again",
    ),
    "a manifest with requirements": (
        _manifest("model", "requirementsFile", value="r.txt"),
        "names files that maas does",
    ),
    "a manifest with a model file": (
        _manifest("model", "modelFile", value="model.py"),
        "names files that maas does not",
    ),
    "a manifest with another handler": (
        _manifest("model", "handler", value="image_classifier"),
        "names files that maas",
    ),
    "a manifest with a handler of a module": (
        _manifest("model", "handler", value="os:system"),
        "the manifest names files that maas does not: .*os:system",
    ),
    "a manifest with other weights": (
        _manifest("model", "serializedFile", value="/etc/passwd"),
        "names files that maas",
    ),
    "a manifest with another runtime": (_manifest("runtime", value="LSP"), "manifest|runtime"),
    "a manifest of the name models": (_manifest("model", "modelName", value="models"), "cannot be called 'models'"),
    "a manifest of the name ../x": (_manifest("model", "modelName", value="../x"), "lower-case letters.*got '../x'"),
    "a manifest of the version x": (_manifest("model", "modelVersion", value="x"), "a version is one to three numbers"),
    "a manifest without version": (_manifest("model", "modelVersion", value=...), "modelVersion"),
    "a manifest without model": (_manifest("model", value=...), "'model'"),
    "a manifest whose model is a list": (_manifest("model", value=[1]), "archive|wine.mar"),
    "a manifest that is no JSON": (_changed(MANIFEST, lambda _: b"{"), "MANIFEST.json is not strict JSON"),
    "a manifest with a repeated key": (
        _changed(MANIFEST, lambda data: b'{"model": {},' + data[1:]),
        "MANIFEST.json is not strict JSON: an object repeats a key",
    ),
    "a config with an unknown key": (
        _config(b"batchSize", b"handler"),
        "a line that maas does not write: 'handler: 16'",
    ),
    "a config with another key": (
        _changed(CONFIG, lambda data: data + b"deviceType: gpu\n"),
        "does not write: 'deviceType",
    ),
    "a config with a negative number": (
        _config(b"batchSize: 16", b"batchSize: -16"),
        "a line that maas does not write",
    ),
    "a config with zero": (_config(b"batchSize: 16", b"batchSize: 0"), "batchSize must be a positive integer, got 0"),
    "a config with a huge number": (_config(b"batchSize: 16", b"batchSize: " + b"9" * 9999), "wine.mar"),
    "a config with a tag": (_config(b": 16", b": !!python/name:os.system 16"), "a line that maas does not write"),
    "a config that is not UTF-8": (_changed(CONFIG, lambda data: data + b"#\xff\n"), "wine.mar"),
    "a bomb": (
        _changed(WEIGHTS, lambda _: bytes(1 << 26), compression=zipfile.ZIP_DEFLATED),
        "model.safetensors would unpack to 67,108,864 bytes, which is no model",
    ),
    "a bomb that lies about its packed size": (_lying_bomb, "archive|model.safetensors"),
    "packed by bzip2": (
        _changed(CONFIG, bytes, compression=zipfile.ZIP_BZIP2),
        "packed in a way that maas does not read|in two ways",
    ),
    "packed by LZMA": (
        _changed(CONFIG, bytes, compression=zipfile.ZIP_LZMA),
        "packed in a way that maas does not read|in two ways",
    ),
    "packed in an unknown way": (
        _patched(HANDLER, 10, "<H", 99),
        "packed in a way that maas does not read|in two ways",
    ),
    "encrypted": (_patched(WEIGHTS, 8, "<H", 1), "model.safetensors is encrypted, or packed in a way"),
    "a wrong CRC": (_patched(HANDLER, 16, "<I", 1), "is not a whole archive: it describes"),
    "a size too large": (_patched(HANDLER, 24, "<I", 20_000), "archive"),
    "a size too small": (_patched(HANDLER, 24, "<I", 10), "archive"),
    "a packed size too large": (_patched(HANDLER, 20, "<I", 10**9), "archive"),
    "a packed size too small": (_patched(HANDLER, 20, "<I", 10), "archive"),
    "data beyond the end": (_patched(HANDLER, 42, "<I", 2**31), "archive"),
    "data in the last byte": (lambda good: _patched(HANDLER, 42, "<I", len(good) - 1)(good), "archive"),
    "data of another member": (_patched(HANDLER, 42, "<I", 0), "is not a whole archive"),
    "another name before the data": (
        _patched(HANDLER, 30, "<B", ord("x"), signature=LOCAL),
        "is not a whole archive",
    ),
    "deflated data that is none": (_garbled, "archive"),
    "deflated data cut short": (_patched(HANDLER, 20, "<I", 10, deflate=True), "archive"),
}

CONTENT: dict[str, tuple[Attack, str]] = {
    "an artifact with other content": (_other_content, "is not a whole archive: Bad CRC-32 for file 'artifact.json'"),
    "an artifact whose description is a link": (_link, r"artifact.json is not what was saved"),
    "an artifact with another card": (_changed("card.json", lambda _: b"{}"), r"card.json is not what was saved"),
    "weights that are not listed": (_more("model-2.safetensors", b"x"), "model-2.safetensors"),
    "damaged weights": (_changed(WEIGHTS, lambda data: data[:-1]), r"model.safetensors is not what was saved"),
}


@pytest.fixture
def quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders for whatever is unpacked, and for whatever runs away from there."""
    for name in ("temporary", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def _check(
    attack: Attack, kinds: Any, message: str, good: bytes, quarantine: Path, open_: Callable[[Path], Any]
) -> None:
    path = quarantine / "wine.mar"
    path.write_bytes(attack(good))
    with pytest.raises(kinds, match=message):
        open_(path)
    left = sorted(str(one.relative_to(quarantine)) for one in quarantine.rglob("*"))
    assert left == ["here", "temporary", "wine.mar"]
    assert not Path("/tmp/maas-evil.py").exists()


def _hidden_before_the_directory(good: bytes) -> bytes:
    """A member that only a reader from the front sees, as TorchServe's Java is: code that Python's zipfile misses."""
    code = b"raise SystemExit('owned')"
    name = HANDLER.encode()
    header = struct.pack("<4s5H3I2H", LOCAL, 20, 0, 0, 0, 33, zipfile.crc32(code), len(code), len(code), len(name), 0)
    start = good.index(CENTRAL)
    end = bytearray(good[start:])
    end[-6:-2] = struct.pack("<I", start + len(header) + len(name) + len(code))
    return good[:start] + header + name + code + bytes(end)


@pytest.mark.parametrize("open_", [maas.verify, read_archive])
def test_a_member_that_only_java_sees(open_: Callable[[Path], Any], good: bytes, quarantine: Path) -> None:
    path = quarantine / "wine.mar"
    path.write_bytes(_hidden_before_the_directory(good))
    assert set(_read(path.read_bytes())) == set(_read(good))
    with pytest.raises(ArchiveError, match="is not a whole archive: bytes stand before, between or after"):
        open_(path)


@pytest.mark.parametrize("open_", [maas.verify, read_archive])
@pytest.mark.parametrize("name", STRUCTURE)
def test_a_hostile_structure(name: str, open_: Callable[[Path], Any], good: bytes, quarantine: Path) -> None:
    attack, message = STRUCTURE[name]
    _check(attack, ArchiveError, message, good, quarantine, open_)


@pytest.mark.parametrize("name", CONTENT)
def test_hostile_content(name: str, good: bytes, quarantine: Path) -> None:
    attack, message = CONTENT[name]
    _check(attack, (ArchiveError, ArtifactError), message, good, quarantine, maas.verify)


def test_every_truncation_is_noticed(good: bytes, quarantine: Path) -> None:
    """Every 97th length, and each of the last hundred, where the directory's end stands."""
    path = quarantine / "wine.mar"
    for length in sorted({*range(0, len(good), 97), *range(len(good) - 100, len(good))}):
        path.write_bytes(good[:length])
        with pytest.raises(ArchiveError):
            maas.verify(path)


def test_a_flipped_bit_is_noticed_or_changes_nothing(good: bytes, quarantine: Path) -> None:
    """One bit in every 13th byte, by position. A zip holds dates and versions that mean nothing to a reader."""
    path, members = quarantine / "wine.mar", _read(good)
    digest = None
    for place in range(0, len(good), 13):
        data = bytearray(good)
        data[place] ^= 1 << (place // 13 % 8)
        path.write_bytes(data)
        try:
            digest = maas.verify(path)
        except (ArchiveError, ArtifactError):
            continue
        assert _read(bytes(data)) == members
    assert digest is not None  # some bits do mean nothing: else the assertion above was never reached


def test_there_is_no_archive(tmp_path: Path) -> None:
    for open_ in (maas.verify, read_archive):
        with pytest.raises(ArchiveError, match="there is no archive"):
            open_(tmp_path / "nothing.mar")
    with pytest.raises(IntegrityError, match="is not an artifact"):
        maas.verify(tmp_path)


def test_the_good_one_is_accepted(good: bytes, quarantine: Path) -> None:
    """And so is one that is packed by deflate, as the stock archiver does."""
    path = quarantine / "wine.mar"
    digests = set()
    for data in (good, _written(_read(good), compression=zipfile.ZIP_DEFLATED)):
        path.write_bytes(data)
        digests.add(maas.verify(path))
        assert read_archive(path).name == "wine"
    assert len(digests) == 1

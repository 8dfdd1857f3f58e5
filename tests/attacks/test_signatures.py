"""Hostile signatures: a plain error, at once, and never more trust than a key gives."""

from __future__ import annotations

import base64
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import maas
from maas import artifact
from maas.artifact import SIGNATURE
from maas.errors import ArtifactError, IntegrityError, SignatureError
from maas.signing import check_signs, keygen, read_public_keys

Document = dict[str, Any]


@pytest.fixture
def signed(wine_artifact: Path, tmp_path: Path) -> Path:
    copied = shutil.copytree(wine_artifact, tmp_path / "wine")
    maas.sign(copied, keygen(tmp_path / "key")[0])
    return copied


def _refused(signed: Path, match: str, kind: type[ArtifactError] = SignatureError) -> None:
    public = signed.parent / "key.public.pem"
    with pytest.raises(kind, match=match):
        maas.verify(signed, public_keys=[public])
    with pytest.raises(kind, match=match):
        maas.package(signed, store=signed.parent / "store")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not strict JSON"),
        (b"\xff\xfe{}", "not strict JSON"),
        (b"[" * 60_000, "not strict JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "mediaType"),
        (b'{"mediaType": 1, "mediaType": 2}', "repeats a key"),
        (b'{"mediaType": ' + b"9" * 5000 + b"}", "damaged"),
    ],
)
def test_what_is_no_signature(signed: Path, data: bytes, match: str) -> None:
    (signed / SIGNATURE).write_bytes(data)
    _refused(signed, match)


def _set(*path: str | int, value: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def _twice(document: Document) -> None:
    document["dsseEnvelope"]["signatures"] *= 2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_set("mediaType", value="text/plain"), "its `mediaType` is 'text/plain'"),
        (_set("verificationMaterial", value={"certificate": {"rawBytes": "AA=="}}), "made with a certificate"),
        (_set("verificationMaterial", value=[]), "made with a certificate"),
        (_set("verificationMaterial", "publicKey", value=None), "damaged"),
        (_set("verificationMaterial", "publicKey", "hint", value="\x1b[2J"), "names its key by"),
        (_set("dsseEnvelope", value=7), "damaged"),
        (_set("dsseEnvelope", "payloadType", value="text/plain"), "its `payloadType` is 'text/plain'"),
        (_set("dsseEnvelope", "payload", value="####"), "damaged"),
        (_set("dsseEnvelope", "payload", value="é"), "damaged"),
        (_set("dsseEnvelope", "signatures", value=[]), "damaged"),
        (_set("dsseEnvelope", "signatures", 0, "sig", value=None), "damaged"),
        (_twice, "damaged"),
    ],
)
def test_documents_that_are_not_as_they_should_be(signed: Path, change: Callable[[Document], None], match: str) -> None:
    document = json.loads((signed / SIGNATURE).read_text())
    change(document)
    (signed / SIGNATURE).write_text(json.dumps(document))
    _refused(signed, match)


@pytest.mark.parametrize("signature", [b"", b"\x00" * 70, b"\x30\x06\x02\x01\x00\x02\x01\x00", os.urandom(5000)])
def test_signatures_that_are_none(signed: Path, signature: bytes) -> None:
    """Among them r = s = 0, which a careless verifier takes for any message."""
    document = json.loads((signed / SIGNATURE).read_text())
    document["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    (signed / SIGNATURE).write_text(json.dumps(document))
    with pytest.raises(SignatureError, match="its signature is not of key"):
        maas.verify(signed, public_keys=[signed.parent / "key.public.pem"])


@pytest.mark.parametrize(
    "statement",
    [
        {},
        {"_type": "x", "predicateType": "y", "subject": [{}], "predicate": {"serialization": {"method": "files"}}},
        {"subject": [], "predicate": []},
        {"subject": [{"digest": {}}], "predicate": {"serialization": None, "resources": None}},
    ],
)
def test_statements_of_something_else(signed: Path, statement: Document) -> None:
    document = json.loads((signed / SIGNATURE).read_text())
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    with pytest.raises(SignatureError, match="signs nothing that maas knows"):
        check_signs({**artifact.read_files(signed), SIGNATURE: json.dumps(document).encode()})


def test_a_signature_that_is_huge_or_no_file(signed: Path) -> None:
    """Nothing of the artifact is read then, with keys or without."""
    with open(signed / SIGNATURE, "wb") as file:
        file.truncate(1 << 40)  # no disk is taken by it
    _refused(signed, "model.sig is larger than 65536 bytes", IntegrityError)
    (signed / SIGNATURE).unlink()
    (signed / SIGNATURE).symlink_to("/etc/hostname")
    _refused(signed, "model.sig cannot be read", IntegrityError)
    (signed / SIGNATURE).unlink()
    os.mkfifo(signed / SIGNATURE)
    _refused(signed, "model.sig is not a regular file", IntegrityError)
    with pytest.raises(IntegrityError, match=r"model\.sig is not a regular file"):
        maas.load(signed)


def test_a_huge_signature_in_an_archive(signed: Path) -> None:
    archive = maas.package(signed, store=signed.parent)
    with zipfile.ZipFile(archive) as read:
        members = {info.filename: read.read(info) for info in read.infolist()}
    with zipfile.ZipFile(archive, "w") as written:
        for name, data in members.items():
            written.writestr(name, b"[" * (1 << 20) if name == SIGNATURE else data)
    with pytest.raises(SignatureError, match=r"model\.sig is larger than 65536 bytes"):
        maas.verify(archive, public_keys=[signed.parent / "key.public.pem"])


def test_a_key_file_without_end(tmp_path: Path) -> None:
    with pytest.raises(SignatureError, match="is no PEM file with a key"):
        read_public_keys(["/dev/zero"])

"""Signatures: what they cover, and each way in which one is refused."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import maas
from maas import artifact
from maas.artifact import SIGNATURE, SUMS
from maas.errors import SignatureError
from maas.signing import check_signed, keygen, read_public_keys
from maas.signing._keys import read_private_key
from maas.storage import sha256

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo

Keys = tuple[Path, Path]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return keygen(tmp_path_factory.mktemp("keys") / "release")


@pytest.fixture
def signed(wine_artifact: Path, keys: Keys, tmp_path: Path) -> Path:
    copied = shutil.copytree(wine_artifact, tmp_path / "wine")
    maas.sign(copied, keys[0])
    return copied


def _resummed(folder: Path, name: str, data: bytes) -> None:
    """Another content of a file, with the SHA256SUMS that whoever can write the folder would write."""
    (folder / name).write_bytes(data)
    lines = [line.split("  ") for line in (folder / SUMS).read_text().splitlines()]
    sums = "".join(f"{sha256(data) if one == name else digest}  {one}\n" for digest, one in lines)
    (folder / SUMS).write_text(sums)


def test_a_signed_artifact_verifies_wherever_it_is_copied(signed: Path, keys: Keys, tmp_path: Path) -> None:
    digest = maas.verify(signed, public_keys=[keys[1]])
    assert digest == maas.load(signed).digest == maas.verify(signed)
    assert maas.verify(shutil.move(signed, tmp_path / "elsewhere"), public_keys=[keys[1]]) == digest


def test_any_of_several_keys_in_several_files_or_in_one(signed: Path, keys: Keys, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other")[1]
    assert maas.verify(signed, public_keys=[other, keys[1]]) == maas.verify(signed)
    both = tmp_path / "both.pem"
    both.write_text(other.read_text() + keys[1].read_text())
    assert maas.verify(signed, public_keys=[both]) == maas.verify(signed)
    fingerprints = [key.fingerprint for key in read_public_keys([both])]
    assert check_signed(artifact.read_files(signed), read_public_keys([both])).fingerprint == fingerprints[1]


def test_the_signature_goes_into_the_archive_which_stays_deterministic(
    signed: Path, keys: Keys, tmp_path: Path
) -> None:
    first, again = (maas.package(signed, store=tmp_path / store).read_bytes() for store in ("a", "b"))
    assert first == again
    assert maas.verify(tmp_path / "a" / "wine.mar", public_keys=[keys[1]]) == maas.verify(signed)


def test_what_is_not_signed_is_refused(wine_artifact: Path, keys: Keys, tmp_path: Path) -> None:
    wanted = r"is not trusted: it is not signed: it has no model\.sig; sign the artifact with maas sign"
    with pytest.raises(SignatureError, match=wanted):
        maas.verify(wine_artifact, public_keys=[keys[1]])
    with pytest.raises(SignatureError, match=wanted):
        maas.verify(maas.package(wine_artifact, store=tmp_path), public_keys=[keys[1]])


def test_another_key_is_refused_by_its_name(signed: Path, keys: Keys, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other")[1]
    (mine,), (theirs,) = read_public_keys([keys[1]]), read_public_keys([other])
    with pytest.raises(
        SignatureError, match=f"signed by key {mine.fingerprint}, and trusted is {theirs.fingerprint}; give"
    ):
        maas.verify(signed, public_keys=[other])
    document = json.loads((signed / SIGNATURE).read_text())
    document["verificationMaterial"]["publicKey"]["hint"] = theirs.fingerprint
    (signed / SIGNATURE).write_text(json.dumps(document))
    with pytest.raises(SignatureError, match=f"not of key {theirs.fingerprint}, which it names; sign it again"):
        maas.verify(signed, public_keys=[other])


def test_a_signature_copied_from_another_model_is_refused(
    signed: Path, cancer_artifact: Path, keys: Keys, tmp_path: Path
) -> None:
    other = shutil.copytree(cancer_artifact, tmp_path / "cancer")
    shutil.copy(signed / SIGNATURE, other / SIGNATURE)
    wanted = r"its signature is of other files: SHA256SUMS, artifact\.json, .* or the signature is another model's"
    with pytest.raises(SignatureError, match=wanted):
        maas.verify(other, public_keys=[keys[1]])
    with pytest.raises(SignatureError, match=wanted):  # no key is needed to see that
        maas.package(other, store=tmp_path)


@pytest.mark.parametrize("name", ["card.json", "example.json", "artifact.json"])
def test_a_file_edited_after_signing_is_refused_until_it_is_signed_again(signed: Path, keys: Keys, name: str) -> None:
    document = {**json.loads((signed / name).read_text()), "note": "hello"}
    _resummed(signed, name, json.dumps(document).encode())
    with pytest.raises(SignatureError, match=rf"of other files: SHA256SUMS, {name} changed after it was signed"):
        maas.verify(signed, public_keys=[keys[1]])
    maas.sign(signed, keys[0])
    assert maas.verify(signed, public_keys=[keys[1]])


def test_saving_again_takes_the_signature_away(signed: Path) -> None:
    maas.load(signed).save(signed)
    assert not (signed / SIGNATURE).exists()


def test_every_flipped_bit_of_what_was_signed_is_noticed(signed: Path, keys: Keys) -> None:
    """Of the statement and of the signature's own bytes."""
    files, trusted = artifact.read_files(signed), read_public_keys([keys[1]])
    document = json.loads(files[SIGNATURE])
    envelope = document["dsseEnvelope"]
    payload, signature = base64.b64decode(envelope["payload"]), base64.b64decode(envelope["signatures"][0]["sig"])

    def unnoticed(payload: bytes, signature: bytes) -> bool:
        envelope["payload"] = base64.b64encode(payload).decode()
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
        try:
            check_signed({**files, SIGNATURE: json.dumps(document).encode()}, trusted)
        except SignatureError:
            return False
        return True

    def flipped(data: bytes, place: int) -> bytes:
        return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]

    assert unnoticed(payload, signature)
    assert not any(unnoticed(flipped(payload, place), signature) for place in range(len(payload)))
    assert not any(unnoticed(payload, flipped(signature, place)) for place in range(len(signature)))


def test_a_file_that_is_added_or_left_out_is_noticed(signed: Path, keys: Keys) -> None:
    files, trusted = artifact.read_files(signed), read_public_keys([keys[1]])
    with pytest.raises(SignatureError, match=r"of other files: model-2\.safetensors changed"):
        check_signed({**files, "model-2.safetensors": b""}, trusted)
    with pytest.raises(SignatureError, match=r"of other files: card\.json changed"):
        check_signed({name: data for name, data in files.items() if name != "card.json"}, trusted)


def test_a_private_key_is_its_owners_and_never_overwritten(tmp_path: Path) -> None:
    private, public = keygen(tmp_path / "mine")
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    before = private.read_bytes()
    with pytest.raises(SignatureError, match=r"mine\.private\.pem is there already, and a key is never overwritten"):
        keygen(tmp_path / "mine")
    private.rename(tmp_path / "aside")
    with pytest.raises(SignatureError, match=r"mine\.public\.pem is there already"):
        keygen(tmp_path / "mine")
    assert not private.exists()
    assert (tmp_path / "aside").read_bytes() == before != public.read_bytes()


def test_a_passphrase(wine_artifact: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(wine_artifact, tmp_path / "wine")
    private, public = keygen(tmp_path / "mine", passphrase=b"correct horse")
    assert "ENCRYPTED" in private.read_text()
    with pytest.raises(SignatureError, match="cannot be read; it is encrypted: give its passphrase"):
        maas.sign(copied, private)
    with pytest.raises(SignatureError, match="cannot be read: the passphrase may be wrong"):
        maas.sign(copied, private, passphrase=b"battery staple")
    maas.sign(copied, private, passphrase=b"correct horse")
    assert maas.verify(copied, public_keys=[public])
    plain, _ = keygen(tmp_path / "plain")
    with pytest.raises(SignatureError, match="it has no passphrase: give none"):
        maas.sign(copied, plain, passphrase=b"x")
    with pytest.raises(SignatureError, match="`passphrase` is empty"):
        keygen(tmp_path / "empty", passphrase=b"")


def test_keys_the_wrong_way_round(signed: Path, keys: Keys) -> None:
    with pytest.raises(SignatureError, match=r"public\.pem holds a public key; sign with the private key"):
        maas.sign(signed, keys[1])
    with pytest.raises(SignatureError, match=r"private\.pem holds a private key; verify with the public one, and keep"):
        maas.verify(signed, public_keys=[keys[0]])


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    """The format knows ECDSA on three curves."""
    file = tmp_path / "key.pem"
    plain = serialization.NoEncryption()
    others: list[tuple[ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, str]] = [
        (ed25519.Ed25519PrivateKey.generate(), "a key of the kind Ed25519"),
        (rsa.generate_private_key(65537, 2048), "a key of the kind RSA"),
        (ec.generate_private_key(ec.SECP256K1()), "a key on the curve secp256k1"),
    ]
    for key, kind in others:
        file.write_bytes(key.private_bytes(PEM, PKCS8, plain))
        with pytest.raises(SignatureError, match=f"is {kind}, the format knows ECDSA on P-256"):
            read_private_key(file)
        file.write_bytes(key.public_key().public_bytes(PEM, SPKI))
        with pytest.raises(SignatureError, match=f"is {kind}, the format knows ECDSA on P-256"):
            read_public_keys([file])


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_the_other_curves_of_the_format(signed: Path, tmp_path: Path, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    )
    public.write_bytes(key.public_key().public_bytes(PEM, SPKI))
    maas.sign(signed, private)
    assert maas.verify(signed, public_keys=[public])


def test_files_that_are_no_keys(signed: Path, keys: Keys, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    with pytest.raises(SignatureError, match=r"the key .*key\.pem cannot be read: .*No such file"):
        maas.verify(signed, public_keys=[file])
    file.write_text("hello")
    with pytest.raises(SignatureError, match=r"key\.pem is no PEM file with a key; maas keygen makes one"):
        maas.verify(signed, public_keys=[file])
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(SignatureError, match="cannot be read"):
        maas.sign(signed, file)
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(SignatureError, match="holds a certificate, and not a public key"):
        maas.verify(signed, public_keys=[file])
    lines = keys[1].read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][::-1], *lines[2:]]))
    with pytest.raises(SignatureError, match=r"the public key .*key\.pem cannot be read: it is damaged"):
        maas.verify(signed, public_keys=[file])
    with pytest.raises(SignatureError, match="`public_keys` is empty, and nothing is signed by no key"):
        maas.verify(signed, public_keys=[])

"""Signing an artifact, and finding out whether one is signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maas import artifact
from maas.artifact import SIGNATURE
from maas.errors import SignatureError
from maas.signing._bundle import Bundle, message_of, read_bundle, statement_of, write_bundle
from maas.signing._keys import PublicKey, public_key_of, read_private_key, signature_of
from maas.storage import sha256

_AGAIN = "sign it again with maas sign"


def sign(path: str | Path, key: str | Path, *, passphrase: bytes | None = None) -> str:
    """Sign an artifact: its signature stands in it from then on, as `model.sig`, and goes with it into an archive.

    Args:
        path: the artifact's folder.
        key: PEM file of the private key.
        passphrase: of the key, where it has one.

    Returns:
        The fingerprint of the key: SHA-256 of its public half's PEM text.

    Raises:
        ArtifactError: the artifact is damaged.
        SignatureError: the key cannot be used.
    """
    private = read_private_key(key, passphrase)
    files = artifact.read_files(path)
    artifact.parse(files)
    payload = statement_of(_digests(files), Path(path).resolve().name)
    public = public_key_of(private)
    bundle = Bundle(payload, signature_of(private, message_of(payload)), public.fingerprint)
    artifact.put_signature(path, write_bundle(bundle))
    return public.fingerprint


def check_signed(files: Mapping[str, bytes], keys: Sequence[PublicKey]) -> PublicKey:
    """Whether the files of an artifact are signed by one of some keys; gives that key.

    Args:
        files: by name, each with the digest that SHA256SUMS says, as `artifact.read_files` gives them.
        keys: those that are trusted.

    Raises:
        SignatureError: there is no signature, it is damaged, of other files, or by another key.
    """
    if SIGNATURE not in files:
        raise SignatureError(f"it is not signed: it has no {SIGNATURE}; sign the artifact with maas sign")
    bundle = read_bundle(files[SIGNATURE])
    by = next((key for key in keys if key.fits(bundle.signature, bundle.message)), None)
    if by is None:
        trusted = ", ".join(key.fingerprint for key in keys)
        if bundle.hint in {key.fingerprint for key in keys}:
            raise SignatureError(f"its signature is not of key {bundle.hint}, which it names; {_AGAIN}")
        raise SignatureError(
            f"it is signed by key {bundle.hint or 'unknown'}, and trusted is {trusted}; give the public key of who "
            f"signed it, if you trust them, or sign it with a key that is trusted"
        )
    _compare(bundle, files)
    return by


def check_signs(files: Mapping[str, bytes]) -> None:
    """Whether the signature, where there is one, is of these files; whose it is is not asked.

    Raises:
        SignatureError: it is damaged, or of other files.
    """
    if SIGNATURE in files:
        _compare(read_bundle(files[SIGNATURE]), files)


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(data) for name, data in files.items() if name != SIGNATURE}


def _compare(bundle: Bundle, files: Mapping[str, bytes]) -> None:
    signed, found = bundle.digests(), _digests(files)
    differing = sorted(name for name in {*signed, *found} if signed.get(name) != found.get(name))
    if differing:
        raise SignatureError(
            f"its signature is of other files: {', '.join(differing)} changed after it was signed, or the signature "
            f"is another model's; {_AGAIN}"
        )

"""Keys on elliptic curves, in PEM files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maas.errors import SignatureError
from maas.storage import sha256

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

_HASHES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
"""The curves that the format knows, and the hash that goes with each."""
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n.*?-----END \1-----", re.DOTALL)
_MOST_BYTES = 1 << 16
_MAKE = "maas keygen makes one"


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies signatures.

    Args:
        pem: its PEM text, as it is written anew.
        key: for the library cryptography.
    """

    pem: str
    key: ec.EllipticCurvePublicKey

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the PEM text in hex: what a signature names its key by."""
        return sha256(self.pem.encode())

    def fits(self, signature: bytes, message: bytes) -> bool:
        """Whether a message was signed by this key's private half."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            self.key.verify(signature, message, ec.ECDSA(_hash_of(self.key)))
        except InvalidSignature:
            return False
        return True


def keygen(name: str | Path, *, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Make a pair of keys (ECDSA on P-256): `NAME.private.pem`, which its owner alone can read, and `NAME.public.pem`.

    Args:
        name: of the two files, without their endings.
        passphrase: encrypts the private key.

    Returns:
        The paths of the private and the public key.

    Raises:
        SignatureError: one of the files is there already, or the passphrase is empty.
    """
    need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private, public = Path(f"{name}.private.pem"), Path(f"{name}.public.pem")
    for path in (private, public):
        if path.exists() or path.is_symlink():
            raise SignatureError(f"{path} is there already, and a key is never overwritten; choose another name")
    if passphrase == b"":
        raise SignatureError("`passphrase` is empty; give one, or leave it out for a key that is not encrypted")
    key = ec.generate_private_key(ec.SECP256R1())
    locked: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        locked = serialization.BestAvailableEncryption(passphrase)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)
    for path, data, mode in ((private, pem, 0o600), (public, _pem_of(key.public_key()).encode(), 0o644)):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
    return private, public


def read_private_key(path: str | Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """The key in a PEM file.

    Raises:
        SignatureError: there is none of a kind that can be used, or the passphrase is missing or wrong.
    """
    need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    label, block = _blocks(path)[0]
    if "PRIVATE" not in label:
        raise SignatureError(f"{path} holds a {label.lower()}; sign with the private key, of maas keygen")
    try:
        key = serialization.load_pem_private_key(block.encode(), passphrase)
    except TypeError as error:  # of the library: a passphrase is missing, or there is one too many
        remedy = "it is encrypted: give its passphrase" if passphrase is None else "it has no passphrase: give none"
        raise SignatureError(f"the private key {path} cannot be read; {remedy}") from error
    except ValueError as error:
        raise SignatureError(f"the private key {path} cannot be read: {_why(error, passphrase)}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _HASHES:
        raise SignatureError(f"{path} is {_kind(key)}, the format knows ECDSA on P-256, P-384 and P-521; {_MAKE}")
    return key


def read_public_keys(paths: Sequence[str | Path]) -> list[PublicKey]:
    """The keys in PEM files, each of which may hold several.

    Raises:
        SignatureError: there is no file, or one holds no public key of a kind that can be used, or something else.
    """
    need_cryptography()
    if isinstance(paths, (str, Path)):
        paths = [paths]
    found = [_public(path, label, block) for path in paths for label, block in _blocks(path)]
    if not found:
        raise SignatureError("`public_keys` is empty, and nothing is signed by no key; give at least one PEM file")
    return found


def public_keys_of(pem: str) -> list[PublicKey]:
    """The keys in the PEM texts of `PublicKey`s, end to end."""
    need_cryptography()
    return [_public("the text", match[1], match[0] + "\n") for match in _BLOCK.finditer(pem)]


def public_key_of(private: ec.EllipticCurvePrivateKey) -> PublicKey:
    """The public half of a private key."""
    return PublicKey(_pem_of(private.public_key()), private.public_key())


def signature_of(private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """A private key's signature of a message."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return private.sign(message, ec.ECDSA(_hash_of(private.public_key())))


def need_cryptography() -> None:
    """Raise SignatureError where the library cryptography is missing."""
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise SignatureError("signatures need the library cryptography: pip install 'maas-torch[sign]'") from error


def _public(path: str | Path, label: str, block: str) -> PublicKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if "PRIVATE" in label:
        raise SignatureError(f"{path} holds a private key; verify with the public one, and keep this one to yourself")
    if label != "PUBLIC KEY":
        raise SignatureError(f"{path} holds a {label.lower()}, and not a public key; {_MAKE}")
    try:
        key = serialization.load_pem_public_key(block.encode())
    except ValueError as error:
        raise SignatureError(f"the public key {path} cannot be read: {_why(error)}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        raise SignatureError(f"{path} is {_kind(key)}, the format knows ECDSA on P-256, P-384 and P-521; {_MAKE}")
    return PublicKey(_pem_of(key), key)


def _blocks(path: str | Path) -> list[tuple[str, str]]:
    """The label and the text of each PEM block in a file."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MOST_BYTES).decode("ascii").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(f"the key {path} cannot be read: {error}") from error
    found = [(match[1], match[0] + "\n") for match in _BLOCK.finditer(text)]
    if not found:
        raise SignatureError(f"{path} is no PEM file with a key; {_MAKE}")
    return found


def _pem_of(key: ec.EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives import serialization

    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def _hash_of(key: ec.EllipticCurvePublicKey) -> hashes.HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    found: hashes.HashAlgorithm = getattr(hashes, _HASHES[key.curve.name])()
    return found


def _kind(key: object) -> str:
    curve = getattr(key, "curve", None)
    name = type(key).__name__.removesuffix("PublicKey").removesuffix("PrivateKey")
    return f"a key of the kind {name}" if curve is None else f"a key on the curve {curve.name}"


def _why(error: Exception, passphrase: bytes | None = None) -> str:
    wrong = "the passphrase may be wrong, or " if passphrase is not None else ""
    return f"{wrong}it is damaged ({str(error).splitlines()[0][:100] if str(error) else 'no PEM'})"

"""The bytes of a signature: a Sigstore bundle, in it a DSSE envelope, in it an in-toto statement that lists the files.

Source: OpenSSF Model Signing v1.0 (github.com/sigstore/model-transparency), DSSE v1.0.2 (github.com/secure-systems-lab
/dsse, protocol.md), in-toto Statement v1. What is written here verifies with the command `model_signing` too.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maas.artifact import MOST_SIGNATURE_BYTES, SIGNATURE, parse_json
from maas.errors import FormatError, SignatureError, show
from maas.storage import sha256

_MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://model_signing/signature/v1.0"
_AGAIN = "sign the artifact again with maas sign"


@dataclass(frozen=True)
class Bundle:
    """What stands in a signature's file; whether it is true is another matter.

    Args:
        payload: the bytes of the statement.
        signature: of `message`.
        hint: the fingerprint of the key, as the file says.
    """

    payload: bytes
    signature: bytes
    hint: str

    @property
    def message(self) -> bytes:
        """What is signed."""
        return message_of(self.payload)

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file, by its name, as the statement has them.

        Raises:
            SignatureError: it is a statement of something else, or damaged.
        """
        try:
            statement = parse_json("the signed statement", self.payload)
            (subject,) = statement["subject"]
            predicate, serialization = statement["predicate"], statement["predicate"]["serialization"]
            kinds = (statement["_type"], statement["predicateType"], serialization["method"])
            if kinds != (_STATEMENT, _PREDICATE, "files"):
                raise ValueError(f"it is a statement of another kind: {show(str(kinds), 200)}")
            found = {str(one["name"]): str(one["digest"]) for one in predicate["resources"]}
            if len(found) != len(predicate["resources"]):
                raise ValueError("it names a file twice")
            if {one["algorithm"] for one in predicate["resources"]} != {"sha256"}:
                raise ValueError("it has other digests than SHA-256")
            whole = sha256(b"".join(bytes.fromhex(digest) for digest in found.values()))
            if subject["digest"] != {"sha256": whole}:
                raise ValueError("its digest of all files is not that of the files")
        except (FormatError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise SignatureError(f"{SIGNATURE} signs nothing that maas knows: {error}; {_AGAIN}") from error
        return found


def statement_of(digests: Mapping[str, str], name: str) -> bytes:
    """The statement that files have these SHA-256.

    Args:
        digests: by name of the file.
        name: of the artifact, for people; nothing goes by it.
    """
    resources = [{"name": one, "algorithm": "sha256", "digest": digests[one]} for one in sorted(digests)]
    whole = sha256(b"".join(bytes.fromhex(digests[one]) for one in sorted(digests)))
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": whole}}],
        "predicateType": _PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE],
            },
            "resources": resources,
        },
    }
    return json.dumps(statement).encode()


def message_of(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding of a payload: its kind is signed with it."""
    return f"DSSEv1 {len(_PAYLOAD)} {_PAYLOAD} {len(payload)} ".encode() + payload


def write_bundle(bundle: Bundle) -> bytes:
    """A signature's file."""
    envelope = {
        "payload": _base64(bundle.payload),
        "payloadType": _PAYLOAD,
        "signatures": [{"sig": _base64(bundle.signature), "keyid": ""}],
    }
    document = {
        "mediaType": _MEDIA,
        "verificationMaterial": {"publicKey": {"hint": bundle.hint}, "tlogEntries": []},
        "dsseEnvelope": envelope,
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def read_bundle(data: bytes) -> Bundle:
    """The inverse of `write_bundle`.

    Raises:
        SignatureError: the file is damaged, or a signature of another kind.
    """
    if len(data) > MOST_SIGNATURE_BYTES:  # that of an archive
        raise SignatureError(f"{SIGNATURE} is larger than {MOST_SIGNATURE_BYTES} bytes; {_AGAIN}")
    try:
        document: dict[str, Any] = parse_json(SIGNATURE, data)
        if document["mediaType"] != _MEDIA:
            raise ValueError(f"its `mediaType` is {show(document['mediaType'])}, not {_MEDIA}")
        material = document["verificationMaterial"]
        if "publicKey" not in material:
            raise ValueError("it was made with a certificate or an account, maas verifies those made with a key")
        envelope = document["dsseEnvelope"]
        if envelope["payloadType"] != _PAYLOAD:
            raise ValueError(f"its `payloadType` is {show(envelope['payloadType'])}, not {_PAYLOAD}")
        (signature,) = envelope["signatures"]
        hint = material["publicKey"].get("hint", "")
        if not isinstance(hint, str) or not re.fullmatch(r"[0-9a-f]{64}|", hint):
            raise ValueError(f"it names its key by {show(hint)}")
        return Bundle(_bytes(envelope["payload"]), _bytes(signature["sig"]), hint)
    except (FormatError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise SignatureError(f"{SIGNATURE} is damaged, or a signature of another kind: {error}; {_AGAIN}") from error


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)

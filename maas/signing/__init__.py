"""Signatures of artifacts, made and verified with keys of one's own, in the format of OpenSSF Model Signing.

`docs/signing.md` says what a signature covers, and what it does not.
"""

from maas.signing._keys import PublicKey, keygen, public_keys_of, read_public_keys
from maas.signing._sign import check_signed, check_signs, sign

__all__ = ["PublicKey", "check_signed", "check_signs", "keygen", "public_keys_of", "read_public_keys", "sign"]

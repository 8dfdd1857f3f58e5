"""Where inference may listen: beyond loopback only with TLS."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

from maas.errors import ServingError, show


def check_address(host: str, certificate: str | Path | None, key: str | Path | None) -> tuple[Path | None, Path | None]:
    """The certificate and the key, once they are found to suit the address.

    Args:
        host: IP address to listen on.
        certificate, key: PEM files, both or none.

    Raises:
        ServingError: the address is none, it is beyond loopback without TLS, or the files cannot be used.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise ServingError(f"`host` must be an IP address, such as 127.0.0.1 or 0.0.0.0, got {show(host)}") from error
    if (certificate is None) != (key is None):
        raise ServingError("`certificate` and `key` go together; give both, or neither")
    if certificate is None or key is None:
        if not address.is_loopback:
            raise ServingError(
                f"`host` {host} is reached from other machines, and tokens and rows would go there in clear text: give "
                f"`certificate` and `key` (PEM), or stay on 127.0.0.1 behind a proxy that speaks TLS"
            )
        return None, None
    pair = (Path(certificate).resolve(), Path(key).resolve())
    try:
        if "BEGIN PRIVATE KEY" not in pair[1].read_text(errors="replace"):
            raise ServingError(
                f"`key` {key} is not a PKCS #8 key without a password, the kind that TorchServe reads; convert it with "
                f"openssl pkcs8 -topk8 -nocrypt -in {key}"
            )
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*pair)
    except (OSError, ssl.SSLError) as error:
        raise ServingError(f"`certificate` {certificate} and `key` {key} cannot be used together: {error}") from error
    return pair

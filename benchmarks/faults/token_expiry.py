"""Tokens that live a few seconds, renewed by the launcher's own thread under load: maas.Client loses nothing.

    python benchmarks/faults/token_expiry.py              20 tokens; 1 minute on two cores
    python benchmarks/faults/token_expiry.py --times 3    20 seconds

TorchServe counts the life of a token in whole minutes, so the launcher's renewal is told of a shorter one: each token
is refused from the moment at which the next is made. Four threads ask through one client that reads the key file again,
and one by plain HTTP that goes on with the token it began with, to show that it is dead. Lost: a request that the
client gives up. Exits with 1 if there is one, if a token was not renewed, or if the first token still serves.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path

from load import bare, load, lost, options, shown, stored_wine, trying

import maas
from maas.serving._renew import TokenRenewal

LIFE_SECONDS = 3.0


def main() -> int:
    chosen = options(__doc__ or "", times=20)
    with tempfile.TemporaryDirectory() as folder:
        row = stored_wine(Path(folder), ("1.0",))
        with maas.serve(Path(folder) / "store", ["wine"]) as server:
            tokens = {server.token()}
            plain = load([bare(server.url, server.token(), row)], rate=20)
            again = load([trying(server.client("wine"), row)] * chosen.clients)
            with plain as stale, again as counts:
                renewal = TokenRenewal(server.local, LIFE_SECONDS / 60)
                deadline = time.monotonic() + 10 * LIFE_SECONDS * chosen.times
                while len(tokens) <= chosen.times and time.monotonic() < deadline:
                    time.sleep(0.05)
                    with contextlib.suppress(maas.MaasError):
                        tokens.add(server.token())
                renewal.stop()
                served = stale["answered by 1.0"]
                time.sleep(1)
                dead = stale["answered by 1.0"] == served
    print(f"{len(tokens) - 1} tokens renewed, {sum(counts.values()):,} requests by maas.Client: {shown(counts)}")
    print(f"lost {lost(counts)}; the first token by plain HTTP: {shown(stale)}")
    return int(lost(counts) > 0 or len(tokens) <= chosen.times or not dead)


if __name__ == "__main__":
    sys.exit(main())

"""TorchServe without its wait for whoever comes alone: its own class with a few of its bytes changed.

TorchServe 0.12, its last release, lets the first request of each batch wait `maxBatchDelay` for others, whether any
others are there or not, and knows no delay shorter than a millisecond: more than a small model takes. A delay of 0
ends each batch at two. What gathers a batch is `Model.pollBatch`, which no setting and no plugin reaches, so the class
that Java is given says instead:

- A batch waits for more where the one before it had more than one request. A lone client never waits; whoever sends
  many at a time waits once in a while for nothing.
- What is queued when the wait is over still belongs to the batch.

The bytes are those of one build. Any other TorchServe is started as it is, and waits as it does.
"""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import NamedTuple

CLASS = "org/pytorch/serve/wlm/Model.class"
JAR = "ts/frontend/model-server.jar"
SHA256 = "7c5523f1fe77fe79aa32665469e17725e70518692abcf4987989ef72f10d4cff"


class Edit(NamedTuple):
    """Bytes, in hexadecimal, in place of others."""

    at: int
    old: str
    new: str


EDITS = (
    # A field is added, `private int company`: how many requests the last batch had.
    Edit(8, "02dd", "02e0"),  # three constants more:
    Edit(10784, "", "010007" + b"company".hex() + "0c 02dd 0067" + "09 000a 02de"),  # name, type int, field of Model
    Edit(10792, "0030", "0031"),  # a field more:
    Edit(11298, "", "0002 02dd 0067 0000"),
    # Where it traces its first request:  delay = (1 - company >>> 31) * maxBatchDelay,  so 0 or maxBatchDelay
    Edit(
        17086,
        "b20090 130201 1908 b80203 c001b0 b601c7 b902080300",
        # iconst_1; aload_0; getfield company; isub; bipush 31; iushr
        "04 2a b402df 64 101f 7c"
        # aload_0; getfield maxBatchDelay; imul; i2l; lstore 6; nop five times
        "2a b400e8 68 85 3706 0000000000",
    ),
    # Where the delay is used up:  goto the next request, which it then no longer waits for, in place of the end
    Edit(17293, "a70009", "a70003"),
    # Where it traces how many there are:  company = jobsRepo.size()
    Edit(
        17302,
        "b20090 13022a 1904 b9022c0100 b80142 b902080300",
        # aload_0; aload 4; invokeinterface Map.size; putfield company; nop ten times
        "2a 1904 b9022c0100 b502df 00000000000000000000",
    ),
)


def batching_class(home: Path) -> bytes | None:
    """TorchServe's class that gathers batches, changed; None where its build is not the one that is known.

    Args:
        home: the folder in which TorchServe's package lies.
    """
    try:
        with zipfile.ZipFile(home / JAR) as jar:
            original = jar.read(CLASS)
    except (OSError, KeyError, zipfile.BadZipFile):
        return None
    return _edited(original) if hashlib.sha256(original).hexdigest() == SHA256 else None


def _edited(original: bytes) -> bytes:
    parts, done = [], 0
    for at, old, new in EDITS:
        parts += [original[done:at], bytes.fromhex(new)]
        done = at + len(bytes.fromhex(old))
    return b"".join([*parts, original[done:]])

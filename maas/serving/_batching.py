"""TorchServe without its wait for whoever does not come: its own class with a few of its bytes changed.

TorchServe 0.12, its last release, lets the first request of each batch wait `maxBatchDelay` for others until there are
`batchSize`, whether so many clients are there or not, and knows no delay shorter than a millisecond: more than a small
model takes. A delay of 0 ends each batch at two. What gathers a batch is `Model.pollBatch`, which no setting and no
plugin reaches, so the class that Java is given says instead:

- A batch waits, `maxBatchDelay` at most, until it is as large as the one before. A lone client never waits; so many
  clients as there are do not wait for more.
- What is queued when it begins goes along, and so does what came meanwhile where the wait is over.

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
    Edit(8, "02dd", "02e6"),  # nine constants more:
    Edit(
        10784,
        "",
        "010007" + b"company".hex() + "0c 02dd 0067" + "09 000a 02de"  # 735: the field `int company`
        "010004" + b"take".hex() + "0c 02e0 008a" + "0a 00da 02e1"  # 738: LinkedBlockingDeque.take
        "010003" + b"min".hex() + "0c 02e3 00cf" + "0a 00cb 02e4",  # 741: Math.min
    ),
    # A field more, `private int company`: how many requests the last batch had, and how many this one is to have.
    Edit(10792, "0030", "0031"),
    Edit(11298, "", "0002 02dd 0067 0000"),
    # Where it takes its first request, in place of a poll for ever and of a line of the log at level trace:
    Edit(
        17070,
        "1905 1401ff b201f2 b601f8 c001b0 3a08 b20090 130201 1908 b80203 c001b0 b601c7 b902080300",
        # j = jobsQueue.take():  aload 5; invokevirtual take; checkcast Job; astore 8
        "1905 b602e2 c001b0 3a08"
        # company = min(max(jobsQueue.size() + 1, company), batchSize):
        # aload_0; aload 5; invokevirtual size; iconst_1; iadd; aload_0; getfield company; invokestatic max
        "2a 1905 b60237 04 60 2a b402df b800ca"
        # aload_0; getfield batchSize; invokestatic min; putfield company; nop three times
        "2a b400c4 b802e5 b502df 000000",
    ),
    # It waits for company - 1 more, not for batchSize - 1.
    Edit(17164, "00c4", "02df"),
    # Where the delay is used up:  goto the next request, which it then no longer waits for, in place of the end
    Edit(17293, "a70009", "a70003"),
    # company = jobsRepo.size(), in place of a line of the log at level trace:
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

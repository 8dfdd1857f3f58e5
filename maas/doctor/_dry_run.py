"""A worker without a server, in a process of its own: loads a model by its handler, and lets it answer what is bad.

It reads JSON, `{"folder", "name", "version", "handler", "config"}`, and prints its findings as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maas.doctor._finding import Check, Finding
from maas.doctor._poison import faults, requests
from maas.doctor._service import Context, Request, Service
from maas.serving.protocols import MOST_RESPONSE_BYTES, MOST_ROWS

_REPORT = "where the network or preprocessing is your own (--import), mend it there; else report this output"
_TOKENS = 4


def dry_run(given: Mapping[str, Any]) -> Check:
    """What a worker would do with this model on this machine.

    Args:
        given: as above.
    """
    config: Mapping[str, Any] = given["config"]
    begun = time.perf_counter()
    try:
        context = Context(given["folder"], given["name"], given["version"], config)
        service = Service(Path(given["handler"]), context)
    except Exception as error:
        detail = f"a worker could not load it: {type(error).__name__}: {error}"
        remedy = "maas doctor --import MODULE, where a network of yours is in it; else save it again with this version"
        yield Finding("error", "load", detail, remedy)
        return
    seconds, limit = time.perf_counter() - begun, config.get("startupTimeout", 120)
    said = f"{seconds:.1f} s, and its golden rows are answered as when it was saved"
    if seconds > limit / 2:
        detail = f"{said}; a worker that is not ready after startupTimeout, {limit} s, is started anew for ever"
        yield Finding("warning", "load", detail, f"write startupTimeout: {round(4 * seconds)} into model-config.yaml")
    else:
        yield Finding("ok", "load", said)
    rows = _rows(service)
    yield from poisoned(service, rows)
    yield from batch(service, rows, config)
    yield from memory(config)


def _rows(service: Service) -> list[dict[str, Any]]:
    rows = (service.model.example or {}).get("rows") or service.model.preprocess.examples(2)
    if service.model.task.streams:
        return [{**row, "max_tokens": _TOKENS} for row in rows[:2]]
    return [dict(row) for row in rows[:2]]


def poisoned(service: Service, rows: Sequence[Mapping[str, Any]]) -> Check:
    """Good requests with spoiled ones between them, in one batch."""
    sent = requests(rows)
    exact = _is_exact(service.model)
    found = list(faults(service, sent, repeats=exact))
    for fault in found:
        yield Finding("error", "poisoned batch", fault, _REPORT)
    if not found:
        good = sum(one.answered is True for one in sent)
        detail = (
            f"{good} good requests among {len(sent) - good} bad ones: each bad one is told so alone, the good ones are "
            f"answered{' as without them' if exact else ''}, all in bytes that TorchServe can send"
        )
        yield Finding("ok", "poisoned batch", detail)


def _is_exact(model: Any) -> bool:
    """Whether it answers a row alike alone and in company: in bfloat16 that is not promised."""
    dtypes = {one.dtype for one in model.network.parameters()}
    return model.precision == "float32" and all(str(one) != "torch.bfloat16" for one in dtypes)


def batch(service: Service, rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Check:
    """How long a full batch takes, and how many rows an answer can hold."""
    size, limit = int(config.get("batchSize", 1)), config.get("responseTimeout", 120)
    full = [Request("a good row", json.dumps(rows[place % len(rows)]).encode(), True) for place in range(size)]
    begun = time.perf_counter()
    answers = service.ask(full)
    seconds = time.perf_counter() - begun
    said = f"{size} requests of a row each take {1000 * seconds:,.0f} ms on this CPU"
    if seconds > limit / 2:
        detail = f"{said}; TorchServe kills a worker that does not answer within responseTimeout, {limit} s"
        yield Finding(
            "warning", "full batch", detail, "package it with a smaller --batch-size, or a longer responseTimeout"
        )
    else:
        yield Finding("ok", "full batch", said)
    most = max(len(answer.body) for answer in answers)
    fitting = min(MOST_ROWS, MOST_RESPONSE_BYTES // most)
    said = f"{most:,} bytes a row: a request for more than {fitting:,} rows or so is refused (413)"
    if fitting < size:
        yield Finding(
            "warning", "answer size", said, "send fewer rows in a request, or ask for fewer items in an answer"
        )
    else:
        yield Finding("ok", "answer size", said)


def memory(config: Mapping[str, Any]) -> Check:
    """What the workers would take, by what this process took, against what is free."""
    import torch

    from maas.nn._memory import free_bytes

    lines = Path("/proc/self/status").read_text().splitlines()
    taken = {
        line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmHWM", "VmRSS"))
    }
    workers = int(config.get("maxWorkers", 1))
    wanted, free = workers * taken["VmHWM"], free_bytes(torch.device("cpu")) + taken["VmRSS"]
    said = (
        f"a worker takes {taken['VmHWM'] / 1e6:,.0f} MB at most in this try, {workers} of them "
        f"{wanted / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free; Java comes on top"
    )
    fewer = "maas package DIR --workers N (fewer), or stop what else runs"
    if wanted > free:
        yield Finding("error", "memory", said, fewer)
    elif wanted > 0.8 * free:
        yield Finding("warning", "memory", said, fewer)
    else:
        yield Finding("ok", "memory", said)


def main() -> None:
    logging.getLogger("maas.serving").addHandler(logging.NullHandler())
    given = json.load(sys.stdin)
    print(json.dumps({"findings": [finding.to_json() for finding in dry_run(given)]}))


if __name__ == "__main__":
    main()

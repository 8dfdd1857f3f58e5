"""What a running server does: versions, workers, memory, queues, requests."""

from __future__ import annotations

import re
import time
import urllib.request
from typing import Any

import psutil

from maas.client import LocalServer
from maas.errors import ServingError
from maas.serving import _management

_REQUESTS = re.compile(r'^ts_inference_requests_total\{.*?model_name="([^"]*)".*?\} (\S+)$', re.MULTILINE)
_WINDOW_SECONDS = 1.0


def status(server: LocalServer) -> dict[str, Any]:
    """As `Server.status`.

    Returns:
        In JSON values: `url`, `pid`, `folder`, `logs`, `memory_bytes` of TorchServe's own process, and `models`: for
        each version of each its `name`, `version`, whether it is the `default`, the length of its `queue`, and its
        `workers` with `pid`, `status` and `memory_bytes`. `requests` since the start and `requests_per_second` of the
        last second are by the model's name.
    """
    first, begun = _requests(server), time.monotonic()
    models = [one for name in _management.models_of(server) for one in _versions(server, name)]
    time.sleep(max(0.0, _WINDOW_SECONDS - (time.monotonic() - begun)))
    last, seconds = _requests(server), time.monotonic() - begun
    return {
        "url": server.url,
        "pid": server.pid,
        "folder": server.folder,
        "logs": server.logs,
        "memory_bytes": psutil.Process(server.pid).memory_info().rss,
        "models": models,
        "requests": last,
        "requests_per_second": {name: round((last[name] - first.get(name, 0)) / seconds, 1) for name in last},
    }


def _versions(server: LocalServer, name: str) -> list[dict[str, Any]]:
    default = _management.default_of(server, name)
    return [
        {
            "name": name,
            "version": one["modelVersion"],
            "default": one["modelVersion"] == default,
            "queue": one.get("jobQueueStatus", {}).get("pendingRequests", 0),
            "batch_size": one["batchSize"],
            "max_batch_delay_ms": one["maxBatchDelay"],
            "workers": [
                {"pid": worker["pid"], "status": worker["status"], "memory_bytes": _memory(worker["pid"])}
                for worker in one["workers"]
            ],
        }
        for one in sorted(_management.versions_of(server, name), key=lambda one: str(one["modelVersion"]))
    ]


def _memory(pid: int) -> int:
    """Of a worker and what it has started."""
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.Error:  # it is gone
        return 0


def _requests(server: LocalServer) -> dict[str, int]:
    """Requests since the start, by model."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(server.metrics_url, timeout=10) as response:
            text = response.read().decode()
    except (OSError, ValueError) as error:
        raise ServingError(f"its metrics do not answer: {error}") from error
    counts: dict[str, int] = {}
    for name, count in _REQUESTS.findall(text):
        counts[name] = counts.get(name, 0) + int(float(count))
    return counts

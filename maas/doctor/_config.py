"""Checks of model-config.yaml: TorchServe passes over what it does not know, in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.doctor._contents import Contents
from maas.doctor._finding import Check, Finding

_POSITIVE = (
    "minWorkers", "maxWorkers", "batchSize", "maxBatchDelay", "responseTimeout", "startupTimeout",
    "maxRetryTimeoutInSec", "jobQueueSize", "parallelLevel", "clientTimeoutInMills",
)  # fmt: skip
_BOOLEAN = ("useJobTicket", "continuousBatching", "asyncCommunication", "sequenceBatching", "useVenv")
_OTHER = ("deviceType", "deviceIds", "parallelType", "torchrun")
_KNOWN = (*_POSITIVE, *_BOOLEAN, *_OTHER)
_SLOW_DELAY = 100


def config(contents: Contents, facts: Mapping[str, Any]) -> Check:
    """The settings of the model that TorchServe reads, or thinks it does.

    Args:
        contents: of the archive.
        facts: of torch on this machine.
    """
    edit = contents.again if contents.is_ours else "correct it, and make the archive again with --config-file"
    name = contents.config_name
    if not name:
        detail = "there is no model-config.yaml: a worker a core, requests one at a time, 120 s for each"
        remedy = contents.again if contents.is_ours else "torch-model-archiver --config-file model-config.yaml"
        yield Finding("error" if contents.is_ours else "warning", "settings", detail, remedy)
        return
    if name not in contents.texts:
        return  # the manifest's own check tells it
    try:
        import yaml
    except ImportError:
        yield Finding("not checked", "settings", "reading YAML needs pyyaml: pip install 'maas-torch[serve]'")
        return
    try:
        read = yaml.safe_load(contents.texts[name])
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        detail = f"{name} is no YAML, and TorchServe would run on defaults: {str(error).splitlines()[0]}"
        yield Finding("error", "settings", detail, edit)
        return
    if not isinstance(read, dict):
        detail = f"{name} is no list of settings, and TorchServe would run on defaults"
        yield Finding("error", "settings", detail, edit)
        return
    found = [*_values(read, edit), *_workers(read, edit), *_waiting(read, edit), *_device(read, facts)]
    shown = ", ".join(f"{key} {read[key]}" for key in _KNOWN if key in read)
    yield from found or [Finding("ok", "settings", shown or "nothing of TorchServe's own")]


def _values(read: Mapping[Any, Any], edit: str) -> Check:
    wrong = {key: read[key] for key in _POSITIVE if key in read and not _is_positive(read[key])}
    wrong |= {key: read[key] for key in _BOOLEAN if key in read and type(read[key]) is not bool}
    for key, value in wrong.items():
        wanted = "true or false" if key in _BOOLEAN else "a positive integer"
        detail = f"{key} is {value!r}, {wanted} is wanted; TorchServe would pass over it in silence"
        yield Finding("error", "settings", detail, edit)
    known = {_plain(key): key for key in _KNOWN}
    for key in read:
        meant = known.get(_plain(str(key)))
        if meant and key != meant:
            detail = f"{key} is unknown to TorchServe, which would pass over it: {meant} is meant"
            yield Finding("error", "settings", detail, edit)
    for key in ("responseTimeout", "startupTimeout"):
        if key not in read:
            detail = f"{key} is not said, and so is 120 s, whatever config.properties or a registration say"
            yield Finding("warning", "settings", detail, edit)


def _workers(read: Mapping[Any, Any], edit: str) -> Check:
    least, most = read.get("minWorkers"), read.get("maxWorkers")
    if (least is None) != (most is None):
        detail = "minWorkers without maxWorkers, or the reverse: both are passed over, and a worker a core runs"
        yield Finding("error", "settings", detail, edit)
    elif _is_positive(least) and _is_positive(most) and least != most:
        detail = f"minWorkers {least} and maxWorkers {most}: TorchServe does not scale between them"
        yield Finding("error" if least > most else "warning", "settings", detail, edit)  # type: ignore[operator]


def _waiting(read: Mapping[Any, Any], edit: str) -> Check:
    batch, delay = read.get("batchSize", 1), read.get("maxBatchDelay", _SLOW_DELAY)
    if not _is_positive(batch):
        return
    if batch > 1 and _is_positive(delay) and delay >= _SLOW_DELAY:
        detail = (
            f"maxBatchDelay {delay} ms: a lone request waits that long for company, under `torchserve --start` always"
        )
        yield Finding("warning", "settings", detail, f"{edit}; 1 ms does for most")
    if batch > 1 and read.get("useJobTicket") is True:
        detail = f"useJobTicket gives a ticket for each idle worker, and so no batch of {batch} ever comes together"
        yield Finding("warning", "settings", detail, edit)
    if "clientTimeoutInMills" in read:
        detail = "clientTimeoutInMills: a request that has expired gets no answer at all, and its client hangs"
        yield Finding("error", "settings", detail, edit)
    if read.get("asyncCommunication") is True:
        detail = "asyncCommunication leaks requests that are answered whole, and one error answers all that are open"
        yield Finding("warning", "settings", detail, edit)
    queue = read.get("jobQueueSize")
    if _is_positive(queue) and queue < batch:
        detail = f"jobQueueSize {queue} is less than a batch of {batch}: batches stay small, and clients get 503"
        yield Finding("warning", "settings", detail, edit)


def _device(read: Mapping[Any, Any], facts: Mapping[str, Any]) -> Check:
    wanted, gpus = read.get("deviceType"), facts.get("gpus")
    if gpus is None or (wanted != "gpu" and not read.get("deviceIds") and not read.get("parallelType")):
        return
    ids = read.get("deviceIds")
    beyond = [one for one in ids if isinstance(one, int) and one >= len(gpus)] if isinstance(ids, list) else []
    if not gpus or beyond:
        asked = (
            f"deviceIds {ids}" if ids else f"deviceType {wanted}" if wanted else f"parallelType {read['parallelType']}"
        )
        detail = f"{asked}, but torch finds {len(gpus)} GPUs on this machine"
        yield Finding(
            "error", "device", detail, "serve it where these are, or say deviceType: cpu; maas doctor tells more"
        )


def _is_positive(value: object) -> bool:
    return type(value) is int and value > 0


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()

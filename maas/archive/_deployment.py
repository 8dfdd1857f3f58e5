"""How TorchServe is to run a model: the content of model-config.yaml."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from maas.errors import ArchiveError, show

CONFIG = "model-config.yaml"
_QUEUED_BATCHES, _LEAST_QUEUE = 8, 64
_OPTIONAL = {"threads", "continuousBatching"}
_STREAMING: dict[str, Any] = {"batchSize": 8, "startupTimeout": 600, "continuousBatching": True}


@dataclass(frozen=True)
class Deployment:
    """How TorchServe runs one model: the content of model-config.yaml, in TorchServe's own names.

    TorchServe's keys are always written: with any YAML file there it ignores its other settings of the same thing.

    Args:
        minWorkers, maxWorkers: worker processes. TorchServe does not scale between them; they are kept equal.
        batchSize: most requests answered in one pass.
        maxBatchDelay: milliseconds that a request waits for others, at least 1; a lone client's does not under
            `maas serve`.
        responseTimeout: seconds after which a worker that does not answer is killed.
        startupTimeout: seconds that a worker may take to load.
        maxRetryTimeoutInSec: seconds during which a worker that cannot load is started again.
        jobQueueSize: requests that may wait; further ones are answered 503 at once. None: 8 batches for each worker,
            and at least 64, so that what a full queue holds is answered in about the time of 8 batches.
        threads: CPU threads that a worker computes with; None: the cores that it may use, divided by `maxWorkers`.
        continuousBatching: True for a model whose answers grow token by token: requests join and leave between tokens,
            `batchSize` of them at most, and `responseTimeout` is that of one token. None for others.

    Raises:
        ArchiveError: a value is not a positive integer.
    """

    minWorkers: int = 1
    maxWorkers: int = 1
    batchSize: int = 16
    maxBatchDelay: int = 1
    responseTimeout: int = 120
    startupTimeout: int = 120
    maxRetryTimeoutInSec: int = 60
    jobQueueSize: int | None = None
    threads: int | None = None
    continuousBatching: int | None = None  # a bool, which is an int

    def __post_init__(self) -> None:
        if self.jobQueueSize is None and type(self.batchSize) is type(self.maxWorkers) is int:
            waiting = max(_LEAST_QUEUE, _QUEUED_BATCHES * self.batchSize * self.maxWorkers)
            object.__setattr__(self, "jobQueueSize", waiting)
        for name, value in self._written().items():
            if name == "continuousBatching" and value is True:
                continue
            if type(value) is not int or not 1 <= value < 2**31:
                raise ArchiveError(f"{name} must be a positive integer, got {show(value)}")

    def to_yaml(self) -> str:
        """The text of model-config.yaml."""
        return "".join(f"{name}: {'true' if value is True else value}\n" for name, value in self._written().items())

    def _written(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name not in _OPTIONAL or value is not None}

    @classmethod
    def from_yaml(cls, text: str) -> Deployment:
        """The inverse of `to_yaml`: its lines, comments and blank lines, no other YAML."""
        known = {field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for line in text.split("\n"):
            if not line.strip(" ") or line.lstrip(" ").startswith("#"):
                continue
            found = re.fullmatch(r"([A-Za-z]+): +(0|[1-9][0-9]{0,9}|true)(?: +#.*)? *", line, re.ASCII)
            right = found and (found[2] == "true") == (found[1] == "continuousBatching")
            if not found or not right or found[1] not in known or found[1] in values:
                raise ArchiveError(f"{CONFIG} has a line that maas does not write: {show(line)}")
            values[found[1]] = True if found[2] == "true" else int(found[2])
        if missing := sorted(known - _OPTIONAL - set(values)):
            raise ArchiveError(f"{CONFIG} lacks {missing[0]}")
        return cls(**values)


def read_deployment(config: str | Path | None = None, *, streams: bool = False, **given: int | None) -> Deployment:
    """How a model is to be run: as a model-config.yaml says, or by default, but for what is given.

    Args:
        config: the file.
        streams: whether the model's answers grow token by token.
        given: `workers`, `batch_size`, `max_batch_delay_ms`, `threads`; None leaves one as it is.

    Raises:
        ArchiveError: the file is none that maas writes, or a number is not positive.
    """
    try:
        if config is None:
            return Deployment(**((_STREAMING if streams else {}) | deployment_keys(**given)))
        found = Deployment.from_yaml(Path(config).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveError(f"`config` {config} cannot be read: {error}") from error
    if bool(found.continuousBatching) != streams:
        wanted = "must say" if streams else "must not say"
        raise ArchiveError(f"`config` {config} {wanted} continuousBatching: true for this model; write it anew")
    return replace(found, **deployment_keys(**given))


def deployment_keys(**given: int | None) -> dict[str, int]:
    """Our names for settings, such as `batch_size`, as keys of model-config.yaml; without those that are None."""
    keys = {
        "workers": ("minWorkers", "maxWorkers"),
        "batch_size": ("batchSize",),
        "max_batch_delay_ms": ("maxBatchDelay",),
        "threads": ("threads",),
    }
    return {key: value for name, value in given.items() if value is not None for key in keys[name]}

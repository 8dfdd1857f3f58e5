"""How TorchServe is to run a model: the content of model-config.yaml."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from maas.errors import ArchiveError, show

CONFIG = "model-config.yaml"
_QUEUED_BATCHES, _LEAST_QUEUE = 8, 64


@dataclass(frozen=True)
class Deployment:
    """How TorchServe runs one model: the content of model-config.yaml, in TorchServe's own names.

    TorchServe's keys are always written: with any YAML file there it ignores its other settings of the same thing.

    Args:
        minWorkers, maxWorkers: worker processes. TorchServe does not scale between them; they are kept equal.
        batchSize: most requests answered in one pass.
        maxBatchDelay: milliseconds that a lone request waits for company, at least 1.
        responseTimeout: seconds after which a worker that does not answer is killed.
        startupTimeout: seconds that a worker may take to load.
        maxRetryTimeoutInSec: seconds during which a worker that cannot load is started again.
        jobQueueSize: requests that may wait; further ones are answered 503 at once. None: 8 batches for each worker,
            and at least 64, so that what a full queue holds is answered in about the time of 8 batches.
        threads: CPU threads that a worker computes with; None: the cores that it may use, divided by `maxWorkers`.

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

    def __post_init__(self) -> None:
        if self.jobQueueSize is None and type(self.batchSize) is type(self.maxWorkers) is int:
            waiting = max(_LEAST_QUEUE, _QUEUED_BATCHES * self.batchSize * self.maxWorkers)
            object.__setattr__(self, "jobQueueSize", waiting)
        for name, value in self._written().items():
            if type(value) is not int or not 1 <= value < 2**31:
                raise ArchiveError(f"{name} must be a positive integer, got {show(value)}")

    def to_yaml(self) -> str:
        """The text of model-config.yaml."""
        return "".join(f"{name}: {value}\n" for name, value in self._written().items())

    def _written(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name != "threads" or value is not None}

    @classmethod
    def from_yaml(cls, text: str) -> Deployment:
        """The inverse of `to_yaml`: `key: number` lines, comments and blank lines, no other YAML."""
        known = {field.name for field in fields(cls)}
        values: dict[str, int] = {}
        for line in text.split("\n"):
            if not line.strip(" ") or line.lstrip(" ").startswith("#"):
                continue
            found = re.fullmatch(r"([A-Za-z]+): +(0|[1-9][0-9]{0,9})(?: +#.*)? *", line, re.ASCII)
            if not found or found[1] not in known or found[1] in values:
                raise ArchiveError(f"{CONFIG} has a line that maas does not write: {show(line)}")
            values[found[1]] = int(found[2])
        if missing := sorted(known - {"threads"} - set(values)):
            raise ArchiveError(f"{CONFIG} lacks {missing[0]}")
        return cls(**values)


def read_deployment(config: str | Path | None = None, **given: int | None) -> Deployment:
    """How a model is to be run: as a model-config.yaml says, or by default, but for what is given.

    Args:
        config: the file.
        given: `workers`, `batch_size`, `max_batch_delay_ms`, `threads`; None leaves one as it is.

    Raises:
        ArchiveError: the file is none that maas writes, or a number is not positive.
    """
    try:
        if config is None:
            return Deployment(**deployment_keys(**given))
        found = Deployment.from_yaml(Path(config).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveError(f"`config` {config} cannot be read: {error}") from error
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

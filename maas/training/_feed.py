"""Where the batches of a step come from: rows that lie ready on the device, or rows made ready as they are needed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from maas.errors import MaasError
from maas.nn import available_cores
from maas.nn._memory import total_bytes
from maas.task import Batch
from maas.training._plan import Window
from maas.training._world import World

Augment = Callable[[Batch, torch.Tensor, int, int], Batch]
"""Batch, positions of its rows (int64 on the CPU), seed, epoch -> batch: random, yet a function of its arguments."""

_MOST_BYTES = {"cpu": 1 << 20, "cuda": 64 << 20}  # gathered at once: on a CPU what its caches hold until it is used


@dataclass(frozen=True, eq=False)
class Portion:
    """What one forward pass of this process learns from.

    Args:
        batch: rows on the device.
        index: their positions among the training rows, int64 on the CPU.
        counts: whether they count: a process for whom none were left goes along with one that does not.
    """

    batch: Batch
    index: torch.Tensor
    counts: bool = True


class Feed(Protocol):
    """Gives the batches of windows."""

    @property
    def waited(self) -> float:
        """Seconds that steps waited for rows."""
        ...

    def __call__(self, windows: Sequence[Window], epoch: int) -> Iterator[list[Portion]]:
        """The portions of each window, in order."""
        ...

    def close(self) -> None:
        """Let go of what makes rows ready; nothing comes after it."""
        ...


class Resident:
    """Rows that lie on the device, gathered by index."""

    def __init__(
        self, rows: Batch, device: torch.device, world: World | None = None, *, channels_last: bool = False
    ) -> None:
        # images lie as (rows, height, width, channels), for a gathered row keeps that order
        self.images = _images_of(rows) if channels_last else []
        moved = {name: rows.inputs[name].permute(0, 2, 3, 1).contiguous() for name in self.images}
        self.rows = Batch({**rows.inputs, **moved}, rows.target).to(device)
        self.world = world or World()
        self.waited = 0.0
        self.lengths = {name: one.cpu() for name, one in rows.inputs.items() if name.endswith("_lengths")}
        tensors = [*rows.inputs.values(), *([] if rows.target is None else [rows.target])]
        row_bytes = sum(one[:1].numel() * one.element_size() for one in tensors)
        self.rows_at_once = max(1, _MOST_BYTES.get(device.type, 1 << 20) // max(1, row_bytes))

    def __call__(self, windows: Sequence[Window], epoch: int) -> Iterator[list[Portion]]:
        for some in self._together(windows):
            start = time.perf_counter()
            shares = [[self.world.share(index) for index in window] for window in some]
            batches = self._gathered([index for window in shares for index, _ in window])
            self.waited += time.perf_counter() - start
            for window in shares:
                yield [Portion(next(batches), index, counts) for index, counts in window]

    def close(self) -> None:
        pass

    def _together(self, windows: Sequence[Window]) -> Iterator[Sequence[Window]]:
        """The windows in runs whose rows are gathered at once: one large copy costs less than many small ones."""
        run: list[Window] = []
        rows = 0
        for window in windows:
            more = sum(map(len, window))
            if run and rows + more > self.rows_at_once:
                yield run
                run, rows = [], 0
            run.append(window)
            rows += more
        if run:
            yield run

    def _gathered(self, indices: list[torch.Tensor]) -> Iterator[Batch]:
        if self.lengths:  # each batch is cut to its own longest row, known without asking the device
            for index in indices:
                longest = {name: int(lengths[index].max()) for name, lengths in self.lengths.items()}
                yield self._as_given(self.rows.take(index.to(self.rows.device))).trimmed(longest)
            return
        gathered = self._as_given(self.rows.take(torch.cat(indices).to(self.rows.device, non_blocking=True)))
        sizes = [len(index) for index in indices]
        parts = {name: torch.split(tensor, sizes) for name, tensor in gathered.inputs.items()}
        targets = None if gathered.target is None else torch.split(gathered.target, sizes)
        for place in range(len(sizes)):
            inputs = {name: part[place] for name, part in parts.items()}
            yield Batch(inputs, None if targets is None else targets[place])

    def _as_given(self, batch: Batch) -> Batch:
        """Images with their axes in the order that networks take, still channels last in memory."""
        if not self.images:
            return batch
        moved = {name: batch.inputs[name].permute(0, 3, 1, 2) for name in self.images}
        return Batch({**batch.inputs, **moved}, batch.target)


class Augmented:
    """A feed whose batches are changed at random, as a function of seed, epoch and rows."""

    def __init__(self, feed: Feed, augment: Augment, seed: int) -> None:
        self.feed, self.augment, self.seed = feed, augment, seed

    @property
    def waited(self) -> float:
        return self.feed.waited

    def __call__(self, windows: Sequence[Window], epoch: int) -> Iterator[list[Portion]]:
        for portions in self.feed(windows, epoch):
            yield [replace(one, batch=self.augment(one.batch, one.index, self.seed, epoch)) for one in portions]

    def close(self) -> None:
        self.feed.close()


class Streamed:
    """Rows made ready batch by batch, by worker processes ahead of the steps.

    Args:
        prepare: positions of rows to a prepared batch on the CPU.
        workers: processes; 0: this one.
        device: where batches go.
        channels_last: whether images lie so in memory.

    Raises:
        MaasError: what `prepare` raises, in whatever process.
    """

    def __init__(
        self,
        prepare: Callable[[torch.Tensor], Batch],
        *,
        workers: int,
        device: torch.device,
        world: World,
        channels_last: bool = False,
    ) -> None:
        self.device = device
        self.channels_last = channels_last
        self.world = world
        self.waited = 0.0
        self.indices: list[np.ndarray[Any, Any]] = []  # a tensor would travel to a worker as a file
        self.found: Iterator[Any] = iter(())
        self.loader: DataLoader[Any] | None = DataLoader(
            _Prepared(prepare),
            sampler=self.indices,  # filled anew before each pass
            batch_size=None,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_be_quiet if workers else None,
            generator=torch.Generator(),  # the global one is the network's
        )

    def __call__(self, windows: Sequence[Window], epoch: int) -> Iterator[list[Portion]]:
        shares = [[self.world.share(index) for index in window] for window in windows]
        self.indices[:] = [index.numpy() for window in shares for index, _ in window]
        assert self.loader is not None
        self.found = iter(self.loader)
        for window in shares:
            start = time.perf_counter()
            portions = []
            for index, counts in window:
                prepared = next(self.found)
                if isinstance(prepared, MaasError):
                    raise prepared
                batch = Batch(*prepared).trimmed().to(self.device, non_blocking=True)
                portions.append(Portion(_channels_last(batch) if self.channels_last else batch, index, counts))
            self.waited += time.perf_counter() - start
            yield portions

    def close(self) -> None:
        """End the processes in order; left to the garbage collector, that takes 5 seconds for each."""
        self.loader, self.found = None, iter(())


class _Prepared(Dataset[Any]):
    """Prepared batches by the positions of their rows, in a form that a loader can pin; or why there is none.

    A loader would raise an error of several arguments as another one.
    """

    def __init__(self, prepare: Callable[[torch.Tensor], Batch]) -> None:
        self.prepare = prepare

    def __getitem__(
        self, index: np.ndarray[Any, Any]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor | None] | MaasError:
        try:
            batch = self.prepare(torch.from_numpy(index))
        except MaasError as error:
            return error
        return dict(batch.inputs), batch.target


def _images_of(batch: Batch) -> list[str]:
    return [name for name, tensor in batch.inputs.items() if tensor.dim() == 4]


def _channels_last(batch: Batch) -> Batch:
    """The same images, each (rows, channels, height, width), with the channels of a pixel side by side in memory."""
    # a clone has the strides of its shape also where `contiguous` sees nothing to do, as with one channel
    pixels = {
        name: batch.inputs[name].permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
        for name in _images_of(batch)
    }
    return Batch({**batch.inputs, **{name: one.permute(0, 3, 1, 2) for name, one in pixels.items()}}, batch.target)


def fits(num_bytes: int, device: torch.device) -> bool:
    """Whether rows of so many bytes may lie on a device: half of a GPU's free memory, a quarter of the machine's.

    In a container it is a quarter of what that may have.
    """
    if device.type == "cuda":
        return num_bytes <= torch.cuda.mem_get_info(device)[0] // 2
    return num_bytes <= total_bytes() // 4


def num_workers() -> int:
    """How many processes make rows ready beside the one that trains."""
    return max(1, min(8, available_cores() - 1))


def _be_quiet(_: int) -> None:
    """A worker leaves Ctrl-C and what torchrun sends to the process that trains, which saves first and then ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgid(0, 0)  # both go to a group

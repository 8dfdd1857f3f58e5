"""maas.training._feed: where batches come from, and that it makes no difference."""

from __future__ import annotations

import multiprocessing
import operator
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
import torchvision

import maas
from maas.data import Rows, read_images, read_table, read_texts
from maas.errors import RowError
from maas.preprocess import AugmentImages, Table
from maas.schema import Columns
from maas.task import Batch
from maas.training import _feed
from maas.training._feed import Augmented, Portion, Resident, Streamed
from maas.training._plan import Plan, Window
from maas.training._world import World

CPU = torch.device("cpu")


def _table(rows: int = 50) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch({"x": torch.randn(rows, 3, generator=generator)}, torch.arange(rows))


def _images(rows: int = 50, channels: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch({"image": torch.rand(rows, channels, 5, 4, generator=generator)}, torch.arange(rows))


def _texts(rows: int = 50) -> Batch:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 10, (rows,), generator=generator)
    tokens = torch.randint(1, 30, (rows, 9), generator=generator) * (torch.arange(9) < lengths[:, None])
    return Batch({"tokens": tokens, "tokens_lengths": lengths}, torch.arange(rows))


ROWS: dict[str, Callable[[], Batch]] = {
    "table": _table,
    "images": _images,
    "grey": partial(_images, channels=1),
    "texts": _texts,
    "no target": lambda: Batch(_table().inputs),
}


def _windows(rows: Batch, accumulate: int = 2) -> list[Window]:
    return Plan(len(rows), 4, accumulate, 0, rows.lengths()).windows(1)


def _assert_same(found: list[list[Portion]], windows: Sequence[Window], rows: Batch) -> None:
    """Reference: the rows indexed, each batch cut to its longest row."""
    assert len(found) == len(windows)
    for portions, window in zip(found, windows, strict=True):
        assert len(portions) == len(window)
        for portion, index in zip(portions, window, strict=True):
            expected = rows[index].trimmed()
            assert portion.counts
            assert torch.equal(portion.index, index)
            assert portion.batch.inputs.keys() == expected.inputs.keys()
            for name, tensor in expected.inputs.items():
                assert torch.equal(portion.batch.inputs[name], tensor), name
            if expected.target is None:
                assert portion.batch.target is None
            else:
                assert torch.equal(portion.batch.target, expected.target)  # type: ignore[arg-type]


@pytest.mark.parametrize("most_bytes", [1, 500, 1200, 64 << 20])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kind", ROWS)
def test_resident_rows_are_gathered_by_index(
    kind: str, channels_last: bool, most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window is gathered whole, however few bytes may be gathered at once; several are, where they fit."""
    monkeypatch.setitem(_feed._MOST_BYTES, "cpu", most_bytes)
    rows = ROWS[kind]()
    feed = Resident(rows, CPU, channels_last=channels_last)
    for windows in (_windows(rows), _windows(rows, 3)[2:], []):
        _assert_same(list(feed(windows, 1)), windows, rows)
    for portion in next(iter(feed(_windows(rows), 1))):
        if "image" in portion.batch.inputs:
            last = portion.batch.inputs["image"].is_contiguous(memory_format=torch.channels_last)
            assert last == (channels_last or kind == "grey")
    runs = [len(run) for run in feed._together(_windows(rows))]
    assert sum(runs) == len(_windows(rows))
    assert (len(runs) == 1) == (most_bytes == 64 << 20 or (rows.inputs.keys() == {"x"} and most_bytes == 1200))
    assert feed.waited > 0


def test_rows_gathered_at_once_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 3 float32 and an int64 are 20 bytes a row; 250 bytes hold 12 rows, which are 3 windows of 4."""
    monkeypatch.setitem(_feed._MOST_BYTES, "cpu", 250)
    feed = Resident(_table(), CPU)
    assert feed.rows_at_once == 12
    windows = Plan(50, 4, 1, 0).windows(1)
    assert [len(run) for run in feed._together(windows)] == [3, 3, 3, 3, 1]  # the last two of 50 rows are a batch


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ROWS)
def test_streamed_rows_are_those_that_lie_ready(kind: str, workers: int) -> None:
    """Reference: Resident, memory formats too, in several epochs and from the middle of one."""
    rows = ROWS[kind]()
    for channels_last in (False, True):
        resident = Resident(rows, CPU, channels_last=channels_last)
        prepare = partial(operator.getitem, rows)
        streamed = Streamed(prepare, workers=workers, device=CPU, world=World(), channels_last=channels_last)
        for epoch in (1, 2):
            windows = Plan(len(rows), 4, 2, 0, rows.lengths()).windows(epoch)[epoch - 1 :]
            found = list(streamed(windows, epoch))
            _assert_same(found, windows, rows)
            for one, other in zip(found, resident(windows, epoch), strict=True):
                for mine, theirs in zip(one, other, strict=True):
                    for name, tensor in mine.batch.inputs.items():
                        assert tensor.stride() == theirs.batch.inputs[name].stride() or not channels_last
        assert streamed.waited > 0
        streamed.close()


def test_processes_end_when_told_also_amid_an_epoch() -> None:
    rows = _table()
    streamed = Streamed(partial(operator.getitem, rows), workers=2, device=CPU, world=World())
    feed = Augmented(streamed, lambda batch, index, seed, epoch: batch, 0)
    given = feed(_windows(rows), 1)
    before = set(multiprocessing.active_children())
    next(given)
    ours = set(multiprocessing.active_children()) - before
    assert len(ours) == 2
    feed.close()
    assert not ours & set(multiprocessing.active_children())


def test_streaming_leaves_the_generator_alone() -> None:
    before = torch.get_rng_state()
    rows = _table()
    for workers in (0, 1):
        list(Streamed(partial(operator.getitem, rows), workers=workers, device=CPU, world=World())(_windows(rows), 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_what_a_process_without_rows_gets_does_not_count() -> None:
    """By hand: a batch of one row over two processes; the second goes along with the first's."""
    rows, window = _table(), [torch.tensor([7]), torch.tensor([3, 9, 4])]
    for feed in (
        Resident(rows, CPU, World(1, 2)),
        Streamed(partial(operator.getitem, rows), workers=0, device=CPU, world=World(1, 2)),
    ):
        ((nothing, part),) = list(feed([window], 1))
        assert (nothing.counts, part.counts) == (False, True)
        assert (nothing.index.tolist(), part.index.tolist()) == ([7], [9])
        assert torch.equal(part.batch.target, torch.tensor([9]))  # type: ignore[arg-type]


def test_augmented_rows_are_changed_by_their_places_seed_and_epoch() -> None:
    """Reference: the change made to each batch by hand; whether rows lie ready or are streamed."""
    rows, augment = _images(), AugmentImages(flip=True, crop=1)
    windows = _windows(rows)
    streamed = Streamed(partial(operator.getitem, rows), workers=2, device=CPU, world=World())
    for feed in (Augmented(Resident(rows, CPU), augment, 7), Augmented(streamed, augment, 7)):
        changed = 0
        for epoch in (1, 2):
            for portions, window in zip(feed(windows, epoch), windows, strict=True):
                for portion, index in zip(portions, window, strict=True):
                    expected = augment(rows[index], index, 7, epoch)
                    assert torch.equal(portion.batch.inputs["image"], expected.inputs["image"])
                    assert torch.equal(portion.index, index)
                    changed += not torch.equal(expected.inputs["image"], rows[index].inputs["image"])
        assert changed > len(windows)
        assert feed.waited == feed.feed.waited > 0


def _wine(tmp_path: Path) -> tuple[maas.Recipe, Rows]:
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"a": generator.normal(size=60), "c": generator.choice(["x", "z"], 60), "y": generator.integers(0, 3, 60)}
    )
    return maas.recipe(maas.nn.MLP, hidden=(6,), dropout=0.2, normalization="batch"), read_table(frame, target="y")


def _pictures(folder: Path, damaged: int = -1, channels: int = 3) -> Rows:
    random = np.random.default_rng(0)
    for place in range(40):
        image = torch.from_numpy(random.integers(0, 256, (channels, 6, 6), dtype=np.uint8))
        content = torchvision.io.encode_png(image).numpy().tobytes()
        file = folder / "ab"[place % 2] / f"{place:02}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content[:45] + bytes(len(content) - 57) + content[-12:] if place == damaged else content)
    return read_images(folder)


def _photos(tmp_path: Path) -> tuple[maas.Recipe, Rows]:
    return maas.recipe(maas.nn.CNN, filters=(4, 4), normalization="batch", padding="same"), _pictures(tmp_path)


def _grey(tmp_path: Path) -> tuple[maas.Recipe, Rows]:
    return maas.recipe(maas.nn.CNN, filters=(4, 4), normalization="batch", padding="same"), _pictures(tmp_path, -1, 1)


def _reviews(tmp_path: Path) -> tuple[maas.Recipe, Rows]:
    generator = np.random.default_rng(0)
    words = [f"w{place}" for place in range(30)]
    texts = [" ".join(generator.choice(words, generator.integers(1, 25))) for _ in range(80)]
    rows = read_texts((texts, generator.integers(0, 2, 80).tolist()))
    return maas.recipe(maas.nn.TextCNN, embedding_dim=6, channels=4, widths=(1, 2)), rows


@pytest.mark.parametrize("source", [_wine, _photos, _grey, _reviews])
def test_a_model_is_the_same_wherever_its_rows_come_from(
    source: Callable[[Path], tuple[maas.Recipe, Rows]], tmp_path: Path
) -> None:
    """Reference: rows that lie ready; to the bit."""
    recipe, rows = source(tmp_path)
    settings: dict[str, Any] = {"epochs": 3, "batch_size": 4, "device": "cpu", "progress": False, "accumulate": 2}
    models = [maas.fit(recipe, rows, workers=workers, **settings) for workers in (None, 0, 2)]
    for other in models[1:]:
        for name, tensor in models[0].network.state_dict().items():
            assert torch.equal(other.network.state_dict()[name], tensor), name
        losses = [[record["train_loss"] for record in one.card["training"]["history"]] for one in (models[0], other)]
        assert losses[0] == losses[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_row_met_while_streaming_is_told_as_it_was_given(workers: int, tmp_path: Path) -> None:
    """Published preprocessing learns nothing from rows, so that nobody met the row before."""
    rows, before = _pictures(tmp_path, damaged=26), set(multiprocessing.active_children())
    preprocess = maas.preprocess.Image.published("resnet18", size=6)
    with pytest.raises(RowError, match=r"^row 13: field 'image' is a PNG image .*a/26\.png\)$") as caught:
        maas.fit(
            maas.recipe(maas.nn.CNN, filters=(2,)), rows, preprocess=preprocess, workers=workers,
            epochs=1, batch_size=4, device="cpu", progress=False, seed=2,
        )  # fmt: skip
    assert (caught.value.row, caught.value.field) == (13, "image")
    assert set(multiprocessing.active_children()) <= before


class Picky(Table):
    """A preprocessing that refuses a number once the training has begun."""

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        tensors, errors = super().apply(columns)
        bad = np.flatnonzero(columns["a"] == 33.0).tolist()
        return tensors, {**errors, **{row: RowError(row, "a", "33 is no number of mine") for row in bad}}

    @classmethod
    def learn(cls, schema: Any, columns: Columns) -> Picky:
        table = Table.learn(schema, columns)
        return cls(**{name: getattr(table, name) for name in table.__dataclass_fields__})


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_a_bad_row_of_numbers_is_told_as_it_was_given_too(workers: int | None) -> None:
    frame = pandas.DataFrame({"a": np.arange(60.0), "y": np.arange(60) % 2})
    rows = read_table(frame, target="y").take([*range(20, 60), *range(20)])
    for seed in (0, 1):  # of the validation part that is carved out, which does not get the row
        with pytest.raises(RowError, match=r"^row 13: 33 is no number of mine$"):
            maas.fit(
                maas.recipe(maas.nn.MLP, hidden=(4,)), rows, 0.3, preprocess=Picky, workers=workers, seed=seed,
                epochs=1, batch_size=4, device="cpu", progress=False,
            )  # fmt: skip


def test_rows_lie_on_the_device_up_to_a_quarter_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("maas.nn._memory._GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("4096\n")
    assert _feed.fits(1024, CPU)
    assert not _feed.fits(1025, CPU)

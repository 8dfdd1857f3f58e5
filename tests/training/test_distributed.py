"""Training under torchrun: two processes on the CPU (gloo), beside one that learns from the same batches alone."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.errors import DataError, RunError
from maas.training import Run, _checkpoint, _world
from maas.training._world import World

from .together import CASES, start

Told = dict[str, Any]
ELSEWHERE = "processes . then, . now.*will not be the same to the bit"


TOGETHER = """
class Notes:
    def __init__(self):
        self.steps = []
    def start(self, config): pass
    def log(self, step, values): self.steps.append(step)
    def finish(self): pass

def all_of_it(folder):
    found = {f"{name} {how}": told(name, fit(name, distribute=how)) for name in CASES for how in ("ddp", "fsdp")}
    found["rank"] = rank()
    CASES["branching"] = maas.recipe(Branching), *TABLE, {}
    found["branching ddp"] = told("branching", fit("branching"))

    model = fit("table", distribute="fsdp")
    found["answers"] = [answer["probabilities"] for answer in model.predict(X[:20])]
    if rank() == 0:
        model.save(folder / "artifact")

    for how in ("ddp", "fsdp"):  # stopped in the middle of an epoch, then gone on with
        more = {"distribute": how, "epochs": 4}
        place = folder / how
        found[f"stop {how}"] = caught(fit, "table", run=maas.Run(place, stop_after=7), **more)
        found[f"resumed {how}"] = told("table", fit("table", run=maas.Run(place, resume=True), **more))
        found[f"uninterrupted {how}"] = told("table", fit("table", **more))
        caught(fit, "table", run=maas.Run(folder / f"from {how}", stop_after=7), **more)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            found[f"to {how}"] = told("table", fit("table", run=maas.Run(folder / f"to {how}", resume=True), **more))
        found[f"warned {how}"] = [str(one.message) for one in seen]

    caught(fit, "table", run=maas.Run(folder / "switched", stop_after=7), epochs=4)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        switched = fit("table", run=maas.Run(folder / "switched", resume=True), epochs=4, distribute="fsdp")
    found["switched"], found["switch says"] = told("table", switched), str(seen[0].message)

    notes, shown = Notes(), io.StringIO()  # what only one process writes
    with contextlib.redirect_stderr(shown):
        own = maas.Run(folder / f"own {rank()}", trackers=[notes])
        fit("table", run=own, progress=True)
    found["noted"], found["shown"], found["wrote"] = notes.steps, shown.getvalue(), own.folder.exists()

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found["auto"] = told("table", fit("table", speed="auto"))["sha256"]
    found["auto says"] = [str(one.message) for one in seen]

    for how in ("ddp", "fsdp"):
        found[f"diverged {how}"] = caught(fit, "bad row", non_finite="raise", distribute=how)
    found["skip"] = caught(fit, "sgd", non_finite="skip", distribute="fsdp")
    found["seeds"] = caught(fit, "table", seed=rank())
    found["rows"] = caught(maas.fit, MLP, TABLE[0].take(range(rank(), 99)), 0.1, **SETTINGS)
    found["held"] = caught(fit, "table", run=folder / "ddp")
    found["apart"] = caught(fit, "table", epochs=4, run=maas.Run(folder / ("ddp", "new")[rank()], resume=True))
    return found

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / f"{rank()}.json").write_text(json.dumps(all_of_it(folder)))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("together")


@pytest.fixture(scope="module")
def fit(folder: Path) -> Callable[..., maas.Model]:
    """The cases, in this process alone."""
    (folder / "cases.py").write_text(CASES)
    names = runpy.run_path(str(folder / "cases.py"))

    def fit(name: str, **more: Any) -> maas.Model:
        model: maas.Model = names["fit"](name, **more)
        model.card["told"] = names["told"](name, model)
        return model

    return fit


@pytest.fixture(scope="module")
def together(folder: Path, fit: Callable[..., maas.Model]) -> tuple[Told, Told]:
    """What two processes found, the first one's first."""
    for how in ("ddp", "fsdp"):
        with pytest.raises(SystemExit):
            fit("table", epochs=4, run=Run(folder / f"to {how}", stop_after=7))
    (folder / "together.py").write_text(CASES + TOGETHER)
    process = start(folder / "together.py", folder)
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    return first, second


def _near(one: Told, other: Told) -> None:
    """The same but for the order in which float32 numbers are added up."""
    np.testing.assert_allclose(one["losses"], other["losses"], rtol=1e-6)
    for name, values in other["weights"].items():
        np.testing.assert_allclose(one["weights"][name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    assert one["scores"] == pytest.approx(other["scores"], rel=1e-5)
    assert one["skipped"] == other["skipped"]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
@pytest.mark.parametrize(
    "case", ["table", "sgd", "lengths", "ranking", "units", "batch of one", "units of one", "bad row"]
)
def test_two_processes_learn_what_one_does(
    case: str, how: str, together: tuple[Told, Told], fit: Callable[..., maas.Model]
) -> None:
    """The reference is one process. A row counted twice, in training or validation, would show in the losses."""
    alone = fit(case).card["told"]
    for found in together:
        _near(found[f"{case} {how}"], alone)
        assert found[f"{case} {how}"]["processes"] == 2
    assert alone["skipped"] == (3 if case == "bad row" else 0)


@pytest.mark.parametrize(
    "case",
    [
        *(
            f"{case} {how}"
            for case in ("table", "lengths", "units of one", "batch statistics")
            for how in ("ddp", "fsdp")
        ),
        "branching ddp",
    ],
)
def test_both_processes_end_with_the_same_bits(case: str, together: tuple[Told, Told]) -> None:
    first, second = (found[case] for found in together)
    assert first["sha256"] == second["sha256"]
    assert first["losses"] == second["losses"]
    assert first["types"] == second["types"] == ["Tensor"]  # whole, no shards
    assert [found["rank"] for found in together] == [0, 1]


def test_a_sharded_model_is_saved_whole(together: tuple[Told, Told], folder: Path) -> None:
    model = maas.load(folder / "artifact")
    answers = [one["probabilities"] for one in model.predict(runpy.run_path(str(folder / "cases.py"))["X"][:20])]
    for found in together:
        assert found["answers"] == answers


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_checkpoints_are_whole_and_written_once(
    how: str, together: tuple[Told, Told], folder: Path, fit: Callable[..., maas.Model]
) -> None:
    (path,) = _checkpoint.found(folder / f"from {how}" / "checkpoints")
    tensors, numbers = _checkpoint.read(path)
    for name, tensor in fit("table", epochs=1).network.state_dict().items():
        for part in ("network", "optimizer.exp_avg", "ema"):
            assert tensors[f"{part}.{name}"].shape == tensor.shape
    assert numbers["machine"]["processes"] == 2
    assert sorted(one.name for one in path.iterdir()) == ["SHA256SUMS", "state.json", "state.safetensors"]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_a_run_of_two_goes_on_to_the_bit(how: str, together: tuple[Told, Told]) -> None:
    for found in together:
        assert found[f"stop {how}"] == "SystemExit: 143"
        assert found[f"resumed {how}"]["sha256"] == found[f"uninterrupted {how}"]["sha256"]
        assert found[f"resumed {how}"]["losses"] == found[f"uninterrupted {how}"]["losses"]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_one_process_goes_on_where_two_stopped_and_the_other_way_round(
    how: str, together: tuple[Told, Told], folder: Path, fit: Callable[..., maas.Model]
) -> None:
    alone = fit("table", epochs=4).card["told"]
    for found in together:
        assert "processes 1 then, 2 now" in found[f"warned {how}"][0]
        assert "will not be the same to the bit" in found[f"warned {how}"][0]
        _near(found[f"to {how}"], alone)
    with pytest.warns(UserWarning, match=ELSEWHERE):
        model = fit("table", epochs=4, run=Run(folder / f"from {how}", resume=True))
    _near(model.card["told"], alone)


def test_shards_go_on_from_whole_weights(together: tuple[Told, Told]) -> None:
    for found in together:
        assert "sharded False then, True now" in found["switch says"]
        _near(found["switched"], found["uninterrupted ddp"])


def test_one_process_writes(together: tuple[Told, Told], folder: Path) -> None:
    first, second = together
    assert first["noted"][-1] == 15  # 9 batches in 5 steps, three times
    assert "step" in first["shown"]
    assert first["wrote"]
    assert len((folder / "own 0" / "history.csv").read_text().splitlines()) == 4
    assert (second["noted"], second["shown"], second["wrote"]) == ([], "", False)


def test_several_processes_compute_eagerly(together: tuple[Told, Told]) -> None:
    """A race would have them take different numbers of steps, and wait for each other for ever."""
    for found in together:
        assert found["auto says"] == ['speed="auto" is for a process alone; steps of several run eagerly']
        assert found["auto"] == found["table ddp"]["sha256"]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_all_diverge_alike(how: str, together: tuple[Told, Told], fit: Callable[..., maas.Model]) -> None:
    """The row stands in one process's share of the step; the reference is the error of one process."""
    with pytest.raises(maas.errors.DivergedError) as alone:
        fit("bad row", non_finite="raise")
    for found in together:
        assert found[f"diverged {how}"] == f"DivergedError: {alone.value}"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("skip", 'DataError: `non_finite="skip"` with `distribute="fsdp"` is for the optimizers "adamw" and "adam"'),
        ("seeds", "DataError: the processes that train together were given different values of 'settings'"),
        (
            "rows",
            "DataError: the processes that train together were given different values of 'data'; give each all rows",
        ),
        ("apart", "RunError: one process goes on from step 0 in "),
    ],
)
def test_what_cannot_be_is_refused_by_both(case: str, message: str, together: tuple[Told, Told]) -> None:
    for found in together:
        assert found[case].startswith(message)


def test_a_folder_that_cannot_be_used_is_refused_by_both(together: tuple[Told, Told]) -> None:
    first, second = (found["held"] for found in together)
    assert "holds a run already" in first
    assert second.startswith("RunError: the first process cannot train in ")


@pytest.fixture
def lonely(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a second process, whose first one is not there."""
    monkeypatch.setattr(_world, "_JOIN_SECONDS", 1)
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_process_whose_others_are_not_there_says_so(lonely: pytest.MonkeyPatch) -> None:
    message = "WORLD_SIZE is 2, but the other processes cannot be joined: .*; start them with torchrun, or unset"
    with pytest.raises(DataError, match=message):
        World.of(torch.device("cpu"))
    lonely.delenv("MASTER_ADDR")
    with pytest.raises(DataError, match=message):
        World.of(torch.device("cpu"))
    assert not torch.distributed.is_initialized()


def test_a_process_alone_is_one(fit: Callable[..., maas.Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert fit("table", distribute="ddp", epochs=1).card["training"]["processes"] == 1
    with pytest.raises(DataError, match="shards over several processes; start this under torchrun"):
        fit("table", distribute="fsdp")
    with pytest.raises(DataError, match="`distribute` must be one of ddp, fsdp, got 'dp'"):
        fit("table", distribute="dp")


@pytest.mark.skipif(torch.cuda.is_available(), reason="the device is there")
def test_each_process_takes_the_gpu_of_its_number(
    fit: Callable[..., maas.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    with pytest.raises(DataError, match="`device` 'cuda:3' cannot be used here"):
        fit("table", device="cuda")


def test_a_folder_that_was_refused_is_let_go(fit: Callable[..., maas.Model], tmp_path: Path) -> None:
    fit("table", epochs=1, run=tmp_path / "run")
    with pytest.raises(RunError, match="holds a run already"):
        fit("table", epochs=1, run=tmp_path / "run")
    fit("table", epochs=1, run=Run(tmp_path / "run", resume=True))

"""Who trains in `benchmarks/training.py`: each takes a workload, trains it, and says how long every epoch took."""

import contextlib
import inspect
import os
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reference_loops import VALIDATION_BATCH, Epoch, Part, Plan, hand_tuned, now, plain
from torch import nn
from torch.nn import functional as F
from workloads import WORKLOADS, Workload, as_parts, as_rows

import maas

Loop = Callable[[nn.Module, Part, Part, Plan], list[Epoch]]


class Skipped(Exception):
    """This contender has no part in this workload; the message says why."""


def lightning(network: nn.Module, train: Part, validation: Part, plan: Plan) -> list[Epoch]:
    import lightning
    from torch.utils.data import DataLoader

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def loss(self, batch: list[torch.Tensor]) -> torch.Tensor:
            *inputs, labels = batch
            return F.cross_entropy(self.network(*inputs), labels)

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            loss = self.loss(batch)
            self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch[-1]))
            return loss

        def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
            self.log("validation_loss", self.loss(batch), prog_bar=True, batch_size=len(batch[-1]))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)

    class Clock(lightning.Callback):
        def on_train_epoch_start(self, *_: Any) -> None:
            plan.turn()
            self.start = now(plan.device)

        def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
            seconds = now(plan.device) - self.start
            found = trainer.callback_metrics
            history.append(Epoch(seconds, found["train_loss"].item(), found["validation_loss"].item()))

    history: list[Epoch] = []
    trainer = lightning.Trainer(
        max_epochs=plan.epochs,
        accelerator="gpu" if plan.device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if plan.precision == "bfloat16" else "32-true",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[Clock()],
    )
    trainer.fit(
        Module(),
        DataLoader(train.dataset(), batch_size=plan.batch_size, shuffle=True),
        DataLoader(validation.dataset(), batch_size=VALIDATION_BATCH),
    )
    return history


def keras(network: nn.Module, train: Part, validation: Part, plan: Plan) -> list[Epoch]:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.config.set_image_data_format("channels_first")  # as torch lays images out
    if plan.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, *_: Any) -> None:
            plan.turn()
            self.start = now(plan.device)

        def on_epoch_end(self, _: int, logs: dict[str, float]) -> None:
            history.append(Epoch(now(plan.device) - self.start, logs["loss"], logs["val_loss"]))

    history: list[Epoch] = []
    tables = [(next(iter(part.inputs.values())).numpy(), part.labels.numpy()) for part in (train, validation)]
    model = as_keras(network, tables[0][0])
    model.compile(
        optimizer=keras.optimizers.AdamW(plan.learning_rate, weight_decay=plan.weight_decay, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        *tables[0],
        batch_size=plan.batch_size,
        epochs=plan.epochs,
        validation_data=tables[1],
        validation_batch_size=VALIDATION_BATCH,
        callbacks=[Clock()],
    )
    return history


def as_keras(network: nn.Module, inputs: np.ndarray[Any, Any]) -> Any:
    """The same network in layers of Keras, with the same weights; its LSTM has one bias vector where torch has two."""
    import keras

    if isinstance(network, maas.nn.Backbone):
        raise Skipped("Keras has no equal of torchvision's ResNet-18 among its applications")
    layers: list[Any] = [keras.layers.Input(inputs.shape[1:], dtype=inputs.dtype.name)]
    weights: list[torch.Tensor] = []
    for module in network.modules():
        match module:
            case nn.Linear():
                if layers and isinstance(layers[-1], keras.layers.MaxPooling2D):
                    layers.append(keras.layers.Flatten(data_format="channels_last"))  # moves no axis: as torch
                layers.append(keras.layers.Dense(module.out_features))
                weights += [module.weight.T, module.bias]
            case nn.Conv2d():
                layers.append(keras.layers.Conv2D(module.out_channels, module.kernel_size))
                weights += [module.weight.permute(2, 3, 1, 0), module.bias]
            case nn.ReLU():
                layers.append(keras.layers.ReLU())
            case nn.MaxPool2d():
                layers.append(keras.layers.MaxPooling2D(module.kernel_size))
            case nn.Embedding():
                layers.append(keras.layers.Embedding(module.num_embeddings, module.embedding_dim))
                weights.append(module.weight)
            case nn.LSTM():
                layers.append(keras.layers.LSTM(module.hidden_size))
                weights += [module.weight_ih_l0.T, module.weight_hh_l0.T, module.bias_ih_l0 + module.bias_hh_l0]
    model = keras.Sequential(layers)
    model.set_weights([one.detach().numpy() for one in weights])
    return model


def skorch(network: nn.Module, train: Part, validation: Part, plan: Plan) -> list[Epoch]:
    from skorch import NeuralNet
    from skorch.callbacks import Callback
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    class Autocast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
            with torch.autocast(plan.device, torch.bfloat16):
                scores: torch.Tensor = self.network(*inputs, **named)
            return scores.float()

    class Clock(Callback):  # type: ignore[misc]
        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            plan.turn()
            self.start = now(plan.device)

        def on_epoch_end(self, net: Any, **_: Any) -> None:
            seconds = now(plan.device) - self.start
            history.append(Epoch(seconds, net.history[-1, "train_loss"], net.history[-1, "valid_loss"]))

    history: list[Epoch] = []
    inputs, held_out = (
        part.inputs if len(part.inputs) > 1 else next(iter(part.inputs.values())) for part in (train, validation)
    )
    net = NeuralNet(
        Autocast() if plan.precision == "bfloat16" else network,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=plan.weight_decay,
        lr=plan.learning_rate,
        max_epochs=plan.epochs,
        batch_size=plan.batch_size,
        iterator_train__shuffle=True,
        iterator_valid__batch_size=VALIDATION_BATCH,
        train_split=predefined_split(Dataset(held_out, validation.labels)),
        callbacks=[Clock()],
        device=plan.device,
    )
    net.fit(inputs, train.labels)
    return history


LOOPS: dict[str, Loop] = {"hand-tuned": hand_tuned, "plain": plain}
MAAS: dict[str, dict[str, Any]] = {"maas": {}, "maas auto": {"speed": "auto"}}
PEERS: dict[str, Loop] = {"lightning": lightning, "keras": keras, "skorch": skorch}
NAMES = (*LOOPS, *MAAS, *PEERS)


class Turns:
    """A tracker that waits for a turn before each epoch."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.epochs = plan, 0

    def start(self, config: Mapping[str, Any]) -> None:
        self.plan.turn()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if "train_loss" in values:  # an epoch is over
            self.epochs += 1
            if self.epochs < self.plan.epochs:
                self.plan.turn()

    def finish(self) -> None:
        """There is nothing to close."""


def fit(
    workload: Workload, rows: tuple[maas.data.Rows, maas.data.Rows], plan: Plan, folder: str, **more: Any
) -> maas.Model:
    """`maas.fit` by the plan; the folder is for its run, which is how it takes turns.

    Raises:
        Skipped: it has no such keyword yet.
    """
    if unknown := set(more) - set(inspect.signature(maas.fit).parameters):
        raise Skipped(f"maas.fit of this version has no `{unknown.pop()}`")
    return maas.fit(
        workload.recipe,
        *rows,
        epochs=plan.epochs,
        batch_size=plan.batch_size,
        optimizer="adamw",
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        precision=plan.precision,
        seed=plan.seed,
        device=plan.device,
        progress=True,
        run=maas.Run(folder, every=1e9, trackers=[Turns(plan)]),
        **more,
    )


def run(contender: str, name: str, plan: Plan, *, rows_scale: float, threads: int | None) -> dict[str, Any]:
    """Train, and say how it went: plain values for JSON.

    Args:
        contender: one of `NAMES`.
        name: of the workload.
        threads: of the CPU; None: the workload's.

    Raises:
        Skipped: the contender has no part in this workload.
    """
    workload = WORKLOADS[name]
    wanted = threads or workload.threads or torch.get_num_threads()
    torch.set_num_threads(wanted)
    raw = workload.raw(plan.device, rows_scale)
    rows_learned, network = len(raw[0][1]), workload.network(plan.seed)
    of_maas = contender in MAAS
    data = tuple(as_rows(*part) for part in raw) if of_maas else as_parts(*raw)
    del raw
    torch.manual_seed(plan.seed)
    forget_peak()
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        if of_maas:
            with tempfile.TemporaryDirectory() as folder:
                training = fit(workload, data, plan, folder, **MAAS[contender]).card["training"]
            used = training["threads"]
            history = [Epoch(one["seconds"], one["train_loss"], one["validation_loss"]) for one in training["history"]]
        else:
            history = (LOOPS | PEERS)[contender](network, *data, plan)
            used = torch.get_num_threads()
        spent = now(plan.device) - start - plan.turn.waited
    seconds = [epoch.seconds for epoch in history]
    return {
        "rows": rows_learned,
        "seconds": seconds[1:],
        "warm_up_seconds": spent - sum(seconds[1:]) - statistics.median(seconds[1:]),
        "peak_bytes": torch.cuda.max_memory_allocated() if plan.device == "cuda" else peak_bytes(),
        "train_loss": history[-1].train_loss,
        "validation_loss": history[-1].validation_loss,
        "threads": used,
        "wanted_threads": wanted,
        "device": torch.cuda.get_device_name() if plan.device == "cuda" else "cpu",
    }


def forget_peak() -> None:
    """Count the peak of this process's memory from here on, so that making the rows is not in it (Linux only)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most resident memory of this process: since `forget_peak` on Linux, in its life elsewhere."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

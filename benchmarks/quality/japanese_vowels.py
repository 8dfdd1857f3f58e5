"""Which of nine men said a vowel: Japanese Vowels (UCI, UEA), the archive's own split, the mean over several seeds.

    python benchmarks/quality/japanese_vowels.py --data DIR --network lstm      or gru, cnn1d

DIR (or the environment variable MAAS_DATA) holds japanese-vowels/JapaneseVowels_TRAIN.ts and ..._TEST.ts: 270 and 370
utterances, 12 channels, 7 to 29 steps. Prints a row of a Markdown table, and the baselines with --baselines. A minute
for an LSTM or a CNN on one quiet core; a GRU takes longer.

Networks and settings were chosen on the training file alone: the mean accuracy, then the log loss, over four to six
stratified splits of it, 70 % to learn and 30 % to choose by. The recurrent networks give up a tenth of the training
file to choose the epoch; the convolutional one learns from all of it, for 40 epochs, which those splits favoured.
"""

import argparse
import os
import statistics
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import maas
from maas.task import Batch

RECURRENT = {"bidirectional": True, "pooling": "max", "dropout": 0.5}
NETWORKS = {
    "lstm": (maas.recipe(maas.nn.RNN, cell="lstm", **RECURRENT), {"epochs": 60, "learning_rate": 0.003}),
    "gru": (maas.recipe(maas.nn.RNN, cell="gru", **RECURRENT), {"epochs": 60, "learning_rate": 0.003}),
    "cnn1d": (maas.recipe(maas.nn.CNN1d, filters=(128, 128)), {"epochs": 40, "learning_rate": 0.001}),
}
NOISE = {"lstm": 0.6, "gru": 0.6, "cnn1d": 0.3}
LEARN_FROM_ALL = {"cnn1d"}


@dataclass(frozen=True)
class Noise:
    """Adds noise to the standardised channels, so that 270 utterances last longer; a function of its arguments."""

    deviation: float

    def __call__(self, batch: Batch, rows: torch.Tensor, seed: int, epoch: int) -> Batch:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 10_007 + int(rows[0]))
        sequence = batch.inputs["sequence"]  # (batch, steps, channels)
        noise = self.deviation * torch.randn(sequence.shape, generator=generator).to(sequence.device)
        return replace(batch, inputs={**batch.inputs, "sequence": sequence + noise})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MAAS_DATA"), help="folder that holds japanese-vowels/")
    parser.add_argument("--network", choices=NETWORKS, default="lstm")
    parser.add_argument("--seeds", type=int, default=5, help="how many runs")
    parser.add_argument("--baselines", action="store_true", help="print the evaluation of the last run whole")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data lies with --data or MAAS_DATA")
    folder = Path(options.data) / "japanese-vowels"
    train, test = (maas.data.read_sequences(folder / f"JapaneseVowels_{part}.ts") for part in ("TRAIN", "TEST"))

    torch.set_num_threads(1)  # on rows as small as these a second thread gains nothing, and may cost
    recipe, settings = NETWORKS[options.network]
    validation = (
        train if options.network in LEARN_FROM_ALL else None
    )  # the epoch is then that of the least training loss
    warnings.filterwarnings("ignore", message=r"\d+ validation rows stand in the training rows too")
    scores, seconds = [], []
    for seed in range(options.seeds):
        start = time.perf_counter()
        model = maas.fit(
            recipe,
            train,
            validation,
            batch_size=16,
            augment=Noise(NOISE[options.network]),
            seed=seed,
            device="cpu",
            **settings,
        )
        seconds.append(time.perf_counter() - start)
        scores.append(100 * model.evaluate(test).scores["accuracy"])
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    print("| network | accuracy, mean of seeds | deviation | least to most | seconds a run | parameters |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(
        f"| {options.network} | {statistics.mean(scores):.2f} % of {options.seeds} | {spread:.2f} | "
        f"{min(scores):.2f} to {max(scores):.2f} | {statistics.mean(seconds):.1f} | {parameters:,} |"
    )
    if options.baselines:
        print(f"\n{model.evaluate(test, baselines_from=train)}")


if __name__ == "__main__":
    main()

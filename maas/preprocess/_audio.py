"""Sounds: decoded, brought to one rate, and made log-mel spectrograms, standardised band by band."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._decode_audio import decode_audio, library
from maas.preprocess._examples import GOLDEN
from maas.preprocess._mel import fft_size, log_mel, mel_filters
from maas.preprocess._standard import check_statistics
from maas.preprocess._threads import each
from maas.schema import Columns, Schema, TensorSpec

MOST_SECONDS = 600.0
_ROWS_AT_ONCE = 64  # of training rows, whose frames are not kept
_ROOM = 2  # how much longer than the longest of the training rows a client's may be
_MOST_NUMBERS = 1 << 24
_MOST_WINDOW = 1 << 14
_MOST_EXAMPLE_SECONDS = 0.5
_LEAST_SCALE = 0.1  # of a logarithm of power, 0.4 dB: a band silent in training must not drown the others


@dataclass(frozen=True)
class AudioOptions:
    """How sounds are to be read; `Audio.with_options` makes one, and `maas.fit(preprocess=...)` takes it.

    Args:
        sample_rate: that all sounds are brought to, in Hz, 1,000 to 192,000. Nothing above half of it is heard.
        num_mels: bands of a frame, 1 to 512.
        window_seconds: length of sound that a frame is made of.
        hop_seconds: from one frame to the next, 0.001 or more, at most a window.
        seconds: cut every sound, or follow it with silence, to this length; None: as long as each is.

    Raises:
        DataError: an option is out of its range, or they do not go together.
    """

    sample_rate: int = 16_000
    num_mels: int = 64
    window_seconds: float = 0.025
    hop_seconds: float = 0.01
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, least, most in (("sample_rate", 1_000, 192_000), ("num_mels", 1, 512)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise DataError(f"`{name}` must be an integer from {least:,} to {most:,}, got {show(value)}")
        wishes = [("window_seconds", 0.001, 1.0), ("hop_seconds", 0.001, 1.0), ("seconds", 0.01, MOST_SECONDS)]
        for name, low, high in wishes[: 2 if self.seconds is None else 3]:
            value = getattr(self, name)
            if type(value) not in (int, float) or not low <= value <= high:
                raise DataError(f"`{name}` must be from {low:g} to {high:g} seconds, got {show(value)}")
            object.__setattr__(self, name, float(value))
        if self.hop_seconds > self.window_seconds:
            raise DataError(f"`hop_seconds` must be at most `window_seconds`, got {self.hop_seconds:g}")
        if self.window > _MOST_WINDOW:
            raise DataError(f"`window_seconds` must be at most {_MOST_WINDOW:,} samples, got {self.window:,}")
        empty = (mel_filters(self.sample_rate, fft_size(self.window), self.num_mels) == 0).all(dim=0)
        if empty.any():
            raise DataError(
                f"`num_mels` of {self.num_mels} is too many for a window of {self.window_seconds:g} seconds at "
                f"{self.sample_rate:,} Hz: {int(empty.sum())} bands hold no frequency; give fewer, or a longer window"
            )
        if self.seconds is not None and self.steps(self.seconds) * self.num_mels > _MOST_NUMBERS:
            raise DataError(
                f"`seconds` of {self.seconds:g} make {self.steps(self.seconds):,} frames of {self.num_mels} bands, "
                f"more than {_MOST_NUMBERS:,} numbers; give fewer, or a longer `hop_seconds`"
            )

    @property
    def window(self) -> int:
        """Length of a frame's window, in samples."""
        return max(1, round(self.window_seconds * self.sample_rate))

    @property
    def hop(self) -> int:
        """From one frame to the next, in samples."""
        return max(1, round(self.hop_seconds * self.sample_rate))

    def steps(self, seconds: float) -> int:
        """How many frames a sound of so many seconds has."""
        return 1 + round(seconds * self.sample_rate) // self.hop

    def takes(self, schema: Schema) -> bool:
        """Whether this preprocessing is the one for these fields."""
        return Audio.takes(schema)

    def learn(self, schema: Schema, columns: Columns) -> Audio:
        """Learn mean and deviation of each band from training rows, and only from them.

        Raises:
            DataError: a row cannot be decoded.
        """
        total, squares = np.zeros(self.num_mels), np.zeros(self.num_mels)
        counts = []
        plain = Audio(schema, self, np.zeros(self.num_mels), np.ones(self.num_mels), (0.0, MOST_SECONDS))
        for row, found in enumerate(plain.spectrograms(columns[schema.names[0]])):
            if isinstance(found, str):
                raise RowError(row, schema.names[0], found)
            total += found.sum(dim=0).numpy()
            squares += found.square().sum(dim=0).numpy()
            counts.append(len(found))
        mean = total / sum(counts)
        scale = np.sqrt(np.maximum(squares / sum(counts) - mean**2, _LEAST_SCALE**2))
        shortest, longest = ((count - 1) * self.hop / self.sample_rate for count in (min(counts), max(counts)))
        return Audio(schema, self, mean, scale, (shortest, longest))


@preprocess("audio")
@dataclass(frozen=True)
class Audio:
    """`sequence`, float32 (batch, longest frames, mel bands), and `sequence_lengths`, int64 (batch,).

    Each sound is decoded, its channels mixed to one, brought to one sample rate, and cut into overlapping windows; of
    each the power in mel bands is taken, and its logarithm; mean and deviation of the training rows' bands are taken
    out. Shorter rows are padded with zeros at their end, and the lengths say where. Every network over sequences takes
    these frames: `maas.nn.AudioCNN`, `CNN1d`, `RNN`.

    Without a fixed length a sound may last twice as long as the longest of the training rows, and 10 minutes at most.
    With one, what comes later is not looked at.

    Args:
        schema: one field of the kind "audio" and dtype "bytes", never null.
        options: how sounds are read.
        mean, scale: float64 of shape (num_mels,), of natural logarithms of power.
        durations: shortest and longest of the training rows, in seconds.
    """

    kind = "audio"

    schema: Schema
    options: AudioOptions
    mean: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    durations: tuple[float, float]

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        return [(field.kind, field.dtype, field.nullable) for field in schema.fields] == [("audio", "bytes", False)]

    @staticmethod
    def with_options(
        *,
        sample_rate: int = 16_000,
        num_mels: int = 64,
        window_seconds: float = 0.025,
        hop_seconds: float = 0.01,
        seconds: float | None = None,
    ) -> AudioOptions:
        """This preprocessing, told how: `maas.fit(recipe, train, preprocess=Audio.with_options(seconds=2.0))`.

        Args: those of `AudioOptions`.
        """
        return AudioOptions(sample_rate, num_mels, window_seconds, hop_seconds, seconds)

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Audio:
        return AudioOptions().learn(schema, columns)

    @property
    def longest_seconds(self) -> float:
        """How long a sound may last, or, where the length is fixed, how much of it is looked at."""
        options = self.options
        if options.seconds is not None:
            return options.seconds
        most = (_MOST_NUMBERS // options.num_mels - 2) * options.hop / options.sample_rate
        return min(MOST_SECONDS, most, max(_ROOM * self.durations[1], _MOST_EXAMPLE_SECONDS))

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        most = self.options.steps(self.longest_seconds)
        steps = None if self.options.seconds is None else most
        return {
            "sequence": TensorSpec((steps, self.options.num_mels), "float32", longest=most),
            "sequence_lengths": TensorSpec((), "int64"),
        }

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        name, num_mels = self.schema.names[0], self.options.num_mels
        mean, scale = torch.from_numpy(self.mean), torch.from_numpy(self.scale)
        errors: dict[int, RowError] = {}
        rows = []
        for row, found in enumerate(self.spectrograms(columns[name])):
            steps = torch.zeros(1, num_mels)
            if isinstance(found, str):
                errors[row] = RowError(row, name, found)
            else:
                steps = ((found - mean) / scale).float()
                if not steps.isfinite().all():
                    errors[row] = RowError(row, name, f"field {show(name)} is too loud for the model")
                    steps = steps[:1].zero_()
            rows.append(steps)
        lengths = [len(steps) for steps in rows]
        least = 1 if self.options.seconds is None else self.options.steps(self.options.seconds)
        padded = torch.zeros(len(rows), max(lengths, default=least), num_mels)
        for row, steps in enumerate(rows):
            padded[row, : len(steps)] = steps
        return {"sequence": padded, "sequence_lengths": torch.tensor(lengths, dtype=torch.int64)}, errors

    def spectrograms(self, contents: np.ndarray[Any, Any]) -> Iterator[torch.Tensor | str]:
        """Of each encoded sound its log-mel frames, float64 (frames, num_mels), or what is wrong with it."""
        for start in range(0, len(contents), _ROWS_AT_ONCE):
            part = contents[start : start + _ROWS_AT_ONCE]
            yield from each(lambda row, part=part: self._spectrogram(part[row]), len(part))  # type: ignore[misc]

    def _spectrogram(self, content: bytes) -> torch.Tensor | str:
        options = self.options
        cut = options.seconds is not None
        try:
            samples = decode_audio(content, options.sample_rate, longest=self.longest_seconds, cut=cut)
        except DataError:
            raise
        except ValueError as problem:
            return f"field {show(self.schema.names[0])} {problem}"
        if options.seconds is not None:
            count = round(options.seconds * options.sample_rate)
            samples = np.pad(samples[:count], (0, max(0, count - len(samples))))
        return log_mel(
            samples,
            sample_rate=options.sample_rate,
            window=options.window,
            hop=options.hop,
            num_mels=options.num_mels,
        )

    def examples(self, count: int) -> list[dict[str, Any]]:
        soundfile = library()
        shortest, longest = (min(one, _MOST_EXAMPLE_SECONDS) for one in self.durations)
        rows = []
        for index in range(count):  # sweeps through all bands, each from another pitch on, and quieter
            rate = self.options.sample_rate * (1 + index % 2)  # every other one has to be resampled
            seconds = shortest + (longest - shortest) * index / max(1, count - 1)
            time = np.arange(max(1, round(seconds * rate))) / rate
            share = (time / max(seconds, 1 / rate) + (index + 1) * GOLDEN) % 1
            phase = np.pi * np.cumsum(share * self.options.sample_rate) / rate
            buffer = io.BytesIO()
            soundfile.write(buffer, np.sin(phase) * 0.8 / (index + 1), rate, format="WAV", subtype="PCM_16")
            rows.append({self.schema.names[0]: base64.b64encode(buffer.getvalue()).decode("ascii")})
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        state = {"options": asdict(self.options), "durations": list(self.durations)}
        return state, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Audio:
        if not cls.takes(schema):
            raise FormatError("an audio preprocessing takes one field of the kind audio and dtype bytes, never null")
        library()
        given, names = state["options"], [field.name for field in fields(AudioOptions)]
        if type(given) is not dict or set(given) != set(names):
            raise FormatError(f"an audio's options must be {', '.join(names)}")
        try:
            options = AudioOptions(**given)
        except DataError as error:
            raise FormatError(str(error)) from error
        check_statistics(arrays, (options.num_mels,))
        durations = state["durations"]
        good = type(durations) is list and [type(one) for one in durations] == [float, float]
        if not good or not 0 <= durations[0] <= durations[1] <= MOST_SECONDS:
            raise FormatError(
                f"durations must be the shortest and the longest, 0 to 600 seconds, got {durations!r:.100}"
            )
        return cls(schema, options, arrays["mean"], arrays["scale"], (durations[0], durations[1]))

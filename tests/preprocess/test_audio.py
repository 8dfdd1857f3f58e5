"""The learned preprocessing of sounds: decoding, resampling, log-mel frames, and every file that must be refused."""

from __future__ import annotations

import io
import json
import struct
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest
import scipy.signal  # noqa: F401  # loaded here, so that what it takes is not measured below
import soundfile
import torch

import maas
from maas.data import read_audio
from maas.errors import DataError, FormatError, RowError
from maas.preprocess import Audio, AudioOptions, for_schema, from_state
from maas.preprocess._decode_audio import decode_audio
from maas.preprocess._mel import FLOOR, log_mel, mel_filters
from maas.schema import Columns, Schema

Values = np.ndarray[Any, Any]
RATE = 16_000


def noise(samples: int, seed: int = 0, channels: int = 1) -> Values:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def tone(hertz: float, seconds: float, rate: int) -> Values:
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate))


def encoded(samples: Values, rate: int = RATE, kind: str = "WAV", coding: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=coding)
    return buffer.getvalue()


def made(*lengths: int) -> tuple[Schema, Columns]:
    rows = read_audio(
        ([noise(length, seed) for seed, length in enumerate(lengths)], range(len(lengths))), sample_rate=RATE
    )
    return rows.schema, rows.columns


def columns_of(*contents: bytes) -> Columns:
    column = np.empty(len(contents), object)
    column[:] = contents
    return {"audio": column}


# --- the mathematics, against numpy and torch.stft


def test_the_filter_bank_is_that_of_the_formula_written_out() -> None:
    """Reference: each triangle by hand, band by band and frequency by frequency, by HTK's mel."""

    def to_mel(hertz: float) -> float:
        return float(2595 * np.log10(1 + hertz / 700))

    def to_hertz(mel: float) -> float:
        return float(700 * (10 ** (mel / 2595) - 1))

    bank = mel_filters(8000, 256, 20).numpy()
    edges = [to_hertz(to_mel(4000) * place / 21) for place in range(22)]
    assert bank.shape == (129, 20)
    for band in range(20):
        low, middle, high = edges[band : band + 3]
        for point in range(129):
            hertz = point * 8000 / 256
            if low < hertz <= middle:
                wanted = (hertz - low) / (middle - low)
            elif middle < hertz < high:
                wanted = (high - hertz) / (high - middle)
            else:
                wanted = 0.0
            assert bank[point, band] == pytest.approx(wanted, abs=1e-9), (band, point)
    assert to_mel(1000) == pytest.approx(1000, abs=0.1)  # what the scale is made for


@pytest.mark.parametrize(
    ("samples", "window", "hop"), [(5000, 400, 160), (399, 400, 160), (1, 400, 160), (700, 200, 200)]
)
def test_frames_are_those_of_torchs_stft(samples: int, window: int, hop: int) -> None:
    """Reference: torch.stft, centred, with silence around; then the bands and the logarithm in numpy."""
    sound = noise(samples)[:, 0].astype(np.float64)
    found = log_mel(sound, sample_rate=RATE, window=window, hop=hop, num_mels=40).numpy()
    points = 512 if window == 400 else 256
    spectrum = torch.stft(
        torch.from_numpy(sound), points, hop, window, torch.hann_window(window, dtype=torch.float64),
        center=True, pad_mode="constant", return_complex=True,
    )  # fmt: skip
    power = spectrum.abs().square().numpy().T
    wanted = np.log(np.maximum(power @ mel_filters(RATE, points, 40).numpy(), FLOOR))
    assert found.shape == (1 + samples // hop, 40)
    np.testing.assert_allclose(found, wanted[: len(found)], rtol=1e-9, atol=1e-9)


def test_a_frame_by_hand() -> None:
    """Reference: one window, Hann's formula and numpy's Fourier transform."""
    sound = noise(2000)[:, 0].astype(np.float64)
    found = log_mel(sound, sample_rate=RATE, window=400, hop=160, num_mels=40)[5].numpy()
    piece = sound[5 * 160 - 200 : 5 * 160 + 200] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400))
    power = np.abs(np.fft.rfft(piece, 512)) ** 2
    np.testing.assert_allclose(found, np.log(power @ mel_filters(RATE, 512, 40).numpy()), rtol=1e-9)


def test_silence_has_the_least_power() -> None:
    assert (log_mel(np.zeros(500), sample_rate=RATE, window=400, hop=160, num_mels=40) == np.log(1e-8)).all()


def test_long_sounds_are_taken_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = noise(9000)[:, 0].astype(np.float64)
    whole = log_mel(sound, sample_rate=RATE, window=400, hop=160, num_mels=40)
    monkeypatch.setattr("maas.preprocess._mel._CHUNK_NUMBERS", 7 * 512)
    np.testing.assert_allclose(log_mel(sound, sample_rate=RATE, window=400, hop=160, num_mels=40), whole, rtol=1e-12)


# --- decoding


@pytest.mark.parametrize(
    ("kind", "coding", "within"),
    [
        ("WAV", "PCM_U8", 1 / 120),
        ("WAV", "PCM_16", 1 / 30_000),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAV", "ULAW", 0.02),
        ("WAVEX", "PCM_16", 1 / 30_000),
        ("FLAC", "PCM_16", 1 / 30_000),
        ("FLAC", "PCM_24", 1e-6),
    ],
)
def test_every_coding_gives_the_samples_and_channels_are_averaged(kind: str, coding: str, within: float) -> None:
    samples = noise(800, channels=2)
    found = decode_audio(encoded(samples, kind=kind, coding=coding), RATE, longest=1.0)
    assert (found.dtype, found.shape) == ("float64", (800,))
    np.testing.assert_allclose(found, samples.astype(np.float64).mean(axis=1), rtol=0, atol=within + 1e-12)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 383_999, 1_001])
def test_a_tone_keeps_its_pitch_at_another_rate(rate: int) -> None:
    """Reference: the same sine, sampled at the wanted rate. The two rates' ratio never makes a filter that is huge."""
    tracemalloc.start()
    found = decode_audio(encoded(tone(150, 0.5, rate), rate, coding="FLOAT"), RATE, longest=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == pytest.approx(8000, abs=10)
    middle = slice(2000, 6000)  # a filter needs its neighbours
    assert np.abs(found[middle] - tone(150, 0.5, RATE)[middle]).max() < 0.02
    assert peak < 30 << 20


def test_what_is_above_the_new_band_is_gone() -> None:
    """6 kHz cannot be had at 8,000 samples a second, and must not come back as 2 kHz."""
    found = decode_audio(encoded(tone(6000, 0.5, 48_000), 48_000, coding="FLOAT"), 8_000, longest=1.0)
    assert np.abs(found[400:-400]).max() < 0.005


# --- what is learned


def test_each_band_is_standardised_over_all_frames_of_training_rows() -> None:
    """Reference: numpy's mean and deviation of the bands that `log_mel` gives."""
    schema, columns = made(3000, 9000, 6000)
    learned = Audio.learn(schema, columns)
    found, errors = learned.apply(columns)
    assert not errors
    assert found["sequence"].dtype == torch.float32
    assert found["sequence_lengths"].tolist() == [19, 57, 38]
    assert found["sequence"].shape == (3, 57, 64)
    frames = [
        log_mel(noise(n, seed)[:, 0].astype(np.float64), sample_rate=RATE, window=400, hop=160, num_mels=64).numpy()
        for seed, n in enumerate((3000, 9000, 6000))
    ]
    together = np.concatenate(frames)
    np.testing.assert_allclose(learned.mean, together.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(learned.scale, together.std(axis=0), rtol=1e-9)
    for row, one in enumerate(frames):
        wanted = (one - together.mean(axis=0)) / together.std(axis=0)
        np.testing.assert_allclose(found["sequence"][row, : len(one)], wanted, rtol=1e-5, atol=1e-5)
        assert not found["sequence"][row, len(one) :].any()


def test_only_the_given_rows_are_learned_from() -> None:
    schema, columns = made(3000, 9000)
    first = {"audio": columns["audio"][:1]}
    np.testing.assert_array_equal(Audio.learn(schema, first).mean, Audio.learn(*made(3000)).mean)
    assert Audio.learn(schema, first).durations == (0.18, 0.18)


def test_a_band_silent_in_training_does_not_drown_the_others() -> None:
    rows = read_audio(([np.zeros(4000, np.int16)] * 2, [0, 1]), sample_rate=RATE)
    learned = Audio.learn(rows.schema, rows.columns)
    assert learned.scale.tolist() == [0.1] * 64
    assert not learned.apply(rows.columns)[0]["sequence"].any()


@pytest.mark.parametrize("seconds", [None, 0.3])
def test_a_row_alone_has_the_bits_that_it_has_among_others(seconds: float | None) -> None:
    schema, columns = made(3000, 9000, 500, 6001)
    learned = Audio.with_options(seconds=seconds).learn(schema, columns)
    together = learned.apply(columns)[0]
    for row in range(4):
        alone = learned.apply({"audio": columns["audio"][row : row + 1]})[0]
        steps = int(alone["sequence_lengths"][0])
        assert torch.equal(alone["sequence"][0, :steps], together["sequence"][row, :steps])


def test_a_fixed_length_cuts_long_sounds_and_follows_short_ones_with_silence() -> None:
    schema, columns = made(8000, 1600, 30_000)
    learned = Audio.with_options(seconds=0.25).learn(schema, columns)
    assert learned.outputs["sequence"].shape == (26, 64)
    found = learned.apply(columns)[0]
    assert found["sequence"].shape == (3, 26, 64)
    assert found["sequence_lengths"].tolist() == [26, 26, 26]
    same = columns_of(
        encoded(noise(8000, 0)[:4000], coding="FLOAT"),
        encoded(np.concatenate([noise(1600, 1), np.zeros((2400, 1), np.float32)]), coding="FLOAT"),
        encoded(noise(30_000, 2)[:4000], coding="FLOAT"),
    )
    assert torch.equal(found["sequence"], learned.apply(same)[0]["sequence"])


def test_without_a_fixed_length_a_sound_may_last_twice_as_long_as_in_training() -> None:
    schema, columns = made(8000, 16_000)
    learned = Audio.learn(schema, columns)
    assert learned.longest_seconds == 2.0
    assert learned.outputs["sequence"].shape == (None, 64)
    assert learned.outputs["sequence"].longest == 201
    good, bad = encoded(noise(32_000)), encoded(noise(32_001))
    found, errors = learned.apply(columns_of(bad, good))
    assert {row: error.detail for row, error in errors.items()} == {
        0: "field 'audio' lasts 2.00 seconds; it may last 2.00 seconds: cut it"
    }
    assert found["sequence_lengths"].tolist() == [1, 201]


def test_zero_rows_give_tensors_of_zero_rows() -> None:
    schema, columns = made(3000)
    for seconds, steps in ((None, 1), (0.2, 21)):
        found, _ = Audio.with_options(seconds=seconds).learn(schema, columns).apply({"audio": columns["audio"][:0]})
        assert found["sequence"].shape == (0, steps, 64)
        assert found["sequence_lengths"].shape == (0,)


# --- files that are refused, before memory is taken for them

WAV = encoded(noise(4000))
FLAC = encoded(noise(4000), kind="FLAC")


def patched(content: bytes, at: int, layout: str, *values: int) -> bytes:
    piece = struct.pack(layout, *values)
    return content[:at] + piece + content[at + len(piece) :]


def flac_says(frames: int) -> bytes:
    """The 36 bits of STREAMINFO that count samples (RFC 9639, section 8.2)."""
    return patched(patched(FLAC, 21, "B", FLAC[21] & 0xF0 | frames >> 32), 22, ">I", frames & 0xFFFFFFFF)


BAD = {
    "text": (b"I am text\n", "must be a WAV or FLAC file, got 10 bytes that start with b'I am text\\n'"),
    "one byte": (b"R", "must be a WAV or FLAC file, got 1 bytes"),
    "MP3": (b"ID3\x03" + bytes(100), "must be a WAV or FLAC file, got an MP3 file; convert it"),
    "Ogg": (encoded(noise(4000), kind="OGG"), "must be a WAV or FLAC file, got an Ogg file; convert it"),
    "AIFF": (encoded(noise(400), kind="AIFF"), "got an AIFF file; convert it"),
    "zero length": (encoded(noise(0)), "has no sound: its header says 0 samples"),
    "WAV header alone": (WAV[:36], "is a WAV file of 36 bytes without sound; it is truncated or damaged"),
    "cut WAV": (WAV[:3000], "should have 8,000 bytes of sound by its header, and has 2,956: it is truncated"),
    "4 GB claimed": (patched(WAV, 40, "<I", 0xFFFFFFFF), "should have 4,294,967,295 bytes of sound by its header"),
    "10^9 Hz": (patched(WAV, 24, "<I", 10**9), "has a sample rate of 1,000,000,000 Hz; it must be 1,000 to 384,000"),
    "1,000 channels": (patched(WAV, 22, "<H", 1000), "has 1,000 channels; it must have 1 to 32"),
    "ADPCM": (encoded(noise(4000), coding="IMA_ADPCM"), "is a WAV file coded as IMA_ADPCM; store it as 16-bit PCM"),
    "chunks": (WAV[:12] + b"junk\0\0\0\0" * 101 + WAV[12:], "with more than 100 chunks before its sound"),
    "no format": (WAV[:12] + b"junk" + WAV[16:], "is a WAV file of 8,044 bytes that cannot be decoded"),
    "cut FLAC": (FLAC[: len(FLAC) // 2], "is a FLAC file of .* bytes that cannot be decoded: it is truncated"),
    "cut FLAC's end": (FLAC[:-30], "is a FLAC file of .* that cannot be decoded: it is truncated or damaged"),
    "damaged FLAC": (FLAC[:4000] + bytes(50) + FLAC[4050:], "is a FLAC file of .* that cannot be decoded"),
    "FLAC header alone": (FLAC[:42], "is a FLAC file of 42 bytes that cannot be decoded"),
    "FLAC of 2^36 samples": (flac_says((1 << 36) - 1), "lasts 4,294,967.30 seconds; it may last 0.50 seconds: cut it"),
    "FLAC of unknown length": (flac_says(0), "lasts .* seconds; it may last 0.50 seconds: cut it"),
    "FLAC that says too much": (flac_says(4001), "is a FLAC file of .* that cannot be decoded"),
    "NaN": (encoded(np.where(np.arange(800) == 70, np.nan, noise(800)[:, 0]), coding="FLOAT"), "samples that are NaN"),
    "infinity": (encoded(np.full(800, np.inf), coding="DOUBLE"), "has samples that are NaN or infinite"),
}


@pytest.fixture(scope="module")
def learned() -> Audio:
    return Audio.learn(*made(3000, 4000))


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_the_rows_own_error_and_takes_no_memory(name: str, learned: Audio) -> None:
    content, message = BAD[name]
    wanted = learned.apply(columns_of(WAV))[0]["sequence"]
    tracemalloc.start()
    found, errors = learned.apply(columns_of(content, WAV))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(errors) == [0]
    assert errors[0].field == "audio"
    with pytest.raises(RowError, match=f"row 0: field 'audio' .*{message}".replace("\\n", r"\\n").replace("(", r"\(")):
        raise errors[0]
    assert torch.equal(found["sequence"][1:], wanted)
    assert found["sequence_lengths"].tolist() == [1, 26]
    assert peak < 4 << 20


def test_a_flac_file_that_unfolds_is_refused_by_its_number_of_samples() -> None:
    """An hour of silence is 150 kB; with a fixed length it is read up to there, in so many channels as fit."""
    options = Audio.with_options(seconds=600.0, sample_rate=1000, num_mels=8, hop_seconds=0.02)
    columns = columns_of(encoded(np.zeros((1000, 1)), 1000))
    plain = options.learn(read_audio(([noise(10)], [0]), sample_rate=RATE).schema, columns)
    silence = encoded(np.zeros((4000, 8), np.int16), 384_000, kind="FLAC")
    huge = patched(patched(silence, 21, "B", silence[21] & 0xF0 | 1), 22, ">I", 0)  # 2^32 samples
    tracemalloc.start()
    errors = plain.apply(columns_of(huge))[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "has 230,400,000 samples in 8 channels; it may have 67,108,864 in all" in errors[0].detail
    assert peak < 8 << 20


def test_a_sound_too_loud_for_the_model() -> None:
    schema, columns = made(3000, 4000)
    learned = Audio.learn(schema, columns)
    narrow = Audio(schema, learned.options, learned.mean, np.full(64, 1e-300), learned.durations)
    loud = columns_of(encoded(np.full(800, 1e30, np.float32), coding="FLOAT"))
    assert not learned.apply(loud)[1]  # 80 times the deviation of a logarithm is a number like others
    assert "field 'audio' is too loud for the model" in narrow.apply(loud)[1][0].detail


def test_a_row_that_cannot_be_decoded_ends_learning_and_is_named() -> None:
    schema, _ = made(3000)
    with pytest.raises(DataError, match=r"row 1: field 'audio' is a WAV file .* truncated"):
        Audio.learn(schema, columns_of(WAV, WAV[:-7]))


# --- options, states, examples


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_rate": 44_100.0}, r"`sample_rate` must be an integer from 1,000 to 192,000, got 44100\.0"),
        ({"sample_rate": 999}, "`sample_rate` must be an integer from 1,000 to 192,000, got 999"),
        ({"num_mels": 0}, "`num_mels` must be an integer from 1 to 512, got 0"),
        ({"num_mels": True}, "`num_mels` must be an integer from 1 to 512, got True"),
        ({"window_seconds": "x"}, r"`window_seconds` must be from 0\.001 to 1 seconds, got 'x'"),
        ({"window_seconds": float("nan")}, "`window_seconds` must be from .* got nan"),
        ({"hop_seconds": 0.0001}, r"`hop_seconds` must be from 0\.001 to 1 seconds, got 0\.0001"),
        ({"hop_seconds": 0.05}, r"`hop_seconds` must be at most `window_seconds`, got 0\.05"),
        ({"seconds": 601}, r"`seconds` must be from 0\.01 to 600 seconds, got 601"),
        (
            {"sample_rate": 192_000, "window_seconds": 0.2},
            "`window_seconds` must be at most 16,384 samples, got 38,400",
        ),
        ({"num_mels": 200}, r"`num_mels` of 200 is too many .* at 16,000 Hz: \d+ bands hold no frequency; give fewer"),
        (
            {"seconds": 600, "hop_seconds": 0.001},
            "`seconds` of 600 make 600,001 frames of 64 bands, more than 16,777,216 numbers; give fewer, or a longer",
        ),
    ],
)
def test_an_option_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Audio.with_options(**options)


def test_options_mean_samples() -> None:
    options = Audio.with_options(sample_rate=8000, window_seconds=0.032, hop_seconds=0.016, seconds=1)
    assert options == AudioOptions(8000, 64, 0.032, 0.016, 1.0)
    assert (options.window, options.hop, options.steps(1.0)) == (256, 128, 63)


@pytest.mark.parametrize("options", [AudioOptions(), AudioOptions(sample_rate=8000, num_mels=32, seconds=0.4)])
def test_the_state_round_trip_gives_identical_tensors(options: AudioOptions) -> None:
    schema, columns = made(3000, 4000)
    learned = options.learn(schema, columns)
    state, arrays = learned.state()
    rebuilt = from_state("audio", schema, json.loads(json.dumps(state)), arrays)
    assert torch.equal(rebuilt.apply(columns)[0]["sequence"], learned.apply(columns)[0]["sequence"])
    assert rebuilt.outputs == learned.outputs
    assert rebuilt.examples(4) == learned.examples(4)


def test_examples_are_sounds_as_long_as_those_of_training_and_the_same_each_time() -> None:
    schema, columns = made(3000, 30_000)
    learned = Audio.learn(schema, columns)
    rows = learned.examples(4)
    checked, errors = schema.rows_to_columns(json.loads(json.dumps(rows)))
    assert not errors
    found, errors = learned.apply(checked)
    assert not errors
    assert found["sequence_lengths"].tolist() == [19, 29, 40, 51]  # 0.18 to 0.5 seconds, which is enough for an example
    assert rows == Audio.learn(schema, columns).examples(4)
    assert (found["sequence"][:, :19].amax(dim=(0, 1)) > -1).all()  # every band is heard


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("options", {"sample_rate": 8000}, "an audio's options must be sample_rate, num_mels, window_seconds"),
        ("options", [1], "an audio's options must be"),
        ("option", {"num_mels": 10**9}, "`num_mels` must be an integer from 1 to 512"),
        ("option", {"sample_rate": None}, "`sample_rate` must be an integer"),
        ("option", {"seconds": [1.0]}, "`seconds` must be from"),
        ("mean", np.zeros(2), r"array 'mean' must be float64 of shape \(64,\), got float64 of shape \(2,\)"),
        ("scale", np.ones(64, np.float32), "array 'scale' must be float64 .*, got float32"),
        ("mean", np.full(64, np.nan), "array 'mean' holds values that no training gives"),
        ("scale", np.zeros(64), "array 'scale' holds values that no training gives"),
        ("durations", [0.0, 601.0], "durations must be the shortest and the longest, 0 to 600 seconds"),
        ("durations", [2.0, 1.0], "durations must be the shortest and the longest"),
        ("durations", [1, 2], "durations must be the shortest and the longest"),
        ("durations", [float("nan"), 1.0], "durations must be the shortest and the longest"),
        ("durations", "12", "durations must be the shortest and the longest"),
    ],
)
def test_hostile_states_are_refused(name: str, value: Any, message: str, learned: Audio) -> None:
    state, arrays = learned.state()
    if name == "option":
        name, value = "options", {**state["options"], **value}
    with pytest.raises(FormatError, match=message):
        Audio.from_state(learned.schema, {**state, name: value}, {**arrays, name: value})


def test_a_state_of_other_fields_is_refused(learned: Audio) -> None:
    with pytest.raises(FormatError, match="takes one field of the kind audio and dtype bytes, never null"):
        Audio.from_state(maas.data.read_texts(["a"]).schema, *learned.state())


def test_the_register_finds_it_by_kind_of_field(learned: Audio) -> None:
    assert for_schema(learned.schema) is Audio


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, learned: Audio) -> None:
    schema, columns = made(3000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for act in (lambda: Audio.learn(schema, columns), lambda: Audio.from_state(schema, *learned.state())):
        with pytest.raises(DataError, match=r"sounds need the library soundfile: pip install 'maas-torch\[audio\]'"):
            act()

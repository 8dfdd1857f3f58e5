"""The learned preprocessing of sounds: decoding, resampling, log-mel frames, and every file that must be refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import scipy.signal  # noqa: F401  # loaded here, so that what it takes is not measured below
import torch

import maas
from maas.data import read_audio
from maas.errors import DataError, FormatError
from maas.preprocess import Audio, AudioOptions, for_schema, from_state
from maas.preprocess._mel import log_mel

from .sounds import RATE, columns_of, encoded, made, noise

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


@pytest.fixture(scope="module")
def learned() -> Audio:
    return Audio.learn(*made(3000, 4000))


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

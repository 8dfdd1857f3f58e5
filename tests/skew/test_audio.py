"""Sounds: the served model answers as the one in process, however they are sent, and refuses what is none."""

import base64
import io
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

import maas
from maas.preprocess import Audio
from maas.serving import Server

from .conftest import answer_of

RATE = 8000
PREDICT = "/predictions/birds"
Trained = tuple[dict[str, maas.Model], dict[str, maas.data.Rows], Path]


def tones(count: int) -> tuple[list[np.ndarray[Any, Any]], list[float]]:
    """Noisy tones of 0.1 to 0.5 seconds, and their pitch."""
    random = np.random.default_rng(0)
    waveforms, pitches = [], []
    for _ in range(count):
        pitch, time = random.uniform(300, 3000), np.arange(random.integers(800, 4000)) / RATE
        sound = 0.4 * np.sin(2 * np.pi * pitch * time) + random.normal(0, 0.05, len(time))
        waveforms.append((sound * 32767).clip(-32768, 32767).astype(np.int16))
        pitches.append(pitch)
    return waveforms, pitches


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Sounds as long as each is, into classes; and of one length, to a number."""
    waveforms, pitches = tones(160)
    labels = ["high" if pitch > 1500 else "low" for pitch in pitches]
    folder = tmp_path_factory.mktemp("sounds")
    models, tests = {}, {}
    for name, target, recipe, options in (
        ("birds", labels, maas.recipe(maas.nn.AudioCNN, filters=(4, 8)), Audio.with_options(num_mels=32)),
        ("pitch", pitches, maas.recipe(maas.nn.RNN, hidden_size=8), Audio.with_options(sample_rate=RATE, seconds=0.3)),
    ):
        train, tests[name] = maas.data.read_audio((waveforms, target), sample_rate=RATE).split(0.4, seed=0)
        models[name] = maas.fit(recipe, train, preprocess=options, epochs=2, device="cpu", progress=False)
        maas.package(models[name].save(folder / name), store=folder)
    return models, tests, folder


def test_long_sounds_go_through_the_network_few_at_a_time(trained: Trained) -> None:
    """64 MiB of frames at once (maas.task.rows_that_fit): 4 bytes, 32 bands, 1 frame a 10 ms of the longest allowed."""
    model = trained[0]["birds"]
    learned = model.preprocess
    assert isinstance(learned, Audio)
    frames = 1 + round(100 * learned.longest_seconds)
    assert model.rows_at_once == min(4096, (64 << 20) // (frames * 32 * 4 + 8))
    model.preprocess = replace(learned, durations=(0.1, 300.0))
    try:
        assert model.rows_at_once == (64 << 20) // (60_001 * 32 * 4 + 8) == 8
    finally:
        model.preprocess = learned


@pytest.mark.parametrize("name", ["birds", "pitch"])
def test_served_answers_are_those_in_process_bit_for_bit(name: str, trained: Trained, server: Server) -> None:
    models, tests, _ = trained
    wanted = models[name].predict(tests[name]).to_dicts()
    with server.client(name) as client:
        assert list(client.predict(tests[name].to_dicts())) == wanted
        alone = client.predict(tests[name].to_dicts()[0])
    key = "probabilities" if name == "birds" else "value"
    assert alone[key] == pytest.approx(wanted[0][key], rel=1e-5, abs=1e-5)


def recording(kind: str = "WAV", rate: int = 44_100, **options: Any) -> bytes:
    """A stereo sound at another rate than any in training."""
    time, buffer = np.arange(rate // 4) / rate, io.BytesIO()
    both = np.stack([np.sin(2 * np.pi * 2000 * time), np.sin(2 * np.pi * 700 * time)], axis=1)
    soundfile.write(buffer, 0.4 * both, rate, format=kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("media", "content"),
    [
        ("audio/wav", recording()),
        ("audio/x-wav", recording(rate=48_000, subtype="FLOAT")),
        ("audio/flac", recording("FLAC", rate=22_050)),
        ("application/octet-stream", recording(subtype="PCM_24")),
    ],
    ids=["wav", "x-wav", "flac", "octet-stream"],
)
def test_a_sound_however_it_is_sent(trained: Trained, http: httpx.Client, media: str, content: bytes) -> None:
    wanted = trained[0]["birds"].predict({"audio": content})
    written = base64.b64encode(content).decode()
    assert answer_of(http.post(PREDICT, content=content, headers={"Content-Type": media})) == wanted
    assert answer_of(http.post(PREDICT, json={"audio": written})) == wanted
    assert answer_of(http.post(PREDICT, files={"audio": ("a.bin", content, media)})) == wanted
    (only,) = answer_of(http.post(PREDICT, json={"instances": [{"audio": written}]}))["predictions"]
    assert only == wanted


WAV, FLAC = recording(rate=RATE), recording("FLAC", rate=RATE)


def _patched(at: int, layout: str, value: int) -> bytes:
    piece = struct.pack(layout, value)
    return WAV[:at] + piece + WAV[at + len(piece) :]


def _floats(*values: float) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.array(values), RATE, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


REFUSED = {
    "text": ("audio/wav", b"a text file named .wav\n", 422, "must be a WAV or FLAC file, got 23 bytes that start"),
    "zero length": ("audio/wav", _floats(), 422, "has no sound: its header says 0 samples"),
    "4 GB": ("audio/wav", _patched(40, "<I", 0xFFFFFFFF), 422, "should have 4,294,967,295 bytes of sound"),
    "10^9 Hz": ("audio/wav", _patched(24, "<I", 10**9), 422, "has a sample rate of 1,000,000,000 Hz"),
    "1,000 channels": ("audio/wav", _patched(22, "<H", 1000), 422, "has 1,000 channels; it must have 1 to 32"),
    "cut WAV": ("audio/wav", WAV[:-99], 422, "it is truncated, or was written to a pipe"),
    "cut FLAC": ("audio/flac", FLAC[: len(FLAC) // 2], 422, "is a FLAC file of"),
    "NaN": ("audio/wav", _floats(0.1, float("nan"), 0.1), 422, "has samples that are NaN or infinite"),
    "noise": ("audio/wav", os.urandom(5_000_000), 422, "must be a WAV or FLAC file, got 5,000,000 bytes"),
    "nothing": ("audio/wav", b"", 400, "must be a row"),
    "as text": ("text/plain", WAV, 415, "Content-Type: application/octet-stream"),
    "as JSON": ("application/json", WAV, 400, "must be JSON"),
    "no base64": ("application/json", b'{"audio": "not base64!"}', 422, "'audio' must be bytes written as base64"),
    "numbers": ("application/json", b'{"audio": [0.1, 0.2]}', 422, "'audio' must be bytes, got list"),
    "no bytes": ("application/json", b'{"audio": ""}', 422, "'audio' must have 1 to 20000000 bytes, got 0"),
    "another name": ("application/json", b'{"sound": ""}', 422, "field 'audio' is missing"),
}


@pytest.mark.usefixtures("workers_live")
@pytest.mark.parametrize("name", list(REFUSED))
def test_what_is_no_sound_is_refused_and_the_worker_lives(http: httpx.Client, name: str) -> None:
    media, content, status, detail = REFUSED[name]
    refused = http.post(PREDICT, content=content, headers={"Content-Type": media})
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert detail in refused.json()["detail"]
    assert http.post(PREDICT, content=WAV, headers={"Content-Type": "audio/wav"}).status_code == 200


def test_a_long_sound_is_refused_or_cut(http: httpx.Client) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(RATE * 3600, np.int16), RATE, format="FLAC")
    hour = buffer.getvalue()
    assert len(hour) < 200_000
    refused = http.post(PREDICT, content=hour, headers={"Content-Type": "audio/flac"})
    assert refused.status_code == 422
    assert "lasts 3,600.00 seconds; it may last" in refused.json()["detail"]
    assert http.post("/predictions/pitch", content=hour, headers={"Content-Type": "audio/flac"}).status_code == 200


def test_a_bad_sound_among_good_ones_is_told_by_its_row(http: httpx.Client) -> None:
    good, bad = (base64.b64encode(one).decode() for one in (WAV, WAV[:-30]))
    refused = http.post(PREDICT, json={"instances": [{"audio": good}, {"audio": bad}, {"audio": good}]})
    assert refused.status_code == 422
    problem = refused.json()
    assert (problem["row"], problem["field"]) == (1, "audio")
    assert [answer is None for answer in problem["predictions"]] == [False, True, False]

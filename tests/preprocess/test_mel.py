"""The filter bank, frames and their power: against the formula and torch."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal  # noqa: F401  # loaded here, so that what it takes is not measured below
import torch

from maas.preprocess._mel import FLOOR, log_mel, mel_filters

from .sounds import RATE, noise

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

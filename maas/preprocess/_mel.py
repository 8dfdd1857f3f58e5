"""Waveforms to log-mel spectrograms, one frame a hop."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch

FLOOR = 1e-8
"""Least power of a band, about that which rounding to 16 bits leaves in one; below it there is nothing to hear."""

_CHUNK_NUMBERS = 1 << 20


def fft_size(window: int) -> int:
    """Points of the Fourier transform of a window: the power of 2 that holds it."""
    return 1 << (window - 1).bit_length()


@lru_cache(maxsize=8)
def mel_filters(sample_rate: int, num_points: int, num_mels: int) -> torch.Tensor:
    """The filter bank: triangles of height 1, evenly spaced in mel from 0 to half the sample rate.

    Args:
        sample_rate: in Hz.
        num_points: of the Fourier transform.
        num_mels: bands.

    Returns:
        float64 of shape (num_points // 2 + 1, num_mels).

    Source: the mel of the HTK Book, Young et al. 2006, equation 5.13: 2595 log10(1 + f / 700); edges are straight in
    Hz. The area of a band, by which others divide, is taken out by standardisation.
    """
    highest = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, highest, num_mels + 2) / 2595.0) - 1.0)  # Hz
    frequencies = np.arange(num_points // 2 + 1) * (sample_rate / num_points)
    rising = (frequencies[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies[:, None]) / (edges[2:] - edges[1:-1])
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)))


def log_mel(samples: np.ndarray[Any, Any], *, sample_rate: int, window: int, hop: int, num_mels: int) -> torch.Tensor:
    """The logarithm of the power in each mel band of each frame.

    Frame i is centred at sample i * hop, with silence before and after; its window is Hann's (periodic). All is done
    in float64: the power of a quiet band beside a loud one would otherwise be the rounding of this machine.

    Args:
        samples: float64 of shape (samples,), from -1 to 1, at least one.
        sample_rate: in Hz.
        window, hop: in samples.
        num_mels: bands.

    Returns:
        float64 of shape (1 + samples // hop, num_mels): natural logarithms, at least that of `FLOOR`.
    """
    num_points = fft_size(window)
    bank = mel_filters(sample_rate, num_points, num_mels)
    before = window // 2
    padded = torch.zeros(len(samples) + window, dtype=torch.float64)
    padded[before : before + len(samples)] = torch.from_numpy(samples)
    frames = padded.unfold(0, window, hop)  # (frames, window), a view
    shape = torch.hann_window(window, dtype=torch.float64)
    size = max(1, _CHUNK_NUMBERS // num_points)
    parts = []
    for start in range(0, 1 + len(samples) // hop, size):
        spectrum = torch.fft.rfft(frames[start : start + size] * shape, n=num_points)
        power = spectrum.real.square() + spectrum.imag.square()
        parts.append((power @ bank).clamp_(min=FLOOR).log_())
    return torch.cat(parts)

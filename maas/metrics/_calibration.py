"""How far a classifier's confidence is from how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
NUM_BINS = 15


@dataclass(frozen=True)
class Calibration:
    """Answers put into bins of equal width by the probability of the class answered; bins without rows are left out.

    Args:
        error: expected calibration error, from 0 to 1: the mean over rows of |share right - mean confidence| of the
            row's bin.
        confidence: mean probability of the answers in each bin.
        accuracy: share of them that is right.
        count: rows in each bin.
    """

    error: float
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]


def calibration(confidence: _Array, right: _Array, *, num_bins: int = NUM_BINS) -> Calibration:
    """The expected calibration error (ECE) with the bins that it comes from.

    The bins are of equal width, m-th of M: ((m - 1) / M, m / M]. The error depends on their number, and on few rows it
    is above 0 even for a perfect model, since the shares of few rows vary.

    Args:
        confidence: probability of the class answered, from 0 to 1, of shape (rows,).
        right: whether it is the true one, of shape (rows,).
        num_bins: 15, as in the source.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equations 2 and 3; the measure is that of
        Naeini et al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning.
    """
    confidence = confidence.astype(np.float64)
    edges = np.linspace(0, 1, num_bins + 1)[1:-1]
    place = np.searchsorted(edges, confidence)
    count = np.bincount(place, minlength=num_bins)
    used = count > 0
    sure = np.bincount(place, confidence, num_bins)[used] / count[used]
    good = np.bincount(place, right.astype(np.float64), num_bins)[used] / count[used]
    error = float((np.abs(good - sure) * count[used]).sum() / len(confidence))
    return Calibration(error, tuple(sure.tolist()), tuple(good.tolist()), tuple(count[used].tolist()))

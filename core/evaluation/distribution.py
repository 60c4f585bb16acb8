"""Distributions: real and generated rows -> how far apart they lie, and where they overlap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist

from core.recording import FloatArray

Array = npt.NDArray[np.floating[Any]]

PSD_BAND_HZ = (0.5, 40.0)
LEAST_WIDTH = 1e-6
"""In mV: no kernel is narrower, and no spectrum is taken to be lower than its square."""
NEIGHBOURS = 5
"""Nearest neighbours that make a beat's surroundings, as in Naeem et al. 2020."""


def mmd(real: Array, synthetic: Array) -> float:
    """Return the squared maximum mean discrepancy, unbiased: 0 for equal distributions.

    Gretton et al. 2012, lemma 6, equation 4 (pairs of one index left out of all four sums), with
    a Gaussian kernel as wide as the median distance among the real rows. Row i of both is of
    one subject, and leaving out those pairs keeps the estimate unbiased then, too.

    Args:
        real: (n, n_features).
        synthetic: (n, n_features).
    """
    n = len(real)
    if n < 2:
        return math.nan
    width = max(float(np.median(pdist(real))), LEAST_WIDTH)

    def off_diagonal(a: Array, b: Array) -> float:
        kernel = np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))
        return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))

    return (
        off_diagonal(real, real)
        + off_diagonal(synthetic, synthetic)
        - 2 * off_diagonal(real, synthetic)
    )


def frechet_distance(real: Array, synthetic: Array) -> float:
    """Return the Fréchet distance of two Gaussians fitted to the rows (Heusel et al. 2017).

    It falls with the number of rows; compare only figures of equal numbers.

    Args:
        real: (n, n_features), n > n_features.
        synthetic: (m, n_features).
    """
    if min(len(real), len(synthetic)) < 2:
        return math.nan
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, synthetic))
    difference = real.mean(axis=0) - synthetic.mean(axis=0)
    # eigenvalues of a b are those of a symmetric positive matrix: real, and not negative
    root = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0.0)).sum()
    return float(max(0.0, difference @ difference + np.trace(a) + np.trace(b) - 2 * root))


def psd_distance(real: FloatArray, synthetic: FloatArray, sampling_rate: float) -> float:
    """Return how far mean log power spectra differ: root mean square over 0.5 to 40 Hz, in dB.

    The mean is taken over logarithms, so that one artefact does not stand for all beats.

    Args:
        real: (n, n_samples, n_leads).
        synthetic: (m, n_samples, n_leads).
        sampling_rate: In Hz.
    """
    frequencies = np.fft.rfftfreq(real.shape[1], 1 / sampling_rate)
    band = (frequencies >= PSD_BAND_HZ[0]) & (frequencies <= PSD_BAND_HZ[1])

    def decibels(signals: FloatArray) -> Array:
        centred = signals - signals.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(centred, axis=1)[:, band]) ** 2
        return 10 * np.log10(power + LEAST_WIDTH**2).mean(axis=0)

    return float(np.sqrt(np.mean((decibels(real) - decibels(synthetic)) ** 2)))


def overlap(real: Array, synthetic: Array) -> dict[str, float]:
    """Return precision, recall, density and coverage of synthetic rows; nan for too few rows.

    Around each row lies a ball out to its fifth nearest neighbour of its own kind.
    ``precision``: share of synthetic rows in a real row's ball; ``recall``: share of real rows in
    a synthetic row's ball (Kynkaanniemi et al. 2019). ``density``: real balls that a synthetic row
    lies in, over five; it may pass 1. ``coverage``: share of real balls with a synthetic row in
    them (Naeem et al. 2020). Real rows do not reach 1 either: compare with their own figures.

    Args:
        real: (n, n_features).
        synthetic: (m, n_features).
    """
    if min(len(real), len(synthetic)) <= NEIGHBOURS:
        return dict.fromkeys(("precision", "recall", "density", "coverage"), math.nan)

    def radii(rows: Array) -> Array:
        distances = cdist(rows, rows)
        return np.partition(distances, NEIGHBOURS, axis=1)[:, NEIGHBOURS]  # the first is itself

    between = cdist(real, synthetic)
    in_real = between <= radii(real)[:, None]
    return {
        "precision": float(in_real.any(axis=0).mean()),
        "recall": float((between <= radii(synthetic)).any(axis=1).mean()),
        "density": float(in_real.sum(axis=0).mean() / NEIGHBOURS),
        "coverage": float(in_real.any(axis=1).mean()),
    }

"""Beats of a recording in order -> how much successive ones are alike -> white numbers in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.recording import FloatArray, IntArray, StrArray

N_LAGS = 16
"""Beats after which nothing is known of how alike they are: a few breaths."""
LEAST_PAIRS = 8
"""Pairs of beats below which a lag's likeness counts as none."""


@dataclass(frozen=True, eq=False)
class Succession:
    """Which beats of a request follow one another.

    Attributes:
        recording: (n,) the recording that each beat is drawn as one of.
        row: (n,) number of the row that each beat stands in; the beats of a row come one after
            the other, and all lie on one day.
        correlation: (n_lags, k) of white numbers, ``correlation[j]`` between beats j + 1 apart.
        kinds: ``main``: only the most common kind of beat of a recording; ``all``: as they come.
    """

    recording: StrArray
    row: IntArray
    correlation: FloatArray
    kinds: Literal["main", "all"] = "all"


def likeness(
    codes: npt.NDArray[np.floating], recording: npt.ArrayLike, place: IntArray
) -> FloatArray:
    """Return (N_LAGS, k) the correlation of each direction between beats 1, 2, ... apart.

    From squared differences (the variogram) over the variance within recordings, since
    recordings of a few beats have no autocorrelation without bias; pooled over recordings, each
    direction of each recording scaled to unit variance.

    Args:
        codes: (n, k), best in a basis whose directions are uncorrelated.
        recording: (n,) which recording each beat belongs to.
        place: (n,) number of each beat among all of its recording; those left out count too.
    """
    owner = np.asarray(recording)
    k = codes.shape[1]
    total = np.zeros((N_LAGS, k))
    pairs = np.zeros(N_LAGS)
    for name in np.unique(owner):
        mine = np.flatnonzero(owner == name)
        mine = mine[np.argsort(place[mine], kind="stable")]
        if len(mine) < LEAST_PAIRS:
            continue
        values = codes[mine].astype(np.float64)
        spread = values.std(axis=0, ddof=1)
        values = values / np.where(spread > 0, spread, 1)
        gap = place[mine][None, :] - place[mine][:, None]
        for lag in range(1, N_LAGS + 1):
            first, second = np.nonzero(gap == lag)
            if len(first):
                total[lag - 1] += np.square(values[first] - values[second]).sum(axis=0) / 2
                pairs[lag - 1] += len(first)
    known = (pairs >= LEAST_PAIRS)[:, None]
    mean = total / np.maximum(pairs, 1)[:, None]
    return np.where(known, np.clip(1 - mean, -1, 1), 0).astype(np.float32)


def white_in_rows(
    rng: np.random.Generator, n: int, k: int, succession: Succession | None
) -> FloatArray:
    """Return (n, k) standard normal numbers; those of a row follow its correlation.

    Each direction is drawn by its spectrum on a circle that is longer than the row by all lags;
    a correlation that no process has loses the negative part of its spectrum. Without a
    succession every beat stands alone.
    """
    if succession is None:
        return rng.standard_normal((n, k), dtype=np.float32)
    result = np.empty((n, k), np.float32)
    for number in np.unique(succession.row):
        mine = np.flatnonzero(succession.row == number)
        result[mine] = _row(rng, len(mine), succession.correlation)
    return result


def _row(rng: np.random.Generator, n: int, correlation: FloatArray) -> FloatArray:
    """Return (n, k) standard normal numbers in a row."""
    n_lags, k = correlation.shape
    size = 1 << int(np.ceil(np.log2(n + 2 * n_lags + 1)))
    taper = 1 - np.arange(1, n_lags + 1)[:, None] / (n_lags + 1)
    tapered = correlation * taper
    circle = np.zeros((size, k))
    circle[0] = 1
    circle[1 : n_lags + 1] = tapered
    circle[size - n_lags :] = tapered[::-1]
    power = np.maximum(np.fft.rfft(circle, axis=0).real, 0)
    weight = np.full(len(power), 2.0)
    weight[[0, -1]] = 1
    power *= size / (weight[:, None] * power).sum(axis=0)
    white = np.fft.rfft(rng.standard_normal((size, k)), axis=0)
    values: FloatArray = np.fft.irfft(white * np.sqrt(power), size, axis=0)[:n].astype(np.float32)
    return values

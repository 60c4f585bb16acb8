"""A signal and its R peaks -> beats of one shape, with their intervals and annotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from core.recording import Annotations, FloatArray, IntArray, StrArray

BoolArray = npt.NDArray[np.bool_]
Normalisation = Literal["none", "zscore", "minmax"]

MATCH_SECONDS = 0.15
"""An annotation belongs to an R peak within this distance (ANSI/AAMI EC57)."""
BEAT_SYMBOLS = "NLRBAaJSVrFejnE/fQ?"
"""PhysioNet annotation codes that mark a beat."""


@dataclass(frozen=True)
class BeatWindow:
    """The shape of a beat.

    Attributes:
        n_samples: Length.
        n_before: Samples before the R peak; 0 where a beat begins at its R peak.
        to_next: Whether the beat ends at the next R peak, the rest being padded with zeros.
    """

    n_samples: int
    n_before: int
    to_next: bool = False


def beat_window(
    sampling_rate: float, before_s: float, after_s: float, *, kind: Literal["fixed", "r_to_r"]
) -> BeatWindow:
    """Return the shape of beats cut at a rate, in Hz, by a window around the R peak, in seconds.

    A window from R to R has the same length, but begins at the R peak.
    """
    n_samples = max(2, round((before_s + after_s) * sampling_rate))
    if kind == "r_to_r":
        return BeatWindow(n_samples, 0, to_next=True)
    return BeatWindow(n_samples, round(before_s * sampling_rate))


def cut_beats(
    signal: FloatArray, r_peaks: IntArray, window: BeatWindow
) -> tuple[FloatArray, BoolArray]:
    """Return beats (n_beats, n_samples, n_leads), and which of them leave the signal.

    What lies outside the signal (n_samples, n_leads) takes the value of its nearest end. Beats
    from R to R are cut at the next R peak, or padded with zeros, the baseline of a clean signal;
    the last R peak has none after it, and so leaves the signal.
    """
    first = r_peaks - window.n_before
    at = first[:, None] + np.arange(window.n_samples)
    beats = signal[np.clip(at, 0, len(signal) - 1)]
    if not window.to_next:
        return beats, (first < 0) | (first + window.n_samples > len(signal))
    following = np.append(r_peaks[1:], len(signal))
    beats[at >= following[:, None]] = 0.0
    return beats, np.arange(len(r_peaks)) == len(r_peaks) - 1


def touched(mask: BoolArray, r_peaks: IntArray, window: BeatWindow) -> BoolArray:
    """Tell which beats (n_beats,) hold a marked sample of a signal; mask is (n_samples,)."""
    if not mask.any():
        return np.zeros(len(r_peaks), dtype=np.bool_)
    count = np.concatenate([[0], np.cumsum(mask)])
    first = r_peaks - window.n_before
    last = first + window.n_samples
    if window.to_next:
        last = np.minimum(last, np.append(r_peaks[1:], len(mask)))
    result: BoolArray = count[np.clip(last, 0, len(mask))] > count[np.clip(first, 0, len(mask))]
    return result


def normalise(beats: FloatArray, how: Normalisation) -> FloatArray:
    """Return beats (n_beats, n_samples, n_leads), each lead of each scaled by itself.

    ``zscore``: mean 0 and standard deviation 1; ``minmax``: from 0 to 1. A flat beat becomes 0.
    """
    if how == "none" or not len(beats):
        return beats
    values = beats.astype(np.float64)
    if how == "zscore":
        values -= values.mean(axis=1, keepdims=True)
        span = values.std(axis=1, keepdims=True)
    else:
        values -= values.min(axis=1, keepdims=True)
        span = values.max(axis=1, keepdims=True)
    return np.divide(values, span, out=np.zeros_like(values), where=span > 0).astype(np.float32)


def rr_intervals(positions: npt.NDArray[np.float64]) -> tuple[FloatArray, FloatArray]:
    """Return seconds since the R peak before and to the next one; NaN at the ends.

    Args:
        positions: (n_beats,) times of the R peaks in seconds.
    """
    rr = np.diff(positions).astype(np.float32)
    unknown = np.full(min(1, len(positions)), np.nan, dtype=np.float32)
    return np.concatenate([unknown, rr]), np.concatenate([rr, unknown])


def match_symbols(
    positions: npt.NDArray[np.float64], annotations: Annotations | None, sampling_rate: float
) -> StrArray:
    """Return the code (n_beats,) of the reference beat at each R peak; empty where there is none.

    Each mark is given to one R peak, the nearest within 150 ms (ANSI/AAMI EC57).

    Args:
        positions: (n_beats,) times of the R peaks in seconds, ascending.
        annotations: Reference marks at the file's own rate.
        sampling_rate: The file's own rate, in Hz.
    """
    symbols = np.full(len(positions), "", dtype="<U4")
    if annotations is None or not len(positions):
        return symbols
    beats = np.isin(annotations.symbols, list(BEAT_SYMBOLS))
    marks = annotations.samples[beats] / sampling_rate
    names = annotations.symbols[beats]
    after = np.clip(np.searchsorted(positions, marks), 1, max(1, len(positions) - 1))
    before = after - 1
    after = np.minimum(after, len(positions) - 1)
    nearest = np.where(
        np.abs(positions[after] - marks) < np.abs(positions[before] - marks), after, before
    )
    distance = np.abs(positions[nearest] - marks)
    order = np.argsort(-distance, kind="stable")
    order = order[distance[order] <= MATCH_SECONDS]
    symbols[nearest[order]] = names[order]
    return symbols

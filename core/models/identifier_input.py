"""Beats of recordings -> what the identifier looks at: rate-adapted, averaged, normalised.

The shape of a beat depends on the heart rate chiefly after the QRS complex. Reading that part
faster or slower makes beats of different days alike; the mean of several beats in a row removes
noise and breathing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.recording import FloatArray, IntArray

ST_START_S = 0.08
"""Where the part that follows the heart rate begins, in s after the R peak."""
REFERENCE_RR_S = 0.8
"""RR interval at which a beat is left as it is, in s (75 beats a minute)."""
RATE_EXPONENT = 0.4
"""How strongly ST-T follows RR; 0.5 would be Bazett's law, 0.33 Fridericia's."""
DERIVATIVE_SCALE_S = 0.02
"""Multiplies the derivative (per s) of a normalised beat to give it about unit size, in s."""
PLAUSIBLE_RR_S = (0.3, 2.0)
"""RR intervals outside are taken for missed or false peaks, in s."""


@dataclass(frozen=True)
class Window:
    """How beats are cut: `before_s` seconds before the R peak, at `sampling_rate` Hz."""

    before_s: float
    sampling_rate: float

    def times(self, n_samples: int) -> npt.NDArray[np.float64]:
        """Return (n_samples,) the time of each sample from the R peak, in s."""
        return np.arange(n_samples) / self.sampling_rate - self.before_s


def recording_codes(beats: BeatSet) -> IntArray:
    """Return (n,) a number for the recording of each beat; lone beats have one of their own.

    A beat without the name of a recording, such as a generated one, has no neighbours in time.
    """
    keys = np.char.add(np.char.add(beats.subject.astype(np.str_), "\0"), beats.record)
    named = np.where(beats.recording != "", beats.recording, keys)
    alone = ((beats.recording == "") & (beats.record == "")) | beats.synthetic
    _, codes = np.unique(named, return_inverse=True)
    codes = codes.astype(np.int64)
    codes[alone] = codes.max(initial=0) + 1 + np.arange(int(alone.sum()))
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def recording_rr(beats: BeatSet, codes: IntArray) -> npt.NDArray[np.float64]:
    """Return (n,) the median RR interval of each beat's recording, in s; NaN if unknown."""
    low, high = PLAUSIBLE_RR_S
    rr = beats.rr_before.astype(np.float64)
    rr[~((rr >= low) & (rr <= high))] = np.nan
    result = np.full(len(beats), np.nan)
    for code in np.unique(codes):
        mine = codes == code
        known = rr[mine & np.isfinite(rr)]
        if known.size:
            result[mine] = np.median(known)
    return result


def rhythm_of(beats: BeatSet, codes: IntArray) -> FloatArray:
    """Return (n, 1, 2) how early each beat comes and how late the next one, as channels of a beat.

    They are the logarithms of RR before and after over the recording's median; 0 if unknown.
    """
    usual = recording_rr(beats, codes)[:, None]
    around = np.stack([beats.rr_before, beats.rr_after], axis=1)
    known = np.isfinite(around) & (around > 0) & np.isfinite(usual)
    share = np.divide(around, usual, out=np.ones(around.shape), where=known)
    return np.log(share).astype(np.float32)[:, None, :]


def no_rhythm(n: int) -> FloatArray:
    """Return (n, 1, 0): beats whose rhythm is not looked at."""
    return np.zeros((n, 1, 0), np.float32)


def read_at(signals: FloatArray, positions: npt.NDArray[np.float64]) -> FloatArray:
    """Return beats read at other positions, linearly interpolated, the ends held.

    Args:
        signals: (n, n_samples, n_leads).
        positions: (n, n_read) sample positions, fractions allowed.
    """
    last = signals.shape[1] - 1
    clipped = np.clip(positions, 0, last)
    lower = np.minimum(clipped.astype(np.int64), max(last - 1, 0))
    share = (clipped - lower).astype(np.float32)[..., None]
    rows = np.arange(len(signals))[:, None]
    upper = np.minimum(lower + 1, last)
    return signals[rows, lower] * (1 - share) + signals[rows, upper] * share


def rate_times(
    times: npt.NDArray[np.float64],
    rr: npt.NDArray[np.float64],
    exponent: float | npt.NDArray[np.float64] = RATE_EXPONENT,
) -> npt.NDArray[np.float64]:
    """Return (n, n_samples) the times at which to read beats so that ST-T fits 75 a minute.

    For t > 0.08 s: 0.08 + (t - 0.08) (RR / 0.8 s) ** exponent; unknown RR leaves t alone.
    """
    stretch = np.where(np.isfinite(rr), rr / REFERENCE_RR_S, 1.0) ** exponent
    late = np.maximum(times - ST_START_S, 0)
    return times + late * (stretch[:, None] - 1)


def adapt_to_rate(
    signals: FloatArray,
    rr: npt.NDArray[np.float64],
    window: Window,
    exponent: float = RATE_EXPONENT,
) -> FloatArray:
    """Return beats (n, n_samples, n_leads) with ST-T as it would be at 75 beats a minute."""
    times = rate_times(window.times(signals.shape[1]), rr, exponent)
    return read_at(signals, (times + window.before_s) * window.sampling_rate)


def means_in_a_row(signals: FloatArray, codes: IntArray, size: int) -> tuple[FloatArray, IntArray]:
    """Return the mean of every `size` beats in a row of one recording, and their recordings.

    A recording with fewer beats gives one mean of all it has. Beats of a recording stand in order
    of time. With `size` 1 the beats come back as they are; else in order of their codes.

    Returns:
        (m, n_samples, n_leads) means, and (m,) the code of each one's recording.
    """
    if size == 1 or not len(signals):
        return signals, codes
    means, owners = [], []
    for code in np.unique(codes):
        mine = signals[codes == code].astype(np.float64)
        span = min(size, len(mine))
        total = np.concatenate([np.zeros_like(mine[:1]), np.cumsum(mine, axis=0)])
        means.append((total[span:] - total[:-span]) / span)
        owners.append(np.full(len(means[-1]), code))
    return np.concatenate(means).astype(np.float32), np.concatenate(owners)


def normalise(signals: FloatArray) -> FloatArray:
    """Return beats with the mean of each lead removed, and one scale for all leads of a beat."""
    centred = signals - signals.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.mean(centred**2, axis=(1, 2), keepdims=True))
    return (centred / np.maximum(scale, 1e-6)).astype(np.float32)


def network_input(signals: FloatArray, rhythm: FloatArray, sampling_rate: float) -> FloatArray:
    """Return (n, n_samples, n_channels): normalised leads, their derivatives, rhythm held constant.

    The derivative is scaled to be of the size of the beat itself at any sampling rate.

    Args:
        signals: (n, n_samples, n_leads).
        rhythm: (n, 1, n_more) what `rhythm_of` or `no_rhythm` returns.
        sampling_rate: In Hz.
    """
    shape = normalise(signals)
    slope = np.gradient(shape, axis=1).astype(np.float32) * (sampling_rate * DERIVATIVE_SCALE_S)
    held = np.broadcast_to(rhythm, (len(shape), shape.shape[1], rhythm.shape[2]))
    return np.concatenate([shape, slope, held], axis=2)

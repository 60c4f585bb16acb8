"""A gallery of beats -> training samples of the identifier, subjects drawn equally, varied.

Every sample is the mean of some beats in a row of one recording, read at a heart-rate correction
drawn anew, and changed as electrodes, breathing and another day would change it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.models.identifier_input import Window, network_input, rate_times, read_at
from core.recording import FloatArray, IntArray

QRS_S = (-0.06, 0.08)
"""The QRS complex, in s from the R peak: P wave before it, ST-T after it."""


@dataclass(frozen=True)
class Variation:
    """How much samples are varied; half-widths of uniform draws."""

    exponents: tuple[float, float] = (0.0, 0.7)
    """Range of the exponent of the heart-rate correction."""
    late_scale: float = 0.06
    """Share by which ST-T, and by which the P wave, is stretched."""
    scale: float = 0.03
    """Share by which the whole beat is stretched."""
    shift_s: float = 0.006
    """Error of the R peak, in s."""
    gain: float = 0.10
    """Share by which P, QRS and T are amplified, each on its own."""
    baseline: float = 0.30
    """Baseline wander, in standard deviations of the beat."""
    noise: float = 0.15
    """Largest standard deviation of noise, in standard deviations of the beat."""


@dataclass(frozen=True, eq=False)
class Gallery:
    """What samples are drawn from; beats of a recording stand together, in order of time.

    Attributes:
        signals: (n, n_samples, n_leads) float32.
        rr: (n,) RR interval of each beat's recording, in s; NaN if unknown.
        targets: (n,) class of each beat.
        codes: (n,) recording of each beat, numbered apart for each class.
        recordings: (n,) recording of each beat.
        rhythm: (n, 1, 0 or 2) rhythm around each beat.
        window: How the beats are cut.
    """

    signals: FloatArray
    rr: npt.NDArray[np.float64]
    targets: IntArray
    codes: IntArray
    recordings: IntArray
    rhythm: FloatArray
    window: Window

    def beside(self, other: Gallery) -> Gallery:
        """Return both galleries as one; recordings of the two are different ones."""
        codes = other.codes + self.codes.max() + 1
        recordings = other.recordings + self.recordings.max() + 1
        moved = replace(other, codes=codes, recordings=recordings)
        names = ("signals", "rr", "targets", "codes", "recordings", "rhythm")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(moved, name)]) for name in names
        }
        return replace(self, **joined)

    def take(self, index: Any) -> Gallery:
        """Return the beats that a mask or array of positions selects."""
        per_beat = ("signals", "rr", "targets", "codes", "recordings", "rhythm")
        return replace(self, **{name: getattr(self, name)[index] for name in per_beat})


def draw_samples(
    gallery: Gallery,
    n: int,
    rng: np.random.Generator,
    *,
    sizes: tuple[int, int],
    variation: Variation,
) -> tuple[FloatArray, IntArray]:
    """Return `n` varied samples and their classes: classes equally often, then recordings.

    Args:
        gallery: What to draw from.
        n: How many.
        rng: Source of every random choice.
        sizes: Least and largest number of beats in a row that make a sample.
        variation: How much to vary them.

    Returns:
        (n, n_samples, n_channels) float32 and (n,) classes.
    """
    first, length = _draw_runs(gallery, n, rng, sizes)
    total = np.concatenate(
        [np.zeros_like(gallery.signals[:1], np.float64), np.cumsum(gallery.signals, 0, np.float64)]
    )
    means = ((total[first + length] - total[first]) / length[:, None, None]).astype(np.float32)
    varied = vary(means, gallery.rr[first], gallery.window, rng, variation)
    inputs = network_input(varied, gallery.rhythm[first], gallery.window.sampling_rate)
    return inputs, gallery.targets[first]


def vary(
    signals: FloatArray,
    rr: npt.NDArray[np.float64],
    window: Window,
    rng: np.random.Generator,
    variation: Variation,
) -> FloatArray:
    """Return beats (n, n_samples, n_leads) as another day or another electrode would give them."""
    n, n_samples, n_leads = signals.shape
    times = window.times(n_samples)

    def draw(half_width: float, *shape: int) -> npt.NDArray[np.float64]:
        return rng.uniform(-half_width, half_width, (n, *shape))

    read = rate_times(times, rr, rng.uniform(*variation.exponents, n))
    read = read + np.maximum(read - QRS_S[1], 0) * draw(variation.late_scale, 1)
    read = read + np.minimum(read - QRS_S[0], 0) * draw(variation.late_scale, 1)
    read = read * (1 + draw(variation.scale, 1)) + draw(variation.shift_s, 1)
    varied = read_at(signals, (read + window.before_s) * window.sampling_rate)

    part = np.digitize(times, QRS_S)
    gains = 1 + np.take(draw(variation.gain, 3), part, axis=1)[..., None]
    level = varied.mean(axis=1, keepdims=True)
    varied = level + (varied - level) * gains
    size = np.std(varied, axis=(1, 2), keepdims=True)
    phase = np.linspace(0, np.pi, n_samples)[None, :, None]
    wander = draw(variation.baseline, 1, n_leads) * np.cos(phase)
    wander = wander + draw(variation.baseline, 1, n_leads) * np.sin(phase)
    noise = (
        variation.noise * rng.standard_normal((n, n_samples, n_leads)) * rng.uniform(size=(n, 1, 1))
    )
    return (varied + size * (wander + _smooth(noise))).astype(np.float32)


def _smooth(noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return noise of about the same size with the highest frequencies removed."""
    padded = np.pad(noise, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / np.sqrt(3)


def _draw_runs(
    gallery: Gallery, n: int, rng: np.random.Generator, sizes: tuple[int, int]
) -> tuple[IntArray, IntArray]:
    """Return first beat and number of beats of `n` runs within recordings."""
    starts = np.flatnonzero(np.r_[True, np.diff(gallery.codes) != 0])
    lengths = np.diff(np.r_[starts, len(gallery.codes)])
    owner = gallery.targets[starts]
    classes, counts = np.unique(owner, return_counts=True)
    order = np.argsort(owner, kind="stable")
    offset = np.r_[0, np.cumsum(counts)[:-1]]
    drawn = rng.permutation(np.resize(rng.permutation(len(classes)), n))
    run = order[offset[drawn] + (rng.random(n) * counts[drawn]).astype(np.int64)]
    size = np.minimum(rng.integers(sizes[0], sizes[1] + 1, n), lengths[run])
    begin = starts[run] + (rng.random(n) * (lengths[run] - size + 1)).astype(np.int64)
    return begin, size

"""Real beats -> fakes of known kinds, for a judge that must know more than its own generators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy

from core.beat_set import BeatSet
from core.ecgsyn import draw_hearts, simulate
from core.options import PreprocessingOptions
from core.preprocessing.beats import normalise
from core.preprocessing.filters import clean, moving_average
from core.recording import FloatArray

OVER_SMOOTHED_S = (0.045, 0.1)
"""Shortest and longest further moving average of an over-smoothed beat."""
SPLICE_S = (0.05, 0.2)
"""Where a spliced beat goes over to another person's, in s after the R peak: S, ST or early T."""
SPLICE_BEFORE_S = (-0.12, -0.05)
"""Where it does so before the R peak: between P and QRS."""
SPLICE_BEFORE_SHARE = 0.25
SPLICE_FADE_S = (0.005, 0.04)
DEFAULT_RR_S = (0.6, 1.1)
"""RR intervals of simulated hearts where the real beats tell none."""
GAUSSIAN_COMPONENTS = 24
"""Too few for texture: what a quick generator without care would keep."""

Make = Callable[[BeatSet, np.random.Generator, PreprocessingOptions], FloatArray]


def time_reversed(
    beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions
) -> FloatArray:
    """Return beats that run backwards: every other around its R peak, the others as a whole.

    Around the R peak, what the window does not hold is mirrored at its end.
    """
    n_samples = beats.signals.shape[1]
    before = round(beats.before_s * beats.sampling_rate)
    at = np.abs(2 * before - np.arange(n_samples))
    at = np.minimum(at, 2 * (n_samples - 1) - at)
    whole = rng.permutation(len(beats)) % 2 == 0
    if before == 0:
        whole[:] = True
    return np.where(whole[:, None, None], beats.signals[:, ::-1], beats.signals[:, at])


def over_smoothed(
    beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions
) -> FloatArray:
    """Return beats without their fine structure: a second, longer moving average."""
    low, high = (round(s * beats.sampling_rate / 2) for s in OVER_SMOOTHED_S)
    half = rng.integers(max(1, low), max(1, high) + 1, len(beats))
    result = np.empty_like(beats.signals)
    for width in np.unique(half):
        mine = half == width
        result[mine] = scipy.ndimage.uniform_filter1d(
            beats.signals[mine], 2 * int(width) + 1, axis=1, mode="nearest"
        )
    return result


def smoothed_noise(
    beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions
) -> FloatArray:
    """Return noise of each beat's mean and variance, filtered and smoothed as beats are."""
    n, n_samples, n_leads = beats.signals.shape
    margin = round(beats.sampling_rate)
    strips = rng.standard_normal((n, n_samples + 2 * margin, n_leads)).astype(np.float32)
    noise = _as_prepared(strips, beats.sampling_rate, options)[:, margin : margin + n_samples]
    return _like(noise, beats)


def scrambled(
    beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions
) -> FloatArray:
    """Return noise of each beat's own spectrum: its phases are drawn anew, alike in all leads."""
    n, n_samples, _ = beats.signals.shape
    level = beats.signals.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(beats.signals - level, axis=1)
    turn = rng.uniform(0, 2 * np.pi, (n, spectrum.shape[1], 1))
    turn[:, 0] = 0.0
    signals = np.fft.irfft(spectrum * np.exp(1j * turn), n_samples, axis=1)
    return np.asarray(signals + level, dtype=np.float32)


def spliced(beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions) -> FloatArray:
    """Return beats one end of which is another person's, joined at one level.

    Mostly the ST segment and T wave, else what comes before QRS; where and how quickly the one
    goes over to the other is drawn for each beat.
    """
    n = len(beats)
    first = rng.random(n) < SPLICE_BEFORE_SHARE
    if beats.before_s < -SPLICE_BEFORE_S[0]:
        first[:] = False
    at_s = np.where(first, rng.uniform(*SPLICE_BEFORE_S, n), rng.uniform(*SPLICE_S, n))
    return splice(beats, partners(beats, rng), at_s, rng.uniform(*SPLICE_FADE_S, n), first)


def splice(
    beats: BeatSet,
    others: BeatSet,
    at_s: np.ndarray,
    fade_s: np.ndarray,
    first: np.ndarray | None = None,
) -> FloatArray:
    """Return beats that go over to others at a time, at one level.

    Args:
        beats: n beats.
        others: As many, which come after (n,) `at_s`, in s from the R peak.
        at_s: Where the two are half and half.
        fade_s: (n,) how long the going over takes.
        first: (n,) where the other's beat comes before that time instead of after it.
    """
    times = np.arange(beats.signals.shape[1]) / beats.sampling_rate - beats.before_s
    share = np.clip((times - at_s[:, None]) / fade_s[:, None] + 0.5, 0, 1)
    if first is not None:
        share = np.where(first[:, None], 1 - share, share)
    at = np.abs(times - at_s[:, None]).argmin(axis=1)
    rows = np.arange(len(beats))
    level = beats.signals[rows, at] - others.signals[rows, at]
    weight = share[..., None].astype(np.float32)
    joined = beats.signals * (1 - weight) + (others.signals + level[:, None]) * weight
    return np.asarray(joined, dtype=np.float32)


def partners(beats: BeatSet, rng: np.random.Generator) -> BeatSet:
    """Return for each beat another: of another subject where there are several."""
    order = rng.permutation(len(beats))
    chosen = order.copy()
    for subject in np.unique(beats.subject):
        mine = np.flatnonzero(beats.subject == subject)
        strangers = order[beats.subject[order] != subject]
        if len(strangers):
            chosen[mine] = rng.choice(strangers, len(mine))
    return beats.take(chosen)


def ecgsyn(beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions) -> FloatArray:
    """Return beats of the model of McSharry et al. (2003), of each real beat's rate and height.

    Parameters are drawn anew for each beat, and for each lead but for the times of the waves; the
    trace is filtered and smoothed as beats are, and every other has measurement noise before it.
    """
    n, n_samples, n_leads = beats.signals.shape
    rate = beats.sampling_rate
    rr = np.where(np.isfinite(beats.rr_before), beats.rr_before, beats.rr_after).astype(float)
    unknown = ~(np.isfinite(rr) & (rr > 0.3) & (rr < 2.0))
    rr[unknown] = rng.uniform(*DEFAULT_RR_S, int(unknown.sum()))
    hearts = draw_hearts(rr, rng)
    noise = rng.uniform(0, 0.03, (n, 1)) * (rng.permutation(n) % 2 == 0)[:, None]
    leads = []
    for lead in range(n_leads):
        if lead:
            other = draw_hearts(rr, rng)
            hearts = replace(hearts, heights=other.heights)
        trace, peak = simulate(hearts, rate)
        trace += noise * np.ptp(trace, axis=1)[:, None] * rng.standard_normal(trace.shape)
        leads.append(trace)
    strips = np.stack(leads, axis=2).astype(np.float32)
    strips = _as_prepared(strips, rate, options)
    start = np.rint((peak - beats.before_s) * rate).astype(int)
    rows = np.clip(start[:, None] + np.arange(n_samples), 0, strips.shape[1] - 1)
    drawn = strips[np.arange(n)[:, None], rows]
    return _like(drawn, beats, by_height=True)


def plain_gaussian(
    beats: BeatSet, rng: np.random.Generator, options: PreprocessingOptions
) -> FloatArray:
    """Return draws of one Gaussian over the main components of all beats: nobody's beats."""
    n, n_samples, n_leads = beats.signals.shape
    rows = beats.signals.reshape(n, -1).astype(np.float64)
    mean = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = min(GAUSSIAN_COMPONENTS, len(sizes))
    codes = rng.standard_normal((n, kept)) * sizes[:kept] / np.sqrt(max(1, n - 1))
    drawn = mean + codes @ axes[:kept]
    return drawn.reshape(n, n_samples, n_leads).astype(np.float32)


KINDS: dict[str, Make] = {
    "time_reversed": time_reversed,
    "over_smoothed": over_smoothed,
    "smoothed_noise": smoothed_noise,
    "scrambled": scrambled,
    "spliced": spliced,
    "ecgsyn": ecgsyn,
    "plain_gaussian": plain_gaussian,
}

WORDS: dict[str, str] = {
    "time_reversed": "beats that run backwards",
    "over_smoothed": "beats smoothed too much",
    "smoothed_noise": "smoothed noise",
    "scrambled": "noise with the spectrum of beats",
    "spliced": "beats pieced together from two people",
    "ecgsyn": "the ECGSYN simulator",
    "plain_gaussian": "a plain Gaussian generator",
    "gan": "this study's GAN",
    "mixture": "this study's mixture",
}
"""What each kind of fake is called, those of the study's own generators among them."""


def make_kind(
    kind: str, beats: BeatSet, *, seed: int, options: PreprocessingOptions | None = None
) -> BeatSet:
    """Return a fake of one kind for each beat, of the same subject and recording.

    Args:
        kind: A key of `KINDS`.
        beats: Real beats.
        seed: Of every draw.
        options: How the real beats were filtered, smoothed and scaled.
    """
    options = options or PreprocessingOptions()
    if not len(beats):
        return beats
    signals = KINDS[kind](beats, np.random.default_rng(seed), options)
    signals = normalise(np.ascontiguousarray(signals, dtype=np.float32), options.normalisation)
    return replace(beats, signals=signals, synthetic=np.ones(len(beats), np.bool_))


def _as_prepared(
    strips: FloatArray, sampling_rate: float, options: PreprocessingOptions
) -> FloatArray:
    """Return strips (n, n_samples, n_leads) filtered and smoothed as recordings are."""
    n, n_samples, n_leads = strips.shape
    flat = strips.transpose(1, 0, 2).reshape(n_samples, -1)
    flat = clean(
        flat, sampling_rate, highpass_hz=options.highpass_hz, lowpass_hz=options.lowpass_hz
    )
    flat = moving_average(flat, sampling_rate, options.smoothing_ms)
    return flat.reshape(n_samples, n, n_leads).transpose(1, 0, 2)


def _like(drawn: FloatArray, beats: BeatSet, *, by_height: bool = False) -> FloatArray:
    """Return drawn beats of the mean and the variance, or the height, of real ones, by lead."""
    if by_height:
        size, wanted = (np.ptp(x, axis=1, keepdims=True) for x in (drawn, beats.signals))
    else:
        size, wanted = (x.std(axis=1, keepdims=True) for x in (drawn, beats.signals))
    scale = np.divide(wanted, size, out=np.zeros_like(wanted), where=size > 0)
    level = beats.signals.mean(axis=1, keepdims=True)
    return np.asarray((drawn - drawn.mean(axis=1, keepdims=True)) * scale + level, dtype=np.float32)

"""Beats joined to a strip: R peaks, QT, seams, all leads; noise of a recording's own kind."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from core.models.identifier_input import Window
from core.rhythm import Rhythm
from core.strips import BEYOND, Noise, join_beats, place_peaks, seam_spans

RATE = 250.0
WINDOW = Window(before_s=0.25, sampling_rate=RATE)
TIMES = np.arange(175) / RATE - 0.25
T_PEAK_S = 0.28


def _beat(noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Return (175, 1) a beat of Gaussians: P, Q, R, S, and T at 0.28 s."""
    waves = [(-0.16, 0.02, 0.1), (-0.025, 0.008, -0.1), (0, 0.01, 1), (0.03, 0.01, -0.2)]
    waves.append((T_PEAK_S, 0.04, 0.3))
    clean = sum(h * np.exp(-np.square((TIMES - at) / w) / 2) for at, w, h in waves)
    rng = np.random.default_rng(seed)
    return (clean + noise * rng.standard_normal(175))[:, None].astype(np.float32)


def _join(peaks: np.ndarray, beats: np.ndarray, n: int, home: float = 0.8) -> np.ndarray:
    rng = np.random.default_rng(0)
    return join_beats(beats, peaks, WINDOW, home_rr_s=home, n_samples=n, rng=rng)


@pytest.mark.parametrize("heart_rate", [40, 60, 75, 100, 120, 150, 200])
def test_r_peaks_stand_where_they_are_written(heart_rate: int) -> None:
    rhythm = Rhythm(60 / heart_rate, 0.02 * 60 / heart_rate)
    peaks, n = place_peaks(rhythm, 20, RATE, np.random.default_rng(heart_rate))
    signal = _join(peaks, np.stack([_beat(seed=i) for i in range(len(peaks))]), n)
    inside = peaks[BEYOND:-BEYOND]
    assert signal.shape == (n, 1)
    higher = np.flatnonzero(signal[:, 0] > 0.7)
    found = [
        int(run[np.argmax(signal[run, 0])])
        for run in np.split(higher, np.flatnonzero(np.diff(higher) > 1) + 1)
    ]
    assert found == inside.tolist()


@pytest.mark.parametrize("seconds", [1, 2, 60, 600])
@pytest.mark.parametrize("heart_rate", [30, 50, 72, 120, 220])
def test_rate_and_sdnn_are_those_asked_for(heart_rate: int, seconds: int) -> None:
    mean = 60 / heart_rate
    for seed in range(5):
        peaks, n = place_peaks(
            Rhythm(mean, 0.05 * mean), seconds, RATE, np.random.default_rng(seed)
        )
        inside = peaks[BEYOND:-BEYOND]
        assert n == seconds * RATE
        assert len(inside) >= 1
        assert inside[0] >= 0
        assert inside[-1] < n
        assert peaks[BEYOND - 1] < 0
        assert peaks[-BEYOND] >= n
        if seconds >= 60:
            rr = np.diff(inside) / RATE
            assert rr.mean() == pytest.approx(mean, rel=0.01)
            assert rr.std(ddof=1) == pytest.approx(0.05 * mean, rel=0.05)


@pytest.mark.parametrize("rr_s", [0.5, 0.8, 1.2])
def test_qt_follows_rr_and_pr_stays(rr_s: float) -> None:
    step = round(rr_s * RATE)
    peaks = step * np.arange(12)
    signal = _join(peaks, np.repeat(_beat()[None], 12, axis=0), step * 10)[:, 0]
    beat = signal[5 * step :]
    t_peak = (np.argmax(beat[30 : round(0.4 * RATE)]) + 30) / RATE
    assert t_peak == pytest.approx(0.08 + (T_PEAK_S - 0.08) * (rr_s / 0.8) ** 0.4, abs=0.006)
    before = signal[5 * step - round(0.19 * RATE) : 5 * step - round(0.1 * RATE)]
    assert (np.argmax(before) - round(0.19 * RATE)) / RATE == pytest.approx(-0.16, abs=0.006)


@pytest.mark.parametrize("heart_rate", [40, 60, 75, 90, 120, 180])
def test_there_is_no_step_at_a_seam(heart_rate: int) -> None:
    """Beats lie on levels of their own, as wander leaves them; the joins stay smooth."""
    rng = np.random.default_rng(0)
    peaks, n = place_peaks(Rhythm(60 / heart_rate, 0.02), 30, RATE, rng)
    levels = rng.normal(0, 0.1, (len(peaks), 1, 1)).astype(np.float32)
    beats = np.repeat(_beat()[None], len(peaks), axis=0) + levels
    steps = np.abs(np.diff(_join(peaks, beats, n)[:, 0]))
    rr = np.diff(peaks) / RATE
    spans = seam_spans(np.append(rr, rr[-1]), WINDOW, home_rr_s=0.8, after_s=TIMES[-1])
    assert (spans[:, 0] > 0.08).all()
    assert (spans[:, 1] < rr - 0.05).all()
    at = np.concatenate(
        [
            np.arange(peak + int(begin * RATE), peak + int(end * RATE) + 1)
            for peak, (begin, end) in zip(peaks, spans, strict=False)
        ]
    )
    at = at[(at >= 0) & (at < len(steps))]
    t_wave = np.abs(np.diff(_beat()[round(0.33 * RATE) :, 0])).max()
    assert steps[at].max() < 3 * t_wave + 0.3 / (0.1 * RATE)
    assert steps[at].max() < 0.25 * np.abs(np.diff(_beat()[:, 0])).max()


def test_the_gap_of_a_noisy_recording_is_not_silent() -> None:
    peaks = 400 * np.arange(40)
    beats = np.stack([_beat(noise=0.02, seed=i) for i in range(40)])
    signal = _join(peaks, beats, 400 * 39)[:, 0]
    gap = np.stack([signal[p + 190 : p + 300] for p in peaks[1:-1]])
    assert gap.std(axis=1).mean() == pytest.approx(0.02, rel=0.3)
    assert not np.allclose(gap[0], gap[1])


def test_a_single_beat_makes_a_strip() -> None:
    signal = _join(np.array([100]), _beat()[None], 250)
    assert int(np.argmax(signal[:, 0])) == 100
    assert np.isfinite(signal).all()


def test_what_holds_between_leads_holds_in_the_strip() -> None:
    peaks, n = place_peaks(Rhythm(0.9, 0.05), 20, RATE, np.random.default_rng(0))
    one, three = (
        np.stack([_beat(noise=0.01, seed=1_000 * k + i) for i in range(len(peaks))]) for k in (1, 3)
    )
    signal = _join(peaks, np.concatenate([one, one + three, three], axis=2), n)
    np.testing.assert_allclose(signal[:, 1], signal[:, 0] + signal[:, 2], atol=1e-5)


def test_noise_has_the_recordings_level_and_colour() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(7_500) / RATE
    real = 0.05 * rng.standard_normal((7_500, 2)) + 0.1 * np.sin(2 * np.pi * 50 * time)[:, None]
    real[:, 1] *= 2
    real += 0.3 * np.sin(2 * np.pi * 0.25 * time)[:, None]
    drawn = Noise.fit(real.astype(np.float32), np.arange(100, 7_500, 200), RATE).draw(
        15_000, np.random.default_rng(1)
    )
    assert drawn.shape == (15_000, 2)
    assert drawn.std(axis=0) == pytest.approx(real.std(axis=0), rel=0.15)
    for lead in (0, 1):
        frequency, power = welch(drawn[:, lead], RATE, nperseg=2_000)
        assert frequency[np.argmax(power)] == pytest.approx(0.25, abs=0.13)
        high = frequency > 20
        assert frequency[high][np.argmax(power[high])] == pytest.approx(50, abs=0.3)


def test_noise_keeps_what_holds_between_leads() -> None:
    real = np.random.default_rng(0).standard_normal((5_000, 2))
    joint = np.column_stack([real[:, 0], real.sum(axis=1), real[:, 1]]).astype(np.float32)
    drawn = Noise.fit(joint, np.arange(0), RATE).draw(3_000, np.random.default_rng(2))
    np.testing.assert_allclose(drawn[:, 1], drawn[:, 0] + drawn[:, 2], atol=1e-4)


@pytest.mark.parametrize(("rr_s", "height"), [(0.5, 0.79), (0.8, 1.0), (1.2, 1.22)])
def test_t_is_flatter_in_a_faster_heart(rr_s: float, height: float) -> None:
    """The square root of RR over the home RR, 0.8 s; R stays."""
    step = round(rr_s * RATE)
    peaks = step * np.arange(40)
    t_only = 0.3 * np.exp(-np.square((TIMES - T_PEAK_S) / 0.03) / 2)
    r_only = np.exp(-np.square(TIMES / 0.01) / 2)
    beat = (t_only + r_only)[:, None].astype(np.float32)
    signal = _join(peaks, np.repeat(beat[None], 40, axis=0), step * 38)[30 * step : 31 * step, 0]
    assert signal[0] == pytest.approx(1, abs=0.02)
    assert signal[round(0.1 * RATE) : round((min(rr_s, 0.6) - 0.05) * RATE)].max() == pytest.approx(
        0.3 * height, rel=0.05
    )


def test_what_smoothing_took_of_qrs_comes_back_with_the_noise() -> None:
    rng = np.random.default_rng(0)
    peaks = 200 * np.arange(1, 40)
    sharp = 0.4 * np.exp(-np.square(np.arange(-20, 21) / RATE / 0.008) / 2)
    rest = 0.02 * rng.standard_normal((8_000, 2))
    for peak in peaks:
        rest[peak - 20 : peak + 21] += sharp[:, None] * [1, -0.5]
    noise = Noise.fit(rest.astype(np.float32), peaks, RATE)
    at = np.array([5, 300, 777, 1_999])
    bare = noise.draw(2_000, np.random.default_rng(1))
    more = noise.draw(2_000, np.random.default_rng(1), at) - bare
    assert more[at, 0] == pytest.approx(0.4, abs=0.03)
    assert more[at, 1] == pytest.approx(-0.2, abs=0.03)
    assert np.abs(more[400:700]).max() == 0
    assert np.abs(bare).max() < 0.15

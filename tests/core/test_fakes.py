"""Fakes are of the shape of real beats, each wrong in the way that its name says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.ecgsyn import ANGLES, HEIGHTS, WIDTHS, Hearts, simulate
from core.fakes import KINDS, WORDS, make_kind, partners, splice
from core.options import PreprocessingOptions
from core.study import Study


@pytest.fixture(scope="module")
def real(prepared_study: Path) -> BeatSet:
    return Study.open(prepared_study).beats("train")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_new_finite_named_and_drawn_by_its_seed(kind: str, real: BeatSet) -> None:
    fakes = make_kind(kind, real, seed=1)
    assert kind in WORDS
    assert fakes.signals.shape == real.signals.shape
    assert fakes.signals.dtype == np.float32
    assert fakes.synthetic.all()
    assert np.isfinite(fakes.signals).all()
    assert (fakes.subject == real.subject).all()
    assert (fakes.recording == real.recording).all()
    assert np.abs(fakes.signals - real.signals).max(axis=(1, 2)).min() > 0
    np.testing.assert_array_equal(fakes.signals, make_kind(kind, real, seed=1).signals)
    assert len(make_kind(kind, real.take(slice(0, 0)), seed=1)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_several_leads_scaling_and_windows_from_r_to_r(kind: str, real: BeatSet) -> None:
    few = real.take(slice(0, 6))
    two = replace(few, signals=np.repeat(few.signals, 2, axis=2), leads=("I", "II"))
    scaled = make_kind(kind, two, seed=0, options=PreprocessingOptions(normalisation="zscore"))
    np.testing.assert_allclose(scaled.signals.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.signals.std(axis=1), 1, atol=1e-3)
    assert np.isfinite(make_kind(kind, replace(few, before_s=0.0), seed=0).signals).all()


def test_backwards_is_backwards(real: BeatSet) -> None:
    peak = round(real.before_s * real.sampling_rate)
    fakes = make_kind("time_reversed", real, seed=0).signals
    whole = (fakes == real.signals[:, ::-1]).all(axis=(1, 2))
    around = (
        fakes[:, peak - 20 : peak + 21] == real.signals[:, peak - 20 : peak + 21][:, ::-1]
    ).all(axis=(1, 2))
    assert (whole | around).all()
    assert whole.any() and around.any()


def test_smoothing_noise_and_scrambling_keep_what_they_say(real: BeatSet) -> None:
    smooth = make_kind("over_smoothed", real, seed=0).signals
    assert (smooth.max(axis=1) < real.signals.max(axis=1)).all()
    noise = make_kind("smoothed_noise", real, seed=0).signals
    np.testing.assert_allclose(noise.std(axis=1), real.signals.std(axis=1), rtol=0.02)
    same = make_kind("scrambled", real, seed=0).signals
    np.testing.assert_allclose(
        np.abs(np.fft.rfft(same, axis=1))[:, :60],
        np.abs(np.fft.rfft(real.signals, axis=1))[:, :60],
        rtol=1e-2,
        atol=1e-2,
    )


def test_a_splice_is_one_beat_before_and_another_after_it(real: BeatSet) -> None:
    n = len(real)
    others = partners(real, np.random.default_rng(0))
    assert (others.subject != real.subject).all()
    joined = splice(real, others, np.full(n, 0.12), np.full(n, 0.02))
    join = round((real.before_s + 0.12) * real.sampling_rate)
    np.testing.assert_array_equal(joined[:, : join - 4], real.signals[:, : join - 4])
    level = joined[:, join + 5 :] - others.signals[:, join + 5 :]
    assert np.ptp(level, axis=1).max() < 1e-6
    steps = np.abs(np.diff(joined[:, join - 4 : join + 5], axis=1))
    assert steps.max() <= np.abs(np.diff(real.signals, axis=1)).max()


def test_the_simulator_puts_its_waves_where_it_is_told() -> None:
    """McSharry et al. (2003), table I: R highest, P before, T after it, Q and S below."""
    rr = np.full((1, 3), 1.0)
    hearts = Hearts(ANGLES[None], HEIGHTS[None], WIDTHS[None], rr, np.zeros(1))
    trace, peak = simulate(hearts, 500.0)
    time = np.arange(trace.shape[1]) / 500.0 - peak[0]
    beat = trace[0]

    def within(low: float, high: float) -> np.ndarray:
        return np.flatnonzero((time > low) & (time < high))

    window = within(-0.5, 0.5)
    assert abs(time[window[beat[window].argmax()]]) < 0.012
    p_wave, t_wave = within(-0.35, -0.08), within(0.1, 0.48)
    assert time[p_wave[beat[p_wave].argmax()]] == pytest.approx(-70 / 360, abs=0.03)
    assert time[t_wave[beat[t_wave].argmax()]] == pytest.approx(100 / 360, abs=0.04)
    assert beat[within(-0.06, -0.02)].min() < beat[within(-0.1, -0.08)].mean()
    np.testing.assert_allclose(
        beat[within(0.5, 0.9)][:150], beat[within(-0.5, -0.1)][:150], atol=0.02
    )


def test_the_simulator_follows_an_independent_integrator() -> None:
    """The same equation by SciPy's adaptive integrator, which shares nothing with it."""
    from scipy.integrate import solve_ivp

    rr = np.array([[0.8, 0.8, 0.8]])
    trace, peak = simulate(Hearts(ANGLES[None], HEIGHTS[None], WIDTHS[None], rr, np.zeros(1)), 500)
    speed = 2 * np.pi / 0.8

    def slope(t: float, z: np.ndarray) -> np.ndarray:
        away = ((t - peak[0]) * speed - ANGLES + np.pi) % (2 * np.pi) - np.pi
        push = np.sum(HEIGHTS * away * np.exp(-0.5 * (away / WIDTHS) ** 2)) * speed / (2 * np.pi)
        return -push - (z - 0.005 * np.sin(2 * np.pi * 0.25 * t))

    times = np.arange(800, 1100) / 500
    found = solve_ivp(slope, (0, 2.3), [0.0], t_eval=times, rtol=1e-8, atol=1e-9, max_step=0.005)
    assert np.abs(found.y[0] - trace[0, 800:1100]).max() < 2e-3 * np.ptp(trace)

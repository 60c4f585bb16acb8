"""RR intervals that were never measured: mean, spread, spectrum; what is learned of a person."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import welch

from core.rhythm import MAX_DEVIATION, PARTS, Rhythm, draw_rr, fit_rhythms, plausible, with_wishes

BREATHING_ONLY = (0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("n", [3, 10, 70, 4_000])
@pytest.mark.parametrize(("mean", "sdnn"), [(0.5, 0.02), (0.8, 0.05), (1.2, 0.15)])
def test_mean_and_sdnn_are_those_asked_for(n: int, mean: float, sdnn: float) -> None:
    rr = draw_rr(Rhythm(mean, sdnn), n, np.random.default_rng(n))
    assert rr.shape == (n,)
    assert rr.mean() == pytest.approx(mean)
    assert rr.std(ddof=1) == pytest.approx(sdnn)
    assert np.abs(rr - mean).max() <= MAX_DEVIATION * sdnn + 1e-9


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_short_strip_needs_no_spread(n: int) -> None:
    rr = draw_rr(Rhythm(0.8, 0.05), n, np.random.default_rng(0))
    assert rr.shape == (n,)
    assert (np.abs(rr - 0.8) <= 0.05 + 1e-9).all()


def test_one_seed_gives_one_series() -> None:
    first, again, other = (
        draw_rr(Rhythm(0.8, 0.05), 50, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("breathing_hz", [0.2, 0.3])
def test_breathing_stands_where_it_should_in_the_spectrum(breathing_hz: float) -> None:
    rhythm = Rhythm(0.7, 0.05, BREATHING_ONLY, breathing_hz)
    rr = draw_rr(rhythm, 8_192, np.random.default_rng(0))
    frequency, power = welch(rr - rr.mean(), fs=1 / 0.7, nperseg=512)
    centre = (frequency * power).sum() / power.sum()
    assert centre == pytest.approx(breathing_hz, abs=0.02)


def _cosines(breathing_hz: float, n: int, mean: float, seed: int) -> np.ndarray:
    """Return RR intervals of waves of 10 s and twice their power in breathing, made of cosines."""
    rng = np.random.default_rng(seed)
    time = np.arange(n) * mean
    rr = np.full(n, mean)
    for middle, width, height in ((0.1, 0.02, 0.02), (breathing_hz, 0.05, 0.02 * np.sqrt(2))):
        frequency = middle + width * rng.standard_normal(40)
        phase = rng.uniform(0, 2 * np.pi, 40)
        rr += (
            height * np.sqrt(2 / 40) * np.cos(2 * np.pi * np.outer(time, frequency) + phase).sum(1)
        )
    return rr


def test_a_rhythm_is_learned_from_long_recordings() -> None:
    series = [[_cosines(0.3, 2_000, 0.8, seed)] for seed in range(3)]
    for rhythm, (rr,) in zip(fit_rhythms(series), series, strict=True):
        shares = dict(zip(PARTS, rhythm.shares, strict=True))
        assert rhythm.mean_s == pytest.approx(rr.mean(), rel=0.01)
        assert rhythm.sdnn_s == pytest.approx(rr.std(), rel=0.05)
        assert rhythm.breathing_hz == pytest.approx(0.3, abs=0.03)
        assert shares["breathing"] == pytest.approx(2 / 3, abs=0.12)
        assert sum(rhythm.shares) == pytest.approx(1)


def test_who_has_few_intervals_has_the_cohorts_spectrum() -> None:
    cohort = [[_cosines(0.3, 2_000, 0.8, seed)] for seed in range(3)]
    known, unknown = fit_rhythms([*cohort, [np.array([0.61, 0.6, 0.62])]])[2:]
    assert unknown.mean_s == pytest.approx(0.61)
    assert unknown.shares[2] == pytest.approx(known.shares[2], abs=0.15)
    assert unknown.sdnn_s / unknown.mean_s == pytest.approx(known.sdnn_s / known.mean_s, rel=0.1)


def test_nothing_known_is_a_heart_at_rest() -> None:
    (rhythm,) = fit_rhythms([[np.full(5, np.nan)]])
    assert 0.6 <= rhythm.mean_s <= 1.0
    assert 0 < rhythm.sdnn_s < 0.1


def test_early_beats_and_pauses_do_not_count() -> None:
    rr = np.full(20, 0.8)
    rr[7], rr[8], rr[14] = 0.5, 1.1, 3.0
    kept = plausible(rr)
    assert np.flatnonzero(np.isnan(kept)).tolist() == [7, 8, 14]


def test_sdnn_follows_a_mean_that_is_asked_for() -> None:
    faster = with_wishes(Rhythm(1.0, 0.1), mean_s=0.5)
    assert (faster.mean_s, faster.sdnn_s) == (0.5, pytest.approx(0.05))
    assert with_wishes(Rhythm(1.0, 0.1), mean_s=0.5, sdnn_s=0.02).sdnn_s == 0.02

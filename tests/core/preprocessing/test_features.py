from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from core.preprocessing.beats import normalise
from core.preprocessing.features import beat_features, recording_features, rhythm_features

RATE = 250.0


def some_beats(n: int = 12, n_samples: int = 175, n_leads: int = 1):
    rng = np.random.default_rng(0)
    walk = rng.standard_normal((n, n_samples, n_leads)).cumsum(axis=1) / 20
    return walk.astype(np.float32)


@pytest.mark.parametrize("n_samples", [174, 175])
def test_moments_extremes_and_slopes_agree_with_scipy_and_numpy(n_samples):
    beats = some_beats(n_samples=n_samples)
    table = beat_features(beats, RATE)
    x = beats[:, :, 0].astype(np.float64)
    expected = {
        "mean": x.mean(1),
        "variance": x.var(1),
        "skewness": scipy.stats.skew(x, axis=1),
        "kurtosis": scipy.stats.kurtosis(x, axis=1),
        "maximum": x.max(1),
        "minimum": x.min(1),
        "peak_to_peak": np.ptp(x, axis=1),
        "rms": np.sqrt((x**2).mean(1)),
        "time_of_maximum_s": x.argmax(1) / RATE,
        "slope_maximum": np.diff(x, axis=1).max(1) * RATE,
        "slope_minimum": np.diff(x, axis=1).min(1) * RATE,
        "slope_rms": np.sqrt((np.diff(x, axis=1) ** 2).mean(1)) * RATE,
        "curvature_rms": np.sqrt((np.diff(x, 2, axis=1) ** 2).mean(1)) * RATE**2,
    }
    for name, values in expected.items():
        assert table[name].to_numpy() == pytest.approx(values, rel=2e-5, abs=1e-6), name
    assert set(table.dtypes) == {np.dtype(np.float32)}


def test_the_spectrum_agrees_with_the_fft_where_the_bins_meet():
    beats = some_beats(n_samples=500)  # 2 s: bins every 0.5 Hz
    table = beat_features(beats, RATE)
    x = beats[:, :, 0] - beats[:, :, 0].mean(axis=1, keepdims=True)
    magnitude = np.abs(np.fft.rfft(x, axis=1)) / RATE
    for frequency in (1.5, 10.5, 57.0):
        expected = np.log10(magnitude[:, int(frequency * 2)] + 4e-5)
        assert table[f"spectrum_{frequency:g}_hz"].to_numpy() == pytest.approx(expected, abs=1e-3)


def test_several_leads_are_each_lead_alone():
    beats = some_beats(n_leads=3)
    together = beat_features(beats, RATE, leads=("I", "II", "V1"))
    for i, lead in enumerate(("I", "II", "V1")):
        alone = beat_features(beats[:, :, i : i + 1], RATE)
        mine = together[[f"{lead}_{name}" for name in alone.columns]]
        assert np.array_equal(mine.to_numpy(), alone.to_numpy())


def test_the_type_of_the_beats_cannot_be_told_from_their_features():
    beats = some_beats()
    assert beat_features(beats, RATE).equals(beat_features(beats.astype(np.float64), RATE))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zscored_beats_show_no_rounding_errors(dtype):
    beats = some_beats(200)
    x = beats.astype(dtype)
    scaled = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    for table in (
        beat_features(scaled, RATE),
        beat_features(normalise(beats, "zscore"), RATE),
    ):
        assert (table["mean"] == 0).all()
        assert (table["variance"] == 1).all()
        assert (table["rms"] == 1).all()


def test_features_hold_at_twice_the_rate():
    t = np.arange(-0.25, 0.45, 1 / 500)
    x = np.exp(-0.5 * (t / 0.02) ** 2)[None, :, None]
    high, low = beat_features(x, 500), beat_features(x[:, ::2], 250)
    for name in ("variance", "slope_maximum", "curvature_rms", "spectrum_10.5_hz", "kurtosis"):
        assert high[name][0] == pytest.approx(low[name][0], rel=0.03), name


def test_flat_beats_and_no_beats_have_features_too():
    flat = beat_features(np.full((2, 175, 1), 0.3, np.float32), RATE)
    assert np.isfinite(flat.to_numpy()).all()
    assert flat["kurtosis"].tolist() == [0, 0]
    assert beat_features(np.empty((0, 175, 1), np.float32), RATE).shape == (0, flat.shape[1])


def test_rhythm_agrees_with_neurokit2():
    neurokit2 = pytest.importorskip("neurokit2")
    rng = np.random.default_rng(4)
    samples = np.cumsum(np.rint(rng.normal(830, 55, 200))).astype(np.int64)
    theirs = neurokit2.hrv_time(samples, sampling_rate=1000).iloc[0]
    ours = rhythm_features(samples / 1000)
    assert ours["rr_mean_ms"] == pytest.approx(theirs["HRV_MeanNN"])
    assert ours["sdnn_ms"] == pytest.approx(theirs["HRV_SDNN"])
    assert ours["rmssd_ms"] == pytest.approx(theirs["HRV_RMSSD"])
    # NeuroKit2 divides by the number of intervals, the Task Force by that of their differences.
    assert ours["pnn50"] * 198 == pytest.approx(theirs["HRV_pNN50"] / 100 * 199)
    assert ours["heart_rate_bpm"] == pytest.approx(60_000 / theirs["HRV_MeanNN"])


def test_what_no_heart_does_and_unusable_peaks_stay_out_of_the_rhythm():
    regular = np.arange(0, 20, 0.8)
    assert rhythm_features(regular)["rmssd_ms"] == pytest.approx(0, abs=1e-9)
    false_peak = np.sort(np.append(regular, 8.1))
    usable = false_peak != 8.1
    assert rhythm_features(false_peak, usable=usable)["sdnn_ms"] == pytest.approx(0, abs=1e-9)
    missed = np.delete(regular, [10, 11, 12])
    assert rhythm_features(missed)["heart_rate_bpm"] == pytest.approx(75)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_peaks_leave_the_rhythm_unknown(n):
    ours = rhythm_features(np.arange(n) * 0.8)
    assert np.isnan(ours["sdnn_ms"])
    assert np.isnan(ours["heart_rate_bpm"]) == (n < 2)


def test_a_recording_has_moments_for_each_lead():
    x = some_beats(1, 5001, 2)[0]
    ours = recording_features(x, np.arange(20) * 0.8, leads=("I", "II"))
    assert ours["n_beats"] == 20
    assert ours["II_kurtosis"] == pytest.approx(scipy.stats.kurtosis(x[:, 1].astype(np.float64)))
    assert ours["I_skewness"] == pytest.approx(scipy.stats.skew(x[:, 0].astype(np.float64)))
    assert ours["I_maximum"] == x[:, 0].max()
    alone = recording_features(x[:, 1:], np.arange(20) * 0.8, leads=("II",))
    assert alone["variance"] == pytest.approx(ours["II_variance"])

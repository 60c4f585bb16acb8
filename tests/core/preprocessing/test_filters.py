from __future__ import annotations

import numpy as np
import pytest
from scipy import signal as scipy_signal

from core.errors import UserError
from core.preprocessing import filters

RATE = 250.0


def sine(frequency: float, seconds: float, rate: float = RATE, n_leads: int = 1):
    t = np.arange(int(seconds * rate)) / rate
    return np.repeat(np.sin(2 * np.pi * frequency * t)[:, None], n_leads, 1).astype(np.float32)


@pytest.mark.parametrize("frequency", [0.2, 0.5, 1.0, 10.0, 40.0, 60.0])
def test_gain_is_that_of_the_butterworth_run_twice_and_phase_is_none(frequency):
    x = sine(frequency, 60)
    y = filters.clean(x, RATE, highpass_hz=0.5, lowpass_hz=40)
    # Independent of the filtering: the design's transfer function at one frequency, squared.
    sos = scipy_signal.butter(2, (0.5, 40), "bandpass", fs=RATE, output="sos")
    _, response = scipy_signal.sosfreqz(sos, [frequency], fs=RATE)
    middle = slice(5000, 10000)  # 20 s: a whole number of periods of every frequency
    gain = 2 * np.mean(x[middle] * y[middle])
    quadrature = (
        2 * np.mean(np.gradient(x[middle, 0]) * y[middle, 0]) / (2 * np.pi * frequency / RATE)
    )
    assert gain == pytest.approx(float(np.abs(response[0]) ** 2), abs=2e-3)
    assert quadrature == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("n_samples", [5000, 5001, 4999])
@pytest.mark.parametrize("notch_hz", [None, 50])
def test_it_is_sosfiltfilt_away_from_the_ends(n_samples, notch_hz):
    x = np.random.default_rng(0).standard_normal((n_samples, 2)).cumsum(axis=0)
    y = filters.clean(x.astype(np.float32), RATE, highpass_hz=0.5, lowpass_hz=40, notch_hz=notch_hz)
    sos = scipy_signal.butter(2, (0.5, 40), "bandpass", fs=RATE, output="sos")
    if notch_hz:
        notch = scipy_signal.iirnotch(notch_hz, 25, fs=RATE)
        sos = np.vstack([sos, scipy_signal.tf2sos(*notch)])
    expected = scipy_signal.sosfiltfilt(sos, x, axis=0)
    inside = slice(1500, -1500)
    assert np.abs(y[inside] - expected[inside]).max() < 1e-4 * np.abs(expected).max()


def test_notch_takes_the_mains_and_leaves_the_rest():
    kept = {
        f: float(
            np.abs(
                filters.clean(sine(f, 20), RATE, highpass_hz=0.5, lowpass_hz=100, notch_hz=50)[
                    1000:4000
                ]
            ).max()
        )
        for f in (10, 40, 50)
    }
    assert kept[50] < 0.01
    assert kept[10] > 0.98
    assert kept[40] > 0.9


def test_pieces_of_a_long_signal_join_without_a_seam(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((int(90 * RATE), 2)).cumsum(axis=0).astype(np.float32)
    whole = filters.clean(x, RATE, highpass_hz=0.5, lowpass_hz=40)
    monkeypatch.setattr(filters, "CHUNK_SECONDS", 7.3)
    pieces = filters.clean(x, RATE, highpass_hz=0.5, lowpass_hz=40)
    assert np.abs(pieces - whole).max() < 1e-4 * np.abs(whole).max()


def test_a_low_pass_above_the_rate_is_refused():
    with pytest.raises(UserError, match=r"--lowpass-hz: 120 Hz.*at most 112\.5"):
        filters.clean(sine(1, 5), RATE, highpass_hz=0.5, lowpass_hz=120)


@pytest.mark.parametrize(
    ("source", "target"), [(500, 250), (360, 250), (1000, 250), (128, 250), (257, 250), (250, 360)]
)
@pytest.mark.parametrize("odd", [0, 1])
def test_resampling_agrees_with_the_fourier_method(source, target, odd):
    t = np.arange(source * 8 + odd) / source
    parts = [(1.0, 1.3), (0.5, 17.0), (0.2, 38.0)]
    x = sum(a * np.sin(2 * np.pi * f * t + f) for a, f in parts) + 3.0
    y = filters.resample(x[:, None].astype(np.float32), source, target)
    assert y.dtype == np.float32
    assert abs(len(y) - len(t) * target / source) <= 1
    at = np.arange(len(y)) / target
    expected = sum(a * np.sin(2 * np.pi * f * at + f) for a, f in parts) + 3.0
    inside = (at > 1) & (at < 7)
    assert np.abs(y[inside, 0] - expected[inside]).max() < 4e-3
    by_fourier = scipy_signal.resample(x[: source * 8], target * 8)
    inside = slice(2 * target, 6 * target)
    assert np.abs(y[inside, 0] - by_fourier[inside]).max() < 0.02


def test_resampling_takes_away_what_the_lower_rate_cannot_hold():
    y = filters.resample(sine(180, 10, 500), 500, 250)
    assert np.abs(y[250:-250]).max() < 2e-3


@pytest.mark.parametrize(("window_ms", "rate", "size"), [
    (20, 250, 5), (20, 500, 11), (20, 360, 7), (0, 250, 1), (100, 250, 25), (3, 250, 1), (8, 250, 3)
])  # fmt: skip
def test_moving_average_is_centred_and_odd(window_ms, rate, size):
    assert filters.odd_samples(window_ms, rate) == size
    x = np.random.default_rng(1).standard_normal((300, 2)).astype(np.float32)
    y = filters.moving_average(x, rate, window_ms)
    for lead in range(2):
        expected = np.convolve(x[:, lead], np.ones(size) / size, "valid")
        assert y[size // 2 : 300 - size // 2, lead] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("mains", [50, 60])
def test_mains_are_found_in_noise_and_not_where_there_are_none(mains):
    rng = np.random.default_rng(2)
    noise = (0.02 * rng.standard_normal((5000, 1))).astype(np.float32)
    assert filters.power_line_frequency(noise + 0.02 * sine(mains + 0.1, 20), RATE) == mains
    assert filters.power_line_frequency(noise, RATE) is None
    assert filters.power_line_frequency(noise + 0.05 * sine(45, 20), RATE) is None


def test_noise_alone_is_hardly_ever_taken_for_mains():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((200, 2500, 1)).astype(np.float32)
    found = sum(filters.power_line_frequency(x, RATE) is not None for x in noise)
    assert found <= 2


def test_gaps_are_bridged_by_lines_and_remembered():
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    x[3:6, 0] = np.nan
    x[0, 1] = np.inf
    filled, gaps = filters.bridge(x)
    assert filled[:, 0] == pytest.approx(np.arange(0, 20, 2))
    assert filled[0, 1] == 3
    assert gaps.sum() == 4
    assert gaps[3:6, 0].all()
    assert np.isnan(x[3, 0]), "the caller's signal is left alone"
    filled, _ = filters.bridge(np.full((5, 1), np.nan, np.float32))
    assert not filled.any()

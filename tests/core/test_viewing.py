"""What is drawn of a long signal: no extreme and no R peak is lost, in few bytes."""

from __future__ import annotations

import numpy as np
import pytest

from core.viewing import BUDGET_BYTES, MISSING, Layer, Part, overview, pack, points, unpack

RATE = 250.0


def noise(n: int, seed: int, *, gaps: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(n).astype(np.float32)
    for start in rng.integers(0, max(1, n), gaps):
        signal[start : start + int(rng.integers(1, 40))] = np.nan
    return signal


def assert_extremes(signal: np.ndarray, rate: float, found) -> None:
    """Every window's lowest and highest value is there, to the resolution of 16 bits."""
    drawn = found.decoded()
    first, size = round(found.first_s * rate), round(found.step_s * rate)
    near = found.scale * 0.51
    if found.per_step == 1:
        expected = signal[first : first + len(drawn)]
        np.testing.assert_allclose(drawn, expected, atol=near)
        return
    for i, pair in enumerate(drawn.reshape(-1, 2)):
        window = signal[first + i * size : first + (i + 1) * size]
        if np.isnan(window).all():
            assert np.isnan(pair).all()
            continue
        assert abs(pair.min() - np.nanmin(window)) <= near
        assert abs(pair.max() - np.nanmax(window)) <= near
        if np.isfinite(window).all():
            assert (pair[0] <= pair[1]) == (window.argmin() <= window.argmax())


@pytest.mark.parametrize("seed", range(60))
def test_every_window_keeps_its_extremes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 3, 7, 250, 997, 10_007, 60_001]))
    rate = float(rng.choice([125, 250, 360, 500, 1000]))
    signal = noise(n, seed, gaps=int(rng.integers(0, 6)))
    length = n / rate
    start, end = np.sort(rng.uniform(-0.3 * length, 1.3 * length, 2))
    px = int(rng.integers(100, 1600))
    found = points(
        signal, rate, start, end, px_per_s=px / (end - start), most=int(rng.integers(8, 8000))
    )
    assert_extremes(signal, rate, found)
    first, last = max(start, 0), min(end, length)
    if last > first:
        assert found.first_s <= first + 1e-9
        covered = found.first_s + len(found.values) // found.per_step * found.step_s
        assert covered >= last - 1e-9


@pytest.mark.parametrize("zoom", [20, 60, 333, 1801, 7207])
def test_windows_are_at_most_a_pixel(zoom: int) -> None:
    signal = noise(2_000_003, zoom)
    found = points(signal, RATE, 100, 100 + zoom, px_per_s=1100 / zoom, most=8000)
    assert found.step_s <= zoom / 1100
    assert_extremes(signal, RATE, found)


def test_windows_stay_where_they_are_when_the_view_moves() -> None:
    signal = noise(500_000, 0)
    one = points(signal, RATE, 100, 900, px_per_s=1.3, most=3000)
    other = points(signal, RATE, 200, 1000, px_per_s=1.3, most=3000)
    shift = (other.first_s - one.first_s) / one.step_s
    assert shift == pytest.approx(round(shift))


@pytest.mark.parametrize(
    ("signal", "start", "end"),
    [
        (np.zeros(1, np.float32), 0.0, 1.0),
        (np.zeros(0, np.float32), 0.0, 1.0),
        (np.full(5000, np.nan, np.float32), 0.0, 20.0),
        (np.full(5000, 3.25, np.float32), 0.0, 20.0),
        (noise(5000, 1), 30.0, 40.0),
        (noise(5000, 1), -5.0, -1.0),
        (noise(5000, 1), 3.0, 3.0),
    ],
)
def test_edges(signal: np.ndarray, start: float, end: float) -> None:
    found = points(signal, RATE, start, end, px_per_s=3.0, most=50)
    assert_extremes(signal, RATE, found)
    assert len(found.values) <= 50


def test_resolution_is_finer_than_5_microvolts() -> None:
    signal = (noise(5000, 3) * 20).astype(np.float32)
    found = points(signal, RATE, 0, 20, px_per_s=100, most=6000)
    assert found.scale <= 0.005
    assert MISSING not in found.values


def test_overview_is_of_the_whole_signal() -> None:
    signal = noise(1_000_003, 4)
    found = overview(signal, RATE, 600)
    assert_extremes(signal, RATE, found)
    assert len(found.values) <= 1202


def view(
    seconds: float, zoom_s: float, start: float, px: int = 1100, leads: int = 1, seed: int = 0
):
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    signal = np.stack([noise(n, seed + i) for i in range(leads)])
    peaks = np.cumsum(rng.uniform(0.4, 1.2, int(seconds)))
    peaks = peaks[peaks < seconds]
    refused = rng.random(len(peaks)) < 0.2
    parts = [Part(i, start, start + zoom_s) for i in range(leads)]
    data = pack(
        [Layer("clean", signal, RATE)],
        parts,
        px_per_s=px / zoom_s,
        peaks_s=peaks,
        refused=refused,
        token="abc",
    )
    return data, signal, peaks, refused


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("zoom_s", [5.0, 11.0, 47.0, 301.0, 1700.0, 3599.0])
def test_every_r_peak_to_a_pixel(seed: int, zoom_s: float) -> None:
    rng = np.random.default_rng(seed)
    seconds = 3601.0
    start = float(rng.uniform(0, seconds - zoom_s))
    data, _, peaks, refused = view(seconds, zoom_s, start, seed=seed)
    _, _, kept, out = unpack(data)
    px_s = zoom_s / 1100
    for told, known in ((kept, peaks[~refused]), (out, peaks[refused])):
        inside = known[(known >= start) & (known <= start + zoom_s)]
        if len(inside):
            nearest = np.abs(inside[:, None] - told[None]).min(axis=1)
            assert nearest.max() <= px_s
        shown = told[(told >= start) & (told <= start + zoom_s)]
        if len(shown):
            assert np.abs(shown[:, None] - known[None]).min(axis=1).max() <= px_s


@pytest.mark.parametrize("leads", [1, 2, 3, 12])
@pytest.mark.parametrize("zoom_s", [4.0, 12.0, 90.0, 900.0, 3600.0])
def test_a_view_keeps_to_its_budget(leads: int, zoom_s: float) -> None:
    data, signal, _, _ = view(3600, zoom_s, 0, leads=leads)
    assert len(data) <= BUDGET_BYTES
    head, series, _, _ = unpack(data)
    assert head["token"] == "abc"
    assert [one[1] for one in head["series"]] == list(range(leads))
    for lead, found in zip(signal, series, strict=True):
        assert_extremes(lead, RATE, found)
        if leads <= 2:
            assert found.step_s <= zoom_s / 1100 or found.per_step == 1

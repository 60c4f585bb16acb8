"""R peaks on drawn and on real signals, and the benchmark that counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import wfdb
from wfdb.processing import compare_annotations

from benchmarks.rpeaks import Reference, match, read_reference, score
from core.errors import UserError
from core.preprocessing.r_peaks import detect_r_peaks

# Centre (s from R), width (s) and height (mV) of each wave of a beat.
NORMAL = ((-0.17, 0.025, 0.12), (-0.025, 0.008, -0.1), (0.0, 0.011, 1.0), (0.028, 0.01, -0.22))
T_WAVE = (0.28, 0.045, 0.3)
VENTRICULAR = ((0.0, 0.04, -1.3), (0.3, 0.07, 0.5))

Waves = tuple[tuple[float, float, float], ...]


def draw(beats: list[tuple[float, Waves]], seconds: float, rate: float) -> npt.NDArray[np.float32]:
    """Return a signal in mV with a slowly moving baseline and a little noise."""
    t = np.arange(round(seconds * rate)) / rate
    signal = 0.3 * np.sin(2 * np.pi * 0.2 * t)
    signal += 0.01 * np.random.default_rng(0).standard_normal(len(t))
    for at, waves in beats:
        for centre, width, height in waves:
            signal += height * np.exp(-0.5 * ((t - at - centre) / width) ** 2)
    return signal.astype(np.float32)


def sinus(seconds: float = 30.0, t_wave: float = 0.3) -> list[tuple[float, Waves]]:
    """Return normal beats about 0.8 s apart, their RR breathing by 8 %."""
    waves = (*NORMAL, (*T_WAVE[:2], t_wave))
    beats, at = [], 0.53
    while at < seconds - 0.5:
        beats.append((at, waves))
        at += 0.8 * (1 + 0.08 * np.sin(2 * np.pi * at / 4))
    return beats


def assert_found(found: npt.ArrayLike, times: npt.ArrayLike, rate: float, reach_s: float) -> None:
    found, times = np.asarray(found), np.asarray(times)
    assert len(found) == len(times)
    np.testing.assert_allclose(found / rate, times, rtol=0, atol=reach_s)


@pytest.mark.parametrize("rate", [100.0, 128.0, 250.0, 360.0, 500.0, 977.5, 1000.0])
@pytest.mark.parametrize(("gain", "offset"), [(1, 0), (-1, 0), (2e-4, 0), (-200, 1024)])
def test_finds_every_beat_at_any_rate_unit_and_polarity(
    rate: float, gain: float, offset: float
) -> None:
    beats = sinus()
    found = detect_r_peaks(gain * draw(beats, 30, rate) + offset, rate)
    assert_found(found.samples, [at for at, _ in beats], rate, 0.004 + 0.5 / rate)
    assert found.samples.dtype == np.int64
    assert found.polarity.tolist() == [np.sign(gain)]
    assert found.confidence.min() > 0.9


@pytest.mark.parametrize("t_wave", [-0.9, -0.4, 0.6, 0.95])
def test_a_t_wave_as_tall_as_r_is_no_beat(t_wave: float) -> None:
    beats = sinus(t_wave=t_wave)
    found = detect_r_peaks(draw(beats, 30, 250), 250)
    assert_found(found.samples, [at for at, _ in beats], 250, 0.01)


def test_wide_ventricular_beats_are_found_and_marked_on_their_own_side() -> None:
    beats = sinus(60)
    for k in range(5, len(beats) - 2, 6):  # early by 0.3 s, the pause after it compensates
        beats[k] = (beats[k][0] - 0.3, VENTRICULAR)
    found = detect_r_peaks(draw(beats, 60, 360), 360)
    assert_found(found.samples, [at for at, _ in beats], 360, 0.02)
    assert found.polarity.tolist() == [1]


def test_ventricular_bigeminy_marks_each_kind_alike() -> None:
    beats: list[tuple[float, Waves]] = []
    for k in range(30):
        beats += [(0.6 + 1.6 * k, (*NORMAL, T_WAVE)), (1.12 + 1.6 * k, VENTRICULAR)]
    found = detect_r_peaks(draw(beats, 49, 250), 250)
    assert_found(found.samples, [at for at, _ in beats], 250, 0.02)


def test_a_pause_stays_empty() -> None:
    beats = [b for b in sinus(40) if not 15 < b[0] < 20]
    found = detect_r_peaks(draw(beats, 40, 250), 250)
    assert_found(found.samples, [at for at, _ in beats], 250, 0.006)


def test_beats_are_found_on_both_sides_of_a_change_of_gain() -> None:
    beats = sinus(60)
    signal = draw(beats, 60, 250)
    signal[30 * 250 :] *= 0.15
    found = detect_r_peaks(signal, 250)
    assert_found(found.samples, [at for at, _ in beats], 250, 0.006)


def test_jumps_of_100_mv_and_a_settling_amplifier_cost_only_the_beats_beneath_them() -> None:
    beats = sinus(30)
    signal = draw(beats, 30, 500)
    t = np.arange(len(signal)) / 500
    signal += np.where(t > 12, 120 * np.exp(-(t - 12) / 0.3), 0) + 20 * np.exp(-t / 0.2)
    found = detect_r_peaks(signal, 500).samples / 500
    clear = np.array([at for at, _ in beats if at > 2 and not 11.5 < at < 14])
    assert all(np.abs(found - at).min() < 0.01 for at in clear)
    assert len(found) <= len(beats) + 1


def test_nothing_is_found_in_a_gap_and_nothing_lost_around_it() -> None:
    beats = sinus(30)
    signal = draw(beats, 30, 250)
    signal[: 2 * 250] = np.nan
    signal[10 * 250 : 14 * 250] = np.nan
    signal[20 * 250 : 20 * 250 + 3] = np.inf
    found = detect_r_peaks(signal, 250)
    assert np.isfinite(signal[found.samples]).all()
    clear = [at for at, _ in beats if at > 2.1 and not 9.9 < at < 14.1]
    inside = found.samples[
        (found.samples > 525) & ~((found.samples > 2475) & (found.samples < 3525))
    ]
    assert_found(inside, clear, 250, 0.006)


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros(0),
        np.zeros((0, 2)),
        np.ones(50),
        np.full(5000, 1234.5),
        np.full((5000, 3), np.nan),
        np.linspace(-3, 5, 5000),
    ],
    ids=["empty", "empty leads", "short", "flat", "missing", "ramp"],
)
def test_a_signal_without_beats_has_no_peaks(signal: npt.NDArray[np.float64]) -> None:
    found = detect_r_peaks(signal.astype(np.float32), 250)
    assert len(found.samples) == len(found.positions) == len(found.confidence) == 0
    assert len(found.polarity) == (1 if signal.ndim == 1 else signal.shape[1])


@pytest.mark.parametrize("rate", [0.0, -250.0, 20.0, float("nan")])
def test_a_rate_too_low_is_refused(rate: float) -> None:
    with pytest.raises(UserError, match="50 Hz or more"):
        detect_r_peaks(np.ones(5000, dtype=np.float32), rate)


def test_positions_are_finer_than_samples() -> None:
    beats = sinus(60)
    times = np.array([at for at, _ in beats])
    found = detect_r_peaks(draw(beats, 60, 100), 100)

    def spread(marks: npt.NDArray[np.generic]) -> float:
        return float(np.std(marks / 100 - times))

    assert spread(found.positions) < 0.35 * spread(found.samples)
    assert np.abs(found.positions - found.samples).max() <= 0.5


def test_leads_are_used_jointly_and_a_bad_one_does_no_harm() -> None:
    beats = sinus(30)
    good = draw(beats, 30, 250)
    rng = np.random.default_rng(1)
    late = np.where(np.arange(len(good)) < 15 * 250, np.nan, -good)
    leads = np.stack([good * np.where(np.arange(len(good)) < 20 * 250, 1, 0), late], axis=1)
    others = np.stack([np.zeros(len(good)), 3 * rng.standard_normal(len(good))], axis=1)
    found = detect_r_peaks(np.hstack([leads, others]).astype(np.float32), 250)
    assert_found(found.samples, [at for at, _ in beats], 250, 0.03)
    assert found.polarity.tolist()[:3] == [1, -1, 1]


@pytest.fixture(scope="module")
def hard_minute(shared_data: Path) -> Reference:
    """Record 208: normal, fused and wide ventricular beats, in MLII."""
    return read_reference(shared_data / "mitdb" / "208.atr", "default")


def test_scale_and_sign_change_nothing(hard_minute: Reference) -> None:
    signal = hard_minute.signal[: 120 * 360, 0]
    found, again = detect_r_peaks(signal, 360), detect_r_peaks(signal, 360)
    np.testing.assert_array_equal(found.positions, again.positions)
    for factor in (-1.0, 1000.0, -1e-3):
        other = detect_r_peaks((factor * signal.astype(np.float64)).astype(np.float32), 360)
        np.testing.assert_array_equal(other.samples, found.samples)
        np.testing.assert_allclose(other.positions, found.positions, atol=1e-3)
        assert other.polarity[0] == np.sign(factor) * found.polarity[0]


@pytest.mark.parametrize(
    ("record", "start_s"), [("208", 0), ("208", 600), ("119", 300), ("106", 900), ("108", 1200)]
)
def test_agrees_with_the_cardiologists_of_mit_bih(
    shared_data: Path, record: str, start_s: int
) -> None:
    truth = read_reference(shared_data / "mitdb" / f"{record}.atr", "default")
    cut = slice(start_s * 360, (start_s + 60) * 360)
    found = detect_r_peaks(truth.signal[cut], 360).samples
    beats = truth.beats[(truth.beats >= cut.start) & (truth.beats < cut.stop)] - cut.start
    right, _ = match(beats, found, 0.05 * 360)
    assert len(beats) - len(right) <= 1
    assert len(found) - len(right) <= 1


@pytest.mark.parametrize(
    ("name", "least"), [("Person_05/rec_1", 18), ("Person_79/rec_1", 24), ("Person_13/rec_1", 18)]
)
def test_marks_all_beats_of_a_recording_at_the_same_feature(
    shared_data: Path, name: str, least: int
) -> None:
    """Recordings whose S or T is larger than R."""
    record = wfdb.rdrecord(str(shared_data / "ecgid" / name))
    raw, filtered = record.p_signal.T.astype(np.float32)
    found = detect_r_peaks(raw, record.fs).samples
    assert len(found) >= least
    inner = found[(found > 100) & (found < len(raw) - 200)]
    beats = filtered[inner[:, None] + np.arange(-100, 200)]
    likeness = [np.corrcoef(beat, np.median(beats, axis=0))[0, 1] for beat in beats]
    assert min(likeness) > 0.75
    assert np.mean(likeness) > 0.92


@pytest.mark.parametrize(
    ("name", "beats"), [("Person_47/rec_2", 30), ("Person_77/rec_1", 37), ("Person_85/rec_1", 28)]
)
def test_artefact_recordings_keep_most_of_their_beats(
    shared_data: Path, name: str, beats: int
) -> None:
    """Jumps of over 100 mV; the reference marks the first ten beats, the rest were counted."""
    record = wfdb.rdrecord(str(shared_data / "ecgid" / name))
    marks = wfdb.rdann(str(shared_data / "ecgid" / name), "atr")
    found = detect_r_peaks(record.p_signal[:, 0].astype(np.float32), record.fs).samples
    reference = marks.sample[np.array(marks.symbol) == "N"]
    near = np.array([np.abs(found - at).min() <= 0.03 * record.fs for at in reference])
    assert near.sum() >= len(reference) - 1
    assert abs(len(found) - beats) <= 2


def test_the_benchmark_counts_as_wfdb_does() -> None:
    rng = np.random.default_rng(3)
    reference = np.cumsum(rng.integers(200, 400, 300))
    detected = reference + rng.integers(-40, 40, 300)
    detected = np.sort(np.concatenate([detected[rng.random(300) > 0.1], reference[::17] + 100]))
    ours = match(reference, detected, 54)
    theirs = compare_annotations(reference, detected, 54)
    assert len(ours[0]) == theirs.tp
    assert len(reference) - len(ours[0]) == theirs.fn
    assert len(detected) - len(ours[1]) == theirs.fp


def test_the_benchmark_pairs_one_to_one_and_leaves_flutter_out() -> None:
    truth = Reference(
        record="made",
        signal=np.zeros((2000, 1), dtype=np.float32),
        leads=("I",),
        sampling_rate=100.0,
        beats=np.array([100, 200, 900]),
        flutter=((300, 800),),
    )
    # 100 once, though two are near; 200 by the edge of the window; 900 missed by 16 samples.
    counts = score(truth, np.array([95, 104, 215, 400, 700, 916]), 0.15)
    assert (counts.true_positive, counts.false_positive, counts.false_negative) == (2, 2, 1)
    assert counts.f1 == pytest.approx(4 / 7)

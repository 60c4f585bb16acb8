"""What is measured on recordings, against NeuroKit2, reference beats, and made hearts."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from core.errors import UserError
from core.measuring import NOT_TOLD, measure_recording, measure_rows
from core.readers import read_recording
from core.recording import MILLIVOLT, SYNTHETIC, UNKNOWN_UNIT, Recording

PR_S, QRS_S, QT_S = 0.16, 0.09, 0.38
RATE = 500.0
KEYS = {
    "heart_rate": {"mean", "min", "max"},
    "rr_ms": {"mean", "median", "sd", "min", "max"},
    "hrv": {
        *("sdnn_ms", "rmssd_ms", "pnn50", "lf_ms2", "hf_ms2", "lf_hf"),
        *("intervals", "left_out"),
    },
    "intervals_ms": {"pr", "qrs", "qt", "qtc", "qtc_fridericia"},
}


def made_recording(
    peaks: npt.ArrayLike, *, sampling_rate: float = RATE, p: float = 0.12, noise: float = 0.005
) -> Recording:
    """A recording of beats of known PR, QRS and QT with R at times in s; raised cosines."""
    peaks = np.asarray(peaks, dtype=float)
    at = np.arange(round((peaks[-1] + 1) * sampling_rate)) / sampling_rate
    x = noise * np.random.default_rng(0).standard_normal(len(at))
    for peak in peaks:
        near = np.abs(at - peak) < 1.0
        onset = -0.4 * QRS_S
        for start, end, height in (
            (onset - PR_S, onset - PR_S + 0.1, p),
            (onset, onset + 0.3 * QRS_S, -0.1),
            (onset + 0.15 * QRS_S, onset + 0.65 * QRS_S, 1.0),
            (onset + 0.6 * QRS_S, onset + QRS_S, -0.25),
            (onset + QT_S - 0.18, onset + QT_S, 0.3),
        ):
            share = (at[near] - peak - start) / (end - start)
            wave = 0.5 * height * (1 - np.cos(2 * np.pi * share))
            x[near] += np.where((share > 0) & (share < 1), wave, 0.0)
    return Recording(
        signal=x.astype(np.float32)[:, None],
        sampling_rate=sampling_rate,
        leads=("II",),
        units=(MILLIVOLT,),
        record="made",
        path=Path("made.hea"),
    )


def rhythm(seconds: float, *, spread: float = 0.0, seed: int = 0) -> npt.NDArray[np.float64]:
    """Times of R peaks: 75 a minute, slower and faster with each breath and each 10 s."""
    rng = np.random.default_rng(seed)
    times = [0.8]
    while times[-1] < seconds:
        t = times[-1]
        wave = 0.03 * np.sin(2 * np.pi * 0.25 * t) + 0.02 * np.sin(2 * np.pi * 0.1 * t)
        times.append(t + 0.8 + wave + spread * rng.standard_normal())
    return np.array(times)


def test_every_figure_is_there_and_plain(shared_data: Path) -> None:
    measures = measure_recording(read_recording(shared_data / "ecgid/Person_01/rec_1.hea"))
    for group, keys in KEYS.items():
        assert set(measures[group]) == keys
    assert json.loads(json.dumps(measures, allow_nan=False)) == measures
    assert measures["quality"]["verdict"] == "good"
    assert measures["leads"] == ["I"]
    assert measures["duration_s"] == 20.0
    assert any("Variability is of" in words for words in measures["remarks"])
    assert dict(measure_rows(measures))["QRS"] == "68 ms"


def test_variability_is_that_of_neurokit() -> None:
    """NeuroKit2's hrv_time and hrv_frequency of the same R peaks are the golden values."""
    import neurokit2

    times = rhythm(310, spread=0.01)
    measures = measure_recording(made_recording(times))
    peaks = np.rint(times * 1000).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        golden: Any = neurokit2.hrv_time(peaks, sampling_rate=1000)
        spectrum: Any = neurokit2.hrv_frequency(
            peaks, sampling_rate=1000, psd_method="welch", normalize=False
        )
    hrv = measures["hrv"]
    assert hrv["left_out"] == 0
    assert hrv["sdnn_ms"] == pytest.approx(golden["HRV_SDNN"].item(), abs=0.5)
    assert hrv["rmssd_ms"] == pytest.approx(golden["HRV_RMSSD"].item(), abs=0.7)
    assert 100 * hrv["pnn50"] == pytest.approx(golden["HRV_pNN50"].item(), abs=3)
    assert measures["rr_ms"]["mean"] == pytest.approx(golden["HRV_MeanNN"].item(), abs=0.2)
    # sines of 20 and 30 ms hold 200 and 450 ms^2
    assert hrv["lf_ms2"] == pytest.approx(200, rel=0.25)
    assert hrv["hf_ms2"] == pytest.approx(450, rel=0.25)
    ratio = spectrum["HRV_LF"].item() / spectrum["HRV_HF"].item()
    assert hrv["lf_hf"] == pytest.approx(ratio, rel=0.25)


def test_ectopic_beats_are_left_out_of_variability_and_told() -> None:
    times = rhythm(130)
    early = times.copy()
    early[20::20] -= 0.3
    clean, ectopic = (
        measure_recording(made_recording(times)),
        measure_recording(made_recording(early)),
    )
    assert ectopic["hrv"]["left_out"] == pytest.approx(2 * len(early[20::20]), abs=2)
    assert ectopic["hrv"]["sdnn_ms"] == pytest.approx(clean["hrv"]["sdnn_ms"], rel=0.05)
    assert ectopic["hrv"]["rmssd_ms"] == pytest.approx(clean["hrv"]["rmssd_ms"], rel=0.1)
    assert ectopic["rr_ms"]["sd"] > 1.5 * clean["rr_ms"]["sd"]
    assert any("irregular" in words for words in ectopic["remarks"])
    early[10::4] -= 0.3
    assert measure_recording(made_recording(early))["hrv"]["sdnn_ms"] is None


@pytest.mark.parametrize("sampling_rate", [250.0, 500.0, 1000.0])
@pytest.mark.parametrize("rr_s", [0.6, 0.8, 1.1])
def test_known_intervals_are_found(sampling_rate: float, rr_s: float) -> None:
    times = np.arange(0.7, 25, rr_s)
    measures = measure_recording(made_recording(times, sampling_rate=sampling_rate))
    intervals = measures["intervals_ms"]
    assert intervals["pr"] == pytest.approx(1000 * PR_S, abs=12)
    assert intervals["qrs"] == pytest.approx(1000 * QRS_S, abs=12)
    assert intervals["qt"] == pytest.approx(1000 * QT_S, abs=12)
    assert intervals["qtc"] == pytest.approx(intervals["qt"] / np.sqrt(rr_s), abs=1)
    assert intervals["qtc_fridericia"] == pytest.approx(intervals["qt"] / np.cbrt(rr_s), abs=1)
    assert measures["heart_rate"]["mean"] == pytest.approx(60 / rr_s, abs=0.1)


def test_without_p_wave_pr_is_not_told() -> None:
    measures = measure_recording(made_recording(np.arange(0.7, 25, 0.8), p=0.0))
    assert measures["intervals_ms"]["pr"] is None
    assert measures["intervals_ms"]["qrs"] is not None
    assert "PR cannot be told from the median beat." in measures["remarks"]
    assert dict(measure_rows(measures))["PR"] == NOT_TOLD


@pytest.mark.parametrize("name", ["101", "106", "114", "122", "203", "208"])
def test_rate_is_that_of_the_reference_beats(name: str, shared_data: Path) -> None:
    """Reference: the audited beats of MIT-BIH, read by wfdb."""
    import wfdb

    file = shared_data / "mitdb" / name
    marks = wfdb.rdann(str(file), "atr")
    beats = marks.sample[np.isin(marks.symbol, list("NLRBAaJSVrFejnE/fQ"))]
    reference = 60 * (len(beats) - 1) / ((beats[-1] - beats[0]) / marks.fs)
    measures = measure_recording(read_recording(file.with_suffix(".hea")))
    assert measures["heart_rate"]["mean"] == pytest.approx(reference, rel=0.02)
    assert measures["hrv"]["lf_ms2"] is not None or measures["hrv"]["sdnn_ms"] is None


def test_long_recordings_are_measured_piece_by_piece() -> None:
    """A piece is half an hour; nothing is lost or counted twice where two meet."""
    minute = made_recording(np.arange(0.5, 60, 1.0), sampling_rate=250).signal[: 60 * 250]
    one = made_recording([1.0], sampling_rate=250)
    long = measure_recording(replace(one, signal=np.tile(minute, (95, 1))))
    assert long["beats"] == 95 * 60
    assert long["hrv"]["intervals"] == pytest.approx(95 * 60 - 1, abs=3)
    assert long["heart_rate"]["mean"] == 60
    assert long["quality"]["missing_s"] == long["quality"]["artefact_s"] == 0


def test_what_is_wrong_with_a_signal_is_told() -> None:
    whole = made_recording(np.arange(0.7, 40, 0.8))
    gap = whole.signal.copy()
    gap[5000:6000] = np.nan
    found = measure_recording(replace(whole, signal=gap))
    assert found["quality"]["missing_s"] == pytest.approx(2, abs=0.05)
    assert found["rr_ms"]["max"] == pytest.approx(800, abs=10)
    stuck = whole.signal.copy()
    stuck[5000:6000] = stuck[5000]
    assert measure_recording(replace(whole, signal=stuck))["quality"]["flat_s"] == 2.0
    cut = np.clip(whole.signal, None, 0.3)
    assert measure_recording(replace(whole, signal=cut))["quality"]["clipped_s"] > 0.5
    noisy = whole.signal + 0.1 * np.random.default_rng(0).standard_normal(whole.signal.shape)
    clean = measure_recording(whole)["quality"]
    worse = measure_recording(replace(whole, signal=noisy.astype(np.float32)))["quality"]
    assert worse["snr_db"] < clean["snr_db"] - 6
    assert clean["clipped_s"] == clean["flat_s"] == 0


@pytest.mark.parametrize(
    ("signal", "told"),
    [
        (np.zeros((5000, 1), np.float32), "Its signal is flat."),
        (np.ones((100, 1), np.float32), "It lasts 0.2 s"),
        (np.full((5000, 1), np.nan, np.float32), "Its signal is flat."),
        (np.random.default_rng(0).standard_normal((20000, 1)).astype(np.float32), "."),
        (np.empty((0, 1), np.float32), "It lasts 0.0 s"),
    ],
)
def test_what_is_no_ecg_is_told_without_figures(signal: npt.NDArray[np.float32], told: str) -> None:
    measures = measure_recording(replace(made_recording([1.0]), signal=signal))
    for group in ("heart_rate", "rr_ms", "intervals_ms"):
        assert set(measures[group].values()) == {None}
    assert measures["hrv"]["sdnn_ms"] is None
    assert measures["quality"]["verdict"] == "unusable"
    assert told in measures["remarks"][0]
    assert json.dumps(measures, allow_nan=False)
    assert dict(measure_rows(measures))["Heart rate"] == NOT_TOLD


def test_unknown_unit_and_synthetic_origin_are_told() -> None:
    whole = made_recording(np.arange(0.7, 20, 0.8))
    strange = replace(whole, units=(UNKNOWN_UNIT,), remarks=(SYNTHETIC,))
    measures = measure_recording(strange)
    assert measures["unit"] == UNKNOWN_UNIT
    assert measures["synthetic"]
    assert SYNTHETIC in measures["remarks"]
    assert any("unit" in words for words in measures["remarks"])
    # neither unit nor gain changes what is measured
    larger = measure_recording(replace(whole, signal=500 * whole.signal))
    assert larger["intervals_ms"] == pytest.approx(measures["intervals_ms"], abs=0.5)


def test_a_lead_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="there is no lead 'V9'"):
        measure_recording(made_recording(np.arange(0.7, 20, 0.8)), leads=["V9"])

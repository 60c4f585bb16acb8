from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb

from core.errors import UserError
from core.options import PreprocessingOptions
from core.preprocessing.pipeline import preprocess
from core.preprocessing.quality import REASONS
from core.recording import Annotations, Recording
from tests.core.preprocessing.made_ecg import made_ecg, r_times, recording

OPTIONS = PreprocessingOptions()
QUIET = PreprocessingOptions(notch_hz="off")
TIMES = r_times(20)


def inside(times, seconds: float = 20.0):
    return times[(times > 0.26) & (times < seconds - 0.46)]


@pytest.mark.parametrize("rate", [250, 500, 360, 1000, 128, 257])
@pytest.mark.parametrize("seconds", [20.0, 20.003])
def test_peaks_and_beats_are_the_same_at_every_rate(rate, seconds):
    made = preprocess(recording(made_ecg(seconds, rate, times=TIMES), rate), QUIET)
    assert made.r_peaks_source == pytest.approx(TIMES * rate, abs=max(1.0, rate * 0.003))
    assert made.beats.shape == (len(TIMES), 175, 1)
    assert made.beats.dtype == np.float32
    assert made.before_s == 62 / 250
    same = preprocess(recording(made_ecg(20, 250, times=TIMES, noise_mv=0), 250), QUIET)
    assert np.corrcoef(made.beats[3:-3].ravel(), same.beats[3:-3].ravel())[0, 1] > 0.99
    assert not made.recording_rejected
    assert made.recording_quality > 0.9
    assert made.unit == "mV"


def test_what_was_made_is_what_comes_out():
    made = preprocess(recording(made_ecg(20, 500, times=TIMES), 500), OPTIONS)
    n = len(made.r_peaks)
    for name in ("rr_before", "rr_after", "quality", "rejected", "symbol", "features"):
        assert len(getattr(made, name)) == n, name
    assert len(made.clean) == len(made.raw) == len(made.smoothed) == len(made.missing) == 5000
    rr = np.diff(TIMES)
    assert made.rr_before[1:] == pytest.approx(rr, abs=0.004)
    assert made.rr_after[:-1] == pytest.approx(rr, abs=0.004)
    assert made.recording_features["heart_rate_bpm"] == pytest.approx(60 / rr.mean(), rel=0.01)
    assert made.recording_features["n_beats"] == n
    at = made.r_peaks[5]
    assert np.array_equal(made.beats[5], made.smoothed[at - 62 : at + 113])
    assert "mean" in made.features
    assert tuple(made.features.columns) == made.feature_names


def test_several_leads_are_each_lead_alone():
    rng = np.random.default_rng(0)
    one = made_ecg(20, 360, times=TIMES)
    both = np.stack([one, 0.4 * one + 0.02 * rng.standard_normal(len(one))], axis=1)
    together = preprocess(recording(both, 360, leads=("I", "II")), QUIET, leads="all")
    assert together.leads == ("I", "II")
    assert together.beats.shape == (len(TIMES), 175, 2)
    for i, lead in enumerate(("I", "II")):
        alone = preprocess(recording(both, 360, leads=("I", "II")), QUIET, leads=(lead,))
        for signal in ("raw", "clean", "smoothed"):
            mine, theirs = getattr(together, signal)[:, i], getattr(alone, signal)[:, 0]
            assert np.abs(mine - theirs).max() < 1e-6, signal
        assert np.abs(together.r_peaks - alone.r_peaks).max() <= 1
    assert len(together.feature_names) == 2 * len(alone.feature_names)


def test_a_gap_rejects_the_beats_that_touch_it_and_no_other():
    x = made_ecg(20, 500, times=TIMES)
    whole = preprocess(recording(x, 500), QUIET)
    x[4000:4400] = np.nan
    made = preprocess(recording(x, 500), QUIET)
    times = made.r_peaks / 250
    touching = (times + 0.45 > 8.0) & (times - 0.25 < 8.8)
    assert touching.any()
    assert set(made.rejected[touching]) == {"gap"}
    assert not made.rejected[~touching].any()
    assert np.isfinite(made.clean).all()
    assert np.isnan(made.raw[2002:2198]).all()
    assert made.missing.sum() == pytest.approx(200, abs=2)
    assert any("missing" in remark for remark in made.remarks)
    far = np.r_[0:1500, 2800:5000]
    assert np.abs(made.clean[far] - whole.clean[far]).max() < 0.05


def test_a_beat_whose_window_leaves_the_recording_is_rejected():
    times = np.append(0.15, TIMES[TIMES > 0.9])
    made = preprocess(recording(made_ecg(20, 250, times=times), 250), QUIET)
    edge = (made.r_peaks < 62) | (made.r_peaks + 113 > 5000)
    assert np.array_equal(made.rejected == "edge", edge)


@pytest.mark.parametrize("jump_mv", [8.0, 150.0])
def test_after_a_jump_the_rest_stays_usable(jump_mv):
    x = made_ecg(20, 500, times=TIMES)
    t = np.arange(len(x)) / 500
    x += np.where(t > 9, jump_mv * np.exp(-(t - 9) / 0.15), 0).astype(np.float32)
    made = preprocess(recording(x, 500), QUIET)
    times = made.r_peaks / 250
    far = (times < 8) | (times > 11)
    assert np.count_nonzero(far) >= np.count_nonzero((TIMES < 8) | (TIMES > 11))
    assert not made.rejected[far].any()
    assert "artefact" in set(made.rejected)


def test_a_dead_start_holds_no_beats_and_spoils_none():
    x = made_ecg(20, 500, times=TIMES) - 0.6
    x[:2000] = 0
    made = preprocess(recording(x, 500), QUIET)
    assert made.r_peaks.min() > 1000
    late = inside(TIMES[TIMES > 4.6])
    assert np.count_nonzero(made.rejected == "") == len(late)


def test_few_ectopic_beats_are_kept_and_a_burst_of_noise_is_not():
    ectopic = (4, 11)
    x = made_ecg(20, 250, times=TIMES, ectopic=ectopic)
    burst = slice(int(250 * (TIMES[16] - 0.2)), int(250 * (TIMES[16] + 0.4)))
    rng = np.random.default_rng(0)
    x[burst] = 0.6 * rng.standard_normal(burst.stop - burst.start)
    marks = Annotations(
        np.rint(TIMES * 250).astype(np.int64),
        np.array(["V" if i in ectopic else "N" for i in range(len(TIMES))]),
        np.full(len(TIMES), ""),
    )
    made = preprocess(recording(x, 250, annotations=marks), QUIET)
    assert (made.symbol == "V").sum() == len(ectopic)
    assert not made.rejected[made.symbol == "V"].any()
    times = made.r_peaks / 250
    noisy = (times > TIMES[16] - 0.2) & (times < TIMES[16] + 0.4)
    assert set(made.rejected[noisy]) <= {"noise", "amplitude", "artefact"}
    assert noisy.sum() == 0 or made.rejected[noisy].all()
    assert made.quality[made.symbol == "N"][:4].min() > 0.9


def test_quality_does_not_depend_on_the_unit_or_the_size():
    x = made_ecg(20, 250, times=TIMES, noise_mv=0.05)
    one = preprocess(recording(x, 250), QUIET)
    for factor in (1e-3, 200.0):
        other = preprocess(recording(x * np.float32(factor), 250), QUIET)
        assert np.array_equal(one.rejected, other.rejected)
        assert one.quality == pytest.approx(other.quality, abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["white", "walk"])
def test_noise_is_not_taken_for_a_heart(kind, seed):
    x = np.random.default_rng(seed).standard_normal(7500)
    x = x if kind == "white" else x.cumsum()
    made = preprocess(recording(x, 250), OPTIONS)
    assert made.recording_rejected
    assert made.recording_quality == 0


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        (np.zeros(5000), "flat"),
        (np.full(5000, -3.5), "flat"),
        (np.full(5000, np.nan), "flat"),
        (made_ecg(20, 250)[:200], r"0\.8 s"),
        (np.zeros(1), r"0\.0 s"),
        (np.empty(0), r"0\.0 s"),
        (np.where(np.arange(5000) == 2500, np.nan, 0.0), "flat"),
    ],
)
def test_a_useless_recording_says_why_and_raises_nothing(signal, reason):
    made = preprocess(recording(signal, 250), OPTIONS)
    assert re.search(reason, made.recording_rejected)
    assert made.recording_rejected.endswith(".")
    assert made.beats.shape == (0, 175, 1)
    assert made.recording_quality == 0
    assert len(made.clean) == len(signal) or len(signal) < 2


def test_a_dead_lead_does_not_cost_the_others():
    x = made_ecg(20, 250, times=TIMES)
    for dead in (np.zeros_like(x), np.full_like(x, np.nan)):
        both = np.stack([x, dead], axis=1)
        made = preprocess(recording(both, 250, leads=("I", "II")), QUIET, leads="all")
        assert not made.recording_rejected
        assert np.count_nonzero(made.rejected == "") == len(inside(TIMES))
        assert made.remarks == ("There is no signal in II.",)
        assert not made.clean[:, 1].any()


def test_the_mains_are_removed_where_they_are():
    x = made_ecg(20, 500, times=TIMES)
    t = np.arange(len(x)) / 500
    hum = (x + 0.1 * np.sin(2 * np.pi * 50 * t)).astype(np.float32)
    clean = preprocess(recording(x, 500), OPTIONS)
    hummed = preprocess(recording(hum, 500), OPTIONS)
    assert (clean.notch_hz, hummed.notch_hz) == (None, 50)
    assert np.abs(clean.clean - hummed.clean)[250:-250].max() < 0.03
    assert preprocess(recording(hum, 500), QUIET).notch_hz is None
    assert preprocess(recording(x, 500), PreprocessingOptions(notch_hz=60)).notch_hz == 60


@pytest.mark.parametrize("window", ["fixed", "r_to_r"])
@pytest.mark.parametrize("normalisation", ["none", "zscore", "minmax"])
@pytest.mark.parametrize("smoothing_ms", [0, 20])
@pytest.mark.parametrize("rate", [100, 250, 500])
def test_every_combination_of_options_gives_beats(window, normalisation, smoothing_ms, rate):
    options = PreprocessingOptions(
        window=window, normalisation=normalisation, smoothing_ms=smoothing_ms, sampling_rate=rate
    )
    made = preprocess(recording(made_ecg(20, 360, times=TIMES), 360), options)
    assert made.beats.shape == (len(TIMES), round(0.7 * rate), 1)
    assert np.count_nonzero(made.rejected == "") >= len(inside(TIMES)) - 1
    assert np.isfinite(made.feature_values).all()
    assert made.before_s == (0 if window == "r_to_r" else pytest.approx(0.25, abs=0.003))
    assert np.array_equal(made.clean, made.smoothed) == (smoothing_ms == 0)


def test_a_low_pass_too_high_for_the_study_is_the_users_error():
    options = PreprocessingOptions(sampling_rate=100, lowpass_hz=60)
    with pytest.raises(UserError, match="--lowpass-hz"):
        preprocess(recording(made_ecg(5, 250), 250), options)


def test_an_unknown_unit_stays_unknown():
    made = recording(made_ecg(10, 250), 250)
    assert preprocess(replace(made, units=("unknown",)), OPTIONS).unit == "unknown"


def read(path: Path, *, annotated: bool = False) -> Recording:
    record = wfdb.rdrecord(str(path))
    marks = wfdb.rdann(str(path), "atr") if annotated else None
    made = recording(record.p_signal, record.fs, leads=tuple(record.sig_name))
    if marks is None:
        return made
    return replace(
        made,
        annotations=Annotations(
            np.asarray(marks.sample, np.int64), np.asarray(marks.symbol), np.asarray(marks.aux_note)
        ),
    )


@pytest.mark.parametrize(("record", "ventricular"), [("119", 400), ("208", 900), ("223", 400)])
def test_real_ventricular_beats_are_kept(shared_data, record, ventricular):
    made = preprocess(read(shared_data / "mitdb" / record, annotated=True), OPTIONS)
    mine = made.rejected[made.symbol == "V"]
    assert len(mine) > ventricular
    assert np.mean(mine == "") > 0.99
    assert set(made.rejected) - {""} <= set(REASONS)


@pytest.mark.parametrize("name", ["Person_47/rec_2", "Person_77/rec_1", "Person_85/rec_1"])
def test_what_is_sound_in_artefact_recordings_is_kept(shared_data, name):
    made = preprocess(read(shared_data / "ecgid" / name), OPTIONS, leads=("ECG I",))
    assert not made.recording_rejected
    assert np.count_nonzero(made.rejected == "") >= 20
    assert made.rejected.astype(bool).any()
    assert np.abs(made.beats[made.rejected == ""]).max() < 5

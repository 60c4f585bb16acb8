"""The simulated demo cohort: what is in the folder is what the script makes, and is plausible."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import wfdb

from benchmarks import make_demo
from core.generating import check_current
from core.options import MODEL_NAMES
from core.study import Study

DEMO = make_demo.DEMO_FOLDER
MOST_BYTES = 2_000_000
MOST_STUDY_BYTES = 10_000_000
MOST_ADC_UNITS_APART = 2
"""Other builds of numpy and SciPy round differently in the last place."""


def headers() -> list[Path]:
    return sorted(DEMO.glob("S*/session_*.hea"))


def test_script_twice_gives_the_files_of_the_folder(tmp_path: Path) -> None:
    for run in ("first", "second"):
        make_demo.write_session(1, 2, tmp_path / run)
    data = [
        folder / "S01" / "session_2.dat" for folder in (tmp_path / "first", tmp_path / "second")
    ]
    assert data[0].read_bytes() == data[1].read_bytes()
    made, kept = (np.fromfile(path, "<i2") for path in (data[0], DEMO / "S01" / "session_2.dat"))
    np.testing.assert_allclose(made, kept, rtol=0, atol=MOST_ADC_UNITS_APART)
    comments = [
        wfdb.rdheader(str(folder / "S01" / "session_2")).comments
        for folder in (tmp_path / "first", DEMO)
    ]
    assert comments[0] == comments[1]


def test_two_dated_sessions_of_24_subjects_small_enough_to_ship() -> None:
    days: dict[str, list[datetime]] = {}
    for path in headers():
        header = wfdb.rdheader(str(path.with_suffix("")))
        assert header.comments[0].startswith("Simulated ECG")
        assert (header.fs, header.sig_len, header.sig_name, header.units, header.fmt) == (
            250,
            7500,
            ["I"],
            ["mV"],
            ["16"],
        )
        day = datetime.strptime(header.comments[1], "ECG date: %d.%m.%Y")
        days.setdefault(path.parent.name, []).append(day)
    assert len(days) == 24
    assert all(len(both) == 2 and both[0] < both[1] for both in days.values())
    assert sum(f.stat().st_size for f in DEMO.rglob("*") if f.is_file()) < MOST_BYTES


@pytest.mark.parametrize("path", headers(), ids=lambda p: f"{p.parent.name}-{p.stem[-1]}")
def test_rate_and_amplitude_are_those_of_a_resting_adult(path: Path) -> None:
    sleepecg = pytest.importorskip("sleepecg")
    signal = wfdb.rdrecord(str(path.with_suffix(""))).p_signal[:, 0]
    peaks = sleepecg.detect_heartbeats(signal, 250)
    assert 45 <= 60 * 250 / np.median(np.diff(peaks)) <= 105
    heights = [
        signal[p - 10 : p + 11].max() - np.median(signal[p - 150 : p + 150])
        for p in peaks
        if 150 <= p < len(signal) - 150
    ]
    assert 0.3 <= np.median(heights) <= 2.2
    assert np.abs(signal).max() < 3


def test_shipped_study_is_small_enough_to_ship() -> None:
    study = DEMO.parent / "demo_study"
    assert sum(f.stat().st_size for f in study.rglob("*") if f.is_file()) < MOST_STUDY_BYTES


def test_every_model_of_the_shipped_study_is_of_this_version() -> None:
    study = Study.open(DEMO.parent / "demo_study")
    for name in MODEL_NAMES:
        check_current(study, name)

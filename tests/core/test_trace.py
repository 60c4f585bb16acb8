"""A recording of a study, or a file, as a viewer opens it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import trace, workflow
from core.errors import UserError
from core.options import PrepareOptions
from core.readers import read_recording
from core.study import CLEAN, RAW, Study

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
FILE = DEMO / "S01" / "session_1.hea"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("prepared") / "one"
    workflow.prepare([DEMO / "S01"], folder)
    return Study.open(folder)


def test_a_recording_of_a_study(study: Study, tmp_path: Path) -> None:
    name = study.recordings["recording"].iloc[0]
    found = trace.of_study(study, name, tmp_path)
    signals = study.signals(name)
    np.testing.assert_array_equal(found.layers["raw"].signal, signals[RAW].T)
    np.testing.assert_array_equal(found.layers["clean"].signal, signals[CLEAN].T)
    assert found.words["clean"] == "0.5 to 40 Hz, notch 50 Hz"
    assert found.words["raw"] == "raw, unfiltered"
    beats = study.beat_table[study.beat_table["recording_name"] == name]
    np.testing.assert_allclose(found.peaks_s * study.sampling_rate, beats["r_sample"])
    assert found.refused.sum() == (beats["rejected"] != "").sum()
    assert found.simulated
    assert not found.synthetic


def test_long_signals_are_kept_in_files(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = study.recordings["recording"].iloc[0]
    short = trace.of_study(study, name, tmp_path / "short")
    monkeypatch.setattr(trace, "LONG_BYTES", 10)
    long = trace.of_study(study, name, tmp_path / "long")
    for kind in trace.KINDS:
        np.testing.assert_array_equal(long.layers[kind].signal, short.layers[kind].signal)
        assert isinstance(long.layers[kind].signal, np.memmap)
    assert not (tmp_path / "short").exists()
    again = trace.of_study(study, name, tmp_path / "long")
    np.testing.assert_array_equal(again.layers["smoothed"].signal, short.layers["smoothed"].signal)


def test_a_file_has_its_own_rate_and_is_read_once(tmp_path: Path) -> None:
    found = trace.of_file(FILE, PrepareOptions(), tmp_path / "kept")
    recording = read_recording(FILE)
    np.testing.assert_allclose(found.layers["raw"].signal, recording.signal.T)
    assert found.layers["raw"].sampling_rate == recording.sampling_rate
    assert found.leads == recording.leads
    assert found.standard_places is None
    again = trace.of_file(tmp_path / "gone.hea", PrepareOptions(), tmp_path / "kept")
    np.testing.assert_array_equal(again.peaks_s, found.peaks_s)
    np.testing.assert_allclose(again.recording().signal, recording.signal)


def test_what_is_wrong_with_a_file_is_told_and_nothing_is_kept_of_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken.hea"
    broken.write_text("broken 1 250 7500\nbroken.dat 16 200/mV\n")
    with pytest.raises(UserError, match="broken"):
        trace.of_file(broken, PrepareOptions(), tmp_path / "no")
    assert not (tmp_path / "no" / trace.ABOUT).exists()


def test_twelve_leads_are_found_in_any_order(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "formats" / "hl7_aecg" / "example_aecg.xml"
    found = trace.of_file(file, PrepareOptions(), tmp_path / "kept")
    assert found.standard_places is not None
    assert [found.leads[i] for i in found.standard_places] == list(trace.STANDARD)


def test_unit_unknown_stays_unknown(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "formats" / "txt" / "e0103.csv"
    found = trace.of_file(file, PrepareOptions(), tmp_path / "kept", source_rate=250.0)
    assert found.unit == "unknown"

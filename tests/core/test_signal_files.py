"""Strips in files: read by other libraries and by this project, byte for byte the same, marked."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyedflib
import pytest
import wfdb

from core import workflow
from core.errors import UserError
from core.provenance import Provenance
from core.readers import read_recording
from core.recording import SYNTHETIC
from core.signal_files import Strip, write_strip

RATE = 250.0
PEAKS = np.array([100, 305, 511, 2_400])


def _strip(n: int = 2_500, leads: tuple[str, ...] = ("I", "II"), rate: float = RATE) -> Strip:
    rng = np.random.default_rng(0)
    signal = 0.05 * rng.standard_normal((n, len(leads)))
    signal[PEAKS] += 1.5
    told = Provenance(model="gan", seed=7, study="Field, study #2", more=(("Noise", "off"),))
    return Strip(
        signal=signal.astype(np.float32),
        sampling_rate=rate,
        leads=leads,
        unit="mV",
        r_peaks=PEAKS,
        subject="S_01",
        provenance=told,
    )


ENDINGS = [".hea", ".dat", ".edf", ".csv"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_strip_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    digests = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        files = write_strip(_strip(), folder / f"strip{ending}")
        assert sorted(folder.iterdir()) == sorted(files)
        digests.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("ending", ENDINGS)
def test_this_project_reads_what_it_wrote(tmp_path: Path, ending: str) -> None:
    strip = _strip()
    recording = read_recording(write_strip(strip, tmp_path / f"strip{ending}")[0])
    assert recording.leads == ("I", "II")
    assert recording.units == ("mV", "mV")
    assert recording.sampling_rate == RATE
    assert recording.subject == "S_01"
    assert recording.start is None
    assert recording.session == ""
    np.testing.assert_allclose(recording.signal, strip.signal, atol=1e-4)
    assert recording.annotations is not None
    beats = recording.annotations.samples[recording.annotations.symbols == "N"]
    assert beats.tolist() == PEAKS.tolist()
    assert SYNTHETIC in recording.remarks


def test_wfdb_reads_it(tmp_path: Path) -> None:
    write_strip(_strip(), tmp_path / "strip.hea")
    record = wfdb.rdrecord(str(tmp_path / "strip"))
    marks = wfdb.rdann(str(tmp_path / "strip"), "atr")
    np.testing.assert_allclose(record.p_signal, _strip().signal, atol=1e-4)
    assert (record.fs, record.units, record.sig_name) == (RATE, ["mV", "mV"], ["I", "II"])
    assert marks.sample.tolist() == PEAKS.tolist()
    assert set(marks.symbol) == {"N"}
    assert marks.fs == RATE
    text = "\n".join(record.comments)
    for word in ("Synthetic:", "Model: gan", "Seed: 7", "Study: Field, study #2", "CardioTwin 0."):
        assert word in text


def test_pyedflib_reads_it(tmp_path: Path) -> None:
    write_strip(_strip(), tmp_path / "strip.edf")
    with pyedflib.EdfReader(str(tmp_path / "strip.edf")) as file:
        assert file.filetype == pyedflib.FILETYPE_EDFPLUS
        assert file.getSignalLabels() == ["ECG I", "ECG II"]
        assert file.getSampleFrequencies().tolist() == [RATE, RATE]
        assert [file.getPhysicalDimension(i) for i in (0, 1)] == ["mV", "mV"]
        signal = np.column_stack([file.readSignal(i) for i in (0, 1)])
        onsets, _, texts = file.readAnnotations()
        header = file.getHeader()
    np.testing.assert_allclose(signal, _strip().signal, atol=1e-4)
    assert np.rint(onsets[texts == "N"] * RATE).tolist() == PEAKS.tolist()
    for word in ("Synthetic ECG", "model gan", "seed 7", "Field, study #2", "CardioTwin 0."):
        assert word in texts[0]
    assert header["equipment"].startswith("CardioTwin 0.")
    assert "synthetic gan seed 7" in header["recording_additional"]
    assert header["patient_additional"] == "Synthetic, no person"


def test_pandas_reads_it(tmp_path: Path) -> None:
    write_strip(_strip(), tmp_path / "strip.csv")
    table = pd.read_csv(tmp_path / "strip.csv", comment="#")
    assert list(table.columns) == ["time (s)", "I (mV)", "II (mV)", "R peak"]
    np.testing.assert_allclose(table.iloc[:, 1:3], _strip().signal, atol=1e-5)
    assert np.flatnonzero(table["R peak"]).tolist() == PEAKS.tolist()
    assert table["time (s)"].iloc[-1] == pytest.approx(2_499 / RATE)
    head = (tmp_path / "strip.csv").read_text().splitlines()[:12]
    for word in ("Synthetic:", "Model: gan", "Seed: 7", "Study: Field, study #2", "CardioTwin 0."):
        assert any(line.startswith("#") and word in line for line in head)


@pytest.mark.parametrize("rate", [128.0, 257.5, 360.0])
def test_edf_has_any_rate_and_length(tmp_path: Path, rate: float) -> None:
    """A file of whole data records may be a little longer than the strip."""
    strip = _strip(n=2_700, rate=rate)
    write_strip(strip, tmp_path / "strip.edf")
    recording = read_recording(tmp_path / "strip.edf")
    assert recording.sampling_rate == pytest.approx(rate)
    assert 2_700 <= len(recording.signal) < 2_700 + 2 * rate
    np.testing.assert_allclose(recording.signal[:2_700], strip.signal, atol=1e-4)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("factor", [1e-3, 1e5])
def test_a_unit_that_is_not_known_stays_unknown(tmp_path: Path, ending: str, factor: float) -> None:
    strip = replace(_strip(), unit="unknown")
    strip = replace(strip, signal=strip.signal * np.float32(factor))
    recording = read_recording(write_strip(strip, tmp_path / f"strip{ending}")[0])
    assert recording.units == ("unknown", "unknown")
    np.testing.assert_allclose(recording.signal, strip.signal, atol=1e-3 * factor)


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_in_other_letters_do_no_harm(tmp_path: Path, ending: str) -> None:
    told = replace(_strip().provenance, study="Etüde 心電図, fs = 1: #3\nlabels: x")
    strip = replace(_strip(), subject="Zoë 7", provenance=told)
    recording = read_recording(write_strip(strip, tmp_path / f"strip{ending}")[0])
    assert recording.sampling_rate == RATE
    assert recording.leads == ("I", "II")
    assert recording.subject in ("Zoë 7", "Zoe 7")


def test_twelve_leads_go_the_same_way(tmp_path: Path) -> None:
    names = ("I", "II", "III", "aVR", "aVL", "aVF", *(f"V{i}" for i in range(1, 7)))
    for ending in (".hea", ".edf", ".csv"):
        recording = read_recording(write_strip(_strip(leads=names), tmp_path / f"strip{ending}")[0])
        assert recording.leads == names


def test_a_study_of_strips_says_that_they_are_synthetic(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    peaks = np.arange(150, 5_000, 200)
    signal = 0.01 * rng.standard_normal((5_000, 1))
    for peak in peaks:
        signal[:, 0] += np.exp(-np.square((np.arange(5_000) - peak) / 3) / 2)
    strip = replace(_strip(leads=("I",)), signal=signal.astype(np.float32), r_peaks=peaks)
    write_strip(strip, tmp_path / "strip.edf")
    found = workflow.prepare([tmp_path / "strip.edf"], tmp_path / "study")
    assert "1 of 1 recordings say that they are synthetic" in found["remarks"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("strip.txt", "is not a name for a strip"),
        ("a strip.hea", "is not a name for a WFDB record"),
        ("nowhere/strip.csv", "cannot be written"),
    ],
)
def test_names_that_no_strip_can_have(tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        write_strip(_strip(), tmp_path / name)
    assert not list(tmp_path.iterdir())

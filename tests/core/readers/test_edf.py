"""EDF files with channels of several rates, without a patient, with interruptions."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyedflib
import pytest

from core.errors import UserError
from core.readers import read_recording
from tests.core.readers.writers import FORMATS


def _write_sleep_study(path: Path, start: datetime) -> None:
    """Write 10 s of four channels: EEG at 100 Hz, ECG at 200 Hz, EMG at 400 Hz, SpO2 at 1 Hz."""
    channels = [("EEG C3", "uV", 100), ("ECG II", "mV", 200), ("EMG", "uV", 400), ("SpO2", "%", 1)]
    with pyedflib.EdfWriter(str(path), 4, file_type=pyedflib.FILETYPE_EDF) as file:
        for i, (label, unit, rate) in enumerate(channels):
            limits = {"physical_max": 100.0, "physical_min": -100.0}
            file.setSignalHeader(
                i, {"label": label, "dimension": unit, "sample_frequency": rate, **limits}
            )
        file.setStartdatetime(start)
        file.writeSamples([np.linspace(0, 10, 10 * rate) for _, _, rate in channels])


def test_the_rate_is_that_of_the_ecg_and_other_channels_follow(tmp_path: Path) -> None:
    path = tmp_path / "night.edf"
    _write_sleep_study(path, datetime(2020, 2, 29, 22))
    recording = read_recording(path)
    assert recording.sampling_rate == 200
    assert recording.leads == ("EEG C3", "II", "EMG", "SpO2")
    assert recording.units == ("mV", "mV", "mV", "%")
    assert recording.signal.shape == (2000, 4)
    np.testing.assert_allclose(recording.signal[:, 1], np.linspace(0, 10, 2000), atol=0.004)
    np.testing.assert_allclose(recording.signal[::2, 0], np.linspace(0, 0.01, 1000), atol=5e-6)
    np.testing.assert_allclose(recording.signal[:, 2], recording.signal[:, 1] / 1000, atol=2e-5)
    assert recording.remarks == ("Interpolated to 200 Hz: EEG C3, EMG, SpO2.",)
    assert (recording.subject, recording.session) == ("", "2020-02-29")
    assert recording.start == datetime(2020, 2, 29, 22)


def test_a_date_that_was_taken_out_is_unknown(tmp_path: Path) -> None:
    _write_sleep_study(tmp_path / "night.edf", datetime(1985, 1, 1))
    recording = read_recording(tmp_path / "night.edf")
    assert (recording.session, recording.start) == ("", None)


def test_interruptions_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = FORMATS["edf+"].write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"EDF+C", b"EDF+D", 1))
    with pytest.raises(UserError, match="interruptions"):
        read_recording(path)
    assert capfd.readouterr() == ("", "")

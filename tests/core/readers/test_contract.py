"""Every reader keeps the same contract: what was written is what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from core.errors import UserError
from core.readers import find_recordings, read_recording, resolve_subject
from tests.core.readers.writers import FORMATS, RATE, Expected, known_signal

EVERY_FORMAT = pytest.mark.parametrize("expected", FORMATS.values(), ids=FORMATS.keys())


@EVERY_FORMAT
def test_reads_what_was_written(
    expected: Expected, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = expected.write(tmp_path)
    recording = read_recording(path, source_rate=expected.source_rate)

    assert recording.signal.dtype == np.float32
    assert recording.signal.shape == (1000, 2)
    np.testing.assert_allclose(
        recording.signal, known_signal() * expected.factor, atol=expected.tolerance, rtol=1e-5
    )
    assert recording.sampling_rate == RATE
    assert recording.leads == expected.leads
    assert recording.units == expected.units
    assert recording.subject == expected.subject
    assert recording.session == expected.session
    assert recording.label == expected.label
    assert recording.record == "rec"
    assert "kept" not in repr(recording)  # The names that the writers put in
    assert capfd.readouterr() == ("", "")


@EVERY_FORMAT
def test_is_found_once_in_a_folder(expected: Expected, tmp_path: Path) -> None:
    folder = tmp_path / "somebody"
    folder.mkdir()
    path = expected.write(folder)
    found = find_recordings([tmp_path, folder, path])
    assert [source.path.stem for source in found] == ["rec"]
    assert found[0].kind == "recording"
    recording = read_recording(found[0].path, source_rate=expected.source_rate)
    assert resolve_subject(recording, found[0]) == (expected.subject or "somebody")
    assert resolve_subject(recording, found[0], "folder") == "somebody"
    assert resolve_subject(recording, found[0], "file") == "rec"


@EVERY_FORMAT
def test_the_rate_of_the_file_goes_before_the_one_given(expected: Expected, tmp_path: Path) -> None:
    recording = read_recording(expected.write(tmp_path), source_rate=1000)
    assert recording.sampling_rate == (1000 if expected.source_rate else RATE)


@EVERY_FORMAT
def test_a_rate_told_nowhere_is_asked_for(expected: Expected, tmp_path: Path) -> None:
    path = expected.write(tmp_path)
    if expected.source_rate is None:
        read_recording(path)
    else:
        with pytest.raises(UserError, match="--source-rate"):
            read_recording(path)


@pytest.mark.parametrize("rate", [0, -250, 1, 1e9, float("nan"), float("inf")])
def test_an_impossible_source_rate_is_refused(rate: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--source-rate: .* is not allowed. Give a number from 20"):
        read_recording(FORMATS["npy"].write(tmp_path), source_rate=rate)


def test_marks_come_with_the_signal(tmp_path: Path) -> None:
    marks = read_recording(FORMATS["wfdb"].write(tmp_path)).annotations
    assert marks is not None
    assert marks.samples.tolist() == [75, 275]
    assert marks.symbols.tolist() == ["N", "V"]

    marks = read_recording(FORMATS["edf+"].write(tmp_path)).annotations
    assert marks is not None
    assert marks.samples.tolist() == [75, 125]
    assert marks.symbols.tolist() == ["V", '"']
    assert marks.notes.tolist() == ["", "cough"]


def test_marks_at_a_rate_of_their_own(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    samples = np.array([150, 550, 3000])
    wfdb.wrann("rec", "atr", samples, ["N", "V", "N"], fs=500, write_dir=str(tmp_path))
    marks = read_recording(header).annotations
    assert marks is not None
    assert marks.samples.tolist() == [75, 275]  # The third lies behind the end
    assert marks.symbols.tolist() == ["N", "V"]

"""What a folder holds, told before it is prepared."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UserError
from core.readers import check
from core.readers.check import check_folder, manifest_text


def write(path: Path, seconds: int = 4, *, time: bool = True) -> None:
    """Write a table of one lead at 250 Hz, with or without a column that tells so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{i / 250:.3f},{i % 9}" if time else f"{i % 9}" for i in range(seconds * 250)]
    path.write_text("\n".join(["time,I" if time else "I", *rows]))


def test_recordings_are_told_with_whose_they_are(tmp_path: Path) -> None:
    write(tmp_path / "Ann" / "a.csv")
    write(tmp_path / "Bob" / "rec_10.csv", 3)
    write(tmp_path / "Bob" / "rec_2.csv")
    found = check_folder(tmp_path).found
    assert [(f.path, f.subject, f.leads, f.sampling_rate, f.seconds) for f in found] == [
        ("Ann/a.csv", "Ann", "I", 250, 4),
        ("Bob/rec_2.csv", "Bob", "I", 250, 4),
        ("Bob/rec_10.csv", "Bob", "I", 250, 3),
    ]
    assert check_folder(tmp_path, subject_from="file").found[1].subject == "rec_2"


def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", time=False)
    (tmp_path / "b.edf").write_bytes(b"x" * 300)
    (tmp_path / "c.txt").write_text("just words")
    checked = check_folder(tmp_path)
    assert {r.path for r in checked.refused} == {"a.csv", "b.edf", "c.txt"}
    assert all(r.reason and r.fix for r in checked.refused)
    again = check_folder(tmp_path, source_rate=250)
    assert [f.path for f in again.found] == ["a.csv"]


def test_many_or_large_recordings_are_found_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(4):
        write(tmp_path / f"a_{i}.csv")
    monkeypatch.setattr(check, "MOST_READ", 1)
    checked = check_folder(tmp_path)
    assert len(checked.found) == 4
    assert checked.unread == 3
    assert [f.seconds for f in checked.found] == [4, None, None, None]
    monkeypatch.setattr(check, "LARGEST_READ_BYTES", 10)
    assert check_folder(tmp_path).unread == 4


def test_a_folder_without_a_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("just words")
    with pytest.raises(UserError, match="holds no ECG recording"):
        check_folder(tmp_path)


def test_a_manifest_keeps_commas_and_gaps(tmp_path: Path) -> None:
    write(tmp_path / "a, b.csv")
    rows = check_folder(tmp_path).found
    assert manifest_text(rows).splitlines() == [
        "path,subject,session,label",
        f'"a, b.csv",{tmp_path.name},,',
    ]

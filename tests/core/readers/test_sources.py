"""Files, folders and manifests become the right recordings of the right people, in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.readers import (
    SUPPORTED_FORMATS,
    find_recordings,
    read_recording,
    resolve_subject,
    survey_sources,
)
from tests.core.readers.writers import FORMATS, known_signal


def _record(folder: Path, name: str = "rec") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npz"
    np.savez(path, signal=known_signal(), sampling_rate=250, units="mV")
    return path


def _subjects(source: Path, subject_from: str | None = None) -> list[str]:
    return [
        resolve_subject(read_recording(found.path), found, subject_from)  # type: ignore[arg-type]
        for found in find_recordings([source], subject_from=subject_from)  # type: ignore[arg-type]
    ]


def test_real_folder_in_natural_order(shared_data: Path) -> None:
    found = find_recordings([shared_data / "ecgid"])
    assert len(found) == 147
    names = [f"{source.path.parent.name}/{source.path.stem}" for source in found]
    assert names[:3] == ["Person_01/rec_1", "Person_01/rec_2", "Person_01/rec_3"]
    assert names.index("Person_01/rec_10") == 9
    assert resolve_subject(read_recording(found[9].path), found[9]) == "Person_01"


def test_every_shared_format_is_found(shared_data: Path) -> None:
    survey = survey_sources([shared_data / "formats"])
    assert len(survey.recordings) == 15
    assert {source.kind for source in survey.recordings} == {"recording"}
    assert not survey.skipped


def test_other_files_are_skipped_and_listed(tmp_path: Path) -> None:
    FORMATS["wfdb"].write(tmp_path)
    others = ["README.md", "LICENSE", "RECORDS", "notes.txt", "people.csv", "report.xml", "a.pdf"]
    for name in others:
        (tmp_path / name).write_text("<report/>\n" if name == "report.xml" else "name,age\nA,b\n")
    (tmp_path / ".hidden.csv").write_text("1\n2\n")
    survey = survey_sources([tmp_path])
    assert [source.path.name for source in survey.recordings] == ["rec.hea"]
    assert sorted(each.path.name for each in survey.skipped) == sorted(others)
    assert all(each.reason for each in survey.skipped)


def test_subjects_in_their_order(tmp_path: Path) -> None:
    header = FORMATS["npz"]
    folder = tmp_path / "folder name"
    folder.mkdir()
    header.write(folder)
    assert _subjects(tmp_path) == ["p7"]
    assert _subjects(tmp_path, "folder") == ["folder name"]
    assert _subjects(tmp_path, "file") == ["rec"]
    assert _subjects(tmp_path, "header") == ["p7"]
    (tmp_path / "manifest.csv").write_text("path,subject\nfolder name/rec.npz,manifest name\n")
    for subject_from in (None, "folder", "file", "header"):
        assert _subjects(tmp_path, subject_from) == ["manifest name"]
    assert find_recordings([folder / "rec.npz"])[0].subject is None  # Not a manifest beside it


def test_header_without_a_subject_falls_back_to_the_folder(tmp_path: Path) -> None:
    _record(tmp_path / "Person_9")
    assert _subjects(tmp_path, "header") == ["Person_9"]


def test_folder_names_are_taken_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _record(tmp_path / "real")
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "given" / "files").mkdir()
    (tmp_path / "given" / "files" / "rec.npz").symlink_to(tmp_path / "real" / "rec.npz")
    (tmp_path / "given" / "circle").symlink_to(tmp_path / "given")
    assert _subjects(tmp_path / "given") == ["files", "linked"]
    monkeypatch.chdir(tmp_path / "real")
    assert _subjects(Path("rec.npz")) == ["real"]
    assert _subjects(Path()) == ["real"]


def test_manifest_gives_session_and_label_and_other_files_stay(tmp_path: Path) -> None:
    _record(tmp_path / "a", "rec_10")
    _record(tmp_path / "a", "rec_2")
    FORMATS["wfdb"].write(tmp_path / "a")
    (tmp_path / "manifest.csv").write_text(
        "\ufeffPath; Subject ;session;label\na/rec_10.npz;anna;day 2;sinus\na/rec;bo;;\n"
    )
    survey = survey_sources([tmp_path])
    told = [(s.path.name, s.subject, s.session, s.label) for s in survey.recordings]
    assert told == [
        ("rec.hea", "bo", None, None),
        ("rec_2.npz", None, None, None),
        ("rec_10.npz", "anna", "day 2", "sinus"),
    ]
    assert survey.skipped == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,subject\nrec_1.npz,a\n",
            "names rec_1.npz, which is not there. Did you mean 'rec.np",
        ),
        ("path,person\nrec.npz,a\n", "has no column subject"),
        ("path,subject\n,a\n", "line 2 names no file"),
        ("path,subject\nrec.npz,a\n./rec.npz,b\n", "line 3 names ./rec.npz a second time"),
        ("path,subject\nsub,a\n", "names the folder sub. Name each file in it"),
        ("", "has no column path and subject"),
    ],
)
def test_damaged_manifests(text: str, message: str, tmp_path: Path) -> None:
    _record(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.csv") as caught:
        find_recordings([tmp_path])
    assert message in str(caught.value)


def test_a_manifest_that_is_no_text(tmp_path: Path) -> None:
    _record(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(UserError, match="cannot be read"):
        find_recordings([tmp_path])


def test_a_damaged_header_and_its_signals_are_one_recording(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.write_text("damaged\n")
    assert [source.path for source in find_recordings([tmp_path])] == [header]


def test_segments_belong_to_their_master_header(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    (tmp_path / "all.hea").write_text("all/2 2 250 2000\nrec 1000\nrec 1000\n")
    assert [source.path.name for source in find_recordings([tmp_path])] == ["all.hea"]
    assert read_recording(tmp_path / "all.hea").signal.shape == (2000, 2)
    assert [source.path for source in find_recordings([header])] == [header]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reg.npz", "there is no such file. Did you mean 'rec.npz'"),
        ("README.md", "is no ECG file that can be read"),
        ("empty", "is an empty folder"),
        ("papers", "holds no ECG recording (1 other files, such as LICENSE"),
    ],
)
def test_what_is_given_must_be_a_recording(name: str, message: str, tmp_path: Path) -> None:
    _record(tmp_path)
    (tmp_path / "README.md").write_text("words\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "LICENSE").write_text("words\n")
    with pytest.raises(UserError) as caught:
        find_recordings([tmp_path / name])
    assert message in str(caught.value)


def test_nothing_given() -> None:
    with pytest.raises(UserError, match="SRC"):
        find_recordings([])


def test_unreadable_recordings_are_found_to_be_reported_later(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "lost.dat").write_bytes(b"123")
    (tmp_path / "broken.edf").write_bytes(b"123")
    assert len(find_recordings([tmp_path])) == 3


def test_formats_have_names_and_endings() -> None:
    names = [name for name, _ in SUPPORTED_FORMATS]
    assert len(names) == len(set(names))
    assert all(ending.startswith(".") for _, endings in SUPPORTED_FORMATS for ending in endings)

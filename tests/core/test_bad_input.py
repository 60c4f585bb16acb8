"""Bad input gets one sentence and status 2, and nothing is lost or half written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from core import cli, workflow
from core.errors import UserError


def _text(path: Path, values: np.ndarray) -> None:
    np.savetxt(path, values, fmt="%.5f")


def _empty(folder: Path, demo: Path) -> Path:
    (folder / "empty.csv").touch()
    return folder / "empty.csv"


def _truncated(folder: Path, demo: Path) -> Path:
    for ending in (".hea", ".dat"):
        shutil.copy(demo / "S01" / f"session_1{ending}", folder)
    data = folder / "session_1.dat"
    data.write_bytes(data.read_bytes()[:4001])
    return folder / "session_1.hea"


def _wrong_ending(folder: Path, demo: Path) -> Path:
    shutil.copy(demo / "S01" / "session_1.dat", folder / "ecg.edf")
    return folder / "ecg.edf"


def _nan_only(folder: Path, demo: Path) -> Path:
    np.save(folder / "nan.npy", np.full(5000, np.nan, np.float32))
    return folder / "nan.npy"


def _flat(folder: Path, demo: Path) -> Path:
    _text(folder / "flat.csv", np.zeros(5000))
    return folder / "flat.csv"


def _two_samples(folder: Path, demo: Path) -> Path:
    _text(folder / "two.csv", np.array([0.0, 1.0]))
    return folder / "two.csv"


def _no_header(folder: Path, demo: Path) -> Path:
    shutil.copy(demo / "S01" / "session_1.dat", folder)
    return folder / "session_1.dat"


def _negative_rate(folder: Path, demo: Path) -> Path:
    shutil.copy(demo / "S01" / "session_1.dat", folder)
    header = (demo / "S01" / "session_1.hea").read_text()
    (folder / "session_1.hea").write_text(header.replace("1 250 7500", "1 -250 7500"))
    return folder / "session_1.hea"


BAD = [
    _empty,
    _truncated,
    _wrong_ending,
    _nan_only,
    _flat,
    _two_samples,
    _no_header,
    _negative_rate,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("verb", ["prepare", "peaks", "identify"])
def test_one_sentence_and_nothing_half_written(
    make: object,
    verb: str,
    tmp_path: Path,
    demo_recordings: Path,
    trained_study: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    file = make(bad, demo_recordings)  # type: ignore[operator]
    before = {p: p.read_bytes() for p in bad.iterdir()}
    words = {
        "prepare": ["prepare", file, "--study", tmp_path / "study", "--source-rate", 250],
        "peaks": ["peaks", file, "--source-rate", 250],
        "identify": ["identify", trained_study, file],
    }[verb]
    status = cli.main([str(word) for word in (*words, "--json")])
    out, err = capsys.readouterr()
    if verb == "prepare" or status == 2:
        assert status == 2
        assert out == ""
        assert err.count("\n") == 1
        assert file.stem in err
        assert "Traceback" not in err
    else:
        # A file that reads, without a heartbeat in it, is an answer: no peaks, nobody.
        assert make in (_flat, _nan_only)
        assert '"reason"' in out
    assert {p: p.read_bytes() for p in bad.iterdir()} == before
    assert not (tmp_path / "study" / "study.json").exists()
    assert not list((tmp_path / "study").glob("signals/*"))


def test_rate_out_of_range_names_the_option(
    tmp_path: Path, demo_recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", str(demo_recordings), "--study", str(tmp_path / "s"), "--source-rate", "-1"]
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith("--source-rate: -1.0 is not allowed.")
    assert not (tmp_path / "s").exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody may write")
def test_unwritable_folder(demo_recordings: Path) -> None:
    """Not even root may make a folder in ``/proc``."""
    with pytest.raises(UserError, match="cannot be written"):
        workflow.prepare([demo_recordings / "S01"], "/proc/study")


def test_study_in_the_place_of_a_file(tmp_path: Path, demo_recordings: Path) -> None:
    (tmp_path / "study").write_text("mine")
    with pytest.raises(UserError, match="is a file"):
        workflow.prepare([demo_recordings / "S01"], tmp_path / "study")
    with pytest.raises(UserError, match="cannot be written"):
        workflow.prepare([demo_recordings / "S01"], tmp_path / "study" / "below")
    assert (tmp_path / "study").read_text() == "mine"


def test_study_in_a_folder_of_other_files(tmp_path: Path, demo_recordings: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(UserError, match="other files"):
        workflow.prepare([demo_recordings / "S01"], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


def test_one_subject_is_prepared_and_the_rest_says_what_it_needs(
    tmp_path: Path, demo_recordings: Path
) -> None:
    study = tmp_path / "study"
    assert workflow.prepare([demo_recordings / "S01"], study)["subjects"] == 1
    with pytest.raises(UserError, match="two"):
        workflow.train(study, models=["identifier"], preset="quick")
    with pytest.raises(UserError, match="needs a trained autoencoder"):
        workflow.train(study, models=["gan"], preset="quick")

"""Bad input gets one sentence and status 2, and nothing is lost or half written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from scipy.signal import resample_poly

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


KNOWN, PROBED, STRANGERS = range(1, 61, 2), range(1, 21, 2), range(61, 91, 2)
"""Persons of ECG-ID: enrolled by their first recording, those of them who come again, and those
who are never enrolled."""
RATE = 500
Made = Callable[[np.ndarray], tuple[np.ndarray, int, str]]


@pytest.fixture(scope="module")
def real_study(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """Thirty real persons, one recording each, and an identifier of them."""
    folder = tmp_path_factory.mktemp("real") / "study"
    first = [_recording(shared_data, person, 1) for person in KNOWN]
    workflow.prepare(first, folder, options={"split": "none"})
    workflow.train(folder, models=["identifier"], preset="quick")
    return folder


def _recording(shared_data: Path, person: int, number: int) -> Path:
    return shared_data / "ecgid" / f"Person_{person:02d}" / f"rec_{number}.hea"


def _identify(study: Path, files: list[Path]) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = workflow.identify(study, files)["results"]
    return answers


def _changed(shared_data: Path, person: int, folder: Path, change: Made) -> Path:
    """Write the second recording of a person as `change` makes it, under the person's name."""
    source = _recording(shared_data, person, 2)
    signal = wfdb.rdrecord(str(source.with_suffix(""))).p_signal[:, 0]
    changed, rate, lead = change(signal)
    wfdb.wrsamp(
        f"Person_{person:02d}",
        fs=rate,
        units=["mV"],
        sig_name=[lead],
        p_signal=changed[:, None],
        fmt=["16"],
        write_dir=str(folder),
    )
    return folder / f"Person_{person:02d}.hea"


def _hum(signal: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * 50 * np.arange(len(signal)) / RATE)


def _noise(signal: np.ndarray) -> np.ndarray:
    return 0.3 * np.random.default_rng(len(signal)).standard_normal(len(signal))


def _walk(signal: np.ndarray) -> np.ndarray:
    return np.cumsum(_noise(signal)) / 10


def _triangle(signal: np.ndarray) -> np.ndarray:
    return (1.2 * np.arange(len(signal)) / RATE) % 1


NOBODY: dict[str, Made] = {
    "noise": lambda x: (_noise(x), RATE, "I"),
    "random walk": lambda x: (_walk(x), RATE, "I"),
    "hum": lambda x: (_hum(x), RATE, "I"),
    "hum that swells": lambda x: (_hum(x) * (1 + 0.3 * np.roll(_triangle(x), 100)), RATE, "I"),
    "saw teeth": lambda x: (_triangle(x), RATE, "I"),
    "flat": lambda x: (np.zeros_like(x), RATE, "I"),
    "drowned": lambda x: (x + 3 * _noise(x), RATE, "I"),
    "unseen lead": lambda x: (x, RATE, "V3"),
    "inverted": lambda x: (-x, RATE, "I"),
    "three beats too few": lambda x: (x[:RATE], RATE, "I"),
    "backwards": lambda x: (x[::-1], RATE, "I"),
}
"""Signals that are of nobody who is enrolled, or do not let it be told."""

SAME: dict[str, Made] = {
    "three seconds": lambda x: (x[5 * RATE : 8 * RATE], RATE, "I"),
    "other rate": lambda x: (resample_poly(x, 18, 25), 360, "I"),
    "low rate": lambda x: (resample_poly(x, 32, 125), 128, "I"),
    "other gain": lambda x: (10 * x, RATE, "I"),
    "wrong rate": lambda x: (x, 380, "I"),
    "half a day's drift": lambda x: (x + 0.5 * _triangle(x) * np.linspace(0, 1, len(x)), RATE, "I"),
}
"""The right person, made harder to recognise."""


@pytest.mark.parametrize("kind", NOBODY)
def test_who_cannot_be_told_is_not_named(
    kind: str, real_study: Path, shared_data: Path, tmp_path: Path
) -> None:
    files = [_changed(shared_data, person, tmp_path, NOBODY[kind]) for person in PROBED]
    for answer in _identify(real_study, files):
        assert not answer["accepted"], answer
        assert answer["reason"]
        subject = answer["predicted"] or "Person_01"
        verified = workflow.verify(real_study, [answer["file"]], subject=subject)["results"][0]
        assert not verified["match"]
        assert verified["reason"]


@pytest.mark.parametrize("kind", SAME)
def test_a_name_is_right_or_not_given(
    kind: str, real_study: Path, shared_data: Path, tmp_path: Path
) -> None:
    files = [_changed(shared_data, person, tmp_path, SAME[kind]) for person in PROBED]
    for file, answer in zip(files, _identify(real_study, files), strict=True):
        assert answer["predicted"] == file.stem if answer["accepted"] else answer["reason"]


def test_the_sampling_rate_of_a_file_does_not_change_who_it_is(
    real_study: Path, shared_data: Path, tmp_path: Path
) -> None:
    plain = _identify(real_study, [_recording(shared_data, person, 2) for person in PROBED])
    assert sum(answer["accepted"] for answer in plain) >= 0.8 * len(plain)
    for kind in ("other rate", "low rate"):
        files = [_changed(shared_data, person, tmp_path, SAME[kind]) for person in PROBED]
        told = _identify(real_study, files)
        assert [a["predicted"] for a in told] == [a["predicted"] for a in plain]
        scores = np.array([[a["score"] for a in answers] for answers in (plain, told)])
        np.testing.assert_allclose(scores[0], scores[1], atol=0.05)


def test_reversed_electrodes_are_told(real_study: Path, shared_data: Path, tmp_path: Path) -> None:
    plain = _identify(real_study, [_recording(shared_data, person, 2) for person in PROBED])
    files = [_changed(shared_data, person, tmp_path, NOBODY["inverted"]) for person in PROBED]
    for before, after in zip(plain, _identify(real_study, files), strict=True):
        if before["accepted"]:
            assert "reversed electrodes" in after["reason"]
            assert f"like {before['predicted']})" in after["reason"]


def test_strangers_are_refused_and_the_enrolled_are_not(
    real_study: Path, shared_data: Path
) -> None:
    """By the threshold that stands in where training is too short to choose one."""
    files = [_recording(shared_data, person, n) for person in STRANGERS for n in (1, 2)]
    answers = _identify(real_study, files)
    assert np.mean([answer["accepted"] for answer in answers]) <= 0.25
    assert all(answer["accepted"] != bool(answer["reason"]) for answer in answers)
    known = _identify(real_study, [_recording(shared_data, person, 2) for person in KNOWN])
    rightly = [a["accepted"] and a["predicted"] in a["file"] for a in known]
    assert np.mean(rightly) >= 0.9


def test_a_label_with_one_recording_is_a_sentence_or_named_rightly(
    tmp_path: Path, demo_recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    rows = ["path,subject,label"]
    for i in (1, 2, 3):
        for n in (1, 2):
            name = f"S0{i}_{n}.csv"
            record = wfdb.rdrecord(str(demo_recordings / f"S0{i}" / f"session_{n}"))
            _text(tmp_path / "source" / name, record.p_signal[:, 0])
            rows.append(f"{name},S0{i},{'rare' if (i, n) == (3, 1) else 'usual'}")
    (tmp_path / "source" / "manifest.csv").write_text("\n".join(rows) + "\n")
    study = tmp_path / "study"
    options = {"split": "none", "source_rate": 250}
    workflow.prepare([tmp_path / "source"], study, options=options)
    words = ["train", str(study), "--models", "identifier", "--preset", "quick"]
    status = cli.main([*words, "--target", "label"])
    err = capsys.readouterr().err
    if status == 2:
        assert err.count("\n") == 1
        assert "rare" in err
        return
    assert status == 0
    for i in (1, 2, 3):
        answer = _identify(study, [demo_recordings / f"S0{i}" / "session_2.hea"])[0]
        assert not answer["accepted"] or answer["predicted"] == "usual"

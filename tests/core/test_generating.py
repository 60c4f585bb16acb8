"""`generate --seconds` and rows of beats: files, figures asked for, seeds, words of a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sleepecg
import wfdb

from core import cli, workflow
from core.beat_set import read_beats
from core.errors import UserError
from core.generating import draw_beats, draw_sequences, draw_strip
from core.readers import read_recording
from core.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, demo_recordings: Path) -> Path:
    """Four simulated subjects, all in train, with autoencoder and mixture; tests only read it."""
    folder = tmp_path_factory.mktemp("mixture") / "study"
    sources = [demo_recordings / f"S{i:02d}" for i in range(1, 5)]
    workflow.prepare(sources, folder, options={"split": "none"})
    workflow.train(folder, models=["autoencoder", "mixture"], preset="quick")
    return folder


def _strip(study: Path, out: Path, **wishes: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": "mixture", "subjects": ["S01"], "seconds": 60, **wishes}
    return workflow.generate(study, out, **asked)


@pytest.mark.parametrize("ending", [".hea", ".edf", ".csv"])
def test_one_seed_gives_one_file(study: Path, tmp_path: Path, ending: str) -> None:
    files = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        found = _strip(study, tmp_path / folder / f"strip{ending}", seed=seed, noise="real")
        files.append([Path(name).read_bytes() for name in found["files"]])
    assert files[0] == files[1]
    assert files[0] != files[2]


@pytest.mark.parametrize(("heart_rate", "sdnn"), [(50, None), (72, 20), (72, 80), (120, None)])
def test_what_was_asked_for_is_what_an_independent_detector_finds(
    study: Path, tmp_path: Path, heart_rate: float, sdnn: float | None
) -> None:
    found = _strip(study, tmp_path / "strip.hea", heart_rate=heart_rate, sdnn=sdnn)
    record = wfdb.rdrecord(str(tmp_path / "strip"))
    written = wfdb.rdann(str(tmp_path / "strip"), "atr").sample
    detected = sleepecg.detect_heartbeats(record.p_signal[:, 0], record.fs)
    apart = np.abs(detected[:, None] - written[None, :])
    assert (apart.min(axis=0) <= 0.05 * record.fs).mean() > 0.98
    assert (apart.min(axis=1) <= 0.05 * record.fs).mean() > 0.98
    rr = np.diff(written) / record.fs
    assert 60 / rr.mean() == pytest.approx(heart_rate, rel=0.01)
    assert found["heart_rate"] == pytest.approx(heart_rate, rel=0.01)
    if sdnn is not None:
        assert rr.std(ddof=1) * 1000 == pytest.approx(sdnn, rel=0.05)


def test_without_wishes_it_beats_like_its_subject(study: Path, tmp_path: Path) -> None:
    train = Study.open(study).beats("train")
    for name in ("S01", "S02"):
        rr = train.rr_before[train.subject == name]
        found = _strip(study, tmp_path / "strip.csv", subjects=[name])
        assert 60 / found["heart_rate"] == pytest.approx(np.nanmean(rr), rel=0.25)
        assert 5 < found["sdnn"] < 150


def test_a_strip_is_cut_into_beats_like_its_subjects_own(study: Path, tmp_path: Path) -> None:
    """The way back: a strip that is read and cut again has the subject's mean beat."""
    _strip(study, tmp_path / "strip.hea", seconds=120)
    workflow.prepare([tmp_path / "strip.hea"], tmp_path / "again", options={"split": "none"})
    again = Study.open(tmp_path / "again")
    assert again.info.simulated
    mean = again.beats("train").signals.mean(axis=0).ravel()
    real = Study.open(study).beats("train")
    likeness = {
        name: float(
            np.corrcoef(mean, real.signals[real.subject == name].mean(axis=0).ravel())[0, 1]
        )
        for name in ("S01", "S02", "S03", "S04")
    }
    assert max(likeness, key=likeness.__getitem__) == "S01"
    assert likeness["S01"] > 0.98


def test_noise_is_added_to_the_same_strip(study: Path) -> None:
    opened = Study.open(study)
    clean, noisy = (
        draw_strip(opened, "mixture", "S01", seconds=20, seed=3, noise=kind)
        for kind in ("off", "real")
    )
    assert clean.r_peaks.tolist() == noisy.r_peaks.tolist()
    assert 0.001 < float((noisy.signal - clean.signal).std()) < 1


def test_a_new_day_is_another_strip(study: Path, tmp_path: Path) -> None:
    found = _strip(study, tmp_path / "strip.edf", days="new")
    assert found["days"] == "new"
    recording = read_recording(tmp_path / "strip.edf")
    assert recording.subject == "S01"
    assert recording.duration == 60


def test_the_command_line_writes_a_strip(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "strip.edf"
    words = f"generate {study} --model mixture --subject S02 --seconds 10 --out {out} --json"
    assert cli.main(words.split()) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["subject"], found["seconds"], found["synthetic"]) == ("S02", 10, True)
    assert found["files"] == [str(out)]
    assert found["beats"] == len(
        [s for s in read_recording(out).annotations.symbols if s == "N"]  # type: ignore[union-attr]
    )


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("--seconds 0.5 --subject S01", "--seconds: 0.5 is out of range"),
        ("--seconds 10.5 --subject S01", "--seconds: 10.5 is out of range"),
        ("--seconds 3601 --subject S01", "--seconds: 3601 is out of range"),
        ("--seconds nan --subject S01", "--seconds: nan is out of range"),
        ("--seconds 10 --subject S99", "--subject S99: is not in the study's train part"),
        ("--seconds 10", "--subject: a strip is of one subject, not of 4"),
        ("--seconds 10 --subject S01 --subject S02", "a strip is of one subject, not of 2"),
        ("--seconds 10 --per-subject 5 --subject S01", "cannot be asked for with --per-subject"),
        ("--seconds 10 --subject S01 --out {}/strip.npz", "is not a name for a strip"),
        ("--seconds 10 --subject S01 --out {}/a.b.hea", "is not a name for a WFDB record"),
        ("--seconds 10 --subject S01 --out {}/none/strip.csv", "cannot be written"),
        ("--seconds 10 --subject S01 --sdnn 2", "--sdnn: 2 is too little"),
        ("--seconds 10 --subject S01 --sdnn nan", "--sdnn: nan is too little"),
        ("--seconds 10 --subject S01 --sdnn 200", "--sdnn: 200 ms is too much at"),
        ("--seconds 10 --subject S01 --heart-rate 500", "--heart-rate: 500 is out of range"),
        ("--seconds 10 --subject S01 --noise loud", "--noise: 'loud' is not allowed"),
        ("--seconds 10 --subject S01 --days old", "--days: 'old' is not allowed"),
        ("--seconds 10 --subject S01 --label Z", "--label: subject 'S01' has no beats labelled"),
        ("--seconds 10 --subject S01 --model gan", "has no trained gan"),
        ("--seconds 10 --subject S01 --model vae", "--model: 'vae' is no generator"),
        ("--sdnn 50", "--sdnn: is for strips only"),
        ("--noise real", "--noise: is for strips only"),
        ("--per-subject 0", "--per-subject: 0 is out of range"),
    ],
)
def test_a_fault_is_said_in_one_line(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, fault: str
) -> None:
    given = words.format(tmp_path).split()
    extra = [] if "--out" in given else ["--out", str(tmp_path / "strip.csv")]
    model = [] if "--model" in given else ["--model", "mixture"]
    assert cli.main(["generate", str(study), *model, *given, *extra]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert fault in err
    assert not list(tmp_path.iterdir())


def test_beats_that_cannot_be_joined_are_refused(tmp_path: Path, demo_recordings: Path) -> None:
    workflow.prepare(
        [demo_recordings / "S01"], tmp_path / "study", options={"normalisation": "zscore"}
    )
    with pytest.raises(UserError, match="was prepared with --normalisation zscore"):
        draw_strip(Study.open(tmp_path / "study"), "mixture", "S01", seconds=5, seed=0)


def test_intervals_of_beats_follow_each_other(study: Path) -> None:
    names = np.array(["S01", "S02"] * 50)
    beats = draw_beats(Study.open(study), "mixture", names, seed=1)
    for name in ("S01", "S02"):
        own = beats.take(names == name)
        assert np.array_equal(own.rr_after[:-1], own.rr_before[1:])
        assert own.rr_before.std() > 0.005
    asked = draw_beats(Study.open(study), "mixture", names, seed=1, heart_rate=100)
    assert asked.rr_before.mean() == pytest.approx(0.6, rel=0.01)


def test_rows_of_beats_stay_on_one_recording(study: Path) -> None:
    opened = Study.open(study)
    asked = np.array(["S03", "S01", "S03"])
    beats = draw_sequences(opened, "mixture", asked, 10, seed=4)
    assert beats.subject.tolist() == np.repeat(asked, 10).tolist()
    assert beats.synthetic.all()
    before, after = beats.rr_before.reshape(3, 10), beats.rr_after.reshape(3, 10)
    assert np.array_equal(after[:, :-1], before[:, 1:])
    again = draw_sequences(opened, "mixture", asked, 10, seed=4)
    assert np.array_equal(beats.signals, again.signals)
    assert not np.array_equal(beats.signals[:10], beats.signals[20:])


def test_successive_beats_are_more_alike_than_any_two(study: Path) -> None:
    """The squared difference of neighbours over that of any two beats of a recording.

    It lies between real beats' and 1, since the likeness is pooled over recordings.
    """
    opened = Study.open(study)
    real = opened.beats("train")

    def ratio(signals: np.ndarray, owner: np.ndarray) -> float:
        near = far = 0.0
        for one in np.unique(owner):
            own = signals[owner == one].reshape((owner == one).sum(), -1).astype(float)
            near += np.square(np.diff(own, axis=0)).sum(axis=1).mean()
            far += 2 * own.var(axis=0, ddof=1).sum()
        return float(near / far)

    drawn = draw_sequences(
        opened, "mixture", np.repeat(["S01", "S02", "S03", "S04"], 20), 20, seed=0
    )
    wanted = ratio(real.signals, real.recording)
    assert wanted < 0.8
    assert wanted - 0.1 < ratio(drawn.signals, np.repeat(np.arange(80), 20)) < 0.95


def test_files_of_beats_tell_what_made_them(study: Path, tmp_path: Path) -> None:
    for name in ("beats.npz", "again.npz", "beats.csv"):
        workflow.generate(study, tmp_path / name, model="mixture", per_subject=3, seed=5)
    assert (tmp_path / "beats.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    with np.load(tmp_path / "beats.npz") as file:
        told = {name: str(file[name]) for name in ("model", "seed", "study", "days", "generator")}
    assert told["model"] == "mixture"
    assert told["seed"] == "5"
    assert told["study"] == Study.open(study).info.name
    assert told["generator"].startswith("CardioTwin ")
    table = pd.read_csv(tmp_path / "beats.csv")
    assert set(table["model"]) == {"mixture"}
    assert set(table["seed"]) == {5}
    for name in ("beats.npz", "beats.csv"):
        assert read_beats(tmp_path / name).synthetic.all()


def test_the_gan_draws_strips_and_rows_too(trained_study: Path, tmp_path: Path) -> None:
    for name in ("a.hea", "b.hea"):
        found = workflow.generate(
            trained_study, tmp_path / name, model="gan", subjects=["S01"], seconds=10, seed=2
        )
    assert (tmp_path / "a.dat").read_bytes() == (tmp_path / "b.dat").read_bytes()
    assert found["model"] == "gan"
    rows = draw_sequences(Study.open(trained_study), "gan", np.array(["S01", "S02"]), 10, seed=0)
    assert len(rows) == 20

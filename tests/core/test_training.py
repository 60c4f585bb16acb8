"""Training is finished or not there; interrupted, it goes on and gives the same models."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import cli, workflow
from core.errors import Cancelled, UserError
from core.models.autoencoder import Autoencoder
from core.progress import Progress
from core.study import Study, read_json
from core.training import generator_labels

MODELS = ["autoencoder", "mixture"]


@pytest.fixture
def study(prepared_study: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared_study, tmp_path / "study")
    return tmp_path / "study"


def _codes(folder: Path) -> np.ndarray:
    opened = Study.open(folder)
    autoencoder = Autoencoder.load(opened.model_folder("autoencoder"))
    return autoencoder.encode(opened.beats("train").signals)


def test_cancelled_training_resumes_to_the_same_model(study: Path, trained_study: Path) -> None:
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        workflow.train(study, models=MODELS, preset="quick", report=stop)
    assert not Study.open(study).has_model("autoencoder")
    first: list[Progress] = []
    outcome = workflow.train(study, resume=True, report=first.append)
    (remark,) = outcome.pop("remarks")
    assert "of 4 subjects" in remark
    assert outcome == {
        "models": dict.fromkeys(MODELS, "trained"),
        "preset": "quick",
        "seed": 0,
    }
    assert first[0].done > 1, "it began again instead of going on"
    np.testing.assert_array_equal(_codes(study), _codes(trained_study))
    assert not list((study / "models").glob(".*")), "a checkpoint was left"


def test_trained_again_nothing_changes(trained_study: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (trained_study / "models").glob("*/*")}
    assert workflow.train(trained_study, preset="quick")["models"] == dict.fromkeys(
        ("autoencoder", "mixture", "gan", "authenticity", "identifier"), "kept"
    )
    assert {p: p.stat().st_mtime_ns for p in (trained_study / "models").glob("*/*")} == before


def test_cards_tell_what_made_the_model(trained_study: Path) -> None:
    study = Study.open(trained_study)
    for name in ("autoencoder", "mixture", "gan", "authenticity", "identifier"):
        card = study.card(name)
        assert card["sampling_rate"] == 250
        assert card["train_beats"] == len(study.beats("train"))
        assert card["split"].startswith("split by record")
        assert card["simulated"] is True
        assert set(card["versions"]) >= {"cardiotwin", "numpy", "tensorflow", "keras"}


def test_only_safe_files_are_saved(trained_study: Path) -> None:
    kinds = {p.suffix for p in (trained_study / "models").rglob("*") if p.is_file()}
    assert kinds <= {".keras", ".skops", ".npz", ".json"}


def test_learning_curves_are_kept(trained_study: Path) -> None:
    for name in ("autoencoder", "gan", "identifier"):
        history = read_json(trained_study / "models" / name / "history.json")
        assert len(history) > 1


def test_interrupt_from_the_keyboard_is_one_line_and_resumable(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli, "silent", interrupt)
    words = ["train", str(study), "--models", "autoencoder", "--preset", "quick"]
    assert cli.main(words) == 130
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.undo()
    assert cli.main(["train", str(study), "--resume"]) == 0
    assert Study.open(study).has_model("autoencoder")
    with pytest.raises(UserError, match="nothing was interrupted"):
        workflow.train(study, resume=True)


def test_a_damaged_model_is_one_sentence(trained_study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(trained_study, folder)
    for path in (folder / "models" / "identifier").iterdir():
        if path.suffix != ".json":
            path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="identifier"):
        workflow.verify(folder, ["x.npz"], subject="S01")


def test_a_model_that_stands_on_another_autoencoder_is_refused(
    trained_study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(trained_study, folder)
    workflow.train(folder, models=["autoencoder"], preset="quick", seed=7)
    with pytest.raises(UserError, match="stands on another autoencoder"):
        workflow.generate(folder, tmp_path / "x.npz", model="mixture")
    with pytest.raises(UserError, match="stands on another autoencoder"):
        workflow.train(folder, models=["authenticity"], preset="quick", seed=7)


def test_beats_that_are_not_labelled_are_no_second_label(prepared_study: Path) -> None:
    beats = Study.open(prepared_study).beats("train")
    told = np.where(np.arange(len(beats)) < 10, "N", "")
    assert generator_labels(replace(beats, label=told)) is None
    several = np.where(np.arange(len(beats)) % 2, "N", "V")
    assert generator_labels(replace(beats, label=several)) is several


@pytest.mark.parametrize(
    ("option", "value"),
    [("augment", "gan"), ("target", "label"), ("order", "lstm_cnn"), ("balance", "none")],
)
def test_an_option_that_would_change_nothing_is_refused(
    option: str, value: str, prepared_study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(prepared_study), "--models", "autoencoder", f"--{option}", value]
    assert cli.main(words) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"--{option} {value}: is for the identifier, which is not among --models" in told

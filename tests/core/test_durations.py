"""How long a training should take is told from trainings that were measured, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from core.durations import Stopwatch, estimate, read_timing, this_machine
from core.options import Preset, TrainOptions
from core.progress import Progress
from core.study import Study
from core.training import plan

HERE = this_machine()


def _study(folder: Path, prepared: Path) -> Study:
    """Return a study that has another's table of beats and no models."""
    (folder / "models").mkdir(parents=True)
    for path in prepared.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return Study.open(folder)


@pytest.fixture
def study(prepared_study: Path, tmp_path: Path) -> Study:
    return _study(tmp_path / "studies" / "own", prepared_study)


def _measured(folder: Path, model: str, **changes: Any) -> None:
    timing = {
        "seconds": 30.0,
        "learning_seconds": 20.0,
        "preset": "quick",
        "beats": 100,
        "machine": HERE,
    }
    place = folder / "models" / model
    place.mkdir(parents=True, exist_ok=True)
    (place / "timing.json").write_text(json.dumps(timing | changes))


def test_nothing_measured_no_estimate(study: Study) -> None:
    found = estimate(study, "gan", preset="quick", beats=100)
    assert found.seconds is None
    assert "not measured" in found.basis


@pytest.mark.parametrize(
    ("model", "preset", "beats", "seconds"),
    [
        ("gan", "quick", 500, 30.0),
        ("gan", "full", 500, 10 + 20 * 4000 / 600),
        ("mixture", "full", 200, 60.0),
        ("authenticity", "quick", 50, 15.0),
        ("identifier", "quick", 200, 40.0),
        ("identifier", "full", 100, None),
        ("autoencoder", "quick", 1280, 10 + 20 * 10),
    ],
)
def test_estimates_grow_as_the_work_does(
    model: str, preset: Preset, beats: int, seconds: float | None, study: Study
) -> None:
    _measured(study.folder, model)
    found = estimate(study, model, preset=preset, beats=beats).seconds
    assert found == (seconds if seconds is None else pytest.approx(seconds))


def test_own_measurements_come_before_those_of_others(study: Study, prepared_study: Path) -> None:
    other = study.folder.parent / "other"
    other.mkdir()
    _measured(other, "gan", seconds=70.0, learning_seconds=None)
    found = estimate(study, "gan", preset="quick", beats=100)
    assert (found.seconds, found.basis) == (70.0, "measured in another study")
    _measured(study.folder, "gan", machine="another")
    found = estimate(study, "gan", preset="quick", beats=100)
    assert (found.seconds, found.basis) == (30.0, "measured in this study on another machine")


def test_a_stopwatch_counts_all_attempts_and_passes_reports_on(tmp_path: Path) -> None:
    (tmp_path / "timing.json").write_text(json.dumps({"seconds": 1000.0}))
    seen: list[Progress] = []
    watch = Stopwatch(seen.append, stage="train gan", folder=tmp_path)
    for done in (50, 100, 150):
        watch(Progress("train gan", done, 600))
    watch(Progress("another", 1, 2))
    assert [progress.done for progress in seen] == [50, 100, 150, 1]
    timing = watch.timing(preset="quick", beats=9)
    assert timing["seconds"] >= 1000
    assert timing["learning_seconds"] >= 0
    assert read_timing(tmp_path) is not None


def test_the_plan_tells_what_is_kept_and_what_is_missing(study: Study, trained_study: Path) -> None:
    steps = plan(study, TrainOptions(models=("gan", "identifier"), preset="quick", augment="gan"))
    assert [step.missing for step in steps] == [("autoencoder",), ("autoencoder",)]
    trained = Study.open(trained_study)
    steps = plan(trained, TrainOptions(preset="quick"))
    assert all(step.kept for step in steps)
    assert all(step.estimate.seconds is not None for step in steps)
    anew = plan(trained, TrainOptions(models=("autoencoder", "gan", "identifier"), preset="full"))
    assert [step.kept for step in anew] == [False, False, False]
    same = plan(trained, TrainOptions(models=("gan", "identifier"), preset="quick", seed=0))
    assert [step.kept for step in same] == [True, True]

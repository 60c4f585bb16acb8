"""Beats of a model in training are kept now and then, and go with the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.snapshots import SAMPLES_FILE, SHOWN_BEATS, Recorder, read_samples
from core.study import Study


def _record(folder: Path, steps: list[int], total: int) -> list[int]:
    """Return the steps of which beats are kept; each beat holds how often it was asked for."""
    asked = iter(range(1000))

    def draw() -> np.ndarray:
        return np.full((2, 5, 1), next(asked), np.float32)

    recorder = Recorder(folder, subject="Ann", draw=draw, unit="step")
    for step in steps:
        recorder(step, total)
    samples = read_samples(folder)
    assert samples is not None
    assert samples.beats.shape == (len(samples.steps), 2, 5, 1)
    return [int(step) for step in samples.steps]


@pytest.mark.parametrize(("every", "total"), [(1, 15), (1, 60), (50, 600), (50, 4000), (1, 1)])
def test_few_are_kept_the_start_and_the_end_among_them(
    every: int, total: int, tmp_path: Path
) -> None:
    kept = _record(tmp_path, [0, *range(every, total, every), total], total)
    assert (kept[0], kept[-1]) == (0, total)
    assert len(kept) <= 10
    assert kept == sorted(set(kept))


def test_a_resumed_training_goes_on_with_them(tmp_path: Path) -> None:
    assert _record(tmp_path, [0, 50, 100], 600) == [0, 50, 100]
    assert _record(tmp_path, [100, 150, 200], 600)[:4] == [0, 50, 100, 150]


def test_one_that_begins_again_forgets_them(tmp_path: Path) -> None:
    _record(tmp_path, [0, 50, 100], 600)
    assert _record(tmp_path, [0], 600) == [0]


def test_damaged_samples_are_no_samples(tmp_path: Path) -> None:
    assert read_samples(tmp_path) is None
    (tmp_path / SAMPLES_FILE).write_bytes(b"damaged")
    assert read_samples(tmp_path) is None


@pytest.mark.parametrize(("model", "unit"), [("autoencoder", "epoch"), ("gan", "step")])
def test_trained_models_have_theirs(model: str, unit: str, trained_study: Path) -> None:
    study = Study.open(trained_study)
    samples = read_samples(study.model_folder(model))
    assert samples is not None
    assert samples.unit == unit
    assert samples.subject in study.subjects
    assert samples.steps[0] == 0
    assert len(samples.steps) > 4
    train = study.beats("train").signals
    assert samples.beats.shape == (len(samples.steps), SHOWN_BEATS, *train.shape[1:])
    assert np.abs(samples.beats).max() < 2 * np.abs(train).max()
    assert not np.array_equal(samples.beats[0], samples.beats[-1])
    size = (study.model_folder(model) / SAMPLES_FILE).stat().st_size
    assert size < 100_000

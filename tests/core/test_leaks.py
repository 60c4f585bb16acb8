"""What leaks is found: labels dealt anew score at chance, and the leaky split says that it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core import workflow
from core.beat_set import BeatSet
from core.evaluation.realism import fit_linear_namer
from core.study import Study


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, demo_recordings: Path) -> Study:
    folder = tmp_path_factory.mktemp("cohort") / "study"
    workflow.prepare([demo_recordings], folder)
    return Study.open(folder)


def _rank_1(train: BeatSet, test: BeatSet) -> float:
    return float(np.mean(fit_linear_namer(train, 0)(test) == test.subject))


def test_no_recording_and_no_sample_is_in_train_and_in_test(cohort: Study) -> None:
    train, test = cohort.beats("train"), cohort.beats("test")
    assert not set(train.recording) & set(test.recording)
    rows = {beat.tobytes() for beat in train.signals}
    assert not any(beat.tobytes() in rows for beat in test.signals)


def test_true_labels_score_far_above_chance_and_shuffled_ones_at_chance(cohort: Study) -> None:
    """Subjects are dealt anew to whole train recordings; a leak would still be rewarded."""
    from dataclasses import replace

    train, test = cohort.beats("train"), cohort.beats("test")
    assert _rank_1(train, test) > 0.5
    names = np.asarray(sorted(set(train.subject)))
    shuffled: list[float] = []
    for seed in range(5):
        dealt = dict(zip(names, np.random.default_rng(seed).permutation(names), strict=True))
        moved = replace(train, subject=np.asarray([dealt[s] for s in train.subject]))
        shuffled.append(_rank_1(moved, test))
    assert np.mean(shuffled) < 3 / len(names)


def test_random_split_flatters_and_says_so(tmp_path: Path, demo_recordings: Path) -> None:
    """A difficult subset: the leaky split scores above the honest one, and is called leaky."""
    sources = [demo_recordings / f"S{i:02d}" for i in range(1, 25)]
    results = {}
    for split in ("record", "random"):
        workflow.prepare(sources, tmp_path / split, options={"split": split})
        study = Study.open(tmp_path / split)
        results[split] = _rank_1(study.beats("train"), study.beats("test"))
    assert results["random"] > results["record"]
    assert any("leaky" in remark for remark in study.info.remarks)

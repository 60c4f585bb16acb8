from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.beat_set import BeatSet, concatenate
from core.models.cnn_lstm import Identifier
from core.models.identifier_calibration import (
    DAYS,
    FEWEST_SUBJECTS,
    as_other_days,
    calibrated,
    split_train,
)
from core.progress import silent
from tests.core.models.test_cnn_lstm import TINY, simulated


def crowd(n: int, *, records: tuple[str, ...] = ("rec_1",)) -> BeatSet:
    parts = []
    for number in range(n):
        for record in records:
            one = simulated(chr(ord("a") + number) * 3, record, n=24)
            parts.append(replace(one, r_sample=np.arange(24) * 80))
    return concatenate(parts)


@pytest.fixture(scope="module")
def fitted() -> Identifier:
    return Identifier.fit(crowd(FEWEST_SUBJECTS), seed=0, settings=TINY)


def test_method_threshold_and_temperature_come_from_the_train_side(fitted: Identifier) -> None:
    assert fitted.selection["strangers"] == FEWEST_SUBJECTS
    assert set(fitted.selection["rank_1"]) == {"joined", "network", "lda"}
    best = max(fitted.selection["rank_1"].values())
    assert fitted.selection["rank_1"][fitted.method] == best
    assert fitted.false_accept_rate is not None
    assert 0 < fitted.threshold < 1


def test_it_is_kept_with_the_model(fitted: Identifier, tmp_path_factory: object) -> None:
    folder = tmp_path_factory.mktemp("model")  # type: ignore[attr-defined]
    fitted.save(folder)
    loaded = Identifier.load(folder)
    assert loaded.selection == fitted.selection
    assert (loaded.method, loaded.threshold) == (fitted.method, fitted.threshold)
    assert loaded.false_accept_rate == fitted.false_accept_rate


def test_too_few_subjects_keep_the_defaults() -> None:
    few = crowd(FEWEST_SUBJECTS - 1)
    assert calibrated(few, TINY, seed=0, report=silent, checkpoint=None) is None
    assert Identifier.fit(few, seed=0, settings=TINY).false_accept_rate is None


def test_too_few_beats_to_judge_by_keep_the_defaults() -> None:
    one_each = concatenate([simulated(chr(ord("a") + i) * 3, "rec_1", n=1) for i in range(12)])
    assert calibrated(one_each, TINY, seed=0, report=silent, checkpoint=None) is None
    untimed = replace(crowd(FEWEST_SUBJECTS), r_sample=np.full(24 * FEWEST_SUBJECTS, -1))
    assert calibrated(untimed, TINY, seed=0, report=silent, checkpoint=None) is None


def test_people_who_are_harder_to_tell_apart_raise_the_threshold(fitted: Identifier) -> None:
    train = crowd(FEWEST_SUBJECTS)
    middle = train.signals.mean(axis=0, keepdims=True)
    alike = replace(train, signals=middle + 0.15 * (train.signals - middle))
    found = calibrated(alike, TINY, seed=0, report=silent, checkpoint=None)
    assert found is not None
    assert found.threshold > fitted.threshold


def test_a_trial_is_judged_on_what_it_did_not_learn() -> None:
    several = crowd(3, records=("rec_1", "rec_2"))
    learn, judge = split_train(several)
    assert set(judge.recording) == {f"{s}/rec_2" for s in ("aaa", "bbb", "ccc")}
    assert not set(learn.recording) & set(judge.recording)
    learn, judge = split_train(crowd(3))
    for subject in ("aaa", "bbb", "ccc"):
        latest = learn.r_sample[learn.subject == subject].max()
        first = judge.r_sample[judge.subject == subject].min()
        assert first - latest > learn.sampling_rate


def test_a_day_changes_all_beats_of_a_recording_alike() -> None:
    beats = simulated("anna", "rec_1", n=8)
    same = replace(beats, signals=np.repeat(beats.signals[:1], 8, axis=0))
    days = as_other_days(same, seed=0)
    assert len(days) == 8 * DAYS
    assert len(set(days.recording)) == DAYS
    means = np.stack([days.signals[days.recording == r].mean(axis=0) for r in set(days.recording)])
    within = np.mean([days.signals[days.recording == r].std(axis=0) for r in set(days.recording)])
    assert means.std(axis=0).max() > 2 * within

"""Tuning sees the train part only, goes on where it stopped, and the next training uses it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core import tuning, workflow
from core.models.identifier_network import NetworkSettings
from core.study import Study, read_json


def test_every_value_of_the_search_space_is_a_setting() -> None:
    assert set(tuning.SEARCH_SPACE) <= set(NetworkSettings.__dataclass_fields__)


def test_trials_learn_and_are_judged_apart_within_train(prepared_study: Path) -> None:
    train = Study.open(prepared_study).beats("train")
    learn, judge = tuning.split_train(train)
    assert set(judge.subject) == set(train.subject)
    kept = set(zip(train.recording, train.r_sample, strict=True))
    a = set(zip(learn.recording, learn.r_sample, strict=True))
    b = set(zip(judge.recording, judge.r_sample, strict=True))
    assert a | b <= kept
    assert not a & b
    for recording, sample in b:
        nearest = min((abs(sample - s) for r, s in a if r == recording), default=None)
        assert nearest is None or nearest >= train.signals.shape[1]


def test_trials_are_counted_over_calls_and_the_best_is_used(
    prepared_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(prepared_study, folder)
    calls: list[int] = []

    def score(trial: object, *_: object) -> float:
        """Reward the last value of the first hyper-parameter."""
        calls.append(1)
        picks = {
            key: trial.suggest_int(key, 0, len(values) - 1)  # type: ignore[attr-defined]
            for key, values in tuning.SEARCH_SPACE.items()
        }
        return float(picks["filters"])

    monkeypatch.setattr(tuning, "_try", score)
    assert workflow.tune(folder, trials=3)["trials"] == 3
    result = workflow.tune(folder, trials=12)
    assert result["trials"] == 12
    assert len(calls) == 12
    assert result["best"]["settings"]["filters"] == tuning.SEARCH_SPACE["filters"][-1]
    stored = read_json(folder / "tuning" / "best.json")["best"]["settings"]
    settings = tuning.network_settings(stored)
    assert settings.filters == tuning.SEARCH_SPACE["filters"][-1]

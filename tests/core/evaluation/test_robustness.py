"""Robustness: each disturbance is of the size it says, and is felt by who depends on it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.evaluation import robustness
from tests.core.evaluation.simulated import draw, subject_names

NAMES = subject_names(6)


class NearestMean:
    """Names a beat by the highest correlation with the means it was given."""

    target = "subject"
    threshold = 0.9

    def __init__(self, beats: BeatSet, names: np.ndarray, column: str = "subject") -> None:
        self.classes = tuple(names)
        self._means = np.stack(
            [beats.signals[getattr(beats, column) == n].mean(axis=0) for n in names]
        )

    def beat_scores(self, beats: BeatSet) -> np.ndarray:
        return _unit(beats.signals) @ _unit(self._means).T

    def recording_scores(self, beats: BeatSet) -> tuple[np.ndarray, np.ndarray]:
        names, codes = np.unique(beats.recording, return_inverse=True)
        scores = self.beat_scores(beats)
        return names, np.stack([scores[codes == i].mean(axis=0) for i in range(len(names))])


class Watching(NearestMean):
    """Keeps what it was shown."""

    target = "label"

    def beat_scores(self, beats: BeatSet) -> np.ndarray:
        self.seen = beats
        return super().beat_scores(beats)


class LouderLead(NearestMean):
    """Looks at the second lead only."""

    def beat_scores(self, beats: BeatSet) -> np.ndarray:
        return _unit(beats.signals[:, :, 1:]) @ _unit(self._means[:, :, 1:]).T


def _unit(signals: np.ndarray) -> np.ndarray:
    rows = (signals - signals.mean(axis=1, keepdims=True)).reshape(len(signals), -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


@pytest.fixture(scope="module")
def beats() -> BeatSet:
    return draw(np.repeat(NAMES, 40), 1)


def table(found: dict) -> dict[tuple, dict]:
    return {(row["disturbance"], row["level"]): row for row in found["rows"]}


def test_the_undisturbed_row_is_first_and_disturbances_cost_what_they_must(
    beats: BeatSet,
) -> None:
    found = robustness.robustness(NearestMean(beats, NAMES), beats, seed=0)  # type: ignore[arg-type]
    json.dumps(found, allow_nan=False)
    rows = table(found)
    first = found["rows"][0]
    assert first["disturbance"] == "undisturbed"
    assert first["beat"] > 0.95 and first["recording"] == 1
    assert first["wrongly_accepted"] == 0
    noisy = [rows["noise", level]["beat"] for level in robustness.NOISE_DB]
    assert noisy == sorted(noisy, reverse=True) and noisy[-1] < noisy[0]
    for gain in robustness.GAINS:
        assert rows["gain", gain]["beat"] == first["beat"], "a correlation has no scale"
    assert rows["time shift", 40]["beat"] < rows["time shift", 10]["beat"]
    assert rows["inverted electrodes", None]["beat"] < 0.2
    assert not any(row["disturbance"] == "missing lead" for row in found["rows"])
    assert (found["beats"], found["recordings"]) == (240, 12)
    again = robustness.robustness(NearestMean(beats, NAMES), beats, seed=0)  # type: ignore[arg-type]
    assert again == found


def test_a_missing_lead_is_missed_by_who_looks_at_it(beats: BeatSet) -> None:
    two = replace(beats, signals=np.repeat(beats.signals, 2, axis=2), leads=("I", "II"))
    rows = table(robustness.robustness(LouderLead(two, NAMES), two, seed=0))  # type: ignore[arg-type]
    assert rows["missing lead", "I"]["beat"] == rows["undisturbed", None]["beat"]
    assert rows["missing lead", "II"]["beat"] == 0, "all scores level: a tie counts against"


@pytest.mark.parametrize("decibels", [20, 0])
def test_noise_has_the_ratio_that_it_says(decibels: float) -> None:
    signals = draw(np.repeat(NAMES, 300), 2).signals
    noisy = robustness.with_noise(signals, np.random.default_rng(0), decibels, 250.0)
    noise = noisy - signals
    ratio = signals.var(axis=1).mean(axis=1) / np.square(noise).mean(axis=(1, 2))
    assert 10 * np.log10(ratio) == pytest.approx(decibels, abs=0.01)
    level = np.abs(noise.mean(axis=1)).mean() / noise.std(axis=1).mean()
    assert level > 0.3, "part of it is slow"


def test_labels_have_no_recordings_and_a_macro_f1(beats: BeatSet) -> None:
    labels = np.where(np.isin(beats.subject, NAMES[:2]), "V", "N")
    labelled = replace(beats, label=labels)
    identifier = NearestMean(labelled, np.array(["N", "V"]), "label")
    identifier.target = "label"
    strange = replace(labelled, label=np.where(beats.subject == NAMES[5], "Q", labels))
    found = robustness.robustness(identifier, strange, seed=0)  # type: ignore[arg-type]
    assert found["beats"] == 200, "beats of other labels are left out"
    assert all(row["recording"] is None for row in found["rows"])
    assert 0 < found["rows"][0]["macro_f1"] <= 1
    with pytest.raises(ValueError, match="no probe"):
        robustness.robustness(
            identifier,  # type: ignore[arg-type]
            replace(labelled, label=np.full(len(beats), "Q")),
            seed=0,
        )


@pytest.mark.parametrize(("most", "recordings"), [(10_000, 10), (75, 3), (1, 1)])
def test_labels_are_scored_in_whole_recordings(
    beats: BeatSet, monkeypatch: pytest.MonkeyPatch, most: int, recordings: int
) -> None:
    monkeypatch.setattr(robustness, "MOST_LABEL_BEATS", most)
    labels = np.where(np.arange(len(beats)) % 3 == 0, "V", "N")
    labels[np.arange(len(beats)) % 5 == 0] = ""
    labelled = replace(beats, label=np.where(beats.subject == NAMES[5], "Q", labels))
    identifier = Watching(labelled, np.array(["N", "V"]), "label")
    found = robustness.robustness(identifier, labelled, seed=0)  # type: ignore[arg-type]
    names = np.unique(identifier.seen.recording)
    assert len(names) == found["recordings"] == recordings
    whole = labelled.take(np.isin(labelled.recording, names))
    np.testing.assert_array_equal(identifier.seen.label, whole.label)
    assert found["beats"] == np.isin(whole.label, ["N", "V"]).sum() < len(whole)


def test_of_many_beats_some_of_each_recording_are_taken(
    beats: BeatSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robustness, "MOST_BEATS", 60)
    found = robustness.robustness(NearestMean(beats, NAMES), beats, seed=0)  # type: ignore[arg-type]
    assert (found["beats"], found["recordings"]) == (60, 12)

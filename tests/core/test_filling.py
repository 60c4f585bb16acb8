"""Rare classes are filled up from the train part, and the extra beats only ever teach."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import filling, workflow
from core.beat_set import BeatSet
from core.errors import UserError
from core.filling import MOST_A_BEAT, SHARE, extra_beats, filled
from core.recording import StrArray
from core.study import Study


def beats_of(counts: dict[tuple[str, str], int]) -> BeatSet:
    """Beats of people and labels, each of a shape that tells whose it is."""
    subject = np.concatenate([[who] * n for (who, _), n in counts.items()])
    label = np.concatenate([[what] * n for (_, what), n in counts.items()])
    height = np.concatenate([np.full(n, i + 1.0) for i, n in enumerate(counts.values())])
    times = np.arange(70) / 100 - 0.25
    return BeatSet.build(
        (height[:, None] * np.exp(-((times / 0.03) ** 2)))[:, :, None],
        sampling_rate=100,
        before_s=0.25,
        leads=("I",),
        subject=subject,
        record="rec_1",
        recording=np.char.add(subject, "/rec_1"),
        label=label,
        rr_before=np.full(len(subject), 0.8, np.float32),
        rr_after=np.full(len(subject), 0.8, np.float32),
    )


TRAIN = beats_of({("a", "N"): 400, ("b", "N"): 100, ("a", "S"): 4, ("b", "V"): 30})


def test_varied_copies_bring_rare_labels_to_the_stated_share() -> None:
    made = filled(TRAIN, None, target="label", seed=0)
    assert made is not None
    wanted = {"S": MOST_A_BEAT["label"] * 4, "V": round(SHARE["label"] * 500) - 30}
    assert Counter(made.label.tolist()) == wanted
    assert set(zip(made.label.tolist(), made.subject.tolist(), strict=True)) == {
        ("S", "a"),
        ("V", "b"),
    }
    assert made.synthetic.all()
    assert set(made.recording) == {""}
    peak = made.signals[:, 25, 0]
    np.testing.assert_allclose(peak[made.label == "S"], 3, rtol=0.1)
    np.testing.assert_allclose(peak[made.label == "V"], 4, rtol=0.1)
    assert len(np.unique(peak)) == len(made), "no two copies are the same"


def test_subjects_are_filled_up_as_well_and_full_classes_are_left() -> None:
    made = filled(TRAIN, None, target="subject", seed=0)
    assert made is not None
    assert Counter(made.subject.tolist()) == {"b": 130}, "one a real beat at most"
    even = TRAIN.take(np.isin(TRAIN.label, ["N"]))
    assert filled(even, None, target="label", seed=0) is None


def test_a_generator_is_asked_for_each_class_of_those_who_have_it() -> None:
    asked = []

    def draw(subjects: StrArray, labels: StrArray) -> BeatSet:
        asked.extend(zip(subjects.tolist(), labels.tolist(), strict=True))
        return beats_of(dict.fromkeys(zip(subjects[:1], labels[:1], strict=True), 1))

    filled(TRAIN, draw, target="label", seed=0, share=0.08)
    assert Counter(asked) == {("a", "S"): 20, ("b", "V"): 10}


def test_labels_are_drawn_one_by_one_and_stand_in_the_order_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def draw(study: object, model: str, subjects: StrArray, *, seed: int, label: str) -> BeatSet:
        return replace(
            TRAIN.take(np.zeros(len(subjects), int)),
            subject=subjects,
            label=np.full(len(subjects), label),
        )

    class Made:
        def beats(self, partition: str) -> BeatSet:
            assert partition == "train"
            return TRAIN.take(np.random.default_rng(0).permutation(len(TRAIN)))

    monkeypatch.setattr(filling, "draw_beats", draw)
    made = extra_beats(Made(), "gan", target="label", seed=0)  # type: ignore[arg-type]
    assert made is not None
    owner = {"S": "a", "V": "b"}
    assert all(
        owner[x] == s for x, s in zip(made.label.tolist(), made.subject.tolist(), strict=True)
    )
    assert Counter(made.label.tolist()) == {"S": 20, "V": 20}


@pytest.mark.parametrize("how", ["classic", "mixture", "gan"])
def test_a_study_is_filled_up_from_its_train_part(trained_study: Path, how: str) -> None:
    study = Study.open(trained_study)
    train = study.beats("train")
    made = extra_beats(study, how, target="subject", seed=0)  # type: ignore[arg-type]
    again = extra_beats(study, how, target="subject", seed=0)  # type: ignore[arg-type]
    assert made is not None
    assert again is not None
    counts, more = Counter(train.subject.tolist()), Counter(made.subject.tolist())
    most = max(counts.values())
    assert more == {s: min(most - n, n) for s, n in counts.items() if n < most}
    assert made.signals.shape[1:] == train.signals.shape[1:]
    np.testing.assert_array_equal(made.signals, again.signals)
    assert extra_beats(study, "none", target="subject", seed=0) is None


def test_train_fills_up_and_says_so(trained_study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(trained_study, folder)
    told = workflow.train(folder, models=["identifier"], preset="quick", augment="classic")
    assert told["models"] == {"identifier": "trained"}
    assert any("4 subjects" in words for words in told["remarks"])
    assert Study.open(folder).card("identifier")["augment"] == "classic"
    again = workflow.train(folder, models=["identifier"], preset="quick", augment="classic")
    assert again["models"] == {"identifier": "kept"}
    with pytest.raises(UserError, match=r"--warp: 9 is not allowed\. Give a number from 0 to 0\.3"):
        workflow.train(folder, augment="classic", augmentation={"warp": 9})
    shutil.rmtree(folder / "models" / "gan")
    with pytest.raises(UserError, match=r"--augment gan: needs a trained gan\. Add gan"):
        workflow.train(folder, models=["identifier"], preset="quick", augment="gan")
    with pytest.raises(UserError, match=r"--augment: 'smote' is not allowed"):
        workflow.train(folder, models=["identifier"], augment="smote")

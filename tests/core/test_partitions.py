"""No beat that judges a model is, or overlaps, a beat that the model learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.partitions import GAP_S, assign_partitions, gap_for

DURATION_S = 20.0


def _recordings(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["subject", "session", "record"])
    return table.assign(duration_s=DURATION_S, usable=True)


def _beats(n_recordings: int) -> pd.DataFrame:
    times = np.arange(0.5, DURATION_S, 0.8)
    return pd.DataFrame(
        {
            "recording": np.repeat(np.arange(n_recordings), len(times)),
            "time_s": np.tile(times, n_recordings),
        }
    )


COHORT = [
    ("a", "2004-12-01", "rec_1"),
    ("a", "2004-12-01", "rec_10"),
    ("a", "2004-12-01", "rec_2"),
    ("b", "2005-02-01", "rec_1"),
    ("b", "2004-12-01", "rec_2"),
    ("c", "2005-01-01", "rec_1"),
]


def test_split_by_record_takes_the_last_by_date_then_in_natural_order() -> None:
    recordings = _recordings(COHORT)
    parts = assign_partitions(_beats(6), recordings, split="record")
    test = set(_beats(6)["recording"][parts == "test"])
    assert {COHORT[i] for i in test} == {
        ("a", "2004-12-01", "rec_10"),
        ("b", "2005-02-01", "rec_1"),
    }


def test_split_by_session_takes_later_days_whole_and_leaves_single_days_in_train() -> None:
    parts = assign_partitions(_beats(6), _recordings(COHORT), split="session")
    test = set(_beats(6)["recording"][parts == "test"])
    assert {COHORT[i] for i in test} == {("b", "2005-02-01", "rec_1")}


@pytest.mark.parametrize("split", ["record", "session", "subject"])
def test_no_recording_is_on_both_sides(split: str) -> None:
    beats = _beats(6)
    parts = assign_partitions(beats, _recordings(COHORT), split=split)  # type: ignore[arg-type]
    for _, own in parts.groupby(beats["recording"]):
        assert not ({"train", "validation"} & set(own) and "test" in set(own))


@pytest.mark.parametrize("split", ["record", "session", "subject", "time"])
def test_parts_of_one_recording_are_a_gap_apart(split: str) -> None:
    beats = _beats(6)
    parts = assign_partitions(beats, _recordings(COHORT), split=split)  # type: ignore[arg-type]
    for _, own in beats.assign(part=parts).groupby("recording"):
        latest: dict[str, float] = own.groupby("part")["time_s"].max().to_dict()
        earliest: dict[str, float] = own.groupby("part")["time_s"].min().to_dict()
        for before, after in (("train", "validation"), ("validation", "test"), ("train", "test")):
            if before in latest and after in earliest:
                assert earliest[after] - latest[before] >= GAP_S


def test_validation_is_the_last_fifth_of_each_train_recording() -> None:
    beats = _beats(6)
    parts = assign_partitions(beats, _recordings(COHORT), split="record")
    mine = beats["recording"] == 5
    assert beats["time_s"][mine & (parts == "validation")].min() > 0.8 * DURATION_S
    assert beats["time_s"][mine & (parts == "train")].max() <= 0.8 * DURATION_S - GAP_S


def test_a_gallery_is_all_train() -> None:
    assert set(assign_partitions(_beats(6), _recordings(COHORT), split="none")) == {"train"}


def test_random_split_is_the_one_that_leaks() -> None:
    beats = _beats(6)
    parts = assign_partitions(beats, _recordings(COHORT), split="random")
    sides = parts.groupby(beats["recording"]).agg(set)
    assert all({"train", "test"} <= side for side in sides)


def test_unusable_last_recording_is_not_the_test_part() -> None:
    recordings = _recordings(COHORT)
    recordings.loc[1, "usable"] = False
    beats = _beats(6)
    parts = assign_partitions(beats, recordings, split="record")
    assert set(beats["recording"][parts == "test"]) == {2, 3}


def test_the_gap_grows_with_the_window() -> None:
    beats = _beats(6)
    gap = gap_for(1.8)
    parts = assign_partitions(beats, _recordings(COHORT), split="time", gap_s=gap)
    for _, own in beats.assign(part=parts).groupby("recording"):
        last = own["time_s"][own["part"] == "train"].max()
        assert own["time_s"][own["part"] == "validation"].min() - last >= 1.8


def test_split_by_subject_takes_a_fifth_of_the_subjects_whole() -> None:
    people = [f"p{i}" for i in range(1, 13)]
    recordings = _recordings([(p, "", f"rec_{i}") for p in people for i in (1, 2)])
    beats = _beats(len(recordings))
    parts = assign_partitions(beats, recordings, split="subject")
    owner = recordings["subject"].to_numpy()[beats["recording"]]
    assert set(owner[parts == "test"]) == {"p5", "p10"}, "in natural order, p2 before p10"
    for person in people:
        sides = set(parts[owner == person])
        assert sides in ({"test"}, {"train", "validation", "gap"})


def test_split_by_subject_leaves_every_label_in_train() -> None:
    recordings = _recordings([(f"p{i}", "", "rec_1") for i in range(1, 6)])
    beats = _beats(5).assign(label="N", rejected="")
    beats.loc[(beats["recording"] == 4) & (beats.index % 2 == 0), "label"] = "V"
    parts = assign_partitions(beats, recordings, split="subject")
    assert set(beats["recording"][parts == "test"]) == {3}
    beats.loc[(beats["recording"] == 0) & (beats.index % 2 == 0), "label"] = "V"
    parts = assign_partitions(beats, recordings, split="subject")
    assert set(beats["recording"][parts == "test"]) == {4}
    beats.loc[beats["recording"] == 0, "rejected"] = "noise"
    parts = assign_partitions(beats, recordings, split="subject")
    assert set(beats["recording"][parts == "test"]) == {3}, "a rejected beat keeps no label"


def test_one_subject_cannot_be_split_by_subject() -> None:
    recordings = _recordings([("a", "", "rec_1"), ("a", "", "rec_2")])
    assert "test" not in set(assign_partitions(_beats(2), recordings, split="subject"))

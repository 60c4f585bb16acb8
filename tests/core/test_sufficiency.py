"""The verdict before training, on made cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.study import Study
from core.sufficiency import ENOUGH_BEATS, sufficiency, verdict_of


def verdict(*rows: tuple[str, str, str, int]) -> dict[str, Any]:
    """The verdict on beats given as subject, recording, label and how many."""
    columns = zip(*(row[:3] for row in rows for _ in range(row[3])), strict=True)
    return verdict_of(*columns)


def test_enough_beats_of_two_recordings_are_enough() -> None:
    found = verdict(
        ("a", "a1", "", 10), ("a", "a2", "", 10), ("b", "b1", "", 99), ("b", "b2", "", 1)
    )
    assert [(r["subject"], r["beats"], r["recordings"]) for r in found["subjects"]] == [
        ("a", 20, 2),
        ("b", 100, 2),
    ]
    assert all(row["enough"] and row["words"] == "enough" for row in found["subjects"])
    assert found["verdict"] == f"Enough beats: {ENOUGH_BEATS} or more of each of 2 subjects."
    assert found["labels"] == []


def test_too_few_beats_are_told_with_how_many_are_missing() -> None:
    found = verdict(("a", "a1", "", 4), ("a", "a2", "", 4), ("b", "b1", "", 1), ("c", "c1", "", 40))
    a, b, c = found["subjects"]
    assert (a["enough"], a["more"]) == (False, ENOUGH_BEATS - 8)
    assert (b["enough"], b["more"]) == (False, ENOUGH_BEATS - 1)
    assert "too few: 8 more would help, by about 4 in 100" in a["words"], "one doubling"
    assert "by about 17 in 100" in b["words"], "four doublings"
    assert c["enough"]
    assert "another would help" in c["words"]
    assert found["verdict"].startswith("Too few beats of 2 of 3 subjects")
    assert "2 of 3 subjects have one recording only" in found["verdict"]


def test_a_label_needs_beats_and_recordings() -> None:
    people = "abcd"
    found = verdict(
        *((p, f"{p}1", "N", 50) for p in people),
        *((p, f"{p}1", "V", 6) for p in people),
        ("a", "a1", "S", 30),
        ("b", "b1", "F", 3),
        ("b", "b1", "", 3),
    )
    enough = {row["label"]: row["enough"] for row in found["labels"]}
    assert enough == {"F": False, "N": True, "S": False, "V": True}
    assert found["verdict"].endswith("Too few of some labels: F, S.")


def test_without_beats_it_says_so() -> None:
    assert verdict_of([], [], [])["verdict"] == "There are no beats to train on."


def test_a_study_is_judged_by_its_train_part(prepared_study: Path) -> None:
    study = Study.open(prepared_study)
    train = study.beats("train")
    found = sufficiency(study)
    assert {row["subject"]: row["beats"] for row in found["subjects"]} == {
        name: int((train.subject == name).sum()) for name in sorted(set(train.subject.tolist()))
    }


@pytest.mark.parametrize("n", [1, ENOUGH_BEATS - 1, ENOUGH_BEATS])
def test_the_limit_is_the_stated_one(n: int) -> None:
    (row,) = verdict(("a", "a1", "", n))["subjects"]
    assert row["enough"] == (n >= ENOUGH_BEATS)
    assert row["more"] == ENOUGH_BEATS - n

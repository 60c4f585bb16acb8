"""Train beats of a study -> whether there are enough of each subject and label, before training.

The numbers come from ``benchmarks/sufficiency.py``, on the 45 people of ECG-ID: one half kept only
a few beats, the mixture learned everybody, and a linear discriminant taught by generated beats
named real ones of another recording (TSTR).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from core.models.label_identifier import CHOICE_FOLDS
from core.recording import StrArray
from core.study import Study

ENOUGH_BEATS = 16
"""Beats of a subject from which twice as many add less than a standard error (0.02): TSTR of people
with two recordings rose from 0.74 (4 beats) over 0.77 (8) and 0.82 (16) to 0.83 (32)."""
GAIN_A_DOUBLING = 0.043
"""What twice as many beats of one recording add to TSTR below that: the slope from 0.70 (2 beats)
to 0.84 (13)."""
ENOUGH_RECORDINGS = 2
"""Recordings of a subject: with as many beats in all, a second one adds more than a doubling."""
RECORDING_GAIN = 0.06
"""TSTR of 16 beats of two recordings less that of 13 beats of one, the same people."""
LABEL_RECORDINGS = CHOICE_FOLDS
"""Recordings that a label must occur in, so that the identifier can try itself on each in turn."""


def sufficiency(study: Study) -> dict[str, Any]:
    """Return `verdict_of` the beats of a study's train part."""
    table = study.beat_table
    train = table[(table["rejected"] == "") & (table["partition"] == "train")]
    return verdict_of(
        *(train[name].to_numpy(np.str_) for name in ("subject", "recording", "label"))
    )


def verdict_of(
    subject: npt.ArrayLike, recording: npt.ArrayLike, label: npt.ArrayLike
) -> dict[str, Any]:
    """Tell of each subject and label whether its beats are enough to train on.

    Args:
        subject: (n,) whose each beat is.
        recording: (n,) which recording it is of.
        label: (n,) its label; empty if there is none.

    Returns:
        ``verdict``, a sentence or more; ``subjects`` and ``labels``, a row each of ``subject`` or
        ``label``, ``beats``, ``recordings``, ``enough``, ``more`` (beats that are missing) and
        ``words``. Labels are judged where there are two or more.
    """
    who, where, what = (np.asarray(column, np.str_) for column in (subject, recording, label))
    subjects = [
        {"subject": name, **_judged_subject(*_counted(where[who == name]))}
        for name in np.unique(who).tolist()
    ]
    names = np.unique(what[what != ""]).tolist()
    labels = [
        {"label": name, **_judged_label(*_counted(where[what == name]))}
        for name in (names if len(names) > 1 else [])
    ]
    return {"verdict": _verdict(subjects, labels), "subjects": subjects, "labels": labels}


def _counted(recordings: StrArray) -> tuple[int, int]:
    return len(recordings), len(np.unique(recordings))


def _judged_subject(beats: int, recordings: int) -> dict[str, Any]:
    more = max(0, ENOUGH_BEATS - beats)
    if more:
        points = 100 * GAIN_A_DOUBLING * np.log2(ENOUGH_BEATS / beats)
        words = (
            f"too few: {more} more would help, by about {max(points, 1):.0f} in 100 beats named "
            "rightly (ECG-ID)"
        )
    elif recordings < ENOUGH_RECORDINGS:
        words = (
            f"enough of this recording; another would help, by about {100 * RECORDING_GAIN:.0f} "
            "in 100 beats named rightly (ECG-ID)"
        )
    else:
        words = "enough"
    return _row(beats, recordings, more == 0, more, words)


def _judged_label(beats: int, recordings: int) -> dict[str, Any]:
    more = max(0, ENOUGH_BEATS - beats)
    words = "enough"
    if more:
        words = f"too few: give {more} more"
    elif recordings < LABEL_RECORDINGS:
        words = (
            f"in too few recordings: in fewer than {LABEL_RECORDINGS}, whether it is recognised in "
            "another cannot be tried"
        )
    return _row(beats, recordings, not more and recordings >= LABEL_RECORDINGS, more, words)


def _row(beats: int, recordings: int, enough: bool, more: int, words: str) -> dict[str, Any]:
    return {
        "beats": beats,
        "recordings": recordings,
        "enough": enough,
        "more": more,
        "words": words,
    }


def _verdict(subjects: list[dict[str, Any]], labels: list[dict[str, Any]]) -> str:
    if not subjects:
        return "There are no beats to train on."
    n = len(subjects)
    few = sum(not row["enough"] for row in subjects)
    once = sum(row["recordings"] < ENOUGH_RECORDINGS for row in subjects)
    rare = [row["label"] for row in labels if not row["enough"]]
    if few:
        text = f"Too few beats of {few} of {n} subjects: under {ENOUGH_BEATS}."
    else:
        text = f"Enough beats: {ENOUGH_BEATS} or more of each of {n} subjects."
    if once:
        text += (
            f" {once} of {n} subjects have one recording only: another would help more than further"
            " beats."
        )
    if rare:
        text += f" Too few of some labels: {', '.join(rare)}."
    return text

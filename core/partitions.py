"""Partitions: which beats models learn from, which choose, which judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.options import Split
from core.readers.sources import natural_key

TRAIN, VALIDATION, TEST, GAP = "train", "validation", "test", "gap"
PARTITIONS = (TRAIN, VALIDATION, TEST)

VALIDATION_SHARE = 0.2
"""Share of each train recording, its end, that is kept for judging generated beats."""

TEST_SHARE = 0.25
"""Share of each recording (split by time) or of the beats (random split) that is test."""

TEST_SUBJECTS_EVERY = 5
"""Of so many subjects, in natural order, the last is test in a split by subject."""

GAP_S = 1.0
"""Seconds left out on each cut, at least."""

RANDOM_SPLIT_SEED = 0

SPLIT_WORDS: dict[str, str] = {
    "session": "split by session: a subject's days after the first are test",
    "record": "split by record: a subject's last recording is test",
    "subject": "split by subject: a fifth of the subjects, whole, are test, and nobody is in both",
    "time": "split by time within each recording, with a gap: train and test share recordings",
    "random": "leaky: beats of one recording are in train and in test, drawn at random",
    "none": "no test part: everything is train, a gallery for probes that come later",
}


def gap_for(window_s: float) -> float:
    """Return the seconds to leave out, so that no two parts share a sample of any beat's window."""
    return max(GAP_S, window_s)


def assign_partitions(
    beats: pd.DataFrame, recordings: pd.DataFrame, *, split: Split, gap_s: float = GAP_S
) -> pd.Series:
    """Return the partition of each beat: train, validation, test, or gap (in none of them).

    Args:
        beats: A row a beat with ``recording`` (row number in `recordings`) and ``time_s``; in a
            split by subject ``label`` and ``rejected`` are looked at where they are there.
        recordings: A row a recording with ``subject``, ``session``, ``record``, ``duration_s``
            and ``usable``: whether it has a beat that was kept.
        split: How the test part is chosen; see `SPLIT_WORDS`.
        gap_s: Seconds between the parts of one recording; see `gap_for`.

    Returns:
        Strings, one a beat, with the index of `beats`.
    """
    part = pd.Series(TRAIN, index=beats.index, dtype="object")
    time = beats["time_s"].to_numpy(float)
    end = recordings["duration_s"].to_numpy(float)[beats["recording"].to_numpy(int)]
    if split in ("session", "record"):
        held_out = _held_out_recordings(recordings, split)
        part[beats["recording"].isin(held_out)] = TEST
    elif split == "subject":
        owner = recordings["subject"].to_numpy()[beats["recording"].to_numpy(int)]
        part[np.isin(owner, _test_subjects(beats, recordings))] = TEST
    elif split == "time":
        cut = end * (1 - TEST_SHARE)
        part[time > cut - gap_s] = GAP
        part[time > cut] = TEST
        end = cut - gap_s
    elif split == "random":
        rng = np.random.default_rng(RANDOM_SPLIT_SEED)
        part[rng.random(len(beats)) < TEST_SHARE] = TEST
    if split != "none":
        cut = end * (1 - VALIDATION_SHARE)
        in_train = (part == TRAIN).to_numpy()
        part[in_train & (time > cut - gap_s)] = GAP
        part[in_train & (time > cut)] = VALIDATION
    return part


def _held_out_recordings(recordings: pd.DataFrame, split: Split) -> set[int]:
    """Return the row numbers of the test recordings; none of a subject that cannot be split."""
    held_out: set[int] = set()
    usable = recordings[recordings["usable"]]
    for _, own in usable.groupby("subject", sort=False):
        if split == "session":
            sessions = sorted(set(own["session"]), key=lambda name: natural_key(Path(name)))
            later = own["session"].isin(sessions[1:])
            held_out.update(int(i) for i in own.index[later])
        elif len(own) > 1:
            order = sorted(
                own.index,
                key=lambda i: (
                    natural_key(Path(str(own.loc[i, "session"]))),
                    natural_key(Path(str(own.loc[i, "record"]))),
                ),
            )
            held_out.add(int(order[-1]))
    return held_out


def _test_subjects(beats: pd.DataFrame, recordings: pd.DataFrame) -> list[str]:
    """Return about a fifth of the subjects, such that every label stays with somebody in train.

    In natural order, of every five the last one without whom no label is lost; of fewer than five
    subjects one, of a single one nobody.
    """
    usable = recordings.loc[recordings["usable"], "subject"]
    subjects = sorted(set(usable), key=lambda name: natural_key(Path(name)))
    labels = _labels_of(beats, recordings)
    chosen: list[str] = []

    def spared(name: str) -> bool:
        stay = [labels.get(s, set()) for s in subjects if s not in (*chosen, name)]
        return labels.get(name, set()) <= set().union(*stay)

    if len(subjects) < 2:
        return []
    every = min(TEST_SUBJECTS_EVERY, len(subjects))
    for last in range(every - 1, len(subjects), every):
        block = subjects[last - every + 1 : last + 1]
        chosen += [name for name in reversed(block) if spared(name)][:1]
    return chosen


def _labels_of(beats: pd.DataFrame, recordings: pd.DataFrame) -> dict[str, set[str]]:
    """Return the labels of each subject's beats that were kept."""
    if "label" not in beats:
        return {}
    kept = beats[beats["rejected"] == ""] if "rejected" in beats else beats
    owner = recordings["subject"].to_numpy()[kept["recording"].to_numpy(int)]
    found: dict[str, set[str]] = {}
    for name, label in set(zip(owner, kept["label"], strict=True)):
        found.setdefault(str(name), set()).update({str(label)} - {""})
    return found

"""Models in training -> a few of their beats, kept as the training goes on, to see them improve.

They lie in one file, ``samples.npz``: of the training while it runs, then of the finished model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.models.storage import load_arrays, save_arrays
from core.recording import FloatArray, IntArray

SAMPLES_FILE = "samples.npz"
SHOWN_BEATS = 6
"""Beats of one subject that are drawn anew every time."""
EARLY_GAP = 20
"""Snapshots are a twentieth of the training apart at first, then half of what is done."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Beats that a model made while it was trained.

    Attributes:
        subject: Whose they are meant to be.
        steps: (n,) epochs or steps that were done, growing.
        beats: (n, n_beats, n_samples, n_leads), the same noise every time.
        unit: What is counted: ``epoch`` or ``step``.
    """

    subject: str
    steps: IntArray
    beats: FloatArray
    unit: str


def read_samples(folder: Path) -> Samples | None:
    """Return the samples of a model's or a training's folder; None if it has none."""
    path = folder / SAMPLES_FILE
    if not path.is_file():
        return None
    try:
        found = load_arrays(path)
        subject, unit = str(found["subject"]), str(found["unit"])
        return Samples(subject=subject, steps=found["steps"], beats=found["beats"], unit=unit)
    except (UserError, KeyError):
        return None


class Recorder:
    """Writes beats of a model now and then while it is trained.

    Args:
        folder: Of the training's checkpoint; it goes on with the samples that it finds there.
        subject: Whose the beats are.
        draw: Returns (n_beats, n_samples, n_leads) of the model as it stands.
        unit: What is counted: ``epoch`` or ``step``.
    """

    def __init__(self, folder: Path, *, subject: str, draw: Draws, unit: str) -> None:
        self._folder, self._subject, self._draw, self._unit = folder, subject, draw, unit

    def __call__(self, done: int, total: int) -> None:
        """Take beats, if it is time to.

        Args:
            done: Epochs or steps that are done.
            total: In all.
        """
        old = read_samples(self._folder)
        known = [] if old is None else [int(step) for step in old.steps if step < done]
        if known and done < total and done < known[-1] + _gap(known[-1], total):
            return
        beats = self._draw()[None]
        if old is not None and known:
            beats = np.concatenate([old.beats[: len(known)], beats])
        self._folder.mkdir(parents=True, exist_ok=True)
        save_arrays(
            self._folder / SAMPLES_FILE,
            {
                "subject": np.asarray(self._subject),
                "steps": np.asarray([*known, done]),
                "beats": beats.astype(np.float32),
                "unit": np.asarray(self._unit),
            },
        )


Draws = Callable[[], FloatArray]
"""Returns beats of a model as it stands."""


def _gap(last: int, total: int) -> int:
    """Return how far the next snapshot is from the last one: wider as the training goes on."""
    return max(1, last // 2, total // EARLY_GAP)

"""How long models took to train -> how long the next training should take."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.options import Preset
from core.progress import Progress, Report
from core.study import Study, read_json, write_json

TIMING_FILE = "timing.json"
SAME_FOR_ALL_PRESETS = frozenset({"mixture", "authenticity"})
"""Models that a preset does not change."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long a model's training should take.

    Attributes:
        seconds: None if it was never measured.
        basis: Where that comes from, in words.
    """

    seconds: float | None
    basis: str


class Stopwatch:
    """Passes reports on, and keeps how long a training took, over all its attempts.

    Args:
        report: Where reports go.
        stage: The stage in which the model learns, such as ``train gan``.
        folder: Of the training's checkpoint: what earlier attempts took is found there.
    """

    def __init__(self, report: Report, *, stage: str, folder: Path) -> None:
        self._report, self._stage, self._folder = report, stage, folder
        self._began = time.monotonic()
        self._earlier = _read(folder).get("seconds", 0.0)
        self._first: tuple[float, int] | None = None
        self._learning: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Take a report, note the time and pass it on."""
        now = time.monotonic()
        if progress.stage == self._stage:
            if self._first is None:
                self._first = now, progress.done
            since, done = self._first
            if progress.done > done:
                self._learning = (now - since) * progress.total / (progress.done - done)
        write_json(self._folder / TIMING_FILE, {"seconds": self._spent(now)})
        self._report(progress)

    def _spent(self, now: float) -> float:
        return float(self._earlier + now - self._began)

    def timing(self, *, preset: Preset, beats: int) -> dict[str, Any]:
        """Return what ``timing.json`` of a finished model holds.

        ``seconds`` in all, ``learning_seconds`` of them in the stage in which it learns (None if
        that made no two reports), ``preset``, ``beats`` it learned from, ``machine``.
        """
        return {
            "seconds": round(self._spent(time.monotonic()), 3),
            "learning_seconds": None if self._learning is None else round(self._learning, 3),
            "preset": preset,
            "beats": beats,
            "machine": this_machine(),
        }


@lru_cache(maxsize=1)
def this_machine() -> str:
    """Return the processor and how many of its cores there are, without a name."""
    processor = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.is_file():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores"


def read_timing(folder: Path) -> dict[str, Any] | None:
    """Return how long the model in a folder took; None if that is not known."""
    return _read(folder) or None


def estimate(study: Study, name: str, *, preset: Preset, beats: int) -> Estimate:
    """Return how long a model should take, from the most alike training that was measured.

    Learning is scaled by the steps that the preset and the beats ask for; the rest stays where it
    is a start-up, and grows with the beats where it is not.

    Args:
        study: Where the model will be trained; the studies beside it count as well.
        name: Of the model.
        preset: With which it will be trained.
        beats: How many it will learn from.
    """
    found = [
        (own, timing)
        for own, timing in _measured(study, name)
        if timing["preset"] == preset
        or name in SAME_FOR_ALL_PRESETS
        or _steps(name, preset, beats) is not None
    ]
    if not found:
        return Estimate(seconds=None, basis="not measured yet")
    own, timing = min(
        found,
        key=lambda one: (
            not one[0],
            one[1]["machine"] != this_machine(),
            one[1]["preset"] != preset,
            abs(math.log(beats / one[1]["beats"])),
        ),
    )
    basis = "measured in this study" if own else "measured in another study"
    if timing["machine"] != this_machine():
        basis += " on another machine"
    return Estimate(seconds=_scaled(name, timing, preset=preset, beats=beats), basis=basis)


def _scaled(name: str, timing: dict[str, Any], *, preset: Preset, beats: int) -> float:
    growth = beats / timing["beats"]
    learning = timing["learning_seconds"] or 0.0
    rest = max(0.0, timing["seconds"] - learning)
    wanted = _steps(name, preset, beats)
    known = _steps(name, timing["preset"], timing["beats"])
    if wanted is not None and known is not None:
        return float(rest + learning * wanted / known)
    if name == "identifier":
        return float(learning + rest * growth)
    return float(timing["seconds"] * growth)


def _steps(name: str, preset: Preset, beats: int) -> int | None:
    """Return the steps in which a network learns; None if the model is another kind."""
    if name == "gan":
        from core.models.conditional_gan import STEPS

        return STEPS[preset]
    if name == "autoencoder":
        from core.models.autoencoder import BATCH_SIZE, EPOCHS, MAX_STEPS

        steps = max(1, beats // min(BATCH_SIZE, beats))
        return max(1, min(EPOCHS[preset], MAX_STEPS[preset] // steps)) * steps
    return None


def _measured(study: Study, name: str) -> Iterator[tuple[bool, dict[str, Any]]]:
    """Return what trainings of a model took, and whether each was of this study."""
    for folder in (study.folder, *sorted(study.folder.absolute().parent.iterdir())):
        own = folder is study.folder
        if not own and folder.absolute() == study.folder.absolute():
            continue
        places = [folder / "models" / name]
        if own:
            places += sorted((folder / "trainings").glob(f"*/models/{name}"))
        for place in places:
            timing = _read(place)
            if timing.get("beats"):
                yield own, timing


def _read(folder: Path) -> dict[str, Any]:
    path = folder / TIMING_FILE
    try:
        found: dict[str, Any] = read_json(path) if path.is_file() else {}
    except UserError:
        return {}
    return found

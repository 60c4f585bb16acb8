"""The reports of a GAN's training -> what is going wrong in it, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLLAPSED_SPREAD = 0.8
"""Spread of generated over real beats below which a generator draws ever the same."""
COLLAPSED_REPORTS = 5
"""Reports in a row, of 50 steps each, for which it must be so: one batch says little."""
CRITIC_WINS = 0.9
"""Share of pairs of a real and a generated beat that a critic orders rightly, above which the
generator has nothing left to go by."""
CRITIC_REPORTS = 10
"""Reports in a row for which it must be so without falling: a critic may lead for a while."""
LOSSES = ("critic_loss", "generator_loss", "penalty", "loss", "spread", "critic_accuracy")
"""What must be a finite number wherever it is reported."""


def alarms(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each thing that goes wrong; none where all is well.

    Args:
        history: In order of time, rows of figures by name, or a job's reports, which hold them
            under ``metrics``. ``spread``: of generated over real beats, 1 is right;
            ``critic_accuracy``: share of pairs ordered rightly, 0.5 is chance. Rows without a
            figure are passed over; null stands for a number that was not finite.
    """
    rows = [row.get("metrics", row) or {} for row in history]
    found = []
    broken = [name for name in LOSSES if any(name in r and not _is_finite(r[name]) for r in rows)]
    if broken:
        names = ", ".join(name.replace("_", " ") for name in broken)
        found.append(f"The training broke down: {names} was no longer a number. Train again.")
    spread = _last(rows, "spread", COLLAPSED_REPORTS)
    if len(spread) and spread.max() < COLLAPSED_SPREAD:
        found.append(
            f"The generator is collapsing: its beats vary {spread[-1]:.2f} times as much as real "
            f"ones, below {COLLAPSED_SPREAD:g} in the last {COLLAPSED_REPORTS} reports."
        )
    right = _last(rows, "critic_accuracy", CRITIC_REPORTS)
    if len(right) and right.min() > CRITIC_WINS:
        first, second = np.array_split(right, 2)
        if second.mean() >= first.mean():
            found.append(
                f"The critic is winning: it tells {right[-1]:.0%} of pairs rightly, above "
                f"{CRITIC_WINS:.0%} in the last {CRITIC_REPORTS} reports and not falling, so the "
                "generator learns little more."
            )
    return found


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _last(rows: Sequence[Mapping[str, Any]], name: str, n: int) -> np.ndarray:
    """Return the last n values (n,) of a figure; none if there are fewer, or one is no number."""
    values = [row[name] for row in rows if name in row][-n:]
    if len(values) < n or not all(_is_finite(value) for value in values):
        return np.empty(0)
    return np.asarray(values, dtype=np.float64)

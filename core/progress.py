"""Progress of a long step, from the step to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Progress:
    """One report of a long step.

    Attributes:
        stage: What is being done, in the user's words: ``"train gan"``.
        done: Units finished so far.
        total: Units in all; 0 if unknown.
        metrics: Figures worth a curve, such as ``{"loss": 0.3}``; empty if there are none.
    """

    stage: str
    done: int
    total: int
    metrics: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[Progress], None]
"""Takes a `Progress`; may raise `core.errors.Cancelled` to stop the step where it stands."""


def silent(progress: Progress) -> None:
    """Take a report and do nothing with it."""

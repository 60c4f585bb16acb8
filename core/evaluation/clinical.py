"""Real and generated beats -> whether RR, PR, QRS and QT of each subject are the subject's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.preprocessing.delineation import delineate

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Figures = dict[str, Any]

TOLERANCE_MS = 5.0
"""Medians of PR, QRS and QT that differ by no more than this count as the subject's own."""
RR_TOLERANCE = 0.05
"""The same for the median RR interval, as a share of it."""
LEAST_BEATS = 5
"""A subject with fewer measurable beats, real or generated, is left out."""

_INTERVALS = ("rr", "pr", "qrs", "qt")
_BESIDE = ("value", "n", "left_out", "median_difference_ms", "bias_ms", "generated")
"""What of the ceiling stands beside a figure."""


def evaluate_intervals(
    real: BeatSet, generated: BeatSet, *, real_again: BeatSet | None = None
) -> Figures:
    """Return how far the intervals of each subject's generated beats are from its real ones.

    A subject's interval is the median over those of its beats that show it (`delineate`, which
    is told no rhythm, since generated beats have none of their own). Medians of few beats are
    unsure: draw as many generated beats of each subject as `real_again` has, and judge a figure
    beside its ceiling.

    Args:
        real: Beats of known subjects.
        generated: Beats drawn for them; beats of others are left out.
        real_again: Other real beats of them, in the generated ones' place: the ceiling.

    Returns:
        JSON-ready figures by name, each with ``value``, ``n`` and ``protocol``, and with
        `real_again` ``ceiling`` and further ``ceiling_...`` beside. None is what cannot be told.

        ``rr``, ``pr``, ``qrs``, ``qt``: ``value`` is the share of ``n`` subjects whose medians
        agree, ``left_out`` the subjects of both sets that have fewer than `LEAST_BEATS` beats to
        measure in either, ``median_difference_ms`` the median of the absolute differences,
        ``bias_ms`` that of the differences (generated less real), and ``by_subject`` the
        difference of each subject in ms.

        ``delineation_success``: ``value`` is the generated beats' share of success less the real
        ones', means over ``n`` subjects; ``generated`` and ``real`` are those shares.
    """
    own = _Measured(real)
    figures = _compared(own, _Measured(generated))
    if real_again is not None:
        ceiling = _compared(own, _Measured(real_again))
        for name, figure in figures.items():
            beside = {key: ceiling[name][key] for key in _BESIDE if key in ceiling[name]}
            figure["ceiling"] = beside.pop("value")
            figure |= {f"ceiling_{key}": value for key, value in beside.items()}
    return figures


class _Measured:
    """The intervals of each beat (n,) in ms, whether all could be told, and whose it is."""

    def __init__(self, beats: BeatSet) -> None:
        found = delineate(beats.signals, beats.sampling_rate, beats.before_s)
        self.subject = beats.subject
        self.success: BoolArray = found.success
        self.intervals: Mapping[str, Array] = {
            "rr": 1000 * beats.rr_before.astype(np.float64),
            "pr": found.pr_ms,
            "qrs": found.qrs_ms,
            "qt": found.qt_ms,
        }

    def median(self, name: str, subject: str) -> float:
        """Return a subject's median interval; NaN if too few beats show it."""
        values = self.intervals[name][self.subject == subject]
        values = values[np.isfinite(values)]
        return float(np.median(values)) if len(values) >= LEAST_BEATS else math.nan

    def share(self, subject: str) -> float:
        """Return the share of a subject's beats of which every interval could be told."""
        return float(self.success[self.subject == subject].mean())


def _compared(real: _Measured, other: _Measured) -> Figures:
    """Return the figures of beats in comparison with real ones of the same subjects."""
    subjects = [str(s) for s in np.intersect1d(real.subject, other.subject)]
    figures: Figures = {}
    for name in ("rr", "pr", "qrs", "qt"):
        own = np.array([real.median(name, s) for s in subjects])
        difference = np.array([other.median(name, s) for s in subjects]) - own
        kept = np.isfinite(difference)
        size, found = np.abs(difference[kept]), difference[kept]
        close = size <= (RR_TOLERANCE * own[kept] if name == "rr" else TOLERANCE_MS)
        figures[name] = {
            "value": float(close.mean()) if kept.any() else None,
            "n": int(kept.sum()),
            "left_out": int((~kept).sum()),
            "median_difference_ms": float(np.median(size)) if kept.any() else None,
            "bias_ms": float(np.median(found)) if kept.any() else None,
            "by_subject": {
                s: float(d) for s, d in zip(subjects, difference, strict=True) if np.isfinite(d)
            },
            "protocol": _PROTOCOL.format(name=name.upper(), close=_CLOSE[name == "rr"]),
        }
    shares = [float(np.mean([b.share(s) for s in subjects])) for b in (other, real) if subjects]
    figures["delineation_success"] = {
        "value": shares[0] - shares[1] if subjects else None,
        "generated": shares[0] if subjects else None,
        "real": shares[1] if subjects else None,
        "n": len(subjects),
        "protocol": "share of a subject's beats of which PR, QRS and QT can all be told, mean "
        "over subjects, generated less real",
    }
    return figures


_CLOSE = (f"{TOLERANCE_MS:g} ms", f"{100 * RR_TOLERANCE:g} %")
_PROTOCOL = (
    "share of subjects whose median {name} over generated beats is within {close} of that over "
    f"real beats; subjects with fewer than {LEAST_BEATS} measurable beats of a kind are left out"
)

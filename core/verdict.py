"""Scores of a probe -> a name, or "cannot tell" and why, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from core.beat_set import BeatSet
from core.recording import FloatArray

MIN_PROBE_BEATS = 3
"""Beats that a probe needs before its subject is accepted; fewer are named, but not accepted."""
LEVEL_MARGIN = 0.2
"""Two subjects whose probabilities are nearer than this are level: the probe is like both."""
REFRESH_BEATS = 10
"""Beats that a probe needs to become a template without anybody having looked at it."""
REFRESH_MARGIN = 0.5
"""How far its score must be on the way from the threshold to 1, the highest there is: what
becomes a template is believed ever after."""
REFRESH_PROBABILITY = 0.95
"""How likely its subject must be among those enrolled, too."""

_EMPTY = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Verdict:
    """What an identifier says of one probe.

    Attributes:
        fault: Why the probe cannot tell, whoever it is; empty if it can.
        unlike: Why, though it could, it is taken for nobody; empty otherwise.
        scores: (n_classes,) how alike it is to each class; empty without a beat.
        probabilities: (n_classes,) how likely each is, among the classes.
    """

    fault: str
    unlike: str = ""
    scores: FloatArray = field(default_factory=_EMPTY.copy)
    probabilities: FloatArray = field(default_factory=_EMPTY.copy)

    @property
    def best(self) -> int:
        """The class that the probe is most alike."""
        return int(np.argmax(self.scores))

    @property
    def reason(self) -> str:
        """Why nobody is named; empty if somebody is."""
        return self.fault or self.unlike


def judge(identifier: Any, beats: BeatSet, reason: str) -> Verdict:
    """Return what an identifier says of the beats of one probe.

    Args:
        identifier: Of subjects or labels.
        beats: (n, n_samples, n_leads) of one probe.
        reason: What is already known to be wrong with them; empty if nothing is.
    """
    if not len(beats):
        return Verdict(reason or "no beat was found")
    scores = np.asarray(identifier.score(beats), dtype=np.float32)
    fault = reason or _too_little(beats)
    if identifier.target == "label":
        known = scores.max() >= identifier.threshold
        unlike = ""
        if not fault:
            unlike = identifier.doubt(beats) if known else "too unlike everything that was learned"
        weights = np.exp(scores - scores.max())
        return Verdict(fault, unlike, scores, weights / weights.sum())
    people = set(beats.subject) - {""}
    if not fault and len(people) > 1:
        fault = f"it holds beats of {len(people)} people"
    probabilities = np.asarray(identifier.posterior(beats), dtype=np.float32)
    unlike = "" if fault else _unlike(identifier, beats, scores, probabilities)
    return Verdict(fault, unlike, scores, probabilities)


def is_confident(identifier: Any, beats: BeatSet, verdict: Verdict) -> bool:
    """Tell whether a probe is so surely of the one who is named that it may become a template."""
    least = identifier.threshold + REFRESH_MARGIN * (1 - identifier.threshold)
    return (
        not verdict.reason
        and len(beats) >= REFRESH_BEATS
        and bool(verdict.scores[verdict.best] >= least)
        and bool(verdict.probabilities[verdict.best] >= REFRESH_PROBABILITY)
    )


def _too_little(beats: BeatSet) -> str:
    """Return what is wrong with too few beats; empty if they are enough."""
    if len(beats) >= MIN_PROBE_BEATS:
        return ""
    counted = f"{len(beats)} clear beat" + "s" * (len(beats) != 1)
    return f"only {counted}; {MIN_PROBE_BEATS} are needed to be sure"


def _unlike(identifier: Any, beats: BeatSet, scores: FloatArray, probabilities: FloatArray) -> str:
    """Return why a sound probe is taken for nobody; empty if it is taken for somebody.

    Beats turned upside down never name anybody: that they would only tells why the given do not.
    """
    names, threshold, best = identifier.classes, identifier.threshold, int(np.argmax(scores))
    turned = np.asarray(identifier.score(replace(beats, signals=-beats.signals)))
    if turned.max() >= threshold and turned.max() > scores[best]:
        alike = names[int(np.argmax(turned))]
        return f"it looks recorded with reversed electrodes (upside down it would be like {alike})"
    if scores[best] < threshold:
        return "too unlike everyone who is enrolled"
    others = np.where(np.arange(len(names)) == best, -1.0, probabilities)
    second = int(np.argmax(others))
    if probabilities[best] - others[second] < LEVEL_MARGIN:
        return f"like both {names[best]} and {names[second]}"
    return ""

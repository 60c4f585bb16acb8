"""A study's train beats -> more beats of its rare subjects or labels: varied copies, or generated.

What was made only ever teaches: it stands in no template, and nothing is chosen, stopped, scaled or
calibrated by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from core import augmentation
from core.beat_set import BeatSet, concatenate
from core.generating import draw_beats
from core.options import Augment, AugmentationOptions
from core.recording import StrArray
from core.resampling import fill_up
from core.study import Study

Filled = Literal["subject", "label"]
Draw = Callable[[StrArray, StrArray], BeatSet]
"""Subjects (n,) and labels (n,) -> a beat for each."""

SHARE: dict[Filled, float] = {"subject": 1.0, "label": 0.1}
"""Of the commonest class's beats, up to which rare ones are filled up: beat types are rarer than
people by far, and a heart that has one for ten of the others is already unusual."""
MOST_A_BEAT: dict[Filled, int] = {"subject": 1, "label": 5}
"""New beats to a real one of a rare class, at most."""


def extra_beats(
    study: Study,
    augment: Augment,
    *,
    target: Filled,
    seed: int,
    share: float | None = None,
    options: AugmentationOptions | None = None,
) -> BeatSet | None:
    """Return the beats that fill up the rare classes of a study's train part; None if none do.

    Args:
        study: A study; its generator must be trained where one is asked for.
        augment: ``none``, ``classic`` (varied copies of real beats), ``mixture`` or ``gan``.
        target: What the classes are.
        seed: Of every random step.
        share: Of the commonest class's number; `SHARE` by default.
        options: How far copies are varied; the usual ones by default.

    Raises:
        UserError: The generator is missing.
    """
    if augment == "none":
        return None
    train = study.beats("train")
    if augment == "classic":
        return filled(train, None, target=target, seed=seed, share=share, options=options)

    def draw(subjects: StrArray, labels: StrArray) -> BeatSet:
        if target == "subject":
            return draw_beats(study, augment, subjects, seed=seed)
        sets, places = [], []
        for number, label in enumerate(np.unique(labels)):
            mine = np.flatnonzero(labels == label)
            own = subjects[mine]
            sets.append(draw_beats(study, augment, own, seed=seed + number, label=str(label)))
            places.append(mine)
        return concatenate(sets).take(np.argsort(np.concatenate(places)))

    return filled(train, draw, target=target, seed=seed, share=share)


def filled(
    train: BeatSet,
    draw: Draw | None,
    *,
    target: Filled,
    seed: int,
    share: float | None = None,
    options: AugmentationOptions | None = None,
) -> BeatSet | None:
    """Return beats that bring every rare class of `train` to a share of the commonest.

    They are of the subjects that have the class, in the shares in which these have it.

    Args:
        train: Real beats.
        draw: Draws beats; None varies copies of real ones.
        target: What the classes are.
        seed: Of every random step.
        share: Of the commonest class's number; `SHARE` by default.
        options: How far copies are varied.
    """
    classes = train.label if target == "label" else train.subject
    places = fill_up(
        classes,
        share=SHARE[target] if share is None else share,
        most=MOST_A_BEAT[target],
        seed=seed,
    )
    if not len(places):
        return None
    if draw is not None:
        return draw(train.subject[places], train.label[places])
    copies = train.take(places)
    rng = np.random.default_rng([seed, len(places)])
    varied = augmentation.augment(
        copies.signals, rng, train.sampling_rate, options, before_s=train.before_s
    )
    empty = np.full(len(places), "")
    return replace(
        copies,
        signals=varied,
        record=empty,
        recording=empty,
        r_sample=np.full(len(places), -1, dtype=np.int64),
        synthetic=np.ones(len(places), dtype=np.bool_),
    )

"""Probes, ever more disturbed -> how many an identifier still names, a row a disturbance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from core.augmentation import add_noise, shift
from core.beat_set import BeatSet
from core.evaluation.identification import (
    class_figures,
    open_set_rates,
    rank_k,
    truth_of,
)
from core.recording import FloatArray

if TYPE_CHECKING:
    from core.models.cnn_lstm import Identifier
    from core.models.label_identifier import LabelIdentifier

UNDISTURBED = "undisturbed"
NOISE_DB = (20, 10, 5, 0)
SHIFT_MS = (10, 20, 40)
GAINS = (0.5, 2.0)
BASELINE_PERCENT = (10, 30, 50)
WHITE_AND_BASELINE = {"white": 1.0, "baseline": float(np.sqrt(6))}
"""White noise and baseline wander of equal mean power: an amplitude drawn evenly up to b gives a
sine of power b² / 6."""
MOST_BEATS = 2000
"""Beats that are disturbed, the same number of each recording: bounds time."""
MOST_LABEL_BEATS = 10_000
"""About as many where labels are named, in whole recordings: a beat is seen beside the others."""
LEAST_SCALE = 1e-6
"""Below this a beat is flat, and its size is not divided by, in mV."""


class _Disturbance(NamedTuple):
    name: str
    level: float | str | None
    unit: str
    signals: FloatArray


def robustness(
    identifier: Identifier | LabelIdentifier, probes: BeatSet, *, seed: int
) -> dict[str, Any]:
    """Return how many probes are named rightly as disturbances grow, JSON-ready.

    Args:
        identifier: Trained to name subjects, or labels.
        probes: Real beats that it never saw, in order of time within each recording, all that
            it has. Those of other subjects or labels are not asked about. Of many, some of each
            recording are taken, evenly in time; of many with labels, some whole recordings.
        seed: Of the noise and shifts.

    Returns:
        ``protocol``, ``beats``, ``recordings`` and ``rows``, the undisturbed one first: each
        ``disturbance``, ``level``, ``unit`` (of the level), ``beat`` (rank-1 of single beats) and
        ``recording`` (of recordings; null for labels); of subjects ``wrongly_accepted``, the
        share of recordings whose best score is another's and reaches the threshold; of labels
        ``macro_f1``.

    Raises:
        ValueError: No probe is of somebody, or something, that the identifier knows.
    """
    of_labels = identifier.target == "label"
    known = np.isin(probes.label if of_labels else probes.subject, identifier.classes)
    if not known.any():
        raise ValueError("no probe is of a class of the identifier")
    if of_labels:
        of_asked = np.isin(probes.recording, probes.recording[known])
        probes = _some_whole_recordings(probes.take(of_asked))
        asked = probes.take(np.isin(probes.label, identifier.classes))
    else:
        probes = probes.take(known)
        asked = probes = probes.take(_some_of_each_recording(probes))
    rows = []
    for name, level, unit, signals in _disturbances(probes, np.random.default_rng(seed)):
        disturbed = replace(probes, signals=np.ascontiguousarray(signals, dtype=np.float32))
        figures = (
            _labels_named(cast("LabelIdentifier", identifier), disturbed)
            if of_labels
            else _subjects_named(cast("Identifier", identifier), disturbed)
        )
        rows.append({"disturbance": name, "level": level, "unit": unit, **figures})
    return {
        "protocol": "rank-1 of probes disturbed after filtering; noise is white and baseline "
        "wander of equal power, against each beat's own power; shifts are drawn for each beat up "
        "to the level either way, baseline wander up to the level in percent of its height; an "
        "inverted electrode turns every lead over",
        "beats": len(asked),
        "recordings": len(np.unique(asked.recording)),
        "rows": rows,
    }


def _disturbances(probes: BeatSet, rng: np.random.Generator) -> Iterator[_Disturbance]:
    beats, rate = probes.signals, probes.sampling_rate
    yield _Disturbance(UNDISTURBED, None, "", beats)
    for decibels in NOISE_DB:
        yield _Disturbance("noise", decibels, "dB", with_noise(beats, rng, decibels, rate))
    for milliseconds in SHIFT_MS:
        moved = shift(beats, rng, milliseconds / 1000, rate)
        yield _Disturbance("time shift", milliseconds, "ms", moved)
    for gain in GAINS:
        yield _Disturbance("gain", gain, "x", beats * np.float32(gain))
    height = np.maximum(np.ptp(beats, axis=1).max(axis=1), LEAST_SCALE)[:, None, None]
    for percent in BASELINE_PERCENT:
        wandering = add_noise(beats / height, rng, rate, baseline=percent / 100) * height
        yield _Disturbance("baseline wander", percent, "%", wandering)
    if len(probes.leads) > 1:
        for i, lead in enumerate(probes.leads):
            without = beats.copy()
            without[:, :, i] = 0
            yield _Disturbance("missing lead", lead, "", without)
    yield _Disturbance("inverted electrodes", None, "", -beats)


def with_noise(
    beats: FloatArray, rng: np.random.Generator, decibels: float, sampling_rate: float
) -> FloatArray:
    """Return beats with white noise and baseline wander at a signal-to-noise ratio of each beat.

    Args:
        beats: (n_beats, n_samples, n_leads). Their power is taken about each lead's mean.
        rng: Where the noise is drawn from.
        decibels: Ratio of the powers of beat and noise, over all leads, in dB.
        sampling_rate: In Hz.
    """
    noise = add_noise(np.zeros_like(beats), rng, sampling_rate, **WHITE_AND_BASELINE)
    signal_power = beats.var(axis=1, dtype=np.float64).mean(axis=1)
    noise_power = np.square(noise, dtype=np.float64).mean(axis=(1, 2))
    factor = np.sqrt(signal_power / np.maximum(noise_power, LEAST_SCALE**2)) * 10 ** (
        -decibels / 20
    )
    return (beats + noise * factor[:, None, None]).astype(np.float32)


def _some_of_each_recording(probes: BeatSet) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return positions of at most `MOST_BEATS` beats, evenly from each recording, in order."""
    names, codes = np.unique(probes.recording, return_inverse=True)
    most = max(1, MOST_BEATS // len(names))
    chosen = []
    for i in range(len(names)):
        mine = np.flatnonzero(codes == i)
        places = np.linspace(0, len(mine) - 1, min(most, len(mine)))
        chosen.append(mine[np.round(places).astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def _some_whole_recordings(probes: BeatSet) -> BeatSet:
    """Return about `MOST_LABEL_BEATS` beats: all of recordings that are picked evenly."""
    names = np.unique(probes.recording)
    most = max(1, len(names) * MOST_LABEL_BEATS // len(probes))
    places = np.linspace(0, len(names) - 1, min(most, len(names)))
    return probes.take(np.isin(probes.recording, names[np.round(places).astype(np.int64)]))


def _subjects_named(identifier: Identifier, probes: BeatSet) -> dict[str, float | None]:
    subject_of = dict(zip(probes.recording, probes.subject, strict=True))
    recordings, of_recordings = identifier.recording_scores(probes)
    owners = truth_of(np.asarray([subject_of[r] for r in recordings]), identifier.classes)
    of_beats = identifier.beat_scores(probes)
    return {
        "beat": rank_k(of_beats, truth_of(probes.subject, identifier.classes)),
        "recording": rank_k(of_recordings, owners),
        "wrongly_accepted": open_set_rates(of_recordings, owners, identifier.threshold)[
            "named_wrongly"
        ],
    }


def _labels_named(identifier: LabelIdentifier, probes: BeatSet) -> dict[str, float | None]:
    truth = truth_of(probes.label, identifier.classes)
    figures = class_figures(identifier.beat_scores(probes), truth, identifier.classes)
    return {
        "beat": figures["accuracy"],
        "recording": None,
        "macro_f1": figures["macro_f1"],
    }

"""Train part of a study -> what identifies, from which score on, and how sure that is.

A test part must not choose any of it, and an identifier knows its own train beats too well. So
short trainings stand in for the real one: each without a third of the subjects, who then are true
strangers, and without a part of the others' beats. These are varied as another day would vary
them, since the beats of one recording are more alike than those of two days.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from core.beat_set import BeatSet, concatenate
from core.models.identifier_batches import Variation, vary
from core.models.identifier_input import Window
from core.models.linear import log_softmax
from core.partitions import gap_for
from core.progress import Progress, Report
from core.recording import FloatArray, IntArray, StrArray

if TYPE_CHECKING:
    from core.models.cnn_lstm import Method

FOLDS = 3
FEWEST_SUBJECTS = 12
"""Subjects below which the strangers of a fold are too few to tell how alike strangers are."""
FEWEST_JUDGED = 2
"""Subjects of whom something must be left to judge by, in every fold."""
FALSE_ACCEPT_RATE = 0.10
"""Share of these strangers that the threshold would let pass if it were set by them alone.

The short trainings know a third fewer people and so tell strangers apart less well: of true
strangers fewer pass.
"""
DEFAULT_THRESHOLD = 0.82
"""Least score of somebody enrolled where nothing is known of the people.

Measured on persons of ECG-ID with odd numbers, two thirds enrolled and one third strangers.
"""
HIGHEST_THRESHOLD = 0.99
LARGE_GALLERY = 20
"""Subjects from which the default threshold stays the same.

Among fewer a stranger is more easily like one of them, since there are fewer ways to differ: it
rises in proportion, to 0.98 for two subjects.
"""
WORTH_STRANGERS = 30
"""How many strangers the default threshold counts for, beside those of train."""
EPOCHS = 5
"""Of the short trainings."""
HELD_OUT_SHARE = 0.3
"""Share of a subject's only recording, its end, that is held out."""
DAYS = 4
"""Copies of a held-out recording, each varied as a day of its own."""
CANDIDATES: tuple[Method, ...] = ("joined", "network", "lda")
"""What may identify; of equals the first."""
TEMPERATURES = tuple(float(t) for t in np.geomspace(0.25, 16, 25))


@dataclass(frozen=True)
class Calibration:
    """What was chosen on the train side; see `cnn_lstm.Identifier`."""

    method: Method
    threshold: float
    false_accept_rate: float
    temperature: float
    selection: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Trial:
    """What one fold's identifier says, by one method.

    Attributes:
        strangers: (s,) highest cosine of each stranger's recording with anybody: never below its
            score.
        closed: (k, n) log-posteriors of held-out single beats, then means of five.
        truth: (k,) column of each.
        recordings: (r, n) log-posteriors of held-out recordings; `recording_truth` their columns.
    """

    strangers: FloatArray
    closed: FloatArray
    truth: IntArray
    recordings: FloatArray
    recording_truth: IntArray


def default_threshold(n_subjects: int) -> float:
    """Return the threshold of a gallery of which nothing else is known."""
    return 1 - (1 - DEFAULT_THRESHOLD) * min(1.0, n_subjects / LARGE_GALLERY)


def calibrated(
    train: BeatSet, settings: Any, *, seed: int, report: Report, checkpoint: Path | None
) -> Calibration | None:
    """Choose method, threshold and temperature by short trainings on parts of `train`.

    Args:
        train: Real beats of the train part.
        settings: `NetworkSettings` of the real training; the epochs are cut to `EPOCHS`.
        seed: Of every random step.
        report: Called every epoch.
        checkpoint: Folder in which each short training keeps a checkpoint of its own, or None.

    Returns:
        None where there are fewer than `FEWEST_SUBJECTS` subjects, or too few beats of them.
    """
    from core.models.cnn_lstm import Identifier

    subjects = np.unique(train.subject)
    if len(subjects) < FEWEST_SUBJECTS:
        return None
    short = replace(settings, epochs=min(EPOCHS, settings.epochs))

    def told(progress: Progress) -> None:
        done = fold * short.epochs + progress.done
        report(Progress("choose the threshold", done, FOLDS * short.epochs))

    dealt = np.random.default_rng(seed).permutation(len(subjects)) % FOLDS
    trials: dict[Method, list[_Trial]] = {method: [] for method in CANDIDATES}
    for fold in range(FOLDS):
        strange = np.isin(train.subject, subjects[dealt == fold])
        strangers = train.take(strange)
        learn, judge = split_train(train.take(~strange))
        if len(np.unique(judge.subject)) < FEWEST_JUDGED:
            return None
        identifier = Identifier.fit(
            learn,
            seed=seed + 1 + fold,
            report=told,
            checkpoint=None if checkpoint is None else checkpoint / f"fold-{fold}",
            settings=short,
            calibrate=False,
        )
        days = as_other_days(judge, seed=seed + fold)
        for method in CANDIDATES:
            trials[method].append(_trial(identifier, strangers, days, method))
    return _chosen(trials, len(subjects))


def split_train(beats: BeatSet) -> tuple[BeatSet, BeatSet]:
    """Return what a trial learns from and what it is judged on: both of the train part.

    A subject's last recording is held out; of a single one its end, after a gap. A subject of whom
    nothing is left to learn, or whose beats have no times, is not judged.
    """
    judged = np.zeros(len(beats), dtype=bool)
    left_out = np.zeros(len(beats), dtype=bool)
    gap = round(gap_for(beats.signals.shape[1] / beats.sampling_rate) * beats.sampling_rate)
    for subject in dict.fromkeys(beats.subject):
        mine = beats.subject == subject
        recordings = list(dict.fromkeys(beats.recording[mine]))
        if len(recordings) > 1:
            judged |= mine & (beats.recording == recordings[-1])
            continue
        samples = beats.r_sample[mine]
        if (samples < 0).all():
            continue
        cut = np.quantile(samples, 1 - HELD_OUT_SHARE)
        judged |= mine & (beats.r_sample > cut)
        left_out |= mine & (beats.r_sample <= cut) & (beats.r_sample > cut - gap)
    learn = beats.take(~judged & ~left_out)
    return learn, beats.take(judged & np.isin(beats.subject, learn.subject))


def as_other_days(beats: BeatSet, *, seed: int) -> BeatSet:
    """Return `DAYS` copies of each recording, the beats of a copy stretched and scaled alike.

    How electrodes lie and how fast a heart beats changes from day to day, not from beat to beat;
    baseline and noise differ from beat to beat.
    """
    window = Window(beats.before_s, beats.sampling_rate)
    variation = Variation(exponents=(0.0, 0.0))
    rng = np.random.default_rng([seed, len(beats)])
    copies = []
    for day in range(DAYS):
        for name in dict.fromkeys(beats.recording):
            mine = beats.take(beats.recording == name)
            n, n_samples, n_leads = mine.signals.shape
            side_by_side = mine.signals.transpose(1, 0, 2).reshape(1, n_samples, n * n_leads)
            varied = vary(side_by_side, np.full(1, np.nan), window, rng, variation)
            signals = varied.reshape(n_samples, n, n_leads).transpose(1, 0, 2)
            copies.append(
                replace(
                    mine,
                    signals=np.ascontiguousarray(signals),
                    recording=np.full(n, f"{name} {day}"),
                )
            )
    return concatenate(copies)


def _trial(identifier: Any, strangers: BeatSet, days: BeatSet, method: Method) -> _Trial:
    from core.models.cnn_lstm import BEATS_IN_A_ROW

    _, alike, _ = identifier.parts_of(strangers, method)
    sizes = (1, BEATS_IN_A_ROW)
    closed = [identifier.beat_posteriors(days, in_a_row=n, method=method) for n in sizes]
    truth = [_truth(identifier, days, identifier.runs(days, n)) for n in sizes]
    recordings, posteriors = identifier.recording_posteriors(days, method=method)
    return _Trial(
        strangers=alike.max(axis=1),
        closed=np.concatenate(closed),
        truth=np.concatenate(truth),
        recordings=posteriors,
        recording_truth=_truth(identifier, days, recordings),
    )


def _truth(identifier: Any, beats: BeatSet, recordings: StrArray) -> IntArray:
    column = {name: i for i, name in enumerate(identifier.classes)}
    subject_of = dict(zip(beats.recording, beats.subject, strict=True))
    return np.asarray([column[subject_of[name]] for name in recordings], dtype=np.int64)


def _chosen(trials: dict[Method, list[_Trial]], n_subjects: int) -> Calibration:
    rank_1 = {
        method: float(np.mean(np.concatenate([t.closed.argmax(axis=1) == t.truth for t in folds])))
        for method, folds in trials.items()
    }
    method = max(CANDIDATES, key=lambda name: rank_1[name])
    folds = trials[method]
    strangers = np.concatenate([t.strangers for t in folds]).astype(np.float64)
    tail = NormalDist().inv_cdf(1 - FALSE_ACCEPT_RATE)
    measured = float(strangers.mean() + tail * strangers.std(ddof=1))
    share = len(strangers) / (len(strangers) + WORTH_STRANGERS)
    blended = share * measured + (1 - share) * default_threshold(n_subjects)
    threshold = min(blended, HIGHEST_THRESHOLD)
    spread = NormalDist(float(strangers.mean()), max(float(strangers.std(ddof=1)), 1e-6))
    temperature = min(TEMPERATURES, key=lambda t: _loss(folds, t))
    return Calibration(
        method=method,
        threshold=threshold,
        false_accept_rate=1 - spread.cdf(threshold),
        temperature=temperature,
        selection={
            "protocol": f"{FOLDS} short trainings on train beats, each without a third of the "
            f"{n_subjects} subjects (strangers) and without the last train recording of the "
            f"others, or the last {HELD_OUT_SHARE:.0%} of an only one, which is then varied as "
            "another day would be",
            "method": method,
            "rank_1": rank_1,
            "strangers": len(strangers),
            "stranger_score_mean": float(strangers.mean()),
            "stranger_score_sd": float(strangers.std(ddof=1)),
            "threshold_by_them_alone": measured,
            "threshold_rule": f"what {FALSE_ACCEPT_RATE:.0%} of the strangers would pass, and a "
            f"default that counts as {WORTH_STRANGERS} strangers",
        },
    )


def _loss(folds: list[_Trial], temperature: float) -> float:
    """Return the mean log loss of held-out recordings at a temperature."""
    losses = [
        -log_softmax(temperature * t.recordings)[np.arange(len(t.recordings)), t.recording_truth]
        for t in folds
    ]
    return float(np.mean(np.concatenate(losses)))

"""AuthenticityJudge: real and synthetic beats -> the probability that a beat is synthetic."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import skops.io
from scipy.interpolate import CubicSpline
from scipy.special import expit
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from core.beat_set import BeatSet
from core.errors import UserError
from core.models.storage import load_card, save_card
from core.preprocessing.features import beat_features
from core.progress import Progress, Report, silent
from core.recording import FloatArray, IntArray, StrArray

FoldArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]

THRESHOLD = 0.5
"""A beat is called synthetic above this probability."""
PENALTY = 10.0
"""C of the support vector machine, as in the project's published figures."""
N_FOLDS = 5
MIN_BEATS = 10
"""Beats of each kind below which nothing can be held out."""
MAX_BEATS = 4000
"""Beats of each kind above which a random part is used: an SVM's time grows with the square."""
LEAST_VARIANCE = 1e-12
"""Features that vary less hold rounding only: float64 against float32 alone moves them."""
WINDOW_TOLERANCE = 1.5
"""Samples by which two windows may differ and still count as one; rates round differently."""

MODEL_FILE = "judge.skops"
TRUSTED_TYPES: tuple[str, ...] = ()
"""Types beyond those skops trusts by itself; a file that needs others is refused."""


@dataclass(frozen=True)
class JudgeCard:
    """What a judge was fitted on, and how well it tells held-out beats apart.

    Attributes:
        sampling_rate: Rate of the beats, in Hz.
        before_s: Seconds from the first sample to the R peak.
        n_samples: Samples a beat.
        n_leads: Leads a beat.
        features: Names of the features, in order.
        slope: Platt's slope from the machine's decision value to log-odds; 0 if it cannot tell.
        intercept: Platt's intercept.
        n_each: Beats of each kind that it was fitted on.
        accuracy: Share of held-out beats told correctly (five folds, equal shares a subject).
        auc: Area under the ROC curve of the same held-out beats.
        brier: Mean squared error of the held-out probabilities; 0.25 is a coin's.
        seed: Seed of the draw and the folds.
        threshold: Probability above which a beat is called synthetic.
        protocol: How the figures were measured, in a sentence.
        versions: Versions of the packages that the saved model depends on.
    """

    sampling_rate: float
    before_s: float
    n_samples: int
    n_leads: int
    features: tuple[str, ...]
    slope: float
    intercept: float
    n_each: int
    accuracy: float
    auc: float
    brier: float
    seed: int
    threshold: float
    protocol: str
    versions: dict[str, str]


class AuthenticityJudge:
    """Tells synthetic beats from real ones by lone-beat features.

    A support vector machine with a radial kernel on standardised features; its decision
    values are turned into probabilities by Platt's logistic curve (Platt 1999), fitted to the
    held-out decision values of five folds. Deviation from Platt: the slope is never negative,
    so that a judge that cannot tell answers 0.5 for every beat.
    """

    def __init__(self, pipeline: Pipeline, card: JudgeCard) -> None:
        self._pipeline = pipeline
        self.card = card

    @classmethod
    def fit(
        cls, real: BeatSet, synthetic: BeatSet, *, seed: int, report: Report = silent
    ) -> AuthenticityJudge:
        """Fit a judge on as many synthetic as real beats, of every subject alike.

        Args:
            real: Measured beats; their rate and window become the judge's.
            synthetic: Generated beats of the same kind: filter, smoothing, window.
            seed: Of the draw of beats and of the folds.
            report: Called after each fold.

        Raises:
            UserError: Too few beats, no common window, or not the same leads.
        """
        synthetic = matched(synthetic, real, where="synthetic beats")
        _require_finite(real, "real beats")
        rng = np.random.default_rng(seed)
        of_real, of_synthetic = equal_shares(real.subject, synthetic.subject, rng, most=MAX_BEATS)
        n = len(of_real)
        if n < MIN_BEATS:
            raise UserError(
                "authenticity",
                f"{n} beats of each kind are too few for a judge",
                f"Give at least {MIN_BEATS} real and {MIN_BEATS} synthetic beats",
            )
        folds = paired_folds(real.subject[of_real], rng)
        names = beat_features(real.signals[:1], real.sampling_rate).columns
        x = np.vstack(
            [
                feature_matrix(real.signals[of_real], real.sampling_rate),
                feature_matrix(synthetic.signals[of_synthetic], real.sampling_rate),
            ]
        )
        is_synthetic = np.repeat([False, True], n)
        decision = held_out_decisions(x, is_synthetic, np.tile(folds, 2), report=report)
        slope, intercept = _platt(decision, is_synthetic)
        probability = expit(slope * decision + intercept)
        card = JudgeCard(
            sampling_rate=real.sampling_rate,
            before_s=real.before_s,
            n_samples=real.signals.shape[1],
            n_leads=real.signals.shape[2],
            features=tuple(str(name) for name in names),
            slope=slope,
            intercept=intercept,
            n_each=n,
            accuracy=float(np.mean((decision > 0) == is_synthetic)),
            auc=float(roc_auc_score(is_synthetic, decision)),
            brier=float(brier_score_loss(is_synthetic, probability)),
            seed=seed,
            threshold=THRESHOLD,
            protocol=(
                f"{N_FOLDS} folds over {n} real and {n} synthetic beats, equal numbers of each "
                "subject in every fold"
            ),
            versions={name: version(name) for name in ("scikit-learn", "skops", "numpy")},
        )
        pipeline = support_vector_machine().fit(x, is_synthetic)
        report(Progress("train authenticity", N_FOLDS + 1, N_FOLDS + 1, {"auc": card.auc}))
        return cls(pipeline, card)

    def probability(self, beats: BeatSet) -> DoubleArray:
        """Return (n,) the probability that each beat is synthetic.

        Beats of another rate are resampled to the judge's.

        Raises:
            UserError: Another window or number of leads, or samples that are missing.
        """
        return expit(self._log_odds(beats))

    def is_synthetic(self, beats: BeatSet) -> bool:
        """Return whether the beats, taken together, are more likely synthetic than real.

        They share one origin, so their log-odds add up; the sum's sign decides.

        Raises:
            UserError: There are no beats, or as for `probability`.
        """
        if not len(beats):
            raise UserError("beats", "there are none to judge", "Give at least one beat")
        return bool(np.mean(self._log_odds(beats)) > 0)

    def _log_odds(self, beats: BeatSet) -> DoubleArray:
        card = self.card
        if not len(beats):
            return np.empty(0)
        like = BeatSet.build(
            np.empty((0, card.n_samples, card.n_leads), dtype=np.float32),
            sampling_rate=card.sampling_rate,
            before_s=card.before_s,
            leads=("",) * card.n_leads,
        )
        x = feature_matrix(matched(beats, like).signals, card.sampling_rate)
        return card.slope * self._pipeline.decision_function(x) + card.intercept

    def save(self, folder: Path) -> None:
        """Write ``judge.skops`` and ``card.json`` into a folder, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / MODEL_FILE
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(skops.io.dumps(self._pipeline))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        save_card(folder, asdict(self.card))

    @classmethod
    def load(cls, folder: Path) -> AuthenticityJudge:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            UserError: A file is missing, damaged, or holds types that are not trusted.
        """
        values = load_card(folder)
        path = folder / MODEL_FILE
        try:
            known = {field.name: values[field.name] for field in fields(JudgeCard)}
            card = JudgeCard(**{**known, "features": tuple(known["features"])})
            pipeline = skops.io.load(path, trusted=list(TRUSTED_TYPES))
        except Exception as error:
            raise UserError(
                path, f"is not a readable judge ({error})", "Train authenticity again"
            ) from None
        return cls(pipeline, card)


def support_vector_machine() -> Pipeline:
    """Return the judge's machine, not yet fitted: drop constants, standardise, RBF SVM."""
    return make_pipeline(
        VarianceThreshold(LEAST_VARIANCE), StandardScaler(), SVC(C=PENALTY, kernel="rbf")
    )


def held_out_decisions(
    x: DoubleArray,
    is_synthetic: npt.NDArray[np.bool_],
    folds: FoldArray,
    *,
    report: Report = silent,
) -> DoubleArray:
    """Return (n,) decision values of a fresh machine for each fold, fitted on the others.

    Args:
        x: (n, n_features) features.
        is_synthetic: (n,) the truth; a positive decision value says synthetic.
        folds: (n,) fold of each row.
        report: Called after each fold.
    """
    decision = np.empty(len(x))
    names = np.unique(folds)
    for done, fold in enumerate(names, start=1):
        held = folds == fold
        machine = support_vector_machine().fit(x[~held], is_synthetic[~held])
        decision[held] = machine.decision_function(x[held])
        report(Progress("train authenticity", done, len(names) + 1))
    return decision


def equal_shares(
    real: StrArray, synthetic: StrArray, rng: np.random.Generator, *, most: int | None = None
) -> tuple[IntArray, IntArray]:
    """Return positions of real and of synthetic beats with equal numbers of each subject.

    With natural shares on one side and equal ones on the other, shares alone tell the two
    apart. Where no subject is on both sides, the totals are made equal instead.

    Args:
        real: (n_real,) subject of each real beat.
        synthetic: (n_synthetic,) subject of each synthetic beat.
        rng: Draws which beats are left out.
        most: The largest number of beats of each kind.

    Returns:
        Two arrays of one length; entry i of both is of one subject if subjects are shared.
    """
    shared = np.intersect1d(real, synthetic)
    if not len(shared):
        n = min(len(real), len(synthetic))
        pairs = [(rng.permutation(len(real))[:n], rng.permutation(len(synthetic))[:n])]
    else:
        pairs = []
        for subject in shared:
            one = rng.permutation(np.flatnonzero(real == subject))
            other = rng.permutation(np.flatnonzero(synthetic == subject))
            n = min(len(one), len(other))
            pairs.append((one[:n], other[:n]))
    of_real = np.concatenate([one for one, _ in pairs])
    of_synthetic = np.concatenate([other for _, other in pairs])
    if most is not None and len(of_real) > most:
        kept = rng.choice(len(of_real), most, replace=False)
        return of_real[kept], of_synthetic[kept]
    return of_real, of_synthetic


def paired_folds(
    subjects: StrArray, rng: np.random.Generator, *, n_folds: int = N_FOLDS
) -> FoldArray:
    """Return (n,) a fold for each beat, each subject spread over the folds at random.

    Given to a real beat and its synthetic counterpart alike, every fold and its complement have
    equal shares of each subject; otherwise a judge learns from the rest of a subject's beats
    which kind is left over, and falls below chance on beats that nobody can tell apart.
    """
    folds = np.empty(len(subjects), dtype=np.int64)
    start = 0
    for subject in np.unique(subjects):
        own = rng.permutation(np.flatnonzero(subjects == subject))
        folds[own] = (start + np.arange(len(own))) % n_folds
        start += len(own)
    return folds


def matched(beats: BeatSet, like: BeatSet, *, where: str = "beats") -> BeatSet:
    """Return beats as float32 at another set's rate and window.

    Another rate is resampled by a cubic spline around the R peak, without a low-pass filter:
    prepared beats hold nothing above the study's own low-pass.

    Raises:
        UserError: Window or number of leads differ, or samples are missing.
    """
    n_samples, n_leads = like.signals.shape[1:]
    if beats.signals.shape[2] != n_leads:
        raise UserError(
            where,
            f"{beats.signals.shape[2]} leads where {n_leads} are expected",
            "Prepare them with the same --leads",
        )
    tolerance = WINDOW_TOLERANCE / min(beats.sampling_rate, like.sampling_rate)
    before, after = _window(beats)
    like_before, like_after = _window(like)
    if abs(before - like_before) > tolerance or abs(after - like_after) > tolerance:
        raise UserError(
            where,
            f"the window is {before:.3f} s before to {after:.3f} s after the R peak, not "
            f"{like_before:.3f} s to {like_after:.3f} s",
            "Prepare them with the same window",
        )
    _require_finite(beats, where)
    same_rate = beats.sampling_rate == like.sampling_rate
    if same_rate and beats.signals.shape[1] == n_samples:
        signals = beats.signals
    else:
        source = np.arange(beats.signals.shape[1]) / beats.sampling_rate - before
        target = np.arange(n_samples) / like.sampling_rate - like_before
        spline = CubicSpline(source, beats.signals, axis=1)
        signals = spline(np.clip(target, source[0], source[-1]))
    columns = {
        name: getattr(beats, name)
        for name in ("subject", "session", "record", "recording", "label", "synthetic")
    }
    return BeatSet.build(
        np.asarray(signals, dtype=np.float32),
        sampling_rate=like.sampling_rate,
        before_s=like.before_s,
        leads=beats.leads,
        rr_before=beats.rr_before,
        rr_after=beats.rr_after,
        r_sample=beats.r_sample,
        **columns,
    )


def _window(beats: BeatSet) -> tuple[float, float]:
    """Return seconds before and after the sample of the R peak, the peak on a whole sample."""
    before = round(beats.before_s * beats.sampling_rate) / beats.sampling_rate
    return before, beats.signals.shape[1] / beats.sampling_rate - before


def _require_finite(beats: BeatSet, where: str) -> None:
    if not np.isfinite(beats.signals).all():
        raise UserError(where, "samples are missing or infinite", "Leave such beats out")


def feature_matrix(signals: FloatArray, sampling_rate: float) -> DoubleArray:
    """Return (n, n_features) the lone-beat features of float32 beats; 0 where undefined."""
    table = beat_features(np.asarray(signals, dtype=np.float32), sampling_rate)
    return np.nan_to_num(table.to_numpy(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _platt(decision: DoubleArray, is_synthetic: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept of the logistic curve from decision values to probabilities."""
    curve = LogisticRegression(C=1e6).fit(decision[:, None], is_synthetic)
    slope = float(curve.coef_[0, 0])
    return (slope, float(curve.intercept_[0])) if slope > 0 else (0.0, 0.0)

"""Realism: real beats and generated beats -> how far, and by whom, they can be told apart.

Every figure stands beside the same figure of real beats in the generated ones' place
(`real_against_real`): what a perfect generator would score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_limits

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation.privacy import evaluate_privacy
from core.models.authenticity import (
    N_FOLDS,
    feature_matrix,
    held_out_decisions,
    matched,
    paired_folds,
)
from core.progress import Progress, Report, silent
from core.recording import FloatArray, IntArray, StrArray

Array = npt.NDArray[np.floating[Any]]
Figures = dict[str, Any]

Generate = Callable[[StrArray, int], BeatSet]
"""(n,) subjects and a seed -> n beats, one for each subject asked for, in that order."""

Reconstruct = Callable[[FloatArray], FloatArray]
"""(n, n_samples, n_leads) beats -> the same beats through the autoencoder."""

Namer = Callable[[BeatSet], StrArray]
FitNamer = Callable[[BeatSet, int], Namer]
"""Beats of known subjects and a seed -> a function that names the subject of each beat."""

JUDGES = ("features", "waveform", "residual")
DEFAULT_REDRAWS = 5
MOST_JUDGED = 1000
"""Real beats, and as many generated ones, of one redraw: bounds time and memory."""
MOST_TAUGHT = 6000
"""Beats on which a classifier of subjects is trained: bounds time and memory."""

N_NAMER_COMPONENTS = 60
"""Principal components before the linear discriminant, as in the project's earlier figures."""
NAMER_SHRINKAGE = 1e-4
"""Keeps the discriminant defined for a generator that draws one beat over and over."""
N_FRECHET_COMPONENTS = 20
"""Few enough for a covariance from a few hundred beats."""
PSD_BAND_HZ = (0.5, 40.0)
LIKE_REAL_SPREAD = (0.9, 1.1)
"""Ratios of spread that count as real."""
COLLAPSED_SPREAD = 0.5
"""Ratio of spread below which a subject counts as collapsed."""
LEAST_BEATS_FOR_SPREAD = 5
LEAST_STD_MV = 1e-6
"""Below this a beat is flat, and is not divided by its standard deviation."""


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """Real beats of the subjects that train has."""

    train: BeatSet
    validation: BeatSet
    test: BeatSet


@dataclass(frozen=True, kw_only=True)
class _Redraw:
    """Beats in the place of real ones, each set where one kind of figure wants it.

    Attributes:
        judged: One beat for each judged validation beat, of the same subject.
        own: Where in train each judged beat comes from; None if it comes from nowhere.
        teaching: Beats in train's shares, for TSTR and mean beats.
        questioned: Beats that a classifier trained on train has not seen, for TRTS.
        asked: Beats that it has not seen, in validation's shares, for obedience.
        spread: Two sets; the spread of the first is divided by that of the second.
    """

    judged: BeatSet
    own: IntArray | None
    teaching: BeatSet
    questioned: BeatSet
    asked: BeatSet
    spread: tuple[BeatSet, BeatSet]


_Source = Callable[[BeatSet, int], _Redraw]
"""The validation beats that are judged, and a seed -> beats in their place."""


def evaluate_generator(
    train: BeatSet,
    validation: BeatSet,
    test: BeatSet,
    generated: Generate,
    *,
    seed: int,
    redraws: int = DEFAULT_REDRAWS,
    ceiling: Mapping[str, Any] | None = None,
    namers: Mapping[str, FitNamer] | None = None,
    report: Report = silent,
    stage: str = "evaluate generator",
) -> Figures:
    """Return every figure of a generator, with its protocol and real beats' own figure beside.

    Args:
        train: The beats that the generator was fitted to.
        validation: The last fifth of each train recording; nothing was fitted to it.
        test: Recordings that nothing has seen; may be empty.
        generated: Draws beats for the subjects it is given.
        seed: Of every draw and fold.
        redraws: How often beats are drawn anew.
        ceiling: What `real_against_real` returned for the same parts; computed if not given.
        namers: Further classifiers of subjects for TSTR, trained once each; their figures are
            called ``tstr_<name>``.
        report: Called after each redraw; may raise `Cancelled`.
        stage: What the reports call it.

    Returns:
        JSON-ready figures by name, each a mapping with ``value``, ``n``, ``protocol``, for most
        ``standard_error`` (over redraws) and ``ceiling``; None where not measurable.

    Raises:
        UserError: There are no validation beats of the train part's subjects, or what is
            generated has another window or number of leads.
    """
    parts = _parts(train, validation, test)
    if ceiling is None:
        ceiling = real_against_real(
            train, validation, test, seed=seed, redraws=redraws, namers=namers
        )
    taught = parts.train.take(_some(len(parts.train), MOST_TAUGHT, np.random.default_rng(seed)))

    def draw(real: BeatSet, draw_seed: int) -> BeatSet:
        drawn = generated(real.subject, draw_seed)
        if not np.array_equal(drawn.subject, real.subject):
            raise ValueError("the generator's beats are not of the subjects asked for")
        return matched(drawn, real, where="generated beats")

    def source(real: BeatSet, redraw_seed: int) -> _Redraw:
        first, second = _seeds(redraw_seed, 2)
        judged, teaching = draw(real, first), draw(taught, second)
        return _Redraw(
            judged=judged,
            own=None,
            teaching=teaching,
            questioned=teaching,
            asked=judged,
            spread=(teaching, taught),
        )

    figures = _figures(parts, source, seed, redraws, namers, report, stage)
    figures["privacy"] = evaluate_privacy(
        parts.train, parts.validation, draw(taught, _seeds(seed, 1)[0]), seed=seed
    )
    return plain(_beside(figures, ceiling))


def evaluate_reconstruction(
    train: BeatSet,
    validation: BeatSet,
    test: BeatSet,
    reconstruct: Reconstruct,
    *,
    seed: int,
    redraws: int = DEFAULT_REDRAWS,
    ceiling: Mapping[str, Any] | None = None,
    namers: Mapping[str, FitNamer] | None = None,
    report: Report = silent,
    stage: str = "evaluate reconstruction",
) -> Figures:
    """Return the figures of real beats through the autoencoder: what no generator can pass.

    Reconstructed train beats stand where `evaluate_generator` has generated ones; TRTS and
    obedience use reconstructed test and validation beats. ``reconstruction_prd`` is added: how
    far a beat is from its own reconstruction. Arguments and errors: see `evaluate_generator`.
    """
    parts = _parts(train, validation, test)
    if ceiling is None:
        ceiling = real_against_real(
            train, validation, test, seed=seed, redraws=redraws, namers=namers
        )

    def rebuilt(beats: BeatSet) -> BeatSet:
        if not len(beats):
            return beats
        signals = np.asarray(reconstruct(beats.signals), dtype=np.float32)
        return matched(replace(beats, signals=signals), beats, where="reconstructed beats")

    of_train, of_validation, of_test = (
        rebuilt(part) for part in (parts.train, parts.validation, parts.test)
    )

    def source(real: BeatSet, redraw_seed: int) -> _Redraw:
        own = _train_beats_like(real.subject, parts.train.subject, redraw_seed)
        return _Redraw(
            judged=of_train.take(own),
            own=own,
            teaching=of_train,
            questioned=of_test,
            asked=of_validation,
            spread=(of_train, parts.train),
        )

    figures = _figures(parts, source, seed, redraws, namers, report, stage)
    differences = prd(_rows(parts.validation.signals), _rows(of_validation.signals))
    figures["reconstruction_prd"] = {
        "value": np.median(differences),
        "percentile_95": np.percentile(differences, 95),
        "n": len(differences),
        "protocol": "difference of each validation beat from its own reconstruction, in percent "
        "of the beat's root mean square around its mean; median over beats",
    }
    return plain(_beside(figures, ceiling))


def real_against_real(
    train: BeatSet,
    validation: BeatSet,
    test: BeatSet,
    *,
    seed: int,
    redraws: int = DEFAULT_REDRAWS,
    namers: Mapping[str, FitNamer] | None = None,
    report: Report = silent,
) -> Figures:
    """Return what a perfect generator would score: real beats in the generated ones' place.

    Train beats stand against validation beats of the same subjects. TSTR trains on train beats
    and TRTS asks about test beats, so both are TRTR; obedience asks about validation beats;
    spread compares two halves of train. Arguments and errors: see `evaluate_generator`.
    """
    parts = _parts(train, validation, test)

    def source(real: BeatSet, redraw_seed: int) -> _Redraw:
        own = _train_beats_like(real.subject, parts.train.subject, redraw_seed)
        halves = paired_folds(parts.train.subject, np.random.default_rng(redraw_seed), n_folds=2)
        return _Redraw(
            judged=parts.train.take(own),
            own=own,
            teaching=parts.train,
            questioned=parts.test,
            asked=parts.validation,
            spread=(parts.train.take(halves == 0), parts.train.take(halves == 1)),
        )

    return plain(_figures(parts, source, seed, redraws, namers, report, "evaluate real beats"))


@threadpool_limits.wrap(limits=1, user_api="blas")
def _figures(
    parts: _Parts,
    source: _Source,
    seed: int,
    redraws: int,
    namers: Mapping[str, FitNamer] | None,
    report: Report,
    stage: str,
) -> Figures:
    """Return the figures of beats that a source puts in the place of real ones.

    On one thread: the matrices are small, and threads that wait for each other on a busy machine
    take ten times as long.
    """
    train, validation, test = parts.train, parts.validation, parts.test
    rng = np.random.default_rng(seed)
    taught = train.take(_some(len(train), MOST_TAUGHT, rng))
    several = len(np.unique(train.subject)) > 1
    verify = fit_linear_namer(taught, seed) if several else None
    means = _SubjectMeans(train)
    subspace = _principal_components(_z_scored(taught.signals), N_FRECHET_COMPONENTS, seed)
    values: dict[str, list[float]] = {}
    spreads: list[dict[str, float]] = []
    mean_prds: list[dict[str, float]] = []
    n_judged = 0
    redraw: _Redraw | None = None

    def note(name: str, value: float) -> None:
        values.setdefault(name, []).append(value)

    for done, redraw_seed in enumerate(_seeds(seed, redraws), start=1):
        rng = np.random.default_rng(redraw_seed)
        real = validation.take(_some(len(validation), MOST_JUDGED, rng))
        n_judged = len(real)
        redraw = source(real, redraw_seed)
        judged = redraw.judged
        folds = paired_folds(real.subject, rng)
        rate = real.sampling_rate
        views = {
            "features": (
                feature_matrix(real.signals, rate),
                feature_matrix(judged.signals, rate),
            ),
            "waveform": (_rows(real.signals), _rows(judged.signals)),
            "residual": (
                _rows(means.residual(real)),
                _rows(means.residual(judged, own=redraw.own)),
            ),
        }
        for judge, (x, y) in views.items():
            note(judge, discriminative_accuracy(x, y, folds))
        x, y = views["waveform"]
        note("mmd", mmd(x, y))
        one, other = (subspace(_z_scored(beats.signals)) for beats in (real, judged))
        note("frechet", frechet_distance(one, other))
        note("psd", psd_distance(real.signals, judged.signals, rate))
        mean_prds.append(mean_beat_prd(validation, redraw.teaching))
        spreads.append(spread_ratios(*redraw.spread))
        if verify is not None:
            note("obedience", _share_named(verify, redraw.asked))
            note("obeyed", _share_of_subjects_named(verify, redraw.asked))
            note("trts", _share_named(verify, redraw.questioned))
            teaching = redraw.teaching
            if len(teaching) > MOST_TAUGHT:
                teaching = teaching.take(_some(len(teaching), MOST_TAUGHT, rng))
            note("tstr", _share_named(fit_linear_namer(teaching, redraw_seed), test))
        report(Progress(stage, done, redraws, {k: float(v[-1]) for k, v in values.items()}))

    assert redraw is not None
    of_judged = ("features", "waveform", "residual", "mmd", "frechet", "psd")
    counts = dict.fromkeys(of_judged, 2 * n_judged)
    counts |= {"tstr": len(test), "trts": len(redraw.questioned), "obedience": len(redraw.asked)}
    figures = _summaries(values, counts, redraws)
    figures["prd"] = _prd_figure(mean_prds)
    figures["spread"] = _spread_figure(spreads)
    for name, fit_namer in (namers or {}).items():
        figures[f"tstr_{name}"] = _namer_figure(name, fit_namer, redraw.teaching, test, seed)
    return figures


def discriminative_accuracy(real: Array, synthetic: Array, folds: IntArray) -> float:
    """Return the share of held-out rows that an RBF SVM (C=10) tells correctly; 0.5 is chance.

    Args:
        real: (n, n_features).
        synthetic: (n, n_features); row i is of the same subject as real row i.
        folds: (n,) fold of each pair of rows, from `paired_folds`.
    """
    is_synthetic = np.repeat([False, True], len(real))
    x = np.vstack([real, synthetic]).astype(np.float32).astype(np.float64)
    decision = held_out_decisions(x, is_synthetic, np.tile(folds, 2))
    return float(np.mean((decision > 0) == is_synthetic))


def mmd(real: Array, synthetic: Array) -> float:
    """Return the squared maximum mean discrepancy, unbiased: 0 for equal distributions.

    Gretton et al. 2012, lemma 6, equation 4 (pairs of one index left out of all four sums), with
    a Gaussian kernel as wide as the median distance among the real rows. Row i of both is of
    one subject, and leaving out those pairs keeps the estimate unbiased then, too.

    Args:
        real: (n, n_features).
        synthetic: (n, n_features).
    """
    n = len(real)
    if n < 2:
        return math.nan
    width = max(float(np.median(pdist(real))), LEAST_STD_MV)

    def off_diagonal(a: Array, b: Array) -> float:
        kernel = np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2))
        return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))

    return (
        off_diagonal(real, real)
        + off_diagonal(synthetic, synthetic)
        - 2 * off_diagonal(real, synthetic)
    )


def frechet_distance(real: Array, synthetic: Array) -> float:
    """Return the Fréchet distance of two Gaussians fitted to the rows (Heusel et al. 2017).

    It falls with the number of rows; compare only figures of equal numbers.

    Args:
        real: (n, n_features), n > n_features.
        synthetic: (m, n_features).
    """
    if min(len(real), len(synthetic)) < 2:
        return math.nan
    a, b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (real, synthetic))
    difference = real.mean(axis=0) - synthetic.mean(axis=0)
    # eigenvalues of a b are those of a symmetric positive matrix: real, and not negative
    root = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0.0)).sum()
    return float(max(0.0, difference @ difference + np.trace(a) + np.trace(b) - 2 * root))


def psd_distance(real: FloatArray, synthetic: FloatArray, sampling_rate: float) -> float:
    """Return how far mean log power spectra differ: root mean square over 0.5 to 40 Hz, in dB.

    The mean is taken over logarithms, so that one artefact does not stand for all beats.

    Args:
        real: (n, n_samples, n_leads).
        synthetic: (m, n_samples, n_leads).
        sampling_rate: In Hz.
    """
    frequencies = np.fft.rfftfreq(real.shape[1], 1 / sampling_rate)
    band = (frequencies >= PSD_BAND_HZ[0]) & (frequencies <= PSD_BAND_HZ[1])

    def decibels(signals: FloatArray) -> Array:
        centred = signals - signals.mean(axis=1, keepdims=True)
        power = np.abs(np.fft.rfft(centred, axis=1)[:, band]) ** 2
        return 10 * np.log10(power + LEAST_STD_MV**2).mean(axis=0)

    return float(np.sqrt(np.mean((decibels(real) - decibels(synthetic)) ** 2)))


def prd(real: Array, synthetic: Array) -> Array:
    """Return (n,) percent root-mean-square difference of rows, the real row's mean removed.

    Args:
        real: (n, n_samples).
        synthetic: (n, n_samples).
    """
    size = np.linalg.norm(real - real.mean(axis=1, keepdims=True), axis=1)
    error = np.linalg.norm(real - synthetic, axis=1)
    return np.divide(100 * error, size, out=np.full(len(real), np.nan), where=size > 0)


def mean_beat_prd(real: BeatSet, synthetic: BeatSet) -> dict[str, float]:
    """Return for each shared subject the PRD of the mean synthetic to the mean real beat."""
    subjects = np.intersect1d(real.subject, synthetic.subject)
    one, other = (
        np.stack([beats.signals[beats.subject == s].mean(axis=0) for s in subjects])
        for beats in (real, synthetic)
    )
    values = prd(_rows(one), _rows(other))
    return {str(s): float(value) for s, value in zip(subjects, values, strict=True)}


def spread_ratios(synthetic: BeatSet, real: BeatSet) -> dict[str, float]:
    """Return for each subject the ratio of spreads, synthetic over real: 1 is like real.

    The spread of a subject is the total standard deviation around its recordings' means. Since
    synthetic beats name no recording, each beat of either kind is counted to the recording
    whose mean real beat it is closest to; deviations are from its own kind's mean there. So
    beats that only repeat each recording's mean have no spread, however many recordings there are.
    Subjects with fewer than `LEAST_BEATS_FOR_SPREAD` beats of a kind are left out.
    """
    ratios = {}
    for subject in np.intersect1d(real.subject, synthetic.subject):
        own = real.take(real.subject == subject)
        drawn = synthetic.signals[synthetic.subject == subject]
        if min(len(own), len(drawn)) < LEAST_BEATS_FOR_SPREAD:
            continue
        rows = _rows(own.signals)
        centres = np.stack(
            [rows[own.recording == r].mean(axis=0) for r in np.unique(own.recording)]
        )
        size = _within_variance(rows, centres)
        if size > 0:
            ratios[str(subject)] = math.sqrt(_within_variance(_rows(drawn), centres) / size)
    return ratios


def _within_variance(rows: Array, centres: Array) -> float:
    """Return the summed variance of rows around the mean of those with the same closest centre."""
    nearest = cdist(rows, centres).argmin(axis=1)
    groups = [rows[nearest == k] for k in np.unique(nearest)]
    squares = sum(float(((group - group.mean(axis=0)) ** 2).sum()) for group in groups)
    return squares / max(1, len(rows) - len(groups))


def fit_linear_namer(beats: BeatSet, seed: int) -> Namer:
    """Return a linear discriminant on principal components of z-scored beats, fitted to beats.

    Args:
        beats: Beats of at least two subjects.
        seed: Of the principal components' randomised solver.
    """
    x = _z_scored(beats.signals)
    project = _principal_components(x, N_NAMER_COMPONENTS, seed)
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=NAMER_SHRINKAGE)
    discriminant.fit(project(x), beats.subject)

    def name(other: BeatSet) -> StrArray:
        return np.asarray(discriminant.predict(project(_z_scored(other.signals))), dtype=np.str_)

    return name


class _SubjectMeans:
    """The mean train beat of each subject, to be taken from that subject's beats."""

    def __init__(self, train: BeatSet) -> None:
        self._train = train.signals
        self._subjects, inverse, self._counts = np.unique(
            train.subject, return_inverse=True, return_counts=True
        )
        self._means = np.zeros((len(self._subjects), *train.signals.shape[1:]))
        np.add.at(self._means, inverse, train.signals)
        self._means /= self._counts[:, None, None]

    def residual(self, beats: BeatSet, *, own: IntArray | None = None) -> FloatArray:
        """Return beats less their subject's mean train beat, float32.

        Beats that come from train rows ``own`` have these left out of their mean; otherwise
        they are closer to it than beats that had no part in it, and told apart by that alone.
        """
        row = np.searchsorted(self._subjects, beats.subject)
        means = self._means[row]
        if own is not None:
            n = self._counts[row][:, None, None]
            means = np.where(n > 1, (n * means - self._train[own]) / np.maximum(n - 1, 1), means)
        return (beats.signals - means).astype(np.float32)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: plain floats, ints, strings; None for NaN and infinities."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def _parts(train: BeatSet, validation: BeatSet, test: BeatSet) -> _Parts:
    """Return the parts, each as the train part's shape and of its subjects only."""
    validation, test = (
        part.take(np.isin(part.subject, train.subject)) for part in (validation, test)
    )
    if len(validation) < 2 * N_FOLDS:
        raise UserError(
            "evaluate",
            f"{len(validation)} validation beats are too few to judge generated beats against",
            "Prepare longer recordings, with another --split than none",
        )
    return _Parts(
        train=matched(train, train, where="train beats"),
        validation=matched(validation, train, where="validation beats"),
        test=matched(test, train, where="test beats"),
    )


def _train_beats_like(subjects: StrArray, train: StrArray, seed: int) -> IntArray:
    """Return a train beat of the same subject for each subject, none twice while they last."""
    rng = np.random.default_rng(seed)
    own = np.empty(len(subjects), dtype=np.int64)
    for subject in np.unique(subjects):
        asked = np.flatnonzero(subjects == subject)
        own[asked] = np.resize(rng.permutation(np.flatnonzero(train == subject)), len(asked))
    return own


def _seeds(seed: int, n: int) -> list[int]:
    return [int(s) for s in np.random.default_rng(seed).integers(0, 2**31 - 1, n)]


def _some(n: int, most: int, rng: np.random.Generator) -> IntArray:
    """Return positions of at most so many of n, ascending, drawn at random if there are more."""
    if n <= most:
        return np.arange(n)
    return np.sort(rng.choice(n, most, replace=False))


def _rows(signals: FloatArray) -> Array:
    return signals.reshape(len(signals), -1).astype(np.float64)


def _z_scored(signals: FloatArray) -> Array:
    rows = _rows(signals)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(rows.std(axis=1, keepdims=True), LEAST_STD_MV)


def _principal_components(x: Array, most: int, seed: int) -> Callable[[Array], Array]:
    """Return the projection on the first principal components of rows."""
    pca = PCA(min(most, len(x) - 1, x.shape[1]), random_state=seed).fit(x)
    return lambda rows: np.asarray(pca.transform(rows))


def _share_named(name: Namer, beats: BeatSet) -> float:
    return float(np.mean(name(beats) == beats.subject)) if len(beats) else math.nan


def _share_of_subjects_named(name: Namer, beats: BeatSet) -> float:
    """Return the share of subjects whose beats are mostly named as they should be."""
    right = name(beats) == beats.subject
    return float(
        np.mean([right[beats.subject == s].mean() > 0.5 for s in np.unique(beats.subject)])
    )


_FOLDS_SENTENCE = (
    "accuracy of an RBF SVM (C=10) on {what}, five folds over validation beats and as many in "
    "their place, equal shares of each subject in every fold, mean over redraws; 0.5 is chance"
)
_PROTOCOLS = {
    "features": _FOLDS_SENTENCE.format(what="lone-beat features"),
    "waveform": _FOLDS_SENTENCE.format(what="the samples of a beat"),
    "residual": _FOLDS_SENTENCE.format(what="a beat less its subject's mean train beat"),
    "tstr": "rank-1 a beat of a linear discriminant (on 60 principal components of z-scored "
    "beats) trained on beats in train's shares, tested on the real test part; beside, trained on "
    "train itself (TRTR)",
    "trts": "rank-1 a beat of the same discriminant trained on real train beats, tested on "
    "beats in train's shares; beside, tested on the real test part (TRTR)",
    "obedience": "share of beats in validation's shares that the same discriminant, trained on "
    "real train beats, names as the subject asked for; beside, real validation beats",
    "mmd": "squared maximum mean discrepancy, unbiased, of the samples of a beat in mV (Gaussian "
    "kernel, median heuristic), validation against as many beats in their place; 0 is equal",
    "frechet": "Fréchet distance on 20 principal components of z-scored beats, validation "
    "against as many beats in their place",
    "psd": "root mean square difference of the mean log power spectra, 0.5 to 40 Hz, in dB, "
    "validation against as many beats in their place",
    "prd": "percent root-mean-square difference of each subject's mean beat in train's shares "
    "from its mean validation beat, means over redraws; median over subjects",
    "spread": "total standard deviation around each recording's mean, over that of train beats, "
    "mean over redraws; median over subjects; beside, "
    "one half of train over the other (fewer beats, so more scatter)",
}
_BESIDE = {
    "value": "ceiling",
    "standard_error": "ceiling_standard_error",
    "share_like_real": "ceiling_share_like_real",
    "subjects_obeyed": "ceiling_subjects_obeyed",
}


def _summaries(
    values: Mapping[str, list[float]], counts: Mapping[str, int], redraws: int
) -> Figures:
    """Return mean and standard error over redraws of each measured value, by figure."""

    def summary(name: str) -> Figures:
        found = np.asarray(values.get(name, [math.nan]))
        error = found.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan
        return {
            "value": found.mean(),
            "standard_error": error,
            "n": counts[name],
            "redraws": redraws,
            "protocol": _PROTOCOLS[name],
        }

    figures: Figures = {name: summary(name) for name in counts if name not in JUDGES}
    figures["discriminative"] = {
        judge: {**summary(judge), "sampling_error": math.sqrt(0.25 / counts[judge])}
        for judge in JUDGES
    }
    figures["obedience"]["subjects_obeyed"] = float(np.mean(values.get("obeyed", [math.nan])))
    return figures


def _prd_figure(redraws: list[dict[str, float]]) -> Figures:
    by_subject = _mean_by_subject(redraws)
    found = np.asarray(list(by_subject.values()))
    return {
        "value": np.median(found),
        "percentile_95": np.percentile(found, 95),
        "n": len(found),
        "by_subject": by_subject,
        "protocol": _PROTOCOLS["prd"],
    }


def _spread_figure(redraws: list[dict[str, float]]) -> Figures:
    by_subject = _mean_by_subject(redraws)
    found = np.asarray(list(by_subject.values()))
    low, high = LIKE_REAL_SPREAD
    some = len(found) > 0
    return {
        "value": np.median(found) if some else math.nan,
        "share_like_real": np.mean((found >= low) & (found <= high)) if some else math.nan,
        "collapsed": sorted(s for s, ratio in by_subject.items() if ratio < COLLAPSED_SPREAD),
        "n": len(found),
        "by_subject": by_subject,
        "protocol": f"{_PROTOCOLS['spread']}; like real: {low:g} to {high:g}, collapsed: below "
        f"{COLLAPSED_SPREAD:g}",
    }


def _mean_by_subject(redraws: list[dict[str, float]]) -> dict[str, float]:
    subjects = sorted(set().union(*redraws))
    return {s: float(np.mean([one[s] for one in redraws if s in one])) for s in subjects}


def _namer_figure(
    name: str, fit_namer: FitNamer, teaching: BeatSet, test: BeatSet, seed: int
) -> Figures:
    """Return TSTR by another classifier of subjects, trained once."""
    value = _share_named(fit_namer(teaching, seed), test) if len(test) else math.nan
    return {
        "value": value,
        "n": len(test),
        "protocol": f"rank-1 a beat of {name} trained on beats in train's shares, tested on "
        "the real test part, one redraw; beside, trained on train itself (TRTR)",
    }


def _beside(figures: Figures, ceiling: Mapping[str, Any]) -> Figures:
    """Return figures with real beats' own figure beside each that has one."""
    result: Figures = {}
    for name, figure in figures.items():
        real = ceiling.get(name)
        if not isinstance(figure, dict) or real is None:
            result[name] = figure
        elif "value" in figure:
            result[name] = figure | {_BESIDE[k]: v for k, v in real.items() if k in _BESIDE}
        else:
            result[name] = _beside(figure, real)
    return result

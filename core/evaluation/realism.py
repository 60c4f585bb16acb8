"""Realism: real beats and generated beats -> how far, and by whom, they can be told apart.

Every figure stands beside the same figure of real beats in the generated ones' place
(`real_against_real`): what a perfect generator would score.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from scipy.stats import t as student
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_limits

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation.clinical import evaluate_intervals
from core.evaluation.distribution import frechet_distance, mmd, overlap, psd_distance
from core.evaluation.identification import BOOTSTRAP_DRAWS, bootstrap_interval
from core.evaluation.judges import JUDGE_WORDS, JUDGES, judge_pairs
from core.evaluation.privacy import evaluate_privacy
from core.evaluation.sequences import (
    LEAST_PAIRS,
    SEQUENCE_BEATS,
    SEQUENCE_JUDGES,
    SEQUENCE_WORDS,
    in_a_row,
    judge_sequences,
    paired_rows,
    row_folds,
)
from core.models.authenticity import N_FOLDS, matched, paired_folds
from core.models.linear import LinearDiscriminant
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

DrawRows = Callable[[StrArray, int, int], BeatSet]
"""(m,) subjects, beats a row and a seed -> rows of beats, one row after the other, whose
`rr_before` is the time since the beat before."""

Embed = Callable[[BeatSet], FloatArray]
"""Beats (n) -> what an identifier sees in them (n, n_units)."""

DEFAULT_REDRAWS = 5
CNN_SHARE = 0.5
"""Of the redraws that the network judges, at least two: it takes the longest."""
MORE_TIMES = 5
"""Beats for each train beat, where a classifier learns from more generated beats than train has."""
FURTHER_TSTR = ("tstr_more", "tstr_new")
"""Figures of classifiers that learn from more generated beats than train has."""
MOST_MORE_REDRAWS = 5
MOST_JUDGED = 1000
"""Real beats, and as many generated ones, of one redraw: bounds time and memory."""
MOST_TAUGHT = 6000
"""Beats on which a classifier of subjects is trained: bounds time and memory."""
MOST_MORE = 12_000
"""The same, where it learns from more beats than train has."""

N_NAMER_COMPONENTS = 60
"""Principal components before the linear discriminant, as in the project's earlier figures."""
NAMER_SHRINKAGE = 1e-4
"""Keeps the discriminant defined for a generator that draws one beat over and over."""
N_FRECHET_COMPONENTS = 20
"""Few enough for a covariance from a few hundred beats."""
LIKE_REAL_SPREAD = (0.9, 1.1)
"""Ratios of spread that count as real."""
COLLAPSED_SPREAD = 0.5
"""Ratio of spread below which a subject counts as collapsed."""
LEAST_BEATS_FOR_SPREAD = 5
CLOSE_PRD = 5.0
"""In percent: mean beats that differ by no more count as the same."""
CONFIDENCE = 0.95
LEAST_OF_A_LABEL = 10
"""Train beats of a label below which no verifier learns it."""
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
        besides: Beats whose means and intervals are compared with train's.
        more: By figure, several times as many beats as train has, in its shares.
    """

    judged: BeatSet
    own: IntArray | None
    teaching: BeatSet
    questioned: BeatSet
    asked: BeatSet
    spread: tuple[BeatSet, BeatSet]
    besides: BeatSet
    more: Mapping[str, Callable[[], BeatSet]] = field(default_factory=dict)


_Source = Callable[[BeatSet, int], _Redraw]
"""The validation beats that are judged, and a seed -> beats in their place."""

_RowSource = Callable[[StrArray, IntArray, int], tuple[BeatSet, IntArray]]
"""(m,) subjects, numbers of train rows of theirs and a seed -> beats, and positions of m rows."""


@dataclass(frozen=True, kw_only=True)
class _How:
    """How figures are measured: see `evaluate_generator`."""

    seed: int
    redraws: int
    namers: Mapping[str, FitNamer] | None
    embed: Embed | None
    thorough: bool
    report: Report
    stage: str

    @property
    def cnn_redraws(self) -> int:
        """How many of the redraws the network judges."""
        if self.thorough:
            return self.redraws
        return min(self.redraws, max(2, round(CNN_SHARE * self.redraws)))


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
    generated_new: Generate | None = None,
    draw_rows: DrawRows | None = None,
    embed: Embed | None = None,
    thorough: bool = False,
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
        generated_new: Draws beats as on days that were not recorded, for ``tstr_new``.
        draw_rows: Draws beats in a row, for the judges of sequences; without, these are left out.
        embed: What a trained identifier sees in beats, for the Fréchet distance in its features;
            a linear discriminant fitted to train by default.
        thorough: The network judges every redraw, and `namers` also learn from more beats than
            train has (``tstr_more_<name>``, ``tstr_new_<name>``).
        report: Called after each redraw; may raise `Cancelled`.
        stage: What the reports call it.

    Returns:
        JSON-ready figures by name, each a mapping with ``value``, ``n``, ``protocol``, for most
        ``standard_error`` (over redraws), ``interval`` (95 %, over what ``interval_over`` says)
        and ``ceiling``; None where not measurable.

    Raises:
        UserError: There are no validation beats of the train part's subjects, or what is
            generated has another window or number of leads.
    """
    parts = _parts(train, validation, test)
    how = _How(
        seed=seed,
        redraws=redraws,
        namers=namers,
        embed=embed,
        thorough=thorough,
        report=report,
        stage=stage,
    )
    if ceiling is None:
        ceiling = _real_against_real(parts, replace(how, report=silent))
    taught = parts.train.take(_some(len(parts.train), MOST_TAUGHT, np.random.default_rng(seed)))

    def draw(real: BeatSet, draw_seed: int, how_drawn: Generate = generated) -> BeatSet:
        drawn = how_drawn(real.subject, draw_seed)
        if not np.array_equal(drawn.subject, real.subject):
            raise ValueError("the generator's beats are not of the subjects asked for")
        return matched(drawn, real, where="generated beats")

    def draw_more(draw_seed: int, how_drawn: Generate) -> BeatSet:
        n = min(MOST_MORE, MORE_TIMES * len(parts.train))
        rows = np.sort(np.resize(np.random.default_rng(draw_seed).permutation(len(parts.train)), n))
        return draw(parts.train.take(rows), draw_seed, how_drawn)

    def in_rows(subjects: StrArray, _: IntArray, row_seed: int) -> tuple[BeatSet, IntArray]:
        assert draw_rows is not None
        drawn = draw_rows(subjects, SEQUENCE_BEATS, row_seed)
        if not np.array_equal(drawn.subject, np.repeat(subjects, SEQUENCE_BEATS)):
            raise ValueError("the generator's rows are not of the subjects asked for")
        beats = matched(drawn, parts.train, where="generated beats")
        return beats, np.arange(len(beats)).reshape(-1, SEQUENCE_BEATS)

    further = {"tstr_more": generated}
    if generated_new is not None:
        further["tstr_new"] = generated_new

    def source(real: BeatSet, redraw_seed: int) -> _Redraw:
        first, second, third = _seeds(redraw_seed, 3)
        judged, teaching = draw(real, first), draw(taught, second)
        return _Redraw(
            judged=judged,
            own=None,
            teaching=teaching,
            questioned=teaching,
            asked=judged,
            spread=(teaching, taught),
            besides=teaching,
            more={name: partial(draw_more, third, one) for name, one in further.items()},
        )

    figures = _figures(parts, source, None if draw_rows is None else in_rows, how)
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
    embed: Embed | None = None,
    thorough: bool = False,
    report: Report = silent,
    stage: str = "evaluate reconstruction",
) -> Figures:
    """Return the figures of real beats through the autoencoder: what no generator can pass.

    Reconstructed train beats stand where `evaluate_generator` has generated ones; TRTS and
    obedience use reconstructed test and validation beats. ``reconstruction_prd`` is added: how
    far a beat is from its own reconstruction. Arguments and errors: see `evaluate_generator`.
    """
    parts = _parts(train, validation, test)
    how = _How(
        seed=seed,
        redraws=redraws,
        namers=namers,
        embed=embed,
        thorough=thorough,
        report=report,
        stage=stage,
    )
    if ceiling is None:
        ceiling = _real_against_real(parts, replace(how, report=silent))

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
            besides=of_train,
        )

    rows = in_a_row(parts.train)
    figures = _figures(parts, source, lambda _, which, __: (of_train, rows[which]), how)
    differences = prd(parts.validation.signals, of_validation.signals)
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
    embed: Embed | None = None,
    thorough: bool = False,
    report: Report = silent,
) -> Figures:
    """Return what a perfect generator would score: real beats in the generated ones' place.

    Train beats stand against validation beats of the same subjects. TSTR trains on train beats
    and TRTS asks about test beats, so both are TRTR; obedience asks about validation beats;
    spread compares two halves of train. Arguments and errors: see `evaluate_generator`.
    """
    how = _How(
        seed=seed,
        redraws=redraws,
        namers=namers,
        embed=embed,
        thorough=thorough,
        report=report,
        stage="evaluate real beats",
    )
    return _real_against_real(_parts(train, validation, test), how)


def _real_against_real(parts: _Parts, how: _How) -> Figures:
    rows = in_a_row(parts.train)

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
            besides=parts.validation,
        )

    figures = _figures(parts, source, lambda _, which, __: (parts.train, rows[which]), how)
    figures["obedience"]["held_out_train"] = _held_out_share(parts.train, how.seed)
    for further in FURTHER_TSTR:
        figures[further] = figures["tstr"] | {"protocol": _PROTOCOLS[further]}
        for name in how.namers or {} if how.thorough else {}:
            figures[f"{further}_{name}"] = dict(figures[f"tstr_{name}"])
    return plain(figures)


@threadpool_limits.wrap(limits=1, user_api="blas")
def _figures(parts: _Parts, source: _Source, row_source: _RowSource | None, how: _How) -> Figures:
    """Return the figures of beats that a source puts in the place of real ones.

    On one thread: the matrices are small, and threads that wait for each other on a busy machine
    take ten times as long.
    """
    train, validation, test, seed = parts.train, parts.validation, parts.test, how.seed
    rng = np.random.default_rng(seed)
    taught = train.take(_some(len(train), MOST_TAUGHT, rng))
    several = len(np.unique(train.subject)) > 1
    verify = fit_linear_namer(taught, seed) if several else None
    labelled = _labelled(taught)
    verify_label = None if labelled is None else fit_linear_namer(labelled, seed, of="label")
    means = _SubjectMeans(train)
    subspace = _principal_components(_z_scored(taught.signals), N_FRECHET_COMPONENTS, seed)
    seen = _identifier_features(taught, how.embed, seed) if several else None
    sequences = None if row_source is None else _Sequences(parts, row_source)
    values: dict[str, list[float]] = {}
    answers: dict[str, _Answers] = {}
    spreads: list[dict[str, float]] = []
    mean_prds: list[dict[str, float]] = []
    train_prds: list[dict[str, float]] = []
    n_judged = 0
    redraw: _Redraw | None = None

    def note(name: str, value: float) -> None:
        values.setdefault(name, []).append(value)

    def tell(name: str, subjects: StrArray, right: npt.NDArray[Any]) -> None:
        note(name, float(np.mean(right)) if len(right) else math.nan)
        answers.setdefault(name, _Answers()).add(subjects, right)

    for done, redraw_seed in enumerate(_seeds(seed, how.redraws), start=1):
        rng = np.random.default_rng(redraw_seed)
        real = validation.take(_some(len(validation), MOST_JUDGED, rng))
        n_judged = len(real)
        redraw = source(real, redraw_seed)
        judged = redraw.judged
        told = judge_pairs(
            real.signals,
            judged.signals,
            means.residual(real),
            means.residual(judged, own=redraw.own),
            paired_folds(real.subject, rng),
            real.sampling_rate,
            seed=redraw_seed,
            judges=tuple(j for j in JUDGES if j != "cnn" or done <= how.cnn_redraws),
        )
        for judge, right in told.items():
            tell(judge, real.subject, right)
        x, y = _rows(real.signals), _rows(judged.signals)
        note("mmd", mmd(x, y))
        for name, value in overlap(x, y).items():
            note(name, value)
        one, other = (subspace(_z_scored(beats.signals)) for beats in (real, judged))
        note("frechet", frechet_distance(one, other))
        if seen is not None:
            note("frechet_identifier", frechet_distance(seen(real), seen(judged)))
        note("psd", psd_distance(real.signals, judged.signals, real.sampling_rate))
        mean_prds.append(mean_beat_prd(validation, redraw.teaching))
        train_prds.append(mean_beat_prd(train, redraw.besides))
        spreads.append(spread_ratios(*redraw.spread))
        if sequences is not None:
            for name, (subjects, right) in sequences.judge(redraw_seed).items():
                tell(f"sequence {name}", subjects, right)
        if verify is not None:
            asked, questioned, teaching = redraw.asked, redraw.questioned, redraw.teaching
            tell("obedience", asked.subject, verify(asked) == asked.subject)
            note("obeyed", _share_of_subjects_named(verify, asked))
            tell("trts", questioned.subject, _named_rightly(verify, questioned))
            if len(teaching) > MOST_TAUGHT:
                teaching = teaching.take(_some(len(teaching), MOST_TAUGHT, rng))
            tell(
                "tstr", test.subject, _taught_rightly(fit_linear_namer, teaching, test, redraw_seed)
            )
            for name, more in redraw.more.items() if done <= MOST_MORE_REDRAWS else ():
                by_more = _taught_rightly(fit_linear_namer, more(), test, redraw_seed)
                tell(name, test.subject, by_more)
        if verify_label is not None:
            note("obedience_label", _mean_over_labels(verify_label, redraw.asked, labelled))
        latest = {k: float(v[-1]) for k, v in values.items()}
        how.report(Progress(how.stage, done, how.redraws, latest))

    assert redraw is not None
    of_judged = ("mmd", "precision", "recall", "density", "coverage", "frechet", "psd")
    counts = dict.fromkeys((*JUDGES, *of_judged), 2 * n_judged)
    counts |= {"frechet_identifier": 2 * n_judged} if seen is not None else {}
    counts |= {"tstr": len(test), "trts": len(redraw.questioned), "obedience": len(redraw.asked)}
    counts |= dict.fromkeys(redraw.more, len(test))
    counts |= {"obedience_label": len(redraw.asked)} if verify_label is not None else {}
    counts |= {f"sequence {j}": 2 * sequences.n for j in SEQUENCE_JUDGES} if sequences else {}
    figures = {name: _summary(name, values, answers, n, seed) for name, n in counts.items()}
    for name in JUDGES:
        figures[name]["sampling_error"] = math.sqrt(0.25 / counts[name])
    figures["discriminative"] = {judge: figures.pop(judge) for judge in JUDGES}
    if sequences is not None:
        figures["sequences"] = {
            judge: figures.pop(f"sequence {judge}") | {"protocol": sequences.protocol(judge)}
            for judge in SEQUENCE_JUDGES
        }
    figures["obedience"]["subjects_obeyed"] = float(np.mean(values.get("obeyed", [math.nan])))
    figures["prd"] = _prd_figure("prd", mean_prds, seed)
    figures["prd_train"] = _prd_figure("prd_train", train_prds, seed)
    figures["spread"] = _spread_figure(spreads, seed)
    figures["intervals"] = _interval_figures(validation, redraw.teaching, "validation")
    figures["intervals_train"] = _interval_figures(taught, redraw.besides, "train")
    for name, fit_namer in (how.namers or {}).items():
        figures[f"tstr_{name}"] = _namer_figure(name, fit_namer, redraw.teaching, test, seed)
        for further, more in redraw.more.items() if how.thorough else ():
            figures[f"{further}_{name}"] = _namer_figure(
                name, fit_namer, more(), test, seed, times=MORE_TIMES
            )
    return figures


class _Answers:
    """Answers, right or wrong, of several redraws -> the interval of their share over subjects."""

    def __init__(self) -> None:
        self._right: dict[str, float] = {}
        self._asked: dict[str, int] = {}

    def add(self, subjects: StrArray, right: npt.NDArray[Any]) -> None:
        """Add answers (n,), each 0 to 1, to questions about subjects (n,)."""
        for subject in np.unique(subjects):
            own = right[subjects == subject]
            name = str(subject)
            self._right[name] = self._right.get(name, 0.0) + float(own.sum())
            self._asked[name] = self._asked.get(name, 0) + len(own)

    def interval(self, seed: int) -> list[float] | None:
        """Return the 95 % percentile interval over resampled subjects (Efron 1979)."""
        n = len(self._asked)
        if n < 2:
            return None
        right, asked = (
            np.asarray(list(self._right.values())),
            np.asarray(list(self._asked.values())),
        )
        weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), BOOTSTRAP_DRAWS)
        return _percentiles((weights @ right) / (weights @ asked))


class _Sequences:
    """The rows of real beats that sequences are judged against, and how.

    Of the validation part where it has enough beats in a row, else of the test part, which are
    other recordings of the same subjects. Each has as many rows as its subject has in train, at
    most, so that the same rows are judged against generated and against train rows.
    """

    def __init__(self, parts: _Parts, source: _RowSource) -> None:
        self._source = source
        train_rows = in_a_row(parts.train)
        self._train = parts.train.subject[train_rows[:, 0]]
        for self._part, self._beats in (("validation", parts.validation), ("test", parts.test)):
            self._rows = in_a_row(self._beats)
            self._subjects = self._beats.subject[self._rows[:, 0]]
            self.n = len(paired_rows(self._subjects, self._train, np.random.default_rng(0))[0])
            if self.n >= LEAST_PAIRS:
                break

    def judge(self, seed: int) -> dict[str, tuple[StrArray, npt.NDArray[Any]]]:
        """Return the subject (n,) of each pair of rows, and each judge's answers (n,)."""
        if self.n < LEAST_PAIRS:
            return {}
        rng = np.random.default_rng(seed)
        of_real, of_train = paired_rows(self._subjects, self._train, rng)
        subjects = self._subjects[of_real]
        beats, rows = self._source(subjects, of_train, seed)
        told = judge_sequences(
            self._beats, self._rows[of_real], beats, rows, row_folds(subjects, rng), seed=seed
        )
        return {judge: (subjects, right) for judge, right in told.items()}

    def protocol(self, judge: str) -> str:
        """Return how the figure of a judge is measured."""
        if self.n < LEAST_PAIRS:
            return (
                f"not measured: fewer than {LEAST_PAIRS} rows of {SEQUENCE_BEATS} beats in the "
                "validation part, and in the test part, of subjects with such rows in train"
            )
        return (
            f"accuracy of {SEQUENCE_WORDS[judge]}, on {self.n} rows of {SEQUENCE_BEATS} beats of "
            f"the {self._part} part and as many of the same subjects in their place, five folds, "
            "each subject in one where there are enough, mean over redraws; 0.5 is chance; "
            "beside, rows of train"
        )


def prd(real: Array, synthetic: Array) -> Array:
    """Return (n,) percent root-mean-square difference of beats, each real lead's mean removed.

    Args:
        real: (n, n_samples, n_leads).
        synthetic: (n, n_samples, n_leads).
    """
    size = np.linalg.norm(real - real.mean(axis=1, keepdims=True), axis=(1, 2))
    error = np.linalg.norm(real - synthetic, axis=(1, 2))
    return np.divide(100 * error, size, out=np.full(len(real), np.nan), where=size > 0)


def mean_beat_prd(real: BeatSet, synthetic: BeatSet) -> dict[str, float]:
    """Return for each shared subject the PRD of the mean synthetic to the mean real beat."""
    subjects = np.intersect1d(real.subject, synthetic.subject)
    one, other = (
        np.stack([beats.signals[beats.subject == s].mean(axis=0) for s in subjects])
        for beats in (real, synthetic)
    )
    values = prd(one, other)
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


def fit_linear_namer(
    beats: BeatSet, seed: int, *, of: Literal["subject", "label"] = "subject"
) -> Namer:
    """Return a linear discriminant on principal components of z-scored beats, fitted to beats.

    Args:
        beats: Beats of at least two subjects or labels.
        seed: Of the principal components' randomised solver.
        of: What it names.
    """
    x = _z_scored(beats.signals)
    project = _principal_components(x, N_NAMER_COMPONENTS, seed)
    discriminant = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=NAMER_SHRINKAGE)
    discriminant.fit(project(x), getattr(beats, of))

    def name(other: BeatSet) -> StrArray:
        return np.asarray(discriminant.predict(project(_z_scored(other.signals))), dtype=np.str_)

    return name


def _held_out_share(train: BeatSet, seed: int) -> float:
    """Return the share of train beats that a discriminant of the other folds names rightly."""
    if len(np.unique(train.subject)) < 2:
        return math.nan
    train = train.take(_some(len(train), MOST_TAUGHT, np.random.default_rng(seed)))
    folds = paired_folds(train.subject, np.random.default_rng(seed))
    right = np.zeros(len(train))
    for fold in np.unique(folds):
        name = fit_linear_namer(train.take(folds != fold), seed)
        right[folds == fold] = _named_rightly(name, train.take(folds == fold))
    return float(right.mean())


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


def _named_rightly(name: Namer, beats: BeatSet) -> npt.NDArray[np.bool_]:
    return name(beats) == beats.subject if len(beats) else np.zeros(0, np.bool_)


def _taught_rightly(
    fit_namer: FitNamer, teaching: BeatSet, test: BeatSet, seed: int
) -> npt.NDArray[np.bool_]:
    """Return (n,) which test beats are named rightly by a classifier fitted to other beats."""
    return _named_rightly(fit_namer(teaching, seed), test) if len(test) else np.zeros(0, np.bool_)


def _labelled(beats: BeatSet) -> BeatSet | None:
    """Return the beats of labels that a verifier can learn; None if there are not two labels."""
    labels, counts = np.unique(beats.label, return_counts=True)
    known = labels[(counts >= LEAST_OF_A_LABEL) & (labels != "")]
    return beats.take(np.isin(beats.label, known)) if len(known) > 1 else None


def _mean_over_labels(name: Namer, beats: BeatSet, learned: BeatSet | None) -> float:
    """Return the share of each label's beats that is named so, mean over labels."""
    assert learned is not None
    asked = beats.take(np.isin(beats.label, learned.label))
    if not len(asked):
        return math.nan
    right = name(asked) == asked.label
    return float(np.mean([right[asked.label == label].mean() for label in np.unique(asked.label)]))


def _identifier_features(beats: BeatSet, embed: Embed | None, seed: int) -> Embed:
    """Return the first principal components, over train, of what an identifier sees in beats."""
    if embed is None:
        codes = np.unique(beats.subject, return_inverse=True)[1].reshape(-1)
        linear = LinearDiscriminant.fit(_z_scored(beats.signals).astype(np.float32), codes)

        def embed(other: BeatSet) -> FloatArray:
            return linear.project(_z_scored(other.signals).astype(np.float32))

    seen = embed
    project = _principal_components(np.asarray(seen(beats), np.float64), N_FRECHET_COMPONENTS, seed)
    return lambda other: project(np.asarray(seen(other), np.float64))


def _share_of_subjects_named(name: Namer, beats: BeatSet) -> float:
    """Return the share of subjects whose beats are mostly named as they should be."""
    right = name(beats) == beats.subject
    return float(
        np.mean([right[beats.subject == s].mean() > 0.5 for s in np.unique(beats.subject)])
    )


_PROTOCOLS = {
    **{
        judge: f"accuracy of {words}, five folds over validation beats and as many in their "
        "place, equal shares of each subject in every fold, mean over redraws; 0.5 is chance"
        for judge, words in JUDGE_WORDS.items()
    },
    "tstr": "rank-1 a beat of a linear discriminant (on 60 principal components of z-scored "
    "beats) trained on beats in train's shares, tested on the real test part; beside, trained on "
    "train itself (TRTR)",
    "tstr_more": f"the same discriminant, trained on {MORE_TIMES} generated beats for each train "
    f"beat (at most {MOST_MORE}), in train's shares; beside, trained on train itself (TRTR)",
    "tstr_new": f"the same, of {MORE_TIMES} beats as on other days for each train beat",
    "trts": "rank-1 a beat of the same discriminant trained on real train beats, tested on "
    "beats in train's shares; beside, tested on the real test part (TRTR)",
    "obedience": "share of beats in validation's shares that the same discriminant, trained on "
    "real train beats, names as the subject asked for; beside, real validation beats, and train "
    "beats that a discriminant fitted to the other four fifths, neighbouring beats among them, "
    "names (held_out_train)",
    "obedience_label": "share of beats that a linear discriminant, trained on the labels of real "
    "train beats, names as the label asked for, mean over labels; beside, real validation beats",
    "precision": "share of beats in the place of validation beats that lie within the fifth "
    "nearest neighbour of a validation beat, by samples in mV",
    "recall": "share of validation beats that lie within the fifth nearest neighbour of a beat in "
    "their place, by samples in mV",
    "density": "validation beats whose fifth nearest neighbour is further than a beat in their "
    "place is, over five, mean over these (Naeem et al. 2020)",
    "coverage": "share of validation beats that have a beat in their place within their fifth "
    "nearest neighbour (Naeem et al. 2020)",
    "frechet_identifier": "Fréchet distance on 20 principal components of what an identifier sees "
    "in beats (the study's own, else a linear discriminant fitted to train), validation against as "
    "many beats in their place",
    "mmd": "squared maximum mean discrepancy, unbiased, of the samples of a beat in mV (Gaussian "
    "kernel, median heuristic), validation against as many beats in their place; 0 is equal",
    "frechet": "Fréchet distance on 20 principal components of z-scored beats, validation "
    "against as many beats in their place",
    "psd": "root mean square difference of the mean log power spectra, 0.5 to 40 Hz, in dB, "
    "validation against as many beats in their place",
    "prd": "percent root-mean-square difference of each subject's mean beat in train's shares "
    "from its mean validation beat, means over redraws; median over subjects",
    "prd_train": "percent root-mean-square difference of each subject's mean generated beat from "
    "its mean train beat, means over redraws; median over subjects; beside, mean validation beats",
    "spread": "total standard deviation around each recording's mean, over that of train beats, "
    "mean over redraws; median over subjects; beside, "
    "one half of train over the other (fewer beats, so more scatter)",
}
_BESIDE = {
    "value": "ceiling",
    "standard_error": "ceiling_standard_error",
    "share_like_real": "ceiling_share_like_real",
    "subjects_obeyed": "ceiling_subjects_obeyed",
    "held_out_train": "ceiling_held_out_train",
    "share_close": "ceiling_share_close",
    "interval": "ceiling_interval",
    "median_difference_ms": "ceiling_median_difference_ms",
    "n_compared": "ceiling_n",
}
COMPARED = {
    "discriminative/features": ("SVM on features", 1.0),
    "discriminative/waveform": ("SVM on waveforms", 1.0),
    "discriminative/residual": ("SVM on residuals", 1.0),
    "discriminative/boosting": ("gradient boosting", 1.0),
    "discriminative/cnn": ("CNN on waveforms", 1.0),
    "sequences/boosting": ("the judge of sequences", 1.0),
    "tstr": ("TSTR", -1.0),
    "tstr_cnn_lstm": ("TSTR by CNN-LSTM", -1.0),
    "obedience": ("obedience", -1.0),
    "recall": ("recall", -1.0),
    "precision": ("precision", -1.0),
}
"""Figures by which generators are compared, their words, and 1 if more is worse, -1 if better."""
FLOOR = {"value": "floor", "standard_error": "floor_standard_error", "interval": "floor_interval"}
"""What of the mixture's figures stands beside another generator's."""


def _summary(
    name: str,
    values: Mapping[str, list[float]],
    answers: Mapping[str, _Answers],
    n: int,
    seed: int,
) -> Figures:
    """Return mean, standard error over redraws and interval of a measured value."""
    found = np.asarray(values.get(name, [math.nan]))
    error = found.std(ddof=1) / math.sqrt(len(found)) if len(found) > 1 else math.nan
    if name in answers:
        interval, over = answers[name].interval(seed), "subjects"
    else:
        half = student.ppf((1 + CONFIDENCE) / 2, len(found) - 1) * error if len(found) > 1 else 0.0
        interval = [found.mean() - half, found.mean() + half] if half > 0 else None
        over = "redraws"
    return {
        "value": found.mean(),
        "standard_error": error,
        "interval": interval,
        "interval_over": over,
        "n": n,
        "redraws": len(found),
        "protocol": _PROTOCOLS.get(name, ""),
    }


def _percentiles(found: npt.NDArray[Any]) -> list[float]:
    tail = 100 * (1 - CONFIDENCE) / 2
    return [float(v) for v in np.percentile(found, [tail, 100 - tail])]


def _median_interval(found: npt.NDArray[Any], seed: int) -> list[float] | None:
    """Return the 95 % interval of a median over resampled subjects."""
    rows = np.arange(len(found))
    ends = bootstrap_interval(lambda drawn: float(np.median(found[drawn])), rows, seed=seed)
    return None if ends is None else list(ends)


def share_interval(share: float, n: int) -> list[float] | None:
    """Return the 95 % interval of a share of n subjects (Wilson 1927)."""
    if n < 1 or not math.isfinite(share):
        return None
    z = 1.96
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _prd_figure(name: str, redraws: list[dict[str, float]], seed: int) -> Figures:
    by_subject = _mean_by_subject(redraws)
    found = np.asarray(list(by_subject.values()))
    share = float(np.mean(found <= CLOSE_PRD))
    return {
        "value": np.median(found),
        "interval": _median_interval(found, seed),
        "interval_over": "subjects",
        "percentile_95": np.percentile(found, 95),
        "share_close": share,
        "share_close_interval": share_interval(share, len(found)),
        "n": len(found),
        "by_subject": by_subject,
        "protocol": f"{_PROTOCOLS[name]}; close: at most {CLOSE_PRD:g} %",
    }


def _interval_figures(real: BeatSet, other: BeatSet, part: str) -> Figures:
    """Return how PR, QRS, QT and RR of each subject agree with the real beats of a part."""
    figures = evaluate_intervals(real, other)
    for name, figure in figures.items():
        if name != "delineation_success" and figure["value"] is not None:
            figure["interval"] = share_interval(figure["value"], figure["n"])
            figure["interval_over"] = "subjects"
        figure["protocol"] += f"; real: the {part} part; one redraw"
    return figures


def _spread_figure(redraws: list[dict[str, float]], seed: int) -> Figures:
    by_subject = _mean_by_subject(redraws)
    found = np.asarray(list(by_subject.values()))
    low, high = LIKE_REAL_SPREAD
    some = len(found) > 0
    share = float(np.mean((found >= low) & (found <= high))) if some else math.nan
    return {
        "value": np.median(found) if some else math.nan,
        "interval": _median_interval(found, seed),
        "interval_over": "subjects",
        "share_like_real": share,
        "share_like_real_interval": share_interval(share, len(found)),
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
    name: str, fit_namer: FitNamer, teaching: BeatSet, test: BeatSet, seed: int, *, times: int = 1
) -> Figures:
    """Return TSTR by another classifier of subjects, trained once."""
    right = _taught_rightly(fit_namer, teaching, test, seed)
    answers = _Answers()
    answers.add(test.subject, right)
    shares = "train's shares" if times == 1 else f"train's shares, {times} for each train beat"
    return {
        "value": float(right.mean()) if len(test) else math.nan,
        "interval": answers.interval(seed),
        "interval_over": "subjects",
        "n": len(test),
        "protocol": f"rank-1 a beat of {name} trained on beats in {shares}, tested on "
        "the real test part, one redraw; beside, trained on train itself (TRTR)",
    }


def with_floor(figures: Figures, mixture: Mapping[str, Any]) -> Figures:
    """Return a generator's figures with the mixture's beside each (`FLOOR` names the keys)."""
    return _beside(figures, mixture, FLOOR)


def better_generator(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return which of two generators draws beats more like the study's own, and why.

    Compared by `COMPARED`: of each figure, how far it is beyond that of real beats. One is ahead
    where the two lie further apart than twice the standard error of their difference; the
    better is who is ahead more often. The standard error of a share is at least that of as many
    answers, over the root of the redraws.

    Args:
        figures: ``gan`` and ``mixture``: what `evaluate_generator` returned for each.

    Returns:
        ``{"model": "gan" | "mixture" | None, "why", "gan", "mixture"}``: the model is None where
        neither is ahead more often; the last two list the figures that each is ahead in.
    """
    names = ("gan", "mixture")
    ahead: dict[str, list[str]] = {name: [] for name in names}
    level = []
    for path, (words, sign) in COMPARED.items():
        one, other = (_at(figures.get(name, {}), path) for name in names)
        if one is None or other is None:
            continue
        excess = [max(0.0, sign * (f["value"] - f["ceiling"])) for f in (one, other)]
        error = math.hypot(*(_standard_error(f) for f in (one, other)))
        if abs(excess[0] - excess[1]) <= 2 * error:
            level.append(words)
        else:
            ahead[names[0] if excess[0] < excess[1] else names[1]].append(words)
    told = [f"the {n} is ahead in {', '.join(ahead[n])}" for n in names if ahead[n]]
    told += [f"level in {', '.join(level)}"] if level else []
    more = len(ahead["gan"]) - len(ahead["mixture"])
    model = "gan" if more > 0 else "mixture" if more < 0 else None
    return {"model": model, "why": "; ".join(told) or "nothing could be compared", **ahead}


def _at(figures: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """Return a figure that has a value and real beats' beside it; None if there is none."""
    node: Any = figures
    for key in path.split("/"):
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping) or node.get("value") is None or node.get("ceiling") is None:
        return None
    return node


def _standard_error(figure: Mapping[str, Any]) -> float:
    of_answers = math.sqrt(0.25 / max(1, figure["n"]) / max(1, figure.get("redraws", 1)))
    return max(float(figure.get("standard_error") or 0.0), of_answers)


def _beside(
    figures: Figures, ceiling: Mapping[str, Any], names: Mapping[str, str] = _BESIDE
) -> Figures:
    """Return figures with another's, real beats' by default, beside each that has one."""
    result: Figures = {}
    for name, figure in figures.items():
        real = ceiling.get(name)
        if not isinstance(figure, dict) or real is None:
            result[name] = figure
        elif "value" in figure:
            result[name] = figure | {names[k]: v for k, v in real.items() if k in names}
        else:
            result[name] = _beside(figure, real, names)
    return result

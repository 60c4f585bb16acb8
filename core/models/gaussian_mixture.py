"""Codes of each recording's beats -> Gaussians -> codes of beats that were never measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from core.errors import UserError, did_you_mean
from core.models.storage import load_arrays, load_card, save_arrays, save_card
from core.models.succession import Succession
from core.models.virtual_recordings import allot, directions, evened
from core.progress import Progress, Report, silent
from core.recording import FloatArray, IntArray, StrArray

Days = Literal["recorded", "new"]
Decode = Callable[[FloatArray], FloatArray]

LEVEL_WEIGHT = 2.0
"""Beats' worth of belief that a recording has the pooled noise level."""
VARIANCE_WEIGHT = 1.0
"""Beats' worth of belief that all directions of a recording share its noise level."""
RECORDING_WEIGHT = 2.0
"""Beats at which a recording's own correlations count as much as its subject's."""
SUBJECT_WEIGHT = 5.0
"""Beats at which a subject's own correlations count as much as their absence."""
BETWEEN_WEIGHT = 20.0
"""Pairs of recordings at which their correlations count as much as their absence."""
BETWEEN_SCALE_WEIGHT = 2.0
"""Further recordings at which a subject's own change counts as much as everybody's."""
MEAN_WEIGHT = 5.0
"""Beats at which a recording counts half in its subject's mean."""
MIN_COMPONENT_BEATS = 20
MAX_COMPONENTS = 4
BIC_DIMENSIONS = 4
"""Leading directions of a recording in which beat types are told apart."""
BEATS_A_DAY = 5
"""Beats drawn for one new day before the next begins: as many as an identifier averages. What is
learned from many short days holds for further ones better than from a few long ones."""
GAIN_DRAWS = 4
"""Beats for each number of a code, drawn of a Gaussian to see how they spread."""
GAIN_WEIGHT = 2.0
"""Beats at which a recording's own spread in millivolts counts as much as its Gaussian's."""
FLAT = 1e-4
"""Of the largest: the least standard deviation of a direction."""

_STAGE = "train mixture"
_FILE = "mixture.npz"


@dataclass(frozen=True, eq=False)
class Draw:
    """What to draw, a row a beat: which Gaussian, and where its mean lies.

    Attributes:
        component: (n + u,) index of the Gaussian; first of the beats that are asked for, then of
            those that complete their virtual recordings.
        mean: (n + u, k) mean code; on a new day it is not the Gaussian's own.
        asked: n.
        whole: Whether the beats of each Gaussian are whole virtual recordings; beats that follow
            one another are not.
    """

    component: IntArray
    mean: FloatArray
    asked: int
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Components:
    """Gaussians in code space: ``code = mean + (factor @ w) @ basis`` with white ``w``.

    Attributes:
        basis: (k, k) rows span the code space; white within recordings, pooled over all.
        mean: (m, k) of each Gaussian.
        factor: (m, k, k) lower triangular.
        own: (m, k, k) orthonormal rows, in the white basis: the directions in which its own
            beats vary; the rest are zero.
        level: (m,) noise level of its recording over the pooled one, a standard deviation.
        count: (m,) beats it was estimated from.
        recording: (m,) name of its recording.
        condition: (m,) index of its subject and label in `subject` and `label`.
        group_mean: (m, k) mean code of its recording and label.
        subject: (c,) subject of each condition.
        label: (c,) label of each condition; empty without labels.
        condition_mean: (c, k) mean code over the condition's recordings.
        between: (k, k) lower triangular factor of how recordings of one condition differ, in
            the white basis; all zero if no condition has two recordings.
        between_scale: (c,) how much the recordings of each condition differ, on that shape.
    """

    basis: FloatArray
    mean: FloatArray
    factor: FloatArray
    own: FloatArray
    level: FloatArray
    count: IntArray
    recording: StrArray
    condition: IntArray
    group_mean: FloatArray
    subject: StrArray
    label: StrArray
    condition_mean: FloatArray
    between: FloatArray
    between_scale: FloatArray


class GaussianMixtureGenerator:
    """Draws codes of beats from Gaussians, one or more a recording and label.

    Noise level and electrode contact belong to the recording, so each has a Gaussian of its own;
    their correlations are shrunk to the subject's and these to the pooled ones, since a recording
    has fewer beats than a code has numbers. A recording with beats of several kinds gets several,
    by the BIC. What is drawn are virtual recordings (`core.models.virtual_recordings`).

    Attributes:
        components: The Gaussians.
        assignment: (n,) index of the Gaussian of each beat in `fit`; empty once loaded.
    """

    def __init__(self, components: Components, assignment: IntArray | None = None) -> None:
        self.components = components
        self.assignment = np.zeros(0, np.int64) if assignment is None else assignment

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects that it can draw, sorted."""
        return tuple(sorted({str(s) for s in self.components.subject}))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that it can draw, sorted; none if it was fitted without."""
        return tuple(sorted({str(s) for s in self.components.label} - {""}))

    @classmethod
    def fit(
        cls,
        codes: FloatArray,
        subjects: npt.ArrayLike,
        recordings: npt.ArrayLike,
        *,
        labels: npt.ArrayLike | None = None,
        decode: Decode | None = None,
        seed: int = 0,
        report: Report = silent,
    ) -> GaussianMixtureGenerator:
        """Estimate the Gaussians from the codes of the train part.

        Args:
            codes: (n, k) float32.
            subjects: (n,) who each beat belongs to.
            recordings: (n,) which recording each beat belongs to.
            labels: (n,) a further condition, such as the beat type.
            decode: Codes -> beats; with it, each Gaussian's beats spread in millivolts as those
                that it was estimated from. Without, smoothed variances move some by a tenth.
            seed: For the search for beat types, and the draws that tell how beats spread.
            report: Called after every recording; may raise `Cancelled`.

        Raises:
            UserError: No recording has two beats of one label.
        """
        exact = np.asarray(codes, dtype=np.float64)
        names = _names(len(exact), subjects, recordings, labels)
        groups, group = np.unique(names, axis=0, return_inverse=True)
        group = group.reshape(-1)
        conditions, condition = np.unique(groups[:, [0, 2]], axis=0, return_inverse=True)
        condition = condition.reshape(-1)

        assignment, owner = _split(exact, group, len(groups), seed, report)
        basis, inverse = _white_basis(exact, assignment)
        white = exact @ inverse
        mean, factor, own, level = _moments(white, assignment, condition[owner])

        if decode is not None:
            factor *= _gains(exact, assignment, mean, factor, basis, decode, seed)[:, None, None]

        group_mean = _means(white, group, len(groups))
        trust = np.bincount(group) / (np.bincount(group) + MEAN_WEIGHT)
        condition_mean = _means(group_mean, condition, len(conditions), trust)
        between, between_scale = _between(group_mean - condition_mean[condition], condition, trust)

        def code(values: npt.NDArray[np.float64]) -> FloatArray:
            return (values @ basis).astype(np.float32)

        return cls(
            Components(
                basis=basis.astype(np.float32),
                mean=code(mean),
                factor=factor.astype(np.float32),
                own=own.astype(np.float32),
                level=level.astype(np.float32),
                count=np.bincount(assignment).astype(np.int64),
                recording=groups[owner, 1],
                condition=condition[owner].astype(np.int64),
                group_mean=code(group_mean[owner]),
                subject=conditions[:, 0],
                label=conditions[:, 1],
                condition_mean=code(condition_mean),
                between=between.astype(np.float32),
                between_scale=between_scale.astype(np.float32),
            ),
            assignment,
        )

    def sample(
        self,
        subjects: npt.ArrayLike,
        *,
        seed: int = 0,
        days: Days = "recorded",
        labels: npt.ArrayLike | None = None,
        succession: Succession | None = None,
    ) -> FloatArray:
        """Return codes (n, k) float32, drawn for the subjects (n,), in their order.

        Args:
            subjects: (n,) who to draw.
            seed: Same seed and request give the same codes.
            days: ``recorded`` as on the days it was fitted to, ``new`` as on another day: the
                recording's mean is drawn anew, every 5 beats of a subject (`day_numbers`).
            labels: (n,) a label for each; without, labels come in the shares they were seen in.
            succession: Which beats are of one day of one recording; any by default.

        Raises:
            UserError: Unknown subject or label, or days that cannot be drawn.
        """
        rng = np.random.default_rng([seed, 0])
        draw = self.plan(subjects, rng=rng, days=days, labels=labels, succession=succession)
        w = rng.standard_normal(draw.mean.shape, dtype=np.float32)
        return self.place(draw, w)

    def plan(
        self,
        subjects: npt.ArrayLike,
        *,
        rng: np.random.Generator,
        days: Days,
        labels: npt.ArrayLike | None,
        succession: Succession | None = None,
    ) -> Draw:
        """Choose the Gaussian and the mean of each beat to be drawn; arguments as in `sample`."""
        if days not in ("recorded", "new"):
            raise UserError("--days", f"{days!r} is not allowed", "Choose recorded or new")
        parts = self.components
        who = np.atleast_1d(np.asarray(subjects, dtype=np.str_))
        what = None if labels is None else np.atleast_1d(np.asarray(labels, dtype=np.str_))
        if what is not None and len(what) != len(who):
            raise ValueError(f"{len(what)} labels for {len(who)} subjects")
        component = np.zeros(len(who), np.int64)
        unasked = [component[:0]]
        for rows, allowed in self._requests(who, what):
            if succession is None:
                allotment = allot(len(rows), allowed, parts.count[allowed], rng)
                component[rows] = allotment.asked
                unasked.append(allotment.unasked)
                continue
            for some, own in _of_recordings(parts, rows, allowed, succession):
                share = parts.count[own] / parts.count[own].sum()
                component[some] = rng.choice(own, size=len(some), p=share)
        mean = parts.mean[component]
        if days == "new":
            mean = mean + self._new_days(component, who, rng, succession)
        rest = np.concatenate(unasked)
        return Draw(
            component=np.concatenate([component, rest]),
            mean=np.concatenate([mean, parts.mean[rest]]),
            asked=len(who),
            whole=succession is None,
        )

    def place(self, draw: Draw, w: FloatArray) -> FloatArray:
        """Return the codes (n, k) of the beats that a draw asks for.

        Args:
            draw: What `plan` returned.
            w: (n + u, k) white numbers, which the Gaussians place.
        """
        parts = self.components
        coloured = np.empty_like(w)
        with threadpool_limits(1):
            for index, rows in _by_value(draw.component):
                factor = parts.factor[index].astype(np.float64)
                placed = w[rows] @ factor.T
                if draw.whole:
                    placed = evened(placed, factor, parts.own[index].astype(np.float64))
                coloured[rows] = placed
        n = draw.asked
        return draw.mean[:n] + coloured[:n] @ parts.basis

    def save(self, folder: Path) -> None:
        """Write ``mixture.npz`` and the card."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = self.components
        arrays = {f.name: getattr(parts, f.name) for f in fields(parts)}
        save_arrays(folder / _FILE, arrays, compressed=True)
        save_card(
            folder,
            {
                "model": "mixture",
                "n_codes": int(parts.mean.shape[1]),
                "n_components": len(parts.mean),
                "subjects": list(self.subjects),
                "labels": list(self.labels),
            },
        )

    @classmethod
    def load(cls, folder: Path) -> GaussianMixtureGenerator:
        """Read what `save` wrote.

        Raises:
            UserError: A file is missing or damaged.
        """
        load_card(folder)
        arrays = load_arrays(folder / _FILE)
        missing = {f.name for f in fields(Components)} - set(arrays)
        if missing:
            raise UserError(folder / _FILE, "is not a mixture", "Train the model again")
        return cls(Components(**arrays))

    def _requests(
        self, who: StrArray, what: StrArray | None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the rows of each distinct request, and the Gaussians that may serve it."""
        parts = self.components
        owner = parts.subject[parts.condition]
        kind = parts.label[parts.condition]
        request = np.stack([who, who if what is None else what], axis=1)
        distinct, inverse = np.unique(request, axis=0, return_inverse=True)
        for i, (subject, label) in enumerate(distinct):
            mine = owner == subject
            if not mine.any():
                raise UserError(
                    "--subject",
                    f"{str(subject)!r} is not among the subjects the generator was trained on",
                    did_you_mean(str(subject), self.subjects),
                )
            if what is not None:
                known = sorted({str(k) for k in kind[mine]})
                mine = mine & (kind == label)
                if not mine.any():
                    raise UserError(
                        "--label",
                        f"subject {str(subject)!r} has no beats labelled {str(label)!r}",
                        "Train with labels" if known == [""] else did_you_mean(str(label), known),
                    )
            yield np.flatnonzero(inverse.reshape(-1) == i), np.flatnonzero(mine)

    def _new_days(
        self,
        component: IntArray,
        who: StrArray,
        rng: np.random.Generator,
        succession: Succession | None,
    ) -> FloatArray:
        """Return what carries each beat's mean from its recorded day to a new one, (n, k)."""
        parts = self.components
        if not parts.between.any():
            raise UserError(
                "--days",
                "no subject has two recordings, so how days differ is unknown",
                "Use --days recorded, or train on subjects with several recordings",
            )
        _, person = np.unique(who, return_inverse=True)
        day = succession.row if succession else day_numbers(who)
        _, which = np.unique(np.stack([person, day], axis=1), axis=0, return_inverse=True)
        which = which.reshape(-1)
        white = rng.standard_normal((which.max(initial=-1) + 1, len(parts.basis)), np.float32)
        shift = (white @ parts.between.T) @ parts.basis
        condition = parts.condition[component]
        scaled = shift[which] * parts.between_scale[condition][:, None]
        home = parts.condition_mean[parts.condition] - parts.group_mean
        return (home[component] + scaled).astype(np.float32)


def _of_recordings(
    parts: Components, rows: IntArray, allowed: IntArray, succession: Succession
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the rows of each recording that a succession names, and the Gaussians for them."""
    for name in np.unique(succession.recording[rows]):
        own = allowed[parts.recording[allowed] == name]
        if not len(own):
            raise ValueError(f"the generator knows no recording {name} of this subject and label")
        if succession.kinds == "main":
            own = own[[int(np.argmax(parts.count[own]))]]
        yield rows[succession.recording[rows] == name], own


def _names(n: int, *columns: npt.ArrayLike | None) -> StrArray:
    """Return (n, 3) subject, recording and label of each beat."""
    arrays = [np.full(n, "") if c is None else np.asarray(c, dtype=np.str_) for c in columns]
    if any(len(array) != n for array in arrays):
        raise ValueError(f"{[len(array) for array in arrays]} names for {n} codes")
    return np.stack(arrays, axis=1)


def _means(
    values: npt.NDArray[Any],
    group: IntArray,
    n_groups: int,
    weight: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]:
    """Return the mean (n_groups, k) of the values (n, k) of each group."""
    weight = np.ones(len(values)) if weight is None else weight
    total = np.zeros((n_groups, values.shape[1]))
    np.add.at(total, group, values * weight[:, None])
    mean: npt.NDArray[np.float64] = total / np.bincount(group, weight, n_groups)[:, None]
    return mean


def _white_basis(
    codes: npt.NDArray[np.float64], group: IntArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return basis and inverse: ``codes @ inverse`` is white within groups, pooled over all."""
    n_groups = int(group.max()) + 1
    deviation = codes - _means(codes, group, n_groups)[group]
    freedom = len(codes) - n_groups
    if freedom < 1 or not np.abs(deviation).max() > 0:
        raise UserError(
            "generator",
            "no recording has two different beats of one kind, so how beats vary is unknown",
            "Give at least one recording with two or more usable beats in the train part",
        )
    values, vectors = np.linalg.eigh(deviation.T @ deviation / freedom)
    spread = np.sqrt(np.maximum(values, 0))[::-1]
    spread = np.maximum(spread, FLAT * spread[0])
    vectors = vectors[:, ::-1]
    return (vectors * spread).T, vectors / spread


def _split(
    codes: npt.NDArray[np.float64], group: IntArray, n_groups: int, seed: int, report: Report
) -> tuple[IntArray, IntArray]:
    """Return the component (n,) of each beat, and the group (m,) of each component."""
    assignment = np.zeros(len(codes), np.int64)
    owner: list[int] = []
    with threadpool_limits(1):
        for index, rows in _by_value(group):
            kinds = _beat_types(codes[rows], seed)
            assignment[rows] = len(owner) + kinds
            owner += [index] * (int(kinds.max()) + 1)
            report(Progress(_STAGE, index + 1, n_groups))
    return assignment, np.asarray(owner, dtype=np.int64)


def _beat_types(codes: npt.NDArray[np.float64], seed: int) -> IntArray:
    """Return the kind (n,) of each beat of a recording: one, unless the BIC favours more."""
    n = len(codes)
    best, kinds = np.inf, np.zeros(n, np.int64)
    most = min(MAX_COMPONENTS, n // MIN_COMPONENT_BEATS)
    if most < 2:
        return kinds
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    centred = codes - codes.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:BIC_DIMENSIONS]
    leading = centred @ axes.T
    leading = leading / max(leading.std(), np.finfo(np.float64).tiny)
    for k in range(1, most + 1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = GaussianMixture(k, n_init=2, reg_covar=1e-3, random_state=seed).fit(leading)
        bic, found = model.bic(leading), model.predict(leading)
        if bic < best and np.bincount(found, minlength=k).min() >= MIN_COMPONENT_BEATS:
            best, kinds = bic, found.astype(np.int64)
    return kinds


def _moments(
    white: npt.NDArray[np.float64], component: IntArray, condition: IntArray
) -> tuple[
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
    npt.NDArray[np.float64],
]:
    """Return mean (m, k), Cholesky factor and own directions (m, k, k), and level (m,).

    All in the white basis.

    Args:
        white: (n, k) codes in the white basis.
        component: (n,) which Gaussian each belongs to.
        condition: (m,) subject and label of each Gaussian; those of one share correlations.
    """
    m, k = len(condition), white.shape[1]
    mean = _means(white, component, m)
    deviation = white - mean[component]
    factor, own = np.zeros((m, k, k)), np.zeros((m, k, k))
    level = np.zeros(m)
    for _, kin in _by_value(condition):
        members = [deviation[component == index] for index in kin]
        scatters = [member.T @ member for member in members]
        beats = sum(len(member) for member in members)
        trust = beats / (beats + SUBJECT_WEIGHT)
        shared = trust * _correlation(np.sum(scatters, axis=0))
        for index, member, scatter in zip(kin, members, scatters, strict=True):
            covariance, level[index] = _shrunk(scatter, len(member), shared)
            factor[index] = np.linalg.cholesky(_positive(covariance))
            own[index] = directions(scatter, len(member))
    return mean, factor, own, level


def _gains(
    codes: npt.NDArray[np.float64],
    component: IntArray,
    mean: npt.NDArray[np.float64],
    factor: npt.NDArray[np.float64],
    basis: npt.NDArray[np.float64],
    decode: Decode,
    seed: int,
) -> npt.NDArray[np.float64]:
    """Return (m,) what brings the spread of each Gaussian's beats to that of its real ones.

    With few beats, their spread is trusted less, and the gain is nearer to 1.
    """
    gains = np.ones(len(mean))
    draws = GAIN_DRAWS * len(basis)
    white = np.random.default_rng([seed, 2]).standard_normal((draws, len(basis)))
    white = np.linalg.qr(white - white.mean(axis=0))[0] * np.sqrt(draws - 1)
    for index, rows in _by_value(component):
        n = len(rows)
        if n < 2:
            continue
        drawn = (mean[index] + white @ factor[index].T) @ basis
        wanted, found = (
            float(np.var(decode(some.astype(np.float32)), axis=0, ddof=1).sum())
            for some in (codes[rows], drawn)
        )
        if wanted > 0 and found > 0:
            gains[index] = (wanted / found) ** (n / (n + GAIN_WEIGHT) / 2)
    return gains


def _shrunk(
    scatter: npt.NDArray[np.float64], n: int, shared: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the covariance (k, k) of a recording from n beats, and its noise level.

    One beat tells nothing of either.
    """
    known = n - 1
    square = (np.trace(scatter) / len(scatter) + LEVEL_WEIGHT) / (known + LEVEL_WEIGHT)
    variance = (np.diag(scatter) + VARIANCE_WEIGHT * square) / (known + VARIANCE_WEIGHT)
    own = known / (known + RECORDING_WEIGHT)
    correlation = own * _correlation(scatter) + (1 - own) * shared
    np.fill_diagonal(correlation, 1)
    return correlation * np.sqrt(np.outer(variance, variance)), float(np.sqrt(square))


def _correlation(scatter: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    size = np.sqrt(np.maximum(np.diag(scatter), np.finfo(np.float64).tiny))
    return scatter / np.outer(size, size)


def _positive(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the covariance with eigenvalues of at least a millionth of the largest."""
    values, vectors = np.linalg.eigh(covariance)
    floor = 1e-6 * values[-1]
    if values[0] >= floor:
        return covariance
    positive: npt.NDArray[np.float64] = (vectors * np.maximum(values, floor)) @ vectors.T
    return positive


def _between(
    deviation: npt.NDArray[np.float64], condition: IntArray, trust: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return how recordings of one condition differ, in the white basis.

    A few people change a hundred times more than others; so each condition has a scale of its
    own, shrunk to the geometric mean, and what is pooled over all is the shape.

    Args:
        deviation: (g, k) of each recording's mean from its condition's.
        condition: (g,) which condition each recording belongs to.
        trust: (g,) how well each recording's mean is known.

    Returns:
        Cholesky factor (k, k) of the shape, and scale (c,); all zero if nobody has two recordings.
    """
    k = deviation.shape[1]
    freedom = np.bincount(condition) - 1
    repeated = freedom > 0
    total = np.bincount(condition, np.square(deviation).sum(axis=1) * trust / trust.mean())
    square = total / np.maximum(freedom, 1) / k
    if not (square[repeated] > 0).any():
        return np.zeros((k, k)), np.zeros(len(freedom))
    floor = FLAT * square.max()
    log_square = np.log(np.maximum(square, floor))
    own = freedom / (freedom + BETWEEN_SCALE_WEIGHT)
    scale = np.exp((own * log_square + (1 - own) * log_square[repeated].mean()) / 2)
    known = repeated[condition]
    shape = deviation[known] * np.sqrt(trust[known] / trust.mean())[:, None]
    shape = shape / scale[condition[known]][:, None]
    n = int(freedom[repeated].sum())
    scatter = shape.T @ shape
    covariance = n / (n + BETWEEN_WEIGHT) * scatter / n
    np.fill_diagonal(covariance, np.maximum(np.diag(scatter) / n, FLAT))
    return np.linalg.cholesky(_positive(covariance)), scale


def _by_value(values: IntArray) -> Iterator[tuple[int, IntArray]]:
    """Yield each distinct value with the positions where it stands."""
    if not len(values):
        return
    order = np.argsort(values, kind="stable")
    distinct, start = np.unique(values[order], return_index=True)
    for value, rows in zip(distinct, np.split(order, start[1:]), strict=True):
        yield int(value), rows


def day_numbers(subjects: npt.ArrayLike) -> IntArray:
    """Return the number (n,) of the new day, from 0 for each subject, that each beat is of."""
    return _rank_within(np.unique(subjects, return_inverse=True)[1].reshape(-1)) // BEATS_A_DAY


def _rank_within(group: IntArray) -> IntArray:
    """Return for each entry how many of its group stand before it."""
    rank = np.zeros(len(group), np.int64)
    for _, rows in _by_value(group):
        rank[rows] = np.arange(len(rows))
    return rank

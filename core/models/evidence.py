"""Beats -> what may give a made beat away: detail, slopes, symmetry, and whether its parts agree.

Beats are taken less their mean and each lead of height 1: how strong a signal is tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from core.preprocessing.features import feature_names, feature_values
from core.recording import FloatArray, StrArray

Array = npt.NDArray[np.float64]

PIECE_S = 0.05
"""Length of the pieces in which fine detail is measured."""
DETAIL_ORDERS = (2, 4)
"""Of the differences that stand for detail: curvature, and what is finer still."""
DETAIL_FLOOR = 1e-5
"""Added before the logarithm of detail, as a share of a beat's height: rounding is below it."""
MIRROR_S = (0.04, 0.1, 0.2)
"""Half widths of the windows in which a beat is compared with its mirror image."""
LEAST_SAMPLES = 3
"""In a window that is compared with its mirror image."""
N_CODES = 20
N_KEPT = (12, 30, 60)
"""Principal components after which the rest of a beat is looked at."""
REST_PIECES = 5
CUTS_S = (-0.08, 0.03, 0.06, 0.1, 0.14, 0.18, 0.22, 0.27)
"""Where a beat is cut in two, in s from the R peak, to see whether the halves agree."""
LEAST_HALF_S = 0.03
N_HALF = 12
"""Components of each half."""
HALF_FLOOR = 0.03
"""Share of a component's variance over all that its variance within a subject is not below."""
NEIGHBOURS = 3
MOST_NEIGHBOURS = 3000
"""Beats of the study that a half is compared with, at most: bounds time and memory."""
CHUNK_BEATS = 1000
THIN = 2
"""Every so manieth sample counts for the covariance of a whole beat."""
NOISE_VARIANCE = 3e-5
"""Added to that covariance, in squares of a beat's height."""
LEAST_SIZE = 1e-9

FAMILIES: dict[str, tuple[str, str]] = {
    "height": ("it reaches too low beside its height", "it reaches too high beside its depth"),
    "spread": ("its values are spread too evenly", "its values stand out too sharply"),
    "time": ("its highest or lowest point comes too early", "its highest or lowest point is late"),
    "slope": ("its slopes are too flat", "its slopes are too steep"),
    "slow": ("too little slow movement below 8 Hz", "too much slow movement below 8 Hz"),
    "middle": ("too little between 8 and 20 Hz", "too much between 8 and 20 Hz"),
    "fine": ("too little detail above 20 Hz", "too much detail above 20 Hz"),
    "smooth_before": ("too smooth before the QRS complex", "too rough before the QRS complex"),
    "smooth_qrs": ("too smooth in the QRS complex", "too rough in the QRS complex"),
    "smooth_after": ("too smooth after the QRS complex", "too rough after the QRS complex"),
    "seam": ("equally smooth everywhere", "one spot is rougher than the rest, as at a seam"),
    "mirror": ("rise and fall around the R peak are too unlike", "rise and fall are too alike"),
    "balance": ("too little before the R peak", "too much before the R peak"),
    "rest": ("its finer shape is too plain", "its finer shape is unlike real beats'"),
    "agreement": ("its parts do not belong together", "its parts agree too well"),
    "closeness": ("too close to the average of the study's beats", "unlike the study's beats"),
    "shape": ("its overall shape", "its overall shape"),
}
"""What each family of features says where its values are low, and where they are high."""


@dataclass(frozen=True, eq=False)
class Half:
    """What the first or the second part of a beat looks like in a study.

    Attributes:
        mean: (n_values,) of the part.
        axes: (n_values, n_half) main components; within subjects they have unit variance.
        codes: (n_beats, n_half) of the study's beats.
    """

    mean: Array
    axes: Array
    codes: Array


@dataclass(frozen=True, eq=False)
class Cohort:
    """What real beats of a study look like, for the features that compare a beat with them.

    Attributes:
        sampling_rate: In Hz.
        before_s: From the first sample to the R peak.
        mean: (n_values,) of scaled beats, time and leads in one row.
        axes: (n_values, n_components) their principal components.
        sizes: (n_components,) standard deviations.
        thin_mean: (n_thin,) of beats of every `THIN`-th sample.
        covariance: (n_thin, n_thin) of the same.
        first: For each cut, what comes before it.
        second: For each cut, what comes after it.
    """

    sampling_rate: float
    before_s: float
    mean: Array
    axes: Array
    sizes: Array
    thin_mean: Array
    covariance: Array
    first: tuple[Half, ...]
    second: tuple[Half, ...]

    @classmethod
    def learn(
        cls,
        signals: FloatArray,
        subjects: StrArray,
        sampling_rate: float,
        before_s: float,
        rng: np.random.Generator,
    ) -> Cohort:
        """Learn from real beats (n, n_samples, n_leads) of subjects (n,)."""
        x = scaled(signals)
        n = len(x)
        mean, axes, sizes = _principal(x.reshape(n, -1), max(N_KEPT))
        thin = x[:, ::THIN].reshape(n, -1)
        away = thin - thin.mean(axis=0)
        covariance = away.T @ away / max(1, n - 1) + NOISE_VARIANCE * np.eye(thin.shape[1])
        shown = np.sort(rng.permutation(n)[:MOST_NEIGHBOURS])
        cuts = _cuts(x.shape[1], sampling_rate, before_s)
        return cls(
            sampling_rate,
            before_s,
            _rounded(mean),
            _rounded(axes),
            _rounded(sizes),
            _rounded(thin.mean(axis=0)),
            _rounded(covariance),
            tuple(_half(x[:, :cut], subjects, shown) for cut in cuts),
            tuple(_half(x[:, cut:], subjects, shown) for cut in cuts),
        )

    def as_arrays(self) -> dict[str, Any]:
        """Return what `from_arrays` takes: arrays, numbers, and dictionaries of them."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("first", "second"):
            values[name] = [
                {"mean": half.mean, "axes": half.axes, "codes": half.codes} for half in values[name]
            ]
        return values

    @classmethod
    def from_arrays(cls, values: dict[str, Any]) -> Cohort:
        """Return the cohort that `as_arrays` told of."""
        halves = {
            name: tuple(Half(**half) for half in values[name]) for name in ("first", "second")
        }
        return cls(**{**values, **halves})


def scaled(signals: FloatArray) -> Array:
    """Return beats (n, n_samples, n_leads) less their mean, each lead of height 1; flat ones 0."""
    x = np.asarray(signals, dtype=np.float32).astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    height = np.ptp(x, axis=1, keepdims=True)
    return np.divide(x, height, out=np.zeros_like(x), where=height > LEAST_SIZE)


def evidence_names(signals: FloatArray, cohort: Cohort) -> tuple[str, ...]:
    """Return the names of the columns of `evidence`, each begun by its family and a slash."""
    return _columns(np.zeros((1, *signals.shape[1:])), cohort)[0]


def evidence(signals: FloatArray, cohort: Cohort) -> Array:
    """Return (n, n_features) what may give each beat (n, n_samples, n_leads) away.

    Of each lead alone: its features (see `core.preprocessing.features`), the size of its second
    and fourth differences piece by piece, and how alike it is to its mirror image. Of the beat
    beside the cohort: what principal components leave over, the likelihood of its parts together
    over that of each alone, under one Gaussian, and how close the closest beats of the cohort
    are to each half, to both, and to the one where the other is closest.
    """
    x = scaled(signals)
    parts = [
        _columns(x[start : start + CHUNK_BEATS], cohort)[1]
        for start in range(0, len(x), CHUNK_BEATS)
    ]
    if not parts:
        return np.empty((0, len(evidence_names(signals, cohort))))
    return np.concatenate(parts)


def _columns(x: Array, cohort: Cohort) -> tuple[tuple[str, ...], Array]:
    columns = _lone(x, cohort.sampling_rate) | _detail(x, cohort) | _mirror(x, cohort)
    columns |= _beside(x, cohort) | _halves(x, cohort)
    values = np.stack(list(columns.values()), axis=1)
    return tuple(columns), np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _lone(x: Array, sampling_rate: float) -> dict[str, Array]:
    values = feature_values(x.astype(np.float32), sampling_rate).astype(np.float64)
    names = feature_names(1, sampling_rate)
    columns = {}
    for i in range(values.shape[1]):
        lead, name = divmod(i, len(names))
        columns[f"{_lone_family(names[name])}/{names[name]}_{lead}"] = values[:, i]
    return columns


def _lone_family(name: str) -> str:
    if name.startswith("spectrum"):
        frequency = float(name.split("_")[1])
        return "slow" if frequency < 8 else "middle" if frequency <= 20 else "fine"
    if name.startswith("time"):
        return "time"
    if name.startswith(("slope", "curvature")):
        return "slope"
    return "spread" if name in ("variance", "skewness", "kurtosis", "rms") else "height"


def _detail(x: Array, cohort: Cohort) -> dict[str, Array]:
    n_samples, n_leads = x.shape[1:]
    n_pieces = max(2, round(n_samples / cohort.sampling_rate / PIECE_S))
    edges = np.linspace(0, n_samples, n_pieces + 1) / cohort.sampling_rate - cohort.before_s
    columns: dict[str, Array] = {}
    for lead in range(n_leads):
        for order in DETAIL_ORDERS:
            differences = np.diff(x[:, :, lead], order, axis=1)
            pieces = np.array_split(differences, n_pieces, axis=1)
            size = np.stack([np.log(_rms(piece) + DETAIL_FLOOR) for piece in pieces], axis=1)
            for i in range(n_pieces):
                middle = (edges[i] + edges[i + 1]) / 2
                where = "before" if middle < -0.06 else "qrs" if middle < 0.06 else "after"
                columns[f"smooth_{where}/difference_{order}_{i}_{lead}"] = size[:, i]
            ranked = np.sort(size, axis=1)
            typical = ranked[:, n_pieces // 2]
            columns[f"seam/roughest_{order}_{lead}"] = ranked[:, -1] - typical
            columns[f"seam/smoothest_{order}_{lead}"] = typical - ranked[:, 0]
            peak = np.log(np.abs(differences).max(axis=1) + DETAIL_FLOOR)
            columns[f"seam/peak_{order}_{lead}"] = peak - size.mean(axis=1)
    return columns


def _rms(x: Array) -> Array:
    return np.asarray(np.sqrt((x * x).mean(axis=1)))


def _mirror(x: Array, cohort: Cohort) -> dict[str, Array]:
    n_samples, n_leads = x.shape[1:]
    peak = round(cohort.before_s * cohort.sampling_rate)
    columns: dict[str, Array] = {}
    for width in MIRROR_S:
        n = min(round(width * cohort.sampling_rate), peak, n_samples - 1 - peak)
        if n < LEAST_SAMPLES:
            continue
        for lead in range(n_leads):
            rise = x[:, peak - n : peak, lead][:, ::-1]
            fall = x[:, peak + 1 : peak + 1 + n, lead]
            rise, fall = (side - side.mean(axis=1, keepdims=True) for side in (rise, fall))
            norm = np.sqrt((rise**2).sum(axis=1) * (fall**2).sum(axis=1))
            columns[f"mirror/correlation_{width:g}_{lead}"] = (rise * fall).sum(
                axis=1
            ) / np.maximum(norm, LEAST_SIZE)
            columns[f"balance/ratio_{width:g}_{lead}"] = np.log(
                (_rms(rise) + 1e-3) / (_rms(fall) + 1e-3)
            )
    return columns


def _beside(x: Array, cohort: Cohort) -> dict[str, Array]:
    n = len(x)
    away = x.reshape(n, -1) - cohort.mean
    codes = away @ cohort.axes
    columns: dict[str, Array] = {}
    for kept in N_KEPT:
        rest = (away - codes[:, :kept] @ cohort.axes[:, :kept].T).reshape(x.shape)
        for i, piece in enumerate(np.array_split(rest, REST_PIECES, axis=1)):
            columns[f"rest/after_{kept}_{i}"] = np.log(_rms(piece.reshape(n, -1)) + DETAIL_FLOOR)
    n_codes = min(N_CODES, len(cohort.sizes))
    white = codes[:, :n_codes] / np.maximum(cohort.sizes[:n_codes], LEAST_SIZE)
    return columns | {f"shape/code_{i}": white[:, i] for i in range(n_codes)}


def _halves(x: Array, cohort: Cohort) -> dict[str, Array]:
    n, n_samples, n_leads = x.shape
    thin = x[:, ::THIN].reshape(n, -1) - cohort.thin_mean
    whole = _mahalanobis(thin, cohort.covariance)
    columns = {"closeness/likelihood": np.log(whole + 1e-3)}
    cuts = _cuts(n_samples, cohort.sampling_rate, cohort.before_s)
    for cut, first, second in zip(cuts, cohort.first, cohort.second, strict=True):
        here = (cut + THIN - 1) // THIN * n_leads
        apart = _mahalanobis(thin[:, :here], cohort.covariance[:here, :here])
        apart += _mahalanobis(thin[:, here:], cohort.covariance[here:, here:])
        gain = (apart - whole) / 2
        columns[f"agreement/together_{cut}"] = np.sign(gain) * np.log1p(np.abs(gain))
        squares = [
            _squares((_rows(part) - half.mean) @ half.axes, half.codes)
            for part, half in ((x[:, :cut], first), (x[:, cut:], second))
        ]
        k = min(NEIGHBOURS, len(first.codes))
        closest = [np.argpartition(square, k - 1, axis=1)[:, :k] for square in squares]
        own = [_mean_log(s, at) for s, at in zip(squares, closest, strict=True)]
        crossed = [_mean_log(s, at) for s, at in zip(squares, closest[::-1], strict=True)]
        total = squares[0] + squares[1]
        both = _mean_log(total, np.argpartition(total, k - 1, axis=1)[:, :k])
        columns |= {
            f"closeness/first_{cut}": own[0],
            f"closeness/second_{cut}": own[1],
            f"closeness/both_{cut}": both,
            f"agreement/first_by_second_{cut}": own[0] - crossed[0],
            f"agreement/second_by_first_{cut}": own[1] - crossed[1],
            f"agreement/one_beat_{cut}": np.logaddexp(*own) - both,
        }
    return columns


def _mean_log(squares: Array, at: npt.NDArray[np.intp]) -> Array:
    """Return (n,) the log of the mean square distance to chosen beats (n, k)."""
    return np.asarray(np.log(np.take_along_axis(squares, at, axis=1).mean(axis=1) + 0.1))


def _squares(codes: Array, others: Array) -> Array:
    """Return (n, n_others) squared distances."""
    squares = (codes**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * codes @ others.T
    return np.maximum(squares, 0.0)


def _mahalanobis(rows: Array, covariance: Array) -> Array:
    """Return (n,) squared distances of rows (n, n_values) from 0 under a covariance."""
    white = solve_triangular(np.linalg.cholesky(covariance), rows.T, lower=True)
    return np.asarray((white**2).sum(axis=0))


def _cuts(n_samples: int, sampling_rate: float, before_s: float) -> list[int]:
    least = max(2 * THIN, round(LEAST_HALF_S * sampling_rate))
    at = (round((before_s + cut) * sampling_rate) for cut in CUTS_S)
    return [cut for cut in at if least <= cut <= n_samples - least]


def _rows(part: Array) -> Array:
    """Return (n, n_values) parts of beats, the mean of each lead removed."""
    return (part - part.mean(axis=1, keepdims=True)).reshape(len(part), -1)


def _half(part: Array, subjects: StrArray, shown: npt.NDArray[np.intp]) -> Half:
    rows = _rows(part)
    mean, axes, sizes = _principal(rows, N_HALF)
    codes = (rows - mean) @ axes
    within = np.zeros((codes.shape[1], codes.shape[1]))
    for subject in np.unique(subjects):
        own = codes[subjects == subject]
        own = own - own.mean(axis=0)
        within += own.T @ own
    within = within / len(codes) + np.diag(HALF_FLOOR * sizes**2 + LEAST_SIZE)
    white = axes @ np.linalg.cholesky(np.linalg.inv(within))
    white = _rounded(white)
    return Half(_rounded(mean), white, _rounded((rows[shown] - mean) @ white))


def _rounded(values: Array) -> Array:
    """Return values as float32 holds them: what is saved is what was learned, at half the size."""
    return values.astype(np.float32).astype(np.float64)


def _principal(rows: Array, most: int) -> tuple[Array, Array, Array]:
    """Return mean, axes (n_values, n_components) and their standard deviations."""
    mean = rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(rows - mean, full_matrices=False)
    kept = min(most, len(sizes))
    return mean, axes[:kept].T, sizes[:kept] / np.sqrt(max(1, len(rows) - 1))

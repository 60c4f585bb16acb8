"""Deviations of drawn beats -> the same, as evenly spread as the beats of one recording are.

Beats of a recording are no independent draws: whichever are left out, the rest make up for it,
since together they have the recording's own mean and covariance. Beats drawn one by one miss the
mean by chance, all of a small set to the same side, which a judge learns and a classifier of
persons mistakes for the person. So a generator draws whole virtual recordings, half as long as
the real one or a multiple of that, has their moments put right, and gives as many of their beats
as asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.recording import IntArray

Array = npt.NDArray[np.float64]

LENGTH = 0.5
"""Of a virtual recording, over the real one's. With 1, sets of a few beats still miss the mean too
often; chosen of 0.5, 0.7 and 1 inside the train part, on the last fifth of each recording's."""
MOST_UNASKED = 512
"""Beats of one request's virtual recordings, unless more are asked for: with so many, taking
some of them out hardly moves the others."""
ROUNDING = 1e-12
"""Of the largest: an eigenvalue of less is zero."""
FLAT = 1e-6
"""Of the largest: variance of a direction below which a recording does not vary in it."""


@dataclass(frozen=True, eq=False)
class Allotment:
    """Which Gaussian each beat of a request's virtual recordings belongs to.

    Attributes:
        asked: (n,) of the beats asked for, in their order.
        unasked: (u,) of the beats that complete the virtual recordings.
    """

    asked: IntArray
    unasked: IntArray


def allot(n: int, components: IntArray, count: IntArray, rng: np.random.Generator) -> Allotment:
    """Share n beats among Gaussians as if taken from their recordings, none twice while they last.

    Args:
        n: Beats asked for.
        components: (c,) indices of the Gaussians that may serve.
        count: (c,) beats that each was estimated from.
        rng: Decides which beats are asked for.
    """
    total = int(count.sum())
    share = min(LENGTH, max(n, MOST_UNASKED) / total)
    slots = np.repeat(components, np.maximum(1, np.rint(count * share)).astype(np.int64))
    rounds = max(1, -(-n // len(slots)))
    order = np.concatenate([rng.permutation(slots) for _ in range(rounds)])
    return Allotment(order[:n], order[n:])


def directions(scatter: Array, beats: int) -> Array:
    """Return (k, k) orthonormal rows that span what a recording varies in; the rest are zero.

    Args:
        scatter: (k, k) summed outer products of the deviations of its beats from their mean.
        beats: How many there are: their deviations span one direction less.
    """
    values, vectors = np.linalg.eigh(scatter)
    rows: Array = vectors[:, ::-1].T.copy()
    varies = values[::-1] > FLAT * max(values[-1], np.finfo(np.float64).tiny)
    varies[max(0, beats - 1) :] = False
    rows[~varies] = 0
    return rows


def evened(deviation: Array, factor: Array, own: Array) -> Array:
    """Return deviations (n, k) with mean zero and, where the recording varies, its covariance.

    Of all sets with these moments it is the closest one in the Gaussian's own units (the polar
    factor of the whitened deviations; Higham 1986). Where the beats are fewer than the
    directions, no set has that covariance; then they are orthogonal, as far as centred beats are.

    Args:
        deviation: (n, k) of the beats of one virtual recording, drawn under the Gaussian.
        factor: (k, k) of the Gaussian: its covariance is ``factor @ factor.T``.
        own: (k, k) what `directions` returned for the recording.
    """
    n = len(deviation)
    if n < 2:
        return deviation
    centred: Array = deviation - deviation.mean(axis=0)
    centred *= np.sqrt(n / (n - 1))
    axes = own[np.abs(own).max(axis=1) > 0]
    if not len(axes):
        return centred
    projected = axes @ factor
    root = np.linalg.cholesky(projected @ projected.T)
    whiten = np.linalg.solve(root, axes).T
    size = np.sqrt(max(len(axes), n - 1))
    if n > len(axes):
        gram = whiten.T @ (centred.T @ centred) @ whiten
        turn = size * whiten @ _inverse_root(gram) @ root.T
        tall: Array = centred + centred @ ((turn - axes.T) @ axes)
        return tall
    white = centred @ whiten
    along = size * _inverse_root(white @ white.T) @ white @ root.T
    wide: Array = centred + (along - centred @ axes.T) @ axes
    return wide


def _inverse_root(gram: Array) -> Array:
    """Return the inverse square root of a Gram matrix of x: with it, x becomes its polar factor.

    That has the same singular vectors and all singular values 1; what is zero stays zero.
    """
    values, vectors = np.linalg.eigh(gram)
    known = values > ROUNDING * max(values[-1], np.finfo(np.float64).tiny)
    inverse = np.where(known, 1 / np.sqrt(np.where(known, values, 1)), 0)
    root: Array = (vectors * inverse) @ vectors.T
    return root

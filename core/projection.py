"""Beats -> points in a plane, for the eye."""

from __future__ import annotations

import numpy as np

from core.recording import FloatArray

PCA_BEFORE_TSNE = 50
"""Components that t-SNE starts from (van der Maaten & Hinton 2008 took 30)."""
PERPLEXITY = 30.0
"""Neighbours that t-SNE minds; fewer where there are few beats."""


def pca(beats: FloatArray, n_components: int = 2) -> FloatArray:
    """Return the principal components (n_beats, n_components) of beats, float32.

    Each component's sign is such that its largest loading is positive. With fewer beats or values
    than components, the rest are zero.

    Args:
        beats: (n_beats, n_samples, n_leads), or anything with a row a beat.
        n_components: How many.
    """
    from sklearn.decomposition import PCA

    flat = _rows(beats)
    possible = min(n_components, *flat.shape)
    result = np.zeros((len(flat), n_components), dtype=np.float32)
    if possible and len(flat) > 1:
        solver = "randomized" if min(flat.shape) > 500 else "full"
        model = PCA(possible, svd_solver=solver, random_state=0)
        points = model.fit_transform(flat)
        sign = np.sign(model.components_[range(possible), np.abs(model.components_).argmax(axis=1)])
        result[:, :possible] = points * sign
    return result


def tsne(beats: FloatArray, *, seed: int, perplexity: float = PERPLEXITY) -> FloatArray:
    """Return the t-SNE embedding (n_beats, 2) of beats, float32 (van der Maaten & Hinton 2008).

    Starts from PCA. Distances within the plane mean little, and those between groups nothing: near
    neighbours are what it keeps. Fewer than four beats are given their principal components.

    Args:
        beats: (n_beats, n_samples, n_leads), or anything with a row a beat.
        seed: The same seed and beats give the same points on the same machine.
        perplexity: Neighbours to mind; at most a third of the beats.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    flat = _rows(beats)
    if len(flat) < 4:
        return pca(flat)
    points = pca(flat, min(PCA_BEFORE_TSNE, *flat.shape))
    model = TSNE(2, perplexity=min(perplexity, (len(flat) - 1) / 3), init="pca", random_state=seed)
    # Its threads wait for one another by spinning: beside other work, two are 20 times slower.
    with threadpool_limits(1):
        return np.asarray(model.fit_transform(points), dtype=np.float32)


def _rows(beats: FloatArray) -> FloatArray:
    array = np.asarray(beats, dtype=np.float32)
    return array.reshape(len(array), int(np.prod(array.shape[1:])))

"""Beats -> points in a plane, for the eye."""

from __future__ import annotations

import numpy as np

from core.recording import FloatArray

PCA_BEFORE_TSNE = 50
"""Components that t-SNE starts from (van der Maaten & Hinton 2008 took 30)."""
PERPLEXITY = 30.0
"""Neighbours that t-SNE minds; fewer where there are few beats."""
TSNE_STEPS = 500
"""Van der Maaten & Hinton took 1000. On 800 beats of the demo, half of them keep as many of the ten
nearest neighbours (trustworthiness 0.997) in half the time."""


def pca(beats: FloatArray, n_components: int = 2) -> tuple[FloatArray, FloatArray]:
    """Return principal components (n_beats, n_components), and each one's share of the variance.

    Each component's sign is such that its largest loading is positive. With fewer beats or values
    than components, the rest are zero. Both arrays are float32.

    Args:
        beats: (n_beats, n_samples, n_leads), or anything with a row a beat.
        n_components: How many.
    """
    flat = _rows(beats).astype(np.float64)
    points = np.zeros((len(flat), n_components), dtype=np.float32)
    shares = np.zeros(n_components, dtype=np.float32)
    n = min(n_components, *flat.shape)
    if not n or len(flat) < 2:
        return points, shares
    centred = flat - flat.mean(axis=0)
    wide = flat.shape[1] > flat.shape[0]
    powers, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    order = np.argsort(powers)[::-1][:n]
    power, vectors = np.maximum(powers[order], 0), vectors[:, order]
    length = np.sqrt(power)
    loadings = centred.T @ vectors if wide else vectors
    scores = vectors * length if wide else centred @ vectors
    sign = np.sign(loadings[np.abs(loadings).argmax(axis=0), range(n)])
    points[:, :n] = scores * np.where(sign == 0, 1.0, sign)
    shares[:n] = power / max(powers.clip(0).sum(), np.finfo(float).tiny)
    return points, shares


def tsne(beats: FloatArray, *, seed: int, perplexity: float = PERPLEXITY) -> FloatArray:
    """Return the t-SNE embedding (n_beats, 2) of beats, float32 (van der Maaten & Hinton 2008).

    Starts from PCA. Distances within the plane mean little, and those between groups nothing: near
    neighbours are what it keeps. Fewer than four beats are given their principal components.

    Args:
        beats: (n_beats, n_samples, n_leads), or anything with a row a beat.
        seed: The same seed and beats give the same points on the same machine.
        perplexity: Neighbours to mind; at most a third of the beats.
    """
    flat = _rows(beats)
    if len(flat) < 4:
        return pca(flat)[0]
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    points = pca(flat, min(PCA_BEFORE_TSNE, *flat.shape))[0]
    model = TSNE(
        2,
        perplexity=min(perplexity, (len(flat) - 1) / 3),
        init="pca",
        max_iter=TSNE_STEPS,
        random_state=seed,
    )
    # Its threads wait for one another by spinning: beside other work, two are 20 times slower.
    with threadpool_limits(1):
        return np.asarray(model.fit_transform(points), dtype=np.float32)


def standardised(features: FloatArray) -> FloatArray:
    """Return features (n, n_features) as z-scores; a value that is missing is the mean, 0."""
    values = np.asarray(features, dtype=np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    counts = np.maximum(np.isfinite(values).sum(axis=0), 1)
    centred = values - np.nansum(values, axis=0) / counts
    spread = np.sqrt(np.nansum(centred**2, axis=0) / counts)
    return np.nan_to_num(centred / np.where(spread > 0, spread, 1.0)).astype(np.float32)


def evenly(n: int, most: int) -> np.ndarray:
    """Return the positions of at most `most` of n things, evenly spread over them."""
    return np.linspace(0, max(0, n - 1), min(most, n)).round().astype(np.int64)


def _rows(beats: FloatArray) -> FloatArray:
    array = np.asarray(beats, dtype=np.float32)
    return array.reshape(len(array), int(np.prod(array.shape[1:])))

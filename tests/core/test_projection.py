from __future__ import annotations

import numpy as np
import pytest

from core.projection import pca, tsne


def two_kinds(n: int = 30):
    rng = np.random.default_rng(0)
    beats = 0.1 * rng.standard_normal((2 * n, 40, 2))
    beats[n:, :20] += 2
    return beats.astype(np.float32)


def test_pca_agrees_with_the_singular_values():
    beats = two_kinds()
    points = pca(beats, 3)
    flat = beats.reshape(len(beats), -1)
    u, s, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    assert points.dtype == np.float32
    assert np.abs(points) == pytest.approx(np.abs(u[:, :3] * s[:3]), abs=1e-4)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_few_beats_have_points_too(n):
    beats = two_kinds()[:n]
    assert pca(beats).shape == tsne(beats, seed=0).shape == (n, 2)
    assert np.isfinite(tsne(beats, seed=0)).all()


def test_tsne_keeps_kinds_apart_and_repeats_itself():
    beats = two_kinds()
    points = tsne(beats, seed=3)
    first, second = points[:30], points[30:]
    spread = max(first.std(axis=0).max(), second.std(axis=0).max())
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > 2 * spread
    assert np.array_equal(points, tsne(beats, seed=3))

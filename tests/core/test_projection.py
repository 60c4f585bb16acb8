from __future__ import annotations

import numpy as np
import pytest

from core.projection import evenly, pca, standardised, tsne
from core.recording import FloatArray


def two_kinds(n: int = 30) -> FloatArray:
    rng = np.random.default_rng(0)
    beats = 0.1 * rng.standard_normal((2 * n, 40, 2))
    beats[n:, :20] += 2
    return beats.astype(np.float32)


def test_pca_agrees_with_the_singular_values() -> None:
    beats = two_kinds()
    points, shares = pca(beats, 3)
    flat = beats.reshape(len(beats), -1)
    u, s, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    assert points.dtype == np.float32
    assert np.abs(points) == pytest.approx(np.abs(u[:, :3] * s[:3]), abs=1e-4)
    assert shares == pytest.approx(s[:3] ** 2 / (s**2).sum(), abs=1e-6)


def test_pca_agrees_with_scikit_learn_and_keeps_its_signs_however_wide_the_rows_are() -> None:
    from sklearn.decomposition import PCA

    tall = two_kinds(60)
    wide = tall[25:95:2]
    for beats in (tall, wide):
        points, shares = pca(beats)
        model = PCA(2, svd_solver="full").fit(beats.reshape(len(beats), -1))
        theirs = model.transform(beats.reshape(len(beats), -1))
        largest = np.abs(model.components_).argmax(axis=1)
        assert points == pytest.approx(
            theirs * np.sign(model.components_[[0, 1], largest]), abs=1e-4
        )
        assert shares == pytest.approx(model.explained_variance_ratio_, abs=1e-5)


def test_equal_beats_are_one_point() -> None:
    points, shares = pca(np.ones((5, 8, 1), dtype=np.float32))
    assert not points.any() and not shares.any()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_few_beats_have_points_too(n: int) -> None:
    beats = two_kinds()[:n]
    assert pca(beats)[0].shape == tsne(beats, seed=0).shape == (n, 2)
    assert np.isfinite(tsne(beats, seed=0)).all()


def test_tsne_keeps_kinds_apart_and_repeats_itself() -> None:
    beats = two_kinds()
    points = tsne(beats, seed=3)
    first, second = points[:30], points[30:]
    spread = max(first.std(axis=0).max(), second.std(axis=0).max())
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > 2 * spread
    assert np.array_equal(points, tsne(beats, seed=3))


def test_features_are_standardised_and_missing_ones_are_the_mean() -> None:
    features = np.asarray([[1, 5, np.nan], [3, 5, 2], [np.inf, 5, 4]], dtype=np.float32)
    expected = np.asarray([[-1, 0, 0], [1, 0, -1], [0, 0, 1]], dtype=np.float32)
    assert standardised(features) == pytest.approx(expected)


@pytest.mark.parametrize(("n", "most"), [(0, 5), (3, 5), (5, 5), (100, 7)])
def test_things_are_taken_evenly_and_both_ends_are_among_them(n: int, most: int) -> None:
    taken = evenly(n, most)
    assert len(taken) == min(n, most)
    if n:
        assert taken[0] == 0 and taken[-1] == n - 1
        assert np.ptp(np.diff(taken)) <= 1 if len(taken) > 1 else True

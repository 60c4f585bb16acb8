"""Virtual recordings: shares, moments, closeness to what was drawn, a single beat."""

from __future__ import annotations

import numpy as np
import pytest

from core.models.virtual_recordings import MOST_UNASKED, allot, directions, evened

K = 12


def _recording(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the scatter of n beats in K directions, and the factor of a shrunk Gaussian."""
    rng = np.random.default_rng(seed)
    deviation = rng.standard_normal((n, K)) * np.linspace(2, 0.5, K)
    deviation -= deviation.mean(axis=0)
    scatter = deviation.T @ deviation
    covariance = 0.8 * scatter / (n - 1) + 0.2 * np.eye(K)
    return scatter, np.linalg.cholesky(covariance)


def test_no_beat_is_taken_twice_before_all_are_taken() -> None:
    rng = np.random.default_rng(0)
    components, count = np.array([3, 7]), np.array([8, 12])
    once = allot(10, components, count, rng)
    assert np.sort(once.asked).tolist() == [3] * 4 + [7] * 6
    assert len(once.unasked) == 0
    some = allot(13, components, count, rng)
    assert np.sort(some.asked[:10]).tolist() == [3] * 4 + [7] * 6
    together = np.concatenate([some.asked, some.unasked])
    assert np.bincount(together)[[3, 7]].tolist() == [8, 12]


def test_few_of_many_beats_complete_only_a_part() -> None:
    found = allot(2, np.array([0, 1]), np.array([90_000, 10_000]), np.random.default_rng(0))
    together = np.concatenate([found.asked, found.unasked])
    assert len(found.asked) == 2
    assert len(together) == pytest.approx(MOST_UNASKED, abs=2)
    assert np.mean(together) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("n", [8, 16, 200])
def test_mean_and_covariance_of_a_virtual_recording_are_the_gaussians(n: int) -> None:
    scatter, factor = _recording(8)
    own = directions(scatter, 8)
    assert np.linalg.matrix_rank(own) == 7
    drawn = np.random.default_rng(1).standard_normal((n, K)) @ factor.T
    found = evened(drawn, factor, own)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    axes = own[:7]
    np.testing.assert_allclose(
        np.cov(axes @ found.T), axes @ factor @ factor.T @ axes.T, rtol=1e-6, atol=1e-9
    )


def test_fewer_beats_than_directions_are_orthogonal_and_as_large() -> None:
    scatter, factor = _recording(30)
    drawn = np.random.default_rng(1).standard_normal((5, K)) @ factor.T
    white = np.linalg.solve(factor, evened(drawn, factor, directions(scatter, 30)).T).T
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-9)
    gram = white @ white.T
    np.testing.assert_allclose(np.diag(gram), K * 4 / 5, rtol=1e-6)
    np.testing.assert_allclose(gram[~np.eye(5, dtype=bool)], -K / 5, rtol=1e-6)


def test_what_is_drawn_is_changed_little_where_it_is_even_already() -> None:
    scatter, factor = _recording(40)
    own = directions(scatter, 40)
    drawn = np.random.default_rng(1).standard_normal((5_000, K)) @ factor.T
    found = evened(drawn, factor, own)
    assert np.abs(found - drawn).max() < 0.3
    np.testing.assert_allclose(evened(found, factor, own), found, atol=2e-3)


def test_one_beat_stays_as_it_was_drawn() -> None:
    drawn = np.random.default_rng(1).standard_normal((1, K))
    np.testing.assert_array_equal(evened(drawn, np.eye(K), directions(np.zeros((K, K)), 1)), drawn)


def test_a_recording_that_does_not_vary_is_only_centred() -> None:
    drawn = np.random.default_rng(1).standard_normal((6, K))
    found = evened(drawn, np.eye(K), directions(np.zeros((K, K)), 6))
    np.testing.assert_allclose(found, (drawn - drawn.mean(axis=0)) * np.sqrt(6 / 5), rtol=1e-12)

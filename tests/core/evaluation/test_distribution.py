"""Distances of distributions, and overlap: of clouds whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluation.distribution import NEIGHBOURS, overlap


def cloud(n: int, seed: int, *, at: float = 0.0, size: float = 1.0) -> np.ndarray:
    return at + size * np.random.default_rng(seed).normal(size=(n, 3))


def test_equal_clouds_overlap_and_far_ones_do_not() -> None:
    same = overlap(cloud(500, 0), cloud(500, 1))
    assert same["precision"] > 0.9 and same["recall"] > 0.9 and same["coverage"] > 0.9
    assert same["density"] == pytest.approx(1, abs=0.1)
    assert overlap(cloud(500, 0), cloud(500, 1, at=100)) == dict.fromkeys(same, 0.0)


def test_a_cloud_within_is_precise_and_recalls_little() -> None:
    narrow = overlap(cloud(500, 0), cloud(500, 1, size=0.2))
    assert narrow["precision"] > 0.95 > 0.3 > narrow["recall"]
    assert narrow["density"] > 1.05 and narrow["coverage"] < 0.5
    wide = overlap(cloud(500, 0), cloud(500, 1, size=5))
    assert wide["recall"] > 0.95 > 0.3 > wide["precision"]


def test_half_of_two_clouds_is_half_recalled() -> None:
    real = np.concatenate([cloud(300, 0), cloud(300, 1, at=100)])
    found = overlap(real, cloud(600, 2))
    assert found["recall"] == pytest.approx(0.5, abs=0.05)
    assert found["coverage"] == pytest.approx(0.5, abs=0.05)
    assert found["precision"] > 0.9


def test_overlap_by_its_definition() -> None:
    """Naeem et al. 2020, term by term, in loops."""
    real, fake = cloud(30, 0), cloud(25, 1, at=0.5)
    radius = [sorted(np.linalg.norm(real - x, axis=1))[NEIGHBOURS] for x in real]
    hits = [[np.linalg.norm(x - y) <= r for y in fake] for x, r in zip(real, radius, strict=True)]
    found = overlap(real, fake)
    assert found["density"] == pytest.approx(np.sum(hits) / (NEIGHBOURS * len(fake)))
    assert found["coverage"] == pytest.approx(np.mean([any(row) for row in hits]))
    assert found["precision"] == pytest.approx(np.mean(np.any(hits, axis=0)))


def test_too_few_rows_have_no_surroundings() -> None:
    assert all(np.isnan(v) for v in overlap(cloud(NEIGHBOURS, 0), cloud(50, 1)).values())

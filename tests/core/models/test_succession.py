"""White numbers in a row: alone they are white, in a row they are as alike as real beats are."""

from __future__ import annotations

import numpy as np
import pytest

from core.models.gaussian_mixture import GaussianMixtureGenerator
from core.models.succession import N_LAGS, Succession, likeness, white_in_rows


def _decaying(factor: float, k: int = 2) -> np.ndarray:
    return np.repeat(factor ** np.arange(1, N_LAGS + 1)[:, None], k, axis=1).astype(np.float32)


def _rows(n_rows: int, n: int, correlation: np.ndarray) -> Succession:
    return Succession(np.full(n_rows * n, "a/1"), np.repeat(np.arange(n_rows), n), correlation)


def _autoregression(factor: float, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal()]
    for _ in range(n - 1):
        values.append(factor * values[-1] + np.sqrt(1 - factor**2) * rng.standard_normal())
    return np.asarray(values)


def test_rows_have_the_correlation_and_each_number_is_white() -> None:
    white = white_in_rows(np.random.default_rng(0), 20_000, 2, _rows(2_000, 10, _decaying(0.6)))
    rows = white.reshape(2_000, 10, 2)
    assert white.dtype == np.float32
    assert white.std(axis=0) == pytest.approx(1, abs=0.03)
    assert rows.std(axis=0) == pytest.approx(1, abs=0.08)
    assert (rows[:, 1:] * rows[:, :-1]).mean() == pytest.approx(0.6 * 16 / 17, abs=0.03)
    assert (rows[1:, 0] * rows[:-1, -1]).mean() == pytest.approx(0, abs=0.06)


def test_without_a_succession_nothing_changes() -> None:
    drawn = white_in_rows(np.random.default_rng(5), 7, 3, None)
    assert np.array_equal(drawn, np.random.default_rng(5).standard_normal((7, 3), np.float32))


def test_likeness_of_an_autoregression_is_its_own() -> None:
    codes = np.concatenate([_autoregression(0.7, 400, seed) for seed in range(20)])[:, None]
    names = np.repeat([f"r{i}" for i in range(20)], 400)
    found = likeness(codes, names, np.tile(np.arange(400), 20))
    assert found[:4, 0] == pytest.approx(0.7 ** np.arange(1, 5), abs=0.05)


def test_beats_that_were_left_out_keep_their_place() -> None:
    codes = np.tile([1.0, -1.0], 100)[:, None]
    place = np.arange(200)
    kept = np.flatnonzero(place % 5 != 0)
    found = likeness(codes[kept], np.full(len(kept), "r"), place[kept])
    assert found[0, 0] == pytest.approx(-1, abs=0.05)
    assert found[1, 0] == pytest.approx(1, abs=0.05)


def _mixture() -> GaussianMixtureGenerator:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((300, 2)) * 0.1
    codes[100:200] += 5
    codes[200:] += 10
    recordings = np.repeat(["a/1", "a/2", "b/1"], 100)
    return GaussianMixtureGenerator.fit(
        codes.astype(np.float32), np.repeat(["a", "a", "b"], 100), recordings
    )


@pytest.mark.parametrize(("recording", "centre"), [("a/1", 0.0), ("a/2", 5.0)])
def test_a_row_is_of_the_recording_asked_for(recording: str, centre: float) -> None:
    rows = Succession(np.full(60, recording), np.zeros(60, np.int64), _decaying(0.5))
    drawn = _mixture().sample(np.full(60, "a"), succession=rows)
    assert drawn.mean() == pytest.approx(centre, abs=0.2)


def test_a_row_stays_on_one_new_day() -> None:
    names, rows = np.full(80, "a/1"), np.repeat([0, 1], 40)
    drawn = _mixture().sample(
        np.full(80, "a"), days="new", seed=1, succession=Succession(names, rows, _decaying(0.0))
    )
    apart = np.linalg.norm(drawn[:40].mean(axis=0) - drawn[40:].mean(axis=0))
    assert drawn[:40].std(axis=0).max() < 0.3
    assert apart > 0.5

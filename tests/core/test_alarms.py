"""Alarms fire on trainings that went wrong and are silent on one that did not."""

from __future__ import annotations

import numpy as np
import pytest

from core.alarms import alarms


def history(n: int = 40, **figures: object) -> list[dict[str, float]]:
    """Reports of a healthy training, with some figures as given."""
    rng = np.random.default_rng(0)
    usual = {
        "critic_loss": 0.6 + 0.05 * rng.standard_normal(n),
        "generator_loss": 0.8 + 0.05 * rng.standard_normal(n),
        "penalty": 0.2 + 0.02 * rng.standard_normal(n),
        "spread": 1 + 0.03 * rng.standard_normal(n),
        "critic_accuracy": 0.62 + 0.05 * rng.standard_normal(n),
    }
    columns = {
        k: np.broadcast_to(np.asarray(v, dtype=float), n) for k, v in {**usual, **figures}.items()
    }
    return [{k: float(v[i]) for k, v in columns.items()} for i in range(n)]


def test_a_healthy_training_is_silent() -> None:
    assert alarms(history()) == []
    assert alarms([]) == []
    assert alarms([{"critic_loss": 0.7, "generator_loss": 0.7, "penalty": 0.1}] * 80) == []
    assert alarms([{"loss": 0.3, "val_accuracy": float("nan")}] * 9) == [], "no figure of a GAN"


def test_a_collapse_is_told_while_it_lasts() -> None:
    falling = np.linspace(1, 0.3, 40)
    (words,) = alarms(history(spread=falling))
    assert "collapsing" in words
    assert "0.30 times" in words
    assert alarms(history(spread=np.r_[falling, np.ones(3)][3:])) == [], "it has recovered"
    assert alarms(history(spread=np.r_[np.ones(38), 0.3, 0.3])) == [], "two reports may be chance"


def test_a_critic_that_wins_for_long_is_told() -> None:
    (words,) = alarms(history(critic_accuracy=np.linspace(0.8, 0.99, 40)))
    assert "critic is winning" in words
    assert "99%" in words
    assert alarms(history(critic_accuracy=1.0)), "always right is winning, too"
    assert alarms(history(critic_accuracy=np.linspace(1, 0.93, 40))) == [], "it is losing ground"
    assert alarms(history(critic_accuracy=np.r_[np.full(35, 0.6), np.full(5, 0.99)])) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_a_number_that_is_none_is_told(value: float | None) -> None:
    rows: list[dict[str, object]] = [dict(row) for row in history()]
    rows[7]["critic_loss"] = value
    (words,) = alarms(rows)
    assert "critic loss" in words


def test_a_jobs_reports_are_read_as_well() -> None:
    rows = [{"stage": "train gan", "metrics": row} for row in history(spread=0.2)]
    rows.insert(3, {"stage": "train autoencoder", "metrics": None})
    assert len(alarms(rows)) == 1

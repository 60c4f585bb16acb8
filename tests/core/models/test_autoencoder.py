"""Autoencoder: what it keeps of beats, few beats, several leads, resuming, saving, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import Cancelled, UserError
from core.models.autoencoder import Autoencoder
from core.progress import Progress


def _beats(n: int, n_samples: int = 90, n_leads: int = 1, seed: int = 0) -> np.ndarray:
    """Return beats of a P, an R and a T wave, each with a height, a place and a width."""
    rng = np.random.default_rng(seed)
    t = np.linspace(-0.25, 0.45, n_samples)
    beats = np.zeros((n, n_samples, n_leads))
    for place, width, height in ((-0.16, 0.03, 0.15), (0, 0.012, 1.0), (0.25, 0.05, 0.3)):
        x = place + rng.normal(0, 0.006, (n, 1))
        w = width * np.exp(rng.normal(0, 0.1, (n, 1)))
        h = height * np.exp(rng.normal(0, 0.2, (n, 1)))
        wave = h * np.exp(-((t - x) ** 2) / (2 * w**2))
        beats += wave[..., None] * np.linspace(1, -0.01, n_leads)
    return beats.astype(np.float32)


def _lost(model: Autoencoder, beats: np.ndarray) -> float:
    """Return the share of the variance of beats that coding and decoding loses."""
    again = model.decode(model.encode(beats))
    assert again.shape == beats.shape
    assert again.dtype == np.float32
    return float(np.mean((again - beats) ** 2) / beats.var(axis=0).mean())


def test_unseen_beats_come_back_as_they_were() -> None:
    model = Autoencoder.fit(_beats(400), preset="quick", seed=0)
    assert model.n_codes <= 64
    assert _lost(model, _beats(100, seed=1)) < 2e-3


def test_the_residual_network_learns_what_the_principal_components_miss() -> None:
    model = Autoencoder.fit(_beats(400), preset="quick", seed=0)
    assert model.history[-1]["loss"] < 0.7 * model.history[0]["loss"]


def test_codes_have_unit_variance_and_no_mean() -> None:
    beats = _beats(600)
    codes = Autoencoder.fit(beats, preset="quick", seed=0).encode(beats)
    np.testing.assert_allclose(codes[:, :8].mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(codes[:, :8].std(axis=0), 1, atol=0.15)


def test_a_faint_lead_is_kept_as_well_as_a_strong_one() -> None:
    beats = _beats(300, n_leads=3)
    model = Autoencoder.fit(beats, preset="quick", seed=0)
    again = model.decode(model.encode(beats))
    lost = np.mean((again - beats) ** 2, axis=(0, 1)) / beats.var(axis=0).mean(axis=0)
    assert (lost < 5e-3).all()


def _limb_leads(n: int, seed: int = 0) -> np.ndarray:
    """Return beats of the leads I, II, III and aVF, rounded to 1 microvolt: III is faint."""
    one = _beats(n, seed=seed)[..., 0]
    two = 1.1 * one + 0.2 * _beats(n, seed=seed + 100)[..., 0]
    three = two - one
    return np.round(np.stack([one, two, three, (two + three) / 2], axis=2), 3)


def test_leads_that_depend_on_each_other_still_do_when_decoded() -> None:
    beats = _limb_leads(200)
    model = Autoencoder.fit(beats, preset="quick", seed=0)
    rng = np.random.default_rng(0)
    one, two, three, foot = np.moveaxis(
        model.decode(3 * rng.standard_normal((50, model.n_codes))).astype(np.float64), 2, 0
    )
    size = np.sqrt(np.mean(two**2))
    assert np.sqrt(np.mean((two - one - three) ** 2)) < 1e-3 * size
    assert np.sqrt(np.mean((foot - (two + three) / 2) ** 2)) < 1e-3 * size
    assert _lost(model, _limb_leads(50, seed=1)) < 5e-3


def test_leads_that_are_independent_are_left_alone(tmp_path: Path) -> None:
    beats = np.concatenate([_beats(60), 0.002 * _beats(60, seed=1)], axis=2)
    model = Autoencoder.fit(beats, preset="quick", seed=0)
    again = model.decode(model.encode(beats))
    assert np.corrcoef(again[..., 1].ravel(), beats[..., 1].ravel())[0, 1] > 0.99
    model.save(tmp_path)
    np.testing.assert_array_equal(Autoencoder.load(tmp_path).decode(model.encode(beats)), again)


def test_ten_beats_are_enough_and_get_fewer_codes() -> None:
    beats = _beats(10)
    model = Autoencoder.fit(beats, preset="quick", seed=0)
    assert model.n_codes == 5
    assert _lost(model, beats) < 0.3


def test_a_lead_that_is_flat_does_no_harm() -> None:
    beats = _beats(40, n_leads=2)
    beats[..., 1] = 0
    model = Autoencoder.fit(beats, preset="quick", seed=0)
    assert np.abs(model.decode(model.encode(beats))[..., 1]).max() < 1e-4


@pytest.mark.parametrize(
    ("beats", "fault"),
    [
        (_beats(7), "7 beats"),
        (np.ones((20, 50, 1), np.float32), "all beats are the same"),
        (np.full((20, 50, 1), np.nan, np.float32), "missing values"),
    ],
)
def test_beats_that_teach_nothing_are_refused(beats: np.ndarray, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        Autoencoder.fit(beats, preset="quick")


def test_beats_of_another_window_are_refused() -> None:
    model = Autoencoder.fit(_beats(20), preset="quick")
    with pytest.raises(UserError, match=r"\(80, 1\).*\(90, 1\)"):
        model.encode(_beats(3, n_samples=80))


def test_cancelled_training_resumes_to_the_same_model(tmp_path: Path) -> None:
    beats = _beats(60)

    def stop(progress: Progress) -> None:
        if progress.done == 6:
            raise Cancelled

    whole = Autoencoder.fit(beats, preset="quick", seed=1)
    with pytest.raises(Cancelled):
        Autoencoder.fit(beats, preset="quick", seed=1, report=stop, checkpoint=tmp_path)
    seen: list[int] = []
    resumed = Autoencoder.fit(
        beats, preset="quick", seed=1, report=lambda p: seen.append(p.done), checkpoint=tmp_path
    )
    assert seen[0] == 7
    assert resumed.history == whole.history
    np.testing.assert_array_equal(resumed.encode(beats), whole.encode(beats))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    beats = _beats(30, n_leads=2)
    model = Autoencoder.fit(beats, preset="quick", seed=2)
    model.save(tmp_path)
    loaded = Autoencoder.load(tmp_path)
    codes = model.encode(beats)
    np.testing.assert_array_equal(loaded.encode(beats), codes)
    np.testing.assert_array_equal(loaded.decode(codes), model.decode(codes))
    assert loaded.history == model.history
    assert loaded.encode(beats[:0]).shape == (0, model.n_codes)
    (tmp_path / "encoder.keras").write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"encoder\.keras"):
        Autoencoder.load(tmp_path)

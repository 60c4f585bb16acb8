"""Gaussians of recordings: shape of what is drawn, obedience, shrinkage, days, errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.models.gaussian_mixture import GaussianMixtureGenerator

N_CODES = 6


def _people(
    n_subjects: int = 3, n_recordings: int = 3, n_beats: int = 60, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes, subjects and recordings: subjects far apart, recordings a little."""
    rng = np.random.default_rng(seed)
    codes, subjects, recordings = [], [], []
    for s in range(n_subjects):
        centre = rng.normal(0, 10, N_CODES)
        for r in range(n_recordings):
            mean = centre + rng.normal(0, 2, N_CODES)
            codes.append(mean + (0.5 + r) * rng.normal(0, 0.3, (n_beats, N_CODES)))
            subjects += [f"person {s}"] * n_beats
            recordings += [f"person {s}/rec {r}"] * n_beats
    return np.concatenate(codes).astype(np.float32), np.array(subjects), np.array(recordings)


def test_draws_have_each_recordings_mean_and_covariance() -> None:
    rng = np.random.default_rng(1)
    mix = np.array([[1.0, 0.8, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.2]])
    codes = (rng.standard_normal((4_000, 3)) @ mix + [5, 0, -5]).astype(np.float32)
    model = GaussianMixtureGenerator.fit(codes, ["a"] * 4_000, ["a/1"] * 4_000, seed=0)
    drawn = model.sample(["a"] * 20_000, seed=2)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(codes.T), atol=0.05)


def test_as_many_beats_as_a_recording_has_share_its_mean_and_spread() -> None:
    codes, _, recordings = _people(n_subjects=2, n_recordings=2, n_beats=12)
    model = GaussianMixtureGenerator.fit(codes, recordings, recordings, seed=0)
    drawn = model.sample(recordings, seed=1)
    for name in np.unique(recordings):
        real, made = codes[recordings == name], drawn[recordings == name]
        np.testing.assert_allclose(made.mean(axis=0), real.mean(axis=0), atol=1e-3)
        ratio = np.sqrt(made.var(axis=0).sum() / real.var(axis=0).sum())
        assert ratio == pytest.approx(1, abs=0.1)


def test_one_beat_at_a_time_has_the_same_mean_and_spread() -> None:
    codes, _, recordings = _people(n_subjects=1, n_recordings=1, n_beats=30)
    model = GaussianMixtureGenerator.fit(codes, recordings, recordings, seed=0)
    alone = np.concatenate([model.sample(recordings[:1], seed=seed) for seed in range(400)])
    np.testing.assert_allclose(alone.mean(axis=0), codes.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(alone.std(axis=0), codes.std(axis=0), rtol=0.2)


def test_who_is_asked_for_is_who_is_drawn() -> None:
    codes, subjects, recordings = _people()
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0)
    asked = np.array(["person 2", "person 0", "person 1", "person 0"] * 25)
    drawn = model.sample(asked, seed=3)
    centres = {s: codes[subjects == s].mean(axis=0) for s in model.subjects}
    nearest = [min(centres, key=lambda s: float(np.linalg.norm(row - centres[s]))) for row in drawn]
    assert nearest == asked.tolist()


def test_the_noise_of_each_recording_is_its_own() -> None:
    codes, _, recordings = _people(n_subjects=1, n_recordings=2)
    model = GaussianMixtureGenerator.fit(codes, recordings, recordings, seed=0)
    quiet, loud = (
        model.sample([name] * 4_000, seed=0).std(axis=0).mean() for name in model.subjects
    )
    assert loud / quiet == pytest.approx(3, rel=0.15)


def test_decoded_beats_spread_as_the_real_ones_do() -> None:
    codes, subjects, recordings = _people(n_subjects=2, n_recordings=1, n_beats=8)
    codes[:8, 0] *= 30
    weights = np.array([1.0, 100, 1, 1, 1, 1], dtype=np.float32)

    def decode(some: np.ndarray) -> np.ndarray:
        return (some * weights)[:, :, None]

    def spread_over_real(model: GaussianMixtureGenerator) -> float:
        drawn = decode(model.sample(["person 0"] * 3_000, seed=3))
        real = decode(codes[subjects == "person 0"])
        return float(np.sqrt(drawn.var(axis=0).sum() / real.var(axis=0, ddof=1).sum()))

    plain = GaussianMixtureGenerator.fit(codes, subjects, recordings)
    mended = GaussianMixtureGenerator.fit(codes, subjects, recordings, decode=decode)
    assert abs(spread_over_real(mended) - 1) < abs(spread_over_real(plain) - 1) / 2


def test_a_recording_with_two_beat_types_keeps_both() -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat([-6.0, 6.0], [150, 50])
    codes = rng.normal(0, 0.5, (200, N_CODES))
    codes[:, 0] += kinds
    codes = codes.astype(np.float32)
    model = GaussianMixtureGenerator.fit(codes, ["a"] * 200, ["a/1"] * 200, seed=0)
    first = model.sample(["a"] * 4_000, seed=0)[:, 0]
    assert np.mean(np.abs(first) < 3) < 0.01
    assert np.mean(first > 0) == pytest.approx(0.25, abs=0.03)


def test_one_beat_type_stays_one() -> None:
    codes, subjects, recordings = _people(n_beats=200)
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0)
    assert len(model.components.mean) == 9


def test_labels_are_obeyed_and_unasked_come_in_their_shares() -> None:
    codes, subjects, recordings = _people(n_subjects=2, n_recordings=1, n_beats=200)
    labels = np.where(np.arange(400) % 4 == 0, "V", "N")
    codes[labels == "V"] += 20
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, labels=labels, seed=0)
    assert model.labels == ("N", "V")
    asked = np.array(["N", "V"] * 50)
    drawn = model.sample(["person 1"] * 100, labels=asked, seed=0)
    real = codes[(subjects == "person 1") & (labels == "V")].mean(axis=0)
    far = np.linalg.norm(drawn - real, axis=1) > 20
    assert (far == (asked == "N")).all()
    unasked = model.sample(["person 1"] * 2_000, seed=0)
    assert np.mean(np.linalg.norm(unasked - real, axis=1) < 20) == pytest.approx(0.25, abs=0.04)


def test_new_days_lie_between_recordings_but_do_not_leave_the_subject() -> None:
    codes, subjects, recordings = _people(n_subjects=8, n_recordings=4)
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0)
    asked = ["person 3"] * 4_000
    days = model.sample(asked, days="new", seed=0).reshape(-1, 5, N_CODES).mean(axis=1)
    centre = np.mean(
        [codes[recordings == f"person 3/rec {r}"].mean(axis=0) for r in range(4)], axis=0
    )
    np.testing.assert_allclose(days.mean(axis=0), centre, atol=0.8)
    assert 1.4 < days.std(axis=0).mean() < 2.6


def test_new_days_need_a_subject_with_two_recordings() -> None:
    codes, subjects, recordings = _people(n_recordings=1)
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0)
    with pytest.raises(UserError, match="two recordings"):
        model.sample(["person 0"], days="new")


def test_a_subject_with_one_beat_borrows_the_spread_of_the_others() -> None:
    codes, subjects, recordings = _people(n_recordings=1)
    lone = np.full((1, N_CODES), 30, np.float32)
    model = GaussianMixtureGenerator.fit(
        np.concatenate([codes, lone]),
        [*subjects, "lone"],
        [*recordings, "lone/1"],
        seed=0,
    )
    drawn = model.sample(["lone"] * 500, seed=0)
    np.testing.assert_allclose(drawn.mean(axis=0), 30, atol=0.1)
    assert drawn.std(axis=0).mean() == pytest.approx(0.15, rel=0.2)


def test_fewer_beats_than_codes_still_give_a_gaussian() -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((5, 20)).astype(np.float32)
    drawn = GaussianMixtureGenerator.fit(codes, ["a"] * 5, ["a/1"] * 5).sample(["a"] * 50)
    assert np.isfinite(drawn).all()


def test_beats_that_are_all_alone_are_refused() -> None:
    with pytest.raises(UserError, match="two or more usable beats"):
        GaussianMixtureGenerator.fit(np.eye(3, dtype=np.float32), list("abc"), list("abc"))


def test_unknown_subject_label_and_days_name_the_nearest() -> None:
    codes, subjects, recordings = _people()
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0)
    with pytest.raises(UserError, match="Did you mean 'person 1'"):
        model.sample(["person 0", "persn 1"])
    with pytest.raises(UserError, match="has no beats labelled 'V'"):
        model.sample(["person 0"], labels=["V"])
    with pytest.raises(UserError, match="Choose recorded or new"):
        model.sample(["person 0"], days="old")  # type: ignore[arg-type]


@pytest.mark.parametrize("days", ["recorded", "new"])
def test_same_seed_same_codes_also_after_saving(tmp_path: Path, days: str) -> None:
    codes, subjects, recordings = _people()
    model = GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0)
    model.save(tmp_path)
    loaded = GaussianMixtureGenerator.load(tmp_path)
    first = model.sample(subjects, seed=4, days=days)  # type: ignore[arg-type]
    np.testing.assert_array_equal(first, loaded.sample(subjects, seed=4, days=days))  # type: ignore[arg-type]
    assert not np.array_equal(first, model.sample(subjects, seed=5, days=days))  # type: ignore[arg-type]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    codes, subjects, recordings = _people()
    GaussianMixtureGenerator.fit(codes, subjects, recordings, seed=0).save(tmp_path)
    (tmp_path / "mixture.npz").write_bytes(b"PK\x03\x04 not an archive")
    with pytest.raises(UserError, match=r"mixture\.npz"):
        GaussianMixtureGenerator.load(tmp_path)

"""Conditional GAN: obedience, moments, days, labels, resuming, saving, errors."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest

import core.models.conditional_gan as module
from core.errors import Cancelled, UserError
from core.models.autoencoder import Autoencoder
from core.models.conditional_gan import ConditionalGan
from core.progress import Progress

N_BEATS = 20
STEPS = 40


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.STEPS, "quick", STEPS)
    monkeypatch.setattr(module, "STEPS_A_REPORT", 20)


def _people() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return beats, subjects and recordings: T wave tall, flat or upside down, R of two heights."""
    rng = np.random.default_rng(0)
    t = np.linspace(-0.25, 0.45, 60)
    beats, subjects, recordings = [], [], []
    for subject, t_height in (("ada", 0.5), ("bob", 0.0), ("cyd", -0.5)):
        for day in range(2):
            for _ in range(N_BEATS):
                r = (1 + 0.1 * day + rng.normal(0, 0.05)) * np.exp(-((t / 0.03) ** 2))
                wave = (t_height + rng.normal(0, 0.03)) * np.exp(-(((t - 0.25) / 0.07) ** 2))
                beats.append(r + wave + rng.normal(0, 0.01, 60))
                subjects.append(subject)
                recordings.append(f"{subject}/{day}")
    return np.array(beats, np.float32)[..., None], np.array(subjects), np.array(recordings)


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    return Autoencoder.fit(_people()[0], preset="quick", seed=0)


@pytest.fixture(scope="module")
def gan(autoencoder: Autoencoder) -> ConditionalGan:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.STEPS, "quick", STEPS)
        patch.setattr(module, "STEPS_A_REPORT", 20)
        return ConditionalGan.fit(autoencoder, *_people(), preset="quick", seed=0)


def _t_wave(beats: np.ndarray) -> np.ndarray:
    return beats[:, 40:46, 0].mean(axis=1)


def test_who_is_asked_for_is_who_is_drawn(gan: ConditionalGan, autoencoder: Autoencoder) -> None:
    asked = np.array(["ada", "bob", "cyd", "bob"] * 50)
    height = _t_wave(autoencoder.decode(gan.sample(asked, seed=1)))
    drawn = np.array(["cyd", "bob", "ada"])[np.digitize(height, [-0.2, 0.2])]
    assert np.mean(drawn == asked) > 0.99
    turned = _t_wave(autoencoder.decode(gan.sample(np.roll(asked, 1), seed=1)))
    assert np.mean(np.abs(turned - height) > 0.2) > 0.9


def test_generator_itself_listens_to_its_condition(gan: ConditionalGan) -> None:
    rng = np.random.default_rng(0)
    n, k = 8, gan.mixture.components.mean.shape[1]
    z = rng.standard_normal((n, k), np.float32)
    u = rng.standard_normal((n, 16), np.float32)
    context = np.zeros((n, gan.generator.input_shape[2][1]), np.float32)
    label = np.zeros(n, np.int64)
    ada, bob = (np.asarray(gan.generator([z, u, context, np.full(n, i), label])) for i in range(2))
    assert np.abs(ada - bob).max() > 1e-4


def test_moments_of_each_recording_are_kept(gan: ConditionalGan, autoencoder: Autoencoder) -> None:
    beats, subjects, _ = _people()
    real = autoencoder.encode(beats[subjects == "ada"])
    drawn = gan.sample(["ada"] * 4_000, seed=0)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), real.mean(axis=0), atol=0.25)
    assert np.sqrt(drawn.var(axis=0).sum() / real.var(axis=0).sum()) == pytest.approx(1, abs=0.15)


def test_history_tells_of_spread_and_of_the_critic(gan: ConditionalGan) -> None:
    assert len(gan.history) == 2
    for entry in gan.history:
        assert entry["spread"] == pytest.approx(1, abs=0.25)
        assert 0.1 < entry["critic_accuracy"] < 0.9


def test_new_days_move_the_mean_of_a_recording(
    gan: ConditionalGan, autoencoder: Autoencoder
) -> None:
    def wander(days: str) -> float:
        codes = gan.sample(["bob"] * 2_000, seed=0, days=days)  # type: ignore[arg-type]
        r_height = autoencoder.decode(codes)[:, 21, 0]
        return float(r_height.reshape(-1, 5).mean(axis=1).std())

    assert wander("new") > 2 * wander("recorded")


def test_labels_are_obeyed(autoencoder: Autoencoder) -> None:
    beats, subjects, recordings = _people()
    labels = np.where(subjects == "ada", "tall", "as ever").astype("<U16")
    labels[::4] = "upside down"
    beats[::4] *= -1
    model = ConditionalGan.fit(
        autoencoder, beats, subjects, recordings, labels=labels, preset="quick", seed=0
    )
    asked = np.array(["tall", "upside down"] * 20)
    drawn = autoencoder.decode(model.sample(["ada"] * 40, labels=asked, seed=0))
    assert ((drawn[:, 21, 0] > 0) == (asked == "tall")).all()
    with pytest.raises(UserError, match="no beats labelled 'tall'"):
        model.sample(["bob"], labels=["tall"])
    with pytest.raises(UserError, match="Did you mean 'ada'"):
        model.sample(["adda"])


def test_one_recording_is_enough(autoencoder: Autoencoder) -> None:
    beats = _people()[0][:N_BEATS]
    model = ConditionalGan.fit(
        autoencoder, beats, ["ada"] * N_BEATS, ["ada/0"] * N_BEATS, preset="quick", seed=0
    )
    assert np.isfinite(model.sample(["ada"] * 100, seed=0)).all()
    with pytest.raises(UserError, match="two recordings"):
        model.sample(["ada"], days="new")


def test_cancelled_training_resumes_to_the_same_generator(
    gan: ConditionalGan, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        assert {"critic_loss", "generator_loss"} <= set(progress.metrics)
        if progress.done == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        ConditionalGan.fit(
            autoencoder, *_people(), preset="quick", seed=0, report=stop, checkpoint=tmp_path
        )
    seen: list[int] = []
    resumed = ConditionalGan.fit(
        autoencoder,
        *_people(),
        preset="quick",
        seed=0,
        report=lambda p: seen.append(p.done),
        checkpoint=tmp_path,
    )
    assert seen == [40]
    asked = ["ada", "bob"] * 10
    np.testing.assert_array_equal(resumed.sample(asked, seed=1), gan.sample(asked, seed=1))
    assert resumed.history == gan.history


def test_other_threads_that_draw_at_random_change_nothing(
    gan: ConditionalGan, autoencoder: Autoencoder
) -> None:
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(0.001):
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        again = ConditionalGan.fit(autoencoder, *_people(), preset="quick", seed=0)
    finally:
        ended.set()
        thread.join()
    assert again.history == gan.history


def test_saved_and_loaded_it_draws_the_same(gan: ConditionalGan, tmp_path: Path) -> None:
    gan.save(tmp_path)
    loaded = ConditionalGan.load(tmp_path)
    asked = ["cyd", "ada", "bob"] * 7
    for days in ("recorded", "new"):
        first = gan.sample(asked, seed=3, days=days)  # type: ignore[arg-type]
        np.testing.assert_array_equal(first, loaded.sample(asked, seed=3, days=days))  # type: ignore[arg-type]
    assert not np.array_equal(first, gan.sample(asked, seed=4, days="new"))
    assert loaded.history == gan.history
    assert loaded.sample([], seed=0).shape == (0, first.shape[1])
    (tmp_path / "calibration.npz").unlink()
    with pytest.raises(UserError, match=r"calibration\.npz"):
        ConditionalGan.load(tmp_path)

"""Beats in order: drawn ones go on from beat to beat, and with RR, as those of a person do."""

from __future__ import annotations

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.models.gaussian_mixture import GaussianMixtureGenerator
from core.models.identifier_input import Window
from core.models.succession import POOL, Course, Succession, Usual, chosen, traits

RATE = 250.0
TIMES = np.arange(175) / RATE - 0.25
WINDOW = Window(before_s=0.25, sampling_rate=RATE)
R_WAVE = np.exp(-np.square(TIMES / 0.012) / 2)
T_WAVE = 0.3 * np.exp(-np.square((TIMES - 0.28) / 0.04) / 2)
P_WAVE = 0.1 * np.exp(-np.square((TIMES + 0.14) / 0.02) / 2)
HEIGHT = 1
"""Where the height of QRS stands among the traits."""


def _recordings(memory: float, breathing: dict[str, float], n: int = 20, each: int = 15) -> BeatSet:
    """Return beats whose QRS height remembers the beat before, and follows RR as told."""
    rng = np.random.default_rng(0)
    signals, subject, recording, rr, places = [], [], [], [], []
    for name, slope in breathing.items():
        for k in range(each):
            interval = 0.8 + 0.05 * rng.standard_normal(n + 1)
            height = 0.0
            at = np.cumsum(np.rint(interval[:n] * RATE)).astype(int)
            for i in range(n):
                z = (interval[i] - 0.8) / 0.05
                height = memory * height + slope * z + 0.5 * rng.standard_normal()
                moved = rng.standard_normal(3)
                signals.append(
                    (1 + 0.05 * height) * R_WAVE
                    + (1 + 0.05 * moved[0]) * T_WAVE
                    + (1 + 0.05 * moved[1]) * P_WAVE
                    + 0.01 * moved[2]
                )
            subject += [name] * n
            recording += [f"{name}/{k}"] * n
            rr += np.rint(interval * RATE).tolist()[:n]
            places += at.tolist()
    before = np.asarray(rr) / RATE
    return BeatSet.build(
        np.asarray(signals)[:, :, None].astype(np.float32),
        sampling_rate=RATE,
        before_s=0.25,
        leads=("I",),
        subject=np.asarray(subject),
        recording=np.asarray(recording),
        rr_before=before.astype(np.float32),
        rr_after=np.append(before[1:], 0.8).astype(np.float32),
        r_sample=np.asarray(places),
    )


def _drawn(course: Course, subject: str, n: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    rr = rng.standard_normal(n + 1)
    return course.draw(subject, rr, rng), rr


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_a_trait_remembers_as_much_as_it_does_in_long_recordings(memory: float) -> None:
    """The recordings have 20 beats: their own correlation is too low by about a tenth."""
    drawn, _ = _drawn(Course.fit(_recordings(memory, {"a": 0.0, "b": 0.0})), "a")
    height = drawn[:, HEIGHT]
    assert np.corrcoef(height[1:], height[:-1])[0, 1] == pytest.approx(memory, abs=0.08)
    assert drawn.std(axis=0) == pytest.approx(1, abs=0.1)


def test_everybody_breathes_in_a_direction_of_their_own() -> None:
    course = Course.fit(_recordings(0.0, {"a": 0.5, "b": -0.5}))
    for name, expected in (("a", 0.7), ("b", -0.7)):
        drawn, rr = _drawn(course, name)
        assert np.corrcoef(drawn[:, HEIGHT], rr[:-1])[0, 1] == pytest.approx(expected, abs=0.1)
    drawn, rr = _drawn(course, "nobody known")
    assert np.corrcoef(drawn[:, HEIGHT], rr[:-1])[0, 1] == pytest.approx(0, abs=0.1)


def test_too_few_beats_tell_nothing() -> None:
    drawn, rr = _drawn(Course.fit(_recordings(0.9, {"a": 1.0}, each=3)), "a")
    height = drawn[:, HEIGHT]
    assert np.corrcoef(height[1:], height[:-1])[0, 1] == pytest.approx(0, abs=0.05)
    assert np.corrcoef(height, rr[:-1])[0, 1] == pytest.approx(0, abs=0.05)
    assert drawn.std(axis=0) == pytest.approx(1, abs=0.05)


def test_traits_are_of_their_waves() -> None:
    change = np.stack([np.full(175, 0.01), 0.1 * R_WAVE, 0.1 * T_WAVE, 0.1 * P_WAVE])
    beats = R_WAVE + T_WAVE + P_WAVE + np.concatenate([change, -change])
    found = traits(beats[:, :, None].astype(np.float32), WINDOW)
    assert found.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert found.std(axis=0) == pytest.approx(1, abs=1e-6)
    assert np.abs(found[:4]).argmax(axis=0)[HEIGHT:].tolist() == [1, 2, 3]
    assert (np.diagonal(found[:4]) > 0.5).all()


def test_beats_are_chosen_by_their_traits_and_none_twice() -> None:
    rng = np.random.default_rng(0)
    n = 100
    wanted = rng.standard_normal((n, 4))
    pool = rng.standard_normal((n * POOL, 4))
    taken = chosen(pool, wanted)
    assert len(set(taken.tolist())) == n
    for j in range(4):
        assert np.corrcoef(pool[taken, j], wanted[:, j])[0, 1] > 0.9
    assert np.array_equal(taken, chosen(pool, wanted))


def test_what_is_unwanted_is_left() -> None:
    rng = np.random.default_rng(0)
    pool = rng.standard_normal((20 * POOL, 4))
    unwanted = np.where(np.arange(len(pool)) % 2, 100.0, 0.0)
    assert (chosen(pool, rng.standard_normal((20, 4)), unwanted) % 2 == 0).all()


def test_a_spoilt_beat_is_not_usual() -> None:
    rng = np.random.default_rng(0)
    beats = R_WAVE[:, None] + 0.02 * rng.standard_normal((20, 175, 1))
    beats[7] += 1.0
    excess = Usual.fit(beats.astype(np.float32)).excess(beats.astype(np.float32))
    assert excess[7] > 100
    assert np.delete(excess, 7).max() < 1


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
    rows = Succession(np.full(60, recording), np.zeros(60, np.int64))
    drawn = _mixture().sample(np.full(60, "a"), succession=rows)
    assert drawn.mean() == pytest.approx(centre, abs=0.2)


def test_a_row_stays_on_one_new_day() -> None:
    names, rows = np.full(80, "a/1"), np.repeat([0, 1], 40)
    drawn = _mixture().sample(
        np.full(80, "a"), days="new", seed=1, succession=Succession(names, rows)
    )
    apart = np.linalg.norm(drawn[:40].mean(axis=0) - drawn[40:].mean(axis=0))
    assert drawn[:40].std(axis=0).max() < 0.3
    assert apart > 0.5

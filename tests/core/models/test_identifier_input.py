from __future__ import annotations

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.models.identifier_batches import Gallery, Variation, draw_samples, vary
from core.models.identifier_input import (
    Window,
    adapt_to_rate,
    means_in_a_row,
    network_input,
    no_rhythm,
    normalise,
    recording_codes,
    recording_rr,
    rhythm_of,
)

WINDOW = Window(before_s=0.25, sampling_rate=250.0)
TIMES = WINDOW.times(200)
UNVARIED = Variation((0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def bump(centre_s: float) -> np.ndarray:
    return np.exp(-(((TIMES - centre_s) / 0.02) ** 2)).astype(np.float32)


@pytest.mark.parametrize("rr", [0.5, 0.8, 1.1])
def test_a_t_wave_that_follows_the_rate_lands_where_it_is_at_75(rr: float) -> None:
    measured = 0.08 + (0.28 - 0.08) * (rr / 0.8) ** 0.4
    beats = (bump(0.0) + bump(measured))[None, :, None]
    adapted = adapt_to_rate(beats, np.array([rr]), WINDOW)[0, :, 0]
    late = TIMES > 0.1
    assert TIMES[late][np.argmax(adapted[late])] == pytest.approx(0.28, abs=0.004)
    np.testing.assert_allclose(adapted[~late], beats[0, ~late, 0], atol=0.01)


def test_an_unknown_rate_leaves_beats_alone() -> None:
    beats = bump(0.2)[None, :, None]
    np.testing.assert_allclose(adapt_to_rate(beats, np.array([np.nan]), WINDOW), beats, atol=1e-5)


def test_rate_and_rhythm_come_from_the_recording_of_a_beat() -> None:
    beats = BeatSet.build(
        np.zeros((7, 4, 1), np.float32),
        sampling_rate=250,
        before_s=0.25,
        leads=("I",),
        recording=["b", "a", "b", "a", "a", "", ""],
        rr_before=[0.5, 0.9, 9.0, np.nan, 1.1, 0.7, np.nan],
        rr_after=[0.25, 0.9, 0.5, 1.0, np.nan, 0.7, np.nan],
    )
    codes = recording_codes(beats)
    assert len(set(codes)) == 4
    assert codes[0] == codes[2] != codes[1] == codes[3] == codes[4]
    np.testing.assert_allclose(
        recording_rr(beats, codes), [0.5, 1.0, 0.5, 1.0, 1.0, 0.7, np.nan], rtol=1e-6
    )
    rhythm = rhythm_of(beats, codes)[:, 0]
    np.testing.assert_allclose(rhythm[0], [0, np.log(0.5)], atol=1e-6)
    np.testing.assert_allclose(rhythm[4], [np.log(1.1), 0], atol=1e-6)
    np.testing.assert_array_equal(rhythm[6], [0, 0])


def test_means_are_of_neighbours_in_one_recording() -> None:
    signals = np.arange(7, dtype=np.float32)[:, None, None]
    codes = np.array([0, 0, 0, 0, 1, 1, 2])
    means, owners = means_in_a_row(signals, codes, 3)
    np.testing.assert_allclose(means[:, 0, 0], [1, 2, 4.5, 6])
    np.testing.assert_array_equal(owners, [0, 0, 1, 2])
    same, owners = means_in_a_row(signals, codes[::-1], 1)
    np.testing.assert_array_equal(same, signals)
    np.testing.assert_array_equal(owners, codes[::-1])


def test_input_is_normalised_with_its_slope_and_survives_a_flat_beat() -> None:
    beats = np.stack([bump(0.0), 5 * bump(0.0) + 3, np.zeros(200, np.float32)])[..., None]
    inputs = network_input(beats, no_rhythm(3), 250.0)
    assert inputs.shape == (3, 200, 2)
    np.testing.assert_allclose(inputs[0], inputs[1], atol=1e-4)
    np.testing.assert_array_equal(inputs[2], 0)
    assert np.std(inputs[0, :, 0]) == pytest.approx(1, abs=1e-4)
    assert inputs[0, TIMES < 0, 1].sum() > 0 > inputs[0, TIMES > 0, 1].sum()


def test_no_variation_changes_nothing_and_every_kind_changes_something() -> None:
    beats = np.tile((bump(0.0) + 0.3 * bump(0.25) + 0.1 * bump(-0.16))[None, :, None], (5, 1, 1))
    rr = np.full(5, 1.0)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(vary(beats, rr, WINDOW, rng, UNVARIED), beats, atol=1e-5)
    for kind in ("late_scale", "scale", "shift_s", "gain", "baseline", "noise"):
        one = Variation(**{**vars(UNVARIED), kind: 0.05})
        assert np.abs(vary(beats, rr, WINDOW, rng, one) - beats).max() > 0.001


def test_classes_are_drawn_equally_and_runs_stay_within_a_recording() -> None:
    codes = np.repeat([0, 1, 2, 3], [1, 30, 10, 2])
    targets = np.repeat([0, 1, 1, 2], [1, 30, 10, 2])
    level = np.array([1.0, -1.0, 2.0, -2.0])[codes]
    signals = (np.sign(level)[:, None] * bump(0.0) * np.abs(level)[:, None]).astype(np.float32)
    gallery = Gallery(
        signals=signals[..., None],
        rr=np.full(len(codes), np.nan),
        targets=targets,
        codes=codes,
        recordings=codes,
        rhythm=no_rhythm(len(codes)),
        window=WINDOW,
    )
    inputs, drawn = draw_samples(
        gallery, 300, np.random.default_rng(0), sizes=(1, 7), variation=UNVARIED
    )
    np.testing.assert_array_equal(np.bincount(drawn), [100, 100, 100])
    pure = normalise(np.stack([bump(0.0), -bump(0.0)])[..., None])[:, :, 0]
    distance = np.abs(inputs[:, None, :, 0] - pure[None]).max(axis=2).min(axis=1)
    assert distance.max() < 1e-4

"""How days differ in time: what is learned from recordings, and what is done to beats."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from core.beat_set import BeatSet
from core.models.day_variation import LATE_SPREAD, RATE_SPREAD, DayVariation
from core.models.gaussian_mixture import BEATS_A_DAY

RATE = 250.0
BEFORE_S = 0.25
TIMES = np.arange(175) / RATE - BEFORE_S
BUMPS = ((-0.15, 0.1, 0.02), (0.0, 1.0, 0.01), (0.25, 0.3, 0.04))
"""Time of P, R and T in s, their height in mV, their width in s."""


def _beat(t_stretch: float = 1.0) -> npt.NDArray[np.float64]:
    """One beat; the time from 0.08 s to T is `t_stretch` times as long, as T itself is."""
    warped = np.where(TIMES > 0.08, 0.08 + (TIMES - 0.08) / t_stretch, TIMES)
    parts = [h * np.exp(-0.5 * ((warped - at) / width) ** 2) for at, h, width in BUMPS]
    return np.sum(parts, axis=0)


def _beats(
    signals: npt.ArrayLike, subject: npt.ArrayLike, rr: npt.ArrayLike = 0.8, **columns: object
) -> BeatSet:
    shape = np.asarray(signals, np.float32).reshape(-1, len(TIMES), 1)
    interval = np.full(len(shape), rr, np.float32)
    return BeatSet.build(
        shape,
        sampling_rate=RATE,
        before_s=BEFORE_S,
        leads=("I",),
        subject=subject,
        rr_before=interval,
        rr_after=interval,
        **columns,
    )


def _recordings(recordings: list[tuple[str, str, float, float]], n_beats: int = 10) -> BeatSet:
    """Beats of recordings, each a subject, a session, an RR interval and a length of ST-T."""
    signals = np.concatenate([[_beat(stretch)] * n_beats for *_, stretch in recordings])
    named = np.repeat(np.asarray([(s, day) for s, day, *_ in recordings]), n_beats, axis=0)
    return _beats(
        signals,
        named[:, 0],
        np.repeat([rr for _, _, rr, _ in recordings], n_beats),
        session=named[:, 1],
        recording=np.repeat([f"r{i}" for i in range(len(recordings))], n_beats),
    )


def _t_times(beats: BeatSet) -> npt.NDArray[np.float64]:
    late = TIMES > 0.1
    return np.asarray(TIMES[late][beats.signals[:, late, 0].argmax(axis=1)])


@pytest.fixture
def variation() -> DayVariation:
    return DayVariation(0.2, 0.0, {"ada": 0.8, "bob": 0.8}, 0, between_days=False)


def test_beats_of_one_day_change_alike_and_days_differ(variation: DayVariation) -> None:
    plain = _beats([_beat()] * 40 * BEATS_A_DAY, ["ada"] * 40 * BEATS_A_DAY)
    changed = variation.apply(plain, seed=0)
    days = changed.signals.reshape(40, BEATS_A_DAY, -1)
    np.testing.assert_array_equal(days, np.broadcast_to(days[:, :1], days.shape))
    assert len(np.unique(days[:, 0], axis=0)) == 40
    assert len(set(changed.session)) == 40
    for name in set(changed.session):
        assert len(set(changed.rr_before[changed.session == name])) == 1


def test_days_are_counted_for_each_subject(variation: DayVariation) -> None:
    names = np.resize(["ada", "bob"], 4 * BEATS_A_DAY)
    changed = variation.apply(_beats([_beat()] * len(names), names), seed=0)
    np.testing.assert_array_equal(changed.subject, names)
    for name in ("ada", "bob"):
        days = changed.session[names == name]
        assert list(days) == ["new day 1"] * BEATS_A_DAY + ["new day 2"] * BEATS_A_DAY
    assert changed.rr_before[0] != changed.rr_before[1]


def test_a_slower_heart_has_a_later_t_wave_by_the_power_of_the_rate(
    variation: DayVariation,
) -> None:
    n = 300 * BEATS_A_DAY
    changed = variation.apply(_beats([_beat()] * n, ["ada"] * n), seed=1)
    longer = np.log((_t_times(changed) - 0.08) / (0.25 - 0.08))
    rate = np.log(changed.rr_before / 0.8)
    slope = (longer * rate).sum() / (rate**2).sum()
    assert slope == pytest.approx(0.4, abs=0.03)
    assert rate.std() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_array_equal(changed.rr_before, changed.rr_after)


def test_qrs_and_the_ends_of_a_beat_stay_where_they_are(variation: DayVariation) -> None:
    ramp = _beat() + TIMES
    changed = variation.apply(_beats([ramp] * 50, ["ada"] * 50), seed=0).signals[:, :, 0]
    qrs = (TIMES > -0.055) & (TIMES < 0.075)
    np.testing.assert_allclose(changed[:, qrs], np.tile(ramp[qrs], (50, 1)), atol=1e-5)
    # A beat whose ends were held would be flat there; the slope of the ramp is 1 mV a second.
    assert (np.diff(changed[:, -3:], axis=1) > 0.3 / RATE).all()


def test_the_rate_stays_if_asked_and_qt_still_varies() -> None:
    own = DayVariation(0.2, 0.05, {"ada": 0.8}, 0, between_days=False)
    plain = _beats([_beat()] * 200, ["ada"] * 200)
    changed = own.apply(plain, seed=0, change_rate=False)
    np.testing.assert_array_equal(changed.rr_before, plain.rr_before)
    longer = np.log((_t_times(changed) - 0.08) / (0.25 - 0.08))
    assert longer.std() == pytest.approx(0.05, rel=0.3)


def test_same_seed_same_days(variation: DayVariation) -> None:
    plain = _beats([_beat()] * 20, ["ada"] * 20)
    first = variation.apply(plain, seed=3)
    np.testing.assert_array_equal(first.signals, variation.apply(plain, seed=3).signals)
    assert not np.array_equal(first.signals, variation.apply(plain, seed=4).signals)
    assert len(variation.apply(plain.take(slice(0, 0)), seed=3)) == 0


def test_what_is_learned_from_days_is_weighed_against_what_is_known() -> None:
    people = [f"p{i}" for i in range(20)]
    made = [
        (name, day, rr, 1.0)
        for name in people
        for day, rr in (("mon", 0.8), ("tue", 0.8 * np.e**0.3))
    ]
    found = DayVariation.fit(_recordings(made))
    assert (found.n_pairs, found.between_days) == (20, True)
    # 20 pairs that differ by 0.3, and the prior counts as 20 more.
    assert found.rate_spread == pytest.approx(np.sqrt((0.3**2 + RATE_SPREAD**2) / 2), abs=1e-3)
    # ST-T did not follow: 0.4 times 0.3 is left over.
    expected = np.sqrt((0.12**2 + LATE_SPREAD**2) / 2)
    assert found.late_spread == pytest.approx(expected, abs=5e-3)
    assert found.usual_rr["p3"] == pytest.approx(0.8 * (1 + np.e**0.3) / 2, abs=1e-3)


def test_only_pairs_of_days_count_where_there_are_any() -> None:
    made = [("p", "mon", 0.6, 1.0), ("p", "mon", 0.9, 1.0), ("p", "tue", 0.9, 1.0)]
    found = DayVariation.fit(_recordings(made))
    assert found.n_pairs == 1
    assert found.rate_spread == pytest.approx(np.sqrt(20 / 21) * RATE_SPREAD, rel=1e-3)


def test_pairs_of_one_day_never_make_days_more_alike_than_is_known() -> None:
    alike = [(name, "mon", 0.8, 1.0) for name in "abcd" for _ in range(2)]
    found = DayVariation.fit(_recordings(alike))
    assert (found.rate_spread, found.late_spread) == (RATE_SPREAD, LATE_SPREAD)
    apart = [(name, "mon", 0.8, s) for name in "abcd" for s in (1.0, 1.15)]
    assert DayVariation.fit(_recordings(apart)).late_spread == pytest.approx(
        np.log(1.15), abs=0.011
    )


def test_lone_recordings_leave_what_is_known() -> None:
    found = DayVariation.fit(_recordings([("a", "", 0.7, 1.0), ("b", "", np.nan, 1.0)]))
    assert (found.n_pairs, found.rate_spread) == (0, RATE_SPREAD)
    changed = found.apply(_beats([_beat()] * 5, ["b"] * 5, np.nan), seed=0)
    assert np.isfinite(changed.signals).all()

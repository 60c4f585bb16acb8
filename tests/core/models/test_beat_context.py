from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.beat_set import concatenate
from core.models.beat_context import beat_context, context_codes
from core.models.fusion_beats import limit_fusion, with_fusion_beats
from tests.core.models.test_label_identifier import recorded


def feature(context, name: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    return context.features[:, context.names.index(name)]


def test_a_premature_beat_is_early_and_a_wide_one_differs() -> None:
    beats = recorded("eva")
    context = beat_context(beats)
    sinus, early, wide = (beats.label == kind for kind in "NSV")
    before = feature(context, "before / local")
    assert before[early].max() < -0.3
    assert np.abs(np.median(before[sinus])) < 0.1
    fit = feature(context, "QRS fit")
    assert fit[wide].max() < 0.8 < fit[sinus | early].min()
    assert feature(context, "width difference")[wide].min() > 0.02
    assert np.abs(context.difference[sinus]).mean() < 0.2 * np.abs(context.difference[wide]).mean()


def test_early_means_less_where_the_rhythm_is_irregular() -> None:
    regular = recorded("eva", kinds="NS", n=120)
    rng = np.random.default_rng(0)
    fibrillating = np.exp(0.25 * rng.standard_normal(121)).astype(np.float32)
    irregular = replace(regular, rr_before=fibrillating[:-1], rr_after=fibrillating[1:])
    early = regular.label == "S"
    steady, chaotic = beat_context(regular), beat_context(irregular)
    said = feature(chaotic, "early / spread")
    as_early = feature(chaotic, "before / local") < -0.3
    assert as_early.any()
    assert np.median(feature(steady, "early / spread")[early]) < np.median(said[as_early])
    for name in ("jumps wide", "irregular wide"):
        assert feature(chaotic, name).min() > np.median(feature(steady, name))


def test_gain_and_heart_rate_do_not_matter() -> None:
    beats = recorded("eva")
    other = replace(
        beats,
        signals=3 * beats.signals,
        rr_before=0.7 * beats.rr_before,
        rr_after=0.7 * beats.rr_after,
    )
    one, two = beat_context(beats), beat_context(other)
    seconds = [one.names.index(name) for name in ("local", "before")]
    np.testing.assert_allclose(
        np.delete(one.features, seconds, axis=1),
        np.delete(two.features, seconds, axis=1),
        atol=2e-3,
    )
    np.testing.assert_allclose(one.shape, two.shape, atol=1e-3)


def test_recordings_do_not_see_each_other() -> None:
    both = beat_context(concatenate([recorded("eva"), recorded("finn")]))
    alone = beat_context(recorded("finn"))
    np.testing.assert_allclose(both.features[60:], alone.features, atol=1e-5)


def test_unknown_rhythm_and_a_lone_beat_give_numbers() -> None:
    beats = recorded("eva").take(slice(0, 1))
    unknown = np.full(1, np.nan, np.float32)
    context = beat_context(replace(beats, rr_before=unknown, rr_after=unknown))
    assert np.isfinite(context.features).all()
    assert np.isfinite(context.difference).all()


def test_imitated_fusion_lies_between_sinus_and_ventricular_beats() -> None:
    beats = recorded("eva", n=120, kinds="NV")
    planted, made = with_fusion_beats(beats, seed=0)
    assert made.sum() >= 5
    assert set(planted.label[made]) == {"F"}
    np.testing.assert_array_equal(planted.signals[~made], beats.signals[~made])
    usual = beats.signals[beats.label == "N"].mean(axis=0)
    wide = beats.signals[beats.label == "V"].mean(axis=0)
    whole = np.linalg.norm(wide - usual)
    for beat in planted.signals[made]:
        assert np.linalg.norm(beat - usual) < whole
        assert np.linalg.norm(beat - usual) > 0.15 * whole


def test_nobody_without_ventricular_beats_gets_fusion_beats() -> None:
    _, made = with_fusion_beats(recorded("eva", n=120, kinds="NS"), seed=0)
    assert not made.any()


def test_fusion_is_not_said_more_often_than_ventricular_beats_allow() -> None:
    beats = recorded("eva", n=40)
    scores = np.log(np.tile([0.5, 0.3, 0.2], (40, 1))).astype(np.float32)
    scores[:10] = np.log([0.05, 0.05, 0.9])
    scores[10:30, 0] = np.log(0.9) - np.linspace(0, 0.5, 20)
    limited = limit_fusion(scores, context_codes(beats), ["F", "N", "V"], most=0.5)
    said = limited.argmax(axis=1)
    assert (scores.argmax(axis=1) == 0).sum() == 30
    assert (said == 0).sum() == 5
    assert set(np.flatnonzero(said == 0)) == set(range(10, 15)), "the surest stay"
    np.testing.assert_array_equal(limited[:, 1:], scores[:, 1:])

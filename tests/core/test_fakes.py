"""Fakes are of the shape of real beats, each wrong in the way that its name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.beat_set import BeatSet
from core.fakes import KINDS, SPLICE_S, make_fakes
from core.study import Study


@pytest.fixture(scope="module")
def real(prepared_study: Path) -> BeatSet:
    return Study.open(prepared_study).beats("train")


def test_every_beat_has_a_fake_of_its_subject(real: BeatSet) -> None:
    fakes = make_fakes(real, seed=0)
    assert fakes.signals.shape == real.signals.shape
    assert fakes.signals.dtype == np.float32
    assert fakes.synthetic.all()
    assert sorted(fakes.subject) == sorted(real.subject)
    np.testing.assert_array_equal(make_fakes(real, seed=0).signals, fakes.signals)


def test_kinds_are_what_they_say(real: BeatSet) -> None:
    rng = np.random.default_rng(0)
    made = {kind: make(real, rng) for kind, make in KINDS.items()}
    peak = round(real.before_s * real.sampling_rate)
    np.testing.assert_array_equal(
        made["time_reversed"][:, peak - 20 : peak + 21],
        real.signals[:, peak - 20 : peak + 21][:, ::-1],
    )
    assert (made["over_smoothed"].max(axis=1) < real.signals.max(axis=1)).all()
    np.testing.assert_allclose(
        made["smoothed_noise"].std(axis=1), real.signals.std(axis=1), rtol=0.02
    )
    join = peak + round(SPLICE_S * real.sampling_rate)
    np.testing.assert_array_equal(made["spliced"][:, : join - 5], real.signals[:, : join - 5])
    steps = np.abs(np.diff(made["spliced"], axis=1))
    assert steps[:, join - 4 : join + 4].max() <= np.abs(np.diff(real.signals, axis=1)).max()

"""A seed -> beats of simulated subjects, whose true distribution is known."""

from __future__ import annotations

import numpy as np

from core.beat_set import BeatSet
from core.recording import StrArray

RATE = 250.0
BEFORE_S = 0.25
N_SAMPLES = 175
RECORDINGS = 2
LEVEL_MV = 0.02


def subject_names(n: int) -> StrArray:
    return np.asarray([f"S{i:02d}" for i in range(n)])


def draw(subjects: StrArray, seed: int) -> BeatSet:
    """Draw one beat for each subject: waves of its own, a day's offset, gain, smooth noise."""
    rng = np.random.default_rng(seed)
    time = (np.arange(N_SAMPLES) - round(BEFORE_S * RATE)) / RATE
    recording = rng.integers(RECORDINGS, size=len(subjects))
    shapes = {}
    for subject in np.unique(subjects):
        own = np.random.default_rng(int(subject[1:]))
        heights = own.uniform([0.05, -0.2, 0.7, -0.4, 0.15], [0.2, 0.0, 1.4, -0.1, 0.4])
        centres = np.array([-0.16, -0.03, 0.0, 0.035, 0.26]) + own.normal(0, 0.006, 5)
        widths = np.array([0.022, 0.01, 0.011, 0.012, 0.045]) * own.uniform(0.8, 1.25, 5)
        for day in range(RECORDINGS):
            gain = 1 + 0.1 * own.standard_normal(5)
            waves = heights * gain * np.exp(-0.5 * ((time[:, None] - centres) / widths) ** 2)
            shapes[subject, day] = waves.sum(axis=1)
    mean = np.stack([shapes[s, d] for s, d in zip(subjects, recording, strict=True)])
    noise = rng.standard_normal((len(subjects), N_SAMPLES + 8))
    smooth = np.stack([noise[:, i : i + N_SAMPLES] for i in range(9)]).mean(axis=0) * 3
    gain = 1 + 0.04 * rng.standard_normal((len(subjects), 1))
    signals = (gain * mean + LEVEL_MV * smooth)[..., None].astype(np.float32)
    return BeatSet.build(
        signals,
        sampling_rate=RATE,
        before_s=BEFORE_S,
        leads=("I",),
        subject=subjects,
        rr_before=(0.8 + 0.03 * rng.standard_normal(len(subjects))).astype(np.float32),
        recording=np.asarray([f"{s}/{d}" for s, d in zip(subjects, recording, strict=True)]),
    )

"""Times of R peaks -> a recording of a made heart, whose every wave is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.recording import Annotations, Recording

# Height in mV, centre in s from R, width in s: P, Q, R, S, T of a lead I.
WAVES = ((0.12, -0.16, 0.022), (-0.1, -0.03, 0.009), (1.0, 0.0, 0.011), (-0.2, 0.03, 0.009))
T_WAVE = (0.25, 0.25, 0.04)
ECTOPIC = ((1.5, 0.0, 0.035), (-0.6, 0.2, 0.06))


def r_times(seconds: float, *, rate_bpm: float = 70.0, spread: float = 0.03, seed: int = 0):
    rng = np.random.default_rng(seed)
    rr = 60 / rate_bpm * (1 + spread * rng.standard_normal(int(seconds * rate_bpm / 60) + 5))
    times = 0.4 + np.cumsum(rr)
    return times[times < seconds - 0.6]


def made_ecg(
    seconds: float,
    sampling_rate: float,
    *,
    times: NDArray[np.float64] | None = None,
    ectopic: Sequence[int] = (),
    noise_mv: float = 0.01,
    seed: int = 0,
) -> NDArray[np.float32]:
    times = r_times(seconds) if times is None else times
    t = np.arange(int(seconds * sampling_rate)) / sampling_rate
    x = np.zeros(len(t))
    for i, r in enumerate(times):
        for height, centre, width in ECTOPIC if i in ectopic else (*WAVES, T_WAVE):
            x += height * np.exp(-0.5 * ((t - r - centre) / width) ** 2)
    rng = np.random.default_rng(seed)
    return (x + noise_mv * rng.standard_normal(len(t))).astype(np.float32)


def recording(
    signal: NDArray[np.float32],
    sampling_rate: float,
    *,
    leads: tuple[str, ...] = ("I",),
    annotations: Annotations | None = None,
) -> Recording:
    signal = np.asarray(signal, dtype=np.float32).reshape(len(signal), len(leads))
    return Recording(
        signal=signal,
        sampling_rate=sampling_rate,
        leads=leads,
        units=("mV",) * len(leads),
        record="made",
        path=Path("made.csv"),
        annotations=annotations,
    )

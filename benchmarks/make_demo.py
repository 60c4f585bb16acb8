"""From a seed to the demo cohort: simulated ECGs of 24 persons on two days each, as WFDB.

Run from the project's folder: ``python -m benchmarks.make_demo``. The same seed gives the same
files. The beats come from ECGSYN (McSharry, Clifford, Tarassenko and Smith, "A dynamical model for
generating synthetic electrocardiogram signals", IEEE Trans. Biomed. Eng. 50(3), 2003) as NeuroKit2
implements its equations. Deviations: waves are given in mV and seconds, not in the model's own
units, and the output is not rescaled; T is the sum of two waves, for its slow rise; the equations
are integrated in steps of at most 2 ms, since NeuroKit2's own tolerance lets the baseline jump; for
the same reason the RR interval changes between T and P, not at the R peak;
electrode, baseline, mains and muscle noise are added.
Nobody was measured: every header says that the recording is simulated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb
from neurokit2.ecg.ecg_simulate import _ecg_simulate_derivsecgsyn, _ecg_simulate_rrprocess
from scipy.integrate import solve_ivp
from scipy.signal import butter, sosfiltfilt

Array = npt.NDArray[np.float64]

DEMO_FOLDER = Path(__file__).resolve().parents[1] / "assets" / "demo"
SEED = 2025
N_SUBJECTS = 24
N_SESSIONS = 2
DURATION_S = 30.0
SAMPLING_RATE_HZ = 250
ADC_UNITS_PER_MV = 1000
LEAD = "I"
FIRST_DAY = date(2024, 1, 8)
COMMENT = "Simulated ECG (ECGSYN model, NeuroKit2): no person was measured"

WAVES = ("P", "Q", "R", "S", "rise of T", "T")
MAINS_HZ = 50.0
MUSCLE_BAND_HZ = (20.0, 100.0)
SETTLING_S = 4.0
"""Length of the start of each simulation that is thrown away, while the model settles."""
LONGEST_STEP_S = 0.002


@dataclass(frozen=True)
class Heart:
    """What of an ECG belongs to the person on one day; waves in the order of `WAVES`.

    Attributes:
        amplitudes: (6,) mV from the baseline.
        times: (6,) seconds from the R wave, at 60 beats a minute.
        widths: (6,) standard deviation of the Gaussian that makes the wave, in seconds.
        rate: Heart rate, in beats a minute.
        rate_spread: Standard deviation of the heart rate, in beats a minute.
        low_to_high: Ratio of slow to respiratory variability of the heart rate.
    """

    amplitudes: Array
    times: Array
    widths: Array
    rate: float
    rate_spread: float
    low_to_high: float


@dataclass(frozen=True)
class Electrode:
    """What of an ECG belongs to the recording.

    Attributes:
        gain: Contact and position, as a factor on the heart's signal.
        breathing_hz: Rate of breathing, which moves baseline and amplitude.
        breathing_mv: Amplitude of the baseline's movement with the breath.
        breathing_gain: Relative change of amplitude with the breath.
        wander_mv: Standard deviation of the slow wander of the baseline.
        mains_mv: Amplitude of the mains hum.
        muscle_mv: Standard deviation of the muscle noise.
    """

    gain: float
    breathing_hz: float
    breathing_mv: float
    breathing_gain: float
    wander_mv: float
    mains_mv: float
    muscle_mv: float


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draw a person: sinus rhythm with lead I amplitudes and intervals of healthy adults."""
    r_width = rng.uniform(0.0085, 0.0125)
    r_height = float(np.clip(rng.lognormal(np.log(0.95), 0.32), 0.5, 1.8))
    t_height = rng.uniform(0.10, 0.40)
    t_time = rng.uniform(0.25, 0.315)
    rise = rng.uniform(0.15, 0.55)
    return Heart(
        amplitudes=np.array(
            [
                rng.uniform(0.05, 0.16),
                -rng.uniform(0.01, 0.18),
                r_height,
                -rng.uniform(0.02, 0.45),
                rise * t_height,
                (1 - 0.6 * rise) * t_height,
            ]
        ),
        times=np.array(
            [
                -rng.uniform(0.130, 0.185),
                -2.6 * r_width - rng.uniform(0.0, 0.005),
                0.0,
                2.6 * r_width + rng.uniform(0.0, 0.010),
                t_time - rng.uniform(0.035, 0.060),
                t_time,
            ]
        ),
        widths=np.array(
            [
                rng.uniform(0.017, 0.026),
                rng.uniform(0.006, 0.009),
                r_width,
                rng.uniform(0.007, 0.013),
                rng.uniform(0.050, 0.065),
                rng.uniform(0.030, 0.042),
            ]
        ),
        rate=float(np.clip(rng.normal(70, 9), 52, 95)),
        rate_spread=rng.uniform(1.2, 4.5),
        low_to_high=rng.uniform(0.4, 1.6),
    )


def on_a_day(heart: Heart, rng: np.random.Generator) -> Heart:
    """Return the same person on some day: rate, autonomic tone and posture move every wave."""
    p, q, r, s, t = (rng.normal(0, x) for x in (0.08, 0.10, 0.04, 0.10, 0.10))
    pr, st = rng.normal(0, 0.02), rng.normal(0, 0.015)
    return replace(
        heart,
        amplitudes=heart.amplitudes * np.exp([p, q, r, s, t, t]),
        times=heart.times * np.exp([pr, 0, 0, 0, st, st]),
        widths=heart.widths * np.exp(rng.normal(0, 0.03, size=len(WAVES))),
        rate=float(np.clip(heart.rate * np.exp(rng.normal(0, 0.07)), 50, 100)),
        rate_spread=heart.rate_spread * np.exp(rng.normal(0, 0.2)),
    )


def draw_electrode(rng: np.random.Generator) -> Electrode:
    """Draw how the electrodes sit and what they pick up, from good to poor but readable."""
    return Electrode(
        gain=float(np.exp(rng.normal(0, 0.08))),
        breathing_hz=rng.uniform(0.18, 0.34),
        breathing_mv=rng.uniform(0.01, 0.09),
        breathing_gain=rng.uniform(0.01, 0.06),
        wander_mv=rng.uniform(0.01, 0.08),
        mains_mv=rng.uniform(0.0, 0.025),
        muscle_mv=float(np.clip(rng.lognormal(np.log(0.012), 0.5), 0.004, 0.035)),
    )


def simulate_rr(heart: Heart, rng: np.random.Generator) -> Array:
    """Return the RR interval, in seconds, that rules each sample: constant within a beat."""
    n = 2 ** int(np.ceil(np.log2(SETTLING_S + DURATION_S)))
    each_second = _ecg_simulate_rrprocess(
        lfhfratio=heart.low_to_high, hrmean=heart.rate, hrstd=heart.rate_spread, n=n, rng=rng
    )
    n_samples = round((SETTLING_S + DURATION_S) * SAMPLING_RATE_HZ)
    course = np.interp(np.arange(n_samples) / SAMPLING_RATE_HZ, np.arange(n), each_second)
    rr = np.empty(n_samples)
    start = 0
    while start < n_samples:
        end = start + round(course[start] * SAMPLING_RATE_HZ)
        rr[start:end] = course[start]
        start = end
    return rr


def simulate_heart(heart: Heart, rng: np.random.Generator) -> Array:
    """Return (n_samples,) mV of a heart, without noise.

    ECGSYN moves round a circle once a beat and integrates ``-a d exp(-d^2 / 2 b^2)`` for each wave,
    where d is the angle to the wave. At a constant angular speed w that is a Gaussian of height
    ``a b^2 / w`` and standard deviation ``b / w`` seconds, which gives a and b here. Times and
    widths of P and T shrink with the cube root of the RR interval (Fridericia).
    """
    speed = 2 * np.pi * heart.rate / 60
    with_rate = np.array([1, 0, 0, 0, 1, 1]) / 3
    stretch = speed * (60 / heart.rate) ** with_rate
    angles, widths = heart.times * stretch, heart.widths * stretch
    slopes = heart.amplitudes * speed / widths**2
    rr = simulate_rr(heart, rng)
    times = np.arange(len(rr)) / SAMPLING_RATE_HZ
    solution = solve_ivp(
        lambda t, x: _ecg_simulate_derivsecgsyn(t, x, rr, angles, SAMPLING_RATE_HZ, slopes, widths),
        (times[0], times[-1]),
        (-1.0, 0.0, 0.0),
        t_eval=times,
        max_step=LONGEST_STEP_S,
        rtol=1e-6,
    )
    signal = solution.y[2, round(SETTLING_S * SAMPLING_RATE_HZ) :]
    return signal - np.median(signal)


def add_electrode(signal: Array, electrode: Electrode, rng: np.random.Generator) -> Array:
    """Return (n_samples,) mV as an electrode picks it up."""
    t = np.arange(len(signal)) / SAMPLING_RATE_HZ
    breath = np.sin(2 * np.pi * electrode.breathing_hz * t + rng.uniform(0, 2 * np.pi))
    slow = sum(
        rng.normal() * np.sin(2 * np.pi * f * t + rng.uniform(0, 2 * np.pi))
        for f in (0.03, 0.05, 0.08, 0.12)
    )
    hum = np.sin(2 * np.pi * MAINS_HZ * t + rng.uniform(0, 2 * np.pi))
    band = butter(2, MUSCLE_BAND_HZ, "bandpass", fs=SAMPLING_RATE_HZ, output="sos")
    muscle = sosfiltfilt(band, rng.normal(size=len(signal)))
    return (
        signal * electrode.gain * (1 + electrode.breathing_gain * breath)
        + electrode.breathing_mv * breath
        + electrode.wander_mv * slow / np.std(slow)
        + electrode.mains_mv * hum
        + electrode.muscle_mv * muscle / np.std(muscle)
    )


def write_session(subject: int, session: int, folder: Path) -> None:
    """Write one recording, such as ``S01/session_1.hea`` and ``.dat``, subjects from 1."""
    of_person = np.random.default_rng([SEED, subject])
    of_day = np.random.default_rng([SEED, subject, session])
    heart = on_a_day(draw_heart(of_person), of_day)
    signal = add_electrode(simulate_heart(heart, of_day), draw_electrode(of_day), of_day)
    first = FIRST_DAY + timedelta(days=int(of_person.integers(0, 120)))
    day = first + timedelta(days=(session - 1) * int(of_person.integers(7, 240)))
    path = folder / f"S{subject:02d}"
    path.mkdir(parents=True, exist_ok=True)
    wfdb.wrsamp(
        f"session_{session}",
        fs=SAMPLING_RATE_HZ,
        units=["mV"],
        sig_name=[LEAD],
        d_signal=np.round(signal * ADC_UNITS_PER_MV).astype(np.int16)[:, None],
        fmt=["16"],
        adc_gain=[ADC_UNITS_PER_MV],
        baseline=[0],
        comments=[COMMENT, f"ECG date: {day:%d.%m.%Y}"],
        write_dir=str(path),
    )


def make_demo(folder: Path, *, subjects: Iterable[int] = range(1, N_SUBJECTS + 1)) -> None:
    """Write every session of the given subjects, numbered from 1, below a folder."""
    for subject in subjects:
        for session in range(1, N_SESSIONS + 1):
            write_session(subject, session, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the simulated demo cohort.")
    parser.add_argument("--out", type=Path, default=DEMO_FOLDER, help="folder to write to")
    make_demo(parser.parse_args().out)

"""Parameters of a heartbeat -> beats of the dynamical model of McSharry et al. (2003)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WAVES = ("P", "Q", "R", "S", "T")
ANGLES = np.radians([-70.0, -15.0, 0.0, 15.0, 100.0])
"""Where each wave stands on the cycle, the R peak at 0, at 60 beats a minute."""
HEIGHTS = np.array([1.2, -5.0, 30.0, -7.5, 0.75])
"""How strongly each wave pushes the trace, in its own units: the result is scaled afterwards."""
WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])
"""Width of each wave, in radians, at 60 beats a minute."""
BREATHING_HEIGHT = 0.005
"""Of the baseline's wave with each breath, in the model's units (millivolts in the paper)."""
BREATHING_HZ = 0.25
LEAD_IN_CYCLES = 1
"""Cycles before the first that is given back: the trace forgets where it began."""


@dataclass(frozen=True, eq=False)
class Hearts:
    """Parameters of n hearts.

    Attributes:
        angles: (n, 5) where P, Q, R, S and T stand, in radians.
        heights: (n, 5) of P, Q, R, S and T.
        widths: (n, 5) in radians.
        rr: (n, n_cycles) duration of each cycle, in seconds, from one R peak to the next.
        breath: (n,) phase of the breathing at the first R peak, in radians.
    """

    angles: Array
    heights: Array
    widths: Array
    rr: Array
    breath: Array


def draw_hearts(
    rr: Array, rng: np.random.Generator, *, variety: float = 0.25, n_cycles: int = 3
) -> Hearts:
    """Return hearts around the paper's parameters, one for each RR interval (n,), in seconds.

    Angles and widths follow the rate as in the authors' programme: by the root of the rate over
    60 a minute, the angles of P and T by the root of that once more. Each parameter departs from
    the paper's by a random factor of about `variety`, T is upside down in a tenth of the hearts,
    and successive cycles vary by 2 %.
    """
    n = len(rr)
    rate = np.sqrt(1.0 / rr)[:, None]
    exponent = np.array([0.5, 1.0, 1.0, 1.0, 0.5])
    angles = ANGLES * rate**exponent * np.exp(0.4 * variety * rng.standard_normal((n, 5)))
    widths = WIDTHS * rate * np.exp(variety * rng.standard_normal((n, 5)))
    heights = HEIGHTS * np.exp(1.6 * variety * rng.standard_normal((n, 5)))
    heights[:, 4] *= np.where(rng.random(n) < 0.1, -1.0, 1.0)
    cycles = rr[:, None] * np.exp(0.02 * rng.standard_normal((n, n_cycles)))
    return Hearts(angles, heights, widths, cycles, rng.uniform(0, 2 * math.pi, n))


def simulate(hearts: Hearts, sampling_rate: float) -> tuple[Array, Array]:
    """Return traces (n, n_samples) and the time (n,) of the R peak of the cycle in the middle.

    The trace z follows dz/dt = -sum a_i d_i exp(-d_i^2 / (2 b_i^2)) w - (z - z0), d_i the angle
    from wave i, w the angular speed, integrated by the classical Runge-Kutta method of fourth
    order. Deviations from the paper: the two equations that draw the trajectory to the unit circle
    are left out, since it starts on the circle and so stays there; each cycle has one angular
    speed, its RR interval being given instead of drawn from a spectrum; and the push of the waves
    is multiplied by w over 2 pi, so that waves keep their height at any rate.

    Args:
        hearts: Parameters of n hearts.
        sampling_rate: In Hz, also of the integration.
    """
    n, n_cycles = hearts.rr.shape
    lead_in = hearts.rr[:, :1] * LEAD_IN_CYCLES
    starts = np.concatenate([np.zeros((n, 1)), np.cumsum(hearts.rr, axis=1)], axis=1) + lead_in
    middle = starts[:, n_cycles // 2]
    step = 1.0 / sampling_rate
    n_samples = math.ceil(float((starts[:, -1]).max()) * sampling_rate) + 1

    def phase(time: float) -> tuple[Array, Array]:
        """Return angle, 0 at R peaks, and angular speed of each heart."""
        cycle = np.clip((starts <= time).sum(axis=1) - 1, 0, n_cycles - 1)
        rows = np.arange(n)
        speed = 2 * math.pi / hearts.rr[rows, cycle]
        return (time - starts[rows, cycle]) * speed, speed

    def slope(angle: Array, speed: Array, time: float, z: Array) -> Array:
        away = (angle[:, None] - hearts.angles + math.pi) % (2 * math.pi) - math.pi
        waves = hearts.heights * away * np.exp(-0.5 * (away / hearts.widths) ** 2)
        base = BREATHING_HEIGHT * np.sin(2 * math.pi * BREATHING_HZ * time + hearts.breath)
        return -waves.sum(axis=1) * speed / (2 * math.pi) - (z - base)

    z = np.zeros(n)
    trace = np.empty((n, n_samples))
    for i in range(n_samples):
        trace[:, i] = z
        time = i * step
        here, half, there = (phase(time + part * step) for part in (0.0, 0.5, 1.0))
        k1 = slope(*here, time, z)
        k2 = slope(*half, time + step / 2, z + step / 2 * k1)
        k3 = slope(*half, time + step / 2, z + step / 2 * k2)
        k4 = slope(*there, time + step, z + step * k3)
        z = z + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return trace, middle

"""Recording: what was measured on one person at one time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
StrArray = npt.NDArray[np.str_]

UNKNOWN_UNIT = "unknown"
MILLIVOLT = "mV"
SIMULATED = "Simulated: no person was measured."
"""The remark of a recording whose file says that it is simulated."""
SYNTHETIC = "It says that it is synthetic: a model generated it, no person was measured."
"""The remark of a recording whose file says that it is synthetic."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """Reference marks that came with a recording.

    Attributes:
        samples: (n,) sample numbers at the recording's own rate, ascending.
        symbols: (n,) PhysioNet annotation codes, such as ``N``, ``V``, ``[``.
        notes: (n,) the text beside each mark; empty where there is none.
    """

    samples: IntArray
    symbols: StrArray
    notes: StrArray


@dataclass(frozen=True, eq=False)
class Recording:
    """What was measured on one person at one time.

    Attributes:
        signal: (n_samples, n_leads) float32, in the unit of each lead; NaN where missing.
        sampling_rate: Samples per second of every lead, in Hz.
        leads: Name of each lead as the file gives it, ``ECG `` before it removed.
        units: Unit of each lead: ``"mV"`` for a calibrated ECG lead, another physical unit
            such as ``"mmHg"`` for other channels, ``"unknown"`` where the file does not tell.
        subject: Who was measured, as the file's header says; empty if it does not.
        session: Day or visit, as an ISO date where the file has one; empty if unknown.
        record: Name of the recording within its subject: the file's name without its ending.
        label: What a classifier may predict, such as a diagnosis; empty if there is none.
        start: When the recording began; None if unknown.
        annotations: Reference marks; None if the file has none.
        path: The file it came from.
        remarks: What a user should know, a sentence each: what was missing, converted, left out.
    """

    signal: FloatArray
    sampling_rate: float
    leads: tuple[str, ...]
    units: tuple[str, ...]
    record: str
    path: Path
    subject: str = ""
    session: str = ""
    label: str = ""
    start: datetime | None = None
    annotations: Annotations | None = None
    remarks: tuple[str, ...] = field(default_factory=tuple)

    @property
    def duration(self) -> float:
        """Length of the recording in seconds."""
        return self.signal.shape[0] / self.sampling_rate

"""What a file of any format tells -> a checked `Recording` in millivolts, time first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.recording import MILLIVOLT, UNKNOWN_UNIT, Annotations, Recording

MIN_RATE_HZ = 20.0
MAX_RATE_HZ = 50_000.0
MIN_DURATION_S = 0.5
"""Half a second: less than one heartbeat with its P and T wave."""
MAX_LEADS = 512
"""More columns than any electrode array has: then rows and columns are swapped."""

_TO_MILLIVOLT = {
    **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-6),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), 1e-3),
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
}
_NO_UNIT = {"", "unknown", "none", "nan", "n/a", "na", "adu", "adc", "raw", "counts", "digital"}
_PREFIX = re.compile(r"^\s*(?:(?:ECG|EKG)[\s_:-]+)?(?:lead[\s_]+)?(?=\S)", re.IGNORECASE)
_AUGMENTED = {"avr": "aVR", "avl": "aVL", "avf": "aVF"}
_DAY_FIRST = re.compile(r"^\s*(\d{1,2})[./](\d{1,2})[./](\d{4})")
_YEAR_FIRST = re.compile(r"^\s*(\d{4})-?(\d{2})-?(\d{2})")


def lead_name(name: str) -> str:
    """Return a lead's name without ``ECG `` or ``Lead `` before it: ``ECG I`` -> ``I``."""
    plain = " ".join(_PREFIX.sub("", str(name), count=1).split())
    return _AUGMENTED.get(plain.lower(), plain)


def unit_factor(unit: str) -> tuple[str, float]:
    """Return the unit to store and the factor to it: ``uV`` -> ``("mV", 0.001)``.

    Voltages become millivolts; another physical unit stays as it is; none is ``unknown``.
    """
    plain = str(unit).strip()
    factor = _TO_MILLIVOLT.get(plain.lower())
    if factor is not None:
        return MILLIVOLT, factor
    return (UNKNOWN_UNIT, 1.0) if plain.lower() in _NO_UNIT else (plain, 1.0)


def iso_date(text: str) -> str:
    """Return ``07.12.2004``, ``07/12/2004``, ``20041207`` or ``2004-12-07...`` as ``2004-12-07``.

    A day stands before its month, as in WFDB and EDF headers. Empty if there is no date.
    """
    day_first, year_first = _DAY_FIRST.match(text), _YEAR_FIRST.match(text)
    if day_first:
        day, month, year = (int(part) for part in day_first.groups())
    elif year_first:
        year, month, day = (int(part) for part in year_first.groups())
    else:
        return ""
    try:
        return datetime(year, month, day).date().isoformat()
    except ValueError:
        return ""


def check_rate(path: Path, rate: float | None, source_rate: float | None) -> float:
    """Return the rate that the file tells, else the one that the user gave, in Hz.

    Raises:
        UserError: Neither tells it, or it is not a rate that an ECG has.
    """
    check_source_rate(source_rate)
    if rate is None:
        if source_rate is None:
            raise UserError(
                path,
                "does not tell its sampling rate",
                "Give it with --source-rate, in Hz, such as --source-rate 250",
            )
        return float(source_rate)
    if not np.isfinite(rate) or not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise UserError(
            path,
            f"tells a sampling rate of {rate:g} Hz",
            f"An ECG has {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g} Hz; correct the rate in the file",
        )
    return float(rate)


def check_source_rate(source_rate: float | None) -> None:
    """Refuse a ``--source-rate`` out of range with a `UserError`."""
    if source_rate is None:
        return
    if not np.isfinite(source_rate) or not MIN_RATE_HZ <= source_rate <= MAX_RATE_HZ:
        raise UserError(
            "--source-rate",
            f"{source_rate:g} is not allowed",
            f"Give a number from {MIN_RATE_HZ:g} to {MAX_RATE_HZ:g}",
        )


def time_first(array: npt.NDArray[Any], path: Path) -> npt.NDArray[Any]:
    """Return a vector or matrix with time, its longer side, along the first axis."""
    squeezed = np.squeeze(array)
    if squeezed.ndim == 1:
        return squeezed[:, None]
    if squeezed.ndim != 2:
        raise UserError(
            path,
            f"its signal has the shape {array.shape}",
            "Store it as samples, or as samples by leads",
        )
    return squeezed.T if squeezed.shape[0] < squeezed.shape[1] else squeezed


def build_recording(
    path: Path,
    *,
    signal: npt.NDArray[Any],
    sampling_rate: float,
    leads: Sequence[str],
    units: Sequence[str],
    subject: str = "",
    session: str = "",
    label: str = "",
    start: datetime | None = None,
    annotations: Annotations | None = None,
    remarks: Sequence[str] = (),
) -> Recording:
    """Return a recording in millivolts after checking that it can hold an ECG.

    Args:
        path: The file it came from.
        signal: (n_samples, n_leads), each lead in its own unit of ``units``.
        sampling_rate: In Hz, as `check_rate` returned it.
        leads: A name for each lead; an empty one is numbered.
        units: A unit for each lead; empty where the file does not tell.
        subject: Identifier from the header.
        session: Date; any form that `iso_date` knows, else kept as it is.
        label: From the header.
        start: When it began.
        annotations: Marks at the recording's rate.
        remarks: What a user should know.

    Raises:
        UserError: Too short, without any number, or without a lead.
    """
    n_samples, n_leads = signal.shape
    if not n_leads or not n_samples:
        raise UserError(path, "holds no signal", "Export it again from the device")
    if not n_leads == len(leads) == len(units):
        raise UserError(
            path,
            f"describes {len(leads)} leads but holds {n_leads}",
            "Export it again from the device",
        )
    if n_leads > MAX_LEADS:
        raise UserError(
            path, f"has {n_leads} columns, too many for leads", "Store a lead a column, time down"
        )
    if n_samples < MIN_DURATION_S * sampling_rate:
        raise UserError(
            path,
            f"holds {n_samples} samples, {n_samples / sampling_rate:.3g} s at {sampling_rate:g} Hz",
            f"Give at least {MIN_DURATION_S:g} s of signal",
        )
    stored = [unit_factor(unit) for unit in units]
    factors = np.array([factor for _, factor in stored])
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = signal if (factors == 1.0).all() else signal * factors
        millivolts = np.ascontiguousarray(scaled, dtype=np.float32)
    finite = np.isfinite(millivolts)
    if not finite.any():
        raise UserError(path, "holds no numbers, only gaps", "Export it again from the device")
    if not finite.all():
        millivolts = np.where(finite, millivolts, np.float32(np.nan))
    return Recording(
        signal=millivolts,
        sampling_rate=float(sampling_rate),
        leads=_distinct([lead_name(name) for name in leads]),
        units=tuple(unit for unit, _ in stored),
        record=path.stem,
        path=path,
        subject=" ".join(subject.split()),
        session=iso_date(session) or " ".join(session.split()),
        label=" ".join(label.split()),
        start=start,
        annotations=annotations,
        remarks=tuple(remarks),
    )


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Number the leads without a name, and those whose name an earlier lead has."""
    seen: dict[str, int] = {}
    result = []
    for position, name in enumerate(names, start=1):
        base = name or f"lead {position}"
        seen[base] = seen.get(base, 0) + 1
        result.append(base if seen[base] == 1 else f"{base} ({seen[base]})")
    return tuple(result)

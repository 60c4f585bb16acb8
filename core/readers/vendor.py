"""HL7 aECG, GE MUSE XML, Philips XML and SCP-ECG -> Recording."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.readers.common import build_recording, check_rate
from core.recording import Recording

_PHILIPS = "sierra_xml"
_SOURCE_FORMATS = (_PHILIPS, "hl7_aecg", "ge_muse_xml", "scp_ecg")
_CALIBRATION_MV = 1.0
_MIN_CALIBRATION_S = 0.1
"""Half of the pulse of 0.2 s that Philips devices append."""


def read_vendor(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read the rhythm leads of a device's file with ``ecgdatakit``.

    Only measured leads are there: a file that stores I and II has no computed III. The
    calibration pulse that Philips devices append to every lead is cut off. The subject is the
    patient's identifier; names are not read.

    Raises:
        UserError: The file is damaged, or its leads differ in rate or length.
    """
    from ecgdatakit.parsing.parser import FileParser

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record: Any = FileParser.parse(path, auto_scale=False)
    if record.source_format not in _SOURCE_FORMATS:
        raise UserError(path, "is a file of another kind", "Give it the ending of its kind")
    leads = list(record.leads)
    if not leads:
        raise UserError(path, "holds no leads", "Export it again with its waveforms")
    if len({(lead.sampling_rate, len(lead.samples)) for lead in leads}) > 1:
        raise UserError(
            path, "has leads of different rates or lengths", "Export leads of one rate and length"
        )
    # Without a unit in the file the samples are counts, and stay so.
    physical = [lead.to_physical() if lead.resolution_unit else lead for lead in leads]
    signal = np.column_stack([lead.samples for lead in physical])
    units = [lead.units for lead in physical]
    rate = check_rate(path, float(leads[0].sampling_rate), source_rate)
    remarks = []
    if any("Checksum" in warning.category.__name__ for warning in caught):
        remarks.append("A checksum in the file does not fit its signal: it may be damaged.")
    if record.source_format == _PHILIPS and set(units) == {"uV"}:
        end = _calibration_start(signal / 1000, rate)
        if end < len(signal):
            remarks.append(f"The calibration pulse after {end / rate:.2f} s is cut off.")
            signal = signal[:end]
    start = record.recording.date
    date = record.raw_metadata.get("acquisition_date", "")
    return build_recording(
        path,
        signal=signal,
        sampling_rate=rate,
        leads=[lead.label for lead in physical],
        units=units,
        subject=str(record.patient.patient_id or ""),
        session=start.date().isoformat() if start else str(date),
        start=start.replace(tzinfo=None) if start else None,
        remarks=remarks,
    )


def _calibration_start(millivolts: npt.NDArray[np.float64], rate: float) -> int:
    """Return where the appended calibration pulse begins; the length if there is none.

    All leads are equal there: zero, a pulse of one millivolt, zero.
    """
    differ = np.flatnonzero(~(millivolts == millivolts[:, :1]).all(axis=1))
    start = int(differ[-1]) + 1 if len(differ) else len(millivolts)
    tail = millivolts[start:, 0]
    pulse = np.count_nonzero(np.isclose(tail, _CALIBRATION_MV))
    is_pulse = pulse >= _MIN_CALIBRATION_S * rate and len(np.unique(tail)) == 2
    return start if is_pulse and millivolts.shape[1] > 1 else len(millivolts)

"""DICOM waveform objects (.dcm) -> Recording."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.readers.common import build_recording, check_rate
from core.recording import Recording

_EINTHOVEN = re.compile(r"\s*\((?:einthoven|goldberger|wilson)\)\s*$", re.IGNORECASE)
_DATE_TAGS = ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate")


def read_dicom(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read the longest waveform of a DICOM object with ``pydicom``.

    A file may hold the rhythm and a median beat (PS3.3, C.10.9): the longest group is the
    recording. The subject is the Patient ID; the name is not read.

    Raises:
        UserError: The file is damaged, or is a DICOM object without a waveform.
    """
    import pydicom

    data = pydicom.dcmread(path)
    groups: list[Any] = list(data.get("WaveformSequence", []))
    if not groups:
        raise UserError(
            path, "is a DICOM file without a waveform", "Give an ECG waveform, not an image"
        )
    durations = [
        int(group.NumberOfWaveformSamples) / float(group.SamplingFrequency) for group in groups
    ]
    longest = int(np.argmax(durations))
    group = groups[longest]
    rate = check_rate(path, float(group.SamplingFrequency), source_rate)
    signal = data.waveform_array(longest)
    channels = list(group.ChannelDefinitionSequence)
    remarks = []
    if len(groups) > 1:
        left_out = ", ".join(f"{d:g} s" for i, d in enumerate(durations) if i != longest)
        remarks.append(f"Of {len(groups)} waveforms the longest is read; left out: {left_out}.")
    start = _start(data)
    return build_recording(
        path,
        signal=signal,
        sampling_rate=rate,
        leads=[_name(channel) for channel in channels],
        units=[_unit(channel) for channel in channels],
        subject=str(data.get("PatientID", "") or ""),
        session=start.date().isoformat() if start else "",
        start=start,
        remarks=remarks,
    )


def _name(channel: Any) -> str:
    sources = channel.get("ChannelSourceSequence", [])
    name = str(sources[0].get("CodeMeaning", "")) if sources else ""
    return _EINTHOVEN.sub("", name or str(channel.get("ChannelLabel", "")))


def _unit(channel: Any) -> str:
    """Return the unit of a channel; without a sensitivity its values are counts."""
    if "ChannelSensitivity" not in channel:
        return ""
    units = channel.get("ChannelSensitivityUnitsSequence", [])
    return str(units[0].get("CodeValue", "")) if units else ""


def _start(data: Any) -> datetime | None:
    for tag in _DATE_TAGS:
        text = str(data.get(tag, "") or "")
        if tag.endswith("Date") and text:
            text += str(data.get(tag.replace("Date", "Time"), "") or "")
        for shape, length in (("%Y%m%d%H%M%S", 14), ("%Y%m%d", 8)):
            try:
                return datetime.strptime(text[:length], shape)
            except ValueError:
                continue
    return None

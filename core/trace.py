"""A recording of a study, or a file -> what a viewer shows of it: signals, beats, words.

Signals lie lead by lead, memory-mapped where they are long, so that any stretch is read at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core import apart
from core.options import PrepareOptions
from core.recording import (
    MILLIVOLT,
    SIMULATED,
    SYNTHETIC,
    UNKNOWN_UNIT,
    FloatArray,
    Recording,
)
from core.study import CLEAN, RAW, Study, write_json
from core.viewing import Layer

TimeArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

KINDS = ("raw", "clean", "smoothed")
LONG_BYTES = 32 * 1024**2
"""Signals above this are kept on disk."""
ABOUT = "about.json"
STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The twelve standard leads, column by column of a print."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trace:
    """What a viewer shows of a recording.

    Attributes:
        name: By which a user knows it.
        leads: Name of each lead.
        unit: ``"mV"``, or ``"unknown"``.
        duration_s: Its length in seconds.
        layers: A key of `KINDS` -> the signal.
        words: A key of `KINDS` -> what was done to the signal.
        peaks_s: (n,) times of R peaks, in seconds, ascending.
        refused: (n,) which of them are of beats that were left out.
        synthetic: Whether it says that a model generated it.
        simulated: Whether it says that nobody was measured.
        fault: Why the recording is of no use for a study; empty if it is.
        remarks: What a user should know, a sentence each.
        folder: Where more of it may be kept; None for short ones, which are not.
    """

    name: str
    leads: tuple[str, ...]
    unit: str
    duration_s: float
    layers: dict[str, Layer]
    words: dict[str, str]
    peaks_s: TimeArray
    refused: BoolArray
    synthetic: bool = False
    simulated: bool = False
    fault: str = ""
    remarks: tuple[str, ...] = field(default_factory=tuple)

    @property
    def standard_places(self) -> list[int] | None:
        """Positions of the twelve standard leads; None unless all are there."""
        names = {name.upper(): i for i, name in enumerate(self.leads)}
        places = [names.get(name.upper()) for name in STANDARD]
        return None if None in places else [place for place in places if place is not None]

    def recording(self) -> Recording:
        """Return the signal as measured, as a recording."""
        raw = self.layers["raw"]
        remarks = ((SYNTHETIC,) if self.synthetic else ()) + (
            (SIMULATED,) if self.simulated else ()
        )
        return Recording(
            signal=np.ascontiguousarray(raw.signal.T, dtype=np.float32),
            sampling_rate=raw.sampling_rate,
            leads=self.leads,
            units=(self.unit,) * len(self.leads),
            record=self.name,
            path=Path(self.name),
            remarks=remarks,
        )


def filter_words(options: PrepareOptions, notch_hz: int | None) -> dict[str, str]:
    """Return what was done to each kind of signal, as it is written beside a trace."""
    band = f"{options.highpass_hz:g} to {options.lowpass_hz:g} Hz"
    clean = f"{band}, notch {notch_hz} Hz" if notch_hz else band
    smoothed = f"{clean}, mean of {options.smoothing_ms:g} ms"
    return {"raw": "raw, unfiltered", "clean": clean, "smoothed": smoothed}


def of_study(study: Study, recording: str, folder: Path) -> Trace:
    """Return a recording of a study for viewing.

    Args:
        study: An opened study.
        recording: The recording's name in it.
        folder: Where what is made of a long one is kept.

    Raises:
        UserError: The recording is not there, or has no signal.
    """
    from core.preprocessing.filters import moving_average

    signals = study.signals(recording)
    info = study.info
    row = study.recordings[study.recordings["recording"] == recording].iloc[0]
    beats = study.beat_table[study.beat_table["recording_name"] == recording]
    remarks = tuple(r for r in str(row["remarks"] or "").split("; ") if r)

    def smoothed() -> FloatArray:
        return moving_average(signals[CLEAN], study.sampling_rate, info.options.smoothing_ms)

    makers = {"raw": lambda: signals[RAW], "clean": lambda: signals[CLEAN], "smoothed": smoothed}
    layers = {
        kind: Layer(kind, _by_lead(make, signals[RAW].nbytes, folder / kind), study.sampling_rate)
        for kind, make in makers.items()
    }
    return Trace(
        name=recording,
        leads=info.leads,
        unit=info.unit,
        duration_s=signals.shape[1] / study.sampling_rate,
        layers=layers,
        words=filter_words(info.options, _notch_told(remarks)),
        peaks_s=beats["r_sample"].to_numpy(dtype=np.float64) / study.sampling_rate,
        refused=(beats["rejected"] != "").to_numpy(dtype=np.bool_),
        synthetic=SYNTHETIC in remarks,
        simulated=SIMULATED in remarks,
        fault=str(row["rejected"] or ""),
        remarks=remarks,
    )


def _notch_told(remarks: Sequence[str]) -> int | None:
    found = re.search(r"Mains hum at (\d+) Hz was removed", " ".join(remarks))
    return int(found[1]) if found else None


def _by_lead(make: Callable[[], FloatArray], n_bytes: int, path: Path) -> FloatArray:
    """Return a signal (n_samples, n_leads) that is made lead by lead; a long one by a file."""
    if n_bytes <= LONG_BYTES:
        return np.ascontiguousarray(make().T)
    file = path.with_suffix(".npy")
    if not file.is_file():
        signal = make()
        if isinstance(signal, np.memmap) and signal.shape[1] == 1:
            return signal.reshape(1, -1)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"new-{file.name}")
        np.save(temporary, signal.T)
        temporary.replace(file)
    return np.load(file, mmap_mode="r")


def of_file(
    file: Path, options: PrepareOptions, folder: Path, *, source_rate: float | None = None
) -> Trace:
    """Return a file for viewing; what is made of it is kept in a folder, and read again.

    It is read by another process, so that the memory it takes is free again.

    Args:
        file: A recording in any format of the readers.
        options: How to clean it.
        folder: Of this file alone.
        source_rate: Rate of a file that tells none, in Hz.

    Raises:
        UserError: The file cannot be read, or has no ECG lead.
    """
    if not (folder / ABOUT).is_file():
        apart.run(_write, file, folder, options, source_rate)
    return _open(folder)


def _write(file: Path, folder: Path, options: PrepareOptions, source_rate: float | None) -> None:
    from core.preprocessing.leads import choose_leads
    from core.preprocessing.pipeline import preprocess
    from core.readers import read_recording

    recording = read_recording(file, source_rate=source_rate)
    chosen = choose_leads(recording.leads, "all", units=recording.units, where=file)
    units = {recording.units[i] for i in chosen}
    known = np.unique([recording.units[i] == MILLIVOLT for i in chosen])
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "raw.npy", recording.signal[:, chosen].T)
    options = options.model_copy(update={"normalisation": "none"})
    found = preprocess(recording, options, leads="all")
    np.save(folder / "clean.npy", np.ascontiguousarray(found.clean.T))
    np.save(folder / "smoothed.npy", np.ascontiguousarray(found.smoothed.T))
    np.save(folder / "peaks.npy", found.r_peaks / found.sampling_rate)
    np.save(folder / "refused.npy", found.rejected != "")
    mixed = [f"{recording.leads[i]} is in {recording.units[i]}." for i in chosen]
    about = {
        "name": recording.record,
        "leads": [recording.leads[i] for i in chosen],
        "unit": MILLIVOLT if units == {MILLIVOLT} else UNKNOWN_UNIT,
        "duration_s": recording.duration,
        "rates": [recording.sampling_rate, found.sampling_rate, found.sampling_rate],
        "words": filter_words(options, found.notch_hz),
        "synthetic": SYNTHETIC in recording.remarks,
        "simulated": SIMULATED in recording.remarks,
        "fault": found.recording_rejected,
        "remarks": [*recording.remarks, *found.remarks, *(mixed if len(known) > 1 else [])],
    }
    write_json(folder / ABOUT, about)


def _open(folder: Path) -> Trace:
    about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    layers = {
        kind: Layer(kind, np.load(folder / f"{kind}.npy", mmap_mode="r"), rate)
        for kind, rate in zip(KINDS, about.pop("rates"), strict=True)
    }
    return Trace(
        layers=layers,
        peaks_s=np.load(folder / "peaks.npy"),
        refused=np.load(folder / "refused.npy"),
        leads=tuple(about.pop("leads")),
        remarks=tuple(about.pop("remarks")),
        **about,
    )

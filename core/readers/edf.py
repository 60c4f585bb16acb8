"""EDF, EDF+ and BDF (.edf, .bdf) -> Recording."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.readers.common import build_recording, check_rate, lead_name, unit_factor
from core.recording import MILLIVOLT, SYNTHETIC, Annotations, Recording

_ECG_LABEL = re.compile(
    r"\b(ecg|ekg|mlii|mcl\d|i{1,3}|av[rlf]|v\d+r?)\b(?![^ ]*eeg)", re.IGNORECASE
)
_BEFORE_SAMPLE_COUNTS = 216
"""Bytes a signal in the header before the samples a record: label, transducer, unit, ..."""
_BDF_MARK = 0xFF
_ANONYMOUS_DATE = datetime(1985, 1, 1)
"""The start that EDF+ prescribes for a file whose date was taken out."""
_COMMENT_SYMBOL = '"'
"""PhysioNet's code of a mark that is only a text."""
_SUBJECT_TOLD = re.compile(r"^Synthetic ECG, .*, subject (\S.*)$")
_BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?[!]x|~+stTp")


def read_edf(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read EDF, EDF+C or BDF with ``pyedflib``.

    The recording has the rate of its ECG leads; channels at another rate are interpolated to
    it. Texts of EDF+ become annotations: one that is a PhysioNet beat code as that symbol, any
    other as a comment. The subject is the EDF+ patient code; names are not read.

    Raises:
        UserError: The file is damaged, or has interruptions (EDF+D).
    """
    import pyedflib

    _check_size(path)
    try:
        # The library prints a wrong size on the terminal.
        with pyedflib.EdfReader(str(path), check_file_size=pyedflib.DO_NOT_CHECK_FILE_SIZE) as file:
            n_leads = file.signals_in_file
            labels = [label.strip() for label in file.getSignalLabels()]
            units = [file.getPhysicalDimension(i).strip() for i in range(n_leads)]
            rates = [float(file.getSampleFrequency(i)) for i in range(n_leads)]
            signals = [file.readSignal(i) for i in range(n_leads)]
            onsets, _, texts = file.readAnnotations()
            start = file.getStartdatetime()
            subject = file.getPatientCode().strip()
            patient = file.getPatientAdditional().strip()
    except (OSError, ValueError) as error:
        if "discontinuous" in str(error).lower():
            raise UserError(
                path, "has interruptions (EDF+D)", "Export it as continuous EDF+C"
            ) from None
        raise _damaged(path) from error
    if not n_leads:
        raise UserError(path, "holds marks but no signal", "Give a file with signals")
    own_rate = _rate_of_ecg(labels, units, rates)
    rate = check_rate(path, own_rate, source_rate)
    n_samples = len(signals[rates.index(own_rate)])
    others = [labels[i] for i in range(n_leads) if rates[i] != rate]
    remarks = [f"Interpolated to {rate:g} Hz: {', '.join(others)}."] if others else []
    if patient.lower().startswith("synthetic"):
        remarks.append(SYNTHETIC)
        # The library takes underscores for blanks; the text of a strip tells the subject as it is.
        told = [_SUBJECT_TOLD.search(str(text)) for text in texts[:1]]
        subject = next((found.group(1) for found in told if found), subject)
    known = start if start.date() != _ANONYMOUS_DATE.date() else None
    return build_recording(
        path,
        signal=np.column_stack(
            [_at_rate(signals[i], rates[i], rate, n_samples) for i in range(n_leads)]
        ),
        sampling_rate=rate,
        leads=labels,
        units=units,
        subject="" if subject.upper() == "X" else subject,
        session=known.date().isoformat() if known else "",
        start=known,
        annotations=_annotations(onsets, texts, rate, n_samples),
        remarks=remarks,
    )


def _check_size(path: Path) -> None:
    """Refuse a file that is shorter than its header says (EDF: Kemp et al. 1992)."""
    with path.open("rb") as file:
        head = file.read(256)
        try:
            header_bytes, n_records = int(head[184:192]), int(head[236:244])
            n_signals = int(head[252:256])
            file.seek(256 + n_signals * _BEFORE_SAMPLE_COUNTS)
            fields = file.read(8 * n_signals)
            n_samples = sum(int(fields[at : at + 8]) for at in range(0, 8 * n_signals, 8))
        except (ValueError, OSError):
            raise _damaged(path) from None
    width = 3 if head[0] == _BDF_MARK else 2
    if n_records < 1 or n_signals < 1 or n_samples < 1:
        raise _damaged(path)
    if path.stat().st_size < header_bytes + n_records * n_samples * width:
        raise UserError(path, "is shorter than its header says", "Export or fetch it again")


def _damaged(path: Path) -> UserError:
    return UserError(path, "is damaged or no EDF or BDF file", "Export or fetch it again")


def _rate_of_ecg(labels: list[str], units: list[str], rates: list[float]) -> float:
    """Return the rate of the first ECG lead, else the highest of a voltage, else the highest."""
    for label, rate in zip(labels, rates, strict=True):
        if _ECG_LABEL.search(lead_name(label)) or label.upper().startswith(("ECG", "EKG")):
            return rate
    volts = [r for u, r in zip(units, rates, strict=True) if unit_factor(u)[0] == MILLIVOLT]
    return max(volts or rates)


def _at_rate(signal: np.ndarray, own_rate: float, rate: float, n_samples: int) -> np.ndarray:
    if own_rate == rate:
        return signal
    return np.interp(np.arange(n_samples) / rate, np.arange(len(signal)) / own_rate, signal)


def _annotations(
    onsets: np.ndarray, texts: np.ndarray, rate: float, n_samples: int
) -> Annotations | None:
    samples = np.round(np.asarray(onsets, dtype=np.float64) * rate).astype(np.int64)
    notes = np.asarray([str(text) for text in texts], dtype=np.str_)
    inside = (samples >= 0) & (samples < n_samples)
    order = np.argsort(samples[inside], kind="stable")
    samples, notes = samples[inside][order], notes[inside][order]
    if not len(samples):
        return None
    beats = np.isin(notes, list(_BEAT_SYMBOLS))
    return Annotations(samples, np.where(beats, notes, _COMMENT_SYMBOL), np.where(beats, "", notes))

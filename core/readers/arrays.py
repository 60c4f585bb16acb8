"""Named arrays, as MATLAB and NumPy store them -> Recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.readers.common import build_recording, check_rate, time_first
from core.recording import Recording

_SIGNAL_NAMES = ("signal", "signals", "ecg", "val", "data", "p_signal", "x", "y")
_RATE_NAMES = (
    "sampling_rate", "samplingrate", "fs", "sfreq", "srate", "rate", "sample_rate", "samplerate",
    "sampling_frequency", "samplingfrequency", "freq", "frequency", "hz",
)  # fmt: skip
_LEAD_NAMES = ("leads", "lead", "lead_names", "sig_name", "labels", "channels", "channel_names")
_UNIT_NAMES = ("units", "unit")
_SUBJECT_NAMES = ("subject", "subject_id", "patient_id")
_SESSION_NAMES = ("session", "date")
_LABEL_NAMES = ("label", "diagnosis")


def recording_of_arrays(
    path: Path, arrays: dict[str, Any], *, source_rate: float | None
) -> Recording:
    """Return the recording that named arrays make.

    The signal is the array of a usual name (``signal``, ``ecg``, ``val``, ``data``, ...), else
    the largest one; the rate is a number of a usual name (``fs``, ``sampling_rate``, ...).

    Raises:
        UserError: There is no signal, or the rate is not told.
    """
    known = {name.lower(): value for name, value in arrays.items()}
    signal = time_first(_signal(path, known), path)
    rate = _number(_first(known, _RATE_NAMES))
    n_leads = signal.shape[1]
    return build_recording(
        path,
        signal=signal,
        sampling_rate=check_rate(path, rate, source_rate),
        leads=_texts(_first(known, _LEAD_NAMES), n_leads),
        units=_texts(_first(known, _UNIT_NAMES), n_leads, shared=True),
        subject=_text(_first(known, _SUBJECT_NAMES)),
        session=_text(_first(known, _SESSION_NAMES)),
        label=_text(_first(known, _LABEL_NAMES)),
    )


def _signal(path: Path, known: dict[str, Any]) -> npt.NDArray[np.float64]:
    numeric = {
        name: value
        for name, value in known.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in "iuf" and value.size > 1
    }
    if not numeric:
        raise UserError(path, "holds no array of numbers", "Store the signal as samples by leads")
    usual = next((numeric[name] for name in _SIGNAL_NAMES if name in numeric), None)
    chosen = usual if usual is not None else max(numeric.values(), key=lambda each: each.size)
    return chosen.astype(np.float64)


def _first(known: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((known[name] for name in names if name in known), None)


def _number(value: Any) -> float | None:
    array = np.ravel(np.asarray(value if value is not None else []))
    return float(array[0]) if array.size == 1 and array.dtype.kind in "iuf" else None


def _text(value: Any) -> str:
    array = np.ravel(np.asarray(value if value is not None else []))
    return str(array[0]).strip() if array.size == 1 and array.dtype.kind in "iufUS" else ""


def _texts(value: Any, n: int, *, shared: bool = False) -> list[str]:
    """Return one text a lead; a single one counts for all if it is shared."""
    array = np.ravel(np.asarray(value if value is not None else [], dtype=object))
    texts = [str(each).strip() for each in array if isinstance(each, str)]
    if shared and len(texts) == 1:
        return texts * n
    return texts if len(texts) == n else [""] * n

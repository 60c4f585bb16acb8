"""A file of any supported format -> Recording, or one sentence on what is wrong with it."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path

from core.errors import UserError
from core.readers.beat_table import looks_like_beats
from core.readers.common import check_source_rate
from core.readers.detect import format_of, name_formats
from core.recording import Recording

_READERS = {
    "wfdb": ("core.readers.wfdb_records", "read_wfdb", "WFDB"),
    "edf": ("core.readers.edf", "read_edf", "EDF or BDF"),
    "text": ("core.readers.text", "read_text", "text"),
    "matlab": ("core.readers.matlab", "read_matlab", "MATLAB"),
    "dicom": ("core.readers.dicom", "read_dicom", "DICOM"),
    "aecg": ("core.readers.vendor", "read_vendor", "HL7 aECG"),
    "muse": ("core.readers.vendor", "read_vendor", "GE MUSE XML"),
    "philips": ("core.readers.vendor", "read_vendor", "Philips XML"),
    "scp": ("core.readers.vendor", "read_vendor", "SCP-ECG"),
    "numpy": ("core.readers.numpy_arrays", "read_numpy", "NumPy"),
}
"""Format -> module and function, imported when first needed, and its name for people."""


def read_recording(path: str | Path, *, source_rate: float | None = None) -> Recording:
    """Read a file of any supported format.

    Args:
        path: The file; for WFDB the header or a signal file of the same name.
        source_rate: Samples per second, in Hz, if the file does not tell. One that the file
            tells is used before it.

    Returns:
        The recording, at the file's own rate, with all its channels. Subject, session and
        label are those of the file's header; `resolve_subject` knows the other ways.

    Raises:
        UserError: The file is missing, unreadable, damaged, of no supported format, too short,
            without a number, a table of beats, or does not tell its rate (nor ``source_rate``).
    """
    path = Path(path)
    check_source_rate(source_rate)
    try:
        if path.is_dir():
            raise UserError(path, "is a folder", "Give a file in it")
        if path.exists() and not path.stat().st_size:
            raise UserError(path, "is empty", "Export or fetch it again")
        name = format_of(path)
        if name in ("text", "numpy") and looks_like_beats(path):
            raise UserError(
                path, "is a table of beats, not a recording", "Give it where beats are asked for"
            )
    except OSError as error:
        raise _unreadable(path, error) from None
    if name is None:
        raise UserError(path, "is no ECG file that can be read", name_formats())
    module, function, title = _READERS[name]
    reader = getattr(importlib.import_module(module), function)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            recording: Recording = reader(path, source_rate=source_rate)
    except UserError:
        raise
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise _unreadable(path, error) from None
    except Exception as error:
        # The libraries raise anything at all when a file is damaged.
        raise UserError(
            path, f"is damaged or no {title} file", "Export or fetch it again"
        ) from error
    return recording


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(path, "there is no such file", "Check the name")
    if isinstance(error, PermissionError):
        return UserError(path, "may not be read", "Ask for permission to read it")
    return UserError(path, f"cannot be read ({error.strerror})", "Check the file and its disk")

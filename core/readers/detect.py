"""A file's ending and first bytes -> which reader reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from core.readers.beat_table import looks_like_beats
from core.readers.text import looks_like_signal

Kind = Literal["recording", "beats"]

SUPPORTED_FORMATS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("WFDB (PhysioNet)", (".hea", ".dat", ".mat")),
    ("EDF, EDF+, BDF", (".edf", ".bdf")),
    ("DICOM waveform", (".dcm",)),
    ("HL7 aECG", (".xml",)),
    ("GE MUSE XML", (".xml",)),
    ("Philips XML", (".xml",)),
    ("SCP-ECG", (".scp",)),
    ("CSV, TSV, OpenSignals text", (".csv", ".tsv", ".txt")),
    ("MATLAB", (".mat",)),
    ("NumPy", (".npy", ".npz")),
    ("Table of beats", (".csv", ".npz")),
)
"""What can be read: a name for people, and the endings of its files."""

_SNIFFED_BYTES = 8192
_BY_ENDING = {
    ".hea": "wfdb",
    ".dat": "wfdb",
    ".mat": "matlab",
    ".edf": "edf",
    ".bdf": "edf",
    ".dcm": "dicom",
    ".scp": "scp",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".npy": "numpy",
    ".npz": "numpy",
}
_XML_READERS = {"AnnotatedECG": "aecg", "RestingECG": "muse", "restingecgdata": "philips"}
_XML_ROOT = re.compile(r"<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]")
"""The first element, behind a namespace prefix or not; ``<?xml`` and ``<!--`` are none."""


def format_of(path: Path) -> str | None:
    """Return which reader reads a file, or None; opens it only if its ending does not tell."""
    known = _BY_ENDING.get(path.suffix.lower())
    if known == "matlab" and path.with_suffix(".hea").is_file():
        return "wfdb"
    return known or sniff(path)


def sniff(path: Path) -> str | None:
    """Return which reader reads a file by its first bytes, or None."""
    with path.open("rb") as file:
        start = file.read(_SNIFFED_BYTES)
    if start[128:132] == b"DICM":
        return "dicom"
    if start[16:22] == b"SCPECG":
        return "scp"
    utf16 = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = start.decode("utf-16" if utf16 else "utf-8", errors="ignore")
    root = _XML_ROOT.search(text) if text.lstrip("\ufeff \r\n\t").startswith("<") else None
    return _XML_READERS.get(root.group(1)) if root else None


def kind_of(path: Path) -> tuple[Kind | None, str]:
    """Return whether a file is a recording or a table of beats, or why it is neither."""
    try:
        name = format_of(path)
        if name is None:
            return None, "not a format for ECG"
        if name in ("text", "numpy") and looks_like_beats(path):
            return "beats", ""
        if name == "text" and path.stat().st_size and not looks_like_signal(path):
            return None, "text without columns of numbers"
    except OSError:
        # Whoever reads it says what is wrong with it.
        return "recording", ""
    return "recording", ""


def name_formats() -> str:
    """Return what can be read, as the advice of an error."""
    return f"Give one of {', '.join(name for name, _ in SUPPORTED_FORMATS)}"

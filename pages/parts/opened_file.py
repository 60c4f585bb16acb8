"""The file that the user opened last -> the same file on every page that looks at one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from pages.parts import job_panel, uploads

FILE_KEY, UPLOAD_KEY = "opened_file", "opened_upload"
LABEL = "A recording, or a file of beats (.npz, .csv)"
HELP = (
    "WFDB, EDF, CSV, MATLAB, DICOM, HL7 aECG, MUSE, Philips, SCP-ECG or NumPy. A recording of "
    "several files (.hea and .dat): choose all of them. It stays on this machine."
)


def remember(path: Path) -> None:
    """Make a file on disk the one that is open."""
    st.session_state[FILE_KEY] = str(path)


def opened() -> Path | None:
    """Return the file that is open; None if there is none, or it is gone."""
    told = st.session_state.get(FILE_KEY)
    path = Path(told) if told else None
    return path if path is not None and path.is_file() else None


def draw(key: str) -> Path | None:
    """Let the user open a file, or another one; return the one that is open.

    Args:
        key: Of the uploader.
    """
    current = opened()
    label = LABEL if current is None else "Open another file"
    files = st.file_uploader(label, accept_multiple_files=True, key=key, help=HELP)
    return _take(files) if files else current


def _take(files: Sequence[uploads.Uploaded]) -> Path | None:
    """Return where uploaded files are on disk; each upload is stored once."""
    upload = [str(getattr(file, "file_id", file.name)) for file in files]
    if st.session_state.get(UPLOAD_KEY) != upload:
        st.session_state[UPLOAD_KEY] = upload
        st.session_state.pop(FILE_KEY, None)
        with job_panel.one_sentence():
            remember(uploads.store_probe(files))
    return opened()

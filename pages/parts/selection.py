"""What all pages show the same of, held in the address: subject, recording, lead.

The study itself is chosen in the sidebar. A widget of one of these keys may be drawn on any page,
once a page; what was chosen on one page is chosen on the next, and survives a reload or a link.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

SUBJECT_KEY, RECORDING_KEY, LEAD_KEY = "subject", "recording", "lead"


def pick_subject(subjects: Sequence[str], *, label: str = "Subject") -> str | None:
    """Let the user choose a subject; None if there is none to choose."""
    return _pick(label, subjects, SUBJECT_KEY)


def pick_recording(recordings: Sequence[str], *, label: str = "Recording") -> str | None:
    """Let the user choose a recording; None if there is none to choose."""
    return _pick(label, recordings, RECORDING_KEY)


def pick_lead(leads: Sequence[str]) -> int:
    """Let the user choose a lead where there are several; return its number."""
    if len(leads) == 1:
        return 0
    name = _pick("Lead", leads, LEAD_KEY)
    return list(leads).index(name) if name else 0


def _pick(label: str, options: Sequence[str], key: str) -> str | None:
    if not options:
        return None
    if st.session_state.get(key) not in options:
        st.session_state.pop(key, None)
    return st.selectbox(label, options, key=key, bind="query-params")

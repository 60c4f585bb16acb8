"""A page that Streamlit opens by itself -> the same page within the frame of ``app.py``.

Streamlit takes a folder named ``pages`` for its older kind of multipage app: where the first
address that a server is asked for is a page's own, it runs that page alone, without ``app.py``.
"""

from __future__ import annotations

import contextlib
import runpy
from collections.abc import Iterator

import streamlit as st

from pages.parts.workspace import PROJECT

_INSIDE = "inside_app"


@contextlib.contextmanager
def inside_app() -> Iterator[None]:
    """Tell the page that is run within that the frame is there."""
    st.session_state[_INSIDE] = True
    try:
        yield
    finally:
        st.session_state[_INSIDE] = False


def ensure_app() -> None:
    """Run ``app.py`` instead, if the calling page is run without it."""
    if not st.session_state.get(_INSIDE):
        runpy.run_path(str(PROJECT / "app.py"))
        st.stop()

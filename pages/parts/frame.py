"""What every page stands in: navigation, study picker, title, footer.

Streamlit takes a folder named ``pages`` for its older kind of multipage app: where the first
address that a server is asked for is a page's own, it runs that page alone, without ``app.py``;
such a page asks for the frame by `ensure_app`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import streamlit as st

from core.errors import UserError
from pages.parts import server, sidebar, workspace

NOTICE = "Research use only. Not a medical device."
ICON = workspace.PROJECT / "assets" / "icon.svg"
PAGES = (
    ("Overview", "home", "What this study is, where it stands, and what to do next."),
    (
        "Recordings",
        "folder_open",
        "Upload ECG recordings, prepare them as a study, and see what was read.",
    ),
    (
        "Trace",
        "ecg_heart",
        "A recording on ECG paper, measured: of the study, or a file of yours.",
    ),
    ("Explore", "scatter_plot", "Beats as points, and their features."),
    ("Training", "model_training", "Train the models of the study and watch them learn."),
    (
        "Generation",
        "vital_signs",
        "Draw synthetic heartbeats of a person and compare them with real ones.",
    ),
    ("Authenticity", "verified", "Tell measured heartbeats from synthetic ones."),
    (
        "Identification",
        "fingerprint",
        "Name the person of a recording, or check who it is claimed to be.",
    ),
    (
        "Report",
        "description",
        "The study in one file, for reading: data, protocol, figures, plots, versions.",
    ),
)
"""Title, icon and help of each page; the file and address are of the title. They are no sections:
Streamlit's lists of sections are no lists to a screen reader."""

_INSIDE = "inside_app"


def draw() -> None:
    """Draw the page that the address names, within the frame."""
    st.set_page_config(page_title="CardioTwin", page_icon=str(ICON), layout="wide")
    page = st.navigation(
        [
            st.Page(
                f"pages/{title.lower()}.py",
                title=title,
                icon=f":material/{icon}:",
                help=words,
                default=title == "Overview",
            )
            for title, icon, words in PAGES
        ]
    )
    st.logo(str(ICON), size="large")
    st.title(page.title)
    body = st.container()
    st.caption(NOTICE)
    try:
        workspace.start()
        if page.title != "Recordings":
            sidebar.leave_new()
        sidebar.draw()
        with body, _inside():
            page.run()
    except UserError as error:
        body.error(str(error))
    server.set_libraries_aside()


def ensure_app() -> None:
    """Draw the frame and, within it, the calling page, if the page is run without it."""
    if not st.session_state.get(_INSIDE):
        draw()
        st.stop()


@contextlib.contextmanager
def _inside() -> Iterator[None]:
    st.session_state[_INSIDE] = True
    try:
        yield
    finally:
        st.session_state[_INSIDE] = False

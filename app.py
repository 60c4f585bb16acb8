"""The dashboard's door: page list, study picker, title, footer. Run: ``streamlit run app.py``."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.errors import UserError
from pages.parts import frame, sidebar, workspace

NOTICE = "Research use only. Not a medical device."
ICON = Path(__file__).parent / "assets" / "icon.svg"

st.set_page_config(page_title="CardioTwin", page_icon=str(ICON), layout="wide")
page = st.navigation(
    [
        st.Page(
            "pages/recordings.py",
            title="Recordings",
            icon=":material/ecg_heart:",
            default=True,
            help="Upload ECG recordings, prepare them as a study, and look at what it holds.",
        ),
        st.Page(
            "pages/training.py",
            title="Training",
            icon=":material/model_training:",
            help="Train the models of the study and watch them learn.",
        ),
        st.Page(
            "pages/generation.py",
            title="Generation",
            icon=":material/vital_signs:",
            help="Draw synthetic heartbeats of a person and compare them with real ones.",
        ),
        st.Page(
            "pages/authenticity.py",
            title="Authenticity",
            icon=":material/verified:",
            help="Tell measured heartbeats from synthetic ones.",
        ),
        st.Page(
            "pages/identification.py",
            title="Identification",
            icon=":material/fingerprint:",
            help="Name the person of a recording, or check who it is claimed to be.",
        ),
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
    with body, frame.inside_app():
        page.run()
except UserError as error:
    body.error(str(error))

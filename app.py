"""The dashboard's door, twice: what serves it, and the script that draws it.

Run: ``streamlit run app.py``. The server imports this file for ``app`` and then runs it as the
script of every page.
"""

from __future__ import annotations

import streamlit as st

if st.runtime.exists():
    from pages.parts import frame

    frame.draw()
else:
    from pages.parts import server

    app = st.App(
        __file__, middleware=server.MIDDLEWARE, lifespan=server.warm, on_script_error=server.tell
    )

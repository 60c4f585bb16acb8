"""How things look where the theme alone cannot say it."""

from __future__ import annotations

from typing import Literal

import streamlit as st


def emphasis() -> Literal["primary", "secondary"]:
    """Return how the one button that matters most is drawn: primary where it can be read.

    Streamlit writes white on the theme's first colour, which must be light on a dark page.
    """
    return "primary" if st.context.theme.type == "light" else "secondary"

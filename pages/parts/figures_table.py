"""The figures of an evaluated study -> a table, each figure with its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.study import Study
from pages.parts import job_panel

PROTOCOL = "protocol"


def rows(
    figures: Mapping[str, Any], protocol: str = "", path: str = ""
) -> Iterator[dict[str, str]]:
    """Yield a row a number in nested figures; each has the nearest protocol above it."""
    protocol = str(figures.get(PROTOCOL, protocol))
    for name, value in figures.items():
        words = f"{path}, {name}" if path else name
        if isinstance(value, Mapping):
            yield from rows(value, protocol, words)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield {
                "Figure": words.replace("_", " "),
                "Value": f"{value:.4g}",
                "Protocol": protocol,
            }


def draw(study: Study, *, only: str) -> None:
    """Draw one section of the study's figures, and the button that has them measured.

    Args:
        study: An opened study.
        only: Name of the section, such as ``identification``.
    """
    figures = study.figures()
    section = (figures or {}).get(only)
    if isinstance(section, Mapping):
        table = pd.DataFrame(list(rows(section, str((figures or {}).get(PROTOCOL, "")))))
        st.dataframe(table, hide_index=True, alt=f"Figures of {only} with their protocol")
    job = job_panel.newest(study.folder, "evaluate")
    if job is not None and job.status != job_panel.DONE:
        job_panel.panel(study.folder, job, key=f"evaluate-{only}")
    if job is None or not job.active:
        again = "Evaluate again" if figures else "Evaluate"
        if st.button(again, icon=":material/query_stats:", key=f"evaluate-{only}"):
            with job_panel.one_sentence():
                job_panel.submit(study.folder, "evaluate")
                st.rerun()
        if not figures:
            st.caption("Measures every figure of the study on its test part; takes minutes.")

"""The figures of an evaluated study -> a table, each figure with its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.study import Study
from pages.parts import job_panel


def rows(figures: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """Yield a row a figure: a mapping with ``value``, ``n``, ``protocol`` and maybe ``ceiling``."""
    for name, entry in figures.items():
        if not isinstance(entry, Mapping):
            continue
        here = (*path, str(name))
        if "value" not in entry:
            yield from rows(entry, here)
            continue
        yield {
            "Of": ", ".join(path).replace("_", " "),
            "Figure": str(name).replace("_", " "),
            "Value": _number(entry["value"]),
            "Real beats": _number(entry.get("ceiling")),
            "n": _number(entry.get("n")),
            "Protocol": str(entry.get("protocol", "")),
        }


def _number(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("value")
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def draw(study: Study, *, only: str) -> None:
    """Draw one section of the study's figures, and the button that has them measured.

    Args:
        study: An opened study.
        only: Name of the section, such as ``identification``.
    """
    figures = study.figures() or {}
    section = figures.get(only)
    if section:
        table = pd.DataFrame(list(rows(section)))
        st.caption(f"{figures['protocol']}; seed {figures['seed']}.")
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

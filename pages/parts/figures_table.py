"""The figures of an evaluated study -> a table, each figure with its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.study import Study
from pages.parts import job_panel


def rows(
    figures: Mapping[str, Any], path: tuple[str, ...] = (), protocol: str = ""
) -> Iterator[dict[str, str]]:
    """Yield a row a figure, with the nearest protocol above it.

    A figure is a mapping with ``value``, or a fractional number beside ``probes``, how many it is
    of; ``<name>_interval`` beside it is its interval.
    """
    protocol = str(figures.get("protocol", protocol))
    own = (*path[:-1], str(figures["name"])) if "name" in figures else path
    for name, entry in figures.items():
        if isinstance(entry, Mapping) and "value" in entry:
            yield _row(own, name, entry, str(entry.get("protocol", protocol)))
        elif isinstance(entry, Mapping):
            yield from rows(entry, (*own, str(name)), protocol)
        elif isinstance(entry, float):
            figure = {
                "value": entry,
                "n": figures.get("probes"),
                "interval": figures.get(f"{name}_interval"),
            }
            yield _row(own, name, figure, protocol)


def _row(
    path: tuple[str, ...], name: str, figure: Mapping[str, Any], protocol: str
) -> dict[str, str]:
    interval, error = figure.get("interval"), figure.get("standard_error")
    spread = f"± {error:.2g}" if isinstance(error, float) else ""
    if interval:
        spread = " to ".join("" if limit is None else f"{limit:.2g}" for limit in interval)
    return {
        "Of": ", ".join(path).replace("_", " "),
        "Figure": str(name).replace("_", " "),
        "Value": _number(figure["value"]),
        "Spread": spread,
        "Real beats": _number(figure.get("ceiling")),
        "n": _number(figure.get("n")),
        "Protocol": protocol,
    }


def _number(value: Any) -> str:
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
        table = pd.DataFrame(list(rows(section, protocol=str(figures["protocol"]))))
        st.caption(
            f"{figures['protocol']}; seed {figures['seed']}. Spread: bootstrap interval over "
            "subjects, or a standard error. Real beats: what they score in the same place."
        )
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

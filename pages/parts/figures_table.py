"""The figures of an evaluated study -> a table, each figure with its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.evaluation.identification import FIGURE_WORDS
from core.plots.figures import row_name
from core.study import Study
from pages.parts import job_panel


def rows(
    figures: Mapping[str, Any], path: tuple[str, ...] = (), protocol: str = ""
) -> Iterator[dict[str, str]]:
    """Yield a row a figure, with the nearest protocol above it.

    A figure is a mapping with ``value``, or a fractional number beside ``probes`` or ``support``,
    how many it is of; ``<name>_interval`` beside it is its interval. Of lists, only rows of a
    robustness table are figures; curves and bins are for plots.
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
                "n": figures.get("probes", figures.get("support")),
                "interval": figures.get(f"{name}_interval"),
            }
            yield _row(own, name, figure, protocol)
        elif isinstance(entry, list):
            for row in entry:
                if isinstance(row, Mapping) and "disturbance" in row:
                    told = {key: row[key] for key in row if key != "level"}
                    yield from rows(told, (*own, row_name(row)), protocol)


def _row(
    path: tuple[str, ...], name: str, figure: Mapping[str, Any], protocol: str
) -> dict[str, str]:
    interval, error = figure.get("interval"), figure.get("standard_error")
    spread = f"± {error:.2g}" if isinstance(error, float) else ""
    if interval:
        spread = " to ".join("" if limit is None else f"{limit:.2g}" for limit in interval)
    return {
        "Of": ", ".join(path).replace("_", " "),
        "Figure": FIGURE_WORDS.get(name, str(name).replace("_", " ")),
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


def draw_small(
    of: str, rows: Mapping[str, Sequence[str]], columns: Sequence[str], *, alt: str
) -> None:
    """Draw a table that fits a phone: what each row is `of`, then its cells."""
    frame = pd.DataFrame([[name, *cells] for name, cells in rows.items()], columns=[of, *columns])
    st.table(frame, border="horizontal", hide_index=True, alt=alt)


def draw(study: Study, *, only: str) -> None:
    """Draw one section of the study's figures, and the button that has them measured.

    Args:
        study: An opened study.
        only: Name of the section, such as ``identification``.
    """
    draw_table(study, only=only)
    draw_button(study, only=only)


def draw_table(study: Study, *, only: str) -> None:
    """Draw one section of the study's figures; nothing if it has none."""
    figures = study.figures() or {}
    section = figures.get(only)
    if not section:
        return
    table = pd.DataFrame(list(rows(section, protocol=str(figures["protocol"]))))
    st.caption(
        f"{figures['protocol']}; seed {figures['seed']}. Spread: bootstrap interval over "
        "subjects, or a standard error. Real beats: what they score in the same place."
    )
    st.dataframe(table, hide_index=True, alt=f"Figures of {only} with their protocol")


def draw_button(study: Study, *, only: str) -> None:
    """Draw an evaluation that runs or failed, and the button that begins one."""
    measured = study.figures() is not None
    job = job_panel.newest(study.folder, "evaluate")
    if job is not None and job.status != job_panel.DONE:
        job_panel.panel(study.folder, job, key=f"evaluate-{only}")
    if job is None or not job.active:
        again = "Evaluate again" if measured else "Evaluate"
        if st.button(again, icon=":material/query_stats:", key=f"evaluate-{only}"):
            with job_panel.one_sentence():
                job_panel.submit(study.folder, "evaluate")
                st.rerun()
        if not measured:
            st.caption("Measures every figure of the study on its test part; takes minutes.")

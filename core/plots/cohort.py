"""Recordings of a study -> figures of how they were cleaned, and of how good they are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.plots.signals import MARGIN_SHARE, TIME_TITLE, value_title
from core.plots.style import COLOURS, LINE_PX, NEUTRAL, REAL, SMOOTHED, finish
from core.recording import FloatArray, IntArray, StrArray

BoolArray = npt.NDArray[np.bool_]

STAGE_PX = 165
QUALITY_BINS = 20
PEAK_COLOUR = "#D55E00"


def cleaning_stages(
    stages: Mapping[str, tuple[str, FloatArray]],
    *,
    sampling_rate: float,
    unit: str,
    start_s: float,
    peaks: IntArray,
    refused: IntArray,
) -> go.Figure:
    """Draw the stages of one signal below one another: one time axis, one scale of amplitude.

    Each panel is centred on its own signal, so that a baseline off zero does not flatten it; a
    millivolt is equally high in all of them.

    Args:
        stages: Kind (``raw``, ``real``, ``smoothed``) -> title and (n_samples,) of one lead.
        sampling_rate: In Hz.
        unit: Of the signal.
        start_s: Time of the first sample in the recording, in seconds.
        peaks: (n,) sample numbers within the stages of the R peaks of beats that are kept.
        refused: (n,) the same of beats that are left out.
    """
    figure = make_subplots(
        rows=len(stages),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.09,
        subplot_titles=[title for title, _ in stages.values()],
    )
    ends = [_ends(signal) for _, signal in stages.values()]
    half = max(high - low for low, high in ends) * (0.5 + MARGIN_SHARE) or 1.0
    for row, (kind, (title, signal)) in enumerate(stages.items(), start=1):
        time = (start_s + np.arange(len(signal)) / sampling_rate).astype(np.float32)
        figure.add_scatter(
            x=time,
            y=signal,
            mode="lines",
            name=title,
            line={"color": COLOURS[kind], "width": LINE_PX},
            hovertemplate="%{x:.3f} s, %{y:.3f}",
            showlegend=False,
            row=row,
            col=1,
        )
        low, high = ends[row - 1]
        middle = (low + high) / 2
        figure.update_yaxes(range=[middle - half, middle + half], row=row, col=1)
    marks = (("R peak", peaks, "circle", PEAK_COLOUR), ("left out", refused, "x", NEUTRAL))
    last = list(stages.values())[-1][1]
    for name, found, symbol, colour in marks:
        if len(found):
            figure.add_scatter(
                x=(start_s + found / sampling_rate).astype(np.float32),
                y=last[found],
                mode="markers",
                name=name,
                marker={"symbol": symbol, "color": colour, "size": 8},
                hovertemplate="%{x:.3f} s",
                row=len(stages),
                col=1,
            )
    finish(figure, x_title="", y_title="", height=STAGE_PX * len(stages) + 60)
    figure.update_xaxes(title_text=TIME_TITLE, row=len(stages), col=1)
    figure.update_yaxes(title_text=value_title(unit), row=(len(stages) + 1) // 2, col=1)
    figure.update_annotations(x=0.0, xanchor="left", font_size=13)
    return figure.update_layout(legend={"y": -0.2, "yanchor": "top", "x": 0.0})


def _ends(signal: FloatArray) -> tuple[float, float]:
    known = signal[np.isfinite(signal)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)


def quality_histogram(quality: FloatArray, rejected: StrArray) -> go.Figure:
    """Draw how many beats have which quality, those that are kept below those that are left out.

    Args:
        quality: (n_beats,) from 0 to 1.
        rejected: (n_beats,) why a beat is left out; empty if it is kept.
    """
    low = np.floor(10 * float(quality.min(initial=1.0))) / 10
    edges = np.linspace(min(low, 0.9), 1.0, QUALITY_BINS + 1)
    kept = rejected == ""
    figure = go.Figure()
    for name, own, colour in (
        ("kept", kept, COLOURS[SMOOTHED]),
        ("left out", ~kept, NEUTRAL),
    ):
        counts, _ = np.histogram(quality[own], edges)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            name=f"{name} ({int(own.sum()):,})",
            marker={"color": colour},
            hovertemplate="quality %{x:.2f}: %{y} beats",
        )
    figure.update_layout(barmode="stack", bargap=0.08)
    figure.update_xaxes(range=[edges[0], 1])
    return finish(figure, x_title="Quality of a beat (0 to 1)", y_title="Beats", height=300)


def recording_quality(names: StrArray, quality: FloatArray, usable: BoolArray) -> go.Figure:
    """Draw the quality of each recording, the worst first, one point each.

    Args:
        names: (n,) of the recordings.
        quality: (n,) from 0 to 1; NaN counts as 0.
        usable: (n,) whether a beat of it is used.
    """
    order = np.argsort(np.nan_to_num(quality), kind="stable")
    names, quality, usable = names[order], np.nan_to_num(quality)[order], usable[order]
    rank = np.arange(1, len(names) + 1)
    figure = go.Figure()
    for name, own, colour, symbol in (
        ("used", usable, COLOURS[REAL], "circle"),
        ("not used", ~usable, NEUTRAL, "x"),
    ):
        if own.any():
            figure.add_scatter(
                x=rank[own],
                y=quality[own],
                mode="markers",
                name=f"{name} ({int(own.sum()):,})",
                marker={"color": colour, "symbol": symbol, "size": 7},
                text=names[own],
                hovertemplate="%{text}: %{y:.2f}",
            )
    figure.update_yaxes(range=[-0.03, 1.03])
    return finish(figure, x_title="Recordings, worst first", y_title="Quality (0 to 1)", height=300)

"""Signals -> figures on the grid of ECG paper: small squares of 0.04 s and 0.1 mV."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.plots.signals import BEAT_TIME_TITLE, TIME_TITLE, Scale, value_title
from core.plots.style import (
    BOLD_PX,
    COLOURS,
    GENERATED,
    LINE_PX,
    NEUTRAL,
    finish,
    mark_synthetic,
)
from core.recording import FloatArray, IntArray

SMALL_S, LARGE_S = 0.04, 0.2
SMALL_MV, LARGE_MV = 0.1, 0.5
"""1 mm and 5 mm of paper at 25 mm/s and 10 mm/mV."""
MM_PER_S, MM_PER_MV = 25.0, 10.0
FINE_GRID, GRID = "rgba(200,80,80,0.16)", "rgba(200,80,80,0.42)"
PAGE_PX, PHONE_PX = 760, 400
"""Width of a row on a page of usual width, and on a phone."""
LEAST_MM, MOST_MM = 20.0, 60.0
"""Height of a row."""
PAD_MV = 0.3
LEFT_PX, AXIS_PX, MARGIN_PX = 58, 44, 8
"""Beside a row, under it where it has a time axis, and around it. Fixed: margins that the labels
set make Plotly shrink the paper."""
LABEL_EVERY = 5
"""Large squares to a label of time: one a second."""
ROW_HEIGHT_PX, ROW_TOP_PX, ROW_LINE_PX = 210, 22, 1.8
ROW_HEAD_SHARE = 0.12
"""Room for the numbers above the beats of a row."""
GAP_S = 0.1
"""Between the beats of a row."""


def strip(
    signal: FloatArray,
    *,
    sampling_rate: float,
    unit: str,
    start_s: float = 0.0,
    length_s: float | None = None,
    peaks: IntArray | None = None,
    height_mv: float | None = None,
    kind: str = GENERATED,
    page_px: int = PAGE_PX,
) -> go.Figure:
    """Draw a strip of one lead on ECG paper at 25 mm/s to 10 mm/mV, if its unit is mV.

    Args:
        signal: (n_samples,).
        sampling_rate: In Hz.
        unit: Of the signal; another than mV has a plain grid, on no true scale.
        start_s: Time of the first sample, in seconds.
        length_s: Length of the paper; the signal's by default.
        peaks: Sample numbers of R peaks within the signal.
        height_mv: From lowest to highest value; the signal's own by default.
        kind: A key of `core.plots.style.COLOURS`; ``generated`` is marked SYNTHETIC.
        page_px: Width of the row that its height is made for.
    """
    figure = go.Figure()
    time = start_s + np.arange(len(signal)) / sampling_rate
    figure.add_scatter(
        x=time.astype(np.float32),
        y=signal,
        mode="lines",
        line={"color": COLOURS[kind], "width": LINE_PX},
        hovertemplate="%{x:.2f} s, %{y:.3f}<extra></extra>",
    )
    if peaks is not None and len(peaks):
        figure.add_scatter(
            x=time[peaks].astype(np.float32),
            y=signal[peaks],
            mode="markers",
            marker={"symbol": "triangle-down-open", "color": NEUTRAL, "size": 9},
            hovertemplate="R peak at %{x:.2f} s<extra></extra>",
        )
    end_s = start_s + (length_s or len(signal) / sampling_rate)
    _on_paper(figure, signal, (start_s, end_s), unit, height_mv=height_mv, page_px=page_px)
    if kind == GENERATED:
        mark_synthetic(figure)
    return figure


def beat_row(
    beats: FloatArray,
    scale: Scale,
    *,
    first: int = 1,
    marked: Collection[int] = (),
    within_s: tuple[float, float] = (-np.inf, np.inf),
    limits: tuple[float, float] | None = None,
) -> go.Figure:
    """Draw beats one after the other on squares of ECG paper, numbered, some marked as synthetic.

    Args:
        beats: (n, n_samples) of one lead.
        scale: Of the beats.
        first: Number of the first beat.
        marked: Positions of those to mark.
        within_s: What of them is marked, in seconds from the R peak.
        limits: Lowest and highest value of the paper; those of the beats by default.
    """
    figure = go.Figure()
    n, n_samples = beats.shape
    times = np.arange(n_samples) / scale.sampling_rate
    step = n_samples / scale.sampling_rate + GAP_S
    from_peak = scale.times(n_samples)
    inside = (from_peak >= within_s[0]) & (from_peak <= within_s[1])
    low, high = limits or common_limits(beats)
    for i, beat in enumerate(beats):
        _add_line(figure, times + i * step, beat, NEUTRAL, ROW_LINE_PX)
        if i in marked:
            _add_line(figure, times[inside] + i * step, beat[inside], COLOURS[GENERATED], BOLD_PX)
        figure.add_annotation(
            x=i * step + times[-1] / 2,
            y=0.99,
            yref="y domain",
            yanchor="top",
            text=f"<b>{first + i}</b>",
            font={"color": COLOURS[GENERATED] if i in marked else NEUTRAL, "size": 13},
            showarrow=False,
        )
    finish(figure, x_title="", y_title=value_title(scale.unit), height=ROW_HEIGHT_PX)
    _grid(figure, scale.unit)
    figure.update_xaxes(range=[-GAP_S / 2, n * step - GAP_S / 2], showticklabels=False, title=None)
    figure.update_yaxes(range=[low, high + ROW_HEAD_SHARE * (high - low)])
    margin = {"l": LEFT_PX, "r": MARGIN_PX, "t": ROW_TOP_PX, "b": MARGIN_PX}
    if marked:
        mark_synthetic(figure, above=True)
    return figure.update_layout(showlegend=False, margin=margin, dragmode=False)


def one_beat(beat: FloatArray, scale: Scale, limits: tuple[float, float]) -> go.Figure:
    """Draw one beat, of which nothing is told, on the grid of ECG paper, stretched to the figure.

    Args:
        beat: (n_samples,) of one lead.
        scale: Of the beat.
        limits: Lowest and highest value, the same for all that are compared.
    """
    figure = go.Figure()
    times = scale.times(len(beat))
    _add_line(figure, times, beat, NEUTRAL, 2.0)
    finish(figure, x_title=BEAT_TIME_TITLE, y_title=value_title(scale.unit), height=380)
    _grid(figure, scale.unit)
    figure.update_xaxes(range=[float(times[0]), float(times[-1])])
    figure.update_yaxes(range=list(limits))
    return figure.update_layout(showlegend=False, margin={"t": 12})


def common_limits(beats: FloatArray) -> tuple[float, float]:
    """Return one range for all beats, with room above and below."""
    low, high = float(beats.min()), float(beats.max())
    margin = 0.1 * (high - low) or 1.0
    return low - margin, high + margin


def rows_of(total: int, each: int) -> Sequence[slice]:
    """Return slices of at most so many, one after the other."""
    return [slice(start, min(start + each, total)) for start in range(0, total, each)]


def _add_line(
    figure: go.Figure,
    times: npt.NDArray[np.float64],
    values: FloatArray,
    colour: str,
    width: float,
) -> None:
    figure.add_scatter(
        x=times.astype(np.float32),
        y=values.astype(np.float32),
        mode="lines",
        line={"color": colour, "width": width},
        hoverinfo="skip",
        showlegend=False,
    )


def _on_paper(
    figure: go.Figure,
    values: FloatArray,
    time_s: tuple[float, float],
    unit: str,
    *,
    height_mv: float | None = None,
    page_px: int = PAGE_PX,
) -> None:
    """Put a grid under a figure, at the true proportion of time to voltage where there is one."""
    low, high = float(np.nanmin(values, initial=0.0)), float(np.nanmax(values, initial=0.0))
    if height_mv is not None:
        middle = (low + high) / 2
        low, high = middle - height_mv / 2, middle + height_mv / 2
    millivolts = unit == "mV"
    tall_mm = np.clip((high - low + 2 * PAD_MV) * MM_PER_MV, LEAST_MM, MOST_MM)
    px_per_mm = page_px / ((time_s[1] - time_s[0]) * MM_PER_S)
    height = (round(tall_mm * px_per_mm) if millivolts else 240) + AXIS_PX + MARGIN_PX
    finish(figure, x_title=TIME_TITLE, y_title=value_title(unit), height=height)
    _grid(figure, unit)
    figure.update_xaxes(
        range=list(time_s), constrain="domain", automargin=False, ticklabelstep=LABEL_EVERY
    )
    figure.update_yaxes(automargin=False)
    if millivolts:
        figure.update_yaxes(
            range=[low - PAD_MV, high + PAD_MV],
            scaleanchor="x",
            scaleratio=MM_PER_MV / MM_PER_S,
            constrain="range",
        )
    margin = {"l": LEFT_PX, "r": MARGIN_PX, "t": MARGIN_PX, "b": AXIS_PX}
    figure.update_layout(showlegend=False, margin=margin, dragmode=False)


def _grid(figure: go.Figure, unit: str) -> None:
    """Draw lines every 1 mm and 5 mm of paper; of an unknown unit, those of time only."""
    line = {"showgrid": True, "gridcolor": GRID, "zeroline": False}
    fine = {"showgrid": True, "gridcolor": FINE_GRID}
    figure.update_xaxes(**line, dtick=LARGE_S, minor={**fine, "dtick": SMALL_S})
    if unit == "mV":
        figure.update_yaxes(**line, dtick=LARGE_MV, minor={**fine, "dtick": SMALL_MV})
    else:
        figure.update_yaxes(**line)

"""Signals and beats -> figures on a true scale: seconds across, millivolts up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.plots.style import (
    BOLD_PX,
    COLOURS,
    GENERATED,
    THIN_PX,
    finish,
    mark_synthetic,
    translucent,
)
from core.recording import FloatArray

SHOWN_BEATS = 40
"""Beats drawn one over another; more of them make a grey block and a slow page."""
TIME_TITLE = "Time (s)"
BEAT_TIME_TITLE = "Time from the R peak (s)"
MARGIN_SHARE = 0.06
"""Room above and below the extremes, as a share of their distance."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Beats that are drawn together.

    Attributes:
        name: Title of the panel.
        kind: A key of `core.plots.style.COLOURS`; ``generated`` is marked SYNTHETIC.
        beats: (n_beats, n_samples) of one lead.
    """

    name: str
    kind: str
    beats: FloatArray


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What turns a beat's samples into seconds, and names its values.

    Attributes:
        sampling_rate: In Hz.
        before_s: Seconds from the first sample to the R peak.
        unit: ``"mV"``, or what is known of another unit.
    """

    sampling_rate: float
    before_s: float
    unit: str

    def times(self, n_samples: int) -> npt.NDArray[np.float64]:
        """Return the seconds of a beat's samples from its R peak."""
        return np.arange(n_samples) / self.sampling_rate - self.before_s


def value_title(unit: str) -> str:
    """Return the title of a voltage axis: ``mV``, or what is known of another unit."""
    return "Amplitude (mV)" if unit == "mV" else f"Amplitude ({unit})"


def beats_overlay(panel: Panel, scale: Scale) -> go.Figure:
    """Draw beats over one another, with their mean."""
    figure = go.Figure()
    time = scale.times(panel.beats.shape[1])
    _add_beats(figure, panel, time)
    if panel.kind == GENERATED:
        mark_synthetic(figure)
    return finish(figure, x_title=BEAT_TIME_TITLE, y_title=value_title(scale.unit))


def beats_side_by_side(
    panels: Sequence[Panel],
    scale: Scale,
    *,
    stacked: bool = False,
) -> go.Figure:
    """Draw several kinds of beats in panels of one scale, each with its mean.

    Args:
        panels: What to draw, from left to right.
        scale: Of the beats.
        stacked: One above the other instead, for a narrow page.
    """
    n = len(panels)
    rows, columns = (n, 1) if stacked else (1, n)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=[p.name for p in panels],
        x_title=BEAT_TIME_TITLE,
        horizontal_spacing=0.03,
        vertical_spacing=0.09,
    )
    low, high = limits([p.beats for p in panels])
    for i, panel in enumerate(panels):
        row, col = (i + 1, 1) if stacked else (1, i + 1)
        time = scale.times(panel.beats.shape[1])
        _add_beats(figure, panel, time, row=row, col=col)
        if panel.kind == GENERATED:
            mark_synthetic(figure, row=row, col=col)
    height = 260 * n if stacked else 380
    finish(figure, x_title="", y_title="", height=height)
    figure.update_layout(showlegend=False, margin={"t": 32, "b": 56})
    figure.update_yaxes(range=[low, high])
    for row in range(1, rows + 1):
        figure.update_yaxes(title_text=value_title(scale.unit), row=row, col=1)
    return figure


def mean_and_spread(panels: Sequence[Panel], scale: Scale) -> go.Figure:
    """Draw the mean of each kind of beats with a band of one standard deviation, on one scale."""
    figure = go.Figure()
    synthetic = False
    for panel in panels:
        if not len(panel.beats):
            continue
        time = scale.times(panel.beats.shape[1])
        mean, spread = panel.beats.mean(axis=0), panel.beats.std(axis=0)
        colour = COLOURS[panel.kind]
        figure.add_scatter(
            x=np.concatenate([time, time[::-1]]),
            y=np.concatenate([mean + spread, (mean - spread)[::-1]]),
            fill="toself",
            fillcolor=translucent(colour, 0.22),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=time,
            y=mean,
            mode="lines",
            name=panel.name,
            line={
                "color": colour,
                "width": BOLD_PX,
                "dash": "dash" if panel.kind == GENERATED else "solid",
            },
            hovertemplate="%{x:.3f} s, %{y:.3f}",
        )
        synthetic |= panel.kind == GENERATED
    if synthetic:
        mark_synthetic(figure)
    return finish(figure, x_title=BEAT_TIME_TITLE, y_title=value_title(scale.unit))


def beats_over_mean(probe: Panel, gallery: Panel, scale: Scale) -> go.Figure:
    """Draw beats of a probe over the mean beat and spread of a subject in the gallery."""
    figure = mean_and_spread([gallery], scale)
    _add_beats(figure, probe, scale.times(probe.beats.shape[1]), mean=False, name=probe.name)
    if probe.kind == GENERATED:
        mark_synthetic(figure)
    return figure


def _add_beats(
    figure: go.Figure,
    panel: Panel,
    time: npt.NDArray[np.float64],
    *,
    mean: bool = True,
    name: str = "",
    row: int | None = None,
    col: int | None = None,
) -> None:
    """Add beats as one trace with gaps between them, which draws faster than one a beat."""
    where = {} if row is None else {"row": row, "col": col}
    if not len(panel.beats):
        return
    chosen = shown_beats(panel.beats)
    gap = np.full((len(chosen), 1), np.nan, dtype=np.float32)
    colour = COLOURS[panel.kind]
    figure.add_scatter(
        x=np.tile(np.append(time, np.nan), len(chosen)).astype(np.float32),
        y=np.hstack([chosen, gap]).ravel().astype(np.float32),
        mode="lines",
        name=name or f"{len(chosen)} of {len(panel.beats)} beats",
        line={"color": translucent(colour, 0.45 if mean else 0.8), "width": THIN_PX},
        hoverinfo="skip",
        **where,
    )
    if mean:
        figure.add_scatter(
            x=time,
            y=panel.beats.mean(axis=0),
            mode="lines",
            name=f"Mean of {len(panel.beats)} beats",
            line={"color": colour, "width": BOLD_PX},
            hovertemplate="%{x:.3f} s, %{y:.3f}",
            **where,
        )


def shown_beats(beats: FloatArray) -> FloatArray:
    """Return at most `SHOWN_BEATS` of the beats, evenly spread; of none, none."""
    n = min(SHOWN_BEATS, len(beats))
    return beats[np.unique(np.linspace(0, len(beats) - 1, n).round()).astype(int)]


def limits(arrays: Sequence[FloatArray]) -> tuple[float, float]:
    """Return one range that holds all values, with a margin."""
    full = [a for a in arrays if a.size]
    if not full:
        return -1.0, 1.0
    low = min(float(np.nanmin(a)) for a in full)
    high = max(float(np.nanmax(a)) for a in full)
    margin = MARGIN_SHARE * (high - low) or 1.0
    return low - margin, high + margin

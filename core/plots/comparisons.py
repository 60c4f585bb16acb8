"""Real beside generated beats -> figures: points in a plane, distances, one over the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.plots.signals import BEAT_TIME_TITLE, Panel, Scale, value_title
from core.plots.style import (
    BOLD_PX,
    COLOURS,
    GENERATED,
    NEUTRAL,
    SMOOTHED,
    finish,
    mark_synthetic,
    translucent,
)

Array = npt.NDArray[np.floating[Any]]
BINS = 30


def distance_histogram(generated: Array, unseen: Array, *, copy_below: float) -> go.Figure:
    """Draw how far generated and unseen real beats are from the closest train beat, as shares.

    Args:
        generated: (n,) distances.
        unseen: (n,) distances of real beats that no model has seen.
        copy_below: Distance below which a beat is a copy.
    """
    figure = go.Figure()
    top = float(max(generated.max(initial=0.0), unseen.max(initial=0.0), copy_below)) * 1.05
    tallest = 0.0
    kinds = (("Unseen real beats", SMOOTHED, unseen), ("Generated beats", GENERATED, generated))
    for name, kind, values in kinds:
        counts, edges = np.histogram(values, bins=BINS, range=(0.0, top))
        tallest = max(tallest, counts.max(initial=0) / max(1, len(values)))
        figure.add_scatter(
            x=np.repeat(edges, 2)[1:-1],
            y=np.repeat(counts / max(1, len(values)), 2),
            mode="lines",
            name=f"{name} ({len(values)})",
            line={
                "color": COLOURS[kind],
                "width": 2,
                "dash": "dash" if kind == GENERATED else "solid",
            },
            fill="tozeroy",
            fillcolor=translucent(COLOURS[kind], 0.18),
            hovertemplate="%{x:.2f}: %{y:.0%}",
        )
    figure.add_scatter(
        x=[copy_below, copy_below],
        y=[0, tallest],
        mode="lines",
        name="Near copies: left of this line",
        line={"color": NEUTRAL, "width": 1.5, "dash": "dot"},
        hoverinfo="skip",
    )
    finish(
        figure,
        x_title="Distance to closest train beat",
        y_title="Share of beats",
        height=300,
    )
    figure.update_xaxes(range=[0, top], tickformat=".0%")
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def one_over_another(under: Panel, over: Panel, scale: Scale) -> go.Figure:
    """Draw one beat over another, on their common scale.

    Args:
        under: Drawn as a solid line; the first of its beats.
        over: Drawn dashed; the first of its beats.
        scale: Of both.
    """
    figure = go.Figure()
    for panel, dash in ((under, "solid"), (over, "dash")):
        figure.add_scatter(
            x=scale.times(panel.beats.shape[1]),
            y=panel.beats[0],
            mode="lines",
            name=panel.name,
            line={"color": COLOURS[panel.kind], "width": BOLD_PX, "dash": dash},
            hovertemplate="%{y:.3f}",
        )
    if GENERATED in (under.kind, over.kind):
        mark_synthetic(figure)
    finish(figure, x_title=BEAT_TIME_TITLE, y_title=value_title(scale.unit))
    figure.update_xaxes(hoverformat=".3f")
    return figure.update_layout(hovermode="x unified")

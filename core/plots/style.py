"""What all figures share: one colour a kind of signal, axes with units, room for a phone."""

from __future__ import annotations

import plotly.graph_objects as go

RAW = "raw"
REAL = "real"
SMOOTHED = "smoothed"
GENERATED = "generated"
AUGMENTED = "augmented"

COLOURS: dict[str, str] = {
    RAW: "#666666",
    REAL: "#009E73",
    SMOOTHED: "#0072B2",
    GENERATED: "#D55E00",
    AUGMENTED: "#BF7CA8",
}
"""Okabe and Ito's palette, told apart with any colour blindness; 3:1 on a light or dark page."""

GROUPS: tuple[str, ...] = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#C0709E",
    "#B98000",
    "#3A96CC",
    "#7A7A7A",
)
"""Colours of groups such as subjects, in order; they repeat with another marker. The
bright ones of the palette are darkened until they, too, stand out 3:1 on a light page."""

MARKERS: tuple[str, ...] = ("circle", "x", "diamond", "square", "cross", "triangle-up", "star")
NEUTRAL = COLOURS[RAW]
SYNTHETIC = "SYNTHETIC"
HEIGHT_PX = 340
THIN_PX, LINE_PX, BOLD_PX = 0.7, 1.3, 2.4


def translucent(colour: str, opacity: float) -> str:
    """Return a ``#rrggbb`` colour as ``rgba(...)`` with an opacity from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def group_style(number: int) -> tuple[str, str]:
    """Return the colour and marker of the n-th group; 49 differ."""
    return GROUPS[number % len(GROUPS)], MARKERS[number // len(GROUPS) % len(MARKERS)]


def finish(
    figure: go.Figure, *, x_title: str, y_title: str, height: int = HEIGHT_PX, title: str = ""
) -> go.Figure:
    """Name the axes, put the legend above the plot and cut the margins; return the figure."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 64 if title else 40, "b": 8},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "left", "x": 0.0},
        hovermode="closest",
        title={"text": title},
    )
    figure.update_xaxes(title_text=x_title, automargin=True)
    figure.update_yaxes(title_text=y_title, automargin=True)
    return figure


def mark_synthetic(
    figure: go.Figure, *, row: int | None = None, col: int | None = None, above: bool = False
) -> None:
    """Write SYNTHETIC into the top right corner of a panel, or above that corner."""
    where = {} if row is None else {"row": row, "col": col}
    figure.add_annotation(
        text=f"<b>{SYNTHETIC}</b>",
        xref="x domain",
        yref="y domain",
        x=1.0,
        y=1.0,
        xanchor="right",
        yanchor="bottom" if above else "top",
        showarrow=False,
        font={"color": COLOURS[GENERATED], "size": 13},
        **where,
    )

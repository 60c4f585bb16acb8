"""Trials of a hyper-parameter search -> their accuracy by one of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from core.plots.style import GROUPS, MARKERS, NEUTRAL, finish

STATES: dict[str, tuple[str, str]] = {
    "complete": (GROUPS[0], MARKERS[0]),
    "pruned": (NEUTRAL, MARKERS[1]),
}


def setting_scatter(trials: Sequence[Mapping[str, Any]], setting: str) -> go.Figure:
    """Draw the accuracy of each trial over the values of a setting, in their order.

    Args:
        trials: As `core.tuning.read_trials` gives them.
        setting: A key of their ``settings``.
    """
    figure = go.Figure()
    values = [trial["settings"][setting] for trial in trials]
    order = [str(value) for value in sorted({_plain(value) for value in values})]
    for state, (colour, marker) in STATES.items():
        own = [trial for trial in trials if trial["state"] == state]
        figure.add_scatter(
            x=[str(_plain(trial["settings"][setting])) for trial in own],
            y=[trial["accuracy"] for trial in own],
            customdata=[trial["number"] for trial in own],
            mode="markers",
            name=state,
            marker={"color": colour, "symbol": marker, "size": 9, "opacity": 0.8},
            hovertemplate="trial %{customdata}: %{y:.1%}<extra></extra>",
        )
    title = setting.replace("_", " ").capitalize()
    finish(figure, x_title=title, y_title="Accuracy (share of beats)", height=300)
    figure.update_xaxes(
        type="category", categoryorder="array", categoryarray=list(dict.fromkeys(order))
    )
    return figure


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

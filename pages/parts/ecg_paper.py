"""A trace -> ECG paper in the browser, that asks for the detail of what it shows.

Two components: the paper itself, which is sent once, and a small feed within a fragment, which
brings a view at a time, so that a zoom costs the view's bytes and no more.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.plots.style import COLOURS, GENERATED, RAW, REAL, SMOOTHED
from core.recording import MILLIVOLT, FloatArray
from core.trace import KINDS, Trace
from core.viewing import BUDGET_BYTES, Part, overview, pack

ASSETS = Path(__file__).resolve().parents[2] / "assets"
PAPER_KEY, FEED_KEY, TIME_KEY = "ecg-paper", "ecg-feed", "t"
JUMP_KEY = "ecg-jumps"
NOTICE = "Research use only. Not a medical device."
LABELS = {"raw": "Raw", "clean": "Clean", "smoothed": "Smoothed"}
COLOUR_OF = {"raw": RAW, "clean": REAL, "smoothed": SMOOTHED}
OVERVIEW_PX = 600
PROBE_SAMPLES = 40_000
"""Samples that heights are judged by."""
TAIL_PERCENT = 0.1
"""Left out at each end of a lead's values when its height is judged."""
FIRST_PX_PER_S = 25 * 96 / 25.4
FIRST_SPAN_S = 12.0
"""What is sent before the browser tells how wide it is: paper at 25 mm/s."""
READING_S = 15.0
LEADS_IN_BUDGET = 4
"""More rows than these, on so short a stretch, may weigh in proportion: they are to be read."""


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


_paper = st.components.v2.component(
    "ecg_paper",
    html=_asset("ecg_paper.html"),
    css=_asset("ecg_paper.css"),
    js=_asset("ecg_paper.js"),
)
_feed = st.components.v2.component("ecg_feed", js=_asset("ecg_feed.js"))


def draw(trace: Trace, *, token: str, lead: int = 0) -> None:
    """Draw a trace on ECG paper, from the time in the address on.

    Args:
        trace: What to show.
        token: Names this trace and lead among all that are shown; another one begins anew.
        lead: Which lead is shown where it is one.
    """
    latest = max(0.0, round(trace.duration_s - 1.0, 1))
    start = _asked_start(latest)
    if TIME_KEY in st.session_state:
        st.session_state[TIME_KEY] = start
    _paper(key=PAPER_KEY, data=describe(trace, token=token, lead=lead, start_s=start))
    _draw_feed(trace, token, lead, latest)


def _asked_start(latest: float) -> float:
    """Return where to begin: what was chosen, else what the address says, within the recording."""
    told = st.session_state.get(TIME_KEY, st.query_params.get(TIME_KEY))
    try:
        return min(max(0.0, float(told or 0.0)), latest)
    except ValueError:
        return 0.0


def describe(trace: Trace, *, token: str, lead: int, start_s: float) -> dict[str, Any]:
    """Return what the browser is told once of a trace: words, scales, an overview."""
    kinds = [
        {
            "key": kind,
            "label": LABELS[kind],
            "words": trace.words[kind],
            "colour": COLOURS[
                GENERATED if trace.synthetic and kind == "clean" else COLOUR_OF[kind]
            ],
            "shown": kind == "clean",
        }
        for kind in KINDS
    ]
    zeros, heights = _levels(trace)
    clean = trace.layers["clean"]
    whole = overview(clean.signal[lead], clean.sampling_rate, OVERVIEW_PX)
    return {
        "token": token,
        "name": trace.name,
        "leads": list(trace.leads),
        "lead": lead,
        "calibrated": trace.unit == MILLIVOLT,
        "duration": trace.duration_s,
        "kinds": kinds,
        "layouts": _layouts(trace),
        "standard": trace.standard_places,
        "zeros": zeros,
        "heights": heights,
        "refused": bool(trace.refused.any()),
        "synthetic": trace.synthetic,
        "synthetic_colour": COLOURS[GENERATED],
        "notice": NOTICE,
        "start": start_s,
        "overview": {
            "lead": lead,
            "kind": "clean",
            "first": whole.first_s,
            "step": whole.step_s,
            "per": whole.per_step,
            "scale": whole.scale,
            "zero": whole.zero,
            "values": base64.b64encode(whole.values.tobytes()).decode(),
        },
    }


def _layouts(trace: Trace) -> list[dict[str, str]]:
    found = [{"key": "one", "words": "One lead"}, {"key": "rows", "words": "Three rows"}]
    several = {"key": "all", "words": "All leads"}
    if trace.standard_places is not None:
        return [{"key": "standard", "words": "3 x 4 and II"}, several, *found]
    return [several, *found] if len(trace.leads) > 1 else found


def _levels(trace: Trace) -> tuple[dict[str, list[float]], list[tuple[float, float]]]:
    """Return what each kind and lead is drawn above, and how far each lead goes down and up."""
    zeros: dict[str, list[float]] = {}
    heights: list[tuple[float, float]] = []
    for kind in KINDS:
        signal = trace.layers[kind].signal
        some = np.asarray(signal[:, :: max(1, signal.shape[1] // PROBE_SAMPLES)])
        zeros[kind] = [_percentiles(lead, [50])[0] if kind == "raw" else 0.0 for lead in some]
        if kind == "clean":
            limits = [TAIL_PERCENT, 100 - TAIL_PERCENT]
            heights = [(low, high) for low, high in (_percentiles(lead, limits) for lead in some)]
    return zeros, heights


def _percentiles(values: FloatArray, at: list[float]) -> list[float]:
    held = values[np.isfinite(values)]
    return [float(p) for p in np.percentile(held, at)] if len(held) else [0.0] * len(at)


@st.fragment
def _draw_feed(trace: Trace, token: str, lead: int, latest: float) -> None:
    asked = st.session_state.get(FEED_KEY, {}).get("view")
    if TIME_KEY in st.session_state:
        # The end of a recording, seen from near, begins later than a user may choose.
        st.session_state[TIME_KEY] = _asked_start(latest)
    _feed(
        key=FEED_KEY,
        data=view_bytes(trace, asked, token=token, lead=lead, start_s=_asked_start(latest)),
        on_view_change=_moved,
    )
    st.number_input(
        "From second",
        min_value=0.0,
        max_value=latest,
        step=1.0,
        format="%.1f",
        key=TIME_KEY,
        bind="query-params",
        on_change=_jump,
        width=160,
        help="Where the paper begins. It is in the address: send the link to show this place.",
    )


def _moved() -> None:
    """Keep the time in the address in step with the paper."""
    view = st.session_state[FEED_KEY].get("view") or {}
    if isinstance(view.get("start"), int | float):
        st.session_state[TIME_KEY] = max(0.0, round(float(view["start"]), 1))


def _jump() -> None:
    st.session_state[JUMP_KEY] = st.session_state.get(JUMP_KEY, 0) + 1


def view_bytes(trace: Trace, asked: Any, *, token: str, lead: int, start_s: float) -> bytes:
    """Return the view that the browser asked for; the first, where it has not asked yet.

    Args:
        trace: What is shown.
        asked: What the browser wants: ``token``, ``id``, ``kinds``, ``px_per_s``, ``span`` in
            seconds, and ``parts``, a list of ``[lead, start_s, end_s]``.
        token: Names the trace.
        lead: Which lead is shown where it is one.
        start_s: Where the paper begins, if the browser has not said so.
    """
    if not isinstance(asked, dict) or asked.get("token") != token:
        asked = _first_view(trace, start_s, lead)
    parts = [Part(int(i), float(a), float(b)) for i, a, b in asked["parts"]]
    budget = BUDGET_BYTES
    if asked["span"] <= READING_S:
        rows = sum(part.end_s - part.start_s for part in parts) / max(asked["span"], 1e-9)
        budget = int(budget * max(1.0, rows / LEADS_IN_BUDGET))
    return pack(
        [trace.layers[kind] for kind in asked["kinds"] if kind in trace.layers],
        parts,
        px_per_s=float(asked["px_per_s"]),
        peaks_s=trace.peaks_s,
        refused=trace.refused,
        budget=budget,
        token=token,
        id=int(asked.get("id", 0)),
        start=start_s,
        jumps=int(st.session_state.get(JUMP_KEY, 0)),
    )


def _first_view(trace: Trace, start: float, lead: int) -> dict[str, Any]:
    span = min(FIRST_SPAN_S, trace.duration_s)
    layout = _layouts(trace)[0]["key"]
    leads = [lead] if layout == "one" else range(len(trace.leads))
    return {
        "kinds": ["clean"],
        "px_per_s": FIRST_PX_PER_S,
        "span": span,
        "parts": [[i, start, start + span] for i in leads],
    }

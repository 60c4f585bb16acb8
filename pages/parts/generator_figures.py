"""The study's figures of realism -> both generators beside real beats, and which one is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.study import Study
from pages.parts import figures_table
from pages.parts.words import GENERATOR_WORDS, interval, share

SHOWN: dict[str, str] = {
    "discriminative/features": "Judge on features: share told right (0.5: cannot tell)",
    "discriminative/waveform": "Judge on waveforms",
    "discriminative/residual": "Judge on the rest beside the mean beat",
    "discriminative/boosting": "Gradient boosting on all of these",
    "discriminative/cnn": "Convolutional judge",
    "sequences/boosting": "Judge of ten beats in a row",
    "tstr": "Learned on generated, tested on another recording: named right",
    "tstr_cnn_lstm": "The same by the CNN-LSTM",
    "obedience": "Asked for a person, it is that person",
    "spread": "Spread within a person (1: as real)",
    "prd": "Mean beat's difference (PRD, %)",
    "privacy/near_copies": "Near copies of train beats",
    "privacy/membership": "Telling who was learned from (AUC, 0.5: safe)",
}
NAMES = {"gan": "GAN", "mixture": "Mixture"}
LONE_JUDGES = tuple(path for path in SHOWN if path.startswith("discriminative/"))
ASKED: dict[str, tuple[str, ...]] = {
    "Best judge of lone beats, right": LONE_JUDGES,
    "Judge of ten beats in a row, right": ("sequences/boosting",),
    "Named right, after learning from generated beats": ("tstr",),
    "Asked for a person, it is that person": ("obedience",),
    "Near copies of beats it learned from": ("privacy/near_copies",),
}
"""Question in a few words -> the figures that answer it, of which the highest counts."""


def draw(study: Study) -> None:
    """Draw which generator is better, the few figures that matter, and all others on demand."""
    figures = study.figures() or {}
    realism = figures.get("realism") or {}
    if realism:
        draw_better(realism.get("better"))
        draw_words(realism)
        draw_asked(realism)
        st.caption(
            f"{figures['protocol']}. Below each figure its 95 % interval over subjects, in "
            "percent. Good is what comes close to the last column: real beats in the same place."
        )
        with st.expander("More judges and measures"):
            draw_table(realism)
        with st.expander("Every figure with its protocol"):
            figures_table.draw_table(study, only="realism")
    else:
        st.info("Not measured yet: how close generated beats come to real ones.")
    figures_table.draw_button(study, only="realism")


def draw_better(better: Mapping[str, Any] | None) -> None:
    """Say which generator is better for the study's data, and why."""
    if not better:
        return
    model = better.get("model")
    said = f"Better for these data: {GENERATOR_WORDS[model]}." if model else "Neither is better."
    why = str(better.get("why", ""))
    st.success(f"**{said}** {why[:1].upper()}{why[1:]}.", icon=":material/balance:")


def draw_words(realism: Mapping[str, Any]) -> None:
    """Say in sentences how close the better generator, or the first, comes to real beats."""
    model = (realism.get("better") or {}).get("model") or next(n for n in NAMES if realism.get(n))
    said = []
    lone, row = (strongest(realism[model], ASKED[words]) for words in list(ASKED)[:2])
    if lone:
        said.append(
            f"Of lone beats, the best of {len(LONE_JUDGES)} judges tells "
            f"**{share(lone['value'])}** right (real from real: {share(lone.get('ceiling'))}; a "
            "coin: 50 %)."
        )
    if row:
        said.append(
            f"Of ten beats in a row, a judge tells **{share(row['value'])}** right (real from "
            f"real: {share(row.get('ceiling'))})."
        )
    taught = strongest(realism[model], ("tstr",))
    if taught:
        said.append(
            f"Who learns from generated beats alone names **{share(taught['value'])}** of real "
            "beats of another recording (who learns from real ones: "
            f"{share(taught.get('ceiling'))})."
        )
    if said:
        st.markdown(f"{GENERATOR_WORDS[model]}: {' '.join(said)}")


def strongest(figures: Mapping[str, Any], paths: tuple[str, ...]) -> Mapping[str, Any] | None:
    """Return the figure with the highest value among some; None if none was measured."""
    found = [figure for path in paths if (figure := _at(figures, path))]
    return max(found, key=lambda figure: figure["value"], default=None)


def draw_asked(realism: Mapping[str, Any]) -> None:
    """Draw the few figures that matter, with their intervals, and what real beats reach."""
    models = [name for name in NAMES if realism.get(name)]
    rows: dict[str, list[str]] = {}
    for words, paths in ASKED.items():
        found = [strongest(realism[name], paths) for name in models]
        if any(found):
            beside = next((f for f in found if f and "ceiling" in f), {})
            rows[words] = [
                *(_cell(f["value"], f.get("interval")) if f else "" for f in found),
                _cell(beside.get("ceiling"), beside.get("ceiling_interval")) if beside else "",
            ]
    columns = [*(NAMES[name] for name in models), "Real beats"]
    figures_table.draw_small("Figure", rows, columns, alt="Generators beside real beats")


def draw_table(realism: Mapping[str, Any]) -> None:
    """Draw more figures of both generators, and what real beats score in their place."""
    models = [name for name in NAMES if realism.get(name)]
    rows: dict[str, list[str]] = {}
    for path, words in SHOWN.items():
        found = [_at(realism[name], path) for name in models]
        if any(found):
            ceiling = next((f["ceiling"] for f in found if f and "ceiling" in f), None)
            rows[words] = [_told(f["value"] if f else None) for f in found] + [_told(ceiling)]
    columns = [*(NAMES[name] for name in models), "Real beats"]
    figures_table.draw_small("Figure", rows, columns, alt="More figures beside those of real beats")


def _cell(value: float | None, ends: Any) -> str:
    return f"{share(value)}  \n:small[{interval(ends)}]" if ends else share(value)


def _at(figures: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    node: Any = figures
    for key in path.split("/"):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) and node.get("value") is not None else None


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"

"""The study's figures of realism -> both generators beside real beats, and which one is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.study import Study
from pages.parts import figures_table
from pages.parts.words import GENERATOR_WORDS

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


def draw(study: Study) -> None:
    """Draw which generator is better, both in a small table, and every figure on demand."""
    realism = (study.figures() or {}).get("realism") or {}
    if realism:
        draw_better(realism.get("better"))
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


def draw_table(realism: Mapping[str, Any]) -> None:
    """Draw the figures of both generators, and what real beats score in their place."""
    models = [name for name in NAMES if realism.get(name)]
    rows: dict[str, list[str]] = {}
    for path, words in SHOWN.items():
        found = [_at(realism[name], path) for name in models]
        if any(found):
            ceiling = next((f["ceiling"] for f in found if f and "ceiling" in f), None)
            rows[words] = [_told(f["value"] if f else None) for f in found] + [_told(ceiling)]
    columns = [*(NAMES[name] for name in models), "Real beats"]
    figures_table.draw_small("Figure", rows, columns, alt="Generators beside real beats")
    st.caption("Good is what comes close to the last column: real beats in the same place.")


def _at(figures: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    node: Any = figures
    for key in path.split("/"):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node if isinstance(node, Mapping) and node.get("value") is not None else None


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"

"""`core.options` -> widgets, each with its range, and back to plain values."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from core.options import PrepareOptions
from core.partitions import SPLIT_WORDS

WIDE_RANGE = 20.0
"""Upper limit from which a number is stepped by whole units."""
MAIN = ("split", "subject_from", "source_rate", "leads")
WORDS: dict[str, dict[str, str]] = {
    "split": {name: f"{name}: {words.split(': ', 1)[-1]}" for name, words in SPLIT_WORDS.items()},
    "subject_from": {
        "None": "manifest, else the file's header, else its folder",
        "header": "the file's header",
        "folder": "the folder's name",
        "file": "the file's name",
    },
}


def prepare_options() -> dict[str, Any]:
    """Draw a widget an option of `PrepareOptions`; return the values that were chosen."""
    fields = PrepareOptions.model_fields
    values = {name: _widget(name, fields[name]) for name in MAIN if name != "leads"}
    values["leads"] = _leads()
    with st.expander("Filters and windows"), st.grid(3):
        for name, field in fields.items():
            if name not in MAIN:
                values[name] = _widget(name, field)
    return values


def _widget(name: str, field: FieldInfo) -> Any:
    label = field.description or name
    choices = _choices(field.annotation)
    key = f"option-{name}"
    if choices:
        words = WORDS.get(name, {})
        return st.selectbox(
            label,
            choices,
            index=choices.index(field.default),
            format_func=lambda value: words.get(str(value), str(value)),
            key=key,
        )
    limits = {type(m).__name__.lower(): m for m in field.metadata}
    low, high = float(limits["ge"].ge), float(limits["le"].le)
    return st.number_input(
        label,
        min_value=low,
        max_value=high,
        value=field.default,
        step=1.0 if high >= WIDE_RANGE else 0.05,
        format="%g",
        placeholder="as the files tell",
        help=f"From {low:g} to {high:g}",
        key=key,
    )


def _choices(annotation: Any) -> list[Any]:
    """Return the values of a Literal, with None where it may be left open; empty for a number."""
    arguments = get_args(annotation)
    if type(None) in arguments:
        inner = [value for a in arguments for value in get_args(a)]
        return [None, *inner] if inner else []
    return [a for a in arguments if not isinstance(a, type)]


def _leads() -> list[str] | str | None:
    text = st.text_input(
        PrepareOptions.model_fields["leads"].description or "Leads",
        placeholder="such as I, II, or all",
        key="option-leads",
    ).strip()
    if not text:
        return None
    return "all" if text.casefold() == "all" else [n.strip() for n in text.split(",") if n.strip()]

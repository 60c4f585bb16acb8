"""`core.options` -> widgets, each with its range, and back to plain values."""

from __future__ import annotations

import re
from typing import Any, get_args

import streamlit as st
from pydantic.fields import FieldInfo

from core.options import PrepareOptions, PreprocessingOptions, option_flag
from core.partitions import SPLIT_WORDS

WIDE_RANGE = 20.0
"""Upper limit from which a number is stepped by whole units."""
MAIN = ("split", "subject_from", "source_rate", "leads")
CLEANING = tuple(PreprocessingOptions.model_fields)
WORDS: dict[str, dict[str, str]] = {
    "split": {name: f"{name}: {words.split(': ', 1)[-1]}" for name, words in SPLIT_WORDS.items()},
    "subject_from": {
        "None": "manifest, else the file's header, else its folder",
        "header": "the file's header",
        "folder": "the folder's name",
        "file": "the file's name",
    },
}


def reading_options() -> dict[str, Any]:
    """Draw how files are read and split; return the values that were chosen."""
    fields = PrepareOptions.model_fields
    values: dict[str, Any] = {}
    with st.grid(4, min_column_width=190):
        for name in MAIN:
            values[name] = _leads() if name == "leads" else _widget(name, fields[name])
    return values


def cleaning_options(start: PreprocessingOptions, *, scope: str = "option") -> dict[str, Any]:
    """Draw how a signal is cleaned and cut into beats; return the values that were chosen.

    Args:
        start: What the widgets begin with.
        scope: Begins the widgets' keys.
    """
    fields = PreprocessingOptions.model_fields
    with st.grid(2, min_column_width=130):
        return {
            name: _widget(name, fields[name], value=getattr(start, name), scope=scope)
            for name in CLEANING
        }


def in_words(message: str) -> str:
    """Return a message with options named as the form names them, not as the command line does."""
    message = re.sub(r",? such as --[\w-]+ \S+", "", message)
    for name, field in PrepareOptions.model_fields.items():
        flag = re.escape(option_flag(name))
        label = (field.description or name).partition(", in ")[0]
        message = re.sub(rf"{flag}(?![\w-])", f"\u2018{label}\u2019", message)
    return message


def _widget(name: str, field: FieldInfo, *, value: Any = None, scope: str = "option") -> Any:
    label = field.description or name
    choices = _choices(field.annotation)
    key = f"{scope}-{name}"
    value = field.default if value is None else value
    if choices:
        words = WORDS.get(name, {})
        return st.selectbox(
            label,
            choices,
            index=choices.index(value),
            format_func=lambda value: words.get(str(value), str(value)),
            key=key,
            persist_state="page",
        )
    limits = {type(m).__name__.lower(): m for m in field.metadata}
    low, high = float(limits["ge"].ge), float(limits["le"].le)
    return st.number_input(
        label,
        min_value=low,
        max_value=high,
        value=value,
        step=1.0 if high >= WIDE_RANGE else 0.05,
        format="%g",
        placeholder="as the files tell",
        help=f"From {low:g} to {high:g}",
        key=key,
        persist_state="page",
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
        persist_state="page",
    ).strip()
    if not text:
        return None
    return "all" if text.casefold() == "all" else [n.strip() for n in text.split(",") if n.strip()]

"""What beats are coloured or grouped by: the choice of it, and the groups."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core.labels import are_several
from core.plots import points
from core.plots.points import Group
from core.recording import StrArray
from core.study import Study
from pages.parts import content, generated, job_panel, selection
from pages.parts.planes import Cloud

SUBJECT, SESSION, LABEL, PART, KIND = "subject", "session", "label", "partition", "kind"
WORDS = {
    SUBJECT: "Subject",
    SESSION: "Session",
    LABEL: "Label",
    PART: "Part",
    KIND: "Real or generated",
}


def generated_files(study: Study) -> list[Path]:
    """Return the file of generated beats that was finished last; none if there never was any."""
    for job in generated.beat_jobs(study):
        path = generated.file_of(study, job)
        if job.status == job_panel.DONE and path.is_file():
            return [path]
    return []


def draw_no_generated() -> None:
    """Say that there are no generated beats yet, and where they come from."""
    st.info("This study has no generated beats yet.")
    st.page_link(
        "pages/generation.py", label="Generate some on Generation", icon=":material/vital_signs:"
    )


def columns(study: Study) -> list[str]:
    """Return what beats can be grouped by: sessions and labels where there are some."""
    kept = content.kept_beats(study)
    found = [SUBJECT]
    if (kept["session"] != "").any():
        found.append(SESSION)
    if are_several(kept["label"].unique()):
        found.append(LABEL)
    return [*found, PART, KIND]


def pick(study: Study, files: Sequence[Path], *, key: str) -> str:
    """Let the user choose what beats are grouped by."""
    chosen = st.selectbox(
        "Colour" if key.startswith("points") else "Group",
        columns(study),
        format_func=WORDS.__getitem__,
        key=key,
        persist_state="session",
    )
    return str(chosen)


def pick_subject(study: Study) -> str:
    """Let the user choose a subject; a study has at least one."""
    return selection.pick_subject(study.subjects) or ""


def pick_only(column: str, subject: str) -> bool:
    """Let the user choose whether only one subject is in colour: of sessions, at first it is."""
    return st.toggle(
        f"Only {subject}",
        value=column == SESSION,
        key=f"points-only-{column}",
        persist_state="session",
    )


def names_in(table: pd.DataFrame, column: str) -> StrArray:
    """Return the group (n,) of each row of a table of beats; a session is that of its subject."""
    values = table[column].to_numpy(dtype=np.str_)
    if column == SESSION:
        subjects = table[SUBJECT].to_numpy(dtype=np.str_)
        values = np.char.add(np.char.add(subjects, ", "), np.where(values == "", "none", values))
    return np.where(values == "", "none", values)


def is_of(group: str, subject: str, column: str) -> bool:
    """Tell whether a group is that of a subject, or of one of the subject's sessions."""
    return (
        group == subject
        if column == SUBJECT
        else column == SESSION and group.startswith(f"{subject}, ")
    )


def groups(cloud: Cloud, column: str, subject: str, *, only: bool) -> list[Group]:
    """Return the groups of a cloud's points.

    Args:
        cloud: Of the points.
        column: What they are coloured by.
        subject: Who is chosen: always named where subjects are.
        only: Whether everybody else is grey.
    """
    whose = cloud.table[SUBJECT].to_numpy(dtype=np.str_)
    own = whose == subject
    if column == KIND:
        made = np.unique(whose[cloud.synthetic])
        compared = np.isin(whose, made) & (own | (not only))
        return points.real_and_generated(cloud.synthetic, compared)
    names = names_in(cloud.table, column)
    chosen = subject if column == SUBJECT else ""
    return points.groups_of(names, shown=own if only else None, chosen=chosen)

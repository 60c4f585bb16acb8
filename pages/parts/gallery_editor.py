"""The gallery of a study: who may be named; enrol, remove, undo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core import jobs, workflow
from core.gallery import GALLERY_FILE, GALLERY_FOLDER, check_name, list_gallery
from core.jobs import JobState
from core.study import Study
from pages.parts import content, job_panel, probe_choice
from pages.parts.words import count

REFRESH_KEY = "gallery-refresh"


def draw(study: Study) -> None:
    """Draw who is in the gallery, and how to change that."""
    gallery = list_gallery(study)
    _draw_last_change(study, gallery)
    busy = any(job.active and job.verb in jobs.WRITERS for job in jobs.list_jobs(study.folder))
    _draw_table(gallery)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("Enrol somebody")
        _draw_enrolment(study, gallery, busy=busy)
    with right:
        st.header("Take out")
        _draw_removal(study, gallery, busy=busy)
        st.header("Refresh")
        st.toggle(
            "Confident recordings join",
            key=REFRESH_KEY,
            persist_state="session",
        )
        st.caption(
            "When on, a recording that is named with more than usual confidence becomes a "
            "further template of that person. It can be undone."
        )


def _draw_last_change(study: Study, gallery: Mapping[str, Any]) -> None:
    """Draw an enrolment that runs or failed, what was changed last, and the way back."""
    job = job_panel.newest(study.folder, "enroll")
    if job is not None and job.status != job_panel.DONE:
        job_panel.panel(study.folder, job, key="enroll")
    if not gallery["undo"]:
        return
    if job is not None and job.finished and _changed_at(study) <= job.finished:
        _draw_enrolled(jobs.read_job(study.folder, job.id))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Last change: {gallery['undo']}.", width="content")
        if st.button("Undo", icon=":material/undo:", key="gallery-undo"):
            _change(lambda: workflow.undo_gallery(study.folder), "Undone")


def _changed_at(study: Study) -> float:
    """Return when the gallery was changed last, in seconds since 1970."""
    return (study.folder / GALLERY_FOLDER / GALLERY_FILE).stat().st_mtime


def _draw_enrolled(job: JobState) -> None:
    """Draw what an enrolment did, in a sentence, with what is worth knowing."""
    found = job.result
    if job.status != job_panel.DONE or not found:
        return
    taken = [one for one in found["enrolled"] if not one["reason"]]
    beats = sum(one["beats"] for one in taken)
    st.success(
        f"{found['subject']} is enrolled with {count(beats, 'beat')}, "
        f"{count(found['templates'], 'enrolled template')} in all; "
        f"{found['gallery']} people are in the gallery. Nothing was trained."
    )
    refused = [
        f"{Path(one['file']).name}: {one['reason']}." for one in found["enrolled"] if one["reason"]
    ]
    for remark in (*refused, *found["remarks"]):
        st.caption(remark)


def _draw_table(gallery: Mapping[str, Any]) -> None:
    people = gallery["subjects"]
    enrolled = sum(any(t["id"] is not None for t in one["templates"]) for one in people)
    words = (
        f"{len(people)} people may be named; {enrolled or 'nobody'} enrolled since the training."
    )
    if gallery["removed"]:
        words += f" Taken out: {', '.join(gallery['removed'])}."
    st.markdown(words)
    st.dataframe(
        pd.DataFrame([_row(one) for one in people]),
        hide_index=True,
        alt="Who is in the gallery, with templates, sessions and beats",
    )


def _row(person: Mapping[str, Any]) -> dict[str, Any]:
    templates = person["templates"]
    origins = list(dict.fromkeys(template["origin"] for template in templates))
    added = max((template["added"] or "" for template in templates), default="")
    return {
        "Person": person["subject"],
        "Known by": ", ".join(origins),
        "Templates": len(templates),
        "Beats": sum(template["beats"] for template in templates),
        "Added": _local(added) if added else "",
        "Sessions": ", ".join(person["sessions"]),
    }


def _local(moment: str) -> str:
    """Return the day of a moment in UTC, where the page is run."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d")


def _draw_enrolment(study: Study, gallery: Mapping[str, Any], *, busy: bool) -> None:
    known = {one["subject"] for one in gallery["subjects"]}
    strangers = _recordings_of_strangers(study, known)
    make_file, recording = probe_choice.choose_to_enrol(study, list(strangers), key="enrol")
    name = st.text_input(
        "Name",
        value=strangers.get(recording or "", ""),
        key=f"enrol-name-{recording or ''}",
        help="A new name, or somebody who is there and gets a further template.",
    )
    pressed = st.button(
        "Enrol",
        icon=":material/person_add:",
        key="enrol",
        disabled=busy or make_file is None or not name.strip(),
    )
    if pressed and make_file is not None:
        with job_panel.one_sentence():
            subject = check_name(name)
            job_panel.submit(study.folder, "enroll", files=[str(make_file())], subject=subject)
            st.rerun()
    if busy:
        st.caption("Wait until the change that runs is finished.")
    elif make_file is None or not name.strip():
        st.caption("Choose a recording and a name, then enrol.")
    st.caption("One recording is enough; nothing is trained.")


def _recordings_of_strangers(study: Study, known: set[str]) -> dict[str, str]:
    """Return recordings of the test part and whose they are, of people not in the gallery."""
    kept = content.kept_beats(study)
    test = kept[(kept["partition"] == "test") & ~kept["subject"].isin(known)]
    return dict(zip(test["recording_name"], test["subject"], strict=True))


def _draw_removal(study: Study, gallery: Mapping[str, Any], *, busy: bool) -> None:
    choices = _removable(gallery["subjects"])
    chosen = st.selectbox("Who", list(choices), key="remove-who")
    if st.button(
        "Take out",
        icon=":material/person_remove:",
        key="remove",
        disabled=busy or len(choices) < 2,
        help="At least one person stays in the gallery."
        if len(choices) < 2
        else "It can be undone.",
    ):
        asked = choices[chosen]
        _change(lambda: workflow.remove_enrolled(study.folder, **asked), f"{chosen} is out")


def _removable(people: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return who can be taken out: each person, and each template that was enrolled."""
    choices: dict[str, dict[str, Any]] = {}
    for one in people:
        choices[one["subject"]] = {"subject": one["subject"]}
        enrolled = [t for t in one["templates"] if t["id"] is not None]
        if len(one["templates"]) > 1:
            for template in enrolled:
                words = f"{one['subject']}, only {template['file']} ({_local(template['added'])})"
                choices[words] = {"template": template["id"]}
    return choices


def _change(change: Callable[[], Any], words: str) -> None:
    """Change the gallery at once, which needs no model, and say so."""
    with job_panel.one_sentence():
        change()
        st.toast(words)
        st.rerun()

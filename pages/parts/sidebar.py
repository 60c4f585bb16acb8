"""The workspace's studies -> the one that all pages show; new, demo, delete, undo."""

from __future__ import annotations

import shutil
from pathlib import Path

import streamlit as st

from core import jobs, workflow
from core.errors import UserError
from core.study import STUDY_FILE, Study
from pages.parts import job_panel
from pages.parts.content import open_study
from pages.parts.workspace import (
    DEMO,
    StudyEntry,
    go_on_with_demo,
    list_studies,
    start_demo,
    studies_folder,
)

STUDY_KEY = "study"
NEXT_KEY = "next_study"
DELETED_KEY = "deleted_study"
NEW_KEY = "new_study"
UNREADY_KEY = "unready_studies"
RECORDINGS_PAGE = "pages/recordings.py"


def go_to(folder: Path) -> None:
    """Choose a study from the next run on."""
    st.session_state[NEXT_KEY] = folder.name
    st.session_state[NEW_KEY] = False


def leave_new() -> None:
    """Go back from making a new study to the one that is chosen."""
    st.session_state[NEW_KEY] = False


def draw() -> None:
    """Draw the study picker into the sidebar."""
    with st.sidebar:
        entries = list_studies()
        titles = {entry.folder.name: _title(entry) for entry in entries}
        st.session_state[UNREADY_KEY] = [e.folder.name for e in entries if not e.prepared]
        following = st.session_state.pop(NEXT_KEY, None)
        if following in titles:
            st.session_state[STUDY_KEY] = following
        elif st.session_state.get(STUDY_KEY) not in titles:
            st.session_state.pop(STUDY_KEY, None)
        if titles:
            st.selectbox(
                "Study",
                list(titles),
                key=STUDY_KEY,
                bind="query-params",
                format_func=lambda name: titles.get(name, name),
                on_change=leave_new,
            )
        with st.container(horizontal=True):
            if st.button("New", icon=":material/add:", help="Make a study of your recordings"):
                st.session_state[NEW_KEY] = True
                st.switch_page(RECORDINGS_PAGE)
            if DEMO not in titles and st.button(
                "Demo", icon=":material/play_circle:", help="A study of a simulated cohort"
            ):
                start_demo()
                go_to(studies_folder() / DEMO)
                st.rerun()
            if titles:
                _draw_delete(st.session_state[STUDY_KEY])
        _draw_undo()


def _title(entry: StudyEntry) -> str:
    title = entry.title
    if entry.simulated and "simulated" not in title.casefold():
        title += " (simulated)"
    return title if entry.prepared else f"{title}, not ready"


def _draw_delete(name: str) -> None:
    folder = studies_folder() / name
    if not st.button("Delete", icon=":material/delete:", help="It can be undone"):
        return
    with job_panel.one_sentence():
        if any(job.active for job in jobs.list_jobs(folder)):
            raise UserError(name, "a job of it is running", "Cancel it first, or wait for it")
        if (folder / STUDY_FILE).is_file():
            workflow.delete_study(folder)
            st.session_state[DELETED_KEY] = name
        else:
            shutil.rmtree(folder, ignore_errors=True)
        st.rerun()


def _draw_undo() -> None:
    name = st.session_state.get(DELETED_KEY)
    if name is None:
        return
    st.caption(f"{name} is deleted.")
    if st.button("Undo", icon=":material/undo:"):
        with job_panel.one_sentence():
            workflow.restore_study(studies_folder() / name)
            del st.session_state[DELETED_KEY]
            go_to(studies_folder() / name)
            st.rerun()


def chosen_folder() -> Path | None:
    """Return the folder of the study that was chosen; None if there is none."""
    name = st.session_state.get(STUDY_KEY)
    if name is None or name not in {entry.folder.name for entry in list_studies()}:
        return None
    return studies_folder() / str(name)


def draw_empty() -> None:
    """Say that there is no study, and what to do."""
    st.info("There is no study yet. Upload recordings to make one, or start the demo.")
    if st.button("Start the demo", icon=":material/play_circle:", key="start-demo"):
        start_demo()
        go_to(studies_folder() / DEMO)
        st.rerun()


def chosen_study() -> Study | None:
    """Return the study that was chosen, or show why there is none and what to do about it."""
    folder = chosen_folder()
    if folder is None:
        draw_empty()
        st.page_link(RECORDINGS_PAGE, label="Upload recordings", icon=":material/upload:")
        return None
    try:
        study = open_study(folder)
    except UserError as error:
        _show_unprepared(folder, error)
        return None
    if folder.name in st.session_state.get(UNREADY_KEY, ()):
        st.rerun()
    if folder.name == DEMO:
        go_on_with_demo()
    if study.info.simulated or folder.name == DEMO:
        st.badge("Simulated cohort: nobody was measured", icon=":material/science:", color="orange")
    return study


def _show_unprepared(folder: Path, error: UserError) -> None:
    job = job_panel.newest(folder, "prepare", "demo")
    if job is None or job.status == job_panel.DONE:
        st.error(str(error))
        return
    job_panel.panel(folder, job, key="prepare")
    if job.resumable:
        st.caption("Resume it, upload the recordings again under another name, or discard it.")
        if st.button("Discard", icon=":material/delete:", key="discard"):
            shutil.rmtree(folder, ignore_errors=True)
            st.rerun()


def draw_untrained(study: Study, model: str, words: str) -> None:
    """Say that a model is not trained yet: show the training if it runs, else where to begin it."""
    training = job_panel.newest(study.folder, "train")
    if training is not None:
        job_panel.panel(study.folder, training, key=f"untrained-{model}")
    if training is None or not training.active:
        st.info(words)
        st.page_link("pages/training.py", label="Train the models", icon=":material/school:")

"""The workspace's studies -> the one that all pages show; new, demo, delete, undo."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

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
    labels,
    list_studies,
    start_demo,
    studies_folder,
)

STUDY_KEY = "study"
NEXT_KEY = "next_study"
DELETED_KEY = "deleted_study"
NEW_KEY = "new_study"
UNREADY_KEY = "unready_studies"
UNKNOWN_KEY = "unknown_study"
"""What the address asked for, and nobody has."""
LABEL_KEY = "study_label"
AGAIN_KEY = "prepare_again"
RECORDINGS_PAGE = "pages/recordings.py"


@dataclass(frozen=True)
class Again:
    """Files whose preparation failed, and the folder that was to become their study."""

    sources: Path
    failed: Path


def go_to(folder: Path) -> None:
    """Choose a study from the next run on."""
    st.session_state[NEXT_KEY] = folder.name
    st.session_state[NEW_KEY] = False


def switch_to(page: str) -> NoReturn:
    """Open another page; the study and what else the address holds stay chosen.

    Without `query_params`, Streamlit would clear the address, and refuses to where it is bound;
    from a page to itself, it would clear it even so.
    """
    if (st.context.url or "").rstrip("/").endswith(f"/{Path(page).stem}"):
        st.rerun()
    st.switch_page(page, query_params={})


def leave_new() -> None:
    """Go back from making a new study to the one that is chosen."""
    st.session_state[NEW_KEY] = False


def _choose() -> None:
    leave_new()
    st.session_state.pop(UNKNOWN_KEY, None)


def draw() -> None:
    """Draw the study picker into the sidebar."""
    with st.sidebar:
        entries = list_studies()
        titles = labels(entries)
        st.session_state[UNREADY_KEY] = [e.folder.name for e in entries if not e.prepared]
        _follow_link(entries, titles)
        following = st.session_state.pop(NEXT_KEY, None)
        if following in titles:
            st.session_state[STUDY_KEY] = following
        elif st.session_state.get(STUDY_KEY) not in titles:
            st.session_state[STUDY_KEY] = next(iter(titles), None)
        _renew_label(titles)
        if titles:
            # Without a default, the address holds every choice, also that of the first study.
            chosen = st.selectbox(
                "Study",
                list(titles),
                index=None,
                required=True,
                key=STUDY_KEY,
                bind="query-params",
                format_func=lambda name: titles.get(name, name),
                on_change=_choose,
            )
            if chosen is None:
                # "Back" to an address without a study.
                st.rerun()
        with st.container(horizontal=True):
            if st.button("New", icon=":material/add:", help="Make a study of your recordings"):
                st.session_state.pop(AGAIN_KEY, None)
                st.session_state[NEW_KEY] = True
                switch_to(RECORDINGS_PAGE)
            if DEMO not in titles and st.button(
                "Demo", icon=":material/play_circle:", help="A study of a simulated cohort"
            ):
                start_demo()
                go_to(studies_folder() / DEMO)
                st.rerun()
            if titles:
                _draw_delete(st.session_state[STUDY_KEY])
        _draw_undo()
        job_panel.draw_running()


def _renew_label(titles: dict[str, str]) -> None:
    """Have the browser told again what is chosen, where a study's title has changed."""
    chosen = st.session_state.get(STUDY_KEY)
    label = titles.get(str(chosen))
    if st.session_state.get(LABEL_KEY) not in (None, label):
        st.session_state[STUDY_KEY] = chosen
    st.session_state[LABEL_KEY] = label


def _follow_link(entries: list[StudyEntry], titles: dict[str, str]) -> None:
    """Take the study that the address of a new session names, by its title or its folder."""
    if STUDY_KEY in st.session_state:
        return
    asked = st.query_params.get(STUDY_KEY)
    if not titles or asked in titles.values():
        return
    plain = [e.folder.name for e in entries if asked in (e.folder.name, e.title)]
    if len(plain) == 1:
        st.session_state[STUDY_KEY] = plain[0]
    elif asked is not None:
        st.session_state[UNKNOWN_KEY] = asked
    # The widget writes to the address what a user chooses, not what it begins with.
    chosen = st.session_state.setdefault(STUDY_KEY, next(iter(titles)))
    st.query_params[STUDY_KEY] = titles[chosen]
    if asked is not None:
        # The widget clears an address that it refuses, as the run found it: begin anew.
        st.rerun()


def tell_unknown() -> None:
    """Say that the study of the address is not here, until another one is chosen."""
    asked = st.session_state.get(UNKNOWN_KEY)
    if asked:
        st.warning(str(UserError(asked, "is no study of this workspace", "Choose one of the list")))


def _draw_delete(name: str) -> None:
    folder = studies_folder() / name
    ready = (folder / STUDY_FILE).is_file()
    words = "It can be undone" if ready else "It is not ready: this cannot be undone"
    if not st.button("Delete", icon=":material/delete:", help=words):
        return
    with job_panel.one_sentence():
        if any(job.active for job in jobs.list_jobs(folder)):
            raise UserError(name, "a job of it is running", "Cancel it first, or wait for it")
        if ready:
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
    tell_unknown()
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
        st.caption("Resume it, change its options, or discard it.")
        with st.container(horizontal=True):
            _draw_again(folder, job)
            if st.button("Discard", icon=":material/delete:", key="discard"):
                shutil.rmtree(folder, ignore_errors=True)
                st.rerun()


def _draw_again(folder: Path, job: jobs.JobState) -> None:
    """Offer to prepare the files of a failed job with other options; they need no second upload."""
    sources = [Path(source) for source in job.arguments.get("sources", ())]
    if len(sources) != 1 or not sources[0].is_dir():
        return
    if st.button("Change the options", icon=":material/tune:", key="change-options"):
        st.session_state[AGAIN_KEY] = Again(sources[0], folder)
        st.session_state["new-title"] = job.arguments.get("name") or folder.name
        for name, value in (job.arguments.get("options") or {}).items():
            if value is not None:
                told = ", ".join(value) if isinstance(value, list | tuple) else value
                st.session_state[f"option-{name}"] = told
        st.session_state[NEW_KEY] = True
        switch_to(RECORDINGS_PAGE)


def draw_untrained(study: Study, model: str, words: str) -> None:
    """Say that a model is not trained yet: show the training if it runs, else where to begin it."""
    training = job_panel.newest(study.folder, "train")
    if training is not None:
        job_panel.panel(study.folder, training, key=f"untrained-{model}")
    if training is None or not training.active:
        st.info(words)
        st.page_link("pages/training.py", label="Train the models", icon=":material/school:")

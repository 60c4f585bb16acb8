"""Uploaded files -> a look at what they are and whose, a try of the options, and a new study."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import UserError
from core.options import PrepareOptions, PreprocessingOptions, parse_options
from core.readers import SUPPORTED_FORMATS
from core.readers.check import Checked, Found, Refused, check_folder, manifest_text, write_manifest
from core.readers.sources import MANIFEST
from pages.parts import cleaning_preview, job_panel, options_form, sidebar, uploads, workspace
from pages.parts.looks import emphasis
from pages.parts.words import count

MOST_WRAPPED = 12
"""Refused files that are told in full; of more, a table that scrolls is less work to read."""
EDITED = ("subject", "session", "label")
EDITS_KEY, TABLE_KEY = "manifest_edits", "manifest_table"
FORMATS = ", ".join(f"{name} ({' '.join(endings)})" for name, endings in SUPPORTED_FORMATS)
EXAMPLE = """my_recordings/
  Ann/  day_1.edf  day_2.edf
  Bob/  rec_1.hea  rec_1.dat
  manifest.csv                 (only where folders do not name the persons)"""
TEMPLATE = "path,subject,session,label\nAnn/day_1.edf,Ann,2024-01-31,\nBob/rec_1.hea,Bob,,\n"


def draw() -> None:
    """Draw the upload, what it holds and the options; begin a job that prepares it."""
    folder = _once_more() or _upload()
    if folder is None:
        return
    options = options_form.reading_options()
    try:
        with st.spinner("Looking at the files ..."):
            written = _written(folder)
            checked = _check(str(folder), written, options["source_rate"], options["subject_from"])
    except UserError as error:
        st.error(options_form.in_words(uploads.without_folder(str(error))))
        return
    rows = _draw_files(folder, checked, options)
    draw_refused(checked.refused)
    st.header("Cleaning, tried on one recording")
    options, fits = _draw_cleaning(folder, rows, options)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        title = st.text_input(
            "Name of the study", value=workspace.free_title(), key="new-title", width=300
        )
        pressed = st.button("Prepare", type=emphasis(), icon=":material/play_arrow:", key="prepare")
    if pressed:
        with job_panel.one_sentence():
            if not fits:
                raise UserError("Options", "do not fit", "Mend what is said above the signal")
            _prepare(title, folder, checked, rows, options)


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _check(folder: str, written: int, source_rate: float | None, subject_from: Any) -> Checked:
    return check_folder(Path(folder), source_rate=source_rate, subject_from=subject_from)


def _written(folder: Path) -> int:
    """Return when the folder's own manifest, which holds corrections, was written; 0 if never."""
    path = folder / MANIFEST
    return path.stat().st_mtime_ns if path.is_file() else 0


def _once_more() -> Path | None:
    """Return the folder of files whose preparation failed, to be tried with other options."""
    again: sidebar.Again | None = st.session_state.get(sidebar.AGAIN_KEY)
    if again is None or not again.sources.is_dir():
        return None
    st.info(f"The files of {again.failed.name} are still here: change the options, prepare again.")
    if st.button("Upload other files instead", icon=":material/upload:", key="other-files"):
        del st.session_state[sidebar.AGAIN_KEY]
        st.rerun()
    return again.sources


def _upload() -> Path | None:
    """Draw the uploader; return the folder where its files are stored, to be looked at."""
    kind = st.segmented_control(
        "What do you upload?",
        ["Files or a zip", "A folder"],
        default="Files or a zip",
        required=True,
        key="upload-kind",
    )
    round_ = st.session_state.setdefault("upload_round", 0)
    files = st.file_uploader(
        "ECG recordings",
        accept_multiple_files="directory" if kind == "A folder" else True,
        key=f"upload-{kind}-{round_}",
        help=f"{FORMATS}. A manifest.csv with columns path, subject, session, label is read, too.",
    )
    st.caption(
        "Folders name the persons: Person_01/rec_1.dat. "
        "An ECG is personal data: it stays in the workspace on this machine."
    )
    incoming: list[uploads.Incoming] = []
    folder: Path | None = None
    with job_panel.one_sentence():
        incoming = uploads.gather(files or [])
        persons = _ask_whose(incoming, uploads.colliding(incoming))
        version = (kind, tuple((f.name, f.size, f.file_id) for f in files or []), persons)
        with st.spinner("Storing the files ..."):
            folder = uploads.stage(uploads.settle(incoming, dict(persons)), version)
    if not files:
        _draw_how()
        _draw_physionet()
    return folder


def _ask_whose(incoming: list[uploads.Incoming], asked: list[int]) -> tuple[tuple[int, str], ...]:
    """Ask whose the files are whose names collide; return the number of each and its person."""
    if len(asked) > uploads.MOST_QUESTIONS:
        raise UserError(
            "Upload",
            f"holds {len(asked)} files with names that come more than once",
            "Upload the folders that they are in, or a zip of them",
        )
    if asked:
        st.warning(
            "Some names come more than once. Say whose each file is, or upload the folders instead."
        )
    persons: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    for i in asked:
        name = str(incoming[i].path)
        seen[name] = seen.get(name, 0) + 1
        label = f"{name}, no. {seen[name]}, {incoming[i].size:,} bytes: whose is it?"
        persons.append((i, st.text_input(label, key=f"person-{i}-{name}")))
    return tuple(persons)


def _draw_how() -> None:
    """Say how files are to lie, before there are any."""
    st.markdown("**How to lay them out:** a folder a person, as many recordings as you have.")
    st.code(EXAMPLE, language=None)
    st.download_button(
        "Manifest to fill in",
        TEMPLATE,
        "manifest.csv",
        "text/csv",
        icon=":material/download:",
        help="Names the person, session and label of each file; put it into the folder",
    )


def _draw_files(folder: Path, checked: Checked, options: dict[str, Any]) -> list[Found]:
    """Draw what was found, to be corrected; return the rows as they were left."""
    loose = [row for row in checked.found if row.path.startswith(f"{uploads.LOOSE}/")]
    rows = list(checked.found)
    if any(row.subject == uploads.LOOSE for row in loose):
        person = st.text_input(
            "Person, for files without a folder that do not name one",
            value=uploads.LOOSE,
            key="loose-person",
            help="Several persons? Correct the table, or choose 'the file's name' above.",
        ).strip()
        rows = [
            replace(row, subject=person or uploads.LOOSE)
            if row in loose and row.subject == uploads.LOOSE
            else row
            for row in rows
        ]
    people = {row.subject for row in rows if row.subject}
    st.markdown(
        f"**{count(len(rows), 'recording')} of {len(people)} "
        f"{'person' if len(people) == 1 else 'people'}**, {len(checked.refused)} files refused. "
        "Correct whose is what here; labels and sessions may stay empty."
    )
    if checked.unread:
        st.caption(f"{checked.unread} of them are read only when they are prepared.")
    edited = _edit(folder, rows, options)
    st.download_button(
        "Download as manifest.csv",
        manifest_text(edited),
        "manifest.csv",
        "text/csv",
        icon=":material/download:",
    )
    return edited


def _edit(folder: Path, rows: list[Found], options: dict[str, Any]) -> list[Found]:
    """Draw the rows as a table with three columns to edit; return them with what was changed.

    What was changed is kept by file, so that it outlives another option and a new table.
    """
    edits: dict[tuple[str, str], dict[str, str]] = st.session_state.setdefault(EDITS_KEY, {})
    own = [_changed(row, edits.get((folder.name, row.path), {})) for row in rows]
    version = str((folder.name, options["source_rate"], options["subject_from"], rows))
    if st.session_state.get(TABLE_KEY, ("",))[0] != version:
        st.session_state[TABLE_KEY] = (version, _table(own))
    base = st.session_state[TABLE_KEY][1]
    edited = st.data_editor(
        base,
        hide_index=True,
        disabled=[name for name in base.columns if name.lower() not in EDITED],
        key=f"manifest-{hash(version)}",
        height="content" if len(rows) < 8 else 300,
        alt="Recordings that were found, and whose they are",
    )
    final: list[Found] = []
    for row, (_, cells) in zip(rows, edited.iterrows(), strict=True):
        told = {name: str(cells[name.capitalize()] or "").strip() for name in EDITED}
        changed = {name: value for name, value in told.items() if value != getattr(row, name)}
        edits[folder.name, row.path] = changed
        final.append(_changed(row, changed))
    return final


def _changed(row: Found, told: dict[str, str]) -> Found:
    return replace(
        row,
        subject=told.get("subject", row.subject),
        session=told.get("session", row.session),
        label=told.get("label", row.label),
    )


def _table(rows: list[Found]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "File": [row.path.removeprefix(f"{uploads.LOOSE}/") for row in rows],
            "Subject": [row.subject for row in rows],
            "Session": [row.session for row in rows],
            "Label": [row.label for row in rows],
            "Leads": [row.leads or ("beats" if row.kind == "beats" else "") for row in rows],
            "Hz": pd.array([row.sampling_rate for row in rows], dtype="Float64"),
            "Seconds": pd.array([row.seconds for row in rows], dtype="Float64"),
        }
    )


def draw_refused(refused: tuple[Refused, ...]) -> None:
    """Draw the files that are not used: which, why, and what to do."""
    if not refused:
        return
    with st.expander(f"{count(len(refused), 'file')} refused", expanded=True):
        table = pd.DataFrame(
            {
                "File": ["/".join(Path(row.path).parts[-2:]) for row in refused],
                "Why it is not used, and what to do": [
                    f"{row.reason[:1].upper()}{row.reason[1:]}. {options_form.in_words(row.fix)}."
                    for row in refused
                ],
            }
        )
        alt = "Files that are not used, why, and what to do"
        if len(refused) <= MOST_WRAPPED:
            st.table(table, border="horizontal", hide_index=True, alt=alt)
        else:
            st.dataframe(table, hide_index=True, alt=alt)


@st.fragment
def _draw_cleaning(
    folder: Path, rows: list[Found], reading: dict[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Draw the other options, and what they make of one recording.

    Returns:
        All options, and whether they fit one another.
    """
    left, right = st.columns([2, 5])
    with left:
        options = reading | options_form.cleaning_options(PreprocessingOptions())
    with right:
        fits = _draw_preview(folder, rows, options)
    return options, fits


def _draw_preview(folder: Path, rows: list[Found], options: dict[str, Any]) -> bool:
    """Draw the chosen options on one recording; return whether they fit one another."""
    names = [row.path for row in rows if row.kind == "recording"]
    if not names:
        st.info("There is no recording to try the options on.")
        return True
    name = st.selectbox(
        "Recording",
        names,
        key="preview-recording",
        format_func=lambda path: path.removeprefix(f"{uploads.LOOSE}/"),
    )
    try:
        parsed = parse_options(PrepareOptions, options)
        recording = cleaning_preview.of_file(folder / name, source_rate=parsed.source_rate)
        version = f"{folder.name}/{name} {parsed.source_rate}"
        cleaning_preview.draw(recording, parsed, version=version)
    except UserError as error:
        st.error(options_form.in_words(uploads.without_folder(str(error))))
        return not error.where.startswith("--")
    return True


def _prepare(
    title: str, folder: Path, checked: Checked, rows: list[Found], options: dict[str, Any]
) -> None:
    parse_options(PrepareOptions, options)
    target = workspace.new_study_folder(title)
    if not rows:
        raise UserError("Upload", "holds no recording that can be read", "See why in the table")
    if tuple(rows) != checked.found:
        write_manifest(folder, rows)
    _begin(target, folder, title, options)


def _begin(target: Path, sources: Path, title: str, options: dict[str, Any]) -> None:
    job_panel.submit(target, "prepare", sources=[str(sources)], options=options, name=title.strip())
    again: sidebar.Again | None = st.session_state.pop(sidebar.AGAIN_KEY, None)
    if again is not None and again.failed != target:
        shutil.rmtree(again.failed, ignore_errors=True)
    uploads.unstage(keep=True)
    st.session_state["upload_round"] = st.session_state.get("upload_round", 0) + 1
    st.session_state.pop(EDITS_KEY, None)
    sidebar.go_to(target)
    st.rerun()


def _draw_physionet() -> None:
    with st.expander("No recordings at hand?"):
        st.markdown(
            "The [ECG-ID Database](https://physionet.org/content/ecgiddb/1.0.0/) has 310 "
            "recordings of 90 persons (Lugovaya 2005, ODC-BY 1.0). Keep this page open meanwhile."
        )
        if not st.button("Get ECG-ID from PhysioNet", icon=":material/download:"):
            return
        with job_panel.one_sentence():
            from core.progress import Progress
            from core.readers.physionet import download_ecgid

            folder = workspace.new_study_folder("ECG-ID")
            bar = st.progress(0.0, text="Asking physionet.org ...")

            def report(progress: Progress) -> None:
                share = progress.done / progress.total if progress.total else 0.0
                bar.progress(share, text=f"{progress.done} of {progress.total} recordings")

            target = download_ecgid(workspace.workspace() / "downloads" / "ecgid", report)
            _begin(folder, target, "ECG-ID", {})

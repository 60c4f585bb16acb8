"""Trace: one recording on ECG paper, measured: of the study, or a file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import streamlit as st

from core import apart
from core import trace as traces
from core.errors import UserError
from core.study import Study
from core.trace import Trace
from pages.parts import (
    content,
    ecg_paper,
    frame,
    job_panel,
    opened_file,
    probe_choice,
    selection,
    sidebar,
    uploads,
)
from pages.parts.looks import emphasis
from pages.parts.probe_choice import OF_FILE, OF_STUDY, Probe

KIND_KEY = "trace-kind"
SHOWN_KEY = "trace-shown"
LONG_S = 3600.0
"""Longer recordings are measured when asked: it takes a while."""
IDENTIFICATION_PAGE, TRAINING_PAGE = "pages/identification.py", "pages/training.py"


@st.cache_resource(max_entries=4, show_spinner="Opening the recording ...", scope="session")
def _of_study(folder: str, fingerprint: str, recording: str, kept: str) -> Trace:
    return traces.of_study(Study.open(Path(folder)), recording, Path(kept))


@st.cache_resource(max_entries=4, show_spinner="Reading the file ...", scope="session")
def _of_file(path: str, stamp: int, folder: str, kept: str) -> Trace:
    options = Study.open(Path(folder)).info.options
    return traces.of_file(Path(path), options, Path(kept), source_rate=options.source_rate)


@st.cache_data(max_entries=8, show_spinner=False, scope="session")
def _measures(token: str, _trace: Trace) -> dict[str, Any]:
    from core.measuring import measure_recording

    return apart.run(measure_recording, _trace.recording(), leads="all")


@st.cache_data(max_entries=2, show_spinner=False, scope="session")
def _print(token: str, _trace: Trace, start_s: float) -> bytes:
    from core.plots.paper_print import PrintOptions, print_recording

    out = _kept("prints") / f"{token}.pdf"
    out.parent.mkdir(parents=True, exist_ok=True)
    apart.run(
        print_recording,
        _trace.recording(),
        out,
        measures=_measures(token, _trace) if _trace.duration_s <= LONG_S else None,
        options=PrintOptions(start_s=start_s),
    )
    return out.read_bytes()


def _kept(*words: object) -> Path:
    """Return a folder of this session for what is made of a recording; it goes as uploads go."""
    name = hashlib.sha256("\n".join(map(str, words)).encode()).hexdigest()[:16]
    return uploads.session_folder() / "traces" / name


def draw_choice(study: Study) -> Probe | None:
    """Let the user choose a recording of the study, or a file; None as long as there is none."""
    kind = st.segmented_control(
        "What to look at",
        [OF_STUDY, OF_FILE],
        default=OF_STUDY,
        required=True,
        label_visibility="collapsed",
        key=KIND_KEY,
        persist_state="session",
    )
    if kind == OF_FILE:
        path = opened_file.draw("trace-upload")
        if path is None:
            st.info("Choose one ECG file: its trace, rate, intervals and quality are shown here.")
        return None if path is None else probe_choice.of_file(path)
    table = study.recordings[study.recordings["usable"]]
    with st.container(horizontal=True):
        subject = selection.pick_subject(list(dict.fromkeys(table["subject"])))
        own = table.loc[table["subject"] == subject, "recording"]
        recording = selection.pick_recording(list(own))
    if recording is None:
        st.info("No recording of this study is usable. Why, is told with the recordings.")
        st.page_link(sidebar.RECORDINGS_PAGE, label="Recordings", icon=":material/folder_open:")
        return None
    return probe_choice.of_recording(study, recording)


def open_trace(study: Study, probe: Probe) -> tuple[Trace, str]:
    """Return what is shown of a probe, and a name of it that no other has.

    Raises:
        UserError: It cannot be read, or has no signal.
    """
    folder, version = str(study.folder), study.info.fingerprint
    if probe.recording:
        words: tuple[object, ...] = (folder, version, probe.recording)
        found = _of_study(folder, version, probe.recording, str(_kept(*words)))
    else:
        stamp = probe.file.stat().st_mtime_ns
        words = (folder, version, probe.file, stamp)
        found = _of_file(str(probe.file), stamp, folder, str(_kept(*words)))
    return found, _kept(*words).name


def draw_measures(trace: Trace, token: str) -> tuple[str, ...]:
    """Draw rate, intervals, variability and quality; of a long recording when asked.

    Returns:
        The remarks that were shown.
    """
    from core.measuring import measure_rows

    st.header("Measures")
    pressed, asked = f"measure-{token}", f"measured-{token}"
    if st.session_state.get(pressed):
        st.session_state[asked] = True
    if trace.duration_s > LONG_S and not st.session_state.get(asked):
        st.caption("A long recording: measuring it takes up to a minute.")
        st.button("Measure", icon=":material/straighten:", key=pressed)
        return ()
    slot = st.container()
    with slot, st.spinner("Measuring ..."):
        measures = _measures(token, trace)
    rows = measure_rows(measures)
    slot.table({"Measure": [name for name, _ in rows], "Value": [value for _, value in rows]})
    for remark in measures["remarks"]:
        slot.caption(remark)
    return tuple(measures["remarks"])


def draw_next(study: Study, probe: Probe, trace: Trace, token: str, told: tuple[str, ...]) -> None:
    """Draw what can be done with the recording: name the person, print it."""
    st.header("Next")
    if not study.has_model("identifier"):
        st.caption("Who it is can be told once the study is trained.")
        st.page_link(TRAINING_PAGE, label="Train the models", icon=":material/model_training:")
    elif trace.fault:
        st.caption(f"Who it is cannot be told: {trace.fault}")
    elif st.button("Who is it?", icon=":material/fingerprint:", type=emphasis()):
        with job_panel.one_sentence():
            job_panel.submit(study.folder, "identify", files=[str(probe.make())], per_beat=True)
            st.session_state[probe_choice.KIND_KEY] = probe.kind
            st.switch_page(IDENTIFICATION_PAGE, query_params={})
    start = float(st.session_state.get(ecg_paper.TIME_KEY) or 0.0)
    if st.button("Print at true scale", icon=":material/print:", help="A PDF of 25 mm/s, 10 mm/mV"):
        with job_panel.one_sentence(), st.spinner("Printing ..."):
            data = _print(token, trace, start)
            name = content.file_name(trace.name, f"{start:g}s", ending=".pdf")
            st.download_button("Save the PDF", data, file_name=name, icon=":material/download:")
    for remark in trace.remarks:
        if remark not in told:
            st.caption(remark)


def draw(study: Study) -> None:
    """Draw the page of a study."""
    probe = draw_choice(study)
    if probe is None:
        return
    try:
        trace, token = open_trace(study, probe)
    except UserError as error:
        st.error(uploads.without_folder(str(error)))
        return
    with job_panel.one_sentence():
        if st.session_state.get(SHOWN_KEY, token) != token:
            st.session_state[ecg_paper.TIME_KEY] = 0.0
        st.session_state[SHOWN_KEY] = token
        with st.container(width=240):
            lead = selection.pick_lead(trace.leads)
        if trace.fault:
            st.warning(trace.fault)
        ecg_paper.draw(trace, token=f"{token}-{lead}", lead=lead)
        measures, more = st.columns([3, 2])
        with measures:
            told = draw_measures(trace, token)
        with more:
            draw_next(study, probe, trace, token, told)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

"""A recording of the study, generated beats or a file -> what is to be named or judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from core import apart
from core.beat_set import read_beats
from core.jobs import JobState
from core.recording import FloatArray
from core.study import Study
from core.workflow import probe_signals
from pages.parts import content, generated, job_panel, opened_file, selection
from pages.parts.words import GENERATOR_WORDS

PREFIX = "probe"
KIND_KEY, TRACE_KIND_KEY = "probe-kind", "trace-kind"
OF_STUDY, OF_GENERATED, OF_FILE = "A recording of the study", "Generated beats", "A file"
KINDS = (OF_STUDY, OF_GENERATED, OF_FILE)
MOST_BEATS = 2000
"""Beats of one recording that are looked at."""
TRACE_PAGE, GENERATION_PAGE = "pages/trace.py", "pages/generation.py"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the user chose to have looked at.

    Attributes:
        kind: One of `KINDS`.
        told: What the user calls it.
        file: What a job is given; `make` writes it if it is not there yet.
        make: Returns the file.
        recording: Name of the recording in the study; empty of another probe.
    """

    kind: str
    told: str
    file: Path
    make: Callable[[], Path]
    recording: str = ""


def probe_recordings(study: Study) -> list[str]:
    """Return the recordings of the test part; of a study without one, all that were used."""
    kept = content.kept_beats(study)
    test = kept[kept["partition"] == "test"]
    return list(dict.fromkeys((test if len(test) else kept)["recording_name"]))


def of_recording(study: Study, recording: str) -> Probe:
    """Return a recording of the study as a probe: its test part where it has one."""
    name = content.file_name(PREFIX, recording, ending=".npz", version=study.info.fingerprint)
    return Probe(
        kind=OF_STUDY,
        told=recording,
        file=study.folder / "exports" / name,
        make=lambda: _recording_file(study, recording),
        recording=recording,
    )


def _recording_file(study: Study, recording: str) -> Path:
    kept = content.kept_beats(study)
    own = (kept["recording_name"] == recording).to_numpy()
    test = own & (kept["partition"] == "test").to_numpy()
    beats = study.beats("all").take(test if test.any() else own)
    return content.write_part(study, beats.take(slice(0, MOST_BEATS)), PREFIX, recording)


def of_file(path: Path) -> Probe:
    """Return a file on disk as a probe."""
    return Probe(kind=OF_FILE, told=path.name, file=path, make=lambda: path)


def choose(study: Study, verb: str) -> Probe | None:
    """Let the user choose what to look at; return None as long as nothing is chosen.

    A subject and a recording are those of all pages; an opened file is open on all pages.

    Args:
        study: An opened study.
        verb: ``identify`` or ``authenticate``: a new session begins with what it was asked last.
    """
    if KIND_KEY not in st.session_state:
        st.session_state[KIND_KEY] = _first_kind(study, verb)
    kind = st.segmented_control(
        "What to look at", KINDS, required=True, key=KIND_KEY, persist_state="session"
    )
    if kind == OF_STUDY:
        return _choose_recording(study)
    if kind == OF_GENERATED:
        return _choose_generated(study)
    path = opened_file.draw("probe-upload")
    if path is not None:
        st.markdown(f":material/description: **{path.name}**")
        return of_file(path)
    last = next((j for j in job_panel.of_verb(study.folder, verb) if _kind(study, j) == kind), None)
    if last is not None:
        return of_file(file_asked(last))
    st.info("Choose one ECG file: what is to be told of it is shown here.")
    return None


def _first_kind(study: Study, verb: str) -> str:
    if opened_file.opened() is not None:
        return OF_FILE
    chosen = {selection.RECORDING_KEY, selection.SUBJECT_KEY}
    last = job_panel.newest(study.folder, verb)
    if last is None or chosen & (set(st.session_state) | set(st.query_params)):
        return OF_STUDY
    return _kind(study, last)


def _kind(study: Study, job: JobState) -> str:
    """Return of which kind the file is that a job was given."""
    file = file_asked(job)
    if file.parent == study.folder / "exports":
        return OF_STUDY if file.name.startswith(f"{PREFIX}-") else OF_GENERATED
    return OF_FILE


def _choose_recording(study: Study) -> Probe | None:
    _follow_recording(study)
    with st.container(horizontal=True):
        subject = selection.pick_subject(study.subjects)
        if subject is None:
            st.info("No recording of this study has a clear beat.")
            return None
        own = _recordings_of(study, subject)
        recording = selection.pick_recording(own)
    if recording is None:
        return None
    _tell_part(study, recording, own[0])
    return of_recording(study, recording)


def _follow_recording(study: Study) -> None:
    """Choose the subject of a recording that the address names without one."""
    chosen = set(st.session_state) | set(st.query_params)
    if selection.SUBJECT_KEY in chosen:
        return
    asked = st.session_state.get(selection.RECORDING_KEY)
    kept = content.kept_beats(study)
    own = kept.loc[
        kept["recording_name"] == (asked or st.query_params.get(selection.RECORDING_KEY)), "subject"
    ]
    if len(own):
        st.session_state[selection.SUBJECT_KEY] = str(own.iloc[0])


def _recordings_of(study: Study, subject: str) -> list[str]:
    """Return the recordings of a subject that have beats, those of the test part first."""
    kept = content.kept_beats(study)
    own = kept[kept["subject"] == subject]
    test = own["partition"] == "test"
    return list(dict.fromkeys([*own.loc[test, "recording_name"], *own["recording_name"]]))


def _tell_part(study: Study, recording: str, unseen: str) -> None:
    """Say whether the models learned from a recording, and offer one that they did not."""
    kept = content.kept_beats(study)
    parts = kept.groupby("recording_name")["partition"].agg(set)
    if "test" in parts[recording]:
        st.caption("Of the test part: no model learned from it.")
        return
    st.caption(
        ":material/info: The models learned from this recording: that it is known says little."
    )
    if "test" in parts[unseen]:
        st.button(
            f"Take {unseen}, which no model learned from",
            icon=":material/swap_horiz:",
            key="take-unseen",
            on_click=_take,
            args=(unseen,),
        )


def _take(recording: str) -> None:
    st.session_state[selection.RECORDING_KEY] = recording


def _choose_generated(study: Study) -> Probe | None:
    subject = selection.pick_subject(study.subjects)
    found = [] if subject is None else generated_probes(study, subject)
    if not found:
        st.info(f"Nothing is generated of {subject} yet.")
        st.page_link(GENERATION_PAGE, label="Generate beats", icon=":material/vital_signs:")
        return None
    names = [probe.told for probe in found]
    return found[names.index(st.selectbox("Beats", names, key="probe-generated"))]


def generated_probes(study: Study, subject: str) -> list[Probe]:
    """Return what was generated of a subject and is there, beats and strips, the newest first."""
    probes: dict[str, Probe] = {}
    for job in job_panel.of_verb(study.folder, generated.VERB):
        people = job.arguments.get("subjects") or []
        file = generated.file_of(study, job)
        if subject not in people or job.status != job_panel.DONE or not file.is_file():
            continue
        probe = (
            _of_strip(job, file) if job.arguments.get("seconds") else _of_beats(study, job, subject)
        )
        probes.setdefault(probe.told, probe)
    return list(probes.values())


def _of_beats(study: Study, job: JobState, subject: str) -> Probe:
    return Probe(
        kind=OF_GENERATED,
        told=f"{subject}: {generated.told(job)}",
        file=generated.part_name(study, job, subject),
        make=lambda: generated.file_of_subject(study, job, subject),
    )


def _of_strip(job: JobState, file: Path) -> Probe:
    asked = job.arguments
    told = (
        f"{asked['subjects'][0]}: strip of {asked['seconds']:g} s by the "
        f"{GENERATOR_WORDS[asked['model']]}, seed {asked['seed']}"
    )
    return Probe(kind=OF_GENERATED, told=told, file=file, make=lambda: file)


def file_asked(job: JobState) -> Path:
    """Return the file that ``identify``, ``verify`` or ``authenticate`` was given."""
    asked: dict[str, Any] = job.arguments
    return Path(asked["file"] if "file" in asked else asked["files"][0])


def newest(study: Study, verb: str, probe: Probe) -> JobState | None:
    """Return the last job that looked at a probe; None if none did."""
    jobs = job_panel.of_verb(study.folder, verb)
    return next((job for job in jobs if _asks_for(job, probe)), None)


def tell_older(study: Study, job: JobState, model: str) -> None:
    """Say so where a model was trained after a job asked it."""
    if (study.model_folder(model) / "card.json").stat().st_mtime > job.created:
        st.warning("The models were trained anew since this answer: ask again.")


def _asks_for(job: JobState, probe: Probe) -> bool:
    """Tell whether a job looks at a probe; uploads of one name are of several people."""
    asked = file_asked(job)
    if probe.kind == OF_FILE:
        return asked == probe.file
    # The study may have been moved.
    return asked.name == probe.file.name and asked.parent.name == probe.file.parent.name


@st.cache_data(max_entries=8, show_spinner=False, scope="session")
def _signals(folder: str, fingerprint: str, path: str, stamp: int) -> FloatArray:
    if Path(path).suffix == ".npz" and Path(path).parent == Path(folder) / "exports":
        return read_beats(Path(path)).signals
    return apart.run(probe_signals, folder, path)


def signals_of(study: Study, probe: Probe) -> FloatArray:
    """Return the beats (n, n_samples, n_leads) of a probe that is there, cut as the study's.

    Raises:
        UserError: Its file cannot be read.
    """
    stamp = probe.file.stat().st_mtime_ns
    return _signals(str(study.folder), study.info.fingerprint, str(probe.file), stamp)


def draw_link(probe: Probe) -> None:
    """Link to the trace of what was looked at, where it has one."""
    if probe.kind != OF_GENERATED:
        st.session_state[TRACE_KIND_KEY] = probe.kind
        st.page_link(TRACE_PAGE, label="See it on ECG paper", icon=":material/ecg_heart:")


def choose_to_enrol(
    study: Study, recordings: Sequence[str], *, key: str
) -> tuple[Callable[[], Path] | None, str | None]:
    """Let the user choose a recording of the study, or a file.

    Args:
        study: An opened study.
        recordings: Those that may be chosen; without any, only a file can.
        key: Begins the keys of the widgets.

    Returns:
        What makes the file to read, None as long as nothing is chosen; and the recording's name,
        None of a file.
    """
    kind = OF_FILE
    if recordings:
        kind = st.segmented_control(
            "What to look at",
            [OF_STUDY, OF_FILE],
            default=OF_STUDY,
            required=True,
            label_visibility="collapsed",
            key=f"{key}-kind",
        )
    if kind == OF_STUDY:
        recording = st.selectbox("Recording of the test part", recordings, key=f"{key}-recording")
        return of_recording(study, recording).make if recording else None, recording
    path = opened_file.draw(f"{key}-upload")
    if path is None:
        return None, None
    st.markdown(f":material/description: **{path.name}**")
    return (lambda: path), None

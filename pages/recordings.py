"""Recordings: from uploaded files to a prepared study, and what it holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from core import workflow
from core.errors import UserError
from core.options import PrepareOptions, parse_options
from core.plots.figures import count_bars, projection_scatter
from core.plots.signals import (
    Panel,
    beats_overlay,
    mean_and_spread,
    recording_trace,
)
from core.plots.style import RAW, REAL, SMOOTHED
from core.preprocessing.filters import moving_average
from core.readers import SUPPORTED_FORMATS
from core.study import Study
from pages.parts import content, frame, job_panel, options_form, sidebar, uploads, workspace

WINDOWS_S = (5, 10, 20, 30)
MOST_SAMPLES_SHOWN = 20_000
"""Samples a trace in one view; more make the browser slow."""
MOST_FEATURE_ROWS = 2_000
EXPORT_ENDINGS = (".npz", ".csv")


def draw_new_study() -> None:
    """Draw the upload and its options; begin a job that prepares it."""
    formats = ", ".join(name for name, _ in SUPPORTED_FORMATS)
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
        help=f"{formats}. A manifest.csv with columns path, subject, session, label is read, too.",
    )
    st.caption(
        "Folders name the persons: Person_01/rec_1.dat. "
        "An ECG is personal data: it stays in the workspace on this machine."
    )
    incoming: list[uploads.Incoming] = []
    with job_panel.one_sentence():
        incoming = uploads.gather(files or [])
    asked = uploads.colliding(incoming)
    with st.form("new-study"):
        title = st.text_input("Name of the study", value=workspace.free_title(), key="new-title")
        persons, loose = _ask_whose(incoming, asked)
        options = options_form.prepare_options()
        submitted = st.form_submit_button("Prepare", icon=":material/play_arrow:")
    if submitted:
        with job_panel.one_sentence():
            _prepare(title, uploads.settle(incoming, persons), loose, options)
    _draw_physionet()


def _ask_whose(incoming: list[uploads.Incoming], asked: list[int]) -> tuple[dict[int, str], str]:
    """Ask whose the files are whose names collide, or that came without a folder."""
    persons: dict[int, str] = {}
    if len(asked) > uploads.MOST_QUESTIONS:
        st.error(
            f"{len(asked)} files have names that come more than once. "
            "Upload the folders that they are in, or a zip of them."
        )
        return dict.fromkeys(asked, ""), ""
    if asked:
        st.warning(
            "Some names come more than once. Say whose each file is, or upload the folders instead."
        )
        seen: dict[str, int] = {}
        for i in asked:
            name = str(incoming[i].path)
            seen[name] = seen.get(name, 0) + 1
            label = f"{name}, no. {seen[name]}, {incoming[i].size:,} bytes: whose is it?"
            persons[i] = st.text_input(label, key=f"person-{i}-{name}")
    loose = [f for i, f in enumerate(incoming) if f.loose and i not in persons]
    if not loose:
        return persons, "unnamed"
    name = st.text_input(
        "Person, for files without a folder that do not name one",
        value="unnamed",
        key="loose-person",
        help="Several persons? Choose 'the file's name' below, or upload folders.",
    )
    return persons, name


def _prepare(
    title: str, files: list[uploads.Incoming], loose: str, options: dict[str, object]
) -> None:
    parse_options(PrepareOptions, options)
    folder = workspace.new_study_folder(title)
    with st.spinner("Storing the files ..."):
        stored = uploads.store(files, loose_folder=workspace.folder_name(loose))
    _begin(folder, stored, title, options)


def _begin(folder: Path, sources: Path, title: str, options: dict[str, object]) -> None:
    job_panel.submit(folder, "prepare", sources=[str(sources)], options=options, name=title.strip())
    st.session_state["upload_round"] += 1
    sidebar.go_to(folder)
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


def draw_summary(study: Study) -> None:
    """Draw the study's counts, what was refused, and the balance of its classes."""
    found = content.summary(study)
    with st.grid(4, min_column_width=150):
        st.metric("Subjects", found["subjects"], border=True)
        st.metric(
            "Recordings used", f"{found['recordings_used']} of {found['recordings']}", border=True
        )
        st.metric("Beats", f"{found['beats']:,}", border=True)
        st.metric("Beats left out", f"{found['rejected_beats']:,}", border=True)
    parts = ", ".join(f"{n:,} {name}" for name, n in found["partitions"].items())
    st.caption(f"Beats by part: {parts}. {'; '.join(found['remarks'])}.")
    if found["refused"]:
        with st.expander(f"{len(found['refused'])} recordings are not used"):
            table = pd.DataFrame(found["refused"])
            table["path"] = [Path(p).name for p in table["path"]]
            st.dataframe(table, hide_index=True, alt="Recordings that are not used, and why")


def draw_signals(study: Study) -> None:
    """Draw one recording: raw, clean and smoothed over one another, with its R peaks."""
    table = study.recordings
    names = table.loc[table["leads"] != "", "recording"].tolist()
    recording = st.selectbox("Recording", names, key="viewer-recording", persist_state="session")
    if recording is None:
        return
    try:
        signals = study.signals(recording)
    except UserError:
        st.info("The study holds ready beats, no recording. See the beats beside.")
        return
    lead = content.lead_picker(study, "viewer-lead")
    rate = study.sampling_rate
    duration = signals.shape[1] / rate
    lengths = [s for s in WINDOWS_S if s * rate <= MOST_SAMPLES_SHOWN and s <= duration] or [
        int(np.ceil(min(duration, MOST_SAMPLES_SHOWN / rate)))
    ]
    left, right = st.columns([1, 3])
    seconds = left.segmented_control(
        "Seconds shown",
        lengths,
        default=lengths[min(1, len(lengths) - 1)],
        required=True,
        key=f"viewer-length-{study.folder.name}",
    )
    shown = float(seconds or lengths[0])
    last = max(0.0, float(np.floor(duration - shown)))
    start = (
        right.slider("From second", 0.0, last, 0.0, 1.0, key=f"viewer-start-{recording}-{shown:g}")
        if last
        else 0.0
    )
    first, end = round(start * rate), round((start + shown) * rate)
    raw, clean = (np.asarray(signals[kind, :, lead]) for kind in (0, 1))
    smoothed = moving_average(clean[:, None], rate, study.info.options.smoothing_ms)[:, 0]
    beats = study.beat_table[study.beat_table["recording_name"] == recording]
    within = beats[(beats["r_sample"] >= first) & (beats["r_sample"] < min(end, len(clean)))]
    kept = (within["rejected"] == "").to_numpy()
    samples = within["r_sample"].to_numpy() - first
    traces = {RAW: raw[first:end], REAL: clean[first:end], SMOOTHED: smoothed[first:end]}
    figure = recording_trace(
        traces,
        sampling_rate=rate,
        unit=content.unit_of_signals(study),
        start_s=start,
        peaks=samples[kept],
        refused=samples[~kept],
    )
    st.plotly_chart(
        figure, key="viewer", alt=f"{recording}: raw, clean and smoothed signal with R peaks"
    )
    options = study.info.options
    st.caption(
        f"Lead {study.info.leads[lead]}, {rate:g} Hz. Clean: {options.highpass_hz:g} to "
        f"{options.lowpass_hz:g} Hz, mains notch {options.notch_hz}. Smoothed: moving average of "
        f"{options.smoothing_ms:g} ms. A click on a name hides it."
    )


def draw_beats(study: Study) -> None:
    """Draw the beats of one subject over one another, and the balance of classes."""
    subject = st.selectbox("Subject", study.subjects, key="beats-subject", persist_state="session")
    if subject is None:
        return
    lead = content.lead_picker(study, "beats-lead")
    beats = content.subject_beats(study, subject)
    scale = content.beat_scale(study)
    panel = Panel(f"Mean of {len(beats)} beats", SMOOTHED, beats.signals[:, :, lead])
    left, right = st.columns(2)
    left.plotly_chart(
        beats_overlay(panel, scale), key="overlay", alt=f"Smoothed beats of {subject}"
    )
    right.plotly_chart(
        mean_and_spread([panel], scale),
        key="spread",
        alt=f"Mean beat of {subject} with one standard deviation",
    )
    st.markdown("**Beats of each subject, by part**")
    st.plotly_chart(
        count_bars(content.counts_by(study, "subject"), x_title="Subject"),
        key="balance",
        alt="Beats of each subject in train, validation and test",
    )
    labels = content.counts_by(study, "label")
    if len(labels) > 1:
        st.plotly_chart(
            count_bars(labels, x_title="Label"), key="label-balance", alt="Beats of each label"
        )


def draw_features(study: Study) -> None:
    """Show the features of each beat, or of each recording."""
    kind = st.segmented_control(
        "Features of",
        ["Recordings", "Beats"],
        default="Recordings",
        required=True,
        key="feature-kind",
    )
    if kind == "Recordings":
        table = study.recordings.drop(columns=["path", "sha256"])
        st.dataframe(table, hide_index=True, alt="Features of each recording")
        return
    table = study.beat_table[["recording_name", "time_s", "rr_before", "quality", "rejected"]]
    joined = pd.concat([table, study.features], axis=1)
    if len(joined) > MOST_FEATURE_ROWS:
        st.caption(f"The first {MOST_FEATURE_ROWS:,} of {len(joined):,} beats.")
    st.dataframe(joined.head(MOST_FEATURE_ROWS), hide_index=True, alt="Features of each beat")


def draw_picture(study: Study) -> None:
    """Draw beats as points in a plane."""
    left, right = st.columns(2)
    method = left.segmented_control(
        "Method", ["PCA", "t-SNE"], default="PCA", required=True, key="picture-method"
    )
    labelled = len(content.counts_by(study, "label")) > 1
    column = right.segmented_control(
        "Colour",
        ["subject", "partition", *(["label"] if labelled else [])],
        default="subject",
        required=True,
        key="picture-colour",
    )
    points, groups = content.projected(study, str(method), str(column))
    st.plotly_chart(
        projection_scatter(points, groups, method=str(method)),
        key="picture",
        alt=f"{method} of beats, a colour a {column}",
    )
    st.caption(
        f"{len(points):,} beats spread over the study."
        + (" Distances between groups mean nothing in t-SNE." if method == "t-SNE" else "")
    )


def draw_export(study: Study) -> None:
    """Write the study's real beats to a file and offer it."""
    with st.form("export", border=False):
        with st.grid(3):
            parts = ["all", *content.summary(study)["partitions"]]
            partition = st.selectbox(
                "Part", [p for p in parts if p != content.GAP], key="export-part"
            )
            signal = st.selectbox("Signal", ["smoothed", "clean", "raw"], key="export-signal")
            ending = st.selectbox("Format", EXPORT_ENDINGS, key="export-format")
        submitted = st.form_submit_button("Make the file", icon=":material/save:")
    key = f"export-{study.folder.name}"
    if submitted:
        name = content.file_name("beats", partition, signal, ending=str(ending))
        path = study.folder / "exports" / name
        path.parent.mkdir(exist_ok=True)
        with job_panel.one_sentence(), st.spinner("Writing ..."):
            workflow.export(study.folder, path, partition=str(partition), signal=str(signal))
            st.session_state[key] = str(path)
    made = st.session_state.get(key)
    if made and Path(made).is_file():
        path = Path(made)
        st.download_button(
            f"Download {path.name}", path.read_bytes(), path.name, icon=":material/download:"
        )


SECTIONS = {
    "Signals": draw_signals,
    "Beats": draw_beats,
    "Features": draw_features,
    "Picture": draw_picture,
    "Export": draw_export,
}


def draw(study: Study) -> None:
    """Draw what a study holds."""
    draw_summary(study)
    section = st.segmented_control(
        "Show",
        list(SECTIONS),
        default="Signals",
        required=True,
        key="recordings-section",
        persist_state="session",
        label_visibility="collapsed",
    )
    SECTIONS[str(section or "Signals")](study)


frame.ensure_app()
if sidebar.chosen_folder() is None:
    sidebar.draw_empty()
    draw_new_study()
elif st.session_state.get(sidebar.NEW_KEY):
    if st.button("Back to the study", icon=":material/arrow_back:"):
        st.session_state[sidebar.NEW_KEY] = False
        st.rerun()
    draw_new_study()
else:
    chosen = sidebar.chosen_study()
    if chosen is not None:
        draw(chosen)

"""Recordings: from uploaded files to a prepared study, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core import workflow
from core.errors import UserError
from core.options import PrepareOptions, parse_options
from core.readers.check import Refused
from core.study import Study
from pages.parts import (
    cleaning_preview,
    content,
    frame,
    job_panel,
    new_study,
    options_form,
    selection,
    sidebar,
    uploads,
)
from pages.parts.refusals import advice
from pages.parts.words import count

EXPORT_ENDINGS = (".npz", ".csv")
SECTION_KEY = "recordings-section"
TRACE_PAGE = "pages/trace.py"
WORST_RECORDINGS = 10


def draw_summary(study: Study) -> None:
    """Draw the study's counts, and what was refused."""
    found = content.summary(study)
    with st.grid(4, min_column_width=150):
        st.metric("Subjects", found["subjects"], border=True)
        st.metric(
            "Recordings used", f"{found['recordings_used']} of {found['recordings']}", border=True
        )
        st.metric("Beats", f"{found['beats']:,}", border=True)
        st.metric("Beats left out", f"{found['rejected_beats']:,}", border=True)
    words = {content.GAP: "in the gaps between parts"}
    parts = ", ".join(f"{n:,} {words.get(p, p)}" for p, n in found["partitions"].items())
    remarks = ". ".join(remark[:1].upper() + remark[1:] for remark in found["remarks"])
    st.caption(f"Beats by part: {parts}. {remarks}.")
    new_study.draw_refused(tuple(_refused(**entry) for entry in found["refused"]))


def _refused(path: str, reason: str) -> Refused:
    return Refused(Path(path).name, *advice(path, uploads.without_folder(reason)))


def draw_balance(study: Study) -> None:
    """Draw how many beats there are of each subject and label, by part."""
    from core.plots.figures import count_bars

    st.markdown("**Beats of each subject, by part**")
    st.plotly_chart(
        count_bars(content.counts_by(study, "subject"), x_title="Subject"),
        key="balance",
        alt="Beats of each subject in train, validation and test",
    )
    labels = content.counts_by(study, "label")
    if len(labels) > 1:
        st.markdown("**Beats of each label, by part**")
        st.plotly_chart(
            count_bars(labels, x_title="Label"), key="label-balance", alt="Beats of each label"
        )
    else:
        st.caption("No labels: a manifest.csv can give one to each recording.")


def draw_quality(study: Study) -> None:
    """Draw how good the recordings and their beats are, and the worst of them."""
    from core.plots.cohort import quality_histogram, recording_quality
    from core.preprocessing.quality import REASONS

    table, beats = study.recordings, study.beat_table
    left, right = st.columns(2)
    left.plotly_chart(
        recording_quality(
            table["recording"].to_numpy(np.str_),
            table["quality"].to_numpy(np.float32),
            table["usable"].to_numpy(np.bool_),
        ),
        key="recording-quality",
        alt="Quality of each recording, the worst first",
    )
    right.plotly_chart(
        quality_histogram(
            beats["quality"].to_numpy(np.float32), beats["rejected"].to_numpy(np.str_)
        ),
        key="beat-quality",
        alt="How many beats have which quality, kept and left out",
    )
    reasons = beats.loc[beats["rejected"] != "", "rejected"].value_counts()
    if len(reasons):
        said = "; ".join(
            f"{n}: {REASONS.get(str(r), 'its recording is not used').lower()}"
            for r, n in reasons.items()
        )
        st.caption(f"Beats left out, and why. {said}.")
    st.markdown("**The worst recordings**")
    worst = table.sort_values("quality", na_position="first").head(WORST_RECORDINGS)
    shown = worst[["recording", "quality", "n_beats", "n_rejected", "remarks"]].copy()
    shown["remarks"] = shown["remarks"].str.replace(".; ", ". ", regex=False)
    picked = st.dataframe(
        shown.rename(
            columns={
                "recording": "Recording",
                "quality": "Quality",
                "n_beats": "Beats",
                "n_rejected": "Left out",
                "remarks": "Remarks",
            }
        ),
        hide_index=True,
        column_config={"Quality": st.column_config.NumberColumn(format="%.2f")},
        on_select="rerun",
        selection_mode="single-row",
        key="worst",
        alt="The recordings of the lowest quality",
    )
    rows = picked.selection.rows
    name = str(worst["recording"].iloc[rows[0] if rows else 0])
    st.page_link(
        TRACE_PAGE,
        label=f"See {name} on ECG paper",
        icon=":material/ecg_heart:",
        query_params={selection.RECORDING_KEY: name},
    )


def draw_beats(study: Study) -> None:
    """Draw the beats of one subject over one another, and their mean and spread."""
    from core.plots.signals import Panel, beats_overlay, mean_and_spread
    from core.plots.style import SMOOTHED

    with st.grid(3):
        subject = selection.pick_subject(study.subjects)
        lead = selection.pick_lead(study.info.leads)
    if subject is None:
        return
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
    st.caption("Smoothed beats, as the models learn them; band: one standard deviation.")


def draw_features(study: Study) -> None:
    """Show the features of each beat, or of each recording."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Features of",
            ["Recordings", "Beats"],
            default="Recordings",
            required=True,
            key="feature-kind",
        )
        sought = st.text_input(
            "Find", placeholder="subject or recording", key="feature-search", width=260
        )
    if kind == "Recordings":
        table = study.recordings.drop(columns=["path", "sha256"])
    else:
        own = study.beat_table[
            ["recording_name", "label", "time_s", "rr_before", "quality", "rejected"]
        ]
        table = pd.concat([own, study.features], axis=1)
    names = table[table.columns[0]]
    if sought:
        table = table[names.str.contains(sought, case=False, regex=False)]
    if table.empty:
        st.info(f"Nothing here is called {sought!r}.")
        return
    st.caption(f"{count(len(table), 'row')}. RR and time in s or as named; amplitudes in mV.")
    st.dataframe(
        table,
        hide_index=True,
        lazy=True,
        column_config={table.columns[0]: st.column_config.TextColumn(pinned=True)},
        alt=f"Features of {str(kind).lower()}",
    )


@st.fragment
def draw_cleaning(study: Study) -> None:
    """Draw what other options would make of a recording of the study."""
    table = study.recordings
    names = table.loc[table["leads"] != "", "recording"].tolist()
    left, right = st.columns([2, 5])
    with left:
        values = options_form.cleaning_options(study.info.options, scope=f"try-{study.folder.name}")
    with right:
        _draw_try(study, names, values)
    used = {key: getattr(study.info.options, key) for key in values}
    if values != used:
        st.caption(
            "This is a try: the study keeps its options. To use these, upload the recordings "
            "again as a new study."
        )


def _draw_try(study: Study, names: list[str], values: dict[str, Any]) -> None:
    try:
        name = selection.pick_recording(names)
        if name is None:
            raise UserError(study.info.name, "holds no recording", "Upload recordings")
        options = parse_options(PrepareOptions, {**values, "leads": "all"})
        recording = cleaning_preview.of_study(study, name)
        version = f"{study.folder.name}/{study.info.fingerprint}/{name}"
        cleaning_preview.draw(recording, options, version=version)
    except UserError as error:
        st.error(options_form.in_words(str(error)))


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
    "Balance": draw_balance,
    "Quality": draw_quality,
    "Cleaning": draw_cleaning,
    "Beats": draw_beats,
    "Features": draw_features,
    "Export": draw_export,
}


def draw(study: Study) -> None:
    """Draw what a study holds."""
    draw_summary(study)
    st.page_link(TRACE_PAGE, label="See a recording on ECG paper", icon=":material/ecg_heart:")
    tabs = st.tabs(list(SECTIONS), key=SECTION_KEY, on_change="rerun")
    for section, tab in zip(SECTIONS.values(), tabs, strict=True):
        if tab.open:
            with tab:
                section(study)


frame.ensure_app()
if sidebar.chosen_folder() is None:
    sidebar.draw_empty()
    new_study.draw()
elif st.session_state.get(sidebar.NEW_KEY):
    if st.button("Back to the study", icon=":material/arrow_back:"):
        st.session_state[sidebar.NEW_KEY] = False
        st.rerun()
    new_study.draw()
else:
    chosen = sidebar.chosen_study()
    if chosen is not None:
        draw(chosen)

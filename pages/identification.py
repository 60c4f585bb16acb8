"""Identification: who a recording is of, how sure that is, and who else it could be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from core.jobs import JobState
from core.plots.figures import score_bars
from core.plots.signals import Panel, beats_over_mean
from core.plots.style import REAL, SMOOTHED
from core.study import Study
from pages.parts import content, figures_table, frame, job_panel, sidebar, uploads

PROBE_KEY = "probe"


def probe_recordings(study: Study) -> list[str]:
    """Return the recordings of the test part; of a study without one, all that were used."""
    kept = content.kept_beats(study)
    test = kept[kept["partition"] == "test"]
    return list(dict.fromkeys((test if len(test) else kept)["recording_name"]))


def probe_file(study: Study, recording: str) -> Path:
    """Return a file of the beats of one recording: of its test part where it has one."""
    kept = content.kept_beats(study)
    own = (kept["recording_name"] == recording).to_numpy()
    test = own & (kept["partition"] == "test").to_numpy()
    beats = study.beats("all").take(test if test.any() else own)
    return content.write_part(study, beats, "probe", recording)


def draw_choice(study: Study, classes: list[str]) -> None:
    """Let the user choose a probe, and a claimed person if there is one; begin a job."""
    kind = st.segmented_control(
        "Who is to be named?",
        ["A recording of the study", "A file"],
        default="A recording of the study",
        required=True,
        key="probe-kind",
    )
    upload = None
    recording = None
    if kind == "A file":
        upload = st.file_uploader(
            "A recording, or a file of beats (.npz, .csv)",
            accept_multiple_files=True,
            key="probe-upload",
            help="A recording of several files (.hea and .dat): choose all of them.",
        )
    else:
        test = "test" in set(content.kept_beats(study)["partition"])
        recording = st.selectbox(
            "Recording of the test part" if test else "Recording (the study has no test part)",
            probe_recordings(study),
            key="probe-recording",
        )
    claimed = st.selectbox(
        "Claimed to be",
        [None, *classes],
        format_func=lambda c: c or "nobody: say who it is",
        key="probe-claimed",
    )
    label = "Identify" if claimed is None else "Verify"
    missing = not upload if kind == "A file" else recording is None
    if st.button(label, icon=":material/fingerprint:", disabled=missing):
        with job_panel.one_sentence():
            path = uploads.store_probe(upload) if upload else probe_file(study, str(recording))
            begin(study, path, claimed)
            st.rerun()


def begin(study: Study, path: Path, claimed: str | None = None) -> str:
    """Begin a job that names the person, and one that verifies a claimed one; return the first."""
    job_id = job_panel.submit(study.folder, "identify", files=[str(path)])
    st.session_state[f"{PROBE_KEY}-{study.folder.name}"] = (
        job_panel.submit(study.folder, "verify", files=[str(path)], subject=claimed)
        if claimed is not None
        else None
    )
    return job_id


def draw_claim(study: Study) -> None:
    """Draw whether the probe is the claimed person, if one was claimed."""
    job_id = st.session_state.get(f"{PROBE_KEY}-{study.folder.name}")
    done = job_panel.outcome(study.folder, job_id, key="verify")
    if done is None:
        return
    found = done.result["results"][0]
    words = f"{found['subject']}: score {_score(found['score'])}, needed {found['threshold']:.3f}"
    if found["match"]:
        st.success(f"Yes, it is {words}.")
    else:
        st.warning(f"Not accepted as {words}; {found['reason']}.")


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def draw_answer(study: Study, job: JobState, card: dict[str, Any]) -> None:
    """Draw who it is, the runners-up, and the probe over the gallery's mean beat."""
    found = job.result["results"][0]
    path = Path(job.arguments["files"][0])
    if found["accepted"]:
        st.header(f"It is {found['predicted']}, score {_score(found['score'])}")
    else:
        st.header("Cannot tell")
        nearest = f" Most alike: {found['predicted']}." if found["predicted"] else ""
        st.markdown(f"{str(found['reason']).rstrip('.').capitalize()}.{nearest}")
    st.caption(f"{path.name}: {found['beats']} clear beats.")
    if not found["scores"]:
        return
    left, right = st.columns(2)
    with left:
        st.markdown("**Who it could be**")
        st.plotly_chart(
            score_bars(found["scores"], threshold=card.get("threshold")),
            key="score-bars",
            alt=f"Scores of the most alike, {found['predicted']} first",
        )
    if found["predicted"] in study.subjects and path.is_file():
        with right:
            st.markdown(f"**Its beats over those of {found['predicted']}**")
            draw_overlay(study, path, found["predicted"])


def draw_overlay(study: Study, path: Path, subject: str) -> None:
    """Draw the probe's beats over the mean beat of a subject in the gallery."""
    lead = content.lead_picker(study, "probe-lead")
    beats = study.beats("train")
    gallery = beats.take(beats.subject == subject)
    figure = beats_over_mean(
        Panel("This recording", REAL, content.probe_signals(study, path)[:, :, lead]),
        Panel(f"{subject}, mean and spread", SMOOTHED, gallery.signals[:, :, lead]),
        content.beat_scale(study),
    )
    st.plotly_chart(figure, key="probe-overlay", alt=f"Beats over the mean beat of {subject}")


def draw(study: Study) -> None:
    """Draw the page of a study."""
    if not study.has_model("identifier"):
        sidebar.draw_untrained(study, "identifier", "The identifier is not trained yet.")
        return
    whole = study.card("identifier")
    card = whole.get("identifier", whole)
    draw_choice(study, [str(name) for name in card.get("classes", study.subjects)])
    job = job_panel.first_time(
        study.folder,
        "identify",
        lambda: begin(study, probe_file(study, probe_recordings(study)[0])),
    )
    draw_claim(study)
    done = job_panel.outcome(study.folder, job, key="identify")
    if done is not None:
        draw_answer(study, done, card)
    st.header("Figures of the study")
    figures_table.draw(study, only="identification")


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

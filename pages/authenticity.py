"""Authenticity: real or synthetic, by the study's judge, and by the viewer in a blind quiz."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core import jobs
from core.fakes import WORDS
from core.study import Study
from pages.parts import (
    content,
    figures_table,
    frame,
    job_panel,
    judgement,
    quiz,
    sidebar,
    uploads,
)

REAL_BEATS = 200
"""Beats of a subject that are judged at a time."""
SECTION_KEY = "authenticity-section"
JUDGE, QUIZ, TRUST = "Judge beats", "Real or generated?", "How far to trust the judge"


def choices(study: Study) -> dict[str, Path]:
    """Return what can be judged without an upload: name -> file."""
    found: dict[str, Path] = {}
    for job in jobs.list_jobs(study.folder):
        if job.verb == "generate" and job.status == job_panel.DONE:
            asked = job.arguments
            path = Path(asked["out"])
            who = ", ".join(asked.get("subjects") or ["all"])
            kind = f"strip of {asked['seconds']:g} s, " if asked.get("seconds") else ""
            if path.is_file():
                name = f"{who}, {kind}{asked['model']}, seed {asked['seed']} ({path.stem[-8:]})"
                found.setdefault(name, path)
    return found


def real_choice(study: Study, subject: str) -> Path:
    """Return a file of a subject's real beats: of the test part where it has some."""
    beats = content.subject_beats(study, subject)
    table = content.kept_beats(study)
    test = (table.loc[table["subject"] == subject, "partition"] == "test").to_numpy()
    chosen = beats.take(test) if test.any() else beats
    return content.write_part(study, chosen.take(slice(0, REAL_BEATS)), "real", subject)


def draw_choice(study: Study) -> None:
    """Let the user choose a file or beats of the study; begin a job."""
    generated = choices(study)
    kinds = ["A person of the study", *(["Generated beats"] if generated else []), "A file"]
    kind = st.segmented_control(
        "What is to be judged?", kinds, default=kinds[0], required=True, key="judge-kind"
    )
    path: Path | None = None
    ready = True
    subject = name = None
    upload = None
    if kind == "A file":
        upload = st.file_uploader(
            "A recording, or a file of beats (.npz, .csv)",
            accept_multiple_files=True,
            key="judge-upload",
            help="A recording of several files (.hea and .dat): choose all of them.",
        )
        ready = bool(upload)
    elif kind == "Generated beats":
        name = st.selectbox("Beats", list(generated), key="judge-generated")
    else:
        subject = st.selectbox("Subject", study.subjects, key="judge-subject")
    if st.button("Judge", icon=":material/gavel:", disabled=not ready):
        with job_panel.one_sentence():
            if upload:
                path = uploads.store_probe(upload)
            elif name is not None:
                path = generated[name]
            elif subject is not None:
                path = real_choice(study, subject)
            if path is not None:
                job_panel.submit(study.folder, "authenticate", file=str(path))
                st.rerun()


def draw_judging(study: Study) -> None:
    """Draw the choice of beats, and what the judge said last."""
    draw_choice(study)
    job = job_panel.first_time(
        study.folder,
        "authenticate",
        lambda: job_panel.submit(
            study.folder, "authenticate", file=str(real_choice(study, study.subjects[0]))
        ),
    )
    done = job_panel.outcome(study.folder, job, key="judge")
    if done is not None:
        own = Path(done.arguments["file"]) in choices(study).values()
        judgement.draw(done, generated=own)


def draw_trust(study: Study) -> None:
    """Draw how well the judge tells held-out beats apart."""
    card = study.card("authenticity")
    with st.grid(3):
        for key, label in (("accuracy", "Accuracy"), ("auc", "AUC"), ("brier", "Brier score")):
            if isinstance(card.get(key), int | float):
                st.metric(label, f"{card[key]:.3f}", border=True)
    st.caption(f"{card.get('protocol', '')}. Accuracy 0.5 is chance; Brier 0.25 is a coin's.")
    kinds = card.get("kinds") or {}
    if kinds:
        st.markdown("**By kind of fake, held-out beats of the train part**")
        st.dataframe(
            pd.DataFrame(
                {
                    "Kind": [WORDS.get(kind, kind) for kind in kinds],
                    "AUC": [f"{found['auc']:.3f}" for found in kinds.values()],
                }
            ),
            hide_index=True,
            alt="How well the judge tells each kind of fake from real beats",
        )
        st.caption("AUC 0.5: it cannot tell this kind from real beats at all.")
    figures_table.draw(study, only="authenticity")


def draw(study: Study) -> None:
    """Draw the page of a study."""
    if not study.has_model("authenticity"):
        sidebar.draw_untrained(study, "authenticity", "The judge is not trained yet.")
        return
    sections = {JUDGE: draw_judging, QUIZ: quiz.draw, TRUST: draw_trust}
    tabs = st.tabs(list(sections), key=SECTION_KEY, on_change="rerun")
    for section, tab in zip(sections.values(), tabs, strict=True):
        if tab.open:
            with tab:
                section(study)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

"""Generation: synthetic beats of a person, beside the real and the smoothed ones on one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from core.beat_set import read_beats
from core.generating import GENERATORS, HEART_RATE_RANGE
from core.jobs import JobState
from core.plots.signals import Panel, beats_side_by_side, mean_and_spread
from core.plots.style import GENERATED
from core.study import Study
from pages.parts import content, figures_table, frame, job_panel, sidebar

MODEL_WORDS = {"gan": "GAN (conditional)", "mixture": "Gaussian mixture"}
DAY_WORDS = {"recorded": "as on the recorded days", "new": "as on another day"}
MOST_ASKED = 1000
DEFAULT_BEATS = 50
MAX_SEED = 2**31 - 1


def begin(study: Study, **arguments: Any) -> str:
    """Begin a job that generates beats; return its id."""
    version = " ".join(f"{key}={value}" for key, value in sorted(arguments.items()))
    words = ("generated", arguments["model"], *arguments["subjects"])
    out = study.folder / "exports" / content.file_name(*words, ending=".npz", version=version)
    out.parent.mkdir(exist_ok=True)
    return job_panel.submit(study.folder, "generate", out=str(out), **arguments)


def train_subjects(study: Study) -> list[str]:
    """Return the subjects that generators know."""
    kept = content.kept_beats(study)
    return list(dict.fromkeys(kept.loc[kept["partition"] == "train", "subject"]))


def draw_form(study: Study, models: list[str]) -> None:
    """Draw what can be chosen; begin a job."""
    with st.form("generate"):
        with st.grid(3):
            subject = st.selectbox("Subject", train_subjects(study), key="generate-subject")
            number = st.number_input("Beats", 1, MOST_ASKED, DEFAULT_BEATS, key="generate-number")
            model = st.selectbox(
                "Model", models, format_func=lambda name: MODEL_WORDS[name], key="generate-model"
            )
            days = st.selectbox(
                "Day", list(DAY_WORDS), format_func=lambda d: DAY_WORDS[d], key="generate-days"
            )
            low, high = HEART_RATE_RANGE
            rate = st.number_input(
                "Heart rate (beats a minute)",
                low,
                high,
                None,
                step=1.0,
                placeholder="the person's own",
                help=f"ST and T are brought to this rate, {low:g} to {high:g}",
                key="generate-rate",
            )
            seed = st.number_input("Seed", 0, MAX_SEED, 0, key="generate-seed")
        if not st.form_submit_button("Generate", icon=":material/vital_signs:"):
            return
    with job_panel.one_sentence():
        begin(
            study,
            model=model,
            subjects=[subject],
            per_subject=int(number),
            days=days,
            seed=int(seed),
            **({} if rate is None else {"heart_rate": float(rate)}),
        )
        st.rerun()


def draw_result(study: Study, job: JobState | None, subject: str) -> None:
    """Draw real, smoothed and, once they are there, generated beats of a subject."""
    lead = content.lead_picker(study, "generate-lead")
    panels, missing = content.real_panels(study, subject, lead)
    path = Path(job.arguments["out"]) if job is not None else None
    if path is not None and path.is_file():
        beats = read_beats(path)
        panels.append(Panel("Generated", GENERATED, beats.signals[:, :, lead]))
    scale = content.beat_scale(study)
    title = f"Subject {subject}"
    if job is not None:
        asked = job.arguments
        title += (
            f": {asked['per_subject']} beats by the {MODEL_WORDS[asked['model']]}, "
            f"{DAY_WORDS[asked['days']]}, seed {asked['seed']}"
        )
        if asked.get("heart_rate"):
            title += f", {asked['heart_rate']:g} beats a minute"
    st.header(title)
    st.plotly_chart(
        beats_side_by_side(panels, scale),
        key="side-by-side",
        alt=f"Beats of {subject}: " + ", ".join(p.name.lower() for p in panels),
    )
    st.plotly_chart(
        mean_and_spread(panels[-2:], scale),
        key="generated-spread",
        alt=f"Mean and spread of the beats of {subject}",
    )
    st.caption(
        "Bands: one standard deviation. Real: the filtered signal; smoothed: what the models "
        f"learn. {missing}"
    )
    if path is not None and path.is_file():
        draw_download(path)


def draw_download(path: Path) -> None:
    """Offer the synthetic beats as ``.npz`` and ``.csv``."""
    with st.container(horizontal=True):
        for ending in (".npz", ".csv"):
            st.download_button(
                f"Download {ending[1:]}",
                content.beats_as_bytes(path, ending),
                f"synthetic-{path.stem}{ending}",
                icon=":material/download:",
                key=f"download{ending}",
            )
    st.caption("Every row of the file says that it is synthetic.")


def draw(study: Study) -> None:
    """Draw the page of a study: the real beats at once, the rest when it is there."""
    models = [name for name in GENERATORS if study.has_model(name)]
    subjects = train_subjects(study)
    if not models or not study.has_model("autoencoder"):
        sidebar.draw_untrained(study, "gan", "No generator is trained yet.")
        if subjects:
            draw_result(study, None, st.selectbox("Subject", subjects, key="real-subject"))
        return
    draw_form(study, models)
    job = job_panel.first_time(
        study.folder,
        "generate",
        lambda: begin(
            study,
            model=models[0],
            subjects=subjects[:1],
            per_subject=DEFAULT_BEATS,
            days="recorded",
            seed=0,
        ),
        model=models[0],
    )
    done = job_panel.outcome(study.folder, job, key="generate")
    draw_result(study, done, done.arguments["subjects"][0] if done else subjects[0])
    st.header("How close they come to real beats")
    figures_table.draw(study, only="realism")


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

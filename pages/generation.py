"""Generation: synthetic beats of a person, beside the real and the smoothed ones on one scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from core.beat_set import read_beats
from core.generating import GENERATORS, HEART_RATE_RANGE
from core.jobs import JobState
from core.labels import are_several
from core.plots import linked
from core.plots.signals import Panel, mean_and_spread
from core.plots.style import GENERATED
from core.study import Study
from pages.parts import (
    closeness,
    content,
    frame,
    generator_figures,
    job_panel,
    planes,
    sidebar,
    strip_form,
    swap_test,
)
from pages.parts.words import GENERATOR_WORDS

DAY_WORDS = {"recorded": "as on the recorded days", "new": "as on another day"}
MOST_ASKED = 1000
DEFAULT_BEATS = 50
MAX_SEED = 2**31 - 1
SECTION_KEY = "generation-section"
BESIDE, POINTS, COPIES, SWAP, STRIP, FIGURES = (
    "Side by side",
    "Points",
    "Not a copy?",
    "Swap test",
    "Strip",
    "How close",
)
ANY = "any"


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


def train_labels(study: Study) -> list[str]:
    """Return the labels that generators are conditioned on; none where they are not several."""
    kept = content.kept_beats(study)
    found = kept.loc[kept["partition"] == "train", "label"].unique().tolist()
    return sorted(str(label) for label in found if label) if are_several(found) else []


def known_days(study: Study) -> list[str]:
    """Return the days that can be drawn: new ones where a subject has two train recordings."""
    kept = content.kept_beats(study)
    train = kept.loc[kept["partition"] == "train"]
    several = train.groupby("subject")["recording_name"].nunique().max() > 1
    return list(DAY_WORDS) if several else ["recorded"]


def draw_form(study: Study, models: list[str]) -> None:
    """Draw what can be chosen; begin a job."""
    with st.form("generate"):
        with st.grid(3):
            subject = st.selectbox("Subject", train_subjects(study), key="generate-subject")
            number = st.number_input("Beats", 1, MOST_ASKED, DEFAULT_BEATS, key="generate-number")
            model = st.selectbox(
                "Model",
                models,
                format_func=lambda name: GENERATOR_WORDS[name],
                key="generate-model",
            )
            days = st.selectbox(
                "Day",
                known_days(study),
                format_func=lambda d: DAY_WORDS[d],
                help="Another day: only where somebody has two train recordings, so that it is "
                "known how days differ",
                key="generate-days",
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
            labels = train_labels(study)
            label = ANY
            if labels:
                label = st.selectbox("Label", [ANY, *labels], key="generate-label")
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
            **({} if label == ANY else {"label": label}),
        )
        st.rerun()


def title_of(job: JobState) -> str:
    """Return what a job was asked for, in words."""
    asked = job.arguments
    said = (
        f"{asked['per_subject']} beats by the {GENERATOR_WORDS[asked['model']]}, "
        f"{DAY_WORDS[asked['days']]}, seed {asked['seed']}"
    )
    if asked.get("label"):
        said += f", label {asked['label']}"
    if asked.get("heart_rate"):
        said += f", {asked['heart_rate']:g} beats a minute"
    return said


def draw_beats(
    study: Study, subject: str, path: Path | None = None, label: str | None = None
) -> None:
    """Draw real, smoothed and, where there is a file of them, generated beats of a subject."""
    lead = content.lead_picker(study, "generate-lead")
    panels, missing = content.real_panels(study, subject, lead, label=label)
    if path is not None:
        panels.append(Panel("Generated", GENERATED, read_beats(path).signals[:, :, lead]))
    scale = content.beat_scale(study)
    st.echarts_chart(
        linked.side_by_side(panels, scale),
        key="side-by-side",
        height=linked.HEIGHT_PX,
        alt=f"Beats of {subject} on one scale: " + ", ".join(p.name.lower() for p in panels),
    )
    st.caption("Point anywhere: the cursor shows in every panel, with the value of each mean.")
    st.plotly_chart(
        mean_and_spread(panels, scale),
        key="generated-spread",
        alt=f"Mean and spread of the beats of {subject}",
    )
    st.caption(
        "Lines: means; bands: one standard deviation. Real: the filtered signal; smoothed: what "
        f"the models learn. {missing}"
    )
    if path is not None:
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


def is_of_beats(job: JobState) -> bool:
    """Tell whether a job generates beats, not a strip."""
    return not job.arguments.get("seconds")


def draw_section(study: Study, name: str, job: JobState, path: Path) -> None:
    """Draw one section of what was generated."""
    asked = job.arguments
    if name == BESIDE:
        draw_beats(study, asked["subjects"][0], path, asked.get("label"))
    elif name == POINTS:
        planes.draw(study, path, asked["subjects"])
    elif name == COPIES:
        closeness.draw(study, path)
    elif name == SWAP:
        swap_test.draw(study, asked["subjects"][0], asked["model"])
    elif name == STRIP:
        strip_form.draw(study, asked["subjects"][0], asked["model"], asked["days"], MAX_SEED)
    else:
        generator_figures.draw(study)


def draw(study: Study) -> None:
    """Draw the page of a study: the real beats at once, the rest when it is there."""
    models = [name for name in GENERATORS if study.has_model(name)]
    subjects = train_subjects(study)
    if not models or not study.has_model("autoencoder"):
        sidebar.draw_untrained(study, "gan", "No generator is trained yet.")
        if subjects:
            subject = st.selectbox("Subject", subjects, key="real-subject")
            st.header(f"Subject {subject}")
            draw_beats(study, subject)
        return
    draw_form(study, models)
    job_id = job_panel.first_time(
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
        counts=is_of_beats,
        model=models[0],
    )
    done = job_panel.outcome(study.folder, job_id, key="generate")
    path = Path(done.arguments["out"]) if done is not None else None
    if done is None or path is None or not path.is_file():
        st.header(f"Subject {subjects[0]}")
        draw_beats(study, subjects[0])
        return
    st.header(f"Subject {', '.join(done.arguments['subjects'])}: {title_of(done)}")
    names = (BESIDE, POINTS, COPIES, SWAP, STRIP, FIGURES)
    for name, tab in zip(names, st.tabs(names, key=SECTION_KEY, on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                draw_section(study, name, done, path)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

"""Generation: synthetic beats of a person, beside the real and the smoothed ones on one scale."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from core.generating import GENERATORS, HEART_RATE_RANGE
from core.jobs import JobState
from core.labels import are_several
from core.study import Study
from pages.parts import (
    beat_panels,
    closeness,
    content,
    frame,
    generated,
    generator_figures,
    job_panel,
    planes,
    selection,
    sidebar,
    strip_form,
    swap_test,
)
from pages.parts.generated import DAY_WORDS
from pages.parts.looks import emphasis
from pages.parts.words import GENERATOR_WORDS

MOST_ASKED = 1000
DEFAULT_BEATS = 50
MOST_AT_FIRST = 5000
"""Beats that the first visit generates, of everybody if these are enough: it takes no longer."""
MAX_SEED = 2**31 - 1
SECTION_KEY = "generation-section"
FORM_KEY, LIKE_KEY = "generate-form", "generated-like"
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
    version += f" {study.model_recipes().get(arguments['model'])}"
    people = arguments["subjects"]
    words = ("generated", arguments["model"], *(people if len(people) == 1 else ["everybody"]))
    out = study.folder / "exports" / content.file_name(*words, ending=".npz", version=version)
    out.parent.mkdir(exist_ok=True)
    return job_panel.submit(study.folder, generated.VERB, out=str(out), **arguments)


def begin_usual(study: Study, model: str, subjects: list[str]) -> str:
    """Begin a job that generates the usual number of beats of subjects, as on recorded days."""
    usual = {"per_subject": DEFAULT_BEATS, "days": "recorded", "seed": 0}
    return begin(study, model=model, subjects=subjects, **usual)


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


def close_form() -> None:
    """Close the form, which hides what it asked for."""
    st.session_state[FORM_KEY] = False


def draw_form(study: Study, models: list[str], subject: str) -> None:
    """Draw what can be chosen; begin a job."""
    with st.form("generate", border=False):
        with st.grid(2, min_column_width=180):
            number = st.number_input("Beats", 1, MOST_ASKED, DEFAULT_BEATS, key="generate-number")
            model = st.selectbox(
                "Model",
                models,
                format_func=lambda name: GENERATOR_WORDS[name],
                help="GAN: a network that learned by trying to fool another one. Mixture: plain "
                "statistics, which it is measured against",
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
            seed = st.number_input(
                "Seed",
                0,
                MAX_SEED,
                0,
                help="The same seed gives the same beats again; another one, other beats",
                key="generate-seed",
            )
            labels = train_labels(study)
            label = ANY
            if labels:
                label = st.selectbox("Label", [ANY, *labels], key="generate-label")
        if not st.form_submit_button(
            f"Generate beats of {subject}",
            icon=":material/vital_signs:",
            type=emphasis(),
            on_click=close_form,
        ):
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


def like(job: JobState) -> tuple[str, str]:
    """Return what two generations must share to be shown in each other's place."""
    return job.arguments["model"], job.arguments["days"]


def pick_generation(subject: str, found: list[JobState]) -> JobState:
    """Let the user choose among several finished generations; return the one to show.

    First comes the newest one of this subject, or of another subject's model and days that were
    shown last.
    """
    last = st.session_state.get(LIKE_KEY)
    if last is not None and last["subject"] != subject:
        found = sorted(found, key=lambda job: like(job) != last["like"])
    shown = found[0]
    if len(found) > 1:
        by_id = {job.id: job for job in found}
        shown = by_id[
            st.selectbox(
                "Generated beats",
                list(by_id),
                format_func=lambda job_id: generated.told(by_id[job_id]),
                key=f"generated-{subject}-{len(found)}",
            )
        ]
    st.session_state[LIKE_KEY] = {"subject": subject, "like": like(shown)}
    return shown


def draw_download(study: Study, job: JobState, subject: str) -> None:
    """Offer the synthetic beats as ``.npz`` and ``.csv``."""
    with st.container(horizontal=True):
        for ending in (".npz", ".csv"):
            st.download_button(
                f"Download {ending[1:]}",
                partial(generated.as_bytes, study, job, subject, ending),
                content.file_name("synthetic", subject, ending=ending, version=job.id),
                icon=":material/download:",
                on_click="ignore",
                key=f"download{ending}",
            )
    st.caption("Every row of the file says that it is synthetic, by which model and seed.")


def draw_section(study: Study, name: str, job: JobState, subject: str, lead: int) -> None:
    """Draw one section of what was generated of a subject."""
    asked = job.arguments
    if name == BESIDE:
        beats = generated.beats_of(study, job, subject).signals
        label = asked.get("label")
        panels, missing = beat_panels.panels_of(study, subject, lead, generated=beats, label=label)
        beat_panels.draw(study, subject, panels, missing)
        draw_download(study, job, subject)
    elif name == POINTS:
        planes.draw(study, generated.file_of_subject(study, job, subject), [subject])
    elif name == COPIES:
        closeness.draw(study, generated.file_of(study, job), subject, lead)
    elif name == SWAP:
        swap_test.draw(study, subject, asked["model"], lead)
    elif name == STRIP:
        strip_form.draw(study, subject, asked["model"], asked["days"], MAX_SEED, lead)
    else:
        generator_figures.draw(study)


def draw_real(study: Study, subject: str, lead: int) -> None:
    """Draw a subject's real and smoothed beats alone."""
    st.header(f"Subject {subject}")
    beat_panels.draw(study, subject, *beat_panels.panels_of(study, subject, lead))


def draw_pickers(study: Study, subjects: list[str]) -> tuple[str, int]:
    """Draw the choice of a subject and a lead; return them."""
    subject = selection.pick_subject(subjects)
    lead = selection.pick_lead(study.info.leads)
    assert subject is not None, "there is one to choose"
    return subject, lead


def begin_first(study: Study, model: str, subjects: list[str], subject: str) -> None:
    """Begin the first generation by a model: of everybody, or of the subject of a large study."""
    if any(job.arguments["model"] == model for job in generated.beat_jobs(study)):
        return
    everybody = len(subjects) * DEFAULT_BEATS <= MOST_AT_FIRST
    begin_usual(study, model, subjects if everybody else [subject])


def draw(study: Study) -> None:
    """Draw the page of a study: the real beats at once, the rest when it is there."""
    models = [name for name in GENERATORS if study.has_model(name)]
    subjects = train_subjects(study)
    if not subjects:
        st.info("This study has no beats to learn from, so there is nothing to generate.")
        st.page_link(
            "pages/recordings.py", label="See what was read", icon=":material/folder_open:"
        )
        return
    if not models or not study.has_model("autoencoder"):
        sidebar.draw_untrained(study, "gan", "No generator is trained yet.")
        draw_real(study, *draw_pickers(study, subjects))
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        subject, lead = draw_pickers(study, subjects)
        form = st.popover(
            "Generate ...", icon=":material/vital_signs:", key=FORM_KEY, on_change="rerun"
        )
        with form:
            draw_form(study, models, subject)
    with job_panel.one_sentence():
        begin_first(study, models[0], subjects, subject)
    newest = next(iter(generated.of_subject(study, subject)), None)
    if newest is not None and newest.status != job_panel.DONE:
        job_panel.outcome(study.folder, newest.id, key="generate")
    found = generated.finished(study, subject)
    if not found:
        if newest is None or not newest.active:
            draw_offer(study, models[0], subject)
        draw_real(study, subject, lead)
        return
    shown = pick_generation(subject, found)
    st.markdown(f"**{subject}**: {generated.told(shown)}.")
    names = (BESIDE, POINTS, COPIES, SWAP, STRIP, FIGURES)
    for name, tab in zip(names, st.tabs(names, key=SECTION_KEY, on_change="rerun"), strict=True):
        if tab.open:
            with tab:
                draw_section(study, name, shown, subject, lead)


def draw_offer(study: Study, model: str, subject: str) -> None:
    """Say that nothing is generated of a subject yet, and offer it by one click."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"No generated beats of {subject} yet.", width="content")
        if st.button(
            f"Generate {DEFAULT_BEATS} beats of {subject}",
            icon=":material/vital_signs:",
            type=emphasis(),
            key="generate-now",
        ):
            with job_panel.one_sentence():
                begin_usual(study, model, [subject])
                st.rerun()


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

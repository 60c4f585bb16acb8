"""Overview: what the study is, where it stands, what to do next, and one picture of it."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from core import jobs
from core.beat_set import read_beats
from core.options import MODEL_NAMES
from core.partitions import SPLIT_WORDS
from core.study import Study
from pages.parts import content, frame, job_panel, sidebar, uploads
from pages.parts.generated import file_of
from pages.parts.looks import emphasis
from pages.parts.standing import Standing, key_figures, newest_generation, standing
from pages.parts.words import count

WHAT = (
    "A **study** is one folder: the recordings of some people, the heartbeats found in them, the "
    "models that learned these, and how well they did."
)
RECORDINGS, TRACE = "pages/recordings.py", "pages/trace.py"
TRAINING, GENERATION, REPORT = "pages/training.py", "pages/generation.py", "pages/report.py"
DONE_ICON, NEXT_ICON, LATER_ICON = (
    ":green[:material/check_circle:]",
    ":blue[:material/arrow_circle_right:]",
    ":gray[:material/radio_button_unchecked:]",
)
RECENT_JOBS = 5


def draw_facts(study: Study) -> None:
    """Draw what was recorded, and how it is split."""
    found = content.summary(study)
    st.header(study.info.name)
    with st.grid(4, min_column_width=150):
        st.metric("Subjects", found["subjects"], border=True)
        st.metric("Recordings", found["recordings_used"], border=True)
        st.metric("Beats", f"{found['beats']:,}", border=True)
        minutes = study.recordings["duration_s"].sum() / 60
        st.metric("Minutes of ECG", f"{minutes:,.0f}", border=True)
    leads = study.info.leads
    st.caption(
        f"{count(len(leads), 'lead')} ({', '.join(leads)}), {study.sampling_rate:g} Hz; "
        f"{SPLIT_WORDS[study.info.options.split]}."
    )


def draw_steps(study: Study, stands: Standing) -> None:
    """Draw the line of steps: what is done, what is next, with a link each."""
    found = content.summary(study)
    figures = study.figures()
    refused = len(found["refused"])
    steps = (
        (
            "Recordings prepared",
            True,
            f"{count(found['recordings_used'], 'recording')} used, {refused} not, "
            f"{count(found['rejected_beats'], 'beat')} left out",
            (RECORDINGS, "See the recordings"),
        ),
        (
            "Models trained",
            bool(stands.trained),
            f"{len(stands.trained)} of {len(MODEL_NAMES)} models"
            + (f": {', '.join(stands.trained)}" if stands.trained else ""),
            (TRAINING, "See the models"),
        ),
        (
            "Judged",
            stands.judged,
            f"every figure of {count(found['subjects'], 'person').replace('persons', 'people')}, "
            f"seed {figures['seed']}"
            if figures
            else "not judged yet",
            (REPORT, "Read the report") if stands.judged else (GENERATION, "Where it is judged"),
        ),
    )
    following = next((i for i, step in enumerate(steps) if not step[1]), len(steps))
    with st.grid(3, min_column_width=230):
        for number, (name, done, words, (page, label)) in enumerate(steps):
            icon = DONE_ICON if done else NEXT_ICON if number == following else LATER_ICON
            with st.container(border=True, height="stretch"):
                st.markdown(f"{icon} **{number + 1}. {name}**")
                st.caption(words)
                if done or number == following:
                    st.page_link(page, label=label, icon=":material/arrow_forward:")


def draw_next(study: Study, stands: Standing) -> None:
    """Draw the one thing to do next: train, judge, or look."""
    _draw_jobs_of(study, "train")
    if stands.state == "prepared":
        if st.button("Train the models", type=emphasis(), icon=":material/model_training:"):
            sidebar.switch_to(TRAINING)
        st.caption("The models learn to draw each person's heartbeat, and to name the person.")
        return
    drawn = newest_generation(study) is not None or not stands.generators
    with st.container(horizontal=True):
        if not stands.judged:
            _draw_judge(study)
        elif drawn and st.button(
            "Read the report", type=emphasis(), icon=":material/description:", key="report"
        ):
            sidebar.switch_to(REPORT)
        if not drawn and st.button(
            "See real beside generated",
            type=emphasis() if stands.judged else "secondary",
            icon=":material/vital_signs:",
            key="beside",
        ):
            sidebar.switch_to(GENERATION)


def _draw_judge(study: Study) -> None:
    """Draw an evaluation that runs or failed, and the button that begins one."""
    _draw_jobs_of(study, "evaluate")
    job = job_panel.newest(study.folder, "evaluate")
    if job is not None and job.active:
        return
    if st.button(
        "Judge the study",
        type=emphasis(),
        icon=":material/query_stats:",
        key="evaluate-overview",
        help="Measures every figure of the study on its test part; takes minutes",
    ):
        with job_panel.one_sentence():
            job_panel.submit(study.folder, "evaluate")
            st.rerun()


def _draw_jobs_of(study: Study, verb: str) -> None:
    job = job_panel.newest(study.folder, verb)
    if job is not None:
        job_panel.panel(study.folder, job, key=f"overview-{verb}")


def draw_picture(study: Study) -> None:
    """Draw the newest generated beats beside the real ones of the same person."""
    job = newest_generation(study)
    if job is None:
        return
    from core.plots import linked
    from core.plots.signals import Panel
    from core.plots.style import GENERATED

    subject, label = job.arguments["subjects"][0], job.arguments.get("label")
    panels, _ = content.real_panels(study, subject, 0, label=label)
    generated = read_beats(file_of(study, job))
    own = generated.take(generated.subject == subject)
    panels.append(Panel("Generated", GENERATED, own.signals[:, :, 0]))
    st.header(f"Real beside generated: {subject}")
    st.echarts_chart(
        linked.side_by_side(panels, content.beat_scale(study)),
        key="overview-beside",
        height=linked.HEIGHT_PX,
        alt=f"Beats of {subject} on one scale: " + ", ".join(p.name.lower() for p in panels),
    )
    st.page_link(GENERATION, label="Other people, models, and tests", icon=":material/vital_signs:")


def draw_figures(study: Study, stands: Standing) -> None:
    """Draw the key figures, a line of meaning each; the button that has them measured."""
    st.header("How well it went")
    if stands.state == "prepared":
        st.info("Not judged yet: first the models are trained.")
        return
    figures = study.figures()
    with st.grid(2, min_column_width=300):
        for figure in key_figures(figures):
            with st.container(border=True, height="stretch"):
                st.metric(figure.name, figure.value or "\u2013", help=figure.protocol or None)
                st.caption(figure.meaning if figure.value else "not judged yet")
    if figures:
        st.caption(f"On recordings that no model learned from; {figures['protocol']}.")


def draw_doors() -> None:
    """Draw a door for each kind of user."""
    st.header("What do you have?")
    with st.grid(3, min_column_width=230):
        with st.container(border=True, height="stretch"):
            st.markdown("**A folder of recordings**")
            st.caption("Make a study of your own: many people, any common format.")
            if st.button("Upload recordings", icon=":material/upload:", key="door-folder"):
                st.session_state[sidebar.NEW_KEY] = True
                sidebar.switch_to(RECORDINGS)
        with st.container(border=True, height="stretch"):
            st.markdown("**One recording**")
            st.caption("See it on ECG paper, with its rate, RR and quality.")
            st.page_link(TRACE, label="Open a recording", icon=":material/ecg_heart:")
        with st.container(border=True, height="stretch"):
            st.markdown("**Just curious**")
            st.caption("Real and generated heartbeats of one person, side by side.")
            st.page_link(GENERATION, label="Show me", icon=":material/vital_signs:")


def draw_recent(study: Study) -> None:
    """Draw the jobs that were begun last."""
    recent = jobs.list_jobs(study.folder)[:RECENT_JOBS]
    if not recent:
        return
    with st.expander("Recent jobs"):
        rows = [
            {
                "Begun": datetime.fromtimestamp(job.created).strftime("%Y-%m-%d %H:%M"),
                "Job": job_panel.VERB_WORDS.get(job.verb, job.verb),
                "State": job.status,
                "Message": uploads.without_folder(job.message),
            }
            for job in recent
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Jobs of this study, newest first")


def draw(study: Study) -> None:
    """Draw the page of a study."""
    stands = standing(study)
    draw_facts(study)
    draw_steps(study, stands)
    draw_next(study, stands)
    draw_picture(study)
    draw_figures(study, stands)
    draw_doors()
    draw_recent(study)


frame.ensure_app()
st.markdown(WHAT)
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)
else:
    draw_doors()

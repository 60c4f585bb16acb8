"""Authenticity: real or synthetic, by the study's judge, and by the viewer in a blind quiz."""

from __future__ import annotations

import streamlit as st

from core.fakes import WORDS
from core.jobs import JobState
from core.study import Study
from pages.parts import (
    figures_table,
    frame,
    job_panel,
    judgement,
    probe_choice,
    quiz,
    sidebar,
)
from pages.parts.looks import emphasis
from pages.parts.probe_choice import Probe
from pages.parts.words import share

VERB = "authenticate"
SECTION_KEY = "authenticity-section"
JUDGE, QUIZ, TRUST = "Judge beats", "Real or generated?", "How far to trust the judge"


def begin(study: Study, probe: Probe) -> None:
    """Begin a job that judges a probe, and show it."""
    with job_panel.one_sentence():
        job_panel.submit(study.folder, VERB, file=str(probe.make()))
        st.rerun()


def draw_judging(study: Study) -> None:
    """Draw the choice of beats, and what the judge said of them."""
    probe = probe_choice.choose(study, VERB)
    if probe is None:
        return
    job = probe_choice.newest(study, VERB, probe)
    if job is None and job_panel.newest(study.folder, VERB) is None:
        begin(study, probe)
    again = job is not None
    if (job is None or not job.active) and st.button(
        "Judge again" if again else "Judge",
        icon=":material/gavel:",
        type="secondary" if again else emphasis(),
    ):
        begin(study, probe)
    if job is None:
        st.caption(f"Not judged yet: {probe.told}.")
        return
    draw_answer(study, job, probe)


def draw_answer(study: Study, job: JobState, probe: Probe) -> None:
    """Draw a judging that runs or failed, or what the judge said."""
    done = job_panel.outcome(study.folder, job.id, key="judge")
    if done is not None:
        probe_choice.tell_older(study, job, "authenticity")
        judgement.draw(study, done, probe)
        probe_choice.draw_link(probe)


def draw_trust(study: Study) -> None:
    """Draw how well the judge tells held-out beats apart, in words first."""
    card = study.card("authenticity")
    accuracy, auc = card.get("accuracy"), card.get("auc")
    if isinstance(accuracy, int | float):
        st.markdown(
            f"Of beats that it had not learned from, the judge tells **{share(accuracy)}** right; "
            "a coin gets 50 %."
        )
    with st.grid(3, min_column_width=140):
        for value, label, meaning in (
            (accuracy, "Accuracy", "Share told right; 0.5 is chance"),
            (auc, "AUC", "How often a fake gets the higher probability of a pair; 0.5 is chance"),
            (card.get("brier"), "Brier score", "Mean squared error of its probabilities; 0.25 is "
             "a coin's, 0 is best"),
        ):  # fmt: skip
            if isinstance(value, int | float):
                st.metric(label, f"{value:.3f}", border=True, help=meaning)
    st.caption(f"{card.get('protocol', '')}.")
    draw_kinds(card.get("kinds") or {})
    with st.expander("Every figure with its protocol"):
        figures_table.draw_table(study, only="authenticity")
    figures_table.draw_button(study, only="authenticity")


def draw_kinds(kinds: dict[str, dict[str, float]]) -> None:
    """Draw which kinds of fakes the judge knows apart from real beats, the hardest first."""
    if not kinds:
        return
    st.header("Which fakes it catches")
    hardest = sorted(kinds, key=lambda kind: kinds[kind]["auc"])
    rows = {WORDS.get(kind, kind): [f"{kinds[kind]['auc']:.3f}"] for kind in hardest}
    figures_table.draw_small(
        "Kind", rows, ["AUC"], alt="How well the judge tells each kind of fake, the hardest first"
    )
    st.caption("Held-out beats of the train part. AUC 0.5: told as by a coin; 1: always.")


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

"""Identification: who a recording is of, how sure that is, who may be named, how well it works."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.errors import UserError
from core.gallery import list_gallery
from core.study import Study
from pages.parts import (
    answer,
    figures_table,
    frame,
    gallery_editor,
    identification_figures,
    job_panel,
    probe_choice,
    sidebar,
)
from pages.parts.looks import emphasis
from pages.parts.probe_choice import Probe

VERB = "identify"
SECTION_KEY = "section"
PERSON, LABEL, GALLERY, EVALUATION = "Who is it", "Which label", "Gallery", "Evaluation"
NOBODY = "nobody: say who it is"


def begin(study: Study, probe: Probe, claimed: str | None = None) -> None:
    """Begin a job that names the person, and one that verifies a claimed one; show them.

    A claimed recording never joins the gallery: it would be verified against itself.
    """
    refresh = claimed is None and bool(st.session_state.get(gallery_editor.REFRESH_KEY))
    with job_panel.one_sentence():
        files = [str(probe.make())]
        asked: dict[str, Any] = {"files": files, "per_beat": True}
        more = {"refresh": True} if refresh else {}
        job_panel.submit(study.folder, VERB, **asked, **more)
        if claimed is not None:
            job_panel.submit(study.folder, "verify", files=files, subject=claimed)
        st.rerun()


def draw_question(study: Study, probe: Probe, people: list[str], *, again: bool) -> None:
    """Let the user name a claimed person if there is one; begin a job."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        claimed = None
        if people:
            claimed = st.selectbox(
                "Claimed to be",
                [None, *people],
                format_func=lambda name: name or NOBODY,
                help="Somebody: whether it is that person. Nobody: who of all it is",
                key="probe-claimed",
            )
        if st.button(
            "Identify" if claimed is None else "Verify",
            icon=":material/fingerprint:",
            type="secondary" if again else emphasis(),
        ):
            begin(study, probe, claimed)
    if claimed is None and st.session_state.get(gallery_editor.REFRESH_KEY):
        st.caption("A recording that is named with confidence joins the gallery (set there).")


def draw_probe(study: Study, card: dict[str, Any], people: list[str]) -> None:
    """Draw the choice of a probe and what is said of it."""
    probe = probe_choice.choose(study, VERB)
    if probe is None:
        return
    job = probe_choice.newest(study, VERB, probe)
    if job is None and job_panel.newest(study.folder, VERB) is None:
        begin(study, probe)
    draw_question(study, probe, people, again=job is not None)
    if job is None:
        st.caption(f"Not compared yet: {probe.told}.")
        return
    claim = answer.claim_of(study, job, probe) if people else None
    if claim is not None:
        answer.draw_claim(study, claim)
    done = job_panel.outcome(study.folder, job.id, key="identify")
    if done is not None:
        probe_choice.tell_older(study, job, "identifier")
    if done is not None and people:
        claimed = None if claim is None else str(claim.arguments["subject"])
        answer.draw_person(study, done, probe, card, claimed=claimed)
    elif done is not None:
        answer.draw_label(done, probe)


def draw(study: Study) -> None:
    """Draw the page of a study."""
    if not study.has_model("identifier"):
        sidebar.draw_untrained(study, "identifier", "The identifier is not trained yet.")
        return
    card = study.card("identifier").get("identifier", {})
    people: list[str] = []
    if card.get("target") == "label":
        st.caption(f"The identifier names the label of beats: {', '.join(card['classes'])}.")
        names = [LABEL, EVALUATION]
    else:
        names = [PERSON, GALLERY, EVALUATION]
        try:
            people = [one["subject"] for one in list_gallery(study)["subjects"]]
        except UserError as error:
            st.error(str(error))
            names = [EVALUATION]
    tabs = dict(zip(names, st.tabs(names, key=SECTION_KEY, on_change="rerun"), strict=True))
    for name, tab in tabs.items():
        if not tab.open:
            continue
        with tab:
            if name == GALLERY:
                gallery_editor.draw(study)
            elif name == EVALUATION:
                identification_figures.draw(study)
                figures_table.draw_button(study, only="identification")
            else:
                draw_probe(study, card, people)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

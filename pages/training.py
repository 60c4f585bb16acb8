"""Training: what is trained on what, the live curves, runs side by side, networks, the search."""

from __future__ import annotations

import streamlit as st

from core import jobs
from core.study import Study
from pages.parts import (
    frame,
    job_panel,
    sidebar,
    training_models,
    training_plan,
    training_runs,
    training_samples,
    training_search,
)

TABS = ("Train", "Runs", "Models", "Tune")
TAB_KEY = "training-tab"


def draw(study: Study) -> None:
    """Draw the page of a study: what runs above, the rest in tabs of which one is computed."""
    busy = any(job.active and job.verb in jobs.WRITERS for job in jobs.list_jobs(study.folder))
    training = job_panel.newest(study.folder, "train")
    search = job_panel.newest(study.folder, "tune")
    if training is not None:
        job_panel.panel(study.folder, training, curves=True, key="train")
        training_samples.live(study, training)
    if search is not None:
        job_panel.panel(study.folder, search, curves=True, key="tune")
    train, runs, models, tune = st.tabs(TABS, on_change="rerun", key=TAB_KEY)
    if train.open:
        with train:
            training_plan.draw(study, busy=busy)
    if runs.open:
        with runs:
            training_runs.draw(study, busy=busy)
    if models.open:
        with models:
            training_models.draw(study)
    if tune.open:
        with tune:
            training_search.draw(study, search, busy=busy)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

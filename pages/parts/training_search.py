"""The search for better settings of the identifier: its start, its progress, its trials."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pandas as pd
import streamlit as st

from core import jobs
from core.errors import UserError
from core.jobs import JobState
from core.plots.figures import loss_curves
from core.plots.trials import setting_scatter
from core.study import Study
from core.tuning import TRIAL_RANGE, read_trials
from pages.parts import job_panel
from pages.parts.training_plan import MAX_SEED

USUAL_TRIALS = 20
POLL_S = 2.0


def draw(study: Study, job: JobState | None, *, busy: bool) -> None:
    """Draw the search.

    Args:
        study: The study.
        job: The newest search; None if there was none.
        busy: Whether a job is changing the study, so that no other may begin.
    """
    st.markdown(
        "Searches better settings of the identifier's network, on the train part only. "
        "Run again, it goes on; what was finished is kept."
    )
    found = read_trials(study)
    done = len(found["trials"]) if found else 0
    if busy:
        st.info("A job is changing this study: it is shown above. A search can begin when it ends.")
    else:
        _draw_start(study, done)
    if job is not None and job.active:
        st.fragment(_watch, run_every=POLL_S)(study, job.id)
    elif found and done:
        _draw_trials(found)
        _draw_best(study, found, busy=busy)
    else:
        st.info("No trial yet. The first one has the usual settings, so the best is no worse.")


def _draw_start(study: Study, done: int) -> None:
    with st.form("tune"):
        with st.grid(3, min_column_width=180):
            trials = st.number_input(
                "Trials in all", *TRIAL_RANGE, max(USUAL_TRIALS, done), key="tune-trials"
            )
            seed = st.number_input("Seed", 0, MAX_SEED, 0, key="tune-seed")
        if st.form_submit_button("Search", icon=":material/search:"):
            with job_panel.one_sentence():
                job_panel.submit(study.folder, "tune", trials=int(trials), seed=int(seed))
                st.rerun()


def _watch(study: Study, job_id: str) -> None:
    try:
        job = jobs.read_job(study.folder, job_id)
    except UserError:
        return
    found = read_trials(study)
    if found and found["trials"]:
        st.markdown(progress_words(job, found))
        _draw_trials(found)
    else:
        st.info("The first trial is on its way.")


def progress_words(job: JobState, found: dict[str, Any]) -> str:
    """Return how far a search is, what it found, and how long the rest should take.

    Args:
        job: The search.
        found: What `read_trials` returned, with at least one trial.
    """
    trials = found["trials"]
    wanted = int(job.arguments.get("trials", USUAL_TRIALS))
    mean_s = sum(trial["seconds"] for trial in trials) / len(trials)
    best = next((t for t in trials if t["number"] == found["best"]), None)
    words = f"**Trial {len(trials)} of {wanted}**"
    if best is not None:
        words += f", best so far {best['accuracy']:.1%} (trial {best['number']})"
    words += f", {mean_s:.0f} s a trial"
    left = wanted - len(trials)
    return f"{words}, {job_panel.span(left * mean_s)} of work left." if left > 0 else f"{words}."


def _draw_trials(found: dict[str, Any]) -> None:
    trials = found["trials"]
    st.caption(f"Accuracy: {found['protocol']}. Pruned: given up early, behind the median.")
    best_so_far = list(
        accumulate((t["accuracy"] if t["state"] == "complete" else 0.0 for t in trials), max)
    )
    points = [
        {t["state"]: t["accuracy"], "best so far": best}
        for t, best in zip(trials, best_so_far, strict=True)
    ]
    figure = loss_curves(points, x_title="Trial")
    figure.update_yaxes(title_text="Accuracy (share of beats)")
    st.plotly_chart(figure, key="tune-trials-chart", alt="Accuracy of each trial")
    settings = list(trials[0]["settings"])
    name = st.selectbox(
        "Accuracy by setting",
        settings,
        format_func=lambda setting: setting.replace("_", " "),
        key="tune-setting",
    )
    st.plotly_chart(
        setting_scatter(trials, name),
        key="tune-setting-chart",
        alt=f"Accuracy of each trial by its {name.replace('_', ' ')}",
    )
    rows = [
        {
            "Trial": t["number"],
            "State": t["state"],
            "Accuracy": t["accuracy"],
            "Epochs": len(t["epochs"]),
            "Seconds": round(t["seconds"]),
            **{setting.replace("_", " "): str(value) for setting, value in t["settings"].items()},
        }
        for t in trials
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Trials of the search")


def _draw_best(study: Study, found: dict[str, Any], *, busy: bool) -> None:
    """Draw the best settings, and the button that makes them the model."""
    best = next((t for t in found["trials"] if t["number"] == found["best"]), None)
    if best is None:
        return
    st.markdown("#### Best settings")
    st.markdown(f"Trial {best['number']}, accuracy {best['accuracy']:.1%}.")
    st.table(
        {name.replace("_", " "): str(value) for name, value in best["settings"].items()},
        border="horizontal",
        width="content",
        alt="Best settings",
    )
    card = study.card("identifier") if study.has_model("identifier") else {}
    if card.get("recipe", {}).get("tuned") == best["settings"]:
        st.success("The identifier was trained with these settings.")
    elif busy:
        st.caption("It can be made the model when the job above has ended.")
    elif st.button("Make it the model", key="tune-use", icon=":material/model_training:"):
        seed = int(st.session_state["tune-seed"])
        with job_panel.one_sentence():
            job_panel.submit(study.folder, "train", models=["identifier"], preset="full", seed=seed)
            st.rerun()

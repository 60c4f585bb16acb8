"""Finished trainings -> a table, some side by side, and the models of the best put to use."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import streamlit as st

from core import jobs, runs
from core.plots.figures import loss_curves
from core.runs import FIGURES, Figure, Run
from core.study import Study
from pages.parts import job_panel, words
from pages.parts.training_models import STEPS_WORDS

MOST_COMPARED = 4
TOLD_KEY = "runs-told"
CURVES: tuple[tuple[str, str, str], ...] = (
    ("gan", "critic_loss", "GAN: loss of the critic"),
    ("gan", "generator_loss", "GAN: loss of the generator"),
    ("gan", "spread", "GAN: spread of generated over real beats"),
    ("autoencoder", "loss", "Autoencoder: loss"),
    ("identifier", "loss", "Identifier: loss"),
    ("identifier", "held_out_accuracy", "Identifier: right on held-out train recordings"),
)


def draw(study: Study, *, busy: bool) -> None:
    """Draw the runs of a study.

    Args:
        study: The study.
        busy: Whether a job is changing the study, so that its models cannot be changed.
    """
    told = st.session_state.pop(TOLD_KEY, None)
    if told:
        st.success(told)
    found = runs.list_runs(study)
    if not found:
        st.info("No training has ended yet. Each one that does is kept here, to be compared.")
        _draw_unfinished(study)
        return
    labels = _labels(found)
    _draw_table(found)
    _draw_comparison(study, found, labels)
    _draw_use(study, found, labels, busy=busy)
    _draw_unfinished(study)


def _labels(found: list[Run]) -> dict[str, str]:
    """Return a name of each run, by its id."""
    names: dict[str, str] = {}
    for run in found:
        name = f"{_when(run)}, {run.preset}"
        name += "" if run.seed is None else f", seed {run.seed}"
        name += " (in use)" if run.in_use else ""
        names[run.id] = f"{name}, {run.id[-6:]}" if name in names.values() else name
    return names


def _when(run: Run) -> str:
    return f"{datetime.fromisoformat(run.time).astimezone():%d %b %H:%M}"


def _draw_table(found: list[Run]) -> None:
    rows = [
        {
            "Ended": _when(run),
            "State": "in use" if run.in_use else "kept" if run.kept else "figures only",
            "Trained": ", ".join(run.trained),
            "Preset": run.preset,
            "Seed": "mixed" if run.seed is None else str(run.seed),
            "Took": job_panel.span(sum(run.seconds.values())) if run.seconds else "not measured",
        }
        for run in found
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Trainings of this study that ended")


def _draw_comparison(study: Study, found: list[Run], labels: dict[str, str]) -> None:
    st.markdown("#### Compare")
    if len(found) < 2:
        st.info("With a second training, with another seed or preset, the two stand side by side.")
        return
    chosen = st.multiselect(
        "Runs to compare",
        list(labels),
        default=list(labels)[:2],
        format_func=lambda name: labels.get(name, name),
        max_selections=MOST_COMPARED,
        key="runs-compared",
    )
    compared = [run for run in found if run.id in chosen]
    if len(compared) < 2:
        st.info("Choose two or more.")
        return
    if len({run.study for run in compared}) > 1:
        st.warning("These were trained on different data, so their figures do not compare.")
    rows = [row for figure in FIGURES if (row := _row(figure, compared, labels))]
    if rows:
        st.table(pd.DataFrame(rows).set_index("Figure"), alt="Figures of the runs side by side")
    st.caption(
        "★ is the better one. All figures come from training itself, none from the test part: a "
        "run that is chosen by its test figures has no honest test any more."
    )
    _draw_curves(study, compared, labels)


def _row(figure: Figure, compared: list[Run], labels: dict[str, str]) -> dict[str, str] | None:
    values = {
        run.id: run.figures[figure.model][figure.name]
        for run in compared
        if figure.name in run.figures.get(figure.model, {})
    }
    if not values:
        return None
    # What reads alike is alike: no run is better by a digit that is not shown.
    told = {name: float(f"{value:.3g}") for name, value in values.items()}
    best = runs.best_of(figure, told)
    row = {"Figure": figure.words}
    for run in compared:
        value = told.get(run.id)
        text = words.share(value) if figure.percent or value is None else f"{value:.3g}"
        row[labels[run.id]] = f"{text} ★" if run.id in best else text
    return row


def _draw_curves(study: Study, compared: list[Run], labels: dict[str, str]) -> None:
    curves = {run.id: runs.read_curves(study, run) for run in compared}
    offered = [
        place
        for place, (model, name, _) in enumerate(CURVES)
        if any(name in row for own in curves.values() for row in own.get(model, []))
    ]
    if not offered:
        return
    place = st.selectbox(
        "Curve", offered, format_func=lambda number: CURVES[number][2], key="runs-curve"
    )
    model, name, title = CURVES[place]
    lines = {
        labels[run.id]: [row.get(name) for row in curves[run.id].get(model, [])] for run in compared
    }
    history: list[dict[str, float]] = [{} for _ in range(max(map(len, lines.values())))]
    for label, line in lines.items():
        for entry, value in zip(history, line, strict=False):
            if value is not None:
                entry[label] = value
    figure = loss_curves(history, x_title=STEPS_WORDS.get(model, "Epoch"))
    st.plotly_chart(figure, key="runs-curves", alt=f"{title}, a line a run")


def _draw_use(study: Study, found: list[Run], labels: dict[str, str], *, busy: bool) -> None:
    st.markdown("#### Use another run's models")
    others = [run.id for run in found if run.kept and not run.in_use]
    if not others:
        st.caption(
            "There is no other run whose models are kept. A training keeps those that it replaces; "
            f"of the last {runs.KEPT} runs they stay."
        )
        return
    chosen = st.selectbox(
        "Run", others, format_func=lambda name: labels.get(name, name), key="runs-use"
    )
    st.caption("All its models come together. To undo, choose the run that is in use now.")
    if busy:
        st.info("A job is changing this study. Models can be exchanged when it has ended.")
    elif st.button("Use this run's models", icon=":material/swap_horiz:", key="runs-use-begin"):
        with job_panel.one_sentence():
            done = runs.restore(study, chosen)
            told = f"In use now: {', '.join(done['restored'])} of {labels[chosen]}."
            if done["left_out"]:
                told += f" Not in use: {', '.join(done['left_out'])}, made of models that changed."
            st.session_state[TOLD_KEY] = told
            st.rerun()


def _draw_unfinished(study: Study) -> None:
    """Draw the trainings that did not end by themselves."""
    rows = [
        {
            "Begun": f"{datetime.fromtimestamp(job.created):%d %b %H:%M}",
            "State": job.status,
            "Models": ", ".join(job.arguments.get("models") or ["all"]),
            "Message": job.message,
        }
        for job in jobs.list_jobs(study.folder)
        if job.verb == "train" and job.resumable
    ]
    if rows:
        st.markdown("#### Not finished")
        st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Trainings that did not finish")

"""A job that mixed real and generated beats -> a blind quiz, and its score beside the judge's."""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison import ROUND_BEATS, by_luck
from core.generating import GENERATORS
from core.jobs import JobState
from core.plots.paper import beat_row, common_limits, one_beat, rows_of
from core.study import Study
from pages.parts import content, job_panel, selection
from pages.parts.looks import emphasis
from pages.parts.words import GENERATOR_WORDS, count

KEY = "quiz"
REAL, GENERATED = "real", "generated"
JUDGE_SAYS = 0.5
"""Probability from which the judge calls a beat generated."""
BEATS_A_ROW = 5
SEEDS = 2**31


def begin(study: Study) -> str:
    """Begin a job that mixes a new round; return its id."""
    model = next(name for name in GENERATORS if study.has_model(name))
    return job_panel.submit(study.folder, "quiz", model=model, seed=secrets.randbelow(SEEDS))


def state_of(study: Study) -> dict[str, Any]:
    """Return what the session knows of the quiz of a study: its job, guesses, earlier rounds."""
    states: dict[str, dict[str, Any]] = st.session_state.setdefault(KEY, {})
    return states.setdefault(str(study.folder), {"job": None, "guesses": [], "rounds": []})


def guess(state: dict[str, Any], said: str, number: int) -> None:
    """Take an answer to the question of that number, once."""
    if len(state["guesses"]) == number:
        state["guesses"].append(said)


def new_round(study: Study) -> None:
    """Begin a new round, and forget the answers of the last one."""
    state = state_of(study)
    with job_panel.one_sentence():
        state.update(job=begin(study), guesses=[])
        st.rerun()


def draw(study: Study) -> None:
    """Draw the quiz where it stands: preparing, asking, or told."""
    st.header("Real or generated?")
    st.markdown(
        f"{ROUND_BEATS} heartbeats, one after the other. Half were measured, half are synthetic: "
        "you say which. The judge has looked at the very same ones."
    )
    if not any(study.has_model(name) for name in GENERATORS):
        st.info("No generator is trained. Train one, then come back.")
        st.page_link("pages/training.py", label="Train the models", icon=":material/school:")
        return
    state = state_of(study)
    if state["job"] is None:
        if st.button("Begin", icon=":material/play_arrow:", type=emphasis(), key="quiz-begin"):
            new_round(study)
        return
    done = job_panel.outcome(study.folder, state["job"], key="quiz")
    if done is None:
        job = job_panel.newest(study.folder, "quiz")
        if (job is None or not job.active) and st.button("New round", key="quiz-again"):
            new_round(study)
        return
    lead = selection.pick_lead(study.info.leads)
    signals = np.asarray(done.result["signals"], dtype=np.float32)[:, :, lead]
    if len(state["guesses"]) < len(signals):
        draw_question(study, state, signals)
    else:
        draw_answers(study, state, done, signals)


def draw_question(study: Study, state: dict[str, Any], signals: np.ndarray) -> None:
    """Draw the next beat, and a button for each answer; nothing tells which is right."""
    number = len(state["guesses"])
    told = f"Beat {number + 1} of {len(signals)}"
    st.progress(number / len(signals), text=told)
    with st.container(horizontal=True):
        for said, key in ((REAL, "1"), (GENERATED, "2")):
            st.button(
                said.capitalize(),
                key=f"quiz-{said}",
                shortcut=key,
                on_click=guess,
                args=(state, said, number),
            )
    st.plotly_chart(
        one_beat(signals[number], content.beat_scale(study), common_limits(signals)),
        key="quiz-beat",
        width=640,
        alt=f"{told}: real or generated?",
    )
    st.caption(
        "All are smoothed alike, in one colour, on one scale. Small boxes, stretched: 0.04 s"
        + (" by 0.1 mV." if study.info.unit == "mV" else ".")
    )


def draw_answers(study: Study, state: dict[str, Any], job: JobState, signals: np.ndarray) -> None:
    """Draw the score beside the judge's, what it means, and every beat with its truth."""
    truth = [GENERATED if synthetic else REAL for synthetic in job.result["synthetic"]]
    judge = [GENERATED if p > JUDGE_SAYS else REAL for p in job.result["judge"]]
    yours, its = right(state["guesses"], truth), right(judge, truth)
    asked = len(truth)
    if all(told["job"] != job.id for told in state["rounds"]):
        state["rounds"].append({"job": job.id, "yours": yours, "judge": its, "asked": asked})
    with st.grid(2):
        st.metric("You", f"{yours} of {asked}", border=True)
        st.metric("The judge", f"{its} of {asked}", border=True)
    st.markdown(verdict(yours, asked))
    if len(state["rounds"]) > 1:
        rounds = state["rounds"]
        sums = {name: sum(told[name] for told in rounds) for name in ("yours", "judge", "asked")}
        st.markdown(
            f"Over {count(len(rounds), 'round')}: you {sums['yours']}, the judge {sums['judge']} "
            f"of {sums['asked']}."
        )
    if st.button("New round", icon=":material/replay:", type=emphasis(), key="quiz-again"):
        new_round(study)
    scale, limits = content.beat_scale(study), common_limits(signals)
    synthetic = {i for i, what in enumerate(truth) if what == GENERATED}
    for part in rows_of(asked, BEATS_A_ROW):
        here = {i - part.start for i in synthetic if part.start <= i < part.stop}
        st.plotly_chart(
            beat_row(signals[part], scale, first=part.start + 1, marked=here, limits=limits),
            key=f"quiz-row-{part.start}",
            alt=f"Beats {part.start + 1} to {part.stop}, the synthetic ones in colour",
        )
    table = pd.DataFrame(
        {
            "Beat": range(1, asked + 1),
            "It was": truth,
            "You said": state["guesses"],
            "The judge said": judge,
            "Its probability that it is synthetic": job.result["judge"],
            "Person": job.result["subjects"],
        }
    )
    st.dataframe(table, hide_index=True, alt="Each beat of the round with its truth")
    st.caption(
        f"In colour: synthetic. Real beats: of the {job.result['partition']} part. Generated: "
        f"by the {GENERATOR_WORDS[job.result['model']]}, of the same people. "
        f"The judge's threshold is {JUDGE_SAYS:g}."
    )


def right(said: list[str], truth: list[str]) -> int:
    """Return how many answers are right."""
    return sum(one == other for one, other in zip(said, truth, strict=True))


def verdict(yours: int, asked: int) -> str:
    """Return in words what a score means."""
    half = f"{asked // 2} of {asked} is what a coin gets: at that score nobody can tell them apart."
    luck = by_luck(yours, asked)
    if yours <= asked // 2:
        return f"{half} You did no better than that."
    chance = f"{100 * luck:.0f} of 100" if luck >= 0.01 else f"{1000 * luck:.0f} of 1,000"
    return f"{half} By luck alone, {yours} or more are right in {chance} rounds."

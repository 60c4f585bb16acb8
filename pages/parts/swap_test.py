"""Beats in a row of which some were exchanged -> which ones, by eye and by the judge."""

from __future__ import annotations

import secrets

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison import EXCHANGED_BEATS, PARTS, ROUND_BEATS
from core.jobs import JobState
from core.plots.paper import beat_row, common_limits, rows_of
from core.study import Study
from pages.parts import content, job_panel
from pages.parts.quiz import BEATS_A_ROW, JUDGE_SAYS, SEEDS
from pages.parts.words import GENERATOR_WORDS

PART_WORDS = {"beat": "whole beats", "p": "P waves", "qrs": "QRS complexes", "st-t": "ST and T"}
VERB = "quiz"


def newest(study: Study, subject: str) -> JobState | None:
    """Return the row of a subject that was made last."""
    rows = job_panel.of_verb(study.folder, VERB)
    return next((job for job in rows if job.arguments.get("subject") == subject), None)


def draw(study: Study, subject: str, model: str, lead: int) -> None:
    """Draw the choice of what is exchanged, the row, and on demand the answer.

    Args:
        study: A study with a generator.
        subject: Whose beats.
        model: The generator.
        lead: Number of the lead to show.
    """
    st.markdown(
        f"{ROUND_BEATS} beats in a row of **{subject}**. In {EXCHANGED_BEATS} of them something "
        "was never measured: it is synthetic. Can you see where?"
    )
    if not study.has_model("authenticity"):
        st.info("The judge is not trained yet; the swap test asks it, too.")
        st.page_link("pages/training.py", label="Train the models", icon=":material/school:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = st.segmented_control(
            "What is exchanged",
            list(PARTS),
            format_func=PART_WORDS.__getitem__,
            default="beat",
            required=True,
            key="swap-part",
        )
        if st.button("New row", icon=":material/shuffle:", key="swap-new"):
            with job_panel.one_sentence():
                job_panel.submit(
                    study.folder,
                    VERB,
                    model=model,
                    subject=subject,
                    part=part,
                    seed=secrets.randbelow(SEEDS),
                )
                st.rerun()
    job = newest(study, subject)
    if job is None:
        st.info("Choose what is exchanged, then make a row.")
        return
    done = job_panel.outcome(study.folder, job.id, key="swap")
    if done is not None:
        draw_row(study, done, lead)


def draw_row(study: Study, job: JobState, lead: int) -> None:
    """Draw the row, the viewer's guess and, once asked for, what was exchanged."""
    result = job.result
    signals = np.asarray(result["signals"], dtype=np.float32)[:, :, lead]
    numbers = list(range(1, len(signals) + 1))
    exchanged = {i for i, synthetic in enumerate(result["synthetic"]) if synthetic}
    guessed = st.pills("Which ones?", numbers, selection_mode="multi", key=f"swap-guess-{job.id}")
    shown = st.toggle("Show where, and what the judge says", key=f"swap-show-{job.id}")
    scale, limits = content.beat_scale(study), common_limits(signals)
    for part in rows_of(len(signals), BEATS_A_ROW):
        here = {i - part.start for i in exchanged if part.start <= i < part.stop}
        st.plotly_chart(
            beat_row(
                signals[part],
                scale,
                first=part.start + 1,
                marked=here if shown else (),
                within_s=PARTS[result["part"]],
                limits=limits,
            ),
            key=f"swap-row-{part.start}",
            alt=f"Beats {part.start + 1} to {part.stop} of the row",
        )
    if not shown:
        st.caption(f"Exchanged: {PART_WORDS[result['part']]}. All are smoothed alike.")
        return
    judge = [p > JUDGE_SAYS for p in result["judge"]]
    caught = sum(judge[i] for i in exchanged)
    alarms = sum(judge) - caught
    if guessed:
        found = len(exchanged & {number - 1 for number in guessed})
        st.markdown(f"You named {len(guessed)} and found {found} of the {len(exchanged)}.")
    st.markdown(
        f"The judge calls {caught} of the {len(exchanged)} exchanged beats synthetic, and "
        f"{alarms} of the {len(judge) - len(exchanged)} untouched ones."
    )
    table = pd.DataFrame(
        {
            "Beat": numbers,
            "Exchanged": [
                PART_WORDS[result["part"]] if i in exchanged else "" for i in range(len(judge))
            ],
            "Judge: probability that it is synthetic": result["judge"],
        }
    )
    st.dataframe(table, hide_index=True, alt="What was exchanged, and what the judge says")
    st.caption(
        f"In colour: synthetic. Real beats: of the {result['partition']} part. "
        f"Generated: by the {GENERATOR_WORDS[result['model']]}."
    )

"""A model in training, or as it was trained -> its first to latest beats, beside real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st

from core import jobs
from core.errors import UserError
from core.jobs import JobState
from core.plots.signals import Panel, beats_over_mean, limits
from core.plots.style import GENERATED, SMOOTHED, mark_synthetic
from core.recording import FloatArray
from core.snapshots import Samples, read_samples
from core.study import Study
from pages.parts import content, selection

POLL_S = 2.0
HEIGHT_PX = 290
REAL_MEAN = "Real mean"
WHOLE, APART = "Beats", "How they differ from the real mean"
MADE_BY = {
    "autoencoder": "real beats of {subject} through the autoencoder and back",
    "gan": "beats of {subject} by the GAN, before the last calibration, the same noise every time",
}


def live(study: Study, job: JobState) -> None:
    """Draw the samples of the model that a job trains now, as they come."""
    if job.active:
        st.fragment(_watch, run_every=POLL_S)(study, job.id)


def _watch(study: Study, job_id: str) -> None:
    try:
        job = jobs.read_job(study.folder, job_id)
    except UserError:
        return
    model = job.stage.removeprefix("train ")
    samples = read_samples(study.model_folder(model).with_name(f".{model}.checkpoint"))
    if job.active and model in MADE_BY and samples is not None:
        draw(study, model, samples, key="live-samples", lead=0)


def finished(study: Study, model: str) -> None:
    """Draw the samples of a trained model, if any were kept."""
    samples = read_samples(study.model_folder(model))
    if samples is not None:
        lead = selection.pick_lead(study.info.leads)
        draw(study, model, samples, key=f"samples-{model}", lead=lead)


def draw(study: Study, model: str, samples: Samples, *, key: str, lead: int) -> None:
    """Draw the first samples, those halfway and the latest, on one scale.

    Args:
        study: Whose real beats are drawn beside them.
        model: ``autoencoder`` or ``gan``.
        samples: At least one snapshot.
        key: Tells the charts of one page from each other.
        lead: Number of the lead.
    """
    real = _real_beats(str(study.folder), study.info.fingerprint, samples.subject)
    if not len(real) or real.shape[1:] != samples.beats.shape[2:]:
        return
    last = len(samples.steps) - 1
    shown = sorted({0, _halfway(samples), last})
    scale = content.beat_scale(study)
    view = st.segmented_control(
        "Beats of one subject, as the training went on",
        (WHOLE, APART),
        default=WHOLE,
        required=True,
        key=f"{key}-view",
    )
    zero = real[..., lead].mean(axis=0) if view == APART else 0.0
    genuine = real[..., lead] - zero
    drawn = samples.beats[..., lead] - zero
    low, high = limits([drawn[shown], genuine])
    with st.grid(3, min_column_width=240):
        for place, number in enumerate(shown):
            figure = beats_over_mean(
                Panel("Drawn", GENERATED, drawn[number]),
                Panel(REAL_MEAN, SMOOTHED, genuine),
                scale,
            )
            figure.update_traces(line_dash="dash", selector={"name": REAL_MEAN})
            mark_synthetic(figure)
            when = f"{samples.unit.capitalize()} {samples.steps[number]:,}"
            figure.update_yaxes(range=[low, high])
            figure.update_layout(
                height=HEIGHT_PX, title={"text": when}, margin_t=70, showlegend=place == 0
            )
            st.plotly_chart(
                figure, key=f"{key}-{place}", alt=f"{when}: synthetic beats over the real mean beat"
            )
    words = MADE_BY[model].format(subject=samples.subject)
    st.caption(
        f"{samples.beats.shape[1]} {words}; the first, halfway and the latest of "
        f"{last + 1}. Orange: synthetic. Blue: the mean of {len(real)} real train beats, dashed, "
        "and one standard deviation."
    )


def _halfway(samples: Samples) -> int:
    return int(np.abs(samples.steps - samples.steps[-1] / 2).argmin())


@st.cache_data(max_entries=4, show_spinner=False, scope="session")
def _real_beats(folder: str, fingerprint: str, subject: str) -> FloatArray:
    train = content.open_study(Path(folder)).beats("train")
    return train.signals[train.subject == subject]

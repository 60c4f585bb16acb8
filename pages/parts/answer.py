"""What `identify` and `verify` said -> who it is, how sure, and the beats that decided it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.evaluation.identification import METHOD_WORDS
from core.gallery import GALLERY_FILE, GALLERY_FOLDER
from core.jobs import JobState
from core.plots.figures import score_bars
from core.plots.signals import Panel, Scale, beats_over_mean
from core.plots.style import BOLD_PX, COLOURS, GENERATED, GROUPS, RAW, SMOOTHED
from core.recording import FloatArray
from core.study import Study
from pages.parts import content, figures_table, job_panel, probe_choice, selection
from pages.parts.probe_choice import Probe
from pages.parts.words import count, probability, score, share

MOST, LEAST = "Most convincing", "Least convincing"
OWN = "This recording"
SHOWN_SCORES = 5
MARGIN_SHARE = 0.06
"""Room above and below the beats, as a share of their height."""


def claim_of(study: Study, job: JobState, probe: Probe) -> JobState | None:
    """Return the job that verifies a claim about a probe, begun with or after another job."""
    claim = probe_choice.newest(study, "verify", probe)
    return claim if claim is not None and claim.id > job.id else None


def draw_claim(study: Study, claim: JobState) -> None:
    """Draw whether a probe is the claimed person."""
    done = job_panel.outcome(study.folder, claim.id, key="verify")
    if done is None:
        return
    found = done.result["results"][0]
    words = f"score {score(found['score'])}, accepted from {found['threshold']:.3f}"
    if found["match"]:
        st.success(f"Yes, it is {found['subject']}: {words}.")
    else:
        st.warning(f"No, not accepted as {found['subject']}: {found['reason']}; {words}.")


def draw_person(
    study: Study,
    job: JobState,
    probe: Probe,
    card: Mapping[str, Any],
    *,
    claimed: str | None = None,
) -> None:
    """Draw who it is, the runners-up, and the probe's beats over the gallery's.

    Args:
        study: An opened study.
        job: A finished ``identify``.
        probe: What was looked at.
        card: Of the identifier.
        claimed: Whom the probe was claimed to be of; compared with first.
    """
    found = job.result["results"][0]
    left, right = st.columns([3, 2], gap="large")
    with left:
        _draw_name(found, probe, card)
        if _older(study, job):
            st.caption(":material/update: The gallery or the identifier has changed since.")
        if found.get("refreshed"):
            st.info(f"It joined the gallery as a further template of {found['predicted']}.")
        elif found.get("remark"):
            st.warning(found["remark"])
        probe_choice.draw_link(probe)
    if not found["scores"]:
        return
    with right:
        st.plotly_chart(
            score_bars(found["scores"], threshold=card.get("threshold"), shown=SHOWN_SCORES),
            key="score-bars",
            alt=f"Scores of the most alike, {found['predicted']} first",
        )
    st.subheader("The beats that decided")
    with job_panel.one_sentence():
        if probe.file.is_file():
            _draw_beats(study, probe, found, claimed=claimed, key=job.id)
        else:
            st.caption("The file is gone, so its beats are not shown.")
    with st.expander("How this was told"):
        st.markdown(f"{_rate_words(card)} {_method_words(card)}")


def _draw_name(found: Mapping[str, Any], probe: Probe, card: Mapping[str, Any]) -> None:
    """Draw the name or why there is none, with score, threshold and probability."""
    if found["accepted"]:
        st.header(f"It is {found['predicted']}", icon=":material/check_circle:")
    else:
        st.header("Cannot tell", icon=":material/help:")
        st.markdown(_sentence(found["reason"]))
    st.caption(f"{probe.told}: {count(found['beats'], 'clear beat')}.")
    if not found["scores"]:
        return
    nearest = "" if found["accepted"] else f"Most alike: **{found['predicted']}**. "
    st.markdown(
        f"{nearest}Score **{score(found['score'])}**, accepted from "
        f"{score(card.get('threshold'))}.",
        help="How alike the beats are to those of the person; the higher, the more",
    )
    if "probability" in found:
        st.markdown(
            f"Probability **{probability(found['probability'])}**, if it is one of the "
            f"{len(found['scores'])} in the gallery."
        )
    if not found["accepted"]:
        st.caption("Somebody who is not in the gallery yet can be added there, without training.")


def _rate_words(card: Mapping[str, Any]) -> str:
    """Return what the threshold was set for."""
    rate = card.get("false_accept_rate")
    if rate is None:
        return "The threshold is a default; no false-accept rate was measured for it."
    return f"The threshold was set on train-side data for {share(rate)} false accepts."


def _sentence(reason: str) -> str:
    """Return a reason as a sentence."""
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


def _method_words(card: Mapping[str, Any]) -> str:
    """Return what identifies, and how that was chosen."""
    if card.get("method") not in METHOD_WORDS:
        return ""
    selection = card.get("selection") or {}
    tried = "; ".join(
        f"{METHOD_WORDS.get(name, name)} {share(value)}"
        for name, value in (selection.get("rank_1") or {}).items()
    )
    chosen = f"chosen on the train side by rank 1: {tried}" if tried else selection["protocol"]
    return f"Identified by {METHOD_WORDS[card['method']]} ({chosen})."


def _older(study: Study, job: JobState) -> bool:
    """Tell whether the identifier or the gallery was changed after a job."""
    files = (
        study.model_folder("identifier") / "card.json",
        study.folder / GALLERY_FOLDER / GALLERY_FILE,
    )
    changed = [path.stat().st_mtime for path in files if path.is_file()]
    return job.finished is not None and max(changed, default=0.0) > job.finished


def _draw_beats(
    study: Study, probe: Probe, found: Mapping[str, Any], *, claimed: str | None, key: str
) -> None:
    """Draw the probe over the beats of the person named, and of another to compare with."""
    signals = probe_choice.signals_of(study, probe)
    ranked = sorted(found["scores"], key=lambda name: (name != claimed, -found["scores"][name]))
    others = [name for name in ranked if name != found["predicted"]]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        lead = selection.pick_lead(study.info.leads)
        beside = st.selectbox("Beside", others, key=f"beside-{key}") if others else None
    shown = [found["predicted"], *([beside] if beside else [])]
    galleries = {name: content.gallery_beats(study, name)[:, :, lead] for name in shown}
    marks = marked_beats(found.get("per_beat") or [], found["predicted"])
    if max(marks.values(), default=0) >= len(signals):
        marks = {}
    own = Panel(OWN, _kind(probe, found), signals[:, :, lead])
    for column, (name, beats) in zip(st.columns(len(shown)), galleries.items(), strict=True):
        with column:
            if not len(beats):
                st.caption(f"No beats of {name} are kept in this study.")
                continue
            st.markdown(f"**Over {name}**, score {found['scores'][name]:.3f}")
            figure = beats_over_gallery(own, beats, name, content.beat_scale(study), marks)
            figure.update_yaxes(range=_limits(own.beats, *galleries.values()))
            alt = f"The recording's beats over the mean beat and spread of {name}"
            st.plotly_chart(figure, key=f"overlay-{name}", alt=alt)
    if marks:
        st.caption(_beats_words(found["per_beat"], found["predicted"], marks))


def _kind(probe: Probe, found: Mapping[str, Any]) -> str:
    """Return of which kind a probe's beats are: smoothed as the study's, or synthetic."""
    synthetic = probe.kind == probe_choice.OF_GENERATED or "synthetic" in found.get("remark", "")
    return GENERATED if synthetic else SMOOTHED


def marked_beats(per_beat: Sequence[Mapping[str, Any]], name: str) -> dict[str, int]:
    """Return the numbers of the beats that speak most and least for a name.

    Beats that alone name somebody else speak least for it, the more the higher their score.
    """
    if len(per_beat) < 2:
        return {}
    speaks = [
        (beat["predicted"] == name, beat["score"] if beat["predicted"] == name else -beat["score"])
        for beat in per_beat
    ]
    order = sorted(range(len(speaks)), key=speaks.__getitem__)
    return {MOST: order[-1], LEAST: order[0]}


def _beats_words(per_beat: Sequence[Mapping[str, Any]], name: str, marks: Mapping[str, int]) -> str:
    """Return how many beats alone name whom, and which are marked."""
    alone = sum(beat["predicted"] == name for beat in per_beat)
    told = [
        f"{mark.lower()}: beat {number + 1}, {per_beat[number]['predicted']} with "
        f"{per_beat[number]['score']:.3f}"
        for mark, number in marks.items()
    ]
    return f"{alone} of {len(per_beat)} beats name {name} alone; {'; '.join(told)}."


def beats_over_gallery(
    probe: Panel, gallery: FloatArray, name: str, scale: Scale, marks: Mapping[str, int]
) -> go.Figure:
    """Draw a probe's beats over the mean and spread of a gallery's (n, n_samples); mark some."""
    figure = beats_over_mean(probe, Panel(f"{name}, mean and spread", RAW, gallery), scale)
    styles = {MOST: (COLOURS[probe.kind], "solid"), LEAST: (GROUPS[3], "dash")}
    for mark, number in marks.items():
        colour, dash = styles[mark]
        figure.add_scatter(
            x=scale.times(probe.beats.shape[1]),
            y=probe.beats[number],
            mode="lines",
            name=mark,
            line={"color": colour, "dash": dash, "width": BOLD_PX},
            hovertemplate="%{x:.3f} s, %{y:.3f}",
        )
    return figure


def _limits(probe: FloatArray, *galleries: FloatArray) -> tuple[float, float]:
    """Return one range that holds the probe's beats, and the gallery's mean and spread."""
    spreads = [
        beats.mean(axis=0) + sign * beats.std(axis=0)
        for beats in galleries
        if len(beats)
        for sign in (-1, 1)
    ]
    low = min(float(np.min(values)) for values in (probe, *spreads))
    high = max(float(np.max(values)) for values in (probe, *spreads))
    margin = MARGIN_SHARE * (high - low) or 1.0
    return low - margin, high + margin


def draw_label(job: JobState, probe: Probe) -> None:
    """Draw which label the beats have, the most frequent first."""
    found = job.result["results"][0]
    counts = Counter(beat["predicted"] for beat in found.get("per_beat") or [])
    if counts:
        label, most = counts.most_common(1)[0]
        st.header(f"{label}: {most:,} of {count(found['beats'], 'beat')}")
    else:
        st.header("Cannot tell", icon=":material/help:")
    st.caption(f"{probe.told}: each beat is named beside the others of the recording.")
    if found["reason"]:
        st.markdown(f"No one label for all of it: {found['reason'].rstrip('.')}.")
    if counts:
        rows = {name: [f"{n:,}", share(n / counts.total())] for name, n in counts.most_common()}
        figures_table.draw_small(
            "Label", rows, ["Beats", "Share"], alt="How many beats have which label"
        )

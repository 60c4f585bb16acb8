"""Stored figures of the identifier -> tables and plots of how well it works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import streamlit as st

from core.evaluation.identification import LABEL_METHOD_WORDS, METHOD_WORDS
from core.plots.figures import (
    confusion_matrix,
    det_plot,
    open_set_curve,
    reliability_diagram,
    robustness_lines,
)
from core.study import Study
from pages.parts import figures_table
from pages.parts.words import count, interval, share

UNIT_WORDS = {"beat": "One beat", "five_beats": "Five beats", "recording": "Recording"}
FIGURES = {
    "rank_1": "Rank 1: named rightly",
    "rank_5": "Rank 5: among the five likeliest",
    "eer": "EER of scores that hold for strangers",
    "eer_posterior": "EER of posteriors over the gallery",
    "tar_1": "True accepts at 1 % false accepts",
    "tar_01": "True accepts at 0.1 % false accepts",
}
LABEL_FIGURES = {"macro_f1": "Macro F1", "accuracy": "Accuracy"}
GENERATOR_WORDS = {"gan": "GAN", "mixture": "mixture"}
CHART_PX = 400


def draw(study: Study) -> None:
    """Draw what the last evaluation found; say that there is none if it has not run."""
    found = (study.figures() or {}).get("identification") or {}
    real = found.get("real")
    if not real:
        st.info("No figures of this identifier yet: run the evaluation.")
        for words in (study.figures() or {}).get("missing", ()):
            st.caption(f"{words}.")
        return
    if "classes" in real:
        _draw_labels(real)
    else:
        _draw_people(real, found)
    st.header("Where it errs")
    with st.grid(2, min_column_width=CHART_PX) as grid:
        for name, title, draw_one in _charts(real, found):
            with grid.cell():
                st.markdown(f"**{title}**")
                draw_one(name)
    with st.expander("How this was measured"):
        for words in _protocols(found):
            st.markdown(f"- {words}")
    with st.expander("All figures"):
        figures_table.draw_table(study, only="identification")


def _draw_people(real: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    own = real["methods"][real["method"]]
    st.caption(
        f"{real['protocol']}: {count(real['recordings'], 'recording')} of "
        f"{count(real['subjects'], 'subject')}, {real['enrolled']} in the gallery."
    )
    _say_people(real, own)
    with st.grid(4, min_column_width=140):
        for unit, words in UNIT_WORDS.items():
            st.metric(
                f"Rank 1, {words.lower()}",
                share(own[unit]["rank_1"]),
                help=f"Share that is named rightly, {_limits(own[unit].get('rank_1_interval'))}",
            )
        st.metric(
            "Equal error rate",
            share(own["recording"]["eer"]),
            help="Share of strangers let in, where as many of the right people are kept out; "
            f"{_limits(own['recording'].get('eer_interval'))}",
        )
    with st.expander("By method"):
        figure = st.selectbox(
            "Figure", list(FIGURES), format_func=FIGURES.__getitem__, key="figure"
        )
        rows = {
            _method_name(real, name): _cells(row, figure) for name, row in real["methods"].items()
        }
        figures_table.draw_small(
            "Method", rows, list(UNIT_WORDS.values()), alt=f"{FIGURES[figure]}, a row a method"
        )
        st.caption(
            "In bold what identifies. Below each figure its 95 % interval over subjects, in "
            "percent."
        )
    left, right = st.columns(2, gap="large")
    with left:
        _draw_leaky(found.get("leaky") or {})
    with right:
        _draw_generated(real, found)


def _say_people(real: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Say in words how often the right name is given, and how often a stranger gets one."""
    named = own["recording"]
    said = (
        f"Of recordings that no model learned from, **{share(named['rank_1'])}** get the right "
        f"name first ({_limits(named.get('rank_1_interval'))}); by chance "
        f"{share(1 / real['enrolled']) if real['enrolled'] else 'none'} would."
    )
    told = real.get("open_set")
    if told:
        said += (
            f" Where a name must be sure, **{share(told['named_rightly'])}** are named rightly, "
            f"{share(told['named_wrongly'])} wrongly, and of {share(told['refused'])} it says "
            '"cannot tell".'
        )
    st.markdown(said)


def _limits(ends: Any) -> str:
    return f"95 % interval {interval(ends)} %" if ends else "no interval was measured"


def _method_name(real: Mapping[str, Any], name: str) -> str:
    words = METHOD_WORDS.get(name, name)
    return f"**{words}**" if name == real.get("method") else words


def _cells(row: Mapping[str, Any], figure: str) -> list[str]:
    return [
        _cell(row[unit].get(figure), row[unit].get(f"{figure}_interval")) for unit in UNIT_WORDS
    ]


def _cell(value: float | None, ends: Any) -> str:
    return f"{share(value)}  \n:small[{interval(ends)}]" if ends else share(value)


def _draw_leaky(leaky: Mapping[str, Any]) -> None:
    """Draw the figures of a leaky split beside the honest ones."""
    rows = {
        METHOD_WORDS.get(name, name): [
            _cell(row["honest_rank_1"], row["honest_rank_1_interval"]),
            _cell(row["rank_1"], row["rank_1_interval"]),
        ]
        for name, row in leaky.items()
        if isinstance(row, Mapping)
    }
    if not rows:
        return
    st.header("Honest against leaky")
    figures_table.draw_small(
        "Method",
        rows,
        ["Honest", "Leaky"],
        alt="Rank 1 of single beats by the honest and by the leaky split",
    )
    st.caption(
        "Rank 1 of single beats. Leaky: beats of one recording are on both sides, which flatters; "
        "never quote it."
    )


def _draw_generated(real: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Draw how often generated beats are named as the person asked for, beside real ones."""
    rows = {
        f"Generated by the {words}": share(found[name]["rank1_beat"]["value"])
        for name, words in GENERATOR_WORDS.items()
        if name in found
    }
    if not rows:
        return
    st.header("Real against generated")
    own = real["methods"][real["method"]]["beat"]
    st.table(
        {"Real, test part": share(own["rank_1"]), **rows},
        border="horizontal",
        alt="Rank 1 of single beats, real and generated",
    )
    st.caption(
        "Rank 1 of single beats, by an identifier that no generator saw. Generated beats are drawn "
        "as on the days of training; the real ones are of the test part."
    )


def _draw_labels(real: Mapping[str, Any]) -> None:
    first = next(iter(real["methods"].values()))["beat"]
    st.caption(
        f"{real['protocol']}: {count(real['beats'], 'beat')} of "
        f"{count(real['recordings'], 'recording')} of {count(real['subjects'], 'subject')}."
    )
    with st.grid(2, min_column_width=140):
        for name, words in LABEL_FIGURES.items():
            st.metric(words, share(first[name]), help=interval(first[f"{name}_interval"]) or None)
    st.header("By label")
    rows = {
        label: [share(row[name]) for name in ("sensitivity", "predictivity", "f1")]
        + [str(row["support"])]
        for label, row in first["per_class"].items()
    }
    figures_table.draw_small(
        "Label",
        rows,
        ["Sensitivity", "Predictivity", "F1", "Beats"],
        alt="Sensitivity, predictivity and F1 of each label",
    )
    st.header("By method")
    rows = {
        LABEL_METHOD_WORDS.get(name, name): [
            _cell(row["beat"][key], row["beat"][f"{key}_interval"]) for key in LABEL_FIGURES
        ]
        for name, row in real["methods"].items()
    }
    figures_table.draw_small(
        "Method", rows, list(LABEL_FIGURES.values()), alt="Macro F1 and accuracy, a row a method"
    )


def _charts(real: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield key, title and what draws it, of each chart whose figures are there."""
    verification = real.get("verification") or {}
    if verification.get("det"):
        yield "det", "Verification (DET)", lambda key: _draw_det(verification, key)
    detection = real.get("detection") or {}
    curves = {UNIT_WORDS[u]: d["curve"] for u, d in detection.items() if d.get("curve")}
    if curves:
        yield "open-set", "People not enrolled", lambda key: _draw_open(curves, real, key)
    by_unit = {u: r for u, r in (real.get("reliability") or {}).items() if u in UNIT_WORDS}
    if by_unit:
        yield "reliability", "Are probabilities true?", lambda key: _draw_reliability(by_unit, key)
    if found.get("robustness"):
        rows = found["robustness"]["rows"]
        yield "robustness", "As disturbances grow", lambda key: _draw_robustness(rows, key)
    confusion = real["confusion"]
    title = "What is taken for what" if "classes" in real else "Who is taken for whom"
    yield "confusion", title, lambda key: _draw_confusion(confusion, key)


def _draw_det(verification: Mapping[str, Any], key: str) -> None:
    st.plotly_chart(
        det_plot({"recordings": verification["det"]}, eer={"recordings": verification["eer"]}),
        key=key,
        alt=f"False non-matches over false matches; equal at {share(verification['eer'])}",
    )
    st.caption(
        f"Equal error rate {share(verification['eer'])} of the scores, "
        f"{share(verification['eer_posterior'])} of posteriors over the gallery; "
        f"{verification['genuine']} genuine, {verification['impostor']} impostor pairs."
    )


def _draw_open(curves: Mapping[str, Any], real: Mapping[str, Any], key: str) -> None:
    st.plotly_chart(
        open_set_curve({name.lower(): curve for name, curve in curves.items()}),
        key=key,
        alt="How many of the enrolled are found over false alarms by strangers",
    )
    told = real["open_set"]
    strangers = (
        f"{share(told['strangers_accepted'])} of {told['stranger_probes']} strangers accepted"
        if told["stranger_probes"]
        else f"{share(told['left_out_accepted'])} accepted as another once left out of the gallery"
    )
    st.caption(
        f"At the threshold {told['threshold']:.3f}: {share(told['named_rightly'])} of the enrolled "
        f"named rightly, {share(told['named_wrongly'])} wrongly, {share(told['refused'])} refused; "
        f"{strangers}."
    )


def _draw_reliability(by_unit: Mapping[str, Any], key: str) -> None:
    unit = next(iter(by_unit))
    if len(by_unit) > 1:
        unit = st.segmented_control(
            "Of",
            list(by_unit),
            format_func=UNIT_WORDS.__getitem__,
            default=unit,
            required=True,
            label_visibility="collapsed",
            key=f"{key}-unit",
        )
    told = by_unit[unit]
    st.plotly_chart(
        reliability_diagram(told["bins"]),
        key=key,
        alt="How often a name was right over how probable it was said to be",
    )
    st.caption(
        f"Expected calibration error {share(told['ece'])}, Brier score {told['brier']:.3f}, "
        f"{told['probes']} probes."
    )


def _draw_robustness(rows: list[Mapping[str, Any]], key: str) -> None:
    st.plotly_chart(
        robustness_lines(rows), key=key, alt="How many are named rightly as disturbances grow"
    )


def _draw_confusion(told: Mapping[str, Any], key: str) -> None:
    counts = np.asarray(told["counts"], dtype=float)
    wrong = int(counts.sum() - np.trace(counts))
    st.plotly_chart(
        confusion_matrix(counts, told["classes"]),
        key=key,
        alt=f"Who was named as whom: {wrong} of {int(counts.sum())} wrongly",
    )
    st.caption(f"{wrong} of {int(counts.sum())} named wrongly.")


def _protocols(figures: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the protocol of each part of the figures, once."""
    if "protocol" in figures:
        name = ", ".join(path).replace("_", " ")
        yield f"**{name}**: {figures['protocol']}"
    for name, child in figures.items():
        if isinstance(child, Mapping):
            yield from _protocols(child, (*path, str(name)))

"""Reporting: from a study folder to one file for reading, HTML or PDF."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__
from core.errors import UserError
from core.evaluation.identification import FIGURE_WORDS
from core.generating import GENERATORS, draw_beats
from core.plots.figures import row_name
from core.plots.signals import Panel, Scale, beats_side_by_side, value_title
from core.study import Study

NOTICE = "Research use only. Not a medical device."
REPORT_FORMATS = (".html", ".pdf")
SHOWN_SUBJECTS = 3
SHOWN_BEATS = 20
REPORT_SEED = 0
ROWS_A_PAGE = 44
SHOWN_FIGURES = {
    "value": "",
    "rank_1": "rank 1",
    "honest_rank_1": "honest rank 1",
    **{
        key: FIGURE_WORDS[key]
        for key in (
            *("rank_1_posterior", "eer", "eer_posterior", "tar_1", "tar_01"),
            *("dir_1", "dir_5", "macro_f1", "f1", "ece"),
        )
    },
    "sensitivity": "sensitivity",
    "predictivity": "predictivity",
    "named_rightly": "named rightly",
    "named_wrongly": "named wrongly",
    "refused": "refused",
    "strangers_accepted": "strangers accepted",
    "percentile_5": "percentile 5",
    "share_close": "share of subjects within 5 %",
    "share_like_real": "share of subjects like real",
}
"""Figures that a report tells, and their words."""

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #d5dbe3;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums}footer{margin-top:3rem;color:#566}
"""


def write_report(study: Study, out: Path) -> dict[str, Any]:
    """Write what a study is, how it was made, its figures with their protocols, and its plots.

    Raises:
        UserError: Another ending, or the file cannot be written.
    """
    ending = out.suffix.lower()
    if ending not in REPORT_FORMATS:
        raise UserError(out, "is not a name for a report", "End it in .html or .pdf")
    temporary = out.with_name(f".{out.name}.{os.getpid()}{ending}")
    try:
        if ending == ".html":
            temporary.write_text(_as_html(study), encoding="utf-8")
        else:
            _as_pdf(study, temporary)
        temporary.replace(out)
    except OSError as error:
        raise UserError(
            out, f"cannot be written ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return {"file": str(out), "study": study.info.name}


def _facts(study: Study) -> list[tuple[str, str]]:
    """Return what the study is and how it was made."""
    info, options = study.info, study.info.options
    kept = study.beat_table[study.beat_table["rejected"] == ""]
    parts = kept["partition"].value_counts()
    facts = [
        ("Data", "simulated" if info.simulated else "as given by the user"),
        ("Subjects", str(len(study.subjects))),
        (
            "Recordings",
            f"{len(study.recordings)}, of which {int(study.recordings['usable'].sum())} are used",
        ),
        ("Beats", f"{len(kept)} kept, {len(study.beat_table) - len(kept)} rejected"),
        ("Partitions", ", ".join(f"{name} {n}" for name, n in parts.items())),
        ("Protocol", info.remarks[0]),
        ("Leads", f"{', '.join(info.leads)}, in {info.unit}"),
        ("Sampling rate", f"{info.sampling_rate:g} Hz"),
        (
            "Filters",
            f"{options.highpass_hz:g} to {options.lowpass_hz:g} Hz, notch {options.notch_hz}",
        ),
        ("Smoothing", f"moving average of {options.smoothing_ms:g} ms"),
        ("Window", f"{options.before_s:g} s before to {options.after_s:g} s after the R peak"),
        ("Remarks", "; ".join(info.remarks[1:]) or "none"),
        ("Versions", ", ".join(f"{k} {v}" for k, v in sorted(info.versions.items()))),
        ("Fingerprint", info.fingerprint),
    ]
    for name in ("autoencoder", "mixture", "gan", "authenticity", "identifier"):
        if study.has_model(name):
            card = study.card(name)
            facts.append(
                (
                    f"Model {name}",
                    f"preset {card['preset']}, seed {card['seed']}, "
                    f"{card['train_beats']} train beats of {card['train_subjects']} subjects",
                )
            )
    return facts


def figure_rows(
    node: Any, path: tuple[str, ...] = (), inherited: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield name, values and protocol of every figure in what `evaluate` returned.

    Figures of the same probes, and the disturbances of a robustness table, share a row.
    """
    if not isinstance(node, dict):
        return
    protocol = str(node.get("protocol") or inherited)
    told = [
        f"{words} {node[key]:.3f}{_beside(node, key)}".strip()
        for key, words in SHOWN_FIGURES.items()
        if isinstance(node.get(key), int | float)
    ]
    if told:
        yield " / ".join(path), "; ".join(told), protocol
    for key, child in node.items():
        if key == "rows" and isinstance(child, list):
            yield " / ".join(path), "; ".join(map(_disturbed, child)), protocol
        yield from figure_rows(child, (*path, str(key)), protocol)


def _beside(node: dict[str, Any], key: str) -> str:
    """Return what is in brackets behind a figure: its interval, real beats', the mixture's."""
    told = []
    interval = node.get("interval" if key == "value" else f"{key}_interval")
    if interval:
        told.append(" to ".join("" if end is None else f"{end:.3f}" for end in interval))
    suffix = "" if key == "value" else f"_{key}"
    for name, words in (("ceiling", "real"), ("floor", "mixture")):
        beside = node.get(f"{name}{suffix}")
        if isinstance(beside, int | float):
            told.append(f"{words}: {beside:.3f}")
    return f" ({', '.join(told)})" if told else ""


def _disturbed(row: dict[str, Any]) -> str:
    """Return a row of a robustness table in words."""
    told = [f"{u} {row[u]:.3f}" for u in ("beat", "recording") if row[u] is not None]
    return f"{row_name(row)}: {', '.join(told)}"


def _panels(study: Study, subject: str) -> list[Panel]:
    """Return real, smoothed and generated beats of one subject."""
    panels: list[Panel] = []
    for name, kind, signal in (("Real", "real", "clean"), ("Smoothed", "smoothed", "smoothed")):
        no_signals = not any((study.folder / "signals").glob("*.npy"))
        if signal == "clean" and (no_signals or study.info.options.window != "fixed"):
            continue
        beats = study.beats("train", signal=signal)  # type: ignore[arg-type]
        mine = beats.signals[beats.subject == subject][:SHOWN_BEATS, :, 0]
        panels.append(Panel(name, kind, mine))
    for model in GENERATORS:
        if study.has_model(model) and study.has_model("autoencoder"):
            drawn = draw_beats(study, model, np.full(SHOWN_BEATS, subject), seed=REPORT_SEED)
            panels.append(Panel(f"Generated ({model})", "generated", drawn.signals[:, :, 0]))
    return panels


def _scale(study: Study) -> Scale:
    info = study.info
    return Scale(sampling_rate=info.sampling_rate, before_s=info.before_s, unit=info.unit)


def _shown_subjects(study: Study) -> list[str]:
    return list(dict.fromkeys(study.beats("train").subject))[:SHOWN_SUBJECTS]


def _as_html(study: Study) -> str:
    import plotly.io

    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{html.escape(study.info.name)} - CardioTwin</title><style>{_STYLE}</style></head>",
        f"<body><h1>{html.escape(study.info.name)}</h1><p>{NOTICE}</p><h2>Study</h2>",
        _table(_facts(study)),
        "<h2>Signals</h2>",
    ]
    script: bool | str = "inline"
    for subject in _shown_subjects(study):
        figure = beats_side_by_side(_panels(study, subject), _scale(study))
        parts.append(f"<h3>{html.escape(subject)}</h3>")
        parts.append(plotly.io.to_html(figure, include_plotlyjs=script, full_html=False))
        script = False
    parts.append("<h2>Figures</h2>")
    figures = study.figures()
    if figures is None:
        parts.append("<p>Not evaluated yet. Run: python -m core evaluate DIR</p>")
    else:
        parts.append(_table(list(figure_rows(figures)), head=("Figure", "Value", "Protocol")))
    parts.append(f"<footer>CardioTwin {__version__}. {NOTICE}</footer></body></html>")
    return "\n".join(parts)


def _table(rows: list[Any], head: tuple[str, ...] = ()) -> str:
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>")
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>")
    return "\n".join([*lines, "</table>"])


def _as_pdf(study: Study, path: Path) -> None:
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    lines = [f"{name}: {value}" for name, value in _facts(study)]
    figures = study.figures()
    lines += ["", "Figures", *(["not evaluated yet"] if figures is None else [])]
    for name, value, protocol in figure_rows(figures):
        lines += [f"{name}: {value}", f"    {protocol}"]
    lines = [piece for line in lines for piece in _wrapped(line, 105)]
    with PdfPages(path, metadata={"Title": study.info.name, "CreationDate": None}) as pdf:
        for start in range(0, len(lines), ROWS_A_PAGE):
            page = Figure(figsize=(8.27, 11.69))
            title = study.info.name if start == 0 else f"{study.info.name}, continued"
            page.text(0.08, 0.95, title, fontsize=16)
            text = "\n".join(lines[start : start + ROWS_A_PAGE])
            page.text(0.08, 0.92, text, fontsize=8, va="top", family="monospace", linespacing=1.6)
            page.text(0.08, 0.03, f"CardioTwin {__version__}. {NOTICE}", fontsize=8)
            pdf.savefig(page)
        for subject in _shown_subjects(study):
            pdf.savefig(_beats_page(study, subject))


def _wrapped(line: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(line, width, subsequent_indent="    ") or [""]


def _beats_page(study: Study, subject: str) -> Any:
    from matplotlib.figure import Figure

    panels = _panels(study, subject)
    page = Figure(figsize=(11.69, 8.27))
    axes = page.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        times = _scale(study).times(panel.beats.shape[1])
        axis.plot(times, panel.beats.T, linewidth=0.6, alpha=0.6)
        axis.set_title(panel.name)
        axis.set_xlabel("Time from the R peak (s)")
        axis.grid(alpha=0.3)
        if panel.kind == "generated":
            axis.text(0.5, 0.02, "SYNTHETIC", transform=axis.transAxes, ha="center")
    axes[0].set_ylabel(value_title(study.info.unit))
    page.suptitle(f"{study.info.name}: {subject}")
    page.text(0.08, 0.02, f"CardioTwin {__version__}. {NOTICE}", fontsize=8)
    return page

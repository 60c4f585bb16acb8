"""Reporting: from a study folder to one file for reading, HTML or PDF.

Every number stands in the study's folder, or follows from it; the report says where, and by which
commands it was made.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__
from core.errors import UserError
from core.evaluation.identification import FIGURE_WORDS
from core.generating import GENERATORS, draw_beats
from core.options import MODEL_NAMES, PrepareOptions, option_flag
from core.partitions import PARTITIONS
from core.plots import report_plots as plots
from core.plots.figures import row_name
from core.plots.signals import Panel, Scale
from core.plots.style import GENERATED, REAL, SMOOTHED
from core.report_pages import Cell, Commands, Picture, Section, Table, as_html, write_pdf
from core.study import Study, read_json
from core.whole_file import written_whole

NOTICE = "Research use only. Not a medical device."
REPORT_FORMATS = (".html", ".pdf")
SHOWN_SUBJECTS = 3
SHOWN_BEATS = 12
SHOWN_RECORDINGS = 200
REPORT_SEED = 0
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
FIGURES_FILE = "reports/figures.json"
ROWS = "rows"
"""Where a robustness table has its rows."""
COLUMN_WORDS = {"real": "Real beats", "reconstruction": "Reconstruction", "gan": "GAN"}
PATH_WORDS = {
    "gan": "GAN",
    "mmd": "MMD",
    "frechet": "Fréchet distance",
    "frechet_identifier": "Fréchet distance as the identifier sees",
    "psd": "difference of spectra (dB)",
    "tstr": "TSTR",
    "trts": "TRTS",
    "tstr_cnn_lstm": "TSTR by the CNN-LSTM",
    "tstr_more": "TSTR of more beats",
    "tstr_new": "TSTR of other days",
    "prd": "PRD of the mean beat (%)",
    "prd_train": "PRD of the mean beat against train (%)",
    "reconstruction_prd": "PRD of beats (%)",
    "discriminative": "told right by a judge",
    "sequences": "rows told right by a judge",
    "cnn": "CNN",
    "svm": "SVM",
    "intervals": "subjects within 5 %",
    "intervals_train": "subjects within 5 % of train",
    **{name: name.upper() for name in ("rr", "pr", "qrs", "qt", "auc", "ecgsyn")},
    "auc_left_out": "AUC, this kind left out",
}
"""Words of the figures whose names need them."""
IN_SHORT: tuple[tuple[str, str, str], ...] = (
    ("identification/real/methods/{method}/recording", "rank_1", "Named rightly, a recording"),
    ("identification/real/methods/{method}/beat", "rank_1", "Named rightly, a beat"),
    ("identification/real/methods/{method}/recording", "eer", "Equal error rate, a recording"),
    ("identification/real/methods/{method}/beat", "macro_f1", "Macro F1 of labels, a beat"),
    ("realism/gan/discriminative/features", "value", "GAN: told from real, right (0.5: cannot)"),
    ("realism/mixture/discriminative/features", "value", "Mixture: the same"),
    ("realism/gan/obedience", "value", "GAN: it is the person asked for"),
    ("realism/gan/privacy/near_copies", "value", "GAN: near copies of train beats"),
)
"""Figures that are told first: where they stand, and what they are."""
KIND_WORDS = {"gan": "Generated (GAN)", "mixture": "Generated (mixture)"}


def write_report(study: Study, out: Path) -> dict[str, Any]:
    """Write what a study is, how it was made, its figures with their protocols, and its plots.

    The same study gives the same bytes. Beats of its generators are drawn for it, with
    `REPORT_SEED`.

    Raises:
        UserError: Another ending, or the file cannot be written.
    """
    ending = out.suffix.lower()
    if ending not in REPORT_FORMATS:
        raise UserError(out, "is not a name for a report", "End it in .html or .pdf")
    title, foot = study.info.name, f"CardioTwin {__version__}. {NOTICE}"
    if study.info.simulated:
        foot += " The data are simulated: no person was measured."
    with written_whole(out) as temporary:
        sections = list(sections_of(study))
        if ending == ".html":
            temporary.write_text(as_html(title, NOTICE, foot, sections), encoding="utf-8")
        else:
            write_pdf(temporary, title, NOTICE, foot, sections)
    return {"file": str(out), "study": study.info.name, "bytes": out.stat().st_size}


def sections_of(study: Study) -> Iterator[Section]:
    """Yield the sections of a report."""
    figures = study.figures()
    yield Section("Study", [_facts(study)])
    if figures is not None:
        yield Section("In short", [_in_short(figures)])
    pictures = [_beats_picture(study, subject) for subject in _shown_subjects(study)]
    yield Section("Signals", pictures or ["There are no beats to learn from."])
    yield Section("Data", [_classes_picture(study), _refused(study)])
    if any(study.has_model(name) for name in MODEL_NAMES):
        yield Section("Models", list(_models(study)))
    if figures is None:
        yield Section(
            "Figures",
            ["Not evaluated yet, or models were trained anew since.", Commands([_evaluate(None)])],
        )
    else:
        yield from _figure_sections(figures)
    yield Section("Recordings", [_recordings(study)])
    yield Section("How to get these numbers again", list(_again(study)))


# --- what it is ---------------------------------------------------------------------------------


def _facts(study: Study) -> Table:
    """Return what the study is and how it was made."""
    info, options = study.info, study.info.options
    kept = study.beat_table[study.beat_table["rejected"] == ""]
    parts = kept["partition"].value_counts()
    usable = int(study.recordings["usable"].sum())
    facts = [
        ("Data", "simulated: no person was measured" if info.simulated else "as given by the user"),
        ("Subjects", str(len(study.subjects))),
        ("Recordings", f"{len(study.recordings)}, of which {usable} are used"),
        ("Length", f"{study.recordings['duration_s'].sum() / 60:.1f} minutes"),
        ("Beats", f"{len(kept)} kept, {len(study.beat_table) - len(kept)} rejected"),
        (
            "Partitions",
            ", ".join(f"{part or 'between them'} {n}" for part, n in sorted(parts.items())),
        ),
        ("Protocol", info.remarks[0]),
        ("Leads", f"{', '.join(info.leads)}, in {info.unit}"),
        ("Sampling rate", f"{info.sampling_rate:g} Hz"),
        (
            "Filters",
            f"{options.highpass_hz:g} to {options.lowpass_hz:g} Hz, notch {options.notch_hz}",
        ),
        ("Smoothing", f"moving average of {options.smoothing_ms:g} ms"),
        (
            "Beat",
            f"{options.before_s:g} s before to {options.after_s:g} s after the R peak, "
            f"window {options.window}, normalisation {options.normalisation}",
        ),
        ("Remarks", "; ".join(info.remarks[1:]) or "none"),
        ("Versions", ", ".join(f"{k} {v}" for k, v in sorted(info.versions.items()))),
        ("Fingerprint", info.fingerprint),
    ]
    return Table(
        "From study.json, recordings.parquet and beats.parquet.",
        ("What", "Value"),
        [[Cell(name), Cell(value)] for name, value in facts],
        (1, 4),
    )


def _recordings(study: Study) -> Table:
    """Return the recordings that are used."""
    used = study.recordings[study.recordings["usable"].astype(bool)]
    columns = (
        ("Seconds", "duration_s", ".1f"),
        ("Beats", "n_beats", ".0f"),
        ("Rejected", "n_rejected", ".0f"),
        ("Quality", "quality", ".3f"),
        ("Rate (/min)", "heart_rate_bpm", ".1f"),
    )
    rows = [
        [
            Cell(str(row["recording"])),
            Cell(str(row["subject"])),
            Cell(str(row["session"])),
            Cell(str(row["partition"])),
            *(
                _number(row.get(column), f"recordings.parquet#{row['recording']}/{column}", form)
                for _, column, form in columns
            ),
        ]
        for row in used.head(SHOWN_RECORDINGS).to_dict("records")
    ]
    shown = f", the first {SHOWN_RECORDINGS} of {len(used)}" if len(used) > len(rows) else ""
    return Table(
        f"Recordings that are used{shown}: recordings.parquet. Quality from 0 to 1.",
        ("Recording", "Subject", "Session", "Part", *(name for name, _, _ in columns)),
        rows,
        (2.2, 1.2, 1.2, 1.1, 1, 0.9, 1, 0.9, 1.2),
    )


def _refused(study: Study) -> Table | str:
    """Return the recordings that are not used, and why."""
    refused = study.recordings[~study.recordings["usable"].astype(bool)]
    if not len(refused):
        return "No recording was refused."
    return Table(
        f"Recordings that are not used, and why ({len(refused)}): recordings.parquet.",
        ("File", "Why"),
        [
            [Cell(str(row["path"])), Cell(str(row["rejected"] or "No beat of it is usable."))]
            for row in refused.head(SHOWN_RECORDINGS).to_dict("records")
        ],
        (1, 2),
    )


def _in_short(figures: Mapping[str, Any]) -> Table | str:
    """Return the few figures that matter most, as far as they were measured."""
    real = (figures.get("identification") or {}).get("real") or {}
    told = {("/".join(one.path), one.key): one for one in told_figures(figures)}
    found = [
        (words, told.get((path.format(method=real.get("method")), key)))
        for path, key, words in IN_SHORT
    ]
    rows = [[Cell(words), one.cell(), one.cell("ceiling")] for words, one in found if one]
    if not rows:
        return "Nothing was measured."
    return Table(
        f"{figures['protocol']}. From {FIGURES_FILE}; all figures, and how: below.",
        ("Figure", "Value", "Real beats"),
        rows,
        (3, 2, 2),
    )


def _classes_picture(study: Study) -> Picture:
    kept = study.beat_table[study.beat_table["rejected"] == ""]
    of = "subject" if kept["subject"].nunique() > 1 else "label"
    names = sorted(kept[of].astype(str).unique())
    counts = {
        part: {name: int(n) for name, n in own[of].astype(str).value_counts().items()}
        for part in dict.fromkeys((*PARTITIONS, *sorted(kept["partition"].unique())))
        if len(own := kept[kept["partition"] == part])
    }
    whole = {part: {name: own.get(name, 0) for name in names} for part, own in counts.items()}
    total = {name: sum(own[name] for own in whole.values()) for name in names}
    said = f"{min(total.values(), default=0)} to {max(total.values(), default=0)} beats a {of}"
    return Picture(
        f"Beats a {of}",
        f"Beats of each {of} in each part: {said}",
        f"{said}. From beats.parquet, rejected beats left out.",
        partial(plots.draw_counts, counts=whole, x_title=of.capitalize()),
        2.6,
    )


# --- signals ------------------------------------------------------------------------------------


def _shown_subjects(study: Study) -> list[str]:
    return list(dict.fromkeys(study.beats("train").subject))[:SHOWN_SUBJECTS]


def _beats_picture(study: Study, subject: str) -> Picture:
    """Return real, smoothed and generated beats of one subject, side by side."""
    panels = list(_panels(study, subject))
    names = ", ".join(panel.name.lower() for panel in panels)
    info = study.info
    scale = Scale(sampling_rate=info.sampling_rate, before_s=info.before_s, unit=info.unit)
    lead = f"Lead {info.leads[0]}. " if len(info.leads) > 1 else ""
    return Picture(
        f"Beats of {subject or 'all'}",
        f"Beats of {subject} on one scale: {names}",
        f"{lead}Thin: {SHOWN_BEATS} beats at most; bold: their mean. Real and smoothed: the first "
        f"of the train part. Generated ones are drawn with seed {REPORT_SEED}.",
        partial(plots.draw_beats, panels=panels, scale=scale),
        2.6,
    )


def _panels(study: Study, subject: str) -> Iterator[Panel]:
    for name, kind, signal in (("Real", REAL, "clean"), ("Smoothed", SMOOTHED, "smoothed")):
        no_signals = not any((study.folder / "signals").glob("*.npy"))
        if signal == "clean" and (no_signals or study.info.options.window != "fixed"):
            continue
        beats = study.beats("train", signal=signal, subject=subject)  # type: ignore[arg-type]
        yield Panel(name, kind, beats.signals[:SHOWN_BEATS, :, 0])
    for model in GENERATORS:
        if study.has_model(model) and study.has_model("autoencoder"):
            drawn = draw_beats(study, model, np.full(SHOWN_BEATS, subject), seed=REPORT_SEED)
            yield Panel(KIND_WORDS[model], GENERATED, drawn.signals[:, :, 0])


# --- models -------------------------------------------------------------------------------------


def _models(study: Study) -> Iterator[Table | Picture]:
    """Yield what each model was trained on and how, and its training curves."""
    trained: list[str] = [name for name in MODEL_NAMES if study.has_model(name)]
    cards = {name: study.card(name) for name in trained}

    def cell(name: str, key: str) -> Cell:
        value = cards[name].get(key)
        return Cell("" if value is None else str(value), f"models/{name}/card.json#/{key}")

    yield Table(
        "From models/NAME/card.json.",
        ("Model", "Preset", "Seed", "Train beats", "Subjects", "Versions"),
        [
            [
                Cell(name),
                Cell(str(cards[name].get("preset", ""))),
                cell(name, "seed"),
                cell(name, "train_beats"),
                cell(name, "train_subjects"),
                Cell(", ".join(f"{k} {v}" for k, v in sorted(_versions(cards[name]).items()))),
            ]
            for name in trained
        ],
        (1.2, 0.8, 0.6, 1, 0.9, 4),
    )
    histories = {name: _history(study, name) for name in trained}
    histories = {name: history for name, history in histories.items() if history}
    if histories:
        yield Picture(
            "Training curves",
            f"Metrics of the training of {', '.join(histories)} over their epochs",
            "From models/NAME/history.json.",
            partial(plots.draw_training, histories=histories),
            2.4 * -(-len(histories) // 2),
        )


def _versions(card: Mapping[str, Any]) -> dict[str, str]:
    found = card.get("versions") or {}
    return {str(name): str(version) for name, version in found.items()}


def _history(study: Study, name: str) -> list[dict[str, float]]:
    path = study.model_folder(name) / "history.json"
    found = read_json(path) if path.is_file() else []
    return found if isinstance(found, list) else []


# --- figures ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A figure of a study.

    Attributes:
        path: Where it stands among the figures.
        words: What it is, if the path does not say it.
        node: The mapping that it stands in.
        key: Its name there.
        protocol: How it was measured.
    """

    path: tuple[str, ...]
    words: str
    node: Mapping[str, Any]
    key: str
    protocol: str

    @property
    def name(self) -> str:
        """The figure in words."""
        path = self.path[: self.path.index(ROWS)] if ROWS in self.path else self.path
        own = (*path[1:], self.words) if self.words else path[1:]
        return ", ".join(PATH_WORDS.get(step, step.replace("_", " ")) for step in own)

    def cell(self, key: str = "") -> Cell:
        """Return the figure, or the one beside it (``ceiling``: real beats), and its interval."""
        own = "" if self.key == "value" else self.key
        name = "_".join(part for part in (key, own) if part) or "value"
        between = "_".join(part for part in (key, own, "interval") if part)
        ends = self.node.get(between)
        spread = " to ".join("" if end is None else _words(end) for end in ends) if ends else ""
        beside = f"({spread})" if spread else ""
        number = _number(self.node.get(name), self._source(name))
        return Cell(number.text, number.source, beside, self._source(between) if beside else "")

    def _source(self, key: str) -> str:
        steps = (part.replace("~", "~0").replace("/", "~1") for part in (*self.path, key))
        return f"{FIGURES_FILE}#/{'/'.join(steps)}"


def told_figures(node: Any, path: tuple[str, ...] = (), inherited: str = "") -> Iterator[Told]:
    """Yield every figure in what `evaluate` returned; of curves and bins, none."""
    if not isinstance(node, Mapping):
        return
    protocol = str(node.get("protocol") or inherited)
    for key, words in SHOWN_FIGURES.items():
        if isinstance(node.get(key), int | float) and not isinstance(node.get(key), bool):
            yield Told(path, words, node, key, protocol)
    for key, child in node.items():
        if key == ROWS and isinstance(child, list):
            for i, row in enumerate(child):
                for unit in ("beat", "recording"):
                    if row.get(unit) is not None:
                        words = f"{row_name(row)}, a {unit}"
                        yield Told((*path, ROWS, str(i)), words, row, unit, protocol)
        yield from told_figures(child, (*path, str(key)), protocol)


def _figure_sections(figures: Mapping[str, Any]) -> Iterator[Section]:
    """Yield the sections of figures; how each was measured is told once, by number."""
    protocols: dict[str, int] = {}

    def how(protocol: str) -> str:
        return f"[{protocols.setdefault(protocol, len(protocols) + 1)}]"

    told = list(told_figures(figures))
    yield Section(
        "How real generated beats are",
        [
            f"{figures['protocol']}; seed {figures['seed']}. In brackets: 95 % intervals. Real "
            "beats: what others of them score in the same place. A number leads to how it was "
            "measured.",
            _realism_table([one for one in told if one.path[0] == "realism"], how),
        ],
    )
    found = figures.get("identification") or {}
    real = found.get("real") or {}
    parts: list[str | Table | Picture] = []
    if plots.has_curves(real):
        parts.append(
            Picture(
                "Curves",
                "Verification, people not enrolled, and whether probabilities are true",
                f"From {FIGURES_FILE}. The dot: equal error rate; dashed: equal, or calibrated.",
                partial(plots.draw_identification, real=real),
                3.0,
            )
        )
    rows = (found.get("robustness") or {}).get("rows") or []
    if rows:
        parts.append(
            Picture(
                "Disturbed probes",
                "Share of probes named rightly under each disturbance",
                f"From {FIGURES_FILE}.",
                partial(plots.draw_robustness, rows=rows, names=row_name),
                3.4,
                1.9,
            )
        )
    own = [one for one in told if one.path[0] == "identification"]
    yield Section("Who is named", [*parts, _list_table(own, how)])
    own = [one for one in told if one.path[0] not in ("realism", "identification")]
    yield Section("Real or synthetic", [_list_table(own, how)])
    if figures.get("missing"):
        yield Section(
            "What could not be measured", [f"{w}" for w in dict.fromkeys(figures["missing"])]
        )
    yield Section(
        "How each figure was measured",
        [
            Table(
                "",
                ("Number", "Protocol"),
                [[Cell(f"[{number}]"), Cell(words)] for words, number in protocols.items()],
                (1, 14),
            )
        ],
    )


def _realism_table(told: list[Told], how: Any) -> Table | str:
    """Return a row a figure, a column a kind of beats."""
    columns = list(dict.fromkeys(one.path[1] for one in told if len(one.path) > 1))
    rows: dict[str, dict[str, Told]] = {}
    for one in told:
        if len(one.path) > 1:
            rest = Told(one.path[1:], one.words, one.node, one.key, one.protocol)
            rows.setdefault(rest.name, {})[one.path[1]] = one
    if not rows:
        return "No generated beats were measured."
    return Table(
        f"From {FIGURES_FILE}.",
        ("Figure", *(COLUMN_WORDS.get(name, name.capitalize()) for name in columns), "How"),
        [
            [
                Cell(name),
                *(_of_column(own, column) for column in columns),
                Cell(" ".join(dict.fromkeys(how(one.protocol) for one in own.values()))),
            ]
            for name, own in rows.items()
        ],
        (2.4, *(1.8 for _ in columns), 0.7),
    )


def _of_column(own: Mapping[str, Told], column: str) -> Cell:
    """Return a figure of one kind of beats; real ones may stand beside those of a generator."""
    if column in own:
        return own[column].cell()
    return next(iter(own.values())).cell("ceiling") if column == "real" else Cell("")


def _list_table(told: list[Told], how: Any) -> Table | str:
    """Return a row a figure."""
    if not told:
        return "Nothing was measured."
    return Table(
        f"From {FIGURES_FILE}.",
        ("Figure", "Value", "Real beats", "How"),
        [
            [Cell(one.name), one.cell(), one.cell("ceiling"), Cell(how(one.protocol))]
            for one in told
        ],
        (5, 2.2, 2.2, 0.7),
    )


def _number(value: Any, source: str, form: str = "") -> Cell:
    """Return a number with where it stands; an empty cell if there is none."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return Cell("")
    return Cell(format(value, form) if form else _words(value), source)


def _words(value: float) -> str:
    """Return a figure with three digits behind the point, or two that tell something."""
    return f"{value:.1e}" if 0 < abs(value) < 0.001 else f"{value:.3f}"


# --- again --------------------------------------------------------------------------------------


def _again(study: Study) -> Iterator[str | Commands]:
    """Yield the commands that make the study, its models, its figures and this report anew."""
    yield (
        "From the folder of the sources, with the versions told above, on one machine. DIR is the "
        "new study."
    )
    yield Commands(commands_of(study))
    yield (
        "The numbers of the tables are read from the files that are named above them: "
        "recordings.parquet and beats.parquet (a row a recording or beat), models/NAME/card.json "
        f"and history.json, and {FIGURES_FILE}. In the HTML every number of a table names its "
        "place there in its attribute data-source."
    )


def commands_of(study: Study) -> list[str]:
    """Return the commands that make a study, its models, figures, drawn beats and report anew."""
    figures = study.figures()
    lines = [_prepare(study), *_train(study)]
    if figures is not None:
        lines.append(_evaluate(figures))
    for subject in _shown_subjects(study):
        lines += [
            f"python -m core generate DIR --model {model} --subject {shlex.quote(str(subject))} "
            f"--per-subject {SHOWN_BEATS} --seed {REPORT_SEED} --out beats.npz"
            for model in GENERATORS
            if study.has_model(model) and study.has_model("autoencoder")
        ]
    return [*lines, "python -m core report DIR --out report.html"]


def _prepare(study: Study) -> str:
    """Return the command that prepares the study, with the options that are not the defaults."""
    info = study.info
    words = ["python -m core prepare", *map(shlex.quote, info.sources), "--study DIR"]
    defaults = PrepareOptions()
    for name in PrepareOptions.model_fields:
        value = getattr(info.options, name)
        if value != getattr(defaults, name):
            told = ",".join(value) if isinstance(value, tuple) else _plain(value)
            words += [option_flag(name), shlex.quote(told)]
    return " ".join(words)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _train(study: Study) -> list[str]:
    """Return the commands that train the models: one for all of the same preset and seed."""
    groups: dict[tuple[str, ...], list[str]] = {}
    tuned = False
    for name in MODEL_NAMES:
        if not study.has_model(name):
            continue
        card = study.card(name)
        recipe = card.get("recipe") or {}
        words = [f"--preset {card.get('preset')}", f"--seed {card.get('seed')}"]
        for option, usual in (
            ("target", "auto"),
            ("order", "auto"),
            ("balance", "weights"),
            ("augment", "none"),
        ):
            if recipe.get(option) and recipe[option] != usual:
                words.append(f"--{option} {recipe[option]}")
        tuned |= bool(recipe.get("tuned"))
        groups.setdefault(tuple(words), []).append(name)
    search = ["python -m core tune DIR"] if tuned else []
    return search + [
        f"python -m core train DIR --models {','.join(names)} {' '.join(words)}"
        for words, names in groups.items()
    ]


def _evaluate(figures: Mapping[str, Any] | None) -> str:
    words = "python -m core evaluate DIR"
    if figures is None:
        return words
    redraws = next(_redraws(figures), None)
    return f"{words} --seed {figures['seed']}" + (f" --redraws {redraws}" if redraws else "")


def _redraws(node: Any) -> Iterator[int]:
    """Yield how often beats were drawn anew, where a figure tells it."""
    if isinstance(node, Mapping):
        if isinstance(node.get("redraws"), int):
            yield node["redraws"]
        for child in node.values():
            yield from _redraws(child)

"""Workflow: prepare, train, generate, authenticate, identify, evaluate; one function each.

Each can be run again: it finishes what was begun and gives the same files. The command line
calls them in its own process, the pages through `core.jobs`. Arguments are plain values, so
that a job can be stored and sent; results are ready for JSON.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.beat_set import BEATS_FORMATS, BeatSet, BoolArray, is_exported, read_beats, write_beats
from core.errors import UserError, did_you_mean
from core.fakes import WORDS as FAKE_WORDS
from core.gallery import (
    Enrolment,
    Origin,
    already_enrolled,
    check_name,
    digest_of,
    enrol,
    list_gallery,
    load_identifier,
    names_labels,
    read_gallery,
    remove_subject,
    remove_template,
    undo_step,
)
from core.generating import (
    GENERATORS,
    HEART_RATE_RANGE,
    LEAST_SDNN_MS,
    MAX_BEATS,
    NOISE_KINDS,
    SECONDS_RANGE,
    choose_subjects,
    draw_beats,
    draw_strip,
    load_model,
)
from core.options import PrepareOptions, SignalKind, parse_options
from core.progress import Progress, Report, silent
from core.provenance import Provenance
from core.recording import SYNTHETIC, FloatArray, StrArray
from core.signal_files import check_signal_path, write_strip
from core.study import Study, replace_folder
from core.training import train
from core.verdict import REFRESH_BEATS, Verdict, is_confident, judge

__all__ = [
    "authenticate",
    "demo",
    "enroll",
    "evaluate",
    "export",
    "gallery",
    "generate",
    "identify",
    "measure",
    "peaks",
    "prepare",
    "quiz",
    "read_probe",
    "remove_enrolled",
    "train",
    "tune",
    "undo_gallery",
    "verify",
    "write_report",
]

DEMO_RECORDINGS = Path(__file__).resolve().parent.parent / "assets" / "demo"
STANDARD_LEADS = frozenset(
    ["I", "II", "III", "AVR", "AVL", "AVF", "MLII", *(f"V{i}" for i in range(1, 7))]
)
DEMO_NAME = "Demo (simulated)"
SAME_BEAT_DISTANCE = 0.005
"""Closer than this two beats are one and the same, rounding and another rate aside."""
NO_CLEAR_BEAT = "no clear beat was found"
LEAST_HEIGHT, MOST_HEIGHT = 1e-6, 1e6
"""What a beat of a file of beats is higher and lower than, in whatever unit: a heart's are some
thousandths if in V, and some hundred thousand in steps of a 24-bit converter."""


def prepare(
    sources: Sequence[str | Path],
    study: str | Path,
    *,
    options: PrepareOptions | dict[str, Any] | None = None,
    name: str | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Make a study of recordings; see `core.preparing.prepare`.

    Returns:
        The study's summary, as `summarise` gives it.
    """
    from core.preparing import prepare as make

    if isinstance(options, dict):
        options = parse_options(PrepareOptions, options)
    return summarise(make(sources, study, options=options, name=name, report=report))


def demo(study: str | Path, *, report: Report = silent) -> dict[str, Any]:
    """Prepare a study of the simulated demo cohort that comes with CardioTwin."""
    return prepare([DEMO_RECORDINGS], study, name=DEMO_NAME, report=report)


def summarise(study: Study) -> dict[str, Any]:
    """Return what a study holds: counts, partitions, refused files, remarks."""
    recordings, beats = study.recordings, study.beat_table
    kept = beats[beats["rejected"] == ""]
    refused = recordings[recordings["rejected"] != ""]
    return {
        "study": str(study.folder),
        "name": study.info.name,
        "subjects": len(study.subjects),
        "recordings": len(recordings),
        "recordings_used": int(recordings["usable"].sum()),
        "beats": len(kept),
        "rejected_beats": len(beats) - len(kept),
        "partitions": {
            str(k): int(v) for k, v in kept["partition"].value_counts().sort_index().items()
        },
        "refused": [
            {"path": path, "reason": reason}
            for path, reason in zip(refused["path"], refused["rejected"], strict=True)
        ],
        "remarks": list(study.info.remarks),
    }


def export(
    study: str | Path,
    out: str | Path,
    *,
    partition: str = "all",
    signal: str = "smoothed",
    report: Report = silent,
) -> dict[str, Any]:
    """Write real beats of a study to ``.npz`` or ``.csv``; rejected ones are left out."""
    beats = Study.open(Path(study)).beats(partition, signal=cast(SignalKind, signal))
    if not len(beats):
        raise UserError(f"--partition {partition}", "has no beats in this study", "Choose another")
    write_beats(beats, Path(out))
    return {"file": str(out), "beats": len(beats), "partition": partition, "signal": signal}


def generate(
    study: str | Path,
    out: str | Path,
    *,
    model: str = "gan",
    per_subject: int | None = None,
    seconds: float | None = None,
    subjects: Sequence[str] | None = None,
    label: str | None = None,
    heart_rate: float | None = None,
    sdnn: float | None = None,
    noise: str = "off",
    days: str = "recorded",
    seed: int = 0,
    report: Report = silent,
) -> dict[str, Any]:
    """Write synthetic beats of a study's subjects, or with `seconds` a strip of one of them.

    Args:
        study: A study whose autoencoder and `model` are trained.
        out: ``.npz`` or ``.csv`` for beats; ``.hea``, ``.edf`` or ``.csv`` for a strip.
        model: ``gan`` or ``mixture``.
        per_subject: Beats of each subject, 50 by default; not with `seconds`.
        seconds: Length of a continuous strip of one subject, a whole number.
        subjects: Who to draw; everybody by default, but one for a strip.
        label: Beats of this label only.
        heart_rate: Beats per minute; the subject's own by default.
        sdnn: For a strip: standard deviation of RR in ms; the subject's own by default.
        noise: For a strip: ``off``, or ``real`` for wander and noise like the recording's.
        days: ``recorded`` or ``new``.
        seed: Seed of every random step.
        report: Told when it begins and ends.

    Raises:
        UserError: The model is not trained, or a subject, label or number cannot be had.
    """
    path = Path(out)
    if seconds is not None:
        return _generate_strip(
            study,
            path,
            seconds,
            per_subject=per_subject,
            subjects=subjects,
            options={
                "model": model,
                "label": label,
                "heart_rate": heart_rate,
                "sdnn": sdnn,
                "noise": noise,
                "days": days,
                "seed": seed,
            },
            report=report,
        )
    for name, given in (("--sdnn", sdnn is not None), ("--noise", noise != "off")):
        if given:
            raise UserError(name, "is for strips only", "Give --seconds with it, or leave it out")
    if path.suffix.lower() not in BEATS_FORMATS:
        raise UserError(path, "is not a name for a file of beats", "End it in .npz or .csv")
    _check_wishes(model, heart_rate)
    per_subject = 50 if per_subject is None else per_subject
    opened = Study.open(Path(study))
    chosen = choose_subjects(opened, list(subjects) if subjects else None, label=label)
    most = max(1, MAX_BEATS // max(1, len(chosen)))
    if not 1 <= per_subject <= most:
        raise UserError(
            "--per-subject", f"{per_subject} is out of range", f"Give a number from 1 to {most}"
        )
    report(Progress("generate", 0, 1))
    names = np.repeat(np.asarray(chosen, dtype=np.str_), per_subject)
    beats = draw_beats(
        opened, model, names, seed=seed, days=days, label=label, heart_rate=heart_rate
    )
    rate = () if heart_rate is None else (("Heart rate", f"{heart_rate:g} a minute"),)
    told = Provenance(model=model, seed=seed, study=opened.info.name, days=days, more=rate)
    write_beats(beats, path, provenance=told)
    report(Progress("generate", 1, 1))
    return {
        "file": str(out),
        "beats": len(beats),
        "subjects": len(chosen),
        "model": model,
        "days": days,
        "seed": seed,
        "synthetic": True,
    }


def _check_wishes(model: str, heart_rate: float | None) -> None:
    if model not in GENERATORS:
        raise UserError("--model", f"{model!r} is no generator", did_you_mean(model, GENERATORS))
    low, high = HEART_RATE_RANGE
    if heart_rate is not None and not low <= heart_rate <= high:
        raise UserError(
            "--heart-rate", f"{heart_rate:g} is out of range", f"Give {low:g} to {high:g} a minute"
        )


def _generate_strip(
    study: str | Path,
    path: Path,
    seconds: float,
    *,
    per_subject: int | None,
    subjects: Sequence[str] | None,
    options: dict[str, Any],
    report: Report,
) -> dict[str, Any]:
    """Write a strip of one subject; `options` are those of `draw_strip`, by name."""
    low, high = SECONDS_RANGE
    sdnn, noise = options["sdnn"], options["noise"]
    if per_subject is not None:
        raise UserError(
            "--seconds", "cannot be asked for with --per-subject", "Give one of the two"
        )
    if seconds != seconds or not low <= seconds <= high or seconds % 1:
        raise UserError(
            "--seconds",
            f"{seconds:g} is out of range",
            f"Give a whole number from {low} to {high}",
        )
    check_signal_path(path)
    _check_wishes(options["model"], options["heart_rate"])
    if sdnn is not None and not sdnn >= LEAST_SDNN_MS:
        raise UserError("--sdnn", f"{sdnn:g} is too little", f"Give at least {LEAST_SDNN_MS:g} ms")
    if noise not in NOISE_KINDS:
        raise UserError("--noise", f"{noise!r} is not allowed", did_you_mean(noise, NOISE_KINDS))
    opened = Study.open(Path(study))
    chosen = choose_subjects(opened, list(subjects) if subjects else None, label=options["label"])
    if len(chosen) != 1:
        raise UserError(
            "--subject",
            f"a strip is of one subject, not of {len(chosen)}",
            f"Name one, such as --subject {chosen[0]}",
        )
    report(Progress("generate", 0, 1))
    strip = draw_strip(opened, subject=chosen[0], seconds=int(seconds), **options)
    files = write_strip(strip, path)
    report(Progress("generate", 1, 1))
    rr = np.diff(strip.r_peaks) / strip.sampling_rate
    return {
        "file": str(files[0]),
        "files": [str(file) for file in files],
        "subject": chosen[0],
        "seconds": len(strip.signal) / strip.sampling_rate,
        "beats": len(strip.r_peaks),
        "heart_rate": round(60 / float(rr.mean()), 2) if len(rr) else None,
        "sdnn": round(float(rr.std(ddof=1)) * 1000, 2) if len(rr) > 1 else None,
        "leads": list(strip.leads),
        "noise": noise,
        "model": options["model"],
        "days": options["days"],
        "seed": options["seed"],
        "synthetic": True,
    }


def peaks(
    files: Sequence[str | Path],
    *,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Find R peaks, as sample numbers at each file's own rate.

    Returns:
        ``{"results": [{"file", "sampling_rate", "peaks"}]}``; a file that failed has ``error``.
    """
    from core.preprocessing.pipeline import preprocess
    from core.readers import read_recording

    results: list[dict[str, Any]] = []
    errors: list[UserError] = []
    for i, file in enumerate(files):
        report(Progress("peaks", i, len(files)))
        entry: dict[str, Any] = {"file": str(file), "sampling_rate": None, "peaks": []}
        try:
            recording = read_recording(Path(file), source_rate=source_rate)
            found = preprocess(recording, PrepareOptions())
            entry["sampling_rate"] = float(recording.sampling_rate)
            entry["peaks"] = [int(p) for p in found.r_peaks_source]
            if found.recording_rejected:
                entry["reason"] = found.recording_rejected
        except UserError as error:
            entry["error"] = str(error)
            errors.append(error)
        results.append(entry)
    return _unless_all_failed(results, errors)


def measure(
    files: Sequence[str | Path],
    *,
    source_rate: float | None = None,
    leads: Sequence[str] | str | None = None,
    pdf: str | Path | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Measure recordings: rate, intervals, variability, quality; see `core.measuring`.

    Args:
        files: Recordings.
        source_rate: Rate of recordings that tell none, in Hz.
        leads: Names of leads, ``"all"``, or None for one.
        pdf: Print the recordings into this file, a page or more each, at true scale.
        report: Told about each file.

    Returns:
        ``{"results": [{"file", "heart_rate", "heart_rate_min", "heart_rate_max", "pr_ms",
        "qrs_ms", "qt_ms", "qtc_ms", "qtc_fridericia_ms", "sdnn_ms", "rmssd_ms", "pnn50",
        "lf_ms2", "hf_ms2", "lf_hf", "quality", "quality_verdict", "beats", "synthetic",
        "remarks", "measures"}]}``: beats a minute, ms (QTc by Bazett), quality from 0 to 1, None
        where it cannot be told; ``measures`` is all that `core.measuring.measure_recording`
        gives. A file that failed has ``error``. With `pdf` also ``pdf``, the file.

    Raises:
        UserError: Every file failed, or the PDF cannot be written.
    """
    from core.measuring import measure_recording
    from core.plots.paper_print import check_pdf_path, print_recordings
    from core.readers import read_recording

    if pdf is not None:
        check_pdf_path(pdf)
    results: list[dict[str, Any]] = []
    printed: list[tuple[Any, dict[str, Any]]] = []
    errors: list[UserError] = []
    wanted = cast(Any, leads)
    for i, file in enumerate(files):
        report(Progress("measure", i, len(files)))
        try:
            recording = read_recording(Path(file), source_rate=source_rate)
            measures = measure_recording(recording, leads=wanted)
        except UserError as error:
            results.append({"file": str(file), **_measured(None), "error": str(error)})
            errors.append(error)
            continue
        results.append({"file": str(file), **_measured(measures)})
        if pdf is not None:
            printed.append((recording, measures))
    found = _unless_all_failed(results, errors)
    if pdf is None:
        return found
    print_recordings(printed, Path(pdf), leads=wanted or "all")
    return found | {"pdf": str(pdf)}


def _measured(measures: dict[str, Any] | None) -> dict[str, Any]:
    """Return the principal measures as plain values, None where there are none, and all of them."""
    from core.measuring import INTERVALS, VARIABILITY

    told: dict[str, Any] = measures or dict.fromkeys(("beats", "remarks", "synthetic"))
    rate, intervals, judged, hrv = (
        told.get(group, {}) for group in ("heart_rate", "intervals_ms", "quality", "hrv")
    )
    return {
        "heart_rate": rate.get("mean"),
        "heart_rate_min": rate.get("min"),
        "heart_rate_max": rate.get("max"),
        **{f"{name}_ms": intervals.get(name) for name in INTERVALS},
        **{name: hrv.get(name) for name in VARIABILITY},
        "quality": judged.get("score"),
        "quality_verdict": judged.get("verdict"),
        "beats": told["beats"],
        "synthetic": told["synthetic"],
        "remarks": told["remarks"] or [],
        "measures": measures,
    }


def _unless_all_failed(results: list[dict[str, Any]], errors: list[UserError]) -> dict[str, Any]:
    """Return the results, or raise the first error where every file failed."""
    if results and len(errors) == len(results):
        raise errors[0]
    return {"results": results}


@dataclass(frozen=True, eq=False)
class Probe:
    """The beats of a file as the study would have cut them.

    Attributes:
        beats: Beats that were kept; if none were, those that were found.
        reason: What is wrong with them, in one sentence; empty if nothing is.
        remark: What else is worth knowing of the file.
        marked: Whether the file is a recording that says that it is synthetic.
    """

    beats: BeatSet
    reason: str = ""
    remark: str = ""
    marked: bool = False

    @property
    def synthetic(self) -> bool:
        """Whether the file says that it is synthetic, whole or in part."""
        return self.marked or bool(self.beats.synthetic.any())


def read_probe(
    study: Study, file: str | Path, *, source_rate: float | None = None
) -> tuple[BeatSet, str]:
    """Return the beats of a file as the study would have cut them, and what is wrong with them.

    Args:
        study: The study whose rate, window and filters apply.
        file: A file of beats (``.npz`` or ``.csv`` as `write_beats` writes it) or a recording.
        source_rate: Rate of a recording that tells none, in Hz; what the study had if None.

    Returns:
        ``beats`` and ``reason`` of a `Probe`.

    Raises:
        UserError: The file cannot be read, or its beats do not fit the study's.
    """
    probe = _read_probe(study, file, source_rate=source_rate)
    return probe.beats, probe.reason


def probe_signals(study: str | Path, file: str | Path) -> FloatArray:
    """Return the smoothed beats (n, n_samples, n_leads) of a file, cut as a study's.

    Raises:
        UserError: The file cannot be read, or is of another kind than the study.
    """
    return read_probe(Study.open(Path(study)), file)[0].signals


def _read_probe(study: Study, file: str | Path, *, source_rate: float | None) -> Probe:
    from core.preprocessing.pipeline import preprocess
    from core.readers import read_recording
    from core.readers.beat_table import looks_like_beats

    path = Path(file)
    rate = source_rate or study.info.options.source_rate
    if path.suffix.lower() in BEATS_FORMATS and looks_like_beats(path):
        from core.models.authenticity import matched

        beats = read_beats(path) if is_exported(path) else _ready_beats(study, path, rate)
        clear = _have_amplitude(beats)
        remark = _left_out_remark(clear)
        if not clear.any():
            return Probe(beats.take(clear), NO_CLEAR_BEAT, remark)
        like = study.beats("all").take(slice(1))
        return Probe(matched(beats.take(clear), like, where=str(path)), remark=remark)
    recording = read_recording(path, source_rate=rate)
    several = len(study.info.leads) > 1
    wanted = study.info.leads if several else study.info.options.leads
    result = preprocess(recording, study.info.options, leads=wanted)
    if result.beats.shape[2] != len(study.info.leads):
        raise UserError(
            path,
            f"has the leads {', '.join(result.leads)}, the study has {', '.join(study.info.leads)}",
            "Give a recording of the same leads",
        )
    beats = BeatSet.build(
        result.beats,
        sampling_rate=study.sampling_rate,
        before_s=study.info.before_s,
        leads=study.info.leads,
        record=recording.record,
        recording=str(path),
        session=recording.session,
        label=recording.label,
        rr_before=result.rr_before,
        rr_after=result.rr_after,
        r_sample=result.r_peaks,
    )
    kept = result.rejected == ""
    remark = _left_out_remark(kept)
    marked = SYNTHETIC in recording.remarks
    if result.recording_rejected:
        reason = result.recording_rejected.rstrip(".")
        return Probe(beats.take(kept) if kept.any() else beats, reason, remark, marked)
    if not kept.any():
        return Probe(beats, NO_CLEAR_BEAT, remark, marked)
    lead = result.leads[0]
    known = {name for row in study.recordings["leads"] for name in str(row).split(", ")}
    reason = ""
    if not several and lead not in known and _is_standard(lead) and any(map(_is_standard, known)):
        reason = f"its lead is {lead}, the study's is {study.info.leads[0]}"
    return Probe(beats.take(kept), reason, remark, marked)


def _have_amplitude(beats: BeatSet) -> BoolArray:
    """Return (n,) whether each beat is finite and of a height that some heart has in some unit."""
    with np.errstate(invalid="ignore", over="ignore"):
        height = np.ptp(beats.signals, axis=1).max(axis=1)
    return (height > LEAST_HEIGHT) & (height < MOST_HEIGHT)


def _left_out_remark(kept: BoolArray) -> str:
    left_out = int(np.count_nonzero(~kept))
    return f"{left_out} of its {len(kept)} beats were left out." if left_out else ""


def _is_standard(lead: str) -> bool:
    """Tell whether a name is that of a lead whose beats look like no other lead's."""
    return lead.upper() in STANDARD_LEADS


def _ready_beats(study: Study, path: Path, source_rate: float | None) -> BeatSet:
    """Read a table of ready beats, which are taken to be cut as the study's are."""
    from core.readers import read_beat_table

    signals, labels, rate = read_beat_table(path, source_rate=source_rate)
    return BeatSet.build(
        signals,
        sampling_rate=rate,
        before_s=study.info.before_s,
        leads=study.info.leads,
        label=labels,
    )


def authenticate(
    study: str | Path,
    file: str | Path,
    *,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Tell whether beats are real or synthetic, by a judge trained on this study.

    Beats that are closer to a train beat than `NEAR_COPY_DISTANCE` are copies of it, which the
    judge, rightly, takes for real. A recording or an export of the study's own train part is one
    of its sources and stays real; a file of beats most of which are altered copies, or which says
    of itself that it is synthetic and copies, is synthetic.

    Returns:
        ``{"beats": [probability that it is synthetic], "synthetic": bool, "verdict": sentence,
        "outcome": "real" | "synthetic" | "copies" | "unknown", "reasons": [{"feature", "words",
        "weight"}], "copies": [bool a beat], "unlike": [bool a beat], "marked": bool, "judge":
        outcome}``. ``reasons`` are what moved the judge most, a positive weight towards synthetic.
        ``unknown``: the beats are strange to the study, of another lead, or too poor;
        ``synthetic`` is then false. ``marked``: the file says of itself that it is synthetic,
        which decides; ``judge`` is the outcome by the beats alone.
    """
    from core.evaluation.privacy import NEAR_COPY_DISTANCE, nearest_distances

    opened = Study.open(Path(study))
    judge = load_model(opened, "authenticity")
    probe = _read_probe(opened, file, source_rate=source_rate)
    beats, reason = probe.beats, probe.reason
    if not len(beats):
        raise UserError(file, reason or "has no beats", "Give a recording with clear heartbeats")
    marked = probe.marked or bool(beats.synthetic.all())
    report(Progress("authenticate", 0, 2))
    opinion = judge.examine(beats)
    report(Progress("authenticate", 1, 2))
    train_beats = opened.beats("train")
    distances = nearest_distances(beats.signals, train_beats.signals, opened.sampling_rate)
    copies = distances < NEAR_COPY_DISTANCE
    outcome = "synthetic" if opinion.synthetic else "real" if opinion.certain else "unknown"
    if reason:
        outcome = "unknown"
    if np.mean(copies) > 0.5:
        altered = bool(np.median(distances[copies]) > SAME_BEAT_DISTANCE)
        of_beats = bool((beats.r_sample < 0).all()) or is_exported(Path(file))
        told = of_beats and (altered or bool(beats.synthetic.all()))
        outcome = "copies" if told or opinion.synthetic else "real"
    verdict = _authenticity_words(outcome, opinion, own=bool(np.mean(copies) > 0.5))
    if reason and outcome == "unknown":
        verdict = f"Cannot tell: {reason}."
    own = outcome
    if marked and outcome != "copies":
        outcome = "synthetic"
        verdict = f"Synthetic: the file says so itself. The judge alone: {verdict}"
    report(Progress("authenticate", 2, 2))
    return {
        "beats": [round(float(p), 6) for p in opinion.probability],
        "synthetic": outcome in ("synthetic", "copies"),
        "verdict": verdict,
        "outcome": outcome,
        "marked": marked,
        "judge": own,
        "reasons": [
            {"feature": r.feature, "words": r.words, "weight": round(r.weight, 4)}
            for r in opinion.reasons
        ],
        "copies": [bool(copy) for copy in copies],
        "unlike": [bool(unlike) for unlike in opinion.unlike],
    }


def _authenticity_words(outcome: str, opinion: Any, *, own: bool) -> str:
    """Return what is to be said of a file's beats, in a sentence."""
    if outcome == "copies":
        return "Synthetic, and not new: most are copies of beats of the study's train part."
    if outcome == "unknown":
        return "Cannot tell: these beats are strange to the study, and are no typical fakes."
    if outcome == "synthetic":
        return f"Synthetic: most like {FAKE_WORDS.get(opinion.kind, opinion.kind)}."
    if own:
        return "Real, as far as can be told: most are beats of the study's own train part."
    return "Real, as far as can be told."


def quiz(
    study: str | Path,
    *,
    model: str = "gan",
    subject: str | None = None,
    part: str = "beat",
    seed: int = 0,
    report: Report = silent,
) -> dict[str, Any]:
    """Mix real and generated beats for a person to tell apart, and let the judge tell them, too.

    The real beats are of the validation part, which no model was fitted to; where it has too few,
    of the test part, else of the train part.

    Args:
        study: A study with a generator and a judge.
        model: ``gan`` or ``mixture``.
        subject: Beats in a row of one recording of this subject, some exchanged; by default lone
            beats of many subjects, half of them generated.
        part: What is exchanged in a row: a key of `core.comparison.PARTS`.
        seed: Of every choice.
        report: Told at the beginning and the end.

    Returns:
        ``{"signals": (n, n_samples, n_leads), "synthetic": (n,), "judge": (n,) probabilities,
        "subjects": (n,), "partition", "part", "model", "seed"}``, all plain lists.

    Raises:
        UserError: A model is missing, or there are too few real beats.
    """
    from core import comparison

    report(Progress("quiz", 0, 1))
    opened = Study.open(Path(study))
    judge = load_model(opened, "authenticity")
    known = choose_subjects(opened, None if subject is None else [subject])
    for partition in ("validation", "test", "train"):
        beats = opened.beats(partition)
        real = beats.take(np.isin(beats.subject, known))
        if comparison.is_enough(real, in_a_row=subject is not None):
            break

    def draw(subjects: StrArray) -> BeatSet:
        return draw_beats(opened, model, subjects, seed=seed)

    if subject is None:
        found = comparison.mixed_round(real, draw, seed=seed)
    else:
        found = comparison.exchanged_row(real, draw, part=part, seed=seed)
    report(Progress("quiz", 1, 1))
    return {
        "signals": comparison.told_values(found.beats.signals),
        "synthetic": [bool(one) for one in found.exchanged],
        "judge": [round(float(p), 6) for p in judge.probability(found.beats)],
        "subjects": [str(name) for name in found.beats.subject],
        "partition": partition,
        "part": found.part,
        "model": model,
        "seed": seed,
    }


def identify(
    study: str | Path,
    files: Sequence[str | Path],
    *,
    per_beat: bool = False,
    refresh: bool = False,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Name the subject of each file, or the label where that is what the identifier learned.

    Args:
        study: A study with a trained identifier.
        files: Recordings or files of beats, one subject each.
        per_beat: Also name the subject of each beat alone, under ``per_beat``.
        refresh: Enroll files that are named with more than usual confidence as further templates
            of their subjects. Without it the study is not changed.
        source_rate: Rate of recordings that tell none, in Hz.
        report: Told about each file.

    Returns:
        ``{"results": [{"file", "beats", "predicted", "score", "probability", "accepted",
        "scores", "reason"}]}``, and ``refreshed`` where it was asked for. ``probability`` is how
        likely the one predicted is among those enrolled; ``remark`` tells that the file says that
        it is synthetic, or why one who was named surely enough was not enrolled.

    Raises:
        UserError: No identifier is trained, or every file failed.
    """
    opened = Study.open(Path(study))
    identifier = load_identifier(opened)
    if refresh:
        _require_subjects(opened, identifier)
    known = {t.sha256 for t in read_gallery(opened).enrolled} if refresh else set()
    confident: list[tuple[dict[str, Any], Enrolment]] = []

    def answer(file: str | Path, probe: Probe) -> dict[str, Any]:
        verdict = judge(identifier, probe.beats, probe.reason)
        entry = no_answer(file, verdict.reason)
        if not len(probe.beats):
            return entry
        best = verdict.best
        entry |= {
            "beats": len(probe.beats),
            "predicted": identifier.classes[best],
            "score": float(verdict.scores[best]),
            "probability": float(verdict.probabilities[best]),
            "accepted": not verdict.reason,
            "scores": dict(zip(identifier.classes, map(float, verdict.scores), strict=True)),
        }
        if probe.synthetic:
            entry["remark"] = "The file says that it is synthetic."
        if per_beat:
            entry["per_beat"] = _name_beats(identifier, probe.beats)
        if refresh:
            digest = digest_of(probe.beats)
            new = is_confident(identifier, probe.beats, verdict) and digest not in known
            if new and not probe.synthetic:
                known.add(digest)
                one = _enrolment(entry["predicted"], file, probe, origin="refreshed")
                confident.append((entry, one))
        return entry

    def no_answer(file: str | Path, reason: str) -> dict[str, Any]:
        return {
            "file": str(file),
            "beats": 0,
            "predicted": None,
            "score": None,
            "probability": None,
            "accepted": False,
            "scores": {},
            "reason": reason,
            **({"refreshed": False} if refresh else {}),
        }

    found = _each_file(opened, files, answer, no_answer, "identify", source_rate, report)
    if confident:
        _refresh(opened, confident)
    return found


def _refresh(study: Study, confident: Sequence[tuple[dict[str, Any], Enrolment]]) -> None:
    """Enroll probes, and write into the answer of each whether it is enrolled, or why not."""
    try:
        after = enrol(study, [one for _, one in confident])
    except UserError as error:
        for entry, _ in confident:
            entry["remark"] = f"It was not enrolled: {error}"
        return
    enrolled = {template.sha256 for template in after.enrolled}
    for entry, one in confident:
        entry["refreshed"] = digest_of(one.beats) in enrolled
        if not entry["refreshed"]:
            entry["remark"] = "It was not enrolled: later files of the same person were."


def _name_beats(identifier: Any, beats: BeatSet) -> list[dict[str, Any]]:
    single = np.asarray(identifier.beat_scores(beats), dtype=float)
    return [
        {"predicted": identifier.classes[int(k)], "score": float(row[k])}
        for row, k in zip(single, single.argmax(axis=1), strict=True)
    ]


def _enrolment(
    subject: str, file: str | Path, probe: Probe, *, origin: Origin = "enrolled"
) -> Enrolment:
    return Enrolment(
        subject=subject, beats=probe.beats, file=file, remark=probe.remark, origin=origin
    )


def _each_file(
    study: Study,
    files: Sequence[str | Path],
    answer: Callable[[str | Path, Probe], dict[str, Any]],
    no_answer: Callable[[str | Path, str], dict[str, Any]],
    stage: str,
    source_rate: float | None,
    report: Report,
) -> dict[str, Any]:
    """Return an entry a file, in their order: its answer, or why it could not be read."""
    results: list[dict[str, Any]] = []
    errors: list[UserError] = []
    for number, file in enumerate(files):
        report(Progress(stage, number, len(files)))
        try:
            probe = _read_probe(study, file, source_rate=source_rate)
        except UserError as error:
            errors.append(error)
            results.append(no_answer(file, str(error)) | {"error": str(error)})
            continue
        results.append(answer(file, probe))
    return _unless_all_failed(results, errors)


def _require_subjects(study: Study, identifier: Any) -> None:
    if identifier.target != "subject":
        raise names_labels(study)


def verify(
    study: str | Path,
    files: Sequence[str | Path],
    *,
    subject: str,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Tell whether each file is of one subject, on the scores of `identify`.

    Returns:
        ``{"results": [{"file", "subject", "score", "threshold", "match", "reason"}]}``.

    Raises:
        UserError: The subject is not enrolled, or every file failed.
    """
    opened = Study.open(Path(study))
    identifier = load_identifier(opened)
    _require_subjects(opened, identifier)
    if subject not in identifier.classes:
        raise UserError(
            f"--subject {subject}", "is not enrolled", did_you_mean(subject, identifier.classes)
        )
    column = identifier.classes.index(subject)

    def entry(file: str | Path, score: float | None, reason: str) -> dict[str, Any]:
        return {
            "file": str(file),
            "subject": subject,
            "score": score,
            "threshold": float(identifier.threshold),
            "match": not reason,
            "reason": reason,
        }

    def answer(file: str | Path, probe: Probe) -> dict[str, Any]:
        verdict = judge(identifier, probe.beats, probe.reason)
        if not len(probe.beats):
            return no_answer(file, verdict.reason)
        score = float(verdict.scores[column])
        reason = verdict.reason
        if not reason and score < identifier.threshold:
            reason = "the score is too low"
        if not reason and verdict.best != column:
            reason = f"more like {identifier.classes[verdict.best]}"
        return entry(file, score, reason)

    def no_answer(file: str | Path, reason: str) -> dict[str, Any]:
        return entry(file, None, reason)

    return _each_file(opened, files, answer, no_answer, "verify", source_rate, report)


def enroll(
    study: str | Path,
    files: Sequence[str | Path],
    *,
    subject: str,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Put a subject's recordings into the gallery, without training; `undo_gallery` takes it back.

    Args:
        study: A study whose identifier names subjects.
        files: Recordings or files of beats of this subject; each becomes a template.
        subject: Who it is: a new name, or somebody who is there and gets further templates.
        source_rate: Rate of recordings that tell none, in Hz.
        report: Told about each file.

    Returns:
        ``{"subject", "enrolled": [{"file", "beats", "reason"}], "templates", "gallery",
        "remarks"}``: a file with a reason was not enrolled; how many enrolled templates the
        subject has now, and how many people the gallery.

    Raises:
        UserError: The name is none, no identifier is trained, or no file could be enrolled.
    """
    name = check_name(subject)
    opened = Study.open(Path(study))
    identifier = load_identifier(opened)
    _require_subjects(opened, identifier)
    known = {t.sha256: already_enrolled(t) for t in read_gallery(opened).enrolled}
    additions: list[Enrolment] = []
    remarks: list[str] = []
    refusals: list[UserError] = []

    def answer(file: str | Path, probe: Probe) -> dict[str, Any]:
        verdict = judge(identifier, probe.beats, probe.reason)
        digest = digest_of(probe.beats)
        reason = verdict.fault or known.get(digest, "")
        if not reason and probe.synthetic:
            reason = "its beats are synthetic"
        if reason:
            refusals.append(UserError(file, reason, "Give another recording of this person"))
        else:
            additions.append(_enrolment(name, file, probe))
            known[digest] = "it holds the same beats as another of the files"
            remarks.extend(_enrolment_remarks(identifier, verdict, name, file, len(probe.beats)))
        return {"file": str(file), "beats": len(probe.beats), "reason": reason}

    def no_answer(file: str | Path, reason: str) -> dict[str, Any]:
        return {"file": str(file), "beats": 0, "reason": reason}

    found = _each_file(opened, files, answer, no_answer, "enroll", source_rate, report)
    if not additions:
        raise refusals[0]
    after = enrol(opened, additions)
    return {
        "subject": name,
        "enrolled": found["results"],
        "templates": sum(t.subject == name for t in after.enrolled),
        "gallery": len({*identifier.classes, name}),
        "remarks": remarks,
    }


def _enrolment_remarks(
    identifier: Any, verdict: Verdict, name: str, file: str | Path, n_beats: int
) -> list[str]:
    """Return what is worth knowing of a probe that is enrolled under a name."""
    remarks: list[str] = []
    alike = identifier.classes[verdict.best]
    if not verdict.reason and alike != name:
        remarks.append(f"{Path(file).name} resembles {alike}.")
    elif verdict.reason and name in identifier.classes:
        remarks.append(f"{Path(file).name} is unlike what was known of {name}: {verdict.reason}.")
    if n_beats < REFRESH_BEATS:
        remarks.append(f"{Path(file).name} has only {n_beats} clear beats; more make it surer.")
    return remarks


def gallery(
    study: str | Path,
    *,
    remove: str | None = None,
    undo: bool = False,
    report: Report = silent,
) -> dict[str, Any]:
    """Return who may be named, after a subject was removed or the last change undone, if asked.

    Returns:
        See `core.gallery.list_gallery`; and ``undone``, what was undone.

    Raises:
        UserError: No identifier of subjects is trained, or there is nothing to remove or undo.
    """
    if remove is not None and undo:
        raise UserError("--undo", "cannot be asked for with --remove", "Do one after the other")
    if remove is not None:
        return remove_enrolled(study, subject=remove)
    if undo:
        return undo_gallery(study)
    return list_gallery(Study.open(Path(study)))


def remove_enrolled(
    study: str | Path,
    *,
    subject: str | None = None,
    template: int | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Take a subject, also one who was trained, or one template out of the gallery.

    Returns:
        The gallery after it, see `core.gallery.list_gallery`.

    Raises:
        UserError: There is no such subject or template, or nobody would be left.
    """
    opened = Study.open(Path(study))
    if subject is not None:
        remove_subject(opened, subject)
    if template is not None:
        remove_template(opened, template)
    return list_gallery(opened)


def undo_gallery(study: str | Path, *, report: Report = silent) -> dict[str, Any]:
    """Take the last change of the gallery back.

    Returns:
        The gallery after it, see `core.gallery.list_gallery`; and ``undone``, what was undone.

    Raises:
        UserError: There is nothing to undo.
    """
    opened = Study.open(Path(study))
    undone = undo_step(opened)[1]
    return {"undone": undone, **list_gallery(opened)}


def evaluate(
    study: str | Path, *, seed: int = 0, redraws: int = 5, report: Report = silent
) -> dict[str, Any]:
    """Return every figure of a study, each with its protocol; see `core.scoreboard`."""
    from core.scoreboard import evaluate_study

    return evaluate_study(Study.open(Path(study)), seed=seed, redraws=redraws, report=report)


def tune(
    study: str | Path,
    *,
    trials: int = 20,
    seed: int = 0,
    train_best: bool = False,
    report: Report = silent,
) -> dict[str, Any]:
    """Search the identifier's hyper-parameters on the train side; see `core.tuning`.

    With `train_best` the identifier is then trained with the best ones, on all of train.
    """
    from core.tuning import tune_identifier

    found = tune_identifier(Study.open(Path(study)), trials=trials, seed=seed, report=report)
    if train_best:
        found |= {"trained": train(study, models=["identifier"], seed=seed, report=report)}
    return found


def write_report(study: str | Path, out: str | Path, *, report: Report = silent) -> dict[str, Any]:
    """Write the study for reading, as ``.html`` or ``.pdf``; see `core.reporting`."""
    from core import reporting

    return reporting.write_report(Study.open(Path(study)), Path(out))


def delete_study(study: str | Path) -> None:
    """Move a study into the ``.trash`` folder beside it, from which it can be put back."""
    opened = Study.open(Path(study))
    trash = opened.folder.parent / ".trash"
    trash.mkdir(exist_ok=True)
    replace_folder(opened.folder, trash / opened.folder.name)


def restore_study(study: str | Path) -> None:
    """Put a study back that `delete_study` moved away."""
    folder = Path(study)
    kept = folder.parent / ".trash" / folder.name
    if not kept.is_dir():
        raise UserError(folder, "is not in the trash", "Prepare it again")
    if folder.exists():
        raise UserError(folder, "stands in its place", "Rename it first")
    shutil.move(kept, folder)

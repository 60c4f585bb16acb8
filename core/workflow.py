"""Workflow: prepare, train, generate, authenticate, identify, evaluate; one function each.

Each can be run again: it finishes what was begun and gives the same files. The command line
calls them in its own process, the pages through `core.jobs`. Arguments are plain values, so
that a job can be stored and sent; results are ready for JSON.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from core.beat_set import BEATS_FORMATS, BeatSet, is_exported, read_beats, write_beats
from core.errors import UserError, did_you_mean
from core.generating import (
    GENERATORS,
    HEART_RATE_RANGE,
    MAX_BEATS,
    choose_subjects,
    draw_beats,
    load_model,
)
from core.options import PrepareOptions, SignalKind, parse_options
from core.progress import Progress, Report, silent
from core.study import Study, replace_folder
from core.training import train

__all__ = [
    "authenticate",
    "demo",
    "evaluate",
    "export",
    "generate",
    "identify",
    "peaks",
    "prepare",
    "read_probe",
    "train",
    "tune",
    "verify",
    "write_report",
]

DEMO_RECORDINGS = Path(__file__).resolve().parent.parent / "assets" / "demo"
STANDARD_LEADS = frozenset(
    ["I", "II", "III", "AVR", "AVL", "AVF", "MLII", *(f"V{i}" for i in range(1, 7))]
)
DEMO_NAME = "Demo (simulated)"
MIN_PROBE_BEATS = 3
"""Beats that a probe needs before its subject is accepted; fewer are named, but not accepted."""


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
    per_subject: int = 50,
    subjects: Sequence[str] | None = None,
    label: str | None = None,
    heart_rate: float | None = None,
    days: str = "recorded",
    seed: int = 0,
    report: Report = silent,
) -> dict[str, Any]:
    """Write synthetic beats of a study's subjects to ``.npz`` or ``.csv``.

    Raises:
        UserError: The model is not trained, or a subject, label or number cannot be had.
    """
    path = Path(out)
    if path.suffix.lower() not in BEATS_FORMATS:
        raise UserError(path, "is not a name for a file of beats", "End it in .npz or .csv")
    if model not in GENERATORS:
        raise UserError("--model", f"{model!r} is no generator", did_you_mean(model, GENERATORS))
    low, high = HEART_RATE_RANGE
    if heart_rate is not None and not low <= heart_rate <= high:
        raise UserError(
            "--heart-rate", f"{heart_rate:g} is out of range", f"Give {low:g} to {high:g} a minute"
        )
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
    write_beats(beats, path)
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


def _unless_all_failed(results: list[dict[str, Any]], errors: list[UserError]) -> dict[str, Any]:
    """Return the results, or raise the first error where every file failed."""
    if results and len(errors) == len(results):
        raise errors[0]
    return {"results": results}


def read_probe(
    study: Study, file: str | Path, *, source_rate: float | None = None
) -> tuple[BeatSet, str]:
    """Return the beats of a file as the study would have cut them, and why there are few.

    Args:
        study: The study whose rate, window and filters apply.
        file: A file of beats (``.npz`` or ``.csv`` as `write_beats` writes it) or a recording.
        source_rate: Rate of a recording that tells none, in Hz; what the study had if None.

    Returns:
        Beats that were kept; if none were, those that were found; and one sentence on what is
        wrong, empty if nothing is.

    Raises:
        UserError: The file cannot be read, or its beats do not fit the study's.
    """
    from core.preprocessing.pipeline import preprocess
    from core.readers import read_recording
    from core.readers.beat_table import looks_like_beats

    path = Path(file)
    rate = source_rate or study.info.options.source_rate
    if path.suffix.lower() in BEATS_FORMATS and looks_like_beats(path):
        from core.models.authenticity import matched

        beats = read_beats(path) if is_exported(path) else _ready_beats(study, path, rate)
        return matched(beats, study.beats("all").take(slice(1)), where=str(path)), ""
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
        label=recording.label,
        rr_before=result.rr_before,
        rr_after=result.rr_after,
        r_sample=result.r_peaks,
    )
    kept = result.rejected == ""
    if result.recording_rejected:
        reason = result.recording_rejected.rstrip(".")
        return beats.take(kept) if kept.any() else beats, reason
    if not kept.any():
        return beats, "no clear beat was found"
    lead = result.leads[0]
    known = {name for row in study.recordings["leads"] for name in str(row).split(", ")}
    if not several and lead not in known and _is_standard(lead) and any(map(_is_standard, known)):
        return beats.take(kept), f"its lead is {lead}, the study's is {study.info.leads[0]}"
    return beats.take(kept), ""


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

    Returns:
        ``{"beats": [probability that it is synthetic], "synthetic": bool}``.
    """
    opened = Study.open(Path(study))
    judge = load_model(opened, "authenticity")
    beats, reason = read_probe(opened, file, source_rate=source_rate)
    if not len(beats):
        raise UserError(file, reason or "has no beats", "Give a recording with clear heartbeats")
    probability = judge.probability(beats)
    return {
        "beats": [round(float(p), 6) for p in probability],
        "synthetic": judge.is_synthetic(beats),
    }


def identify(
    study: str | Path,
    files: Sequence[str | Path],
    *,
    per_beat: bool = False,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Name the subject of each file; the study is not changed.

    Args:
        study: A study with a trained identifier.
        files: Recordings or files of beats, one subject each.
        per_beat: Also name the subject of each beat alone, under ``per_beat``.
        source_rate: Rate of recordings that tell none, in Hz.
        report: Told about each file.

    Returns:
        ``{"results": [{"file", "beats", "predicted", "score", "accepted", "scores", "reason"}]}``.

    Raises:
        UserError: No identifier is trained, or every file failed.
    """
    opened = Study.open(Path(study))
    identifier = load_model(opened, "identifier")
    results: list[dict[str, Any]] = []
    errors: list[UserError] = []
    for i, file in enumerate(files):
        report(Progress("identify", i, len(files)))
        try:
            beats, reason = read_probe(opened, file, source_rate=source_rate)
        except UserError as error:
            errors.append(error)
            results.append(_no_answer(file, str(error)) | {"error": str(error)})
            continue
        results.append(_name_subject(identifier, file, beats, reason, per_beat=per_beat))
    return _unless_all_failed(results, errors)


def _no_answer(file: str | Path, reason: str) -> dict[str, Any]:
    return {
        "file": str(file),
        "beats": 0,
        "predicted": None,
        "score": None,
        "accepted": False,
        "scores": {},
        "reason": reason,
    }


def _name_subject(
    identifier: Any, file: str | Path, beats: BeatSet, reason: str, *, per_beat: bool
) -> dict[str, Any]:
    entry = _no_answer(file, reason or "no beat was found")
    if not len(beats):
        return entry
    scores = np.asarray(identifier.score(beats), dtype=float)
    best = int(np.argmax(scores))
    entry |= {
        "beats": len(beats),
        "predicted": identifier.classes[best],
        "score": float(scores[best]),
        "scores": {name: float(s) for name, s in zip(identifier.classes, scores, strict=True)},
    }
    entry["reason"] = reason
    if reason:
        pass
    elif len(beats) < MIN_PROBE_BEATS:
        entry["reason"] = f"only {len(beats)} clear beats; {MIN_PROBE_BEATS} are needed to be sure"
    elif scores[best] < identifier.threshold:
        entry["reason"] = "too unlike everyone who is enrolled"
    else:
        entry["accepted"] = True
    if per_beat:
        single = np.asarray(identifier.beat_scores(beats), dtype=float)
        entry["per_beat"] = [
            {"predicted": identifier.classes[int(k)], "score": float(row[k])}
            for row, k in zip(single, single.argmax(axis=1), strict=True)
        ]
    return entry


def verify(
    study: str | Path,
    files: Sequence[str | Path],
    *,
    subject: str,
    source_rate: float | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Tell whether each file is of one subject.

    Returns:
        ``{"results": [{"file", "subject", "score", "threshold", "match", "reason"}]}``.

    Raises:
        UserError: The subject is not enrolled, or every file failed.
    """
    opened = Study.open(Path(study))
    identifier = load_model(opened, "identifier")
    if subject not in identifier.classes:
        raise UserError(
            f"--subject {subject}", "is not enrolled", did_you_mean(subject, identifier.classes)
        )
    found = identify(study, files, source_rate=source_rate, report=report)["results"]
    results: list[dict[str, Any]] = []
    for entry in found:
        score = entry["scores"].get(subject)
        passed = score is not None and score >= identifier.threshold
        unsure = bool(entry["reason"]) and entry["beats"] < MIN_PROBE_BEATS
        results.append(
            {
                "file": entry["file"],
                "subject": subject,
                "score": score,
                "threshold": float(identifier.threshold),
                "match": bool(passed and not unsure),
                "reason": ""
                if passed and not unsure
                else entry["reason"] or "the score is too low",
                **({"error": entry["error"]} if "error" in entry else {}),
            }
        )
    return {"results": results}


def evaluate(
    study: str | Path, *, seed: int = 0, redraws: int = 5, report: Report = silent
) -> dict[str, Any]:
    """Return every figure of a study, each with its protocol; see `core.scoreboard`."""
    from core.scoreboard import evaluate_study

    return evaluate_study(Study.open(Path(study)), seed=seed, redraws=redraws, report=report)


def tune(
    study: str | Path, *, trials: int = 20, seed: int = 0, report: Report = silent
) -> dict[str, Any]:
    """Search the identifier's hyper-parameters on the train side; see `core.tuning`."""
    from core.tuning import tune_identifier

    return tune_identifier(Study.open(Path(study)), trials=trials, seed=seed, report=report)


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

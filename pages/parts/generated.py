"""Finished jobs that generated beats -> the beats of one subject, as arrays and as files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from core.beat_set import BeatSet, read_beats, write_beats
from core.jobs import JobState
from core.provenance import Provenance
from core.study import Study
from pages.parts import content, job_panel
from pages.parts.words import GENERATOR_WORDS

VERB = "generate"
DAY_WORDS = {"recorded": "as on the recorded days", "new": "as on another day"}


def beat_jobs(study: Study) -> list[JobState]:
    """Return the jobs that generate beats, not strips, the newest first."""
    jobs = job_panel.of_verb(study.folder, VERB)
    return [job for job in jobs if not job.arguments.get("seconds")]


def of_subject(study: Study, subject: str) -> list[JobState]:
    """Return the jobs that generate beats of a subject, the newest first."""
    return [job for job in beat_jobs(study) if subject in (job.arguments.get("subjects") or ())]


def file_of(study: Study, job: JobState) -> Path:
    """Return the file that a job wrote; of a study that was moved, where it is now."""
    told = Path(job.arguments["out"])
    return told if told.is_file() else study.folder / "exports" / told.name


def finished(study: Study, subject: str) -> list[JobState]:
    """Return the jobs whose generated beats of a subject are there, the newest first."""
    return [
        job
        for job in of_subject(study, subject)
        if job.status == job_panel.DONE and file_of(study, job).is_file()
    ]


@st.cache_data(max_entries=16, show_spinner=False, scope="session")
def _beats(path: str, stamp: int, subject: str) -> BeatSet:
    return _read(Path(path), subject)


def _read(path: Path, subject: str) -> BeatSet:
    beats = read_beats(path)
    return beats.take(beats.subject == subject)


def beats_of(study: Study, job: JobState, subject: str) -> BeatSet:
    """Return the beats of a subject that a finished job generated."""
    path = file_of(study, job)
    return _beats(str(path), path.stat().st_mtime_ns, subject)


def part_name(study: Study, job: JobState, subject: str) -> Path:
    """Return where a file of a subject's beats alone is, or would be."""
    path = file_of(study, job)
    if job.arguments.get("subjects") == [subject]:
        return path
    return path.with_name(content.file_name(path.stem, subject, ending=path.suffix))


def file_of_subject(study: Study, job: JobState, subject: str) -> Path:
    """Return a file of a subject's beats alone; it is written if the job drew several people."""
    part = part_name(study, job, subject)
    if not part.is_file():
        write_beats(_read(file_of(study, job), subject), part, provenance=_provenance(study, job))
    return part


def as_bytes(study: Study, job: JobState, subject: str, ending: str) -> bytes:
    """Return a file of a subject's beats, ``.npz`` or ``.csv``, which says what made them.

    It is called outside the run of a page, so it reads nothing that is kept for the session.
    """
    beats = _read(file_of(study, job), subject)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"beats{ending}"
        write_beats(beats, path, provenance=_provenance(study, job))
        return path.read_bytes()


def _provenance(study: Study, job: JobState) -> Provenance:
    asked = job.arguments
    rate = asked.get("heart_rate")
    return Provenance(
        model=asked["model"],
        seed=asked["seed"],
        study=study.info.name,
        days=asked["days"],
        more=(("Heart rate", f"{rate:g} a minute"),) if rate else (),
    )


def told(job: JobState) -> str:
    """Return what a job was asked for, in words."""
    asked = job.arguments
    said = (
        f"{asked['per_subject']} beats by the {GENERATOR_WORDS[asked['model']]}, "
        f"{DAY_WORDS[asked['days']]}, seed {asked['seed']}"
    )
    if asked.get("label"):
        said += f", label {asked['label']}"
    if asked.get("heart_rate"):
        said += f", {asked['heart_rate']:g} beats a minute"
    return said

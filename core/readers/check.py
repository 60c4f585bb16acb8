"""A folder of files -> what each is, whose, and what is wrong with it, before it is prepared."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError
from core.options import SubjectSource
from core.readers.read import read_recording
from core.readers.sources import (
    MANIFEST,
    MANIFEST_COLUMNS,
    Source,
    resolve_subject,
    survey_sources,
)

MOST_READ = 100
"""Recordings that are read to look at them; the others are read when they are prepared."""
PASSED_OVER = "Nothing, if it is no recording; else export it in another format"
LARGEST_READ_BYTES = 32 * 1024**2
"""Larger recordings are not read to look at them either."""


@dataclass(frozen=True)
class Found:
    """A recording, or a table of beats, that was found.

    Attributes:
        path: Of the file, relative to the folder, with ``/``.
        subject: Whose it is; empty where only reading it would tell.
        session: Day or visit; empty if unknown.
        label: What a classifier may predict; empty if there is none.
        kind: ``"recording"`` or ``"beats"``.
        leads: Names of its leads; empty if it was not read.
        sampling_rate: In Hz; None if it was not read.
        seconds: How long it is; None if it was not read.
    """

    path: str
    subject: str
    session: str
    label: str
    kind: str
    leads: str = ""
    sampling_rate: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Refused:
    """A file that cannot be used: what is wrong with it, and what to do."""

    path: str
    reason: str
    fix: str


@dataclass(frozen=True)
class Checked:
    """What a folder holds, in natural order; `unread` recordings were found but not read."""

    found: tuple[Found, ...]
    refused: tuple[Refused, ...]
    unread: int


def check_folder(
    folder: Path, *, source_rate: float | None = None, subject_from: SubjectSource | None = None
) -> Checked:
    """Look at every file of a folder; the first recordings are read, the others only recognised.

    Args:
        folder: What was uploaded.
        source_rate: Of files that do not tell theirs, in Hz.
        subject_from: Where the subject is named.

    Raises:
        UserError: The folder holds no recording, or a manifest in it is damaged.
    """
    survey = survey_sources([folder], subject_from=subject_from)
    found: list[Found] = []
    refused = [
        Refused(_within(folder, entry.path), entry.reason, PASSED_OVER) for entry in survey.skipped
    ]
    unread = 0
    for source in survey.recordings:
        large = len(found) >= MOST_READ or _bytes(source.path) > LARGEST_READ_BYTES
        if source.kind == "recording" and large:
            found.append(_unread(folder, source))
            unread += 1
            continue
        try:
            found.append(_read(folder, source, source_rate, subject_from))
        except UserError as error:
            refused.append(Refused(_within(folder, source.path), error.fault, error.fix))
    return Checked(tuple(found), tuple(refused), unread)


def _unread(folder: Path, source: Source) -> Found:
    return Found(
        _within(folder, source.path),
        source.subject or "",
        source.session or "",
        source.label or "",
        source.kind,
    )


def _read(
    folder: Path, source: Source, source_rate: float | None, subject_from: SubjectSource | None
) -> Found:
    if source.kind == "beats":
        return _unread(folder, source)
    recording = read_recording(source.path, source_rate=source_rate)
    return Found(
        _within(folder, source.path),
        resolve_subject(recording, source, subject_from),
        source.session or recording.session,
        source.label or recording.label,
        source.kind,
        ", ".join(recording.leads),
        float(recording.sampling_rate),
        float(recording.duration),
    )


def _within(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _bytes(path: Path) -> int:
    """Return how large a file is, a header with its signals."""
    files = {path, path.with_suffix(".dat"), path.with_suffix(".mat")}
    return sum(file.stat().st_size for file in files if file.is_file())


def write_manifest(folder: Path, rows: Iterable[Found]) -> Path:
    """Write one manifest of a whole folder, in the place of those that are in it; return it."""
    for old in [path for path in folder.rglob("*") if path.name.lower() == MANIFEST]:
        old.unlink()
    target = folder / MANIFEST
    with target.open("w", newline="", encoding="utf-8") as file:
        file.write(manifest_text(rows))
    return target


def manifest_text(rows: Iterable[Found]) -> str:
    """Return the text of a manifest with these rows."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(MANIFEST_COLUMNS)
    for row in rows:
        writer.writerow([row.path, row.subject, row.session, row.label])
    return text.getvalue()

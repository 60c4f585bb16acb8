"""Files and folders as the user gives them -> the recordings in them, and whose they are."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.errors import UserError, did_you_mean
from core.options import SubjectSource
from core.readers.detect import kind_of, name_formats
from core.readers.wfdb_records import ANNOTATORS, read_header
from core.recording import Recording

MANIFEST = "manifest.csv"
MANIFEST_COLUMNS = ("path", "subject", "session", "label")
"""``path`` and ``subject`` must be there; paths are relative to the manifest's folder."""


@dataclass(frozen=True)
class Source:
    """One recording, or one table of beats, that the user gave.

    Attributes:
        path: The file to read, as given; for WFDB the header.
        subject: Who it is, if a manifest or ``--subject-from`` says so.
        session: Day or visit, if a manifest says so.
        label: What a classifier may predict, if a manifest says so.
        kind: ``"recording"``, or ``"beats"`` for a file that `read_beat_table` reads.
    """

    path: Path
    subject: str | None = None
    session: str | None = None
    label: str | None = None
    kind: Literal["recording", "beats"] = "recording"


@dataclass(frozen=True)
class Skipped:
    """A file in a folder that is no recording, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Survey:
    """What files and folders hold: recordings in natural order, and what is no part of one."""

    recordings: tuple[Source, ...]
    skipped: tuple[Skipped, ...]


def find_recordings(
    sources: Sequence[Path], *, subject_from: SubjectSource | None = None
) -> list[Source]:
    """Return the recordings that files and folders hold; see `survey_sources`."""
    return list(survey_sources(sources, subject_from=subject_from).recordings)


def survey_sources(sources: Sequence[Path], *, subject_from: SubjectSource | None = None) -> Survey:
    """Find every recording in files and folders, without reading their signals.

    Folders are searched to the bottom, in natural order (``rec_2`` before ``rec_10``); links
    are followed but names stay as given. A header and its signal files are one recording, and
    one that is given twice is found once. A ``manifest.csv`` names subjects for the files of
    its folder; files that it does not list are found, too.

    Raises:
        UserError: A file is missing or of no supported format, a folder holds no recording or
            cannot be opened, or a manifest is damaged or names a file that is not there.
    """
    if not sources:
        raise UserError("SRC", "no file or folder is given", "Give a recording or a folder of them")
    found: dict[str, Source] = {}
    skipped: dict[str, Skipped] = {}
    for given in (Path(source) for source in sources):
        if given.is_dir():
            survey = _survey_folder(given)
            if not survey.recordings:
                raise _no_recordings(given, survey.skipped)
        else:
            survey = Survey((_explicit_file(given),), ())
        for source in survey.recordings:
            found.setdefault(_identity(source.path), _with_subject(source, subject_from))
        for entry in survey.skipped:
            skipped.setdefault(_identity(entry.path), entry)
    return Survey(tuple(found.values()), tuple(skipped.values()))


def resolve_subject(
    recording: Recording, source: Source, subject_from: SubjectSource | None = None
) -> str:
    """Return who was measured.

    In this order: the manifest, what ``--subject-from`` says, the file's own header, the name
    of the folder that the file is in, as given.
    """
    named = _with_subject(source, subject_from).subject
    return named or recording.subject or _folder_name(source.path)


def natural_key(path: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Return a sort key by which ``rec_2`` comes before ``rec_10``."""
    return tuple(
        tuple(
            (0, int(token), "") if token.isdecimal() else (1, 0, token.casefold())
            for token in re.split(r"(\d+)", part)
            if token
        )
        for part in path.parts
    )


def _with_subject(source: Source, subject_from: SubjectSource | None) -> Source:
    if source.subject or subject_from not in ("folder", "file"):
        return source
    name = _folder_name(source.path) if subject_from == "folder" else source.path.stem
    return Source(source.path, name, source.session, source.label, source.kind)


def _folder_name(path: Path) -> str:
    return Path(os.path.abspath(path)).parent.name  # noqa: PTH100 - resolve() would follow links


def _identity(path: Path) -> str:
    return os.path.normcase(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def _explicit_file(path: Path) -> Source:
    """Return the source of a file that was given by its own name."""
    if not path.exists():
        if path.suffix.lower() not in (".hea", ".dat", ".mat") and Path(f"{path}.hea").is_file():
            return _explicit_file(Path(f"{path}.hea"))
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        fix = did_you_mean(path.name, siblings) if siblings else "Check the name"
        raise UserError(path, "there is no such file", fix)
    if _belongs_to_header(path):
        path = path.with_suffix(".hea")
    kind, reason = kind_of(path)
    if kind is None:
        raise UserError(path, f"is no ECG file that can be read ({reason})", name_formats())
    listed = _read_manifest(path.parent / MANIFEST) if (path.parent / MANIFEST).is_file() else {}
    return _as_source(path, kind, listed)


def _survey_folder(folder: Path) -> Survey:
    files = sorted(_walk(folder), key=natural_key)
    manifests = [path for path in files if path.name.lower() == MANIFEST]
    listed: dict[str, Source] = {}
    for path in manifests:
        rows = _read_manifest(path)
        _check_manifest(path, rows, files)
        listed = {**rows, **listed}
    owned = _owned_by_headers(files)
    recordings: list[Source] = []
    skipped: list[Skipped] = []
    for path in files:
        if path in manifests or _identity(path) in owned or _belongs_to_header(path):
            continue
        if path.suffix.lower().lstrip(".") in ANNOTATORS and path.with_suffix(".hea").is_file():
            continue
        kind, reason = kind_of(path)
        if kind is None:
            skipped.append(Skipped(path, reason))
        else:
            recordings.append(_as_source(path, kind, listed))
    return Survey(tuple(recordings), tuple(skipped))


def _walk(folder: Path) -> Iterable[Path]:
    """Yield the files below a folder, hidden ones left out; links are followed, but no circle."""

    def refuse(error: OSError) -> None:
        raise UserError(
            error.filename or folder,
            f"cannot be opened ({error.strerror})",
            "Ask for permission to read it, or leave it out",
        )

    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        here = Path(root)
        above = {os.path.realpath(parent) for parent in (here, *here.absolute().parents)}
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(here / name) not in above
        ]
        yield from (here / name for name in names if not name.startswith("."))


def _belongs_to_header(path: Path) -> bool:
    """Tell whether a file is a WFDB signal file beside a header of its name."""
    return path.suffix.lower() in (".dat", ".mat") and path.with_suffix(".hea").is_file()


def _owned_by_headers(files: list[Path]) -> set[str]:
    """Return the signal files and segments that a header in the same list names."""
    owned: set[str] = set()
    for path in files:
        if path.suffix.lower() != ".hea":
            continue
        try:
            header = read_header(path)
        except (UserError, OSError):
            continue
        for name in header.signal_files:
            owned.add(_identity(path.parent / name))
        for name in header.segments:
            owned.add(_identity(path.parent / f"{name}.hea"))
    return owned


def _as_source(
    path: Path, kind: Literal["recording", "beats"], listed: dict[str, Source]
) -> Source:
    for candidate in (
        path,
        path.with_suffix(".dat"),
        path.with_suffix(".mat"),
        path.with_suffix(""),
    ):
        row = listed.get(_identity(candidate))
        if row is not None and (candidate == path or path.suffix.lower() == ".hea"):
            return Source(path, row.subject, row.session, row.label, kind)
    return Source(path, kind=kind)


def _read_manifest(path: Path) -> dict[str, Source]:
    """Return file -> subject, session and label of a manifest's rows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            path, f"cannot be read ({error})", "Save it as UTF-8 text that you may read"
        ) from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    columns = [str(name).strip().lower() for name in reader.fieldnames or ()]
    missing = [name for name in MANIFEST_COLUMNS[:2] if name not in columns]
    if missing:
        raise UserError(
            path,
            f"has no column {' and '.join(missing)}",
            "Begin it with the line path,subject,session,label; the last two may be left out",
        )
    reader.fieldnames = columns
    rows: dict[str, Source] = {}
    for number, row in enumerate(reader, start=2):
        cells = {name: (row.get(name) or "").strip() for name in MANIFEST_COLUMNS}
        if not any(cells.values()):
            continue
        if not cells["path"]:
            raise UserError(path, f"line {number} names no file", "Fill in its path")
        target = path.parent / cells["path"].replace("\\", "/")
        if _identity(target) in rows:
            raise UserError(
                path, f"line {number} names {cells['path']} a second time", "Keep one of the lines"
            )
        rows[_identity(target)] = Source(
            target, cells["subject"] or None, cells["session"] or None, cells["label"] or None
        )
    return rows


def _check_manifest(path: Path, rows: dict[str, Source], files: list[Path]) -> None:
    for row in rows.values():
        if row.path.is_dir():
            raise UserError(path, f"names the folder {row.path.name}", "Name each file in it")
        if not row.path.exists() and not Path(f"{row.path}.hea").is_file():
            name = os.path.relpath(row.path, path.parent)
            below = [str(os.path.relpath(file, path.parent)) for file in files if file != path]
            raise UserError(path, f"names {name}, which is not there", did_you_mean(name, below))


def _no_recordings(folder: Path, skipped: tuple[Skipped, ...]) -> UserError:
    if not skipped:
        return UserError(folder, "is an empty folder", "Give a folder with ECG recordings in it")
    first = skipped[0]
    return UserError(
        folder,
        f"holds no ECG recording ({len(skipped)} other files, such as {first.path.name}: "
        f"{first.reason})",
        name_formats(),
    )

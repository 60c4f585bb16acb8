"""Uploaded files, folders and zips -> files on disk in the folders they came in."""

from __future__ import annotations

import os
import re
import shutil
import uuid
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

import streamlit as st

from core.beat_set import BEATS_FORMATS
from core.errors import UserError
from pages.parts.workspace import folder_name, workspace

UPLOADS, PROBE = "uploads", "probe"
LOOSE = "unnamed"
"""Folder of files that came without one."""
STAGE_KEY = "staged_upload"
LARGEST_ZIP_BYTES = 4 * 1024**3
"""What a zip may hold unpacked."""
MOST_ZIP_FILES = 50_000
MOST_QUESTIONS = 24
"""Files with colliding names that the page asks about; beyond, a folder or zip is less work."""
COPY_BYTES = 1024 * 1024


class Uploaded(Protocol):
    """What `streamlit.file_uploader` gives."""

    name: str
    size: int

    def getvalue(self) -> bytes:
        """Return the content."""


@dataclass(frozen=True)
class Incoming:
    """One file of an upload.

    Attributes:
        path: Where it was, relative to what was uploaded; without a folder if it was loose.
        size: In bytes.
        open: Opens its content for reading.
    """

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]

    @property
    def loose(self) -> bool:
        """Whether it came without a folder."""
        return len(self.path.parts) == 1


def gather(files: Sequence[Uploaded]) -> list[Incoming]:
    """Return the files of an upload, those within zips among them.

    Raises:
        UserError: A zip is damaged, protected by a password, too large, or names files outside
            itself.
    """
    found: list[Incoming] = []
    for file in files:
        path = _inside(file.name)
        if path.suffix.lower() == ".zip":
            found += _members(file)
        elif not _hidden(path):
            found.append(Incoming(path, file.size, _opener(file)))
    return found


def _opener(file: Uploaded) -> Callable[[], IO[bytes]]:
    import io

    return lambda: io.BytesIO(file.getvalue())


def _members(file: Uploaded) -> list[Incoming]:
    opener = _opener(file)
    try:
        archive = zipfile.ZipFile(opener())
    except (zipfile.BadZipFile, OSError):
        raise UserError(file.name, "is no readable zip", "Zip the folder again") from None
    entries = [e for e in archive.infolist() if not e.is_dir() and not _hidden(_inside(e.filename))]
    if any(e.flag_bits & 0x1 for e in entries):
        raise UserError(file.name, "is protected by a password", "Zip the folder without one")
    if len(entries) > MOST_ZIP_FILES or sum(e.file_size for e in entries) > LARGEST_ZIP_BYTES:
        raise UserError(
            file.name,
            f"holds more than {LARGEST_ZIP_BYTES / 1024**3:.0f} GB or {MOST_ZIP_FILES} files",
            "Use python -m core prepare on this machine",
        )
    top = PurePosixPath(PurePosixPath(file.name).stem)
    return [
        Incoming(_inside(f"{top / e.filename}"), e.file_size, lambda e=e: archive.open(e))  # type: ignore[misc]
        for e in entries
    ]


def _inside(name: str) -> PurePosixPath:
    """Return a name as a relative path; refuse one that leads out of its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part not in (".", "")]
    if path.is_absolute() or ".." in parts or not parts or ":" in parts[0]:
        raise UserError(name, "names a file outside its folder", "Rename it")
    return PurePosixPath(*parts)


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def colliding(files: Sequence[Incoming]) -> list[int]:
    """Return the numbers of files about which the page must ask whose they are.

    These are the files whose path is there twice, and those that share its stem: which header
    belongs to which signal cannot be known.
    """
    seen = Counter(str(f.path).casefold() for f in files)
    stems = {
        str(f.path.with_suffix("")).casefold() for f in files if seen[str(f.path).casefold()] > 1
    }
    return [i for i, f in enumerate(files) if str(f.path.with_suffix("")).casefold() in stems]


def settle(files: Sequence[Incoming], persons: dict[int, str]) -> list[Incoming]:
    """Return the files, those in `persons` moved into a folder of the person's name.

    Raises:
        UserError: A person is not named, or two files of one name are given to one person.
    """
    settled = list(files)
    for i, person in persons.items():
        if not person.strip():
            raise UserError(files[i].path, "comes more than once", "Say whose each of them is")
        folder = PurePosixPath(folder_name(person))
        settled[i] = replace(files[i], path=files[i].path.parent / folder / files[i].path.name)
    again = [str(settled[i].path) for i in colliding(settled)]
    if again:
        raise UserError(
            PurePosixPath(again[0]).name,
            f"is given to {PurePosixPath(again[0]).parent.name} twice",
            "Give each of them to another person",
        )
    return settled


def store(files: Sequence[Incoming], *, loose_folder: str) -> Path:
    """Write an upload into a new folder of this session; return it.

    Args:
        files: What was uploaded, without collisions.
        loose_folder: Name of the folder for files that came without one.

    Raises:
        UserError: There are no files, or they cannot be written.
    """
    if not files:
        raise UserError("Upload", "holds no file", "Choose recordings, a folder of them, or a zip")
    folder = session_folder() / uuid.uuid4().hex[:8]
    try:
        for file in files:
            target = folder / (PurePosixPath(loose_folder) / file.path if file.loose else file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open() as source, target.open("wb") as sink:
                while block := source.read(COPY_BYTES):
                    sink.write(block)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        words = getattr(error, "strerror", None) or error
        raise UserError(
            file.path, f"cannot be stored ({words})", "Upload it again, not zipped"
        ) from None
    return folder


def stage(files: Sequence[Incoming], version: object) -> Path | None:
    """Store an upload once, so that it can be looked at; return its folder, None if it is empty.

    An upload of another version takes the place of the one before.

    Args:
        files: What was uploaded, without collisions.
        version: What differs wherever the files do.

    Raises:
        UserError: They cannot be written.
    """
    known: tuple[object, Path] | None = st.session_state.get(STAGE_KEY)
    if known is not None and known[0] == version and known[1].is_dir():
        return known[1]
    unstage()
    if not files:
        return None
    folder = store(files, loose_folder=LOOSE)
    st.session_state[STAGE_KEY] = (version, folder)
    return folder


def unstage(*, keep: bool = False) -> None:
    """Forget what was staged; its files go, too, unless a job needs them."""
    known = st.session_state.pop(STAGE_KEY, None)
    if known is not None and not keep:
        shutil.rmtree(known[1], ignore_errors=True)


def without_folder(message: str) -> str:
    """Return a message with uploaded files named as the user knows them."""
    folder = re.escape(f"{workspace()}{os.sep}{UPLOADS}{os.sep}") + rf"\w+{os.sep}\w+"
    message = re.sub(rf"{folder}{os.sep}(?:(?:{PROBE}|{LOOSE}){os.sep})?", "", message)
    return re.sub(folder, "Upload", message)


def session_folder() -> Path:
    """Return the folder of this session's uploads."""
    name = st.session_state.setdefault("uploads_id", uuid.uuid4().hex)
    return workspace() / UPLOADS / str(name)


def store_probe(files: Sequence[Uploaded]) -> Path:
    """Store the files of one recording, or of beats, and return the one to read.

    Raises:
        UserError: They hold no recording, or several.
    """
    from core.readers import find_recordings

    incoming = gather(files)
    if colliding(incoming):
        raise UserError("Upload", "holds two files of one name", "Choose one recording at a time")
    folder = store(incoming, loose_folder=PROBE)
    beats = [f.path for f in incoming if f.path.suffix.lower() in BEATS_FORMATS]
    if len(incoming) == 1 and beats:
        return folder / (PROBE if incoming[0].loose else "") / beats[0]
    found = find_recordings([folder])
    if len(found) > 1:
        raise UserError(
            "Upload", f"holds {len(found)} recordings", "Choose one recording at a time"
        )
    return found[0].path

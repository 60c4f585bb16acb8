"""The workspace folder -> the studies in it, and the demo study on first start."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core import jobs
from core.errors import UserError
from core.study import STUDY_FILE, Study
from core.workflow import DEMO_NAME

PROJECT = Path(__file__).resolve().parents[2]
WORKSPACE_VARIABLE = "CARDIOTWIN_WORKSPACE"
SHIPPED_DEMO = PROJECT / "assets" / "demo_study"
DEMO = "demo"
UPLOADS_KEPT_S = 7 * 24 * 3600.0
"""Uploaded files are a person's data: those older than this are deleted at the next start."""

_demo_lock = threading.Lock()


@dataclass(frozen=True)
class StudyEntry:
    """A folder that holds a study, or that is to hold one."""

    folder: Path
    title: str
    prepared: bool
    simulated: bool


def workspace() -> Path:
    """Return the folder of studies and uploads: ``CARDIOTWIN_WORKSPACE``, else ``./workspace``."""
    return Path(os.environ.get(WORKSPACE_VARIABLE) or PROJECT / "workspace").absolute()


def studies_folder() -> Path:
    """Return the folder of studies."""
    return workspace() / "studies"


def list_studies() -> list[StudyEntry]:
    """Return the studies, prepared or on their way, in order of their names."""
    folder = studies_folder()
    if not folder.is_dir():
        return []
    found = [
        path
        for path in sorted(folder.iterdir(), key=lambda p: p.name.casefold())
        if path.is_dir()
        and not path.name.startswith(".")
        and ((path / STUDY_FILE).is_file() or (path / "runs").is_dir())
    ]
    return [_entry(path, _version(path / STUDY_FILE) or _newest_job(path)) for path in found]


def _newest_job(folder: Path) -> int:
    """Return what changes with each job of a folder; a job is there once it is described."""
    return max(map(_version, folder.glob("runs/*/job.json")), default=0)


def _version(path: Path) -> int:
    """Return what changes whenever a file or folder is written to; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=512)
def _entry(folder: Path, version: int) -> StudyEntry:
    """Return what a folder holds; read again only when its ``study.json`` has changed."""
    try:
        info = Study.open(folder).info
    except UserError:
        title = _asked_title(folder)
        return StudyEntry(folder, title, prepared=False, simulated=folder.name == DEMO)
    return StudyEntry(
        folder, info.name, prepared=True, simulated=info.simulated or folder.name == DEMO
    )


def _asked_title(folder: Path) -> str:
    """Return what a study on its way will be called: its name must not change when it is ready."""
    if folder.name == DEMO:
        return DEMO_NAME
    names = [job.arguments.get("name") for job in jobs.list_jobs(folder) if job.verb == "prepare"]
    return next((str(name) for name in names if name), folder.name)


def labels(entries: Sequence[StudyEntry]) -> dict[str, str]:
    """Return folder name -> title; studies of one title also bear the name of their folder."""
    titles = {entry.folder.name: _title(entry) for entry in entries}
    times = Counter(titles.values())
    return {
        name: title if times[title] == 1 else f"{title} \u00b7 {name}"
        for name, title in titles.items()
    }


def _title(entry: StudyEntry) -> str:
    if entry.simulated and "simulated" not in entry.title.casefold():
        return f"{entry.title} (simulated)"
    return entry.title


def folder_name(title: str) -> str:
    """Return a folder's name for a study's title: letters, digits, ``-`` and ``_``.

    Raises:
        UserError: Nothing is left of it.
    """
    name = re.sub(r"[^\w-]+", "-", title.strip(), flags=re.UNICODE).strip("-_")[:60]
    if not name:
        raise UserError("Name", f"{title!r} has no letter or digit", "Give the study a name")
    return name


def new_study_folder(title: str) -> Path:
    """Return the folder for a new study of this title.

    Raises:
        UserError: A study of this name is there already, or it is the demo's.
    """
    folder = studies_folder() / folder_name(title)
    if folder.name == DEMO or (folder / STUDY_FILE).exists():
        raise UserError("Name", f"{folder.name!r} is taken", "Choose another name")
    return folder


def free_title() -> str:
    """Return a title that no study has yet."""
    taken = {entry.folder.name for entry in list_studies()}
    number = 1
    while f"study-{number}" in taken:
        number += 1
    return f"study-{number}"


def start() -> None:
    """Make the workspace; on the very first start, begin the demo study. Old uploads go."""
    first = not studies_folder().is_dir()
    try:
        studies_folder().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            workspace(),
            f"cannot be written ({error.strerror})",
            f"Set {WORKSPACE_VARIABLE} to a folder that you may write to",
        ) from None
    _forget_old_uploads(workspace() / "uploads")
    if first:
        start_demo()


def start_demo() -> None:
    """Begin the demo study, if it is not there: copy the shipped one, else prepare it by a job."""
    folder = studies_folder() / DEMO
    with _demo_lock:
        if (folder / STUDY_FILE).is_file():
            return
        if SHIPPED_DEMO.is_dir():
            temporary = folder.with_name(f".{DEMO}.new")
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.copytree(SHIPPED_DEMO, temporary)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        elif not any(job.active for job in jobs.list_jobs(folder)):
            jobs.submit(folder, DEMO, {"study": str(folder)}, workspace=workspace())


def go_on_with_demo() -> None:
    """Train the demo study with preset quick once it is prepared, if nobody ever did."""
    folder = studies_folder() / DEMO
    with _demo_lock:
        if not (folder / STUDY_FILE).is_file() or (folder / "models").exists():
            return
        verbs = {job.verb for job in jobs.list_jobs(folder)}
        if DEMO in verbs and "train" not in verbs:
            arguments = {"study": str(folder), "preset": "quick"}
            jobs.submit(folder, "train", arguments, workspace=workspace())


def _forget_old_uploads(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        # Another session may be doing the same.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > UPLOADS_KEPT_S:
                shutil.rmtree(path, ignore_errors=True)

"""Study: the folder that holds recordings, beats, models and figures."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from core.beat_set import BeatSet
from core.errors import UserError, did_you_mean
from core.options import PrepareOptions, SignalKind
from core.partitions import PARTITIONS
from core.recording import FloatArray, IntArray

STUDY_VERSION = 1
"""Version of the study folder's layout; a folder of a newer version is refused."""

STUDY_FILE = "study.json"
RAW, CLEAN = 0, 1


class StudyInfo(BaseModel):
    """What ``study.json`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    name: str
    fingerprint: str
    options: PrepareOptions
    leads: tuple[str, ...]
    unit: str
    sampling_rate: float
    before_s: float
    simulated: bool = False
    sources: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    versions: dict[str, str] = {}


class Study:
    """A prepared study, opened for reading; see the design for the folder's layout."""

    def __init__(self, folder: Path, info: StudyInfo) -> None:
        self.folder = folder
        self.info = info

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open the study in `folder`.

        Raises:
            UserError: There is no study, it is damaged, or a newer CardioTwin wrote it.
        """
        folder = Path(folder)
        path = folder / STUDY_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = int(content["version"])
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                folder, "holds no study", "Make one with: python -m core prepare SRC --study DIR"
            ) from None
        except OSError as error:
            raise UserError(
                path, f"cannot be read ({error.strerror})", "Check its rights"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise UserError(path, "is damaged", "Prepare the study again in a new folder") from None
        if version > STUDY_VERSION:
            raise UserError(
                path,
                f"is of a newer CardioTwin (layout {version}, this one knows {STUDY_VERSION})",
                "Update CardioTwin, or prepare the study again in a new folder",
            )
        try:
            return cls(folder, StudyInfo(**content))
        except ValidationError:
            raise UserError(path, "is damaged", "Prepare the study again in a new folder") from None

    @cached_property
    def recordings(self) -> pd.DataFrame:
        """A row a recording, also for those that were refused."""
        return self._table("recordings.parquet")

    @cached_property
    def beat_table(self) -> pd.DataFrame:
        """A row a beat, also for those that were rejected."""
        return self._table("beats.parquet")

    @cached_property
    def features(self) -> pd.DataFrame:
        """A row a beat: the features that a lone beat has."""
        return self._table("features.parquet")

    def _table(self, name: str) -> pd.DataFrame:
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(self.folder / name) as file:
                table: pd.DataFrame = file.read().to_pandas()
                return table
        except (OSError, ValueError):
            raise UserError(
                self.folder / name, "is missing or damaged", "Prepare the study again"
            ) from None

    @property
    def subjects(self) -> list[str]:
        """Names of the subjects who have a beat that was kept."""
        kept = self.beat_table.loc[self.beat_table["rejected"] == "", "subject"]
        return list(dict.fromkeys(kept))

    @property
    def sampling_rate(self) -> float:
        """Rate of all signals in the study, in Hz."""
        return self.info.sampling_rate

    def signals(self, recording: str) -> FloatArray:
        """Return the (2, n_samples, n_leads) raw and clean signal of a recording, memory-mapped."""
        rows = self.recordings.index[self.recordings["recording"] == recording]
        if not len(rows):
            raise UserError(
                recording,
                "is not in the study",
                did_you_mean(recording, self.recordings["recording"]),
            )
        path = self.folder / "signals" / f"{rows[0]:05d}.npy"
        if not path.is_file() and self.recordings.loc[rows[0], "usable"]:
            raise UserError(recording, "is a table of ready beats without a signal", "Use smoothed")
        try:
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError):
            raise UserError(path, "is missing or damaged", "Prepare the study again") from None

    def beats(
        self,
        partition: str = "all",
        *,
        signal: SignalKind = "smoothed",
        rejected: bool = False,
        subject: str | None = None,
    ) -> BeatSet:
        """Return beats of one partition, in order of recording and time.

        Args:
            partition: ``train``, ``validation``, ``test`` or ``all``.
            signal: ``smoothed`` (what models learn), ``clean`` or ``raw``.
            rejected: Whether beats that were rejected are among them.
            subject: Whose beats only, read without those of the others; everybody's by default.

        Raises:
            UserError: Another partition or kind, or the study's files are damaged.
        """
        if partition not in (*PARTITIONS, "all"):
            raise UserError(
                "--partition",
                f"{partition!r} is not a part",
                did_you_mean(partition, (*PARTITIONS, "all")),
            )
        if signal not in get_args(SignalKind):
            fix = did_you_mean(signal, get_args(SignalKind))
            raise UserError("--signal", f"{signal!r} is no kind of signal", fix)
        table = self.beat_table
        keep = np.ones(len(table), dtype=bool)
        if partition != "all":
            keep &= (table["partition"] == partition).to_numpy()
        if not rejected:
            keep &= (table["rejected"] == "").to_numpy()
        if subject is not None:
            keep &= (table["subject"] == subject).to_numpy()
        rows = np.flatnonzero(keep)
        chosen = table.iloc[rows]
        if signal == "smoothed":
            values = self._beat_signals()[rows]
        else:
            values = self._cut(chosen, RAW if signal == "raw" else CLEAN)
        columns = {
            name: chosen[name].to_numpy()
            for name in (
                "subject",
                "session",
                "record",
                "label",
                "rr_before",
                "rr_after",
                "r_sample",
            )
        }
        return BeatSet.build(
            values,
            sampling_rate=self.sampling_rate,
            before_s=self.info.before_s,
            leads=self.info.leads,
            recording=chosen["recording_name"].to_numpy(),
            **columns,
        )

    def smoothed(self, rows: IntArray) -> FloatArray:
        """Return the smoothed beats (n, n_samples, n_leads) of some rows of the table of beats."""
        return np.asarray(self._beat_signals()[rows])

    def _beat_signals(self) -> FloatArray:
        path = self.folder / "beats.npy"
        try:
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError):
            raise UserError(path, "is missing or damaged", "Prepare the study again") from None

    def _cut(self, chosen: pd.DataFrame, kind: int) -> FloatArray:
        """Cut beats out of the raw or clean signals; edges are padded with the last value."""
        if self.info.options.window != "fixed":
            raise UserError(
                "--signal",
                "raw and clean beats are cut by the fixed window only",
                "Use --signal smoothed",
            )
        n_samples = self._beat_signals().shape[1]
        before = round(self.info.before_s * self.sampling_rate)
        offsets = np.arange(n_samples) - before
        parts: list[FloatArray] = []
        for name, rows in chosen.groupby("recording_name", sort=False):
            signal = self.signals(str(name))[kind]
            index = rows["r_sample"].to_numpy()[:, None] + offsets
            parts.append(np.asarray(signal[np.clip(index, 0, len(signal) - 1)]))
        if not parts:
            return np.empty((0, n_samples, len(self.info.leads)), np.float32)
        return np.concatenate(parts)

    def model_folder(self, name: str) -> Path:
        """Return where a model is kept, whether it is there or not."""
        return self.folder / "models" / name

    def has_model(self, name: str) -> bool:
        """Return whether a model was trained."""
        return (self.model_folder(name) / "card.json").is_file()

    def card(self, name: str) -> dict[str, Any]:
        """Return the card of a trained model.

        Raises:
            UserError: It was not trained.
        """
        if not self.has_model(name):
            raise UserError(
                self.folder,
                f"has no trained {name}",
                f"Train it with: python -m core train {self.folder} --models {name}",
            )
        return read_json(self.model_folder(name) / "card.json")

    def model_recipes(self) -> dict[str, Any]:
        """Return what each trained model was made of; equal recipes give equal models."""
        folder = self.folder / "models"
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        return {n: self.card(n).get("recipe") for n in names if n[0] != "." and self.has_model(n)}

    def figures(self) -> dict[str, Any] | None:
        """Return what `workflow.evaluate` found last.

        None if it has not run, or if a model was trained anew since.
        """
        path = self.folder / "reports" / "figures.json"
        if not path.is_file():
            return None
        found: dict[str, Any] = read_json(path)
        return found if found.get("models") == self.model_recipes() else None


def read_json(path: Path) -> Any:
    """Return the content of a JSON file; a `UserError` if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(path, "is missing or damaged", "Run the step that makes it again") from None


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def replace_folder(new: Path, final: Path) -> None:
    """Put a finished folder in its final place, where an older one may stand."""
    final.parent.mkdir(parents=True, exist_ok=True)
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    new.rename(final)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the right to write to a study folder, which is made if it is not there.

    Raises:
        UserError: Another process holds it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(
            folder, f"cannot be written ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                folder, "another command is writing to this study", "Wait for it, or cancel it"
            ) from None
        yield

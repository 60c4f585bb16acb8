"""BeatSet: beats of one shape with what is known of each, and the files that hold them."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserError
from core.provenance import NOTICE, Provenance
from core.recording import FloatArray, IntArray, StrArray
from core.whole_file import written_whole

BoolArray = npt.NDArray[np.bool_]

_TEXT_COLUMNS = ("subject", "session", "record", "label", "recording")
BEATS_FORMATS = (".npz", ".csv")


@dataclass(frozen=True, eq=False, kw_only=True)
class BeatSet:
    """Beats of one shape, in order of time within each recording.

    Attributes:
        signals: (n, n_samples, n_leads) float32, millivolts (unless the file's unit is unknown).
        sampling_rate: Samples per second, in Hz.
        before_s: Seconds from the first sample of a beat to its R peak.
        leads: Name of each lead.
        subject: (n,) who was measured, or who the beat was drawn for.
        session: (n,) day or visit; empty if unknown.
        record: (n,) name of the recording within its subject; empty if synthetic.
        recording: (n,) unique name of the recording within the study; empty if synthetic.
        label: (n,) what a classifier may predict besides the subject; empty if there is none.
        rr_before: (n,) float32 seconds since the R peak before; NaN if unknown.
        rr_after: (n,) float32 seconds to the next R peak; NaN if unknown.
        r_sample: (n,) sample number of the R peak in its recording; -1 if synthetic.
        synthetic: (n,) bool, true for generated beats.
    """

    signals: FloatArray
    sampling_rate: float
    before_s: float
    leads: tuple[str, ...]
    subject: StrArray
    session: StrArray
    record: StrArray
    recording: StrArray
    label: StrArray
    rr_before: FloatArray
    rr_after: FloatArray
    r_sample: IntArray
    synthetic: BoolArray

    def __post_init__(self) -> None:
        n = len(self.signals)
        for name in per_beat_fields():
            if len(getattr(self, name)) != n:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {n} beats")

    def __len__(self) -> int:
        return len(self.signals)

    def take(self, index: Any) -> BeatSet:
        """Return the beats that a mask, slice or array of positions selects."""
        chosen: dict[str, Any] = {n: getattr(self, n)[index] for n in per_beat_fields()}
        return replace(self, **chosen)

    @classmethod
    def build(
        cls,
        signals: FloatArray,
        *,
        sampling_rate: float,
        before_s: float,
        leads: tuple[str, ...],
        **columns: Any,
    ) -> BeatSet:
        """Return a set whose columns that are not given are empty, NaN or -1."""
        n = len(signals)
        values: dict[str, Any] = {name: np.full(n, "", dtype="<U1") for name in _TEXT_COLUMNS}
        values["rr_before"] = np.full(n, np.nan, dtype=np.float32)
        values["rr_after"] = np.full(n, np.nan, dtype=np.float32)
        values["r_sample"] = np.full(n, -1, dtype=np.int64)
        values["synthetic"] = np.zeros(n, dtype=np.bool_)
        for name, column in columns.items():
            if name not in values:
                raise TypeError(f"{name} is not a column of BeatSet")
            array = np.asarray(column, dtype=np.str_ if name in _TEXT_COLUMNS else None)
            values[name] = np.full(n, array) if array.ndim == 0 else array
        return cls(
            signals=np.ascontiguousarray(signals, dtype=np.float32),
            sampling_rate=float(sampling_rate),
            before_s=float(before_s),
            leads=tuple(leads),
            **values,
        )


def per_beat_fields() -> tuple[str, ...]:
    """Return the names of the fields that have one entry a beat."""
    whole = ("sampling_rate", "before_s", "leads")
    return tuple(f.name for f in fields(BeatSet) if f.name not in whole)


def concatenate(sets: list[BeatSet]) -> BeatSet:
    """Return the beats of several sets of one shape, one after the other."""
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in sets]) for name in per_beat_fields()
    }
    return replace(sets[0], **joined)


def write_beats(beats: BeatSet, path: Path, *, provenance: Provenance | None = None) -> None:
    """Write beats as ``.npz`` (arrays, nothing pickled) or ``.csv`` (a row a beat and lead).

    The file appears whole or not at all. Where they are synthetic, `provenance` tells what made
    them: further arrays or columns of that name, such as ``model``, ``seed`` and ``study``.

    Raises:
        UserError: Another ending, or the folder cannot be written.
    """
    if path.suffix.lower() not in BEATS_FORMATS:
        raise UserError(path, "is not a name for a file of beats", "End it in .npz or .csv")
    with written_whole(path) as temporary:
        if path.suffix.lower() == ".npz":
            arrays: dict[str, Any] = {name: getattr(beats, name) for name in per_beat_fields()}
            arrays |= {name: np.asarray(text) for name, text in _told(provenance).items()}
            with temporary.open("wb") as file:
                np.savez_compressed(
                    file,
                    sampling_rate=np.float64(beats.sampling_rate),
                    before_s=np.float64(beats.before_s),
                    leads=np.asarray(beats.leads, dtype=np.str_),
                    **arrays,
                )
        else:
            _as_table(beats, provenance).to_csv(temporary, index=False, float_format="%.7g")


def is_exported(path: Path) -> bool:
    """Tell whether a file's beginning is that of a file that `write_beats` writes."""
    try:
        if path.suffix.lower() == ".npz":
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                return "signals" in file.files
        with path.open(encoding="utf-8", errors="replace") as text:
            return text.readline().startswith("beat,lead,")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return False


def read_beats(path: Path) -> BeatSet:
    """Read a file that `write_beats` wrote, or an ``.npz`` with the documented keys.

    Raises:
        UserError: The file is missing, damaged, or is not a file of beats.
    """
    try:
        return _read_npz(path) if path.suffix.lower() == ".npz" else _read_csv(path)
    except FileNotFoundError:
        raise UserError(path, "there is no such file", "Check the name") from None
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        zipfile.BadZipFile,
        pd.errors.ParserError,
    ) as error:
        raise UserError(
            path,
            f"is not a readable file of beats ({error})",
            "Write it again with export or generate",
        ) from None


def _read_npz(path: Path) -> BeatSet:
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        missing = {"signals", "sampling_rate"} - set(file.files)
        if missing:
            raise ValueError(f"no array {', '.join(sorted(missing))}")
        signals = np.asarray(file["signals"], dtype=np.float32)
        if signals.ndim != 3 or not signals.size:
            raise ValueError(f"signals has shape {signals.shape}, not (beats, samples, leads)")
        rate = float(np.asarray(file["sampling_rate"]).reshape(-1)[0])
        if not (np.isfinite(rate) and rate > 0):
            raise ValueError(f"a sampling rate of {rate:g} Hz")
        columns = {name: file[name] for name in per_beat_fields()[1:] if name in file.files}
        leads = tuple(str(x) for x in file["leads"]) if "leads" in file.files else ()
        return BeatSet.build(
            signals,
            sampling_rate=rate,
            before_s=float(file["before_s"]) if "before_s" in file.files else 0.25,
            leads=leads or tuple(f"lead {i + 1}" for i in range(signals.shape[2])),
            **columns,
        )


def _told(provenance: Provenance | None) -> dict[str, str]:
    """Return name -> text of what made the beats; a name as an array or a column has it."""
    if provenance is None:
        return {}
    facts = {name.lower().replace(" ", "_"): text for name, text in provenance.facts().items()}
    return {**facts, "notice": NOTICE}


def _as_table(beats: BeatSet, provenance: Provenance | None) -> pd.DataFrame:
    n, n_samples, n_leads = beats.signals.shape
    head = pd.DataFrame({name: getattr(beats, name) for name in per_beat_fields()[1:]})
    head = head.loc[head.index.repeat(n_leads)].reset_index(drop=True)
    head.insert(0, "beat", np.repeat(np.arange(n), n_leads))
    head.insert(1, "lead", np.tile(np.asarray(beats.leads), n))
    head.insert(2, "sampling_rate", beats.sampling_rate)
    head.insert(3, "before_s", beats.before_s)
    values = beats.signals.transpose(0, 2, 1).reshape(n * n_leads, n_samples)
    samples = pd.DataFrame(values, columns=[f"mv_{i}" for i in range(n_samples)])
    told = pd.DataFrame(_told(provenance), index=head.index)
    return pd.concat([head, told, samples], axis=1)


def _read_csv(path: Path) -> BeatSet:
    text: dict[Any, type[str]] = dict.fromkeys(("lead", *_TEXT_COLUMNS), str)
    table = pd.read_csv(
        path, dtype=text, keep_default_na=False, na_values={"rr_before": [""], "rr_after": [""]}
    )
    samples = [c for c in table.columns if c.startswith("mv_")]
    if not samples or not {"beat", "lead", "sampling_rate"} <= set(table.columns):
        raise ValueError("no columns beat, lead, sampling_rate, mv_0, ...")
    leads = tuple(dict.fromkeys(table["lead"]))
    if len(table) % len(leads):
        raise ValueError("a beat lacks a lead")
    values = table[samples].to_numpy(np.float32)
    signals = values.reshape(-1, len(leads), len(samples)).transpose(0, 2, 1)
    first = table.iloc[:: len(leads)]
    columns = {
        name: first[name].to_numpy() for name in per_beat_fields()[1:] if name in first.columns
    }
    return BeatSet.build(
        signals,
        sampling_rate=float(first["sampling_rate"].iloc[0]),
        before_s=float(first["before_s"].iloc[0]),
        leads=leads,
        **columns,
    )

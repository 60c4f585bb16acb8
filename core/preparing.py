"""Preparing: from ECG files to a study folder, one recording at a time, so that it can go on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core import __version__
from core.beat_set import is_exported
from core.errors import UserError
from core.labels import aami_classes
from core.options import PrepareOptions
from core.partitions import RANDOM_SPLIT_SEED, SPLIT_WORDS, assign_partitions, gap_for
from core.progress import Progress, Report, silent
from core.readers import (
    Skipped,
    Source,
    read_beat_table,
    read_recording,
    resolve_subject,
    survey_sources,
)
from core.recording import (
    MILLIVOLT,
    SIMULATED,
    SYNTHETIC,
    UNKNOWN_UNIT,
    FloatArray,
    Recording,
)
from core.study import STUDY_FILE, STUDY_VERSION, Study, StudyInfo, write_json, writing

STAGING = ".prepare"
MIN_LABELLED_SHARE = 0.5
"""Share of a recording's beats that annotations must name before they label its beats."""


@dataclass(frozen=True)
class _Plan:
    sources: tuple[Source, ...]
    digests: tuple[str, ...]
    fingerprint: str


def prepare(
    sources: Sequence[str | Path],
    study: str | Path,
    *,
    options: PrepareOptions | None = None,
    name: str | None = None,
    report: Report = silent,
) -> Study:
    """Read, clean, find beats, store: make a study of the recordings in `sources`.

    Run again with the same sources and options it finishes what was begun, and changes
    nothing that is complete. A file that cannot be used becomes a row with its reason.

    Args:
        sources: Files and folders of any supported format.
        study: Folder of the study; made if it is not there.
        options: What to do; the defaults of `PrepareOptions` if None.
        name: What the study is called; the folder's name if None.
        report: Told about each recording.

    Raises:
        UserError: Nothing in `sources` can be used, the folder cannot be written, or it holds
            another study.
    """
    options = options or PrepareOptions()
    folder = Path(study)
    survey = survey_sources([Path(s) for s in sources], subject_from=options.subject_from)
    plan = _make_plan(survey.recordings, options)
    _check_folder(folder)
    with writing(folder):
        if (folder / STUDY_FILE).is_file():
            existing = Study.open(folder)
            if existing.info.fingerprint == plan.fingerprint:
                return existing
            raise UserError(
                folder,
                "holds a study of other recordings or options",
                "Choose a new folder, or delete this one",
            )
        staging = _open_staging(folder, plan)
        rows: list[dict[str, Any]] = []
        parts: list[_Part] = []
        for i, source in enumerate(plan.sources):
            report(Progress("prepare", i, len(plan.sources)))
            row, part = _stage_one(staging, folder, i, source, plan.digests[i], options)
            rows.append(row)
            parts.append(part)
        report(Progress("prepare", len(plan.sources), len(plan.sources)))
        _assemble(folder, rows, parts, plan, options, name or folder.resolve().name, survey.skipped)
        shutil.rmtree(staging, ignore_errors=True)
    return Study.open(folder)


def _make_plan(sources: Sequence[Source], options: PrepareOptions) -> _Plan:
    folders = {source.path.parent for source in sources if source.path.suffix.lower() == ".hea"}
    listings = {folder: sorted(os.listdir(folder)) for folder in folders}  # noqa: PTH208
    digests = tuple(_digest(source, listings.get(source.path.parent, [])) for source in sources)
    content = {
        "layout": STUDY_VERSION,
        "options": options.model_dump(mode="json"),
        "sources": [
            [s.path.name, s.path.parent.name, s.subject, s.session, s.label, digest]
            for s, digest in zip(sources, digests, strict=True)
        ],
    }
    text = json.dumps(content, sort_keys=True).encode()
    return _Plan(tuple(sources), digests, hashlib.sha256(text).hexdigest())


def _digest(source: Source, beside: list[str]) -> str:
    """Return the SHA-256 of a source's files; empty if one cannot be read.

    A header's signals and annotations bear its name, and lie beside it.
    """
    files = [str(source.path)]
    if source.path.suffix.lower() == ".hea":
        folder = str(source.path.parent)
        files = [f"{folder}/{name}" for name in beside if name.startswith(f"{source.path.stem}.")]
    total = hashlib.sha256()
    for name in files:
        try:
            with open(name, "rb") as file:  # noqa: PTH123 - three times as fast on many files
                total.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            return ""
    return total.hexdigest()


def _check_folder(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(folder, "is a file", "Name a folder for the study")
    ours = {STUDY_FILE, STAGING, "signals", "runs", ".lock"}
    names = {path.name for path in folder.iterdir()}
    if names and not names & {STUDY_FILE, STAGING} and not names <= ours:
        raise UserError(
            folder, "holds other files and no study", "Name a new or an empty folder for the study"
        )


def _open_staging(folder: Path, plan: _Plan) -> Path:
    """Return the folder of finished parts, emptied if they belong to another plan."""
    staging = folder / STAGING
    marker = staging / "plan.json"
    if staging.exists():
        try:
            same = json.loads(marker.read_text())["fingerprint"] == plan.fingerprint
        except (OSError, ValueError, KeyError):
            same = False
        if not same:
            shutil.rmtree(staging)
    try:
        staging.mkdir(exist_ok=True)
        (folder / "signals").mkdir(exist_ok=True)
        write_json(marker, {"fingerprint": plan.fingerprint})
    except OSError as error:
        raise UserError(
            folder, f"cannot be written ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    return staging


def _save_array(path: Path, array: FloatArray) -> None:
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    temporary.replace(path)


_Part = dict[str, np.ndarray]
"""Beats of one recording: ``signals``, the columns of the beat table, and ``features``."""


def _save_part(path: Path, row: dict[str, Any], part: _Part) -> None:
    """Write a recording's row and beats; the file appears whole or not at all.

    A line of JSON, then the arrays one after the other: one small file a recording, written in a
    tenth of the time of an ``.npz``.
    """
    shapes = {name: [array.dtype.str, array.shape] for name, array in part.items()}
    temporary = f"{path}.new"
    with open(temporary, "wb") as file:  # noqa: PTH123 - called once a recording
        file.write(json.dumps({"row": row, "arrays": shapes}, allow_nan=False).encode() + b"\n")
        for array in part.values():
            file.write(array.tobytes())
    os.replace(temporary, path)  # noqa: PTH105


def _load_part(path: Path) -> tuple[dict[str, Any], _Part]:
    """Read what `_save_part` wrote."""
    with path.open("rb") as file:
        head = json.loads(file.readline())
        part: _Part = {}
        for name, (kind, shape) in head["arrays"].items():
            dtype = np.dtype(kind)
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            part[name] = np.frombuffer(file.read(size), dtype).reshape(shape)
    return head["row"], part


def _stage_one(
    staging: Path,
    folder: Path,
    number: int,
    source: Source,
    digest: str,
    options: PrepareOptions,
) -> tuple[dict[str, Any], _Part]:
    """Return the row and the beats of one recording; both are in `staging` when it returns."""
    done = staging / f"{number:05d}.part"
    if done.is_file():
        return _load_part(done)
    row: dict[str, Any] = {
        "path": str(source.path),
        "sha256": digest,
        "subject": source.subject or "",
        "session": source.session or "",
        "record": source.path.stem,
        "label": source.label or "",
        "rejected": "",
        "remarks": [],
    }
    part: _Part = {}
    try:
        try:
            if source.kind == "beats":
                part = _take_table(source, row, options)
            else:
                recording = read_recording(source.path, source_rate=options.source_rate)
                signal = folder / "signals" / f"{number:05d}.npy"
                part = _take_recording(source, recording, row, options, signal)
        except UserError as error:
            row["rejected"] = str(error)
            row["error"] = [error.where, error.fault, error.fix]
        _save_part(done, row, part)
    except OSError as error:
        raise UserError(
            folder, f"cannot be written ({error.strerror})", "Free some space, then run it again"
        ) from None
    return row, part


def _take_recording(
    source: Source,
    recording: Recording,
    row: dict[str, Any],
    options: PrepareOptions,
    signal: Path,
) -> _Part:
    """Return the beats of a recording; fills its row, and writes its signals to `signal`."""
    from core.preprocessing.pipeline import preprocess

    row["subject"] = resolve_subject(recording, source, options.subject_from)
    row["session"] = _iso_date(source.session or recording.session)
    row["record"] = recording.record
    row["label"] = source.label or recording.label
    row["rate"] = options.sampling_rate
    row["source_rate"] = float(recording.sampling_rate)
    row["duration_s"] = float(recording.duration)
    row["remarks"] = list(recording.remarks)
    result = preprocess(recording, options, leads=options.leads)
    row["remarks"] += [r for r in result.remarks if r not in row["remarks"]]
    row["leads"] = list(result.leads)
    row["unit"] = result.unit
    row["rejected"] = result.recording_rejected
    row["quality"] = _number(result.recording_quality)
    row["signal_sha256"] = hashlib.sha256(
        np.ascontiguousarray(recording.signal).tobytes() + str(recording.sampling_rate).encode()
    ).hexdigest()
    row["features"] = {k: _number(v) for k, v in result.recording_features.items()}
    classes = aami_classes(result.symbol)
    labelled = len(classes) > 0 and np.mean(classes != "") >= MIN_LABELLED_SHARE
    label = classes if labelled and not row["label"] else np.full(len(classes), row["label"])
    row["feature_names"] = list(result.feature_names)
    row["beat_samples"] = int(result.beats.shape[1])
    with signal.open("wb") as file:
        np.save(file, np.stack([result.raw, result.clean]), allow_pickle=False)
    return {
        "signals": result.beats,
        "r_sample": result.r_peaks,
        "rr_before": result.rr_before,
        "rr_after": result.rr_after,
        "quality": result.quality,
        "rejected": result.rejected,
        "symbol": result.symbol,
        "label": np.asarray(label, dtype=np.str_),
        "features": result.feature_values,
    }


def _take_table(source: Source, row: dict[str, Any], options: PrepareOptions) -> _Part:
    """Take a table of ready beats as they are, brought to the study's rate."""
    from core.preprocessing.features import beat_features
    from core.preprocessing.filters import resample

    if is_exported(source.path):
        raise UserError(
            source.path,
            "holds beats that CardioTwin exported or generated, not what was measured",
            "Prepare the recordings that they came from",
        )
    signals, labels, rate = read_beat_table(source.path, source_rate=options.source_rate)
    if rate != options.sampling_rate:
        signals = np.stack([resample(beat, rate, options.sampling_rate) for beat in signals])
    n = len(signals)
    row |= {
        "subject": source.subject or "unknown",
        "leads": ["unknown"],
        "unit": UNKNOWN_UNIT,
        "source_rate": float(rate),
        "duration_s": float(n),
        "quality": 1.0,
        "features": {},
        "ready_beats": True,
        "signal_sha256": hashlib.sha256(signals.tobytes()).hexdigest(),
        "remarks": [
            "Ready beats, no recordings: no subject is named, so no honest split by subject exists"
        ],
    }
    features = beat_features(signals, options.sampling_rate)
    row["feature_names"] = list(features.columns)
    row["beat_samples"] = int(signals.shape[1])
    return {
        "signals": signals.astype(np.float32),
        "r_sample": np.full(n, -1),
        "rr_before": np.full(n, np.nan, np.float32),
        "rr_after": np.full(n, np.nan, np.float32),
        "quality": np.ones(n, np.float32),
        "rejected": np.full(n, ""),
        "symbol": np.full(n, ""),
        "label": labels,
        "features": features.to_numpy(np.float32),
    }


def _iso_date(session: str) -> str:
    """Return a day written as ``dd.mm.yyyy`` so that later days sort behind; others as they are."""
    found = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", session.strip())
    return f"{found[3]}-{int(found[2]):02d}-{int(found[1]):02d}" if found else session


def _number(value: Any) -> float | None:
    value = float(value)
    return value if np.isfinite(value) else None


def _assemble(
    folder: Path,
    rows: list[dict[str, Any]],
    parts: list[_Part],
    plan: _Plan,
    options: PrepareOptions,
    name: str,
    skipped: Sequence[Skipped],
) -> None:
    """Write the study's tables from the finished parts; ``study.json`` last."""
    _reject_duplicates(rows)
    leads, n_samples = _common_shape(rows)
    names = _unique_names(rows)
    table, signals, features = _gather(rows, parts, names, leads, n_samples)
    recordings = _recording_table(rows, names, table)
    if not recordings["usable"].any():
        shutil.rmtree(folder / STAGING, ignore_errors=True)
        shutil.rmtree(folder / "signals", ignore_errors=True)
        raise _nothing_usable(rows)
    table["partition"] = assign_partitions(
        table, recordings, split=options.split, gap_s=gap_for(options.before_s + options.after_s)
    ).astype(str)
    recordings["partition"] = _partition_of_recordings(table, len(recordings))
    _save_array(folder / "beats.npy", signals)
    _save_parquet(features, folder / "features.parquet")
    _save_parquet(table, folder / "beats.parquet")
    _save_parquet(recordings, folder / "recordings.parquet")
    units = {row["unit"] for row in rows if not row["rejected"]}
    info = StudyInfo(
        version=STUDY_VERSION,
        name=name,
        fingerprint=plan.fingerprint,
        options=options,
        leads=tuple(leads),
        unit=MILLIVOLT if units == {MILLIVOLT} else UNKNOWN_UNIT,
        sampling_rate=options.sampling_rate,
        before_s=0.0 if options.window == "r_to_r" else options.before_s,
        simulated=any({SIMULATED, SYNTHETIC} & set(row["remarks"]) for row in rows),
        sources=tuple(dict.fromkeys(str(s.path.parent) for s in plan.sources)),
        remarks=_study_remarks(rows, skipped, recordings, options),
        versions={"cardiotwin": __version__, "numpy": np.__version__, "scipy": version("scipy")},
    )
    write_json(folder / STUDY_FILE, info.model_dump(mode="json"))


def _nothing_usable(rows: list[dict[str, Any]]) -> UserError:
    """Return the error of a study without a beat: the first recording's own, where it has one."""
    first = rows[0]
    if "error" in first:
        return UserError(*first["error"])
    reason = str(first["rejected"] or "no heartbeat was found").rstrip(".")
    return UserError(
        first["path"],
        f"cannot be used: {reason[0].lower()}{reason[1:]}",
        "Give a recording with at least one clear heartbeat",
    )


def _reject_duplicates(rows: list[dict[str, Any]]) -> None:
    """Keep the first of several identical signals: two copies could stand on both sides."""
    seen: dict[str, str] = {}
    for row in rows:
        digest = row.get("signal_sha256")
        if row["rejected"] or digest is None:
            continue
        if digest in seen:
            row["rejected"] = f"the same signal as {seen[digest]}"
        else:
            seen[digest] = row["path"]


def _common_shape(rows: list[dict[str, Any]]) -> tuple[list[str], int]:
    """Return the study's leads and the samples of a beat; recordings of another shape leave."""
    leads: list[str] = []
    n_samples = 0
    lengths: list[int] = []
    for row in rows:
        if row["rejected"] or not row.get("leads"):
            continue
        if not leads:
            leads = row["leads"]
        if len(row["leads"]) != len(leads) or (len(leads) > 1 and row["leads"] != leads):
            row["rejected"] = (
                f"has the leads {', '.join(row['leads'])}, the study has {', '.join(leads)}"
            )
            continue
        if row["leads"] != leads:
            row["remarks"].append(f"Lead {row['leads'][0]}, where the study's first is {leads[0]}")
        lengths.append(row["beat_samples"])
    if lengths:
        n_samples = max(lengths)
    return leads, n_samples


def _unique_names(rows: list[dict[str, Any]]) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for row in rows:
        base = f"{row['subject']}/{row['record']}"
        unique, copy = base, 2
        while unique in taken:
            unique, copy = f"{base} ({copy})", copy + 1
        taken.add(unique)
        names.append(unique)
    return names


def _gather(
    rows: list[dict[str, Any]],
    parts: list[_Part],
    names: list[str],
    leads: list[str],
    n_samples: int,
) -> tuple[pd.DataFrame, FloatArray, pd.DataFrame]:
    """Return beat table, beats and features of all recordings that were read, in order."""
    kept: list[_Part] = []
    owners: list[int] = []
    for number, (row, part) in enumerate(zip(rows, parts, strict=True)):
        if not part or len(row["leads"]) != len(leads):
            continue
        rejected = part["rejected"]
        if row["rejected"]:
            rejected = np.where(rejected == "", "recording", rejected)
        signals = _to_length(part["signals"], n_samples)
        kept.append(part | {"rejected": rejected, "signals": signals})
        owners.append(number)
    if not kept:
        nothing = pd.DataFrame({"recording": [], "rejected": []})
        return nothing, np.empty(0, np.float32), pd.DataFrame()
    counts = [len(part["signals"]) for part in kept]
    joined = {key: np.concatenate([part[key] for part in kept]) for key in kept[0]}
    owner = np.repeat(owners, counts)

    def of_recording(key: str) -> np.ndarray:
        return np.asarray([row[key] for row in rows], dtype=object)[owner]

    rate = np.asarray([row.get("rate", np.nan) for row in rows])[owner]
    # Rows of a table have no time; a fixed shuffle keeps a table sorted by label from being cut.
    shuffled = np.random.default_rng(RANDOM_SPLIT_SEED)
    within = np.concatenate([shuffled.permutation(n) for n in counts])
    table = pd.DataFrame(
        {
            "recording": owner,
            "recording_name": np.asarray(names, dtype=object)[owner],
            **{key: of_recording(key) for key in ("subject", "session", "record")},
            "label": joined["label"].astype(object),
            "symbol": joined["symbol"].astype(object),
            "r_sample": joined["r_sample"].astype(np.int64),
            "time_s": np.where(np.isfinite(rate), joined["r_sample"] / rate, within),
            **{key: joined[key] for key in ("rr_before", "rr_after", "quality")},
            "rejected": joined["rejected"].astype(object),
        }
    )
    features = pd.DataFrame(joined["features"], columns=rows[owners[0]]["feature_names"])
    return table, joined["signals"], features


def _to_length(beats: FloatArray, n_samples: int) -> FloatArray:
    """Pad beats at the end with their last sample, or truncate them."""
    missing = n_samples - beats.shape[1]
    if missing > 0:
        return np.pad(beats, ((0, 0), (0, missing), (0, 0)), mode="edge")
    return beats[:, :n_samples]


def _recording_table(
    rows: list[dict[str, Any]], names: list[str], beats: pd.DataFrame
) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "recording": names,
            **{
                key: [row.get(key) or "" for row in rows]
                for key in ("subject", "session", "record", "label", "path", "sha256", "rejected")
            },
            "leads": [", ".join(row.get("leads") or []) for row in rows],
            "unit": [row.get("unit") or "" for row in rows],
            "source_rate": [row.get("source_rate") for row in rows],
            "duration_s": [row.get("duration_s") or 0.0 for row in rows],
            "quality": [row.get("quality") for row in rows],
            "remarks": ["; ".join(row["remarks"]) for row in rows],
        }
    )
    for column in ("source_rate", "quality"):
        table[column] = pd.to_numeric(table[column]).astype(float)
    found = beats.groupby("recording").size()
    kept = beats[beats["rejected"] == ""].groupby("recording").size()
    table["n_beats"] = found.reindex(table.index, fill_value=0).astype(int)
    table["n_rejected"] = table["n_beats"] - kept.reindex(table.index, fill_value=0).astype(int)
    table["usable"] = table["n_beats"] > table["n_rejected"]
    no_reason = ~table["usable"] & (table["rejected"] == "")
    table.loc[no_reason, "rejected"] = "no beat of it could be kept"
    features = pd.DataFrame([row.get("features") or {} for row in rows], index=table.index)
    new = [name for name in features.columns if name not in table.columns]
    return pd.concat([table, features[new].astype(float)], axis=1)


def _partition_of_recordings(beats: pd.DataFrame, n_recordings: int) -> list[str]:
    names = [""] * n_recordings
    side = beats["partition"].where(beats["partition"] == "test", "train")
    for number, own in side[beats["partition"] != "gap"].groupby(beats["recording"]):
        sides = set(own)
        names[int(str(number))] = sides.pop() if len(sides) == 1 else "train and test"
    return names


def _save_parquet(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".part")
    table.to_parquet(temporary, index=False)
    temporary.replace(path)


def _study_remarks(
    rows: list[dict[str, Any]],
    skipped: Sequence[Skipped],
    recordings: pd.DataFrame,
    options: PrepareOptions,
) -> tuple[str, ...]:
    remarks = [SPLIT_WORDS[options.split]]
    refused = [row for row in rows if row["rejected"]]
    if refused:
        remarks.append(
            f"{len(refused)} of {len(rows)} recordings are not used; each has its reason"
        )
    synthetic = sum(SYNTHETIC in row["remarks"] for row in rows)
    if synthetic:
        remarks.append(f"{synthetic} of {len(rows)} recordings say that they are synthetic")
    if skipped:
        remarks.append(f"{len(skipped)} files are no ECG and were passed over")
    if any(row.get("ready_beats") for row in rows):
        remarks.append("ready beats name no subject: no honest split by subject exists")
    if options.split in ("session", "record") and "test" not in set(recordings["partition"]):
        remarks.append(f"no subject has a second {options.split}: nothing is in the test part")
    if options.split == "subject" and "test" not in set(recordings["partition"]):
        remarks.append(
            "each subject alone has some label, or there is but one: nothing is in the test part"
        )
    return tuple(remarks)

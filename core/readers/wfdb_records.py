"""WFDB: a header (.hea), its signal files (.dat, .mat) and its marks (.atr, ...) -> Recording."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.readers.common import build_recording, check_rate
from core.recording import SIMULATED, SYNTHETIC, Annotations, Recording

ANNOTATORS = ("atr", "qrs", "ecg", "ari", "man", "pu", "xqrs", "wqrs", "gqrs", "sqrs", "q1c", "ann")
"""Endings of files of marks; the first of them that is there is read."""
DEFAULT_RATE_HZ = 250.0
"""What the WFDB format says of a header without a rate (``header(5)``)."""
_ERASED = -1
"""The value that bytes of ones make, in every lead at once: blocks lost by a disk or a transfer."""
_MIN_ERASED_SAMPLES = 256
"""A block of 512 bytes, the smallest that gets lost, of one lead of 16 bits."""

_GAIN = re.compile(r"(?P<gain>\d+\.?\d*(e\+?\d+)?)(\((?P<baseline>-?\d+)\))?(/(?P<unit>\S+))?")
_INVALID_16 = -(2**15)
"""The 16-bit word that stands for a missing sample."""
_COMMENT = re.compile(r"^\s*#\s*([^:#]{1,40}?)\s*:\s*(.*?)\s*$", re.MULTILINE)
_DATE_KEYS = ("ecg date", "recording date", "date")
_SUBJECT_KEYS = ("subject", "subject id", "subject_id", "patient id", "patient_id")
_LABEL_KEYS = ("dx", "diagnosis", "label", "reason for admission")


@dataclass(frozen=True)
class Header:
    """What a header says of files, read without the library.

    Attributes:
        signal_files: Names of the signal files, each once, in order.
        segments: Names of the records that a multi-segment header joins.
        rate: Samples per second, in Hz; None if the header leaves it out.
        framed: Whether a signal has several samples a frame.
        gains: The gain field of each signal line; empty where it is left out.
        comments: Lower-case key -> text of the ``# key: text`` lines.
        lines: The fields of the record line and of each signal line.
    """

    signal_files: tuple[str, ...]
    segments: tuple[str, ...]
    rate: float | None
    framed: bool
    gains: tuple[str, ...]
    comments: dict[str, str]
    lines: tuple[tuple[str, ...], ...]


def read_header(path: Path) -> Header:
    """Parse the parts of a header that name files, the rate, the gains and the comments.

    Raises:
        UserError: The header is not one.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    body = [line.split() for line in lines if line and not line.startswith("#")]
    if not body or len(body[0]) < 2 or "\x00" in text:
        raise _damaged(path, "has no record line")
    name, _, n_segments = body[0][0].partition("/")
    rate_text = body[0][2].split("/")[0].split("(")[0] if len(body[0]) > 2 else None
    try:
        rate = float(rate_text) if rate_text is not None else None
        n_rows = int(n_segments or body[0][1])
    except ValueError:
        raise _damaged(path, "has a damaged record line") from None
    rows = body[1 : n_rows + 1]
    if len(rows) < n_rows or not name:
        raise _damaged(path, f"announces {n_rows} signals but describes {len(rows)}")
    names = tuple(dict.fromkeys(row[0] for row in rows))
    if any("/" in each or "\\" in each for each in names):
        raise _damaged(path, "names a file in another folder")
    comments = {key.lower(): value for key, value in _COMMENT.findall(text)}
    return Header(
        signal_files=() if n_segments else tuple(n for n in names if n != "~"),
        segments=tuple(n for n in names if n != "~") if n_segments else (),
        rate=rate,
        framed=any(re.search(r"x(?!1\b)\d", row[1]) for row in rows if not n_segments and row[1:]),
        gains=() if n_segments else tuple(row[2] if len(row) > 2 else "" for row in rows),
        comments=comments,
        lines=tuple(tuple(line.split(maxsplit=8)) for line in lines if line and line[0] != "#"),
    )


def read_wfdb(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read a WFDB record, given its header or a signal file of the header's name.

    The library is ``wfdb``. A signal with several samples a frame is averaged to the header's
    rate, as the library does. Where a signal does not fit the checksum in its header, blocks of
    erased bytes become gaps. A signal without a gain is uncalibrated by the WFDB format: its
    ADC values are kept and its unit is unknown.

    Raises:
        UserError: The header or a signal file is missing, shorter than announced or damaged.
    """
    header_path = path if path.suffix.lower() == ".hea" else path.with_suffix(".hea")
    if not header_path.is_file() and path != header_path and path.exists():
        raise UserError(
            path, f"its header {header_path.name} is not there", "Put the .hea file beside it"
        )
    header = read_header(header_path)
    rate = check_rate(header_path, header.rate, source_rate or DEFAULT_RATE_HZ)
    for name in header.signal_files:
        if not (header_path.parent / name).is_file():
            raise UserError(
                header_path, f"names {name}, which is not there", f"Put {name} beside it"
            )
    return _read(header_path, header, rate, source_rate)


def _read(path: Path, header: Header, rate: float, source_rate: float | None) -> Recording:
    try:
        record, signal, faults = _signal(path, header)
    except (UserError, OSError):
        raise
    except Exception as error:
        raise UserError(
            path,
            "does not fit its signal file, which may be cut short or damaged",
            f"Fetch {', '.join(header.signal_files or header.segments)} again",
        ) from error
    remarks = list(faults)
    units = list(record.units)
    uncalibrated = [i for i, gain in enumerate(header.gains) if _no_gain(gain)]
    for i in uncalibrated:
        signal[:, i] = np.round(signal[:, i] * record.adc_gain[i] + record.baseline[i])
        units[i] = ""
    if header.rate is None:
        source = "--source-rate" if source_rate else "the WFDB format's default"
        remarks.append(f"The header tells no sampling rate: {rate:g} Hz is {source}.")
    if uncalibrated:
        remarks.append("Leads without a gain in the header keep their ADC values.")
    if header.framed:
        remarks.append(f"Leads sampled faster than the header's rate are averaged to {rate:g} Hz.")
    if any(key.startswith("simulated") for key in header.comments):
        remarks.append(SIMULATED)
    if any(key.startswith("synthetic") for key in header.comments):
        remarks.append(SYNTHETIC)
    annotations, fault = _annotations(path, rate, len(signal))
    return build_recording(
        path,
        signal=signal,
        sampling_rate=rate,
        leads=[name or "" for name in record.sig_name],
        units=units,
        subject=_comment(header, _SUBJECT_KEYS),
        session=_session(header, record),
        label=_comment(header, _LABEL_KEYS),
        start=_start(record),
        annotations=annotations,
        remarks=[*remarks, *fault],
    )


def _signal(path: Path, header: Header) -> tuple[Any, npt.NDArray[np.float64], list[str]]:
    """Return the library's record, its signal in physical units, and what is wrong with it."""
    import wfdb

    name = str(path.with_suffix(""))
    if header.segments:
        record: Any = wfdb.rdrecord(name)
        return record, _not_none(path, record.p_signal), []
    if header.framed:
        # `wfdb` averages whole numbers, with those that stand for a gap among them.
        record = wfdb.rdrecord(name, smooth_frames=False)
        frames = zip(record.e_p_signal, record.samps_per_frame, strict=True)
        means = [np.asarray(lead).reshape(-1, n or 1).mean(axis=1) for lead, n in frames]
        return record, np.column_stack(means), []
    plain = _plain_record(path, header)
    if plain is not None:
        record, counts = plain
        signal = (counts - np.asarray(record.baseline)) / np.asarray(record.adc_gain)
        signal[counts == _INVALID_16] = np.nan
    else:
        record = wfdb.rdrecord(name, physical=False)
        counts = _not_none(path, record.d_signal)
        signal = record.dac()
    if any(record.skew) or _fits_checksums(counts, record.checksum):
        return record, signal, []
    lost = _long_runs((counts == _ERASED).all(axis=1), _MIN_ERASED_SAMPLES)
    if not lost.any():
        return record, signal, ["The signal does not fit its checksum: the file may be damaged."]
    signal[lost] = np.nan
    return record, signal, [f"The file is damaged: {np.count_nonzero(lost)} samples are a gap."]


def _plain_record(path: Path, header: Header) -> tuple[Any, npt.NDArray[np.int64]] | None:
    """Read the most common kind of record without the library, which takes ten times as long.

    That is: one signal file of 16-bit words (format 16), every lead with a gain, no start time, no
    skew, no offset; whatever differs is None, and is left to `wfdb`.
    """
    record_line, *rows = header.lines
    if len(header.signal_files) != 1 or len(record_line) != 4 or "/" in "".join(record_line):
        return None
    gains, baselines, units, names, sums = [], [], [], [], []
    for row in rows:
        match = _GAIN.fullmatch(row[2]) if len(row) == 9 and row[1] == "16" else None
        if match is None or float(match["gain"]) == 0:
            return None
        gains.append(float(match["gain"]))
        baselines.append(int(match["baseline"] or row[4]))
        units.append(match["unit"] or "mV")
        sums.append(int(row[6]))
        names.append(row[8])
    n_samples = int(record_line[3])
    counts = np.fromfile(path.parent / header.signal_files[0], dtype="<i2").astype(np.int64)
    if not rows or not n_samples or len(counts) != n_samples * len(rows):
        return None
    record = SimpleNamespace(
        adc_gain=gains,
        baseline=baselines,
        units=units,
        sig_name=names,
        checksum=sums,
        skew=[0] * len(rows),
        base_date=None,
        base_time=None,
    )
    return record, counts.reshape(n_samples, len(rows))


def _fits_checksums(counts: npt.NDArray[np.int64], checksums: list[int | None]) -> bool:
    """Tell whether each lead's sum is the header's, 16 bits of it; zero is told by no header."""
    sums = counts.sum(axis=0)
    told = zip(sums.tolist(), checksums, strict=True)
    return all(not checksum or (total - checksum) % 2**16 == 0 for total, checksum in told)


def _long_runs(mask: npt.NDArray[np.bool_], shortest: int) -> npt.NDArray[np.bool_]:
    """Return a mask with only its runs of true that are long enough."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2)
    kept = np.zeros_like(mask)
    for start, end in edges[np.diff(edges, axis=1)[:, 0] >= shortest]:
        kept[start:end] = True
    return kept


def _not_none(path: Path, signal: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if signal is None:
        raise UserError(path, "announces no signal", "Give the header of a record with signals")
    return signal


def _annotations(path: Path, rate: float, n_samples: int) -> tuple[Annotations | None, list[str]]:
    """Return the marks beside a header, if any, and a remark if they cannot be read."""
    stem = str(path.with_suffix(""))
    present = [name for name in ANNOTATORS if os.path.isfile(f"{stem}.{name}")]  # noqa: PTH113
    if not present:
        return None, []
    try:
        samples, symbols, notes = _marks(stem, present[0], rate)
    except Exception:
        return None, [f"The marks in {path.stem}.{present[0]} cannot be read and are left out."]
    inside = (samples >= 0) & (samples < n_samples)
    order = np.argsort(samples[inside], kind="stable")
    return Annotations(samples[inside][order], symbols[inside][order], notes[inside][order]), []


def _marks(
    name: str, annotator: str, rate: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """Return sample numbers at `rate`, codes and texts of an annotation file's marks.

    These are the steps of `wfdb.rdann` without its tables of labels and its second reading of
    the header, which take most of its time; it is called where a file defines codes of its own.
    """
    import wfdb
    from wfdb.io import annotation as wfdb_annotation

    pairs = np.fromfile(f"{name}.{annotator}", dtype=np.uint8)
    columns = wfdb_annotation.proc_ann_bytes(pairs[: len(pairs) // 2 * 2].reshape(-1, 2), None)
    definitions, empty = wfdb_annotation.get_special_inds(columns[0], columns[1], columns[5])
    own_rate, custom = wfdb_annotation.interpret_defintion_annotations(definitions, columns[5])
    if custom:
        marks = wfdb.rdann(name, annotator)
        samples, symbols, texts = marks.sample, marks.symbol, marks.aux_note
    else:
        samples, codes, *_, texts = wfdb_annotation.rm_empty_indices(empty, *columns)
        symbols = [_symbol_of_code()[int(code)] for code in codes]
    numbers = np.asarray(samples, dtype=np.int64)
    if own_rate and own_rate != rate:
        numbers = np.round(numbers * (rate / own_rate)).astype(np.int64)
    notes = [(text or "").rstrip("\x00") for text in texts]
    return numbers, np.asarray(symbols, dtype=np.str_), np.asarray(notes, dtype=np.str_)


@cache
def _symbol_of_code() -> dict[int, str]:
    from wfdb.io.annotation import ann_label_table

    return dict(zip(ann_label_table["label_store"], ann_label_table["symbol"], strict=True))


def _no_gain(field: str) -> bool:
    """Tell whether a gain field, such as ``200(0)/mV``, is left out or zero."""
    number = re.match(r"[-+.\deE]+", field)
    try:
        return number is None or float(number.group()) == 0
    except ValueError:
        return True


def _comment(header: Header, keys: tuple[str, ...]) -> str:
    return next((header.comments[key] for key in keys if header.comments.get(key)), "")


def _session(header: Header, record: Any) -> str:
    return record.base_date.isoformat() if record.base_date else _comment(header, _DATE_KEYS)


def _start(record: Any) -> datetime | None:
    if not record.base_date or not record.base_time:
        return None
    return datetime.combine(record.base_date, record.base_time)


def _damaged(path: Path, fault: str) -> UserError:
    return UserError(path, f"{fault}, so it is no WFDB header", "Fetch the .hea file again")

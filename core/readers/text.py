"""Columns of numbers in text (.csv, .tsv, .txt), OpenSignals included -> Recording."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.errors import UserError
from core.readers.common import build_recording, check_rate
from core.recording import SYNTHETIC, Annotations, Recording

_PEEKED_CHARS = 65_536
_HEADER_LINES = 100
"""No known kind of text has a longer head; more of it is prose."""
_GAPS = {"", "nan", "na", "n/a", "null", "-", "none"}
_COMMENT_MARKS = ("#", "%", "//")
_RATE_LINE = re.compile(
    r"(?:sampling|sample)[\s_]*(?:rate|frequency)[^:=]*[:=]+\s*([-+\d.eE]+)"
    r"|(?:^|[\s#%])fs\s*[:=]+\s*([-+\d.eE]+)",
    re.IGNORECASE,
)
_LABELS_LINE = re.compile(r"labels?\s*:?=\s*(.+)", re.IGNORECASE)
_UNIT = re.compile(r"^(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]\s*$")
_UNIT_SUFFIX = re.compile(r"^(.+?)_(mV|uV|µV|nV|V|ms|s)$")
_CLOCK = re.compile(r"^\s*(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)\s*$")
_TIME_NAMES = {"time", "t", "elapsed time", "seconds", "sec", "s", "timestamp", "ms", "time_s"}
_SEQUENCE_NAMES = {"nseq", "index", "sample", "samples", "sample #", "sample number", "n", ""}
_TIME_FACTORS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_R_PEAK_NAME = "r peak"
"""A column of zeros, and a one at each R peak: marks, no lead."""
_SUBJECT_LINE = re.compile(r"subject\s*:\s*(\S.*)", re.IGNORECASE)
_SYNTHETIC_LINE = re.compile(r"synthetic\s*:", re.IGNORECASE)
_SECONDS_BELOW = 0.05
"""A step of a time column without a unit is in seconds if it is that small: 20 Hz or more."""
_STEP_TOLERANCE = 0.5
"""Of a step: a sample further from its place in time belongs to another place."""
_MAX_GAP_FACTOR = 100
"""A time column may leave out this many times what it holds; more is damage."""


@dataclass
class _Head:
    """What stands above the numbers."""

    lines: int = 0
    delimiter: str = ","
    decimal: str = "."
    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    rate: float | None = None
    session: str = ""
    subject: str = ""
    synthetic: bool = False
    width: int = 0


def looks_like_signal(path: Path) -> bool:
    """Tell whether a file of text has rows of numbers, from its beginning."""
    try:
        return _read_head(path).width > 0
    except UserError:
        return False


def read_text(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read columns of numbers: comma, semicolon, tab or blanks between them, a lead a column.

    Known above the numbers: comment lines with a sampling rate and labels (OpenSignals, as
    plain text and as JSON), ``subject:``, ``synthetic:``, a line of names, with units in brackets,
    and a line of units. A column of time gives the rate; where it leaves out samples, the signal
    has a gap of NaN. A unit that is told nowhere is unknown. A column ``R peak`` of zeros and ones
    is annotations.

    Raises:
        UserError: There are no numbers, the time does not ascend, or the rate is told nowhere.
    """
    head = _read_head(path)
    if not head.width:
        raise UserError(path, "has no rows of numbers", "Store a lead a column, time down")
    table = _read_table(path, head)
    names = head.names if len(head.names) == table.shape[1] else [""] * table.shape[1]
    units = head.units if len(head.units) == table.shape[1] else [""] * table.shape[1]
    split = [_split_unit(name) for name in names]
    names = [name for name, _ in split]
    units = [own or unit for (_, own), unit in zip(split, units, strict=True)]
    remarks: list[str] = [SYNTHETIC] if head.synthetic else []
    time = _time_column(table, names)
    keep = [i for i in range(table.shape[1]) if i != time and not _is_sequence(names, i)]
    marks = [i for i in keep if names[i].lower() == _R_PEAK_NAME and len(keep) > 1]
    keep = [i for i in keep if i not in marks]
    rate = head.rate
    numbers = table
    if time is not None:
        told, rows = _rate_of_time(path, table[:, time], units[time] or _time_unit(names[time]))
        rate = rate or told
        if told is not None and rows[-1] + 1 > len(table):
            numbers = np.full((rows[-1] + 1, table.shape[1]), np.nan)
            numbers[rows] = table
            remarks.append("The time column leaves out samples: they are a gap.")
    return build_recording(
        path,
        signal=numbers[:, keep],
        sampling_rate=check_rate(path, rate, source_rate),
        leads=[names[i] for i in keep],
        units=[units[i] for i in keep],
        subject=head.subject,
        session=head.session,
        annotations=_marked(numbers[:, marks[0]]) if marks else None,
        remarks=remarks,
    )


def _read_head(path: Path) -> _Head:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        text = file.read(_PEEKED_CHARS)
    if "\x00" in text:
        raise UserError(path, "is not text", "Save it as text in UTF-8")
    lines = text.splitlines()
    if len(text) == _PEEKED_CHARS and len(lines) > 1:
        lines.pop()
    head = _Head()
    rows: list[tuple[int, str]] = []
    for number, line in enumerate(lines[:_HEADER_LINES]):
        if line.lstrip().startswith(_COMMENT_MARKS):
            _read_comment(head, line.lstrip(" #%/\t").strip())
        elif line.strip():
            rows.append((number, line))
    for position, (number, line) in enumerate(rows):
        head.delimiter, head.decimal = _separators(line)
        cells = _cells(line, head.delimiter)
        if _are_numbers(cells, head.decimal):
            head.lines, head.width = number, len(cells)
            above = [_cells(text, head.delimiter) for _, text in rows[:position]]
            above = [row for row in above if len(row) == len(cells)]
            if above:
                head.names = above[0]
                head.units = above[1] if len(above) > 1 else head.units
            break
    return head


def _read_comment(head: _Head, line: str) -> None:
    rate = _RATE_LINE.search(line)
    labels = _LABELS_LINE.match(line)
    subject = _SUBJECT_LINE.match(line)
    if _SYNTHETIC_LINE.match(line):
        head.synthetic = True
    elif subject:
        head.subject = subject.group(1)
    elif line.startswith("{"):
        _read_open_signals(head, line)
    elif rate:
        head.rate = float(rate.group(1) or rate.group(2))
    elif labels:
        head.names = [name for name in re.split(r"[,;\t]\s*", labels.group(1)) if name]


def _read_open_signals(head: _Head, line: str) -> None:
    """Take rate, columns and date from the JSON line of an OpenSignals file with one device."""
    try:
        devices = json.loads(line)
    except json.JSONDecodeError:
        return
    for device in devices.values() if isinstance(devices, dict) else ():
        if not isinstance(device, dict):
            continue
        if device.get("sampling rate") is not None:
            head.rate = float(device["sampling rate"])
        head.session = str(device.get("date", ""))
        columns = [str(name) for name in device.get("column", [])]
        sensors = dict(zip(device.get("label", []), device.get("sensor", []), strict=False))
        head.names = [str(sensors.get(name, name)) for name in columns]


def _separators(line: str) -> tuple[str, str]:
    """Return what stands between the columns of a line, and the mark of its decimals."""
    for delimiter in ("\t", ";"):
        if delimiter in line:
            return delimiter, "," if "," in line and "." not in line else "."
    return ("," if "," in line else " "), "."


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    return [cell.strip().strip("'\"").strip() for cell in cells]


def _are_numbers(cells: list[str], decimal: str) -> bool:
    """Tell whether a line is data: at least one number, and nothing but numbers, gaps, clocks."""
    filled = [cell for cell in cells if cell.lower() not in _GAPS]
    return bool(filled) and all(
        _CLOCK.match(cell) if position == 0 and ":" in cell else _is_number(cell, decimal)
        for position, cell in enumerate(filled)
    )


def _is_number(cell: str, decimal: str) -> bool:
    try:
        float(cell.replace(decimal, "."))
    except ValueError:
        return False
    return True


def _read_table(path: Path, head: _Head) -> npt.NDArray[np.float64]:
    """Return every row of numbers; a cell that is not a number is refused, an empty one a gap."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for _ in range(head.lines):
            file.readline()
        body = file.read()
    blank = head.delimiter == " "
    options: dict[str, Any] = {"sep": r"\s+"} if blank else {"sep": head.delimiter}
    try:
        table = pd.read_csv(
            io.StringIO(body),
            header=None,
            decimal=head.decimal,
            skipinitialspace=True,
            na_values=sorted(_GAPS),
            low_memory=False,
            skip_blank_lines=True,
            comment="#",
            quotechar="'" if "'" in body[:200] else '"',
            **options,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError):
        raise _not_numbers(path) from None
    if table.iloc[:, -1].isna().all() and len(head.names) != table.shape[1] > 1:
        table = table.iloc[:, :-1]  # Each line ends in a separator.
    columns = []
    for position, column in enumerate(table.columns):
        values = table[column]
        if values.dtype == object and position == 0:
            values = values.map(_seconds)
        try:
            columns.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
        except (ValueError, TypeError):
            raise _not_numbers(path) from None
    return np.column_stack(columns)


def _seconds(cell: object) -> object:
    """Return a clock time such as ``1:02.500`` in seconds; anything else as it is."""
    clock = _CLOCK.match(str(cell).strip("'\""))
    if clock is None:
        return cell
    hours, minutes, seconds = clock.groups()
    return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)


def _split_unit(name: str) -> tuple[str, str]:
    """Split ``I (mV)``, ``I [mV]`` and ``I_mV`` in a name and a unit."""
    found = _UNIT.match(name) or _UNIT_SUFFIX.match(name)
    return (found.group(1).strip(), found.group(2)) if found else (name, "")


def _time_unit(name: str) -> str:
    plain = name.strip().lower()
    return plain if plain in _TIME_FACTORS else ""


def _time_column(table: npt.NDArray[np.float64], names: list[str]) -> int | None:
    """Return the column that holds time, by its name or, in the first one, by its even steps."""
    for position, name in enumerate(names):
        if name.strip().lower() in _TIME_NAMES:
            return position
    if names[0] or table.shape[1] < 2 or len(table) < 3:
        return None
    steps = np.diff(table[:, 0])
    even = np.isfinite(steps).all() and steps.min() > 0 and np.ptp(steps) <= steps.min()
    return 0 if even else None


def _marked(column: npt.NDArray[np.float64]) -> Annotations:
    """Return an annotation of a normal beat at each sample that a column marks."""
    samples = np.flatnonzero(np.nan_to_num(column) > 0).astype(np.int64)
    return Annotations(samples, np.full(len(samples), "N"), np.full(len(samples), ""))


def _is_sequence(names: list[str], position: int) -> bool:
    """Tell whether a column counts samples or holds the digital lines of an OpenSignals file."""
    named = any(names)
    name = names[position].strip().lower()
    return named and (name in _SEQUENCE_NAMES or re.fullmatch(r"(di|[io]\d)", name) is not None)


def _rate_of_time(
    path: Path, time: npt.NDArray[np.float64], unit: str
) -> tuple[float | None, npt.NDArray[np.int64]]:
    """Return the rate that a time column tells, if it does, and each row's place in time."""
    rows = np.arange(len(time))
    if len(time) < 2:
        return None, rows
    steps = np.diff(time)
    if not np.isfinite(steps).all() or steps.min() <= 0:
        raise UserError(
            path, "has a time column that does not ascend", "Sort it by time, each moment once"
        )
    factor = _TIME_FACTORS.get(unit.lower()) if unit else None
    step = float(np.median(steps))
    if factor is None:
        if step > _SECONDS_BELOW:
            return None, rows
        factor = 1.0
    # Printed times are rounded; the whole run of them tells the step best.
    for _ in range(3):
        places = np.round((time - time[0]) / step)
        step = float((time[-1] - time[0]) / places[-1])
    off_grid = np.abs((time - time[0]) / step - places) > _STEP_TOLERANCE
    if off_grid.any() or np.diff(places).min() < 1 or places[-1] > _MAX_GAP_FACTOR * len(time):
        raise UserError(
            path, "has a time column of uneven steps", "Resample it to even steps before"
        )
    return _tidy(1 / (step * factor)), places.astype(np.int64)


def _tidy(rate: float) -> float:
    """Return the whole number that rounding in the file hides, if it is that near."""
    return float(round(rate)) if abs(rate - round(rate)) < 2e-3 * rate else rate


def _not_numbers(path: Path) -> UserError:
    return UserError(
        path, "has cells that are not numbers", "Leave a missing sample empty or write NaN"
    )

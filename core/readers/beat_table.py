"""A table with a beat a row, its label last -> beats, labels and their rate."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from core.beat_set import read_beats
from core.errors import UserError
from core.readers.common import check_rate
from core.recording import FloatArray, StrArray

MIN_BEAT_SAMPLES = 50
"""A table with fewer columns holds leads, one a column."""
MAX_BEAT_SAMPLES = 2000
"""Two seconds at 1000 Hz; a table with more columns holds a lead a row."""
PUBLIC_TABLE_RATES = {187: 125.0}
"""Samples a beat -> rate, in Hz, of the public heartbeat tables (Kachuee et al. 2018)."""

_PEEKED_LINES = 5
_PEEKED_CHARS = 1_000_000


def looks_like_beats(path: Path) -> bool:
    """Tell whether a file holds beats rather than a recording, from its beginning."""
    if path.suffix.lower() == ".npz":
        return _npz_holds_beats(path)
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        return False
    rows = _first_rows(path)
    if not rows:
        return False
    if {"beat", "lead", "sampling_rate", "mv_0"} <= set(rows[0]):
        return True
    body = [row for row in rows if all(_is_number(cell) for cell in row[:-1])]
    widths = {len(row) for row in body}
    is_beat = len(widths) == 1 and MIN_BEAT_SAMPLES < widths.pop() <= MAX_BEAT_SAMPLES + 1
    return is_beat and all(map(_ends_in_label, body))


def read_beat_table(
    path: str | Path, *, source_rate: float | None = None
) -> tuple[FloatArray, StrArray, float]:
    """Read a table of ready beats: comma- or tab-separated, a row a beat, its label last.

    The public heartbeat tables (187 samples at 125 Hz, scaled to 0 to 1, padded with zeros,
    no header, no subject) are such tables; so are files of beats that this product exports.
    Values are kept as they are, padding included.

    Returns:
        The beats (n, n_samples, n_leads) float32, their labels (n,), and the rate in Hz. Whole
        numbers as labels are written without decimals: ``"0"``.

    Raises:
        UserError: The file is missing, damaged, or does not tell its rate.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(path, "there is no such file", "Check the name")
    try:
        rows = _first_rows(path) if path.suffix.lower() != ".npz" else []
    except OSError as error:
        raise UserError(
            path, f"cannot be read ({error.strerror})", "Ask for permission to read it"
        ) from None
    if path.suffix.lower() == ".npz" or (rows and "mv_0" in rows[0]):
        beats = read_beats(path)
        labels = np.where(beats.label == "", beats.subject, beats.label).astype(np.str_)
        return beats.signals, labels, check_rate(path, beats.sampling_rate, source_rate)
    if not rows:
        raise UserError(path, "is no table of beats", "Give a beat a row, its label last")
    header = None if _is_number(rows[0][0]) else 0
    try:
        table = pd.read_csv(path, header=header, sep=_delimiter(path), low_memory=False)
        signals = table.iloc[:, :-1].to_numpy(np.float32)
    except (ValueError, OSError, pd.errors.ParserError):
        raise UserError(
            path, "has rows that are no beats", "Give a beat a row: numbers, its label last"
        ) from None
    n_samples = signals.shape[1]
    if not len(signals) or n_samples < MIN_BEAT_SAMPLES or not np.isfinite(signals).all():
        raise UserError(
            path,
            f"has {len(signals)} rows of {n_samples} numbers, some of them missing or too few",
            "Give a beat a row: numbers, its label last",
        )
    rate = PUBLIC_TABLE_RATES.get(n_samples) if source_rate is None else None
    return signals[:, :, None], _labels(table.iloc[:, -1]), check_rate(path, rate, source_rate)


def _labels(column: pd.Series) -> StrArray:
    if pd.api.types.is_numeric_dtype(column) and (column == column.round()).all():
        column = column.astype("int64")
    return column.astype(str).str.strip().to_numpy(dtype=np.str_)


def _npz_holds_beats(path: Path) -> bool:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return "signals" in file.files and file["signals"].ndim == 3
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def _first_rows(path: Path) -> list[list[str]]:
    """Return the cells of the first whole lines, or nothing if it is no table."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        text = file.read(_PEEKED_CHARS)
    lines = [line for line in text.splitlines()[:_PEEKED_LINES] if line.strip()]
    if not lines or "\x00" in text:
        return []
    try:
        rows = list(csv.reader(lines, delimiter=_most(lines[0])))
    except csv.Error:
        return []
    return [[cell.strip() for cell in row] for row in rows]


def _delimiter(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return _most(file.readline())


def _most(line: str) -> str:
    return max(",;\t", key=line.count)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _ends_in_label(row: list[str]) -> bool:
    """Tell whether the last cell is a class: a whole number or a word."""
    return float(row[-1]).is_integer() if _is_number(row[-1]) else bool(row[-1])

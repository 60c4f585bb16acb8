"""Columns of numbers in text: separators, names, units, time and gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.readers import read_recording

N = 400


def _write(tmp_path: Path, head: str, row: str, step: float = 0.004) -> Path:
    """Write N rows; in ``row``, ``{t}`` is the time and ``{v}`` the value i / 100."""
    path = tmp_path / "rec.csv"
    rows = [row.format(i=i, t=round(i * step, 6), v=i / 100) for i in range(N)]
    path.write_text("\n".join([*([head] if head else []), *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("head", "row", "step", "rate", "lead", "unit"),
    [
        ("time,II (mV)", "{t},{v}", 0.004, 250, "II", "mV"),
        ("Time (s)\tLead II [mV]", "{t}\t{v}", 0.004, 250, "II", "mV"),
        ("t;ecg_mV", "{t};{v}", 1 / 360, 360, "ecg", "mV"),
        ("ms,ECG II", "{t},{v}", 2, 500, "II", "unknown"),
        ("", "{t} {v}", 0.002, 500, "lead 1", "unknown"),
        ("", "  {t},   {v},", 0.004, 250, "lead 1", "unknown"),
        ("# fs = 500", "{v}", 0, 500, "lead 1", "unknown"),
        ("# Sampling rate: 200 Hz\nsample,MLII (mV)", "{i},{v}", 0, 200, "MLII", "mV"),
        ("time,II\ns,mV", "{t},{v}", 0.004, 250, "II", "mV"),
    ],
)
def test_rate_lead_and_unit_are_told(
    head: str, row: str, step: float, rate: float, lead: str, unit: str, tmp_path: Path
) -> None:
    recording = read_recording(_write(tmp_path, head, row, step))
    assert recording.sampling_rate == rate
    assert recording.leads == (lead,)
    assert recording.units == (unit,)
    np.testing.assert_allclose(recording.signal[:, 0], np.arange(N) / 100, rtol=1e-6)


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1e-3), ("µV", 1e-3), ("V", 1e3), ("nV", 1e-6)])
def test_voltages_become_millivolts(unit: str, factor: float, tmp_path: Path) -> None:
    recording = read_recording(_write(tmp_path, f"time,I [{unit}],ABP (mmHg)", "{t},{v},{v}"))
    assert recording.units == ("mV", "mmHg")
    np.testing.assert_allclose(recording.signal[:, 0], np.arange(N) / 100 * factor, rtol=1e-5)
    np.testing.assert_allclose(recording.signal[:, 1], np.arange(N) / 100, rtol=1e-5)


def test_a_step_of_unknown_unit_does_not_tell_a_rate(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,II", "{t},{v}", step=4)
    with pytest.raises(UserError, match="--source-rate"):
        read_recording(path)
    assert read_recording(path, source_rate=250).leads == ("II",)


def test_times_left_out_are_a_gap(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,II (mV)", "{t},{v}")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:101] + lines[151:]))
    recording = read_recording(path)
    assert recording.signal.shape == (N, 1)
    assert np.flatnonzero(np.isnan(recording.signal[:, 0])).tolist() == list(range(100, 150))
    np.testing.assert_allclose(recording.signal[150:, 0], np.arange(150, N) / 100, rtol=1e-6)
    assert "gap" in recording.remarks[0]


def test_empty_cells_are_gaps(tmp_path: Path) -> None:
    path = _write(tmp_path, "time,I,II", "{t},{v},{v}")
    lines = path.read_text().splitlines()
    lines[5:8] = ["0.016,,0.04", "0.020,NaN,0.05", "0.024,0.06,"]
    path.write_text("\n".join(lines))
    signal = read_recording(path).signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[4, 0], [5, 0], [6, 1]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.04,0.1\n", "0.04,oops\n", "cells that are not numbers"),
        ("0.04,0.1\n", "0.002,0.1\n", "does not ascend"),
        ("0.04,0.1\n", "0.0401,0.1\n0.0402,1\n", "uneven steps"),
        ("0.04,0.1\n", "0.04,0.1,3,4\n", "cells that are not numbers"),
    ],
)
def test_damaged_rows(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = _write(tmp_path, "time,II", "{t},{v}")
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        read_recording(path)


def test_rows_and_columns_swapped(tmp_path: Path) -> None:
    path = tmp_path / "rec.csv"
    np.savetxt(path, np.random.default_rng(0).random((2, 5000)), delimiter=",")
    with pytest.raises(UserError, match="time down"):
        read_recording(path, source_rate=250)

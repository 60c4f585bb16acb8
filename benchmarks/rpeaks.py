"""Recordings with reference beats -> how well `detect_r_peaks` finds them, beside sleepecg.

    python benchmarks/rpeaks.py FOLDER [--leads default|all] [--json]

Protocol: whole recordings, every lead as read from the file in its own unit; one detection may
match one reference beat (ANSI/AAMI EC57), at most 150 ms or 50 ms apart; detections between ``[``
and ``]`` (ventricular flutter or fibrillation) are neither right nor wrong; gross figures pool the
beats of all recordings. Both detectors see the same lead: I, else MLII, else II, else the first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import sleepecg
import wfdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.preprocessing.r_peaks import detect_r_peaks

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
WINDOWS_S = (0.150, 0.050)
DEFAULT_LEADS = ("I", "MLII", "II")

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reference:
    """A recording's lead or leads, its reference beats, and its flutter as (start, end) samples."""

    record: str
    signal: npt.NDArray[np.float32]
    leads: tuple[str, ...]
    sampling_rate: float
    beats: IntArray
    flutter: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Score:
    """Counts of one detector on one recording, or on all."""

    true_positive: int
    false_positive: int
    false_negative: int

    def __add__(self, other: Score) -> Score:
        return Score(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and positive predictive value."""
        wrong = self.false_positive + self.false_negative
        return 2 * self.true_positive / max(1, 2 * self.true_positive + wrong)


def match(reference: IntArray, detected: IntArray, reach: float) -> tuple[IntArray, IntArray]:
    """Pair ascending marks one-to-one, as many as can be, at most `reach` samples apart.

    Returns:
        Positions in `reference` and in `detected` of each pair.
    """
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(reference) and j < len(detected):
        apart = detected[j] - reference[i]
        if abs(apart) <= reach:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif apart < 0:
            j += 1
        else:
            i += 1
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def score(truth: Reference, detected: IntArray, window_s: float) -> Score:
    """Count one detector's beats on one recording."""
    reach = window_s * truth.sampling_rate
    _, right = match(truth.beats, detected, reach)
    wrong = np.delete(detected, right)
    for start, end in truth.flutter:
        wrong = wrong[(wrong < start) | (wrong > end)]
    return Score(len(right), len(wrong), len(truth.beats) - len(right))


def read_reference(path: Path, leads: str) -> Reference:
    """Read a WFDB record and its ``.atr``, its default lead only or all of them."""
    name = str(path.with_suffix(""))
    record = wfdb.rdrecord(name, return_res=32)
    marks = wfdb.rdann(name, "atr")
    columns = list(range(record.n_sig))
    preferred = [record.sig_name.index(x) for x in DEFAULT_LEADS if x in record.sig_name]
    first = preferred[0] if preferred else 0
    columns = [first] if leads == "default" else [first, *(c for c in columns if c != first)]
    symbols = np.array(marks.symbol)
    is_beat = np.isin(symbols, list(BEAT_SYMBOLS))
    starts, ends = (marks.sample[symbols == s] for s in "[]")
    ends = [*ends, record.sig_len][: len(starts)]
    flutter = tuple((int(a), int(b)) for a, b in zip(starts, ends, strict=True))
    beats = marks.sample[is_beat].astype(np.int64)
    for start, end in flutter:
        beats = beats[(beats < start) | (beats > end)]
    return Reference(
        record=path.stem,
        signal=record.p_signal[:, columns].astype(np.float32),
        leads=tuple(record.sig_name[c] for c in columns),
        sampling_rate=float(record.fs),
        beats=beats,
        flutter=flutter,
    )


def ours(truth: Reference) -> IntArray:
    """Detect with the project's own detector, on every lead that was read."""
    return detect_r_peaks(truth.signal, truth.sampling_rate).samples


def theirs(truth: Reference) -> IntArray:
    """Detect with plain sleepecg, on the first lead."""
    lead = truth.signal[:, 0].astype(np.float64)
    return np.asarray(sleepecg.detect_heartbeats(lead, truth.sampling_rate), dtype=np.int64)


DETECTORS: dict[str, Callable[[Reference], IntArray]] = {"cardiotwin": ours, "sleepecg": theirs}


def measure(folder: Path, leads: str) -> dict[str, object]:
    """Score every recording of a folder; counts a recording, pooled figures, seconds."""
    rows = []
    seconds = dict.fromkeys(DETECTORS, 0.0)
    totals = {(name, w): Score(0, 0, 0) for name in DETECTORS for w in WINDOWS_S}
    for path in sorted(folder.glob("*.atr")):
        truth = read_reference(path, leads)
        row: dict[str, object] = {"record": truth.record, "leads": list(truth.leads)}
        for name, detect in DETECTORS.items():
            start = time.perf_counter()
            detected = detect(truth)
            seconds[name] += time.perf_counter() - start
            for window in WINDOWS_S:
                one = score(truth, detected, window)
                totals[name, window] += one
                row[f"{name}_{1000 * window:.0f}"] = as_row(one)
        rows.append(row)
    pooled = {f"{name}_{1000 * w:.0f}": as_row(total) for (name, w), total in totals.items()}
    return {"protocol": __doc__, "recordings": rows, "gross": pooled, "seconds": seconds}


def as_row(one: Score) -> dict[str, float]:
    """Return a score as it is printed."""
    return {
        "tp": one.true_positive,
        "fp": one.false_positive,
        "fn": one.false_negative,
        "f1": round(one.f1, 5),
    }


def print_table(result: dict[str, object]) -> None:
    """Print a row a recording, both detectors side by side."""
    columns = [f"{name}_{1000 * w:.0f}" for w in WINDOWS_S for name in DETECTORS]
    print(f"{'record':8}{'leads':12}" + "".join(f"{c:>26}" for c in columns))
    print(f"{'':20}" + f"{'TP':>7}{'FP':>5}{'FN':>5}{'F1':>9}" * len(columns))
    gross = {"record": "gross", "leads": [], **result["gross"]}
    for row in [*result["recordings"], gross]:
        cells = "".join(
            f"{row[c]['tp']:7d}{row[c]['fp']:5d}{row[c]['fn']:5d}{row[c]['f1']:9.4f}"
            for c in columns
        )
        print(f"{row['record']:8}{','.join(row['leads']):12}{cells}")
    print("seconds: " + ", ".join(f"{k} {v:.2f}" for k, v in result["seconds"].items()))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of WFDB records with .atr files")
    parser.add_argument("--leads", choices=("default", "all"), default="default")
    parser.add_argument("--json", action="store_true", help="one JSON object, nothing else")
    arguments = parser.parse_args()
    if not any(arguments.folder.glob("*.atr")):
        parser.error(f"{arguments.folder}: no .atr file here. Give a folder of WFDB records")
    result = measure(arguments.folder, arguments.leads)
    if arguments.json:
        print(json.dumps(result))
    else:
        print_table(result)


if __name__ == "__main__":
    main()

"""A trained study -> how true its synthetic strips are to the R peaks, rate and SDNN asked for.

    python -m benchmarks.strips STUDY [--model gan|mixture] [--seconds 60] [--seed 0] [--json]

Protocol: a strip of every subject at its own rhythm, and of every subject at each of some heart
rates and SDNN, without noise and with noise like the recording's; written as WFDB and read back
with the `wfdb` library. R peaks are found by detectors that are no part of this project (sleepecg,
NeuroKit2) and by its own; one detection may match one written peak, at most 150 ms or 50 ms away;
F1 pools the peaks of all subjects. Mean and SDNN are of the written R peaks, against those asked
for. A seam is where one beat is cross-faded to the next; its largest step from sample to sample
stands against the largest step within any beat of the strip, and against the largest between the
same points of the real smoothed recordings of the subject (train part). First come the same
detectors on those real smoothed recordings, against the study's own R peaks: their ceiling.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import neurokit2
import numpy as np
import sleepecg
import wfdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rpeaks import match
from core.generating import draw_strip
from core.models.identifier_input import Window
from core.preprocessing.filters import moving_average
from core.preprocessing.r_peaks import detect_r_peaks
from core.signal_files import write_strip
from core.strips import seam_spans
from core.study import CLEAN, Study

WINDOWS_S = (0.150, 0.050)
ASKED: tuple[dict[str, float], ...] = (
    {},
    *({"heart_rate": rate} for rate in (50.0, 60.0, 75.0, 90.0, 105.0, 120.0)),
    {"heart_rate": 70.0, "sdnn": 20.0},
    {"heart_rate": 70.0, "sdnn": 80.0},
)
DETECTORS = {
    "sleepecg": lambda x, rate: sleepecg.detect_heartbeats(x.astype(float), rate),
    "neurokit2": lambda x, rate: neurokit2.ecg_peaks(
        neurokit2.ecg_clean(x, sampling_rate=int(rate)), sampling_rate=int(rate)
    )[1]["ECG_R_Peaks"],
    "cardiotwin": lambda x, rate: detect_r_peaks(x[:, None], rate).samples,
}


def _real_steps(study: Study, subject: str) -> float:
    """Return the largest step between T and P of a subject's real smoothed train beats."""
    table = study.beat_table
    rows = table[(table["subject"] == subject) & (table["partition"] == "train")]
    rows = rows[rows["rejected"] == ""]
    rate, most = study.sampling_rate, 0.0
    for name, own in rows.groupby("recording_name"):
        steps = np.abs(np.diff(_smoothed(study, str(name)), axis=0)).max(axis=1)
        rr = own["rr_after"].to_numpy(dtype=float)
        window = Window(study.info.before_s, rate)
        spans = seam_spans(
            np.append(np.nan_to_num(rr, nan=1.0), 1.0),
            window,
            home_rr_s=float(np.nanmedian(rr)),
            after_s=study.info.options.after_s,
        )
        for peak, (begin, end), gap in zip(own["r_sample"], spans, rr, strict=True):
            part = steps[peak + int(begin * rate) : peak + int(end * rate)]
            if np.isfinite(gap) and len(part):
                most = max(most, float(part.max()))
    return most


def _smoothed(study: Study, name: str) -> np.ndarray:
    clean = np.asarray(study.signals(name)[CLEAN])
    return moving_average(clean, study.sampling_rate, study.info.options.smoothing_ms)


def _counts(signal: np.ndarray, peaks: np.ndarray, rate: float) -> dict[str, Any]:
    """Return for each detector and window how many peaks are right, false and missed."""
    counts: dict[str, Any] = {}
    for name, detect in DETECTORS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = np.asarray(detect(signal[:, 0], rate), dtype=np.int64)
        right = [len(match(peaks, found, w * rate)[0]) for w in WINDOWS_S]
        counts[name] = [(n, len(found) - n, len(peaks) - n) for n in right]
    return counts


def _scores(counts: list[dict[str, Any]], subjects: list[str]) -> dict[str, Any]:
    """Return F1 of each detector over all, and whose strips have more than one error in 50 ms."""
    row: dict[str, Any] = {}
    for name in DETECTORS:
        for k, window in enumerate(WINDOWS_S):
            tp, fp, fn = np.sum([one[name][k] for one in counts], axis=0)
            row[f"{name} F1 {window * 1000:.0f} ms"] = round(2 * tp / (2 * tp + fp + fn), 4)
        several = zip(subjects, counts, strict=True)
        row[f"{name} several errors"] = [s for s, one in several if sum(one[name][1][1:]) > 1]
    return row


def _ceiling(study: Study) -> dict[str, Any]:
    """Return what the detectors find in the real smoothed recordings of the train part."""
    table = study.beat_table[study.beat_table["partition"] == "train"]
    counts, subjects = [], []
    for name, own in table.groupby("recording_name"):
        peaks = own["r_sample"].to_numpy()
        part = slice(max(0, peaks[0] - 100), peaks[-1] + 100)
        counts.append(
            _counts(_smoothed(study, str(name))[part], peaks - part.start, study.sampling_rate)
        )
        subjects.append(str(name))
    return {"asked": "real recordings", "recordings": len(counts), **_scores(counts, subjects)}


def _one(study: Study, args: argparse.Namespace, subject: str, asked: dict[str, Any]) -> Any:
    """Return what one strip shows."""
    started = time.perf_counter()
    strip = draw_strip(study, args.model, subject, seconds=args.seconds, seed=args.seed, **asked)
    drawn_s = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as folder:
        write_strip(strip, Path(folder) / "strip.hea")
        record = wfdb.rdrecord(f"{folder}/strip")
        peaks = np.asarray(wfdb.rdann(f"{folder}/strip", "atr").sample)
    signal, rate = record.p_signal.astype(np.float32), float(record.fs)
    rr = np.diff(peaks) / rate
    told = dict(strip.provenance.more)
    mean_rate, sdnn = (float(told[name].split()[0]) for name in ("Heart rate", "SDNN"))
    steps = np.abs(np.diff(strip.signal, axis=0)).max(axis=1)
    seam = np.zeros(len(steps), bool)
    spans = seam_spans(
        np.append(rr, rr[-1]),
        Window(study.info.before_s, rate),
        home_rr_s=float(rr.mean()),
        after_s=study.info.options.after_s,
    )
    for peak, (begin, end) in zip(peaks, spans, strict=False):
        seam[peak + int(begin * rate) : peak + int(end * rate)] = True
    return {
        "counts": _counts(signal, peaks, rate),
        "rate_error": abs(60 / rr.mean() / asked.get("heart_rate", mean_rate) - 1),
        "sdnn_error": abs(rr.std(ddof=1) * 1000 / asked.get("sdnn", sdnn) - 1),
        "seam_over_beat": float(steps[seam].max() / steps[~seam].max()),
        "seam": float(steps[seam].max()),
        "drawn_s": drawn_s,
    }


def main() -> None:
    """Print the figures of every asked rhythm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--model", default="gan")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    study = Study.open(args.study)
    subjects = list(dict.fromkeys(study.beats("train").subject.tolist()))
    real = {s: _real_steps(study, s) for s in subjects}
    draw_strip(study, args.model, subjects[0], seconds=args.seconds, seed=args.seed)
    rows = [_ceiling(study)]
    if not args.json:
        print(json.dumps(rows[0]), flush=True)
    for asked, noise in [*((a, "off") for a in ASKED), ({}, "real")]:
        own = {s: _one(study, args, s, {**asked, "noise": noise}) for s in subjects}
        row: dict[str, Any] = {"asked": dict(asked), "noise": noise, "subjects": len(own)}
        row |= _scores([one["counts"] for one in own.values()], subjects)
        for key in ("rate_error", "sdnn_error", "seam_over_beat", "drawn_s"):
            row[f"largest {key}"] = round(max(float(one[key]) for one in own.values()), 4)
        over = [one["seam"] / max(real[s], 1e-9) for s, one in own.items()]
        row["seam step over real, median and largest"] = [
            round(float(np.median(over)), 2),
            round(float(np.max(over)), 2),
        ]
        rows.append(row)
        if not args.json:
            print(json.dumps(row), flush=True)
    if args.json:
        print(json.dumps({"study": study.info.name, "model": args.model, "rows": rows}))


if __name__ == "__main__":
    main()

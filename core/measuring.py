"""Recording -> heart rate, RR intervals, variability, PR, QRS, QT, and how good the signal is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.options import PreprocessingOptions
from core.preprocessing import beats as cutting
from core.preprocessing import quality
from core.preprocessing.delineation import delineate
from core.preprocessing.features import PNN_MS
from core.preprocessing.leads import choose_leads
from core.preprocessing.pipeline import Preprocessed, preprocess
from core.recording import (
    MILLIVOLT,
    SYNTHETIC,
    UNKNOWN_UNIT,
    FloatArray,
    IntArray,
    Recording,
    StrArray,
)
from core.rhythm import PLAUSIBLE_RR_S, plausible

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

RATE_INTERVALS = 5
LEAST_SMOOTHED = 30
"""From so many RR intervals on, slowest and fastest rate are over five in a row, as monitors have
them; of fewer, they are those of single intervals."""
LEAST_NN = 10
"""Fewer intervals tell nothing of their variability."""
MOST_LEFT_OUT = 0.2
"""Share of RR intervals: with more of them left out, what remains is not the rhythm."""
SOME_LEFT_OUT = 0.05
USUAL_HRV_S = 300.0
"""Variability is usually told of five minutes (Task Force 1996); it grows with the length."""
LEAST_SPECTRUM_S = 120.0
"""Two minutes hold five waves of the lowest frequency of LF (Task Force 1996)."""
LF_HZ, HF_HZ = (0.04, 0.15), (0.15, 0.4)
"""Low and high frequency (Task Force 1996)."""
TACHOGRAM_HZ = 4.0
"""RR intervals are brought to this even rate for their spectrum."""
LEAST_MEDIAN_BEATS, MOST_MEDIAN_BEATS = 5, 2000
"""Beats that the median beat is made of; of more, so many, evenly spread."""
FLAT_S = 0.2
"""A value that does not change for so long is no heart's: a lead is off, or the amplifier stuck."""
CLIPPED_S = 0.02
"""The signal stays at its highest or lowest value for so long where it is cut off."""
PIECE_S, MARGIN_S = 1800.0, 10.0
"""Long recordings are measured piece by piece, so that memory does not grow with them; margins
let a filter settle, and hold the beats next to the piece."""
WIDE_S = (0.4, 0.8)
"""Kept of a beat before and after R, to make the median beat of."""
GOOD, FAIR = 0.8, 0.5
"""Least quality of a recording, from 0 to 1, that is called good, and fair."""

INTERVALS = ("pr", "qrs", "qt", "qtc", "qtc_fridericia")
VARIABILITY = ("sdnn_ms", "rmssd_ms", "pnn50", "lf_ms2", "hf_ms2", "lf_hf")
QUALITY_WORDS = {
    "missing_s": "are missing",
    "artefact_s": "are artefact",
    "clipped_s": "are cut off at its limits",
}
NOT_TOLD = "–"
INTERVAL_WORDS = {"pr": "PR", "qrs": "QRS", "qt": "QT"}


def measure_recording(
    recording: Recording, *, leads: Sequence[str] | Literal["all"] | None = None
) -> dict[str, Any]:
    """Return what is measured on a recording; None wherever it cannot be told, and a remark why.

    RR intervals are between R peaks that were both found in sound signal, and of a length that a
    heart can have (`core.rhythm.PLAUSIBLE_RR_S`). NN intervals, which variability is of, are those
    within 20 % of the median of the five around (`core.rhythm.plausible`): the beats next to
    ectopic, missed or false ones are left out, not mended. Variability is that of Task Force 1996
    (Eur Heart J 17:354); deviations: LF and HF come from intervals brought to 4 Hz by straight
    lines, by Welch's method in pieces of five minutes.

    PR, QRS and QT are of the median beat of the NN beats; see `core.preprocessing.delineation`.

    Args:
        recording: What was measured on a person.
        leads: Names of leads, ``"all"``, or None for one: I, else MLII, else II, else the first.

    Returns:
        Plain values, ready for JSON:

        - ``heart_rate``: ``mean``, and ``min`` and ``max``, see `LEAST_SMOOTHED`, a minute;
        - ``rr_ms``: ``mean``, ``median``, ``sd``, ``min``, ``max``, of all RR intervals;
        - ``hrv``: of NN intervals ``sdnn_ms``, ``rmssd_ms``, ``pnn50`` (a share, 0 to 1),
          ``lf_ms2``, ``hf_ms2``, ``lf_hf``; ``intervals`` and ``left_out``, how many;
        - ``intervals_ms``: ``pr``, ``qrs``, ``qt``, ``qtc`` (Bazett), ``qtc_fridericia``;
        - ``quality``: ``verdict`` (good, fair, poor, unusable), ``score`` (0 to 1), ``snr_db`` (the
          median beat over what single beats differ from it), ``missing_s``, ``artefact_s`` (jumps
          and dead stretches), ``flat_s``, ``clipped_s``, ``mains_hz``, ``rejected`` (beats a
          reason);
        - ``beats`` and ``beats_rejected``, ``duration_s``, ``sampling_rate``, ``leads``, ``unit``,
          ``synthetic``, and ``remarks``, a sentence each.

    Raises:
        UserError: A lead is not there.
    """
    chosen = choose_leads(recording.leads, leads, units=recording.units, where=recording.path)
    names = tuple(recording.leads[i] for i in chosen)
    pieces = list(_pieces(recording, leads))
    units = {recording.units[i] for i in chosen}
    remarks = list(recording.remarks)
    faults = [piece.fault for piece in pieces]
    rr = np.concatenate([piece.rr for piece in pieces])
    sound = np.concatenate([piece.sound for piece in pieces])
    nn = plausible(np.where(sound, rr, np.nan))
    n_beats = sum(len(piece.rejected) for piece in pieces)
    judged = _quality(recording.signal[:, chosen], recording.sampling_rate, pieces)
    remarks += _quality_remarks(judged, faults)
    result = {
        "heart_rate": _heart_rate(rr, sound),
        "rr_ms": _rr_figures(rr[sound]),
        "hrv": _variability(nn, int(sound.sum()), remarks),
        "intervals_ms": dict.fromkeys(INTERVALS)
        if all(faults)
        else _intervals(pieces, nn, remarks),
        "quality": judged,
        "beats": n_beats,
        "beats_rejected": sum(judged["rejected"].values()),
        "duration_s": round(recording.duration, 3),
        "sampling_rate": float(recording.sampling_rate),
        "leads": list(names),
        "unit": MILLIVOLT if units == {MILLIVOLT} else UNKNOWN_UNIT,
        "synthetic": SYNTHETIC in recording.remarks,
    }
    if result["unit"] != MILLIVOLT:
        remarks.append("The unit of the signal is unknown: nothing is told in mV.")
    return {**result, "remarks": list(dict.fromkeys(remarks))}


def measure_rows(measures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what `measure_recording` gives in words: name and value with unit, for a table."""
    rate, rr, hrv = measures["heart_rate"], measures["rr_ms"], measures["hrv"]
    intervals, judged = measures["intervals_ms"], measures["quality"]
    pnn50 = None if hrv["pnn50"] is None else 100 * hrv["pnn50"]
    rows = [
        ("Heart rate", _span(rate["mean"], rate["min"], rate["max"], "a minute")),
        ("RR interval", _span(rr["mean"], rr["min"], rr["max"], "ms")),
        ("RR median, SD of all", f"{_number(rr['median'])} ms, {_number(rr['sd'])} ms"),
        (
            "SDNN, RMSSD of normal RR",
            f"{_number(hrv['sdnn_ms'])} ms, {_number(hrv['rmssd_ms'])} ms",
        ),
        ("pNN50", f"{_number(pnn50)} %"),
        *((words, f"{_number(intervals[key])} ms") for key, words in INTERVAL_WORDS.items()),
        ("QTc (Bazett)", f"{_number(intervals['qtc'])} ms"),
        ("QTc (Fridericia)", f"{_number(intervals['qtc_fridericia'])} ms"),
        ("Signal quality", f"{judged['verdict']}, {judged['score']:.2f} of 1"),
        ("Signal to noise", f"{_number(judged['snr_db'])} dB"),
        ("Beats", f"{measures['beats']} found, {measures['beats_rejected']} not used"),
        ("Length", f"{measures['duration_s']:g} s at {measures['sampling_rate']:g} Hz"),
        ("Lead", ", ".join(measures["leads"])),
    ]
    if hrv["lf_ms2"] is not None:
        powers = f"{hrv['lf_ms2']:.0f} ms², {hrv['hf_ms2']:.0f} ms²"
        rows.insert(5, ("LF, HF", f"{powers}, ratio {_number(hrv['lf_hf'], 2)}"))
    return [(name, NOT_TOLD if value.startswith(f"{NOT_TOLD} ") else value) for name, value in rows]


def _number(value: float | None, digits: int = 0) -> str:
    return NOT_TOLD if value is None else f"{value:.{digits}f}"


def _span(mean: float | None, low: float | None, high: float | None, unit: str) -> str:
    return f"{_number(mean)} {unit} ({_number(low)} to {_number(high)})"


@dataclass(frozen=True, eq=False, kw_only=True)
class _Piece:
    """What is kept of a stretch of a recording.

    Attributes:
        rr: (n_beats,) seconds to the next R peak; NaN if there is none.
        sound: (n_beats,) whether that is an RR interval of a heart in sound signal.
        rejected: (n_beats,) why a beat is of no use; empty if it is.
        samples: (n_kept,) positions of the beats of which the signal is kept.
        signals: (n_kept, n_samples, n_leads) that signal, `WIDE_S` around R.
        sampling_rate: Of `signals`, in Hz.
        snr: Power of the median beat, and of what single beats differ from it; None if untold.
        score: From 0 to 1.
        seconds: Length.
        missing_s: Of that, missing.
        artefact_s: Of that, jumps and dead stretches.
        mains_hz: Mains that were removed.
        fault: Why the stretch is of no use; empty if it is.
    """

    rr: Array
    sound: BoolArray
    rejected: StrArray
    samples: IntArray
    signals: FloatArray
    sampling_rate: float
    snr: tuple[float, float] | None
    score: float
    seconds: float
    missing_s: float
    artefact_s: float
    mains_hz: int | None
    fault: str


def _pieces(recording: Recording, leads: Sequence[str] | Literal["all"] | None) -> Iterator[_Piece]:
    """Yield what is kept of each `PIECE_S` of a recording; each is seen with margins."""
    rate, n = recording.sampling_rate, len(recording.signal)
    size, margin = round(PIECE_S * rate), round(MARGIN_S * rate)
    # What is left at the end goes with the last whole piece.
    starts = range(0, max(1, n - size // 2), size)
    for start in starts:
        stop = n if start == starts[-1] else start + size
        first, last = max(0, start - margin), min(n, stop + margin)
        part = replace(recording, signal=recording.signal[first:last], annotations=None)
        found = preprocess(part, PreprocessingOptions(), leads=leads)
        yield _piece(found, ((start - first) / rate, (stop - first) / rate), len(starts))


def _piece(found: Preprocessed, span_s: tuple[float, float], n_pieces: int) -> _Piece:
    """Return what is kept of a stretch of what was preprocessed, from and to in seconds."""
    times = found.r_peaks / found.sampling_rate
    mine = np.flatnonzero((times >= span_s[0]) & (times < span_s[1]))
    rr = np.asarray(found.rr_after, dtype=np.float64)
    clear = (found.rejected == "") | (found.rejected == quality.EDGE)
    bridged = np.append(0, np.cumsum(found.missing))[found.r_peaks]
    low, high = PLAUSIBLE_RR_S
    with np.errstate(invalid="ignore"):
        sound = clear & (rr >= low) & (rr <= high) & (not found.recording_rejected)
    sound[:-1] &= clear[1:] & (bridged[1:] == bridged[:-1])
    usable = np.flatnonzero(found.rejected[mine] == "")
    most = max(LEAST_MEDIAN_BEATS, MOST_MEDIAN_BEATS // n_pieces)
    samples = usable[:: max(1, -(-len(usable) // most))]
    window = cutting.beat_window(found.sampling_rate, *WIDE_S, kind="fixed")
    inside = slice(*(round(end * found.sampling_rate) for end in span_s))
    missing = np.isnan(found.raw[inside]).any(axis=1)
    bad = found.missing[inside]
    return _Piece(
        rr=rr[mine],
        sound=sound[mine],
        rejected=found.rejected[mine],
        samples=samples,
        signals=cutting.cut_beats(found.clean, found.r_peaks[mine][samples], window)[0],
        sampling_rate=found.sampling_rate,
        snr=_powers(found.beats[mine][samples]),
        score=found.recording_quality,
        seconds=span_s[1] - span_s[0],
        missing_s=float(missing.sum() / found.sampling_rate),
        artefact_s=float((bad & ~missing).sum() / found.sampling_rate),
        mains_hz=found.notch_hz,
        fault=found.recording_rejected,
    )


def _heart_rate(rr: Array, sound: BoolArray) -> dict[str, float | None]:
    if not sound.any():
        return {"mean": None, "min": None, "max": None}
    real = rr[sound]
    means = real
    if len(real) >= LEAST_SMOOTHED:
        views = np.lib.stride_tricks.sliding_window_view
        whole = views(sound, RATE_INTERVALS).all(axis=1)
        if whole.any():
            means = views(rr, RATE_INTERVALS)[whole].mean(axis=1)
    mean = real.mean()
    return {
        "mean": _told(60 / mean, 1),
        "min": _told(60 / max(mean, means.max()), 1),
        "max": _told(60 / min(mean, means.min()), 1),
    }


def _rr_figures(rr: Array) -> dict[str, float | None]:
    ms = 1000 * rr
    if not len(ms):
        return dict.fromkeys(("mean", "median", "sd", "min", "max"))
    return {
        "mean": _told(ms.mean(), 1),
        "median": _told(np.median(ms), 1),
        "sd": _told(ms.std(ddof=1), 1) if len(ms) > 1 else None,
        "min": _told(ms.min(), 1),
        "max": _told(ms.max(), 1),
    }


def _variability(nn: Array, n_rr: int, remarks: list[str]) -> dict[str, float | int | None]:
    """Return the variability of NN intervals (n,) in s, NaN where one is none; add remarks."""
    known = np.isfinite(nn)
    n_nn = int(known.sum())
    result: dict[str, float | int | None] = dict.fromkeys(VARIABILITY)
    result |= {"intervals": n_nn, "left_out": n_rr - n_nn}
    share = (n_rr - n_nn) / max(1, n_rr)
    if n_nn < LEAST_NN:
        if n_rr:
            remarks.append(f"{n_nn} intervals are too few to tell of variability.")
        return result
    if share > SOME_LEFT_OUT:
        remarks.append(
            f"The rhythm is irregular: {n_rr - n_nn} of {n_rr} RR intervals are unlike those "
            "around them."
        )
    if share > MOST_LEFT_OUT:
        remarks.append("Variability is not told: too many intervals had to be left out.")
        return result
    steps = 1000 * np.diff(nn)
    steps = steps[np.isfinite(steps)]
    seconds = float(nn[known].sum())
    result["sdnn_ms"] = _told(1000 * nn[known].std(ddof=1), 2)
    if len(steps):
        result["rmssd_ms"] = _told(np.sqrt(np.square(steps).mean()), 2)
        result["pnn50"] = _told((np.abs(steps) > PNN_MS + 1e-6).mean(), 4)
    if seconds >= LEAST_SPECTRUM_S:
        result |= _spectrum(nn)
    if seconds < LEAST_SPECTRUM_S:
        remarks.append(
            f"Variability is of {seconds:.0f} s; five minutes are usual, and LF and HF need two."
        )
    elif seconds < USUAL_HRV_S:
        remarks.append(f"Variability is of {seconds:.0f} s; five minutes are usual.")
    return result


def _spectrum(nn: Array) -> dict[str, float | None]:
    """Return power of NN intervals (n,) in s, NaN between, at low and high frequency, in ms^2."""
    from scipy.signal import welch

    # An interval that is not known takes the time of the usual one; lines lead over it.
    usual = np.where(np.isfinite(nn), nn, np.nanmedian(nn))
    at, known = np.cumsum(usual), np.isfinite(nn)
    times = np.arange(at[known][0], at[known][-1], 1 / TACHOGRAM_HZ)
    tachogram = 1000 * np.interp(times, at[known], nn[known])
    piece = min(len(tachogram), round(USUAL_HRV_S * TACHOGRAM_HZ))
    frequency, density = welch(tachogram, TACHOGRAM_HZ, nperseg=piece, detrend="linear")
    power = [
        float(density[(frequency >= low) & (frequency < high)].sum() * frequency[1])
        for low, high in (LF_HZ, HF_HZ)
    ]
    return {
        "lf_ms2": _told(power[0], 2),
        "hf_ms2": _told(power[1], 2),
        "lf_hf": _told(power[0] / power[1], 3) if power[1] > 0 else None,
    }


def _intervals(pieces: Sequence[_Piece], nn: Array, remarks: list[str]) -> dict[str, float | None]:
    """Return PR, QRS, QT and QTc of the median beat, in ms; add remarks on what is not told.

    The median beat is of usable beats with an NN interval on each side, as far as their signal was
    kept; it reaches from after the T wave before to after its own.
    """
    first = np.cumsum([0, *(len(piece.rr) for piece in pieces)])[:-1]
    at = np.concatenate([piece.samples + n for piece, n in zip(pieces, first, strict=True)])
    known = np.isfinite(nn)
    regular = known[at] & np.append(False, known)[at]
    if np.count_nonzero(regular) < LEAST_MEDIAN_BEATS:
        remarks.append(
            f"{np.count_nonzero(regular)} clear beats in a row are too few to tell PR, QRS and QT."
        )
        return dict.fromkeys(INTERVALS)
    rate = pieces[0].sampling_rate
    beats = np.concatenate([piece.signals for piece in pieces])[regular]
    rr = float(np.median(nn[at[regular]]))
    latest_t = 0.7 * rr - 0.036 if rr < 0.88 else 0.2 * rr + 0.404
    before = round(float(np.clip(rr - latest_t, 0.2, WIDE_S[0])) * rate)
    after = round(min(latest_t + 0.05, WIDE_S[1]) * rate)
    middle = round(WIDE_S[0] * rate)
    median = np.median(beats[:, middle - before : middle + after], axis=0)[None]
    waves = delineate(
        median.astype(np.float32), rate, before / rate, np.array([rr], dtype=np.float32)
    )
    pr, qrs, qt = (float(values[0]) for values in (waves.pr_ms, waves.qrs_ms, waves.qt_ms))
    result = {
        "pr": _told(pr, 1),
        "qrs": _told(qrs, 1),
        "qt": _told(qt, 1),
        "qtc": _told(qt / np.sqrt(rr), 1),
        "qtc_fridericia": _told(qt / np.cbrt(rr), 1),
    }
    untold = [words for name, words in INTERVAL_WORDS.items() if result[name] is None]
    if untold:
        remarks.append(f"{' and '.join(untold)} cannot be told from the median beat.")
    return result


def _quality(signal: FloatArray, sampling_rate: float, pieces: Sequence[_Piece]) -> dict[str, Any]:
    """Return how good a signal (n_samples, n_leads) is, as a whole."""
    seconds = np.array([piece.seconds for piece in pieces])
    score = float(np.average([piece.score for piece in pieces], weights=np.maximum(seconds, 1e-9)))
    verdict = "good" if score >= GOOD else "fair" if score >= FAIR else "poor"
    rejected = Counter(str(reason) for piece in pieces for reason in piece.rejected if reason)
    powers = [piece.snr for piece in pieces if piece.snr is not None and not piece.fault]
    signal_power, noise = np.sum(powers, axis=0) if powers else (0.0, 0.0)
    mains = Counter(piece.mains_hz for piece in pieces if piece.mains_hz is not None)
    return {
        "verdict": "unusable" if all(piece.fault for piece in pieces) else verdict,
        "score": _told(score, 3),
        "snr_db": _told(10 * np.log10(signal_power / noise), 1) if noise > 0 else None,
        "missing_s": _told(sum(piece.missing_s for piece in pieces), 2),
        "artefact_s": _told(sum(piece.artefact_s for piece in pieces), 2),
        "flat_s": _told(_seconds_of(signal, sampling_rate, FLAT_S, _still), 2),
        "clipped_s": _told(_seconds_of(signal, sampling_rate, CLIPPED_S, _at_limit), 2),
        "mains_hz": mains.most_common(1)[0][0] if mains else None,
        "rejected": dict(sorted(rejected.items())),
    }


def _quality_remarks(judged: dict[str, Any], faults: Sequence[str]) -> Iterator[str]:
    """Yield what a user should know of the signal, a sentence each."""
    if all(faults):
        yield faults[0]
    elif any(faults):
        useless = sum(map(bool, faults))
        yield f"{useless} of {len(faults)} stretches of {PIECE_S / 60:g} minutes are of no use."
    for name, words in QUALITY_WORDS.items():
        if judged[name]:
            yield f"{judged[name]:.2f} s of the signal {words}."
    if judged["mains_hz"]:
        yield f"Mains hum at {judged['mains_hz']} Hz was removed."


def _powers(beats: FloatArray) -> tuple[float, float] | None:
    """Return the power of the median beat, and of what single beats usually differ from it."""
    if len(beats) < LEAST_MEDIAN_BEATS:
        return None
    median = np.median(beats, axis=0)
    return float(median.var()), float(np.median(np.square(beats - median).mean(axis=(1, 2))))


def _still(values: FloatArray) -> BoolArray:
    return np.asarray(np.append(values[1:] == values[:-1], False))


def _at_limit(values: FloatArray) -> BoolArray:
    if np.nanmax(values) == np.nanmin(values):
        return np.zeros(len(values), dtype=np.bool_)
    return np.asarray((values == np.nanmax(values)) | (values == np.nanmin(values)))


def _seconds_of(signal: FloatArray, sampling_rate: float, least_s: float, mark: Any) -> float:
    """Return the seconds of all runs of at least `least_s` that `mark` finds, of the worst lead."""
    worst = 0.0
    for lead in range(signal.shape[1]):
        values = signal[:, lead]
        if not np.isfinite(values).any():
            continue
        starts, stops = quality.runs(mark(values))
        lengths = stops - starts
        worst = max(worst, float(lengths[lengths >= max(3, least_s * sampling_rate)].sum()))
    return worst / sampling_rate


def _told(value: Any, digits: int) -> float | None:
    """Return a number for JSON, rounded; None if it is none."""
    return round(float(value), digits) if np.isfinite(value) else None

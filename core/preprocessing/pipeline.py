"""Recording -> clean signal, R peaks, beats, features, quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.options import PreprocessingOptions
from core.preprocessing import beats as cutting
from core.preprocessing import features, filters, quality
from core.preprocessing.leads import choose_leads
from core.preprocessing.r_peaks import detect_r_peaks
from core.recording import MILLIVOLT, UNKNOWN_UNIT, FloatArray, IntArray, Recording, StrArray

BoolArray = npt.NDArray[np.bool_]

SHORTEST_S = 1.0
"""A recording below this holds no beat with its surroundings."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Preprocessed:
    """What preprocessing makes of one recording.

    Attributes:
        raw: (n_samples, n_leads) float32 at the study's rate, not filtered; NaN where missing.
        clean: The same, filtered; artefacts and gaps are bridged by a line.
        smoothed: The moving average of `clean`.
        missing: (n_samples,) where a lead was missing or an artefact, and bridged.
        sampling_rate: The study's rate, in Hz.
        source_rate: The file's own rate, in Hz.
        leads: Name of each lead.
        unit: ``"mV"``, or ``"unknown"`` if that of any lead is.
        r_peaks: (n_beats,) sample numbers at the study's rate.
        r_peaks_source: (n_beats,) sample numbers at the file's own rate.
        beats: (n_beats, n_samples, n_leads) float32, cut from `smoothed`, normalised as asked.
        before_s: Seconds from the first sample of a beat to its R peak.
        rr_before: (n_beats,) seconds since the R peak before; NaN if there is none.
        rr_after: (n_beats,) seconds to the next R peak; NaN if there is none.
        quality: (n_beats,) from 0 to 1.
        rejected: (n_beats,) a key of `quality.REASONS`; empty for a usable beat.
        symbol: (n_beats,) PhysioNet code of the reference beat; empty if there is none.
        feature_names: Names of the columns of `feature_values`.
        feature_values: (n_beats, n_features) float32, of each beat alone.
        recording_features: What the recording tells as a whole, rhythm included.
        recording_quality: From 0 to 1.
        recording_rejected: Why the recording is of no use, in a sentence; empty if it is.
        notch_hz: Mains that were removed; None if none were.
        remarks: What a user should know, a sentence each.
    """

    raw: FloatArray
    clean: FloatArray
    smoothed: FloatArray
    missing: BoolArray
    sampling_rate: float
    source_rate: float
    leads: tuple[str, ...]
    unit: str
    r_peaks: IntArray
    r_peaks_source: IntArray
    beats: FloatArray
    before_s: float
    rr_before: FloatArray
    rr_after: FloatArray
    quality: FloatArray
    rejected: StrArray
    symbol: StrArray
    feature_names: tuple[str, ...]
    feature_values: FloatArray
    recording_features: dict[str, float]
    recording_quality: float
    recording_rejected: str
    notch_hz: int | None
    remarks: tuple[str, ...]

    @cached_property
    def features(self) -> pd.DataFrame:
        """The features of each beat alone: a row a beat."""
        return pd.DataFrame(self.feature_values, columns=list(self.feature_names))


def preprocess(
    recording: Recording,
    options: PreprocessingOptions,
    *,
    leads: Sequence[str] | Literal["all"] | None = None,
) -> Preprocessed:
    """Return the clean signal of a recording, its R peaks, beats, features and quality.

    A recording that is too short, flat, or without beats is not an error: it comes back with
    `recording_rejected` saying so.

    Args:
        recording: What was measured.
        options: How to clean it and cut it; `PrepareOptions` will do.
        leads: Names of leads, ``"all"``, or None for one; see `choose_leads`.

    Raises:
        UserError: A lead is not there, or the low-pass is above what the study's rate can hold.
    """
    chosen = choose_leads(recording.leads, leads, units=recording.units, where=recording.path)
    source_rate, rate = recording.sampling_rate, options.sampling_rate
    names = tuple(recording.leads[i] for i in chosen)
    signals = _conditioned(recording.signal[:, chosen], source_rate, options)
    fault = signals.fault
    if fault:
        positions = np.empty(0)
    else:
        positions = detect_r_peaks(signals.for_detection(), rate).positions
        fault = "" if len(positions) else "No heartbeat was found."
    n_source = recording.signal.shape[0]
    r_peaks = np.clip(np.rint(positions), 0, max(0, len(signals.clean) - 1)).astype(np.int64)
    r_source = np.clip(np.rint(positions * source_rate / rate), 0, max(0, n_source - 1))
    times = positions / rate

    window = cutting.beat_window(rate, options.before_s, options.after_s, kind=options.window)
    beats, outside = cutting.cut_beats(signals.smoothed, r_peaks, window)
    before, after = cutting.rr_intervals(times)
    gap = cutting.touched(_any_lead(signals.gaps), r_peaks, window)
    artefact = cutting.touched(_any_lead(signals.artefacts), r_peaks, window)
    judged = quality.judge_beats(
        beats,
        cutting.cut_beats(signals.fine, r_peaks, window)[0],
        {quality.EDGE: outside, quality.GAP: gap, quality.ARTEFACT: artefact},
        n_before=window.n_before,
        sampling_rate=rate,
        rr_before=before,
        rr_after=after,
    )
    usable = judged.rejected == ""
    if not fault and not usable.any():
        fault = f"None of its {len(beats)} beats is usable."
    likeness = quality.common_shape(beats[quality.telling(judged)])
    if not fault and likeness < quality.LEAST_COMMON_SHAPE:
        fault = "Its beats have no shape in common: it is mostly noise."
    units = {recording.units[i] for i in chosen}
    beats = cutting.normalise(beats, options.normalisation)
    return Preprocessed(
        raw=signals.raw,
        clean=signals.clean,
        smoothed=signals.smoothed,
        missing=_any_lead(signals.gaps | signals.artefacts),
        sampling_rate=rate,
        source_rate=source_rate,
        leads=names,
        unit=MILLIVOLT if units == {MILLIVOLT} else UNKNOWN_UNIT,
        r_peaks=r_peaks,
        r_peaks_source=r_source.astype(np.int64),
        beats=beats,
        before_s=window.n_before / rate,
        rr_before=before,
        rr_after=after,
        quality=judged.quality,
        rejected=judged.rejected,
        symbol=cutting.match_symbols(times, recording.annotations, source_rate),
        feature_names=features.feature_names(len(names), rate, leads=names),
        feature_values=features.feature_values(beats, rate),
        recording_features=features.recording_features(
            signals.clean, times, leads=names, usable=usable
        ),
        recording_quality=0.0 if fault else quality.recording_quality(judged, likeness),
        recording_rejected=fault,
        notch_hz=signals.notch_hz,
        remarks=signals.remarks(names, rate),
    )


@dataclass(frozen=True, eq=False)
class _Signals:
    """The signals of a recording at the study's rate, (n_samples, n_leads) each, and their gaps."""

    raw: FloatArray
    clean: FloatArray
    smoothed: FloatArray
    gaps: BoolArray
    artefacts: BoolArray
    fine: FloatArray
    idle: BoolArray
    notch_hz: Literal[50, 60] | None
    fault: str

    def for_detection(self) -> FloatArray:
        """Return the clean signal with NaN where it was bridged."""
        bridged = self.gaps | self.artefacts
        if not bridged.any():
            return self.clean
        return np.where(bridged, np.float32(np.nan), self.clean)

    def remarks(self, leads: Sequence[str], sampling_rate: float) -> tuple[str, ...]:
        """Return what a user should know of the signals, a sentence each."""
        said = []
        if self.idle.any() and not self.idle.all():
            names = ", ".join(lead for lead, idle in zip(leads, self.idle, strict=True) if idle)
            said.append(f"There is no signal in {names}.")
        for mask, what in ((self.gaps, "missing"), (self.artefacts, "artefact")):
            seconds = np.count_nonzero(_any_lead(mask)) / sampling_rate
            if seconds:
                said.append(f"{max(0.1, seconds):.1f} s of the signal are {what}.")
        if self.notch_hz is not None:
            said.append(f"Mains hum at {self.notch_hz} Hz was removed.")
        return tuple(said)


def _conditioned(signal: FloatArray, source_rate: float, options: PreprocessingOptions) -> _Signals:
    """Return a signal (n_samples, n_leads) at the study's rate: raw, clean and smoothed."""
    rate = options.sampling_rate
    signal = np.ascontiguousarray(signal, dtype=np.float32)
    bridged, gaps = filters.bridge(signal)
    idle = np.ptp(bridged, axis=0) == 0 if len(signal) else np.ones(signal.shape[1], np.bool_)
    # A lead that is missing throughout is no gap: it would reject every beat of the other leads.
    gaps[:, gaps.all(axis=0)] = False
    fault = ""
    if len(signal) < SHORTEST_S * source_rate:
        fault = f"It lasts {len(signal) / source_rate:.1f} s; at least {SHORTEST_S:g} s are needed."
    elif idle.all():
        fault = "Its signal is flat."
    if len(signal) < 2:
        empty = np.zeros((0, signal.shape[1]), dtype=np.float32)
        nowhere = empty.astype(np.bool_)
        return _Signals(empty, empty, empty, nowhere, nowhere, empty, idle, None, fault)
    jumps = quality.artefacts(bridged, source_rate)
    raw = filters.resample(bridged, source_rate, rate)
    even = raw
    if jumps.any():
        even = filters.resample(filters.bridge(bridged, jumps)[0], source_rate, rate)
    notch = _notch(even, rate, options.notch_hz)
    clean = filters.clean(
        even, rate, highpass_hz=options.highpass_hz, lowpass_hz=options.lowpass_hz, notch_hz=notch
    )
    clean[:, idle] = 0.0
    smoothed = filters.moving_average(clean, rate, options.smoothing_ms)
    fine = clean - filters.moving_average(clean, rate, quality.FINE_MS)
    gaps = _at_rate(gaps, source_rate, rate, len(raw))
    if gaps.any():
        raw = np.where(gaps, np.float32(np.nan), raw)
    return _Signals(
        raw=raw,
        clean=clean,
        smoothed=smoothed,
        gaps=gaps,
        artefacts=_at_rate(jumps, source_rate, rate, len(raw)),
        fine=fine,
        idle=idle,
        notch_hz=notch,
        fault=fault,
    )


def _any_lead(mask: BoolArray) -> BoolArray:
    """Return where (n_samples,) any lead of a mask (n_samples, n_leads) is marked."""
    return np.asarray(mask.any(axis=1), dtype=np.bool_)


def _notch(
    signal: FloatArray, sampling_rate: float, wanted: filters.Notch
) -> Literal[50, 60] | None:
    if wanted == "auto":
        return filters.power_line_frequency(signal, sampling_rate)
    return None if wanted == "off" else wanted


def _at_rate(
    mask: BoolArray, source_rate: float, sampling_rate: float, n_samples: int
) -> BoolArray:
    """Return a mask (n, n_leads) at another rate; a run keeps at least the samples it touches."""
    result = np.zeros((n_samples, mask.shape[1]), dtype=np.bool_)
    for lead in np.flatnonzero(mask.any(axis=0)):
        first, last = quality.runs(mask[:, lead])
        starts = np.floor(first * sampling_rate / source_rate)
        stops = np.ceil(last * sampling_rate / source_rate) + 1
        depth = np.zeros(n_samples + 1, dtype=np.int64)
        np.add.at(depth, np.minimum(starts.astype(np.int64), n_samples), 1)
        np.add.at(depth, np.minimum(stops.astype(np.int64), n_samples), -1)
        result[:, lead] = np.cumsum(depth[:-1]) > 0
    return result

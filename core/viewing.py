"""A long signal and a window of it -> the points that a screen can show, in few bytes.

Where samples are few they go as they are. Else each window of at most a pixel becomes its lowest
and highest sample, in the order in which they come (MinMax, `tsdownsample`): no spike is lost.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.recording import FloatArray

Int16Array = npt.NDArray[np.int16]
TimeArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MISSING = -32768
"""Stands for a value that was not measured."""
STEPS = 65_532
"""Of the 16-bit numbers, between the lowest and the highest value of a series."""
BUDGET_BYTES = 20_000
"""What a view may weigh."""
HEAD_BYTES = 600
SERIES_BYTES = 130
"""What the text that describes a view and one of its series takes at most."""
MOST_MARKS = 250
"""Beats that are told one by one; of more, a bit a pixel tells where there are some."""
MARGINS = (1.0, 0.5, 0.25, 0.1, 0.0)
"""Of a view, what is sent before and after it, for when it is moved: the first that fits."""


@dataclass(frozen=True, eq=False)
class Points:
    """A stretch of one signal, to draw.

    Attributes:
        first_s: Time of the first window, in seconds.
        step_s: Length of a window, in seconds; that of a sample where `per_step` is 1.
        per_step: 1: samples themselves. 2: of each window the two extremes, in order of time.
        values: (n * per_step,) numbers; `MISSING` where there is none.
        scale: Value of one step of `values`.
        zero: Value of 0.
    """

    first_s: float
    step_s: float
    per_step: int
    values: Int16Array
    scale: float
    zero: float

    def decoded(self) -> npt.NDArray[np.float64]:
        """Return the values in the signal's unit, NaN where there is none."""
        found = self.values * self.scale + self.zero
        return np.where(self.values == MISSING, np.nan, found)


@dataclass(frozen=True)
class Part:
    """A stretch of one lead that is to be shown, in seconds."""

    lead: int
    start_s: float
    end_s: float


@dataclass(frozen=True, eq=False)
class Layer:
    """One kind of signal of a recording.

    Attributes:
        kind: ``raw``, ``clean``, ``smoothed`` or ``generated``.
        signal: (n_leads, n_samples) float, memory-mapped where it is long.
        sampling_rate: In Hz.
    """

    kind: str
    signal: FloatArray
    sampling_rate: float


def points(
    signal: FloatArray,
    sampling_rate: float,
    start_s: float,
    end_s: float,
    *,
    px_per_s: float,
    most: int,
) -> Points:
    """Return what to draw of a signal (n_samples,) from one time to another.

    Windows begin at multiples of their length from the signal's begin, so that they stay where they
    are when a view is moved. They are no longer than a pixel, unless `most` forbids it.

    Args:
        signal: (n_samples,) of any float type; NaN where missing.
        sampling_rate: In Hz.
        start_s: Begin; what is outside the signal is left out.
        end_s: End.
        px_per_s: Pixels to a second.
        most: Numbers that may be sent, at least 4.
    """
    first, last = _range(len(signal), sampling_rate, start_s, end_s)
    n = last - first
    if n <= most:
        return _encoded(np.asarray(signal[first:last]), first, 1, 1, sampling_rate)
    size = max(2, int(sampling_rate / px_per_s), -(-2 * n // (most - 2)))
    first -= first % size
    last = min(len(signal), last + (-last) % size)
    return _encoded(_extremes(signal[first:last], size), first, size, 2, sampling_rate)


def _range(n_samples: int, rate: float, start_s: float, end_s: float) -> tuple[int, int]:
    """Return the first sample of a stretch and the one after its last, one more at each side."""
    first = int(np.clip(np.floor(start_s * rate), 0, n_samples))
    last = int(np.clip(np.ceil(end_s * rate) + 1, first, n_samples))
    return first, last


def _extremes(values: FloatArray, size: int) -> FloatArray:
    """Return the lowest and the highest of each `size` values, in order; the last may be fewer."""
    from tsdownsample import MinMaxDownsampler

    whole = len(values) // size
    found = [np.empty(0, dtype=values.dtype)]
    if whole:
        even = np.ascontiguousarray(values[: whole * size])
        places = MinMaxDownsampler().downsample(even, n_out=2 * whole).astype(np.int64)
        # Rounding may cost its last window the last sample: that window is done below.
        found.append(even[places[:-2]])
    for start in range(max(0, whole - 1) * size, len(values), size):
        found.append(_ends(values[start : start + size]))
    return np.concatenate(found)


def _ends(window: FloatArray) -> FloatArray:
    """Return the lowest and the highest value of one window, in the order in which they come."""
    held = np.flatnonzero(np.isfinite(window))
    if not len(held):
        return np.full(2, np.nan, dtype=window.dtype)
    return window[np.sort(held[[np.argmin(window[held]), np.argmax(window[held])]])]


def _encoded(values: FloatArray, first: int, size: int, per_step: int, rate: float) -> Points:
    held = np.isfinite(values)
    low, high = (values[held].min(), values[held].max()) if held.any() else (0.0, 0.0)
    zero, scale = (float(low) + float(high)) / 2, (float(high) - float(low)) / STEPS or 1.0
    steps = np.full(len(values), MISSING, dtype=np.int16)
    steps[held] = np.rint((values[held].astype(np.float64) - zero) / scale).astype(np.int16)
    return Points(first / rate, size / rate, per_step, steps, scale, zero)


def overview(signal: FloatArray, sampling_rate: float, px: int) -> Points:
    """Return a whole signal (n_samples,) in two numbers a pixel."""
    length_s = max(len(signal), 1) / sampling_rate
    return points(signal, sampling_rate, 0, length_s, px_per_s=px / length_s, most=2 * px + 2)


def pack(
    layers: Sequence[Layer],
    parts: Sequence[Part],
    *,
    px_per_s: float,
    peaks_s: TimeArray,
    refused: BoolArray,
    budget: int = BUDGET_BYTES,
    **told: Any,
) -> bytes:
    """Return a view as bytes: a length, a JSON text of that length, numbers.

    The text holds what is `told`; ``server_ms``, how long it took; ``series``, a list of ``[kind,
    lead, first_s, step_s, per_step, scale, zero, place, count]`` of 16-bit numbers; and ``beats``,
    ``[step_s, first_s, place of the kept, count, place of the refused, count]``. Where ``step_s``
    is 0, these are 32-bit floats, seconds from ``first_s``; else bits, one a step. Places are in
    bytes after the text.

    Args:
        layers: What is shown, one over another.
        parts: Where of it, with one margin for all beside them as far as the budget goes.
        px_per_s: Pixels to a second.
        peaks_s: (n,) times of R peaks in seconds, ascending.
        refused: (n,) which of them are of beats that were left out.
        budget: What the bytes may be.
        told: What else the text holds, ready for JSON.
    """
    began = time.perf_counter()
    start_s, end_s = min(p.start_s for p in parts), max(p.end_s for p in parts)
    n_series = len(layers) * len(parts)
    numbers = (budget - HEAD_BYTES - SERIES_BYTES * n_series - 8 * MOST_MARKS) // 2
    margin = _margin(layers, parts, px_per_s, numbers)
    blobs: list[bytes] = []
    series = []
    length_s = sum(p.end_s - p.start_s for p in parts) * (1 + 2 * margin) * len(layers)
    for layer in layers:
        for part in parts:
            beside = margin * (part.end_s - part.start_s)
            share = (part.end_s - part.start_s + 2 * beside) / max(length_s, 1e-9)
            found = points(
                layer.signal[part.lead],
                layer.sampling_rate,
                part.start_s - beside,
                part.end_s + beside,
                px_per_s=px_per_s,
                most=max(8, int(numbers * share)),
            )
            place = _add(blobs, found.values.tobytes())
            shape = (layer.kind, part.lead, found.first_s, found.step_s, found.per_step)
            series.append([*shape, found.scale, found.zero, place, len(found.values)])
    beside = margin * (end_s - start_s)
    beats = _marks(blobs, peaks_s, refused, start_s - beside, end_s + beside, px_per_s)
    told |= {"series": series, "beats": beats}
    told["server_ms"] = round((time.perf_counter() - began) * 1000, 2)
    head = json.dumps(told, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 4)
    return struct.pack("<I", len(head)) + head + b"".join(blobs)


def _margin(layers: Sequence[Layer], parts: Sequence[Part], px_per_s: float, numbers: int) -> float:
    """Return the widest margin with which no window has to be longer than a pixel."""
    for margin in MARGINS[:-1]:
        needed = 0.0
        for layer in layers:
            per_s = layer.sampling_rate
            size = int(per_s / px_per_s)
            if size > 2:
                per_s = 2 * per_s / size
            needed += per_s * sum(p.end_s - p.start_s for p in parts) * (1 + 2 * margin)
        if needed + 8 * len(layers) * len(parts) <= numbers:
            return margin
    return MARGINS[-1]


def _add(blobs: list[bytes], data: bytes) -> int:
    """Add bytes, filled up to whole 32 bits; return their place."""
    place = sum(map(len, blobs))
    blobs.append(data + b"\0" * (-len(data) % 4))
    return place


def _marks(
    blobs: list[bytes],
    peaks_s: TimeArray,
    refused: BoolArray,
    start_s: float,
    end_s: float,
    px_per_s: float,
) -> list[float]:
    """Add the beats of a stretch, and one more at each side; return how they are told."""
    low, high = np.searchsorted(peaks_s, [start_s, end_s])
    inside = slice(max(0, int(low) - 1), int(high) + 1)
    times, out = peaks_s[inside], refused[inside]
    told: list[float] = []
    if len(times) <= MOST_MARKS:
        told += [0.0, start_s]
        for chosen in (times[~out], times[out]):
            place = _add(blobs, (chosen - start_s).astype(np.float32).tobytes())
            told += [place, len(chosen)]
        return told
    told += [1 / px_per_s, start_s]
    steps = np.floor((times - start_s) * px_per_s).astype(np.int64)
    n_steps = int(np.ceil((end_s - start_s) * px_per_s)) + 1
    within = (steps >= 0) & (steps < n_steps)
    for members in (within & ~out, within & out):
        bits = np.zeros(n_steps, dtype=np.bool_)
        bits[steps[members]] = True
        told += [_add(blobs, np.packbits(bits, bitorder="little").tobytes()), n_steps]
    return told


def unpack(data: bytes) -> tuple[dict[str, Any], list[Points], TimeArray, TimeArray]:
    """Return the text of a view, its series, and the times of its beats, kept and refused."""
    (length,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + length])
    body = data[4 + length :]
    series = [
        Points(first, step, per, np.frombuffer(body, np.int16, count, place), scale, zero)
        for _, _, first, step, per, scale, zero, place, count in head["series"]
    ]
    step_s, first_s, *places = head["beats"]
    beats = []
    for place, count in (places[:2], places[2:]):
        if not step_s:
            beats.append(first_s + np.frombuffer(body, np.float32, count, place).astype(float))
            continue
        packed = np.frombuffer(body, np.uint8, -(-count // 8), place)
        steps = np.flatnonzero(np.unpackbits(packed, bitorder="little", count=count))
        beats.append(first_s + (steps + 0.5) * step_s)
    return head, series, beats[0], beats[1]

"""Recordings -> a PDF that prints them on ECG paper at true scale, 25 mm/s and 10 mm/mV.

One unit of the drawing is one millimetre of paper. Twelve standard leads are printed 3 x 4 with a
rhythm strip of II, one lead as rows that follow one another, several leads as a row each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.errors import UserError
from core.measuring import NOT_TOLD, measure_recording
from core.plots.style import COLOURS, GENERATED, SYNTHETIC
from core.preprocessing import filters
from core.preprocessing.leads import choose_leads
from core.recording import MILLIVOLT, SIMULATED, FloatArray, Recording
from core.recording import SYNTHETIC as SYNTHETIC_REMARK
from core.whole_file import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NOTICE = "Research use only. Not a medical device."
PAPERS_MM: dict[str, tuple[float, float]] = {"A4": (297.0, 210.0), "letter": (279.4, 215.9)}
"""Width and height, landscape."""
MM_PER_INCH = 25.4
SPEEDS_MM_S: tuple[float, ...] = (25.0, 50.0)
GAINS_MM_MV: tuple[float, ...] = (5.0, 10.0, 20.0)
ROW_MM = 250.0
"""Of signal in a row: 10 s at 25 mm/s."""
PULSE_S, PULSE_MV = 0.2, 1.0
BEFORE_MM = 10.0
"""Of paper before a row, for the calibration pulse."""
ROW_HEIGHT_MM, N_ROWS = 40.0, 4
BOTTOM_MM, TOP_MM = 16.0, 14.0
"""Of the page under and above the paper's grid and head."""
STANDARD = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")
GRID_3X4 = (("I", "AVR", "V1", "V4"), ("II", "AVL", "V2", "V5"), ("III", "AVF", "V3", "V6"))
RHYTHM = "II"
HIGHPASS_HZ, LOWPASS_HZ = 0.5, 40.0
MARGIN_S = 20.0
"""Of signal around what is printed, for its filter to settle."""
UNSCALED_MM = 30.0
"""Height of a signal of unknown unit."""
RULER_MM = 50.0
FINE, COARSE, INK, GREY = "#f5cfcf", "#e39a9a", "#111111", "#555555"
FINE_PT, COARSE_PT, TRACE_PT = 0.25, 0.5, 0.8
PT_PER_MM = 72 / MM_PER_INCH


@dataclass(frozen=True, kw_only=True)
class PrintOptions:
    """How recordings are printed.

    Attributes:
        start_s: Where in the recording the page begins, in s.
        mm_per_s: Of `SPEEDS_MM_S`.
        mm_per_mv: Of `GAINS_MM_MV`.
        signal: ``clean``: filtered; ``raw``: as it was recorded.
        paper: A key of `PAPERS_MM`.
    """

    start_s: float = 0.0
    mm_per_s: float = 25.0
    mm_per_mv: float = 10.0
    signal: Literal["clean", "raw"] = "clean"
    paper: str = "A4"


@dataclass(frozen=True, eq=False)
class _Trace:
    """A stretch of one lead where it is printed.

    Attributes:
        name: Of the lead.
        column: Of the signal.
        row: On the page, from the top.
        x_mm: Where it begins, from the beginning of its row.
        from_s: When it begins, from the beginning of the page.
        to_s: When it ends.
    """

    name: str
    column: int
    row: int
    x_mm: float
    from_s: float
    to_s: float


def check_pdf_path(out: str | Path) -> None:
    """Raise a `UserError` unless a name ends in ``.pdf`` and its folder is there."""
    path = Path(out)
    if path.suffix.lower() != ".pdf":
        raise UserError(path, "is not a name for a printed page", "End it in .pdf")
    if not path.absolute().parent.is_dir():
        raise UserError(path, "its folder is not there", "Make it, or choose another")


def print_recording(
    recording: Recording,
    out: Path,
    *,
    measures: dict[str, Any] | None = None,
    leads: Sequence[str] | Literal["all"] | None = "all",
    options: PrintOptions | None = None,
) -> None:
    """Print a recording; the same recording gives the same bytes.

    Args:
        recording: What was measured on a person.
        out: A name that ends in ``.pdf``.
        measures: What `core.measuring.measure_recording` gives, for the head; measured if None.
        leads: Names of leads, ``"all"``, or None for one.
        options: How to print it.

    Raises:
        UserError: A lead is not there, an option is not allowed, or the file cannot be written.
    """
    measures = measure_recording(recording) if measures is None else measures
    print_recordings([(recording, measures)], out, leads=leads, options=options)


def print_recordings(
    recordings: Sequence[tuple[Recording, dict[str, Any]]],
    out: Path,
    *,
    leads: Sequence[str] | Literal["all"] | None = "all",
    options: PrintOptions | None = None,
) -> None:
    """Print recordings and their measures into one file, a page or more each.

    Raises:
        UserError: See `print_recording`.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages

    check_pdf_path(out)
    how = options or PrintOptions()
    _check(how)
    settings: Any = {
        "path.simplify": False,
        "pdf.fonttype": 3,
        "font.family": "DejaVu Sans",
        "text.parse_math": False,
    }
    with (
        written_whole(out) as temporary,
        mpl.rc_context(settings),
        PdfPages(temporary, metadata={"Title": out.stem, "CreationDate": None}) as pdf,
    ):
        for recording, measures in recordings:
            for page in _pages(recording, measures, leads, how):
                pdf.savefig(page)


def _check(how: PrintOptions) -> None:
    for name, value, allowed in (
        ("--speed", how.mm_per_s, SPEEDS_MM_S),
        ("--gain", how.mm_per_mv, GAINS_MM_MV),
        ("--paper", how.paper, tuple(PAPERS_MM)),
    ):
        if value not in allowed:
            raise UserError(
                name, f"{value!r} is not allowed", f"Choose one of {', '.join(map(str, allowed))}"
            )


def _pages(
    recording: Recording,
    measures: dict[str, Any],
    leads: Sequence[str] | Literal["all"] | None,
    how: PrintOptions,
) -> Iterator[Any]:
    """Yield the pages of a recording as figures."""
    chosen = choose_leads(recording.leads, leads, units=recording.units, where=recording.path)
    names = [recording.leads[i] for i in chosen]
    if not 0 <= how.start_s < max(recording.duration, 1e-9):
        raise UserError(
            "--start",
            f"{how.start_s:g} s is not within the recording",
            f"Give 0 to {recording.duration:g}",
        )
    pages = list(_layout(names, ROW_MM / how.mm_per_s))
    length_s = max(trace.to_s for trace in pages[0])
    signal, filter_words = _signal(recording, chosen, how, length_s)
    unknown = [i for i, k in enumerate(chosen) if recording.units[k] != MILLIVOLT]
    height_mm = signal * how.mm_per_mv
    for i in unknown:
        height_mm[:, i] = _fitted(signal[:, i])
    shown_s = (how.start_s, min(how.start_s + length_s, recording.duration))
    for number, traces in enumerate(pages):
        page, axes, origin = _sheet(how, volts=len(unknown) < len(chosen))
        _draw(axes, origin, traces, height_mm, recording, how, unknown)
        _head(axes, recording, measures, how)
        said = [
            f"{how.mm_per_s:g} mm/s",
            "amplitude on no scale: unit unknown"
            if len(unknown) == len(chosen)
            else f"{how.mm_per_mv:g} mm/mV",
            filter_words,
            f"{recording.sampling_rate:g} Hz",
            f"{shown_s[0]:g} to {shown_s[1]:g} s of {recording.duration:g} s",
        ]
        if len(pages) > 1:
            said.append(f"page {number + 1} of {len(pages)}")
        _foot(axes, said, how)
        yield page


def _layout(names: Sequence[str], row_s: float) -> Iterator[list[_Trace]]:
    """Yield what stands where, a list a page."""
    upper = [name.upper() for name in names]
    if set(STANDARD) <= set(upper):
        part_s, part_mm = row_s / 4, ROW_MM / 4
        traces = [
            _Trace(
                names[upper.index(name)],
                upper.index(name),
                row,
                k * part_mm,
                k * part_s,
                (k + 1) * part_s,
            )
            for row, line in enumerate(GRID_3X4)
            for k, name in enumerate(line)
        ]
        at = upper.index(RHYTHM)
        yield [*traces, _Trace(names[at], at, len(GRID_3X4), 0.0, 0.0, row_s)]
    else:
        # Few leads go on in time, below.
        for first in range(0, len(names), N_ROWS):
            own = names[first : first + N_ROWS]
            yield [
                _Trace(
                    name,
                    first + k,
                    turn * len(own) + k,
                    0.0,
                    turn * row_s,
                    (turn + 1) * row_s,
                )
                for turn in range(N_ROWS // len(own) if len(names) <= N_ROWS else 1)
                for k, name in enumerate(own)
            ]


def _fitted(values: FloatArray) -> FloatArray:
    """Return values (n,) in mm around 0 such that all but a few fit into `UNSCALED_MM`."""
    if not np.isfinite(values).any():
        return values
    low, high = np.nanpercentile(values, (0.1, 99.9))
    share = (values - (low + high) / 2) / (high - low if high > low else 1.0)
    return np.asarray(UNSCALED_MM * share, dtype=np.float32)


def _signal(
    recording: Recording, chosen: Sequence[int], how: PrintOptions, length_s: float
) -> tuple[FloatArray, str]:
    """Return the signal (n_samples, n_leads) of a page, NaN where missing, and its filter."""
    rate = recording.sampling_rate
    first = round(how.start_s * rate)
    last = min(len(recording.signal), first + round(length_s * rate) + 1)
    if how.signal == "raw":
        return recording.signal[first:last, chosen], "no filter"
    margin = round(MARGIN_S * rate)
    start = max(0, first - margin)
    bridged, gaps = filters.bridge(recording.signal[start : last + margin, chosen])
    lowpass = min(LOWPASS_HZ, 0.45 * rate)
    notch = filters.power_line_frequency(bridged, rate)
    if len(bridged):
        bridged = filters.clean(
            bridged, rate, highpass_hz=HIGHPASS_HZ, lowpass_hz=lowpass, notch_hz=notch
        )
    signal = np.where(gaps, np.float32(np.nan), bridged)[first - start : last - start]
    words = f"filter {HIGHPASS_HZ:g} to {lowpass:g} Hz"
    return signal, words + (f", mains {notch} Hz removed" if notch else "")


def _sheet(how: PrintOptions, *, volts: bool) -> tuple[Any, Axes, tuple[float, float]]:
    """Return a page, its axes in mm, and the lower left corner of its grid, which is drawn."""
    from matplotlib.figure import Figure

    width, height = PAPERS_MM[how.paper]
    page = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH))
    axes = page.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    across, up = BEFORE_MM + ROW_MM, ROW_HEIGHT_MM * N_ROWS
    left, bottom = (width - across) / 2, BOTTOM_MM
    for step, colour, points in ((1.0, FINE, FINE_PT), (5.0, COARSE, COARSE_PT)):
        lines = [(x, 0.0, x, up) for x in np.arange(0, across + step / 2, step)]
        # Squares of unknown height are none: without a unit there are lines of time only.
        heights = np.arange(0, up + step / 2, step) if volts else (0.0, up)
        lines += [(0.0, y, across, y) for y in heights]
        ends = np.array(lines) + np.array([left, bottom, left, bottom])
        gap = np.full(len(ends), np.nan)
        axes.plot(
            np.column_stack([ends[:, 0], ends[:, 2], gap]).ravel(),
            np.column_stack([ends[:, 1], ends[:, 3], gap]).ravel(),
            color=colour,
            linewidth=points,
            solid_capstyle="butt",
        )
    return page, axes, (left, bottom)


def _draw(
    axes: Axes,
    origin: tuple[float, float],
    traces: Sequence[_Trace],
    height_mm: FloatArray,
    recording: Recording,
    how: PrintOptions,
    unknown: Sequence[int],
) -> None:
    """Draw traces whose signals (n_samples, n_leads) are in mm, and a calibration pulse a row."""
    from matplotlib.patches import Rectangle

    rate = recording.sampling_rate
    colour = COLOURS[GENERATED] if _synthetic(recording) else INK
    tall = ROW_HEIGHT_MM * N_ROWS
    paper = Rectangle(origin, BEFORE_MM + ROW_MM, tall, transform=axes.transData)
    for row in sorted({trace.row for trace in traces}):
        middle = origin[1] + tall - (row + 0.5) * ROW_HEIGHT_MM
        seconds = len(height_mm) / rate
        own = [trace for trace in traces if trace.row == row and trace.from_s < seconds]
        if any(trace.column not in unknown for trace in own):
            _pulse(axes, origin[0] + 1, middle, how)
        for trace in own:
            first, last = round(trace.from_s * rate), round(trace.to_s * rate) + 1
            values = height_mm[first:last, trace.column]
            x = origin[0] + BEFORE_MM + trace.x_mm
            at = (np.arange(first, first + len(values)) / rate - trace.from_s) * how.mm_per_s
            inside = at <= (trace.to_s - trace.from_s) * how.mm_per_s + 1e-9
            offset = how.signal == "raw" and trace.column not in unknown
            centre = np.nanmedian(values) if offset and np.isfinite(values).any() else 0.0
            y = middle + values - centre
            (line,) = axes.plot(x + at[inside], y[inside], color=colour, linewidth=TRACE_PT)
            line.set_clip_path(paper)
            if trace.x_mm:
                axes.plot([x, x], [middle - 2, middle + 2], color=INK, linewidth=TRACE_PT)
            later = "" if trace.x_mm or not trace.from_s else f"   {how.start_s + trace.from_s:g} s"
            axes.text(
                x + 1,
                middle + ROW_HEIGHT_MM / 2 - 5,
                trace.name + later,
                fontsize=9,
                fontweight="bold",
            )


def _pulse(axes: Axes, x: float, y: float, how: PrintOptions) -> None:
    """Draw 1 mV for 200 ms, with 1 mm before and after it."""
    width, height = PULSE_S * how.mm_per_s, PULSE_MV * how.mm_per_mv
    after = x + 1 + width
    axes.plot(
        [x, x + 1, x + 1, after, after, after + 1],
        [y, y, y + height, y + height, y, y],
        color=INK,
        linewidth=TRACE_PT,
        solid_joinstyle="miter",
    )


def _head(axes: Axes, recording: Recording, measures: dict[str, Any], how: PrintOptions) -> None:
    """Write above the grid whose recording it is, and what was measured on it."""
    width, height = PAPERS_MM[how.paper]
    left = (width - BEFORE_MM - ROW_MM) / 2
    told = [recording.path.name]
    told += [f"subject {recording.subject}"] if recording.subject else []
    told += [recording.session] if recording.session else []
    axes.text(left, height - TOP_MM, "   ".join(told), fontsize=11, fontweight="bold", va="top")
    mark = SYNTHETIC if _synthetic(recording) else ""
    mark = mark or ("SIMULATED" if SIMULATED in recording.remarks else "")
    if mark:
        axes.text(
            left + BEFORE_MM + ROW_MM,
            height - TOP_MM,
            mark,
            fontsize=13,
            fontweight="bold",
            color=COLOURS[GENERATED],
            ha="right",
            va="top",
        )
    axes.text(left, height - TOP_MM - 7, _measured(measures), fontsize=8.5, va="top")


def _measured(measures: dict[str, Any]) -> str:
    """Return the measures of a recording in one line."""
    rate, rr = measures["heart_rate"], measures["rr_ms"]
    intervals, judged = measures["intervals_ms"], measures["quality"]

    def number(value: float | None) -> str:
        return NOT_TOLD if value is None else f"{value:.0f}"

    said = [
        f"Rate {number(rate['mean'])} /min ({number(rate['min'])} to {number(rate['max'])})",
        f"RR {number(rr['mean'])} ms, SD {number(rr['sd'])}",
        f"PR {number(intervals['pr'])} ms",
        f"QRS {number(intervals['qrs'])} ms",
        f"QT {number(intervals['qt'])} ms",
        f"QTc {number(intervals['qtc'])} (Bazett), {number(intervals['qtc_fridericia'])} "
        "(Fridericia) ms",
        f"signal {judged['verdict']}",
        f"measured on {', '.join(measures['leads'])}",
    ]
    return "    ".join(said)


def _foot(axes: Axes, said: Sequence[str], how: PrintOptions) -> None:
    """Write under the grid on what scale it is, a ruler to check the print, and the notice."""
    width = PAPERS_MM[how.paper][0]
    left, right = (width - BEFORE_MM - ROW_MM) / 2, (width + BEFORE_MM + ROW_MM) / 2
    axes.text(left, BOTTOM_MM - 2, "    ".join(said), fontsize=8.5, va="top")
    axes.text(right, BOTTOM_MM - 2, NOTICE, fontsize=8.5, va="top", ha="right", fontweight="bold")
    ruler = [left, left, left, left + RULER_MM, left + RULER_MM, left + RULER_MM]
    axes.plot(ruler, np.array([-1, 1, 0, 0, 1, -1]) + 6.0, color=INK, linewidth=TRACE_PT)
    axes.text(
        left + RULER_MM + 2,
        6.0,
        f"{RULER_MM:g} mm: print at 100 %, not fitted to the page",
        fontsize=7,
        color=GREY,
        va="center",
    )


def _synthetic(recording: Recording) -> bool:
    return SYNTHETIC_REMARK in recording.remarks

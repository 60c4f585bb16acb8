"""Printed pages, measured in the PDF itself: true to 0.2 mm, marked, the same bytes each time."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from core.errors import UserError
from core.plots.paper_print import (
    COARSE,
    FINE,
    INK,
    NOTICE,
    PAPERS_MM,
    STANDARD,
    PrintOptions,
    print_recording,
)
from core.plots.style import COLOURS, GENERATED
from core.recording import MILLIVOLT, SYNTHETIC, UNKNOWN_UNIT, Recording

MM = 25.4 / 72
TRUE_MM = 0.2
RATE = 500.0
Path2D = npt.NDArray[np.float64]


def made(
    leads: Sequence[str] = ("II",),
    *,
    seconds: float = 40.0,
    rr_s: float = 0.8,
    unit: str = MILLIVOLT,
) -> Recording:
    """R waves of 1 mV, `rr_s` apart, the first at 0.5 s; no baseline, nothing else."""
    at = np.arange(round(seconds * RATE)) / RATE
    phase = (at - 0.5 + rr_s / 2) % rr_s - rr_s / 2
    wave = np.where(np.abs(phase) < 0.04, 0.5 * (1 + np.cos(np.pi * phase / 0.04)), 0.0)
    return Recording(
        signal=np.tile(wave[:, None], (1, len(leads))).astype(np.float32),
        sampling_rate=RATE,
        leads=tuple(leads),
        units=(unit,) * len(leads),
        record="made",
        path=Path("made.hea"),
        subject="Ann",
    )


def pages(content: bytes) -> list[list[tuple[tuple[float, ...], Path2D]]]:
    """Return the lines of each page of a PDF: colour, and points (n, 2) in mm from its lower left.

    A page's stream is a row of operands and operators: ``m`` begins a line, ``l`` goes on with
    it, ``S`` draws what was gathered in the colour that ``RG`` or ``G`` set, ``q`` and ``Q`` keep
    that colour and bring it back.
    """
    return [_lines(text) for text in _streams(content) if "/DeviceRGB CS" in text]


def _streams(content: bytes) -> list[str]:
    """Return the streams of a PDF that are compressed, as text."""
    starts = [found.end() for found in re.finditer(rb"stream\r?\n(?=x)", content)]
    return [zlib.decompressobj().decompress(content[at:]).decode("latin-1") for at in starts]


def _lines(text: str) -> list[tuple[tuple[float, ...], Path2D]]:
    colour: tuple[float, ...] = ()
    kept: list[tuple[float, ...]] = []
    operands: list[float] = []
    gathered: list[list[tuple[float, float]]] = []
    drawn = []
    for word in text.split():
        if re.fullmatch(r"-?[\d.]+", word):
            operands.append(float(word))
            continue
        if word == "q":
            kept.append(colour)
        elif word == "Q":
            colour = kept.pop()
        elif word in ("RG", "G"):
            colour = tuple(operands[-3:]) if word == "RG" else (operands[-1],) * 3
        elif word == "m":
            gathered.append([(operands[-2] * MM, operands[-1] * MM)])
        elif word == "l":
            gathered[-1].append((operands[-2] * MM, operands[-1] * MM))
        elif word == "S":
            drawn += [(colour, np.array(one)) for one in gathered]
        if word in ("S", "n", "f"):
            gathered = []
        operands = []
    return drawn


def of_colour(page: list[tuple[tuple[float, ...], Path2D]], colour: str) -> list[Path2D]:
    wanted = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [line for drawn, line in page if np.allclose(drawn, wanted, atol=0.003)]


def printed(
    recording: Recording, tmp_path: Path, **options: object
) -> list[list[tuple[tuple[float, ...], Path2D]]]:
    out = tmp_path / "page.pdf"
    print_recording(recording, out, options=PrintOptions(**options))  # type: ignore[arg-type]
    return pages(out.read_bytes())


def traces(page: list[tuple[tuple[float, ...], Path2D]], colour: str = INK) -> list[Path2D]:
    return [line for line in of_colour(page, colour) if len(line) > 100]


def pulses(page: list[tuple[tuple[float, ...], Path2D]]) -> list[Path2D]:
    """Return the calibration pulses: up, along and down again."""
    return [line for line in of_colour(page, INK) if len(line) == 6 and np.ptp(line[:, 0]) < 20]


def peaks(trace: Path2D) -> Path2D:
    """Return the tips (n, 2) of the R waves of a trace."""
    y = trace[:, 1]
    tip = (y[1:-1] >= y[:-2]) & (y[1:-1] > y[2:]) & (y[1:-1] > y.min() + 0.6 * np.ptp(y))
    return trace[1:-1][tip]


@pytest.mark.parametrize("paper", ["A4", "letter"])
def test_page_and_squares_are_of_their_true_size(paper: str, tmp_path: Path) -> None:
    (page,) = printed(made(), tmp_path, paper=paper)
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+)", (tmp_path / "page.pdf").read_bytes())
    assert box is not None
    size = [float(side) * MM for side in box.groups()]
    assert size == pytest.approx(PAPERS_MM[paper], abs=TRUE_MM)
    for colour, step in ((FINE, 1.0), (COARSE, 5.0)):
        lines = of_colour(page, colour)
        for axis in (0, 1):
            at = sorted(line[0, axis] for line in lines if np.ptp(line[:, axis]) < 0.01)
            assert len(at) > 30
            # each line stands where it must from the first, not only next to its neighbour
            wrong = np.array(at) - at[0] - step * np.arange(len(at))
            assert np.abs(wrong).max() < TRUE_MM
            assert at[0] > 5
            assert at[-1] < PAPERS_MM[paper][axis] - 5


@pytest.mark.parametrize("mm_per_s", [25.0, 50.0])
@pytest.mark.parametrize("mm_per_mv", [5.0, 10.0, 20.0])
def test_pulse_and_signal_are_of_their_true_size(
    mm_per_s: float, mm_per_mv: float, tmp_path: Path
) -> None:
    """The pulse is 1 mV and 200 ms; R waves are 1 mV high, and 0.8 s apart."""
    how = {"mm_per_s": mm_per_s, "mm_per_mv": mm_per_mv, "signal": "raw"}
    (page,) = printed(made(), tmp_path, **how)
    found = pulses(page)
    assert len(found) == 4
    for pulse in found:
        assert np.ptp(pulse[:, 1]) == pytest.approx(mm_per_mv, abs=TRUE_MM)
        assert pulse[3, 0] - pulse[2, 0] == pytest.approx(0.2 * mm_per_s, abs=TRUE_MM)
    rows = traces(page)
    assert len(rows) == 4
    for row in rows:
        assert np.ptp(row[:, 0]) == pytest.approx(250, abs=TRUE_MM)
        assert np.ptp(row[:, 1]) == pytest.approx(mm_per_mv, abs=TRUE_MM)
        tips = peaks(row)
        assert np.abs(np.diff(tips[:, 0]) - 0.8 * mm_per_s).max() < TRUE_MM
        first = tips[0, 0] - tips[-1, 0]
        assert first == pytest.approx(-0.8 * mm_per_s * (len(tips) - 1), abs=TRUE_MM)


def test_rows_go_on_where_the_row_above_ended(tmp_path: Path) -> None:
    (page,) = printed(made(), tmp_path)
    rows = sorted(traces(page), key=lambda row: -row[:, 1].mean())
    left = min(row[0, 0] for row in rows)
    times = np.concatenate(
        [(peaks(row)[:, 0] - left) / 25 + 10 * number for number, row in enumerate(rows)]
    )
    np.testing.assert_allclose(times, 0.5 + 0.8 * np.arange(len(times)), atol=TRUE_MM / 25)
    assert len(times) == 50


def test_twelve_leads_are_three_by_four_with_a_rhythm_strip(tmp_path: Path) -> None:
    """Columns follow one another in time, so that R waves keep their distance across them."""
    (page,) = printed(made(STANDARD, seconds=10), tmp_path, signal="raw")
    rows = traces(page)
    short = [row for row in rows if np.ptp(row[:, 0]) < 63]
    assert len(rows) == 13
    assert len(short) == 12
    (rhythm,) = (row for row in rows if np.ptp(row[:, 0]) > 200)
    line = [row for row in short if abs(row[:, 1].min() - short[0][:, 1].min()) < 1]
    assert len(line) == 4
    tips = np.sort(np.concatenate([peaks(row)[:, 0] for row in line]))
    np.testing.assert_allclose(tips, peaks(rhythm)[:, 0], atol=TRUE_MM)
    assert len(pulses(page)) == 4


@pytest.mark.parametrize(("n_leads", "n_pages", "n_traces"), [(2, 1, 4), (3, 1, 3), (6, 2, 4)])
def test_few_leads_have_a_row_each(
    n_leads: int, n_pages: int, n_traces: int, tmp_path: Path
) -> None:
    found = printed(made([f"L{i}" for i in range(n_leads)]), tmp_path)
    assert len(found) == n_pages
    assert len(traces(found[0])) == n_traces


def test_a_page_may_begin_anywhere(tmp_path: Path) -> None:
    (page,) = printed(made(), tmp_path, start_s=20.0, signal="raw")
    rows = sorted(traces(page), key=lambda row: -row[:, 1].mean())
    assert len(rows) == 2
    assert len(pulses(page)) == 2
    first = (peaks(rows[0])[0, 0] - rows[0][0, 0]) / 25
    assert first == pytest.approx((0.5 - 20) % 0.8, abs=TRUE_MM / 25)
    with pytest.raises(UserError, match="not within the recording"):
        printed(made(), tmp_path, start_s=99.0)


def test_unknown_unit_has_no_scale_of_amplitude(tmp_path: Path) -> None:
    recording = replace(made(unit=UNKNOWN_UNIT), signal=1000 * made().signal)
    (page,) = printed(recording, tmp_path)
    assert not pulses(page)
    across = [line for line in of_colour(page, FINE) if np.ptp(line[:, 1]) < 0.01]
    assert len(across) == 2
    assert all(np.ptp(row[:, 1]) < 40 for row in traces(page))
    assert "unit unknown" in words(tmp_path / "page.pdf")
    assert "mm/mV" not in words(tmp_path / "page.pdf")


def test_page_says_what_it_is(tmp_path: Path) -> None:
    printed(made(), tmp_path)
    said = words(tmp_path / "page.pdf")
    for told in (
        *("made.hea", "subject Ann", "25 mm/s", "10 mm/mV", "lter 0.5 to 40 Hz", "500 Hz"),
        *("0 to 40 s of 40 s", NOTICE, "Rate 75 /min", "Bazett", "Fridericia", "50 mm: print at"),
    ):
        assert told in said, told
    assert "SYNTHETIC" not in said


def test_synthetic_pages_say_so_in_their_own_colour(tmp_path: Path) -> None:
    (page,) = printed(replace(made(), remarks=(SYNTHETIC,)), tmp_path)
    assert "SYNTHETIC" in words(tmp_path / "page.pdf")
    assert not traces(page)
    assert len(traces(page, COLOURS[GENERATED])) == 4


def test_missing_signal_is_not_drawn(tmp_path: Path) -> None:
    recording = made()
    recording.signal[1000:2000] = np.nan
    (page,) = printed(recording, tmp_path)
    top = sorted(traces(page), key=lambda row: -row[:, 1].mean())[:2]
    ends = sorted((row[0, 0], row[-1, 0]) for row in top)
    assert ends[1][0] - ends[0][1] == pytest.approx(50, abs=TRUE_MM)


def test_names_are_words_not_formulas(tmp_path: Path) -> None:
    odd = replace(made([r"$\q$"]), subject="$_$", path=Path(r"$\q$.csv"))
    print_recording(odd, tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").is_file()


def test_same_recording_same_bytes(tmp_path: Path) -> None:
    contents = set()
    for name in ("a.pdf", "b.pdf"):
        (tmp_path / name).unlink(missing_ok=True)
        out = tmp_path / name / "page.pdf"
        out.parent.mkdir()
        print_recording(made(), out)
        contents.add(out.read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [({"mm_per_s": 30.0}, "25.0, 50.0"), ({"mm_per_mv": 1.0}, "--gain"), ({"paper": "A5"}, "A4")],
)
def test_options_that_are_not_allowed_are_named(
    options: dict[str, object], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        printed(made(), tmp_path, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "told"), [("page.png", "End it in .pdf"), ("no/p.pdf", "folder")])
def test_names_that_cannot_be_are_refused(name: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        print_recording(made(), tmp_path / name)


@pytest.mark.parametrize(
    "file",
    [
        *("cinc2021/E07500.hea", "dicom/anonymous_ecg.dcm", "txt/ecg.txt"),
        *("wfdb_samples/03700181.hea", "philips_xml/129DYPRG.XML"),
    ],
)
def test_real_files_are_printed(file: str, shared_data: Path, tmp_path: Path) -> None:
    from core.readers import read_recording

    found = printed(read_recording(shared_data / "formats" / file), tmp_path)
    assert all(traces(page) for page in found)
    assert (tmp_path / "page.pdf").stat().st_size < 1_000_000


def words(file: Path) -> str:
    """Return all that a PDF says, without spaces between its texts' letters."""
    text = "\n".join(_streams(file.read_bytes()))
    blocks = re.findall(r"BT\n(.*?)\nET", text, re.DOTALL)
    return "\n".join("".join(re.findall(r"\(((?:[^()\\]|\\.)*)\)", block)) for block in blocks)

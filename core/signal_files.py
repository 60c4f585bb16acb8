"""A synthetic strip with its R peaks -> a WFDB record, an EDF+ file or a CSV file that says so."""

from __future__ import annotations

import re
import tempfile
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.provenance import SUBJECT_KEY, Provenance
from core.recording import MILLIVOLT, FloatArray, IntArray

SIGNAL_FORMATS = (".hea", ".dat", ".edf", ".csv")
R_PEAK_COLUMN = "R peak"
"""Column of a CSV file that is 1 at each R peak, else 0."""
_NO_UNIT = "adu"
"""What WFDB calls the unit of a signal that has none."""
_BEAT = "N"
"""PhysioNet's code of a normal beat."""
_LARGEST_16 = 2**15 - 1
_WFDB_NAME = re.compile(r"[A-Za-z0-9_-]+")
_ANONYMOUS_DATE = "01.01.85", "00.00.00"
"""What EDF+ prescribes where there is no date; it also makes two runs give one file."""
_LIMIT_WIDTH = 8
"""Letters of a physical limit in an EDF header."""
_RECORD_S = 1
"""An EDF data record, in s, where a whole number of samples fits it."""
_TAL_BYTES_A_SECOND = 120
"""Room for the texts of a second: four R peaks of 16 bytes, and the time of the record."""
_TAL_SEPARATOR, _TAL_END = "\x14", "\x00"


@dataclass(frozen=True, eq=False)
class Strip:
    """A continuous synthetic signal.

    Attributes:
        signal: (n_samples, n_leads) float32, in `unit`.
        sampling_rate: In Hz.
        leads: Name of each lead.
        unit: ``mV`` or ``unknown``.
        r_peaks: (n,) sample numbers, ascending; at least one.
        subject: Who it was drawn for.
        provenance: What made it.
    """

    signal: FloatArray
    sampling_rate: float
    leads: tuple[str, ...]
    unit: str
    r_peaks: IntArray
    subject: str
    provenance: Provenance


def check_signal_path(path: Path) -> None:
    """Refuse a name that no strip can have.

    Raises:
        UserError: Another ending, or a record name that WFDB does not allow.
    """
    if path.suffix.lower() not in SIGNAL_FORMATS:
        raise UserError(path, "is not a name for a strip", "End it in .hea (WFDB), .edf or .csv")
    if path.suffix.lower() in (".hea", ".dat") and not _WFDB_NAME.fullmatch(path.stem):
        raise UserError(
            path, "is not a name for a WFDB record", "Use letters, digits, hyphens and underscores"
        )


def write_strip(strip: Strip, path: Path) -> list[Path]:
    """Write a strip in the format that the ending tells; same strip, same bytes.

    Returns:
        The files; for WFDB the header, the signal and the R peaks (``.atr``).

    Raises:
        UserError: The name is none (`check_signal_path`), or the folder cannot be written.
    """
    check_signal_path(path)
    writer = {".edf": _write_edf, ".csv": _write_csv}.get(path.suffix.lower(), _write_wfdb)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            made = writer(strip, Path(folder) / path.name)
            for one in made:
                one.replace(path.parent / one.name)
    except OSError as error:
        raise UserError(
            path, f"cannot be written ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    return [path.parent / one.name for one in made]


def _write_wfdb(strip: Strip, path: Path) -> list[Path]:
    """Write header, 16-bit signal and ``.atr`` annotations (WFDB ``header(5)``, ``signal(5)``)."""
    import wfdb

    counts, gain = _counts(strip)
    name = path.stem
    wfdb.wrsamp(
        name,
        fs=strip.sampling_rate,
        units=[MILLIVOLT if strip.unit == MILLIVOLT else _NO_UNIT] * len(strip.leads),
        sig_name=[_ascii(lead) for lead in strip.leads],
        d_signal=counts,
        fmt=["16"] * len(strip.leads),
        adc_gain=[gain] * len(strip.leads),
        baseline=[0] * len(strip.leads),
        comments=[
            _ascii(line) for line in [*strip.provenance.lines(), f"Subject: {strip.subject}"]
        ],
        write_dir=str(path.parent),
    )
    files = [path.with_name(f"{name}.hea"), path.with_name(f"{name}.dat")]
    wfdb.wrann(
        name,
        "atr",
        strip.r_peaks,
        symbol=[_BEAT] * len(strip.r_peaks),
        fs=strip.sampling_rate,
        write_dir=str(path.parent),
    )
    return [*files, path.with_name(f"{name}.atr")]


def _counts(strip: Strip) -> tuple[npt.NDArray[np.int64], float]:
    """Return the signal in whole steps of a 16-bit file, and the steps a unit, a power of ten."""
    largest = float(np.abs(strip.signal).max(initial=0))
    gain = 10.0 ** np.floor(np.log10(_LARGEST_16 / largest)) if largest > 0 else 1.0
    return np.rint(strip.signal.astype(np.float64) * gain).astype(np.int64), gain


def _write_csv(strip: Strip, path: Path) -> list[Path]:
    """Write comment lines, names with units, and a row a sample."""
    unit = f" ({MILLIVOLT})" if strip.unit == MILLIVOLT else ""
    names = ["time (s)", *(f"{_cell(lead)}{unit}" for lead in strip.leads), R_PEAK_COLUMN]
    n = len(strip.signal)
    mark = np.zeros(n, np.int64)
    mark[strip.r_peaks] = 1
    lines = [*strip.provenance.lines(), f"Subject: {strip.subject}"]
    lines.append(f"Sampling rate: {strip.sampling_rate:.10g} Hz")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {line}\n" for line in lines)
        file.write(",".join(names) + "\n")
        times = np.arange(n) / strip.sampling_rate
        for time, values, peak in zip(times, strip.signal, mark, strict=True):
            cells = ",".join(f"{value:.6g}" for value in values)
            file.write(f"{time:.6f},{cells},{peak}\n")
    return [path]


def _write_edf(strip: Strip, path: Path) -> list[Path]:
    """Write EDF+C (Kemp & Olivan 2003): the leads, and a channel of texts."""
    counts, limit = _edf_counts(strip)
    samples, duration = _data_record(strip.sampling_rate, len(counts))
    n_records = -(-len(counts) // samples)
    missing = n_records * samples - len(counts)
    padded = np.pad(counts, ((0, missing), (0, 0)), mode="edge").astype("<i2")
    texts = _annotation_texts(strip, float(duration), n_records)
    room = max(_TAL_BYTES_A_SECOND, *(len(text) for text in texts))
    room += room % 2
    told = strip.provenance
    n_signals = len(strip.leads) + 1
    n_leads = len(strip.leads)
    patient = f"{_field(strip.subject)} X X X Synthetic, no person"
    equipment = f"CardioTwin_{_field(told.version)}"
    recording = (
        f"Startdate X X X {equipment} synthetic {told.model} seed {told.seed} {_ascii(told.study)}"
    )
    unit = MILLIVOLT if strip.unit == MILLIVOLT else ""
    head = [
        _fixed("0", 8),
        _fixed(patient, 80),
        _fixed(recording, 80),
        *(_fixed(part, 8) for part in _ANONYMOUS_DATE),
        _fixed(str(256 * (n_signals + 1)), 8),
        _fixed("EDF+C", 44),
        _fixed(str(n_records), 8),
        _fixed(f"{float(duration):.8g}", 8),
        _fixed(str(n_signals), 4),
    ]
    columns: list[tuple[list[str], str, int]] = [
        ([f"ECG {_ascii(lead)}" for lead in strip.leads], "EDF Annotations", 16),
        ([f"synthetic, {told.model}, {equipment}"] * n_leads, "", 80),
        ([unit] * n_leads, "", 8),
        ([f"-{limit}"] * n_leads, "-1", _LIMIT_WIDTH),
        ([limit] * n_leads, "1", _LIMIT_WIDTH),
        ([str(-_LARGEST_16)] * n_leads, "-32768", 8),
        ([str(_LARGEST_16)] * n_leads, "32767", 8),
        ([""] * n_leads, "", 80),
        ([str(samples)] * n_leads, str(room // 2), 8),
        ([""] * n_leads, "", 32),
    ]
    for own, of_texts, width in columns:
        head += [_fixed(text, width) for text in [*own, of_texts]]
    with path.open("wb") as file:
        file.write("".join(head).encode("ascii"))
        for i, text in enumerate(texts):
            block = padded[i * samples : (i + 1) * samples]
            file.write(np.ascontiguousarray(block.T).tobytes())
            file.write(text.ljust(room, b"\x00"))
    return [path]


def _edf_counts(strip: Strip) -> tuple[npt.NDArray[np.int64], str]:
    """Return the signal in whole steps, and the value of the largest step, as its header has it."""
    counts, gain = _counts(strip)
    limit = f"{_LARGEST_16 / gain:.7g}"
    if len(limit) < _LIMIT_WIDTH:
        return counts, limit
    limit = f"{_LARGEST_16 / gain:.1e}"
    scaled = strip.signal.astype(np.float64) * (_LARGEST_16 / float(limit))
    return np.rint(scaled).astype(np.int64), limit


def _data_record(rate: float, n_samples: int) -> tuple[int, Fraction]:
    """Return samples and length in s of an EDF data record: a second, or as many as come out even.

    A strip shorter than that has records of its own length.
    """
    exact = Fraction(rate).limit_denominator(1000)
    duration = Fraction(_RECORD_S * exact.denominator)
    samples = int(duration * exact)
    return (n_samples, n_samples / exact) if n_samples < samples else (samples, duration)


def _annotation_texts(strip: Strip, duration: float, n_records: int) -> list[bytes]:
    """Return the time-stamped lists (TAL) of each data record."""
    onset = strip.r_peaks / strip.sampling_rate
    owner = np.minimum((onset / duration).astype(np.int64), n_records - 1)
    texts = []
    for i in range(n_records):
        text = f"+{i * duration:.10g}{_TAL_SEPARATOR * 2}{_TAL_END}"
        if i == 0:
            said = f"{strip.provenance.sentence()}, {SUBJECT_KEY} {strip.subject}"
            text += f"+0{_TAL_SEPARATOR}{said}{_TAL_SEPARATOR}{_TAL_END}"
        for moment in onset[owner == i]:
            text += f"+{moment:.6f}{_TAL_SEPARATOR}{_BEAT}{_TAL_SEPARATOR}{_TAL_END}"
        texts.append(text.encode("utf-8"))
    return texts


def _ascii(text: str) -> str:
    """Return a text in one line of ASCII, as these headers want it, others escaped."""
    plain = "".join(
        c
        for c in unicodedata.normalize("NFKD", " ".join(text.split()))
        if not unicodedata.combining(c)
    )
    return plain.encode("ascii", "backslashreplace").decode("ascii")


def _field(text: str) -> str:
    """Return a text as one subfield of an EDF+ header, which has no blanks; X if it is empty."""
    return _ascii(text).replace(" ", "_") or "X"


def _fixed(text: str, width: int) -> str:
    return text[:width].ljust(width)


def _cell(text: str) -> str:
    return re.sub(r'[,#"\'\n\r]', " ", text)

"""Real files, checked against numbers that other code, or the file itself, gives for them."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pydicom
import pytest

from core.readers import read_recording
from core.recording import Recording

LIMB_AND_CHEST = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
# for f in ecgid/*/*.dat; do echo $f $(od -An -v -tx1 -w4 $f | uniq -c | sort -n | tail -1); done
ERASED = {
    "Person_13/rec_2": 2048,
    "Person_15/rec_1": 1024,
    "Person_25/rec_4": 2048,
    "Person_27/rec_3": 2048,
    "Person_83/rec_1": 1024,
}
PHILIPS = "{http://www3.medical.philips.com}"


def _agrees_with_checksums(header: Path) -> None:
    """Turn millivolts back to ADC values: their sum and the first one stand in the header."""
    recording = read_recording(header)
    lines = header.read_text().splitlines()[1 : 1 + len(recording.leads)]
    for line, lead, unit in zip(lines, recording.signal.T, recording.units, strict=True):
        fields = line.split()
        gain, _, rest = fields[2].partition("(")
        gain = gain.split("/")[0]
        baseline = int(rest.split(")")[0]) if rest else int(fields[4])
        adc = np.round(lead.astype(np.float64) * float(gain)).astype(np.int64) + baseline
        assert adc[0] == int(fields[5]), line
        assert (adc.sum() - int(fields[6])) % 2**16 == 0, line
        assert unit == ("mV" if "NU" not in fields[2] else "NU")


def test_every_ecg_id_recording_agrees_with_its_checksums(shared_data: Path) -> None:
    headers = sorted((shared_data / "ecgid").rglob("*.hea"))
    assert len(headers) == 147
    for header in headers:
        if f"{header.parent.name}/{header.stem}" not in ERASED:
            _agrees_with_checksums(header)


@pytest.mark.parametrize("name", ERASED)
def test_erased_blocks_are_gaps(name: str, shared_data: Path) -> None:
    recording = read_recording(shared_data / f"ecgid/{name}.hea")
    counts = np.fromfile(shared_data / f"ecgid/{name}.dat", "<i2").reshape(-1, 2)
    missing = np.isnan(recording.signal)
    assert missing[: ERASED[name]].all() and not missing[ERASED[name] :].any()
    np.testing.assert_allclose(
        recording.signal[ERASED[name] :], counts[ERASED[name] :] / 200, atol=1e-6
    )
    assert recording.remarks == (f"The file is damaged: {ERASED[name]} samples are a gap.",)


@pytest.mark.parametrize(
    "name",
    [
        "mitdb/114",
        "mitdb/208",
        "formats/cinc2021/E07500",
        "formats/cinc2021/E07504",
        "formats/wfdb_samples/a103l",
    ],
)
def test_wfdb_agrees_with_its_checksums(name: str, shared_data: Path) -> None:
    _agrees_with_checksums(shared_data / f"{name}.hea")


def test_ecg_id_header(shared_data: Path) -> None:
    recording = read_recording(shared_data / "ecgid/Person_01/rec_1.dat")
    assert recording.leads == ("I", "I filtered")
    assert recording.session == "2004-12-07"
    assert recording.subject == ""
    assert recording.annotations is not None
    # rdann -r rec_1 -a atr | head -2  (PhysioNet's page of the record shows the same marks)
    assert recording.annotations.samples[:2].tolist() == [352, 469]
    assert recording.annotations.symbols[:2].tolist() == ["N", "t"]


def test_mit_bih_keeps_the_order_of_its_leads(shared_data: Path) -> None:
    recording = read_recording(shared_data / "mitdb/114.hea")
    assert recording.leads == ("V5", "MLII")
    assert recording.signal.shape == (650000, 2)
    # The first values of 114.hea: 1015 and 1027 at 200/mV around 1024.
    np.testing.assert_allclose(recording.signal[0], [-0.045, 0.015], atol=1e-6)


def test_wfdb_with_frames_gaps_and_other_channels(shared_data: Path) -> None:
    path = shared_data / "formats/wfdb_samples/03700181.hea"
    recording = read_recording(path)
    assert recording.leads == ("MCL1", "ABP", "RESP")
    assert recording.units == ("mV", "mmHg", "mV")
    assert recording.sampling_rate == 125
    assert recording.session == "1994-08-15"
    assert recording.start is not None and recording.start.isoformat() == "1994-08-15T17:27:45"
    # Six samples of 12 bits a frame: four of MCL1, one of ABP, one of RESP (212x4, 212, 212:4).
    raw = np.frombuffer(path.with_suffix(".dat").read_bytes(), np.uint8).reshape(-1, 3).astype(int)
    pairs = np.column_stack(
        [raw[:, 0] + (raw[:, 1] & 15) * 256, raw[:, 2] + (raw[:, 1] >> 4) * 256]
    )
    frames = pairs.ravel().reshape(75000, 6)
    frames = np.where(frames > 2047, frames - 4096, frames)
    mcl1 = frames[:, :4].mean(axis=1) / 2963.77
    np.testing.assert_allclose(recording.signal[:, 0], mcl1, atol=1e-6)
    np.testing.assert_allclose(recording.signal[:, 1], (frames[:, 4] + 1605) / 12.84, rtol=1e-5)
    resp = recording.signal[:, 2]
    np.testing.assert_allclose(resp[:-4], frames[4:, 5] / 2000, atol=1e-6)
    assert np.isnan(resp[-4:]).all()


def test_cinc_header(shared_data: Path) -> None:
    recording = read_recording(shared_data / "formats/cinc2021/E07500.mat")
    assert recording.leads == LIMB_AND_CHEST
    assert recording.label == "67741000119109,426177001"
    assert recording.signal.shape == (5000, 12)


def test_dicom_is_its_counts_times_its_sensitivity(shared_data: Path) -> None:
    path = shared_data / "formats/dicom/anonymous_ecg.dcm"
    recording = read_recording(path)
    group = pydicom.dcmread(path).WaveformSequence[0]
    counts = np.frombuffer(group.WaveformData, "<i2").reshape(10000, 12)
    scale = [float(c.ChannelSensitivity) / 1000 for c in group.ChannelDefinitionSequence]
    np.testing.assert_allclose(recording.signal, counts * scale, atol=1e-6)
    assert recording.leads == LIMB_AND_CHEST
    assert set(recording.units) == {"mV"}
    assert recording.sampling_rate == 1000
    assert (recording.subject, recording.session) == ("642341", "2013-01-25")


def test_aecg_is_its_digits_times_its_scale(shared_data: Path) -> None:
    path = shared_data / "formats/hl7_aecg/example_aecg.xml"
    recording = read_recording(path)
    text = path.read_text()
    rhythm = text[: text.index("<derivation")]
    found = re.findall(
        r'code="MDC_ECG_LEAD_(\w+)".*?<scale value="([\d.]+)" unit="uV".*?<digits>([^<]*)',
        rhythm,
        re.DOTALL,
    )
    assert len(found) == 12
    for code, scale, digits in found:
        name = code if code[0] != "A" else "a" + code[1:]
        lead = recording.signal[:, recording.leads.index(name)]
        expected = np.array(digits.split(), dtype=float) * float(scale) / 1000
        np.testing.assert_allclose(lead, expected, atol=1e-6)
    assert recording.sampling_rate == 500
    assert (recording.subject, recording.session) == ("SBJ-123", "2002-11-22")


def test_muse_is_its_words_times_its_amplitude_a_bit(shared_data: Path) -> None:
    path = shared_data / "formats/muse_xml/example1.xml"
    recording = read_recording(path)
    rhythm = path.read_text(encoding="latin-1").split("<WaveformType>Rhythm</WaveformType>")[1]
    found = re.findall(
        r"<LeadAmplitudeUnitsPerBit>([\d.]+)</.*?<LeadAmplitudeUnits>MICROVOLTS</.*?"
        r"<LeadID>(\w+)</.*?<WaveFormData>([^<]*)",
        rhythm,
        re.DOTALL,
    )
    assert tuple(name for _, name, _ in found) == recording.leads
    for position, (scale, _, data) in enumerate(found):
        expected = np.frombuffer(base64.b64decode(data), "<i2") * float(scale) / 1000
        np.testing.assert_allclose(recording.signal[:, position], expected, atol=1e-6)
    assert recording.sampling_rate == 500
    assert recording.leads == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.parametrize(
    ("name", "subject", "session", "n_samples"),
    [
        ("129DYPRG.XML", "1112010721168bdc", "2011-12-01", 5264),
        ("3191723_ZZDEMOPTONLY_1-04_orig.xml", "9999", "2010-01-19", 5300),
    ],
)
def test_philips_has_the_amplitudes_that_its_device_measured(
    name: str, subject: str, session: str, n_samples: int, shared_data: Path
) -> None:
    """The file lists the QRS height of each lead, in microvolts, as the device measured it."""
    path = shared_data / "formats/philips_xml" / name
    recording = read_recording(path)
    assert recording.leads == LIMB_AND_CHEST
    assert (recording.subject, recording.session) == (subject, session)
    # 5500 samples less the calibration pulse: from there on all leads are 0 or 1 mV at once.
    assert recording.signal.shape == (n_samples, 12)
    heights = _qrs_heights(recording)
    measured = [
        (node.get("leadname"), float(node.findtext(f"{PHILIPS}qrsppk") or "nan"))
        for node in ET.parse(path).iter(f"{PHILIPS}leadmeasurement")
        if node.get("leadname") in recording.leads
    ]
    assert len(measured) == 12
    ratios = [heights[lead] * 1000 / value for lead, value in measured]
    # aVF of the first file ends in a high ST segment that the device does not count.
    assert sum(0.97 < ratio < 1.05 for ratio in ratios) >= 11, ratios


def _qrs_heights(recording: Recording) -> dict[str, float]:
    steps = np.abs(np.diff(recording.signal, axis=0)).sum(axis=1)
    half = int(0.1 * recording.sampling_rate)
    beats: list[int] = []
    for peak in np.argsort(steps)[::-1]:
        if steps[peak] < 0.4 * steps.max():
            break
        inside = half < peak < len(steps) - half
        if inside and all(abs(peak - beat) > 4 * half for beat in beats):
            beats.append(int(peak))
    spans = [np.ptp(recording.signal[b - half : b + half], axis=0) for b in beats]
    return dict(zip(recording.leads, np.median(spans, axis=0), strict=True))


@pytest.mark.parametrize(
    "name",
    [
        "philips_xml/129DYPRG.XML",
        "philips_xml/3191723_ZZDEMOPTONLY_1-04_orig.xml",
        "dicom/anonymous_ecg.dcm",
        "hl7_aecg/example_aecg.xml",
        "cinc2021/E07500.hea",
    ],
)
def test_limb_leads_obey_einthoven_and_goldberger(name: str, shared_data: Path) -> None:
    recording = read_recording(shared_data / "formats" / name)
    lead = {each: recording.signal[:, i] for i, each in enumerate(recording.leads)}
    step = 0.0101  # Two counts of at most 5 uV: each lead is rounded on its own
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=step)
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=step)
    np.testing.assert_allclose(lead["aVL"], lead["I"] - lead["II"] / 2, atol=step)
    np.testing.assert_allclose(lead["aVF"], lead["II"] - lead["I"] / 2, atol=step)


def test_scp_agrees_with_a_decoder_written_from_the_standard(shared_data: Path) -> None:
    path = shared_data / "formats/scp/ECG_00000000_000000_ANON000001.SCP"
    recording = read_recording(path)
    data = path.read_bytes()
    index = {
        int.from_bytes(data[at : at + 2], "little"): int.from_bytes(
            data[at + 6 : at + 10], "little"
        )
        for at in range(22, 142, 10)
    }
    body = index[6] - 1 + 16
    nanovolts, microseconds = (
        int.from_bytes(data[body + i : body + i + 2], "little") for i in (0, 2)
    )
    assert (nanovolts, microseconds, data[body + 4]) == (3750, 1667, 1)  # First differences
    sizes = np.frombuffer(data, "<u2", 8, body + 6)
    ends = body + 22 + np.cumsum(sizes, dtype=int)
    for position, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        differences = _scp_differences(data[end - size : end], 6000)
        expected = np.cumsum(differences) * nanovolts / 1e6
        np.testing.assert_allclose(recording.signal[:, position], expected, atol=1e-6)
    # Section 3 lists lead codes 1, 2, 11, 3, 4, 6, 8, 9 (EN 1064, table of leads).
    assert recording.leads == ("I", "II", "V3R", "V1", "V2", "V4", "V6", "V7")
    assert recording.sampling_rate == 600
    assert recording.subject == "ANON000001"


def _scp_differences(data: bytes, n: int) -> np.ndarray:
    """Decode EN 1064's default Huffman table: ones, a zero, a sign; two escapes."""
    bits = "".join(f"{byte:08b}" for byte in data)
    values: list[int] = []
    at = 0
    while len(values) < n:
        ones = 0
        while ones < 10 and bits[at] == "1":
            ones, at = ones + 1, at + 1
        if ones < 9:
            at += 1
            value = ones
            if ones:
                value = -ones if bits[at] == "1" else ones
                at += 1
        else:
            width = 16 if ones == 10 else 8
            at += ones == 9
            value = int(bits[at : at + width], 2)
            value -= (value >> (width - 1)) << width
            at += width
        values.append(value)
    return np.array(values)


def test_text_files_keep_their_values(shared_data: Path) -> None:
    counts = read_recording(shared_data / "formats/txt/ecg.txt")
    assert (counts.units, counts.leads, counts.sampling_rate) == (("unknown",), ("ECG",), 1000)
    # grep -v '#' ecg.txt | awk '{s+=$1} END {print NR, s}'
    assert counts.signal.shape == (15000, 1)
    assert counts.signal.sum(dtype=np.float64) == 30801854

    column = read_recording(shared_data / "formats/txt/e0103.csv", source_rate=250)
    assert (column.units, column.sampling_rate) == (("unknown",), 250)
    # awk '{s+=$1} END {printf "%d %.3f\n", NR, s}' e0103.csv
    assert column.signal.shape == (30000, 1)
    assert column.signal.sum(dtype=np.float64) == pytest.approx(16728.6, abs=0.01)


def test_plain_records_are_read_as_the_library_reads_them(shared_data: Path) -> None:
    """Every sample, lead and unit of records that are read without `wfdb`, against `wfdb`."""
    import wfdb

    for name in ("ecgid/Person_01/rec_1", "ecgid/Person_85/rec_1", "ecgid/Person_47/rec_2"):
        ours = read_recording(shared_data / f"{name}.hea")
        theirs = wfdb.rdrecord(str(shared_data / name))
        np.testing.assert_allclose(ours.signal, theirs.p_signal, atol=1e-4)
        assert list(ours.leads) == [lead.removeprefix("ECG ") for lead in theirs.sig_name]
        assert list(ours.units) == theirs.units
        assert ours.sampling_rate == theirs.fs


def test_a_missing_sample_of_a_plain_record_is_a_gap(tmp_path: Path) -> None:
    words = np.arange(500, dtype="<i2")
    words[7] = -(2**15)
    words.tofile(tmp_path / "r.dat")
    checksum = np.int64(words.astype(np.int64).sum()).astype(np.int16)
    (tmp_path / "r.hea").write_text(f"r 1 250 500\nr.dat 16 100(10)/uV 16 0 0 {checksum} 0 V1\n")
    recording = read_recording(tmp_path / "r.hea")
    assert np.flatnonzero(np.isnan(recording.signal[:, 0])).tolist() == [7]
    # 100 ADC units a microvolt around 10, in millivolts.
    assert recording.signal[110, 0] == pytest.approx(0.001, rel=1e-5)

"""Writes one known signal in every format, by other code than the readers use."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pyedflib
import scipy.io
import wfdb
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage

RATE = 250
LEADS = ("I", "II")
STEP_UV = 5
"""All amplitudes are whole multiples of it, so that every format can hold them exactly."""


def known_signal() -> np.ndarray:
    """Return (1000, 2) millivolts: a spike train and a wave, in whole steps."""
    t = np.arange(1000) / RATE
    first = np.exp(-(((t % 0.8) - 0.3) ** 2) / 2e-4) - 0.1
    second = 0.5 * np.sin(2 * np.pi * 1.2 * t) + 0.2
    return np.round(np.column_stack([first, second]) * 1000 / STEP_UV) * STEP_UV / 1000


def counts() -> np.ndarray:
    return np.round(known_signal() * 1000 / STEP_UV).astype(np.int16)


@dataclass(frozen=True)
class Expected:
    """What a reader must make of a written file, where it differs from the common case."""

    write: Callable[[Path], Path]
    units: tuple[str, str] = ("mV", "mV")
    leads: tuple[str, str] = LEADS
    subject: str = ""
    session: str = ""
    label: str = ""
    source_rate: float | None = None
    factor: float = 1.0
    tolerance: float = 1e-6


def write_wfdb(folder: Path) -> Path:
    wfdb.wrsamp(
        "rec",
        fs=RATE,
        units=["mV", "mV"],
        sig_name=["ECG I", "ECG II"],
        d_signal=counts(),
        fmt=["16", "16"],
        adc_gain=[200.0, 200.0],
        baseline=[0, 0],
        comments=["Age: 25", "ECG date: 07.12.2004", "Subject: p7", "Dx: 426783006"],
        write_dir=str(folder),
    )
    wfdb.wrann("rec", "atr", np.array([75, 275]), ["N", "V"], write_dir=str(folder))
    return folder / "rec.hea"


def write_wfdb_mat(folder: Path) -> Path:
    scipy.io.savemat(folder / "rec.mat", {"val": counts().T}, format="4")
    lines = [f"rec.mat 16+24 200/mV 16 0 0 0 0 {lead}" for lead in LEADS]
    (folder / "rec.hea").write_text("\n".join([f"rec 2 {RATE} 1000", *lines]) + "\n")
    return folder / "rec.mat"


def _write_edf(path: Path, file_type: int) -> Path:
    with pyedflib.EdfWriter(str(path), 2, file_type=file_type) as file:
        for i, lead in enumerate(LEADS):
            file.setSignalHeader(
                i,
                {
                    "label": f"ECG {lead}",
                    "dimension": "uV",
                    "sample_frequency": RATE,
                    "physical_max": 32767.0,
                    "physical_min": -32768.0,
                    "digital_max": 32767,
                    "digital_min": -32768,
                },
            )
        file.setPatientCode("p7")
        file.setPatientName("Not_kept")
        file.setStartdatetime(datetime(2004, 12, 7, 10, 30))
        file.writeSamples(list(np.ascontiguousarray(known_signal().T * 1000)))
        file.writeAnnotation(0.3, -1, "V")
        file.writeAnnotation(0.5, -1, "cough")
    return path


def write_edf(folder: Path) -> Path:
    return _write_edf(folder / "rec.edf", pyedflib.FILETYPE_EDFPLUS)


def write_bdf(folder: Path) -> Path:
    return _write_edf(folder / "rec.bdf", pyedflib.FILETYPE_BDFPLUS)


def write_csv(folder: Path) -> Path:
    rows = [f"{i / RATE:.3f},{a:.3f},{b:.3f}" for i, (a, b) in enumerate(known_signal())]
    path = folder / "rec.csv"
    path.write_text("\n".join(["time,ECG I (mV),ECG II (mV)", *rows]) + "\n")
    return path


def write_bare_tsv(folder: Path) -> Path:
    path = folder / "rec.tsv"
    np.savetxt(path, known_signal(), fmt="%.3f", delimiter="\t")
    return path


def write_rdsamp_csv(folder: Path) -> Path:
    """As PhysioNet's ``rdsamp -c -H -v -pS`` prints it."""
    rows = [
        f"'{int(i / RATE // 60)}:{i / RATE % 60:06.3f}',{a:.3f},{b:.3f}"
        for i, (a, b) in enumerate(known_signal())
    ]
    path = folder / "rec.csv"
    path.write_text("\n".join(["'Elapsed time','I','II'", "'hh:mm:ss.mmm','mV','mV'", *rows]))
    return path


def write_semicolons(folder: Path) -> Path:
    rows = [f"{i * 4};{a * 1000:.1f};{b * 1000:.1f}" for i, (a, b) in enumerate(known_signal())]
    path = folder / "rec.csv"
    path.write_text("\n".join(["Time [ms];x;y", *rows]).replace(".", ","))
    return path


def write_open_signals(folder: Path) -> Path:
    head = {
        "00:07:80:3B:46:61": {
            "sensor": ["I", "II"],
            "device name": "00:07:80:3B:46:61",
            "column": ["nSeq", "DI", "CH1", "CH2"],
            "label": ["CH1", "CH2"],
            "sampling rate": RATE,
            "resolution": [10, 10],
            "date": "2004-12-07",
            "time": "16:40:11.5",
        }
    }
    rows = [f"{i % 16}\t0\t{a}\t{b}\t" for i, (a, b) in enumerate(counts())]
    path = folder / "rec.txt"
    top = ["# OpenSignals Text File Format", f"# {json.dumps(head)}", "# EndOfHeader"]
    path.write_text("\n".join([*top, *rows]) + "\n")
    return path


def write_matlab(folder: Path) -> Path:
    ecg = {"data": known_signal().T, "fs": RATE, "units": "mV", "leads": np.array(LEADS, object)}
    scipy.io.savemat(folder / "rec.mat", {"ECG": ecg})
    return folder / "rec.mat"


def write_matlab_73(folder: Path) -> Path:
    with h5py.File(folder / "rec.mat", "w", userblock_size=512) as file:
        file["val"] = counts()
        file["fs"] = np.array([[RATE]], dtype=np.float64)
    return folder / "rec.mat"


def write_npy(folder: Path) -> Path:
    np.save(folder / "rec.npy", known_signal().T)
    return folder / "rec.npy"


def write_npz(folder: Path) -> Path:
    np.savez(
        folder / "rec.npz",
        signal=known_signal() * 1000,
        sampling_rate=RATE,
        leads=np.array(LEADS),
        units=np.array(["uV", "µV"]),
        subject="p7",
        session="2004-12-07",
        label="N",
    )
    return folder / "rec.npz"


def _code(value: str, meaning: str) -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodeMeaning, item.CodingSchemeDesignator = value, meaning, "99"
    return Sequence([item])


def write_dicom(folder: Path) -> Path:
    group = Dataset()
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = 2, 1000
    group.SamplingFrequency = RATE
    group.WaveformOriginality = "ORIGINAL"
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    channels = []
    for lead in LEADS:
        channel = Dataset()
        channel.ChannelSourceSequence = _code(f"2:{lead}", f"Lead {lead} (Einthoven)")
        channel.ChannelSensitivity = float(STEP_UV)
        channel.ChannelSensitivityUnitsSequence = _code("uV", "microvolt")
        channel.ChannelSensitivityCorrectionFactor = 1.0
        channel.ChannelBaseline = 0.0
        channel.WaveformBitsStored = 16
        channels.append(channel)
    group.ChannelDefinitionSequence = Sequence(channels)
    group.WaveformData = counts().astype("<i2").tobytes()
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = TwelveLeadECGWaveformStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3.4"
    data.SOPClassUID = TwelveLeadECGWaveformStorage
    data.PatientID, data.PatientName = "p7", "Not^kept"
    data.AcquisitionDateTime = "20041207103000"
    data.WaveformSequence = Sequence([group])
    pydicom.dcmwrite(folder / "rec.dcm", data, enforce_file_format=True)
    return folder / "rec.dcm"


def write_aecg(folder: Path) -> Path:
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead}" codeSystem="2.16.840.1.113883.6.24"'
        f'/><value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="{STEP_UV}" '
        f'unit="uV"/><digits>{" ".join(map(str, column))}</digits></value></sequence></component>'
        for lead, column in zip(LEADS, counts().T, strict=True)
    )
    path = folder / "rec.xml"
    path.write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<!-- HL7 -->\n'
        '<AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id root="1.2"/>'
        '<effectiveTime><low value="20041207103000"/></effectiveTime>'
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        '<id root="1.2" extension="p7"/></trialSubject></subject></subjectAssignment>'
        "</componentOf></timepointEvent></componentOf>"
        '<component><series><id root="1.3"/><code code="RHYTHM" codeSystem="1"/><effectiveTime>'
        '<low value="20041207103000"/></effectiveTime><component><sequenceSet><component><sequence>'
        '<code code="TIME_ABSOLUTE" codeSystem="1"/><value xsi:type="GLIST_TS">'
        '<head value="20041207103000"/><increment value="0.004" unit="s"/></value></sequence>'
        f"</component>{sequences}</sequenceSet></component></series></component></AnnotatedECG>"
    )
    return path


def write_muse(folder: Path) -> Path:
    leads = "".join(
        f"<LeadData><LeadByteCountTotal>2000</LeadByteCountTotal><LeadSampleCountTotal>1000"
        f"</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>{STEP_UV}</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadID>{lead}</LeadID><WaveFormData>"
        f"{base64.b64encode(column.astype('<i2').tobytes()).decode()}</WaveFormData></LeadData>"
        for lead, column in zip(LEADS, counts().T, strict=True)
    )
    path = folder / "rec.xml"
    path.write_text(
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
        "<RestingECG><MuseInfo><MuseVersion>9</MuseVersion></MuseInfo>"
        "<PatientDemographics><PatientID>p7</PatientID></PatientDemographics>"
        "<TestDemographics><AcquisitionTime>10:30:00</AcquisitionTime>"
        "<AcquisitionDate>12-07-2004</AcquisitionDate></TestDemographics>"
        f"<Waveform><WaveformType>Rhythm</WaveformType><SampleBase>{RATE}</SampleBase>"
        f"<SampleExponent>0</SampleExponent>{leads}</Waveform></RestingECG>",
        encoding="latin-1",
    )
    return path


def write_philips(folder: Path) -> Path:
    text = " ".join(map(str, counts().T.ravel()))
    path = folder / "rec.xml"
    path.write_text(
        '<?xml version="1.0" encoding="utf-16"?>\n'
        '<restingecgdata xmlns="http://www3.medical.philips.com"><documentinfo><documenttype>'
        "PhilipsECG</documenttype><documentversion>1.04</documentversion></documentinfo>"
        "<patient><generalpatientdata><patientid>p7</patientid></generalpatientdata></patient>"
        '<dataacquisition date="2004-12-07" time="10:30:00"><signalcharacteristics/>'
        '</dataacquisition><waveforms><parsedwaveforms dataencoding="Plain" numberofleads="2" '
        f'leadlabels="I II" durationperchannel="4000" samplespersecond="{RATE}" '
        f'resolution="{STEP_UV}" signaloffset="0" signalsigned="True" bitspersample="16">{text}'
        "</parsedwaveforms></waveforms></restingecgdata>",
        encoding="utf-16",
    )
    return path


_DAY = "2004-12-07"
_UNTOLD = ("unknown", "unknown")
_UNNAMED = ("lead 1", "lead 2")
_RAW = 1000 / STEP_UV
FORMATS: dict[str, Expected] = {
    "wfdb": Expected(write_wfdb, subject="p7", session=_DAY, label="426783006"),
    "wfdb .mat": Expected(write_wfdb_mat),
    "edf+": Expected(write_edf, subject="p7", session=_DAY),
    "bdf+": Expected(write_bdf, subject="p7", session=_DAY, tolerance=0.005),
    "csv": Expected(write_csv),
    "bare tsv": Expected(write_bare_tsv, units=_UNTOLD, leads=_UNNAMED, source_rate=RATE),
    "rdsamp csv": Expected(write_rdsamp_csv),
    "semicolons": Expected(write_semicolons, units=_UNTOLD, leads=("x", "y"), factor=1000),
    "opensignals": Expected(write_open_signals, units=_UNTOLD, session=_DAY, factor=_RAW),
    "matlab": Expected(write_matlab),
    "matlab 7.3": Expected(write_matlab_73, units=_UNTOLD, leads=_UNNAMED, factor=_RAW),
    "npy": Expected(write_npy, units=_UNTOLD, leads=_UNNAMED, source_rate=RATE),
    "npz": Expected(write_npz, subject="p7", session=_DAY, label="N"),
    "dicom": Expected(write_dicom, subject="p7", session=_DAY),
    "aecg": Expected(write_aecg, subject="p7", session=_DAY),
    "muse": Expected(write_muse, subject="p7", session=_DAY),
    "philips": Expected(write_philips, subject="p7", session=_DAY),
}

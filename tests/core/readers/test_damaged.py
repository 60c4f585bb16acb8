"""Bad input of every kind gives one sentence, never another exception and no library's output."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from core.errors import UserError
from core.readers import find_recordings, read_beat_table, read_recording
from core.recording import Recording
from tests.core.readers.writers import FORMATS, known_signal

EVERY_FORMAT = pytest.mark.parametrize("name", FORMATS)
ENDINGS = (".hea", ".edf", ".bdf", ".csv", ".tsv", ".txt", ".mat", ".npy", ".npz", ".dcm", ".xml")
ENDINGS += (".scp",)


def _sentence(path: Path, source_rate: float | None = 250) -> str:
    with pytest.raises(UserError) as caught:
        read_recording(path, source_rate=source_rate)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path.with_suffix("")))
    return message


def _outcome(path: Path) -> Recording | UserError:
    try:
        return read_recording(path, source_rate=250)
    except UserError as error:
        return error


@EVERY_FORMAT
def test_damage_anywhere_is_read_or_refused(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = FORMATS[name].write(tmp_path)
    files = [file for file in tmp_path.iterdir() if file.stem == "rec"]
    rng = np.random.default_rng(7)
    refused = 0
    for file in files:
        whole = file.read_bytes()
        for share in (0.02, 0.1, 0.3, 0.5, 0.8, 0.97):
            file.write_bytes(whole[: int(share * len(whole))])
            refused += isinstance(_outcome(path), UserError)
            at = int(share * len(whole))
            file.write_bytes(whole[:at] + rng.bytes(40) + whole[at + 40 :])
            _outcome(path)
            file.write_bytes(whole[:at] + bytes(40) + whole[at + 40 :])
            _outcome(path)
        file.write_bytes(whole)
    assert refused, "no truncation was noticed"
    assert capfd.readouterr() == ("", "")


def test_damage_to_compressed_device_files_is_read_or_refused(
    shared_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(7)
    for name in ("scp/ECG_00000000_000000_ANON000001.SCP", "philips_xml/129DYPRG.XML"):
        whole = (shared_data / "formats" / name).read_bytes()
        path = tmp_path / f"rec{Path(name).suffix}"
        for share in (0.01, 0.2, 0.5, 0.9, 0.99):
            at = int(share * len(whole))
            for content in (whole[:at], whole[:at] + rng.bytes(60) + whole[at + 60 :]):
                path.write_bytes(content)
                _outcome(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 4000,
        b"\xff" * 4000,
        b"just some words\n" * 50,
        os.urandom(3000),
        b"1,2\n1,2\n",
    ],
    ids=["empty", "zeros", "ones", "words", "random", "two samples"],
)
def test_content_that_is_no_ecg_is_refused(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"rec{ending}"
    path.write_bytes(content)
    message = _sentence(path)
    if not content:
        assert "is empty" in message


@EVERY_FORMAT
def test_a_file_under_the_ending_of_another_format(name: str, tmp_path: Path) -> None:
    """It is refused, or read as what it is."""
    written = FORMATS[name].write(tmp_path)
    as_written = read_recording(written, source_rate=250).signal
    for ending in (".edf", ".scp", ".npy", ".dcm"):
        path = tmp_path / f"other{ending}"
        shutil.copy(written, path)
        outcome = _outcome(path)
        if isinstance(outcome, Recording):
            np.testing.assert_array_equal(outcome.signal, as_written)
        else:
            assert written.suffix != ending


def test_a_dat_shorter_than_its_header_says(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    signals = header.with_suffix(".dat")
    signals.write_bytes(signals.read_bytes()[:2000])
    assert "cut short or damaged. Fetch rec.dat again." in _sentence(header)


def test_a_dat_without_its_header(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.unlink()
    assert "its header rec.hea is not there" in _sentence(header.with_suffix(".dat"))


def test_a_header_that_names_a_missing_dat(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.with_suffix(".dat").unlink()
    assert "names rec.dat, which is not there" in _sentence(header)


def test_a_header_that_names_a_file_elsewhere(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.write_text(header.read_text().replace("rec.dat", "../rec.dat"))
    assert "another folder" in _sentence(header)


@pytest.mark.parametrize("rate", ["0", "-250", "nan", "1e300"])
def test_an_impossible_rate_in_a_header(rate: str, tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.write_text(header.read_text().replace(" 250 ", f" {rate} ", 1))
    assert "tells a sampling rate of" in _sentence(header)


def test_a_wrong_checksum_is_remarked(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    assert not read_recording(header).remarks
    signals = header.with_suffix(".dat")
    data = bytearray(signals.read_bytes())
    data[100] ^= 1
    signals.write_bytes(data)
    assert "checksum" in read_recording(header).remarks[0]


def test_a_wrong_checksum_in_muse_is_remarked(tmp_path: Path) -> None:
    path = FORMATS["muse"].write(tmp_path)
    assert not read_recording(path).remarks
    path.write_text(
        path.read_text().replace("<LeadID>", "<LeadDataCRC32>1</LeadDataCRC32><LeadID>", 1)
    )
    assert "checksum" in read_recording(path).remarks[0]


def test_leads_without_a_gain_are_counts_of_unknown_unit(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.write_text(header.read_text().replace(" 200.0(0)/mV", " 0(0)/mV", 1))
    recording = read_recording(header)
    assert recording.units == ("unknown", "mV")
    np.testing.assert_allclose(recording.signal[:, 0], known_signal()[:, 0] * 200, atol=1e-4)
    np.testing.assert_allclose(recording.signal[:, 1], known_signal()[:, 1], atol=1e-6)


def test_damaged_marks_do_not_cost_the_signal(tmp_path: Path) -> None:
    header = FORMATS["wfdb"].write(tmp_path)
    header.with_suffix(".atr").write_bytes(b"\xff" * 7)
    recording = read_recording(header)
    assert recording.signal.shape == (1000, 2)


def test_gaps_stay_gaps_but_nothing_else_is_refused(tmp_path: Path) -> None:
    signal = known_signal()
    signal[100:200] = np.nan
    signal[300, 1] = np.inf
    np.save(tmp_path / "rec.npy", signal)
    read = read_recording(tmp_path / "rec.npy", source_rate=250).signal
    assert np.isnan(read[100:200]).all() and np.isnan(read[300, 1])
    assert np.isfinite(read).sum() == 2 * 900 - 1

    np.save(tmp_path / "rec.npy", np.full((1000, 2), np.nan))
    assert "only gaps" in _sentence(tmp_path / "rec.npy")


def test_a_flat_line_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "rec.npy", np.zeros(1000))
    assert not read_recording(tmp_path / "rec.npy", source_rate=250).signal.any()


def test_two_samples_are_too_few(tmp_path: Path) -> None:
    np.save(tmp_path / "rec.npy", np.zeros(2))
    assert "holds 2 samples, 0.008 s at 250 Hz. Give at least 0.5 s" in _sentence(
        tmp_path / "rec.npy"
    )


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for name in ("rec.csv", "rec.hea", "rec.dat", "rec.xml", "rec"):
        with pytest.raises(UserError, match=r"no such file"):
            read_recording(tmp_path / name)
    with pytest.raises(UserError, match="is a folder"):
        read_recording(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        read_beat_table(tmp_path / "rec.csv")


def test_more_leads_described_than_held(tmp_path: Path) -> None:
    path = FORMATS["dicom"].write(tmp_path)
    data = pydicom.dcmread(path)
    data.WaveformSequence[0].ChannelDefinitionSequence.append(
        data.WaveformSequence[0].ChannelDefinitionSequence[0]
    )
    data.save_as(path)
    _sentence(path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "rec.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _sentence(tmp_path / "rec.npy")


def test_xml_with_entities_is_refused(tmp_path: Path) -> None:
    path = FORMATS["aecg"].write(tmp_path)
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]>\n<AnnotatedECG'
    path.write_text(path.read_text().replace("<AnnotatedECG", bomb, 1).replace("p7", "&c;"))
    _sentence(path)


@EVERY_FORMAT
def test_a_file_that_may_not_be_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions are simulated: tests may run as a user who may read everything."""
    path = FORMATS[name].write(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    for opener in ("builtins.open", "io.open", "pathlib.Path.open"):
        monkeypatch.setattr(opener, refuse)
    with pytest.raises(UserError, match="may not be read"):
        read_recording(path, source_rate=250)


def test_a_folder_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match="cannot be opened"):
        find_recordings([tmp_path])

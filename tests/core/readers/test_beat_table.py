"""Tables of ready beats: found as such, and read with values, labels and rate as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.beat_set import BeatSet, write_beats
from core.errors import UserError
from core.readers import find_recordings, read_beat_table, read_recording


def _public_table(path: Path, n_samples: int = 187) -> np.ndarray:
    """Write what the public heartbeat tables look like: scaled to 1, zeros behind, a class."""
    beats = np.random.default_rng(0).random((6, n_samples))
    beats[:, 120:] = 0
    np.savetxt(path, np.column_stack([beats, [0, 0, 1, 2, 3, 4]]), delimiter=",", fmt="%.18e")
    return beats


def test_public_heartbeat_table(tmp_path: Path) -> None:
    path = tmp_path / "mitbih_test.csv"
    written = _public_table(path)
    assert [source.kind for source in find_recordings([tmp_path])] == ["beats"]
    assert [source.kind for source in find_recordings([path])] == ["beats"]
    with pytest.raises(UserError, match="is a table of beats"):
        read_recording(path, source_rate=125)
    beats, labels, rate = read_beat_table(path)
    assert beats.dtype == np.float32
    np.testing.assert_allclose(beats[:, :, 0], written, rtol=1e-6)
    assert labels.tolist() == ["0", "0", "1", "2", "3", "4"]
    assert rate == 125


def test_another_length_needs_a_rate(tmp_path: Path) -> None:
    path = tmp_path / "beats.csv"
    _public_table(path, 175)
    with pytest.raises(UserError, match="--source-rate"):
        read_beat_table(path)
    assert read_beat_table(path, source_rate=250)[2] == 250


def test_words_as_labels_under_a_line_of_names(tmp_path: Path) -> None:
    path = tmp_path / "beats.csv"
    rows = [",".join(["0.5"] * 100 + [label]) for label in ("N", "V")]
    path.write_text("\n".join([",".join([f"x{i}" for i in range(100)] + ["class"]), *rows]))
    assert find_recordings([path])[0].kind == "beats"
    beats, labels, _ = read_beat_table(path, source_rate=250)
    assert beats.shape == (2, 100, 1)
    assert labels.tolist() == ["N", "V"]


@pytest.mark.parametrize("ending", [".csv", ".npz"])
def test_exported_beats_come_back(ending: str, tmp_path: Path) -> None:
    signals = np.random.default_rng(0).standard_normal((3, 175, 2)).astype(np.float32)
    written = BeatSet.build(
        signals,
        sampling_rate=250,
        before_s=0.25,
        leads=("I", "II"),
        subject=["a", "b", "c"],
        label=["N", "", "V"],
    )
    write_beats(written, tmp_path / f"beats{ending}")
    assert [source.kind for source in find_recordings([tmp_path])] == ["beats"]
    beats, labels, rate = read_beat_table(tmp_path / f"beats{ending}")
    np.testing.assert_allclose(beats, signals, rtol=1e-5)
    assert labels.tolist() == ["N", "b", "V"]
    assert rate == 250


@pytest.mark.parametrize(
    "content",
    ["", "words\n", "a" * 200_000, "1,2,3\n", ",".join(["x"] * 188), ",".join([""] * 188) + "\n"],
)
def test_what_is_no_table_of_beats(content: str, tmp_path: Path) -> None:
    path = tmp_path / "beats.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"beats\.csv"):
        read_beat_table(path, source_rate=125)


def test_a_table_with_a_damaged_row(tmp_path: Path) -> None:
    path = tmp_path / "beats.csv"
    _public_table(path)
    path.write_text(path.read_text() + "1,2\n")
    with pytest.raises(UserError, match=r"beats\.csv"):
        read_beat_table(path)


def test_a_lead_a_row_is_no_table_of_beats(tmp_path: Path) -> None:
    path = tmp_path / "leads.csv"
    np.savetxt(path, np.arange(60_000).reshape(12, 5000), fmt="%d", delimiter=",")
    assert find_recordings([path])[0].kind == "recording"
    with pytest.raises(UserError, match="time down"):
        read_recording(path, source_rate=500)

"""A folder of recordings becomes a study: whole, the same each time, whatever interrupts it."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core import workflow
from core.errors import Cancelled, UserError
from core.options import PrepareOptions
from core.partitions import SPLIT_WORDS
from core.preparing import STAGING
from core.progress import Progress
from core.study import Study


def _contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _subjects(demo_recordings: Path, *numbers: int) -> list[Path]:
    return [demo_recordings / f"S{i:02d}" for i in numbers]


def test_every_recording_is_accounted_for(prepared_study: Path) -> None:
    study = Study.open(prepared_study)
    assert list(study.recordings["recording"]) == [
        f"S{i:02d}/session_{k}" for i in range(1, 5) for k in (1, 2)
    ]
    assert study.recordings["usable"].all()
    assert set(study.recordings["unit"]) == {"mV"}
    assert study.info.simulated
    assert study.info.remarks[0] == SPLIT_WORDS["record"]


def test_beats_of_each_kind_are_the_same_beats(prepared_study: Path) -> None:
    study = Study.open(prepared_study)
    smoothed, clean = study.beats("train"), study.beats("train", signal="clean")
    assert smoothed.signals.shape == clean.signals.shape == (len(clean), 175, 1)
    assert smoothed.signals.dtype == clean.signals.dtype == np.float32
    # A centred moving average of 20 ms at 250 Hz, five samples, computed another way.
    kernel = np.ones(5) / 5
    expected = np.apply_along_axis(np.convolve, 1, clean.signals[..., 0], kernel, mode="valid")
    np.testing.assert_allclose(smoothed.signals[:, 2:-2, 0], expected, atol=1e-5)


def test_run_again_changes_nothing(tmp_path: Path, demo_recordings: Path) -> None:
    sources = _subjects(demo_recordings, 1, 2)
    workflow.prepare(sources, tmp_path / "study")
    before = _contents(tmp_path / "study")
    workflow.prepare(sources, tmp_path / "study")
    assert _contents(tmp_path / "study") == before


def test_other_options_do_not_touch_a_study(tmp_path: Path, demo_recordings: Path) -> None:
    sources = _subjects(demo_recordings, 1)
    workflow.prepare(sources, tmp_path / "study")
    before = _contents(tmp_path / "study")
    with pytest.raises(UserError, match="other recordings or options"):
        workflow.prepare(sources, tmp_path / "study", options={"smoothing_ms": 40})
    assert _contents(tmp_path / "study") == before


@pytest.mark.parametrize("stop_at", [0, 1, 3, 4])
def test_cancelled_prepare_goes_on_where_it_stopped(
    tmp_path: Path, demo_recordings: Path, stop_at: int
) -> None:
    sources = _subjects(demo_recordings, 1, 2)
    workflow.prepare(sources, tmp_path / "whole" / "study")

    def stop(progress: Progress) -> None:
        if progress.done == stop_at:
            raise Cancelled

    folder = tmp_path / "stopped" / "study"
    with pytest.raises(Cancelled):
        workflow.prepare(sources, folder, report=stop)
    assert not (folder / "study.json").exists()
    with pytest.raises(UserError, match="holds no study"):
        Study.open(folder)
    workflow.prepare(sources, folder)
    assert _contents(folder) == _contents(tmp_path / "whole" / "study")


def test_killed_prepare_gives_the_same_files_when_run_again(
    tmp_path: Path, demo_recordings: Path
) -> None:
    """SIGKILL at two moments of one prepare, then one run to the end."""
    workflow.prepare([demo_recordings], tmp_path / "whole" / "study")
    folder = tmp_path / "killed" / "study"
    command = [sys.executable, "-m", "core", "prepare", str(demo_recordings)]
    command += ["--study", str(folder)]
    root = Path(__file__).resolve().parents[2]
    kills = 0
    for wanted in (1, 30):
        process = subprocess.Popen(command, cwd=root)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list((folder / STAGING).glob("0*.part"))) >= wanted:
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
    assert kills >= 1, "prepare ended before it could be killed"
    assert subprocess.run(command, cwd=root, check=False, stdout=subprocess.DEVNULL).returncode == 0
    assert _contents(folder) == _contents(tmp_path / "whole" / "study")


def test_copies_of_one_signal_cannot_stand_on_both_sides(
    tmp_path: Path, demo_recordings: Path
) -> None:
    folder = tmp_path / "S01"
    shutil.copytree(demo_recordings / "S01", folder)
    for ending in (".hea", ".dat"):
        text = (folder / f"session_1{ending}").read_bytes()
        copy = text.replace(b"session_1", b"session_3") if ending == ".hea" else text
        (folder / f"session_3{ending}").write_bytes(copy)
    workflow.prepare([folder], tmp_path / "study")
    study = Study.open(tmp_path / "study")
    refused = study.recordings.set_index("record")["rejected"]
    assert "the same signal" in refused["session_3"]
    assert refused["session_1"] == refused["session_2"] == ""
    assert "session_3" not in set(study.beats("all").record)


def test_subject_comes_from_the_manifest_first(tmp_path: Path, demo_recordings: Path) -> None:
    shutil.copytree(demo_recordings / "S01", tmp_path / "cohort" / "folder")
    (tmp_path / "cohort" / "manifest.csv").write_text(
        "path,subject,session,label\n"
        "folder/session_1.hea,anna,day one,rest\n"
        "folder/session_2.hea,berta,day two,stress\n"
    )
    workflow.prepare([tmp_path / "cohort"], tmp_path / "study")
    table = Study.open(tmp_path / "study").recordings
    assert list(table["subject"]) == ["anna", "berta"]
    assert list(table["session"]) == ["day one", "day two"]
    assert list(table["label"]) == ["rest", "stress"]


def test_a_split_by_subject_without_a_test_part_is_told(
    tmp_path: Path, demo_recordings: Path
) -> None:
    one = sorted(demo_recordings.rglob("*.hea"))[0]
    told = workflow.prepare([one], tmp_path / "one", options={"split": "subject"})
    assert any("nothing is in the test part" in remark for remark in told["remarks"])


def test_ready_beats_enter_as_beats_and_say_that_no_subject_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    beat = np.exp(-(((np.arange(187) - 40) / 4.0) ** 2))
    rows = [np.append(beat + 0.01 * rng.standard_normal(187), i % 3) for i in range(30)]
    (tmp_path / "beats.csv").write_text(
        "\n".join(",".join(f"{v:.5f}" for v in row) for row in rows) + "\n"
    )
    result = workflow.prepare([tmp_path / "beats.csv"], tmp_path / "study")
    assert result["beats"] == 30
    assert any("no honest split by subject" in remark for remark in result["remarks"])
    assert len(set(Study.open(tmp_path / "study").beats("all").label)) == 3


def test_a_bad_file_among_good_ones_is_listed_and_the_others_are_used(
    tmp_path: Path, demo_recordings: Path
) -> None:
    shutil.copytree(demo_recordings / "S01", tmp_path / "S01")
    data = tmp_path / "S01" / "session_2.dat"
    data.write_bytes(data.read_bytes()[:100])
    result = workflow.prepare([tmp_path / "S01"], tmp_path / "study")
    assert result["recordings_used"] == 1
    assert [Path(entry["path"]).name for entry in result["refused"]] == ["session_2.hea"]


def test_one_beat_is_a_study(tmp_path: Path) -> None:
    """A second of signal around one simulated R peak, as a text file."""
    time_s = np.arange(-0.9, 0.9, 1 / 250)
    signal_mv = np.exp(-((time_s / 0.02) ** 2)) + 0.2 * np.exp(-(((time_s - 0.25) / 0.05) ** 2))
    (tmp_path / "one").mkdir()
    np.savetxt(tmp_path / "one" / "beat.csv", signal_mv, fmt="%.5f")
    options = PrepareOptions(source_rate=250.0)
    result = workflow.prepare([tmp_path / "one" / "beat.csv"], tmp_path / "study", options=options)
    assert result["beats"] == 1
    with pytest.raises(UserError, match="beats"):
        workflow.train(tmp_path / "study", models=["autoencoder"], preset="quick")


def test_a_study_of_a_newer_version_is_refused_and_left_alone(
    tmp_path: Path, demo_recordings: Path
) -> None:
    folder = tmp_path / "study"
    workflow.prepare(_subjects(demo_recordings, 1), folder)
    info = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps(info | {"version": 99, "extra": 1}))
    before = _contents(folder)
    for attempt in (
        lambda: Study.open(folder),
        lambda: workflow.prepare(_subjects(demo_recordings, 1), folder),
        lambda: workflow.train(folder),
    ):
        with pytest.raises(UserError, match="newer CardioTwin"):
            attempt()
    assert _contents(folder) == before


def test_beats_from_r_to_r_begin_at_r(tmp_path: Path, demo_recordings: Path) -> None:
    options = {"window": "r_to_r"}
    workflow.prepare(_subjects(demo_recordings, 1), tmp_path / "study", options=options)
    study = Study.open(tmp_path / "study")
    assert study.info.before_s == 0
    beats = study.beats("all")
    assert (np.abs(beats.signals[:, :, 0]).argmax(axis=1) == 0).mean() > 0.9


def test_exported_and_generated_beats_are_no_recordings(
    tmp_path: Path, prepared_study: Path
) -> None:
    workflow.export(prepared_study, tmp_path / "beats.npz")
    with pytest.raises(UserError, match="exported or generated"):
        workflow.prepare([tmp_path / "beats.npz"], tmp_path / "study")


def test_later_days_sort_behind_earlier_ones(tmp_path: Path, demo_recordings: Path) -> None:
    shutil.copytree(demo_recordings / "S01", tmp_path / "S01")
    (tmp_path / "manifest.csv").write_text(
        "path,subject,session\nS01/session_1.hea,a,07.12.2004\nS01/session_2.hea,a,05.01.2005\n"
    )
    workflow.prepare([tmp_path], tmp_path / "study", options={"split": "session"})
    table = Study.open(tmp_path / "study").recordings.set_index("session")["partition"]
    assert table.to_dict() == {"2004-12-07": "train", "2005-01-05": "test"}

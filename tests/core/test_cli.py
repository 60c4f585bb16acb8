"""The command line as users' scripts rely on it: every verb, its exit status, its JSON keys."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import cli
from core.study import Study

ROOT = Path(__file__).resolve().parents[2]
VERBS = [
    "demo",
    "prepare",
    "train",
    "export",
    "generate",
    "authenticate",
    "identify",
    "verify",
    "enroll",
    "gallery",
    "tune",
    "report",
    "peaks",
    "measure",
    "evaluate",
]


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """Run a verb with ``--json``; return its one JSON object."""
    capsys.readouterr()
    assert cli.main([str(word) for word in (*words, "--json")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def _refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run a verb that must fail by the user's fault; return its one line."""
    capsys.readouterr()
    try:
        status = cli.main([str(word) for word in words])
    except SystemExit as stop:
        status = stop.code  # type: ignore[assignment]
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.endswith(".\n")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "--json" in text
    assert "Research use only" in " ".join(text.split())


def test_demo_is_a_prepared_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = _run(capsys, "demo", tmp_path / "demo")
    assert (result["subjects"], result["recordings"], result["recordings_used"]) == (24, 48, 48)
    assert Study.open(tmp_path / "demo").info.simulated


def test_export_holds_the_documented_arrays(
    prepared_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "beats.npz"
    result = _run(capsys, "export", prepared_study, "--out", out, "--partition", "test")
    with np.load(out, allow_pickle=False) as file:
        n = result["beats"]
        assert file["signals"].shape == (n, 175, 1)
        assert file["signals"].dtype == np.float32
        assert file["leads"].shape == (1,)
        for name in ("subject", "label", "record"):
            assert file[name].shape == (n,)
            assert file[name].dtype.kind == "U"
        assert float(file["sampling_rate"]) == 250
        assert file["synthetic"].dtype == bool
        assert not file["synthetic"].any()
        assert set(file["record"]) == {"session_2"}


def test_csv_and_npz_hold_the_same_beats(
    trained_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from core.beat_set import read_beats

    for ending in ("npz", "csv"):
        out = tmp_path / f"beats.{ending}"
        _run(
            capsys,
            "generate",
            trained_study,
            "--model",
            "mixture",
            "--per-subject",
            3,
            "--out",
            out,
        )
    first, second = read_beats(tmp_path / "beats.npz"), read_beats(tmp_path / "beats.csv")
    np.testing.assert_allclose(first.signals, second.signals, atol=1e-6)
    assert list(first.subject) == list(second.subject)
    assert first.synthetic.all()
    assert second.synthetic.all()


@pytest.mark.parametrize("model", ["gan", "mixture"])
def test_generate_same_seed_same_file(
    model: str,
    trained_study: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["generate", trained_study, "--model", model, "--per-subject", 4]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        result = _run(capsys, *words, "--seed", seed, "--out", tmp_path / f"{name}.npz")
        assert result["beats"] == 16
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    with np.load(tmp_path / "a.npz") as file:
        assert file["synthetic"].all()
        assert set(file["record"]) == {""}


def test_generate_one_subject_at_another_heart_rate(
    trained_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A faster heart brings the T wave forward; P and QRS stay."""
    waves = {}
    for rate in (50, 110):
        out = tmp_path / f"{rate}.npz"
        words = ["generate", trained_study, "--model", "mixture", "--subject", "S01"]
        _run(capsys, *words, "--per-subject", 40, "--heart-rate", rate, "--out", out)
        with np.load(out) as file:
            assert set(file["subject"]) == {"S01"}
            waves[rate] = file["signals"].mean(axis=0)[:, 0]
    t_wave = slice(62 + 30, None)
    assert np.argmax(waves[110][t_wave]) < np.argmax(waves[50][t_wave])
    np.testing.assert_allclose(waves[110][:70], waves[50][:70], atol=1e-6)


def test_authenticate_gives_a_probability_a_beat(
    trained_study: Path,
    demo_recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _run(capsys, "export", trained_study, "--out", tmp_path / "real.npz")
    for file in (tmp_path / "real.npz", demo_recordings / "S01" / "session_1.hea"):
        result = _run(capsys, "authenticate", trained_study, file)
        assert {"beats", "synthetic", "verdict", "reasons", "copies"} <= set(result)
        assert isinstance(result["synthetic"], bool)
        assert all(0 <= p <= 1 for p in result["beats"])


def test_identify_has_one_entry_a_file_in_order(
    trained_study: Path, demo_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "empty.csv"
    bad.touch()
    good = [demo_recordings / f"S0{i}" / "session_2.hea" for i in (3, 1)]
    result = _run(capsys, "identify", trained_study, good[0], bad, good[1])["results"]
    keys = {"file", "beats", "predicted", "score", "accepted", "scores", "reason", "probability"}
    assert [entry["file"] for entry in result] == [str(good[0]), str(bad), str(good[1])]
    assert all(keys <= set(entry) for entry in result)
    assert [entry["predicted"] for entry in result] == ["S03", None, "S01"]
    assert set(result[0]["scores"]) == {"S01", "S02", "S03", "S04"}
    assert result[0]["score"] == max(result[0]["scores"].values())
    assert not result[1]["accepted"]
    assert "empty" in result[1]["reason"]


def test_identify_never_changes_the_study(
    trained_study: Path, demo_recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {p: p.stat().st_mtime_ns for p in trained_study.rglob("*")}
    _run(capsys, "identify", trained_study, demo_recordings / "S02" / "session_2.hea")
    assert {p: p.stat().st_mtime_ns for p in trained_study.rglob("*")} == files


def test_enroll_and_gallery_have_their_keys(
    trained_study: Path, demo_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study"
    shutil.copytree(trained_study, study)
    file = demo_recordings / "S06" / "session_1.hea"
    result = _run(capsys, "enroll", study, file, "--subject", "Ann")
    assert set(result) == {"subject", "enrolled", "templates", "gallery", "remarks"}
    assert [set(entry) for entry in result["enrolled"]] == [{"file", "beats", "reason"}]
    assert (result["templates"], result["gallery"]) == (1, 5)
    names = ["S01", "S02", "S03", "S04", "Ann"]
    listed = _run(capsys, "gallery", study)
    assert [one["subject"] for one in listed["subjects"]] == names
    _run(capsys, "gallery", study, "--remove", "S02")
    listed = _run(capsys, "gallery", study, "--undo")
    assert listed["undone"] == "S02 removed"
    assert [one["subject"] for one in listed["subjects"]] == names
    assert _run(capsys, "identify", study, file, "--refresh")["results"][0]["predicted"] == "Ann"


def test_one_beat_is_named_but_not_accepted(
    trained_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from core.beat_set import write_beats

    write_beats(Study.open(trained_study).beats("test").take([5]), tmp_path / "one.npz")
    entry = _run(capsys, "identify", trained_study, tmp_path / "one.npz")["results"][0]
    assert entry["beats"] == 1
    assert entry["predicted"] in entry["scores"]
    assert not entry["accepted"]
    assert "1 clear beat" in entry["reason"]


def test_a_file_without_a_rate_asks_for_it(
    trained_study: Path, demo_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import wfdb

    signal = wfdb.rdrecord(str(demo_recordings / "S02" / "session_2")).p_signal[:, 0]
    np.savetxt(tmp_path / "ecg.csv", signal, fmt="%.4f")
    line = _refused(capsys, "identify", trained_study, tmp_path / "ecg.csv")
    assert "--source-rate" in line
    words = ["identify", trained_study, tmp_path / "ecg.csv", "--source-rate", 250]
    assert _run(capsys, *words)["results"][0]["predicted"] == "S02"


def test_verify_says_yes_or_no_on_the_scale_of_identify(
    trained_study: Path, demo_recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = demo_recordings / "S01" / "session_2.hea"
    named = _run(capsys, "identify", trained_study, file)["results"][0]
    for subject in ("S01", "S02"):
        entry = _run(capsys, "verify", trained_study, file, "--subject", subject)["results"][0]
        assert set(entry) == {"file", "subject", "score", "threshold", "match", "reason"}
        assert entry["score"] == pytest.approx(named["scores"][subject])
        assert entry["match"] == (subject == "S01" and named["accepted"])
        assert not entry["match"] or entry["score"] >= entry["threshold"]


def test_peaks_are_sample_numbers_at_the_files_own_rate(
    demo_recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import wfdb

    entry = _run(capsys, "peaks", demo_recordings / "S05" / "session_1.hea")["results"][0]
    assert set(entry) == {"file", "sampling_rate", "peaks"}
    signal = wfdb.rdrecord(str(demo_recordings / "S05" / "session_1")).p_signal[:, 0]
    assert entry["sampling_rate"] == 250
    heights = signal[entry["peaks"]]
    assert np.median(heights) > np.percentile(signal, 98)


def test_measure_has_its_figures_for_every_file(
    demo_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = demo_recordings / "S05" / "session_1.hea", tmp_path / "empty.csv"
    bad.touch()
    out = tmp_path / "page.pdf"
    found = _run(capsys, "measure", bad, good, "--leads", "I", "--pdf", out)
    assert found["pdf"] == str(out)
    assert out.read_bytes().startswith(b"%PDF")
    wrong, entry = found["results"]
    times = ("pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "qtc_fridericia_ms", "sdnn_ms", "rmssd_ms")
    keys = {"file", "heart_rate", "quality", "remarks", "beats", "measures", *times}
    assert keys <= set(entry)
    assert set(wrong) == {*entry, "error"}
    assert (wrong["file"], entry["file"]) == (str(bad), str(good))
    assert {wrong[name] for name in ("heart_rate", "quality", *times)} == {None}
    assert 40 < entry["heart_rate"] < 120
    assert 0 < entry["pr_ms"] < entry["qt_ms"] < entry["qtc_ms"] + 100
    assert 0 < entry["quality"] <= 1
    assert entry["measures"]["leads"] == ["I"]


def test_measure_is_told_with_units(
    demo_recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "empty.csv"
    bad.touch()
    words = ["measure", str(demo_recordings / "S05" / "session_1.hea"), str(bad)]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    for part in ("a minute", " ms", "QTc (Bazett)", "Simulated", "empty.csv"):
        assert part in told
    assert "None" not in told


def test_evaluate_names_the_protocol_of_every_figure(
    trained_study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The four networks that judge are trained for one epoch: their figures are not looked at."""
    from core.models import cnn_lstm

    monkeypatch.setitem(cnn_lstm.EPOCHS, "quick", 1)
    result = _run(capsys, "evaluate", trained_study, "--redraws", 1)

    def figures(node: Any) -> list[Any]:
        if isinstance(node, dict):
            own = [node] if "value" in node else []
            return own + [f for value in node.values() for f in figures(value)]
        return []

    found = figures(result)
    assert len(found) > 20
    assert all(figure.get("protocol") for figure in found)
    assert {"realism", "identification", "authenticity", "protocol"} <= set(result)
    assert result["identification"]["real"]["protocol"] == result["protocol"]
    for generator in ("gan", "mixture", "reconstruction"):
        assert result["realism"][generator]["discriminative"]["features"]["ceiling"] is not None
    assert result["realism"]["gan"]["discriminative"]["cnn"]["floor"] is not None
    assert result["realism"]["better"]["model"] in ("gan", "mixture", None)


@pytest.mark.parametrize("ending", ["html", "pdf"])
def test_report_stands_alone(
    ending: str, trained_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"report.{ending}"
    assert _run(capsys, "report", trained_study, "--out", out)["file"] == str(out)
    content = out.read_bytes()
    if ending == "pdf":
        assert content.startswith(b"%PDF")
    else:
        text = content.decode()
        assert "Research use only" in text
        assert "split by record" in text
        assert 'src="http' not in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nonsense"], "invalid choice"),
        (["prepare", "X", "--study", "S", "--sampling-rate", "-5"], "--sampling-rate: -5.0"),
        (["prepare", "X", "--study", "S", "--split", "recrod"], "--split: 'recrod'"),
        (["prepare", "X", "--study", "S", "--sampling-rate", "fast"], "--sampling-rate"),
        (["prepare", "no/such/folder", "--study", "S"], "no such file"),
        (["train", "no/such/study"], "holds no study"),
        (["train", "{study}", "--models", "gnn"], "--models"),
        (["train", "{study}", "--preset", "slow"], "--preset"),
        (["train", "{study}", "--resume"], "nothing was interrupted"),
        (["export", "{study}", "--out", "x.txt"], ".npz or .csv"),
        (["export", "{study}", "--out", "x.npz", "--partition", "tset"], "Did you mean 'test'"),
        (["export", "{study}", "--out", "x.npz", "--signal", "smoothd"], "Did you mean 'smoothed'"),
        (["generate", "{study}", "--out", "x.npz", "--seed", "-1"], "--seed"),
        (["evaluate", "{study}", "--seed", "-1"], "--seed"),
        (["train", "{study}", "--models", ""], "--models"),
        (["generate", "{study}", "--out", "x.npz", "--subject", "S0l"], "Did you mean"),
        (["generate", "{study}", "--out", "x.npz", "--per-subject", "0"], "--per-subject"),
        (["generate", "{study}", "--out", "x.npz", "--model", "gun"], "Did you mean 'gan'"),
        (["generate", "{study}", "--out", "x.npz", "--heart-rate", "900"], "--heart-rate"),
        (["generate", "{study}", "--out", "x.npz", "--days", "old"], "--days"),
        (["generate", "{study}", "--out", "x.npz", "--days", "new"], "several recordings"),
        (["generate", "{study}", "--out", "x.npz", "--label", "V"], "label"),
        (["verify", "{study}", "x.npz", "--subject", "nobody"], "not enrolled"),
        (["identify", "{study}", "no/such/file.hea"], "no such file"),
        (["enroll", "{study}", "no/such/file.hea", "--subject", "Ann"], "no such file"),
        (["enroll", "{study}", "no/such/file.hea", "--subject", ""], "--subject"),
        (["gallery", "{study}", "--remove", "nobody"], "--remove nobody"),
        (["gallery", "{study}", "--undo"], "nothing was changed"),
        (["peaks", "no/such/file.hea"], "no such file"),
        (["measure", "no/such/file.hea"], "no such file"),
        (["measure", "x.hea", "--pdf", "x.png"], "End it in .pdf"),
        (["report", "{study}", "--out", "x.docx"], ".html or .pdf"),
        (["tune", "{study}", "--trials", "0"], "--trials"),
    ],
)
def test_a_users_error_is_one_line_and_status_2(
    words: list[str],
    expected: str,
    trained_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    line = _refused(capsys, *(word.format(study=trained_study) for word in words))
    assert expected in line
    assert not list(tmp_path.iterdir()), "something half made was left"


def test_models_not_trained_are_named(
    prepared_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = _refused(capsys, "generate", prepared_study, "--out", tmp_path / "x.npz")
    assert "has no trained autoencoder" in line
    assert "Train it with" in line


def test_the_program_itself_prints_one_line_on_standard_error(tmp_path: Path) -> None:
    """As a process, where C++ libraries may write to standard error, too."""
    process = subprocess.run(
        [sys.executable, "-m", "core", "identify", str(tmp_path), "x.hea", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1


def test_a_table_of_ready_beats_goes_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two labels, sorted; a table names no subject, so labels are what is learned."""
    rng = np.random.default_rng(0)
    time_s = np.arange(187) / 125 - 0.25
    rows = []
    for label, width in ((0, 0.02), (1, 0.05)):
        for _ in range(60):
            beat = np.exp(-((time_s / width) ** 2)) + 0.02 * rng.standard_normal(187)
            rows.append(",".join(f"{v:.4f}" for v in beat) + f",{label}")
    (tmp_path / "beats.csv").write_text("\n".join(rows) + "\n")
    study = tmp_path / "study"
    _run(capsys, "prepare", tmp_path / "beats.csv", "--study", study, "--split", "random")
    parts = Study.open(study).beat_table.groupby("partition")["label"].nunique()
    assert (parts[["train", "validation", "test"]] == 2).all()
    _run(capsys, "train", study, "--models", "autoencoder,mixture,identifier", "--preset", "quick")
    named = _run(capsys, "identify", study, tmp_path / "beats.csv", "--per-beat")["results"][0]
    told = [one["predicted"] for one in named["per_beat"]]
    assert np.mean([t == str(i // 60) for i, t in enumerate(told)]) > 0.9
    assert _run(capsys, "report", study, "--out", tmp_path / "r.html")["file"]
    drawn = _run(capsys, "generate", study, "--model", "mixture", "--out", tmp_path / "g.npz")
    assert drawn["beats"] == 50
    with np.load(tmp_path / "g.npz") as file:
        assert set(file["label"]) == {"0", "1"}

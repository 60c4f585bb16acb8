"""The generation page: what each of its sections shows of generated beats, rows and strips."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.beat_set import concatenate, read_beats, write_beats
from core.evaluation.privacy import nearest_distances
from core.jobs import read_job
from core.recording import Recording
from core.study import Study, write_json
from pages.parts import generated, strip_form, swap_test
from tests.pages.conftest import PROJECT, Submitted, chart, check, linked, words, write_job

OpenPage = Callable[..., AppTest]
SECTION = "generation-section"


def section(open_page: OpenPage, name: str, **state: Any) -> AppTest:
    return open_page("generation", **{SECTION: name, **state})


def quiz_result(study: Path, n: int = 10, exchanged: tuple[int, ...] = (1, 4, 8)) -> dict[str, Any]:
    beats = Study.open(study).beats("train")
    return {
        "signals": beats.signals[:n].round(4).tolist(),
        "synthetic": [i in exchanged for i in range(n)],
        "judge": [0.9 if i in exchanged[:2] else 0.2 for i in range(n)],
        "subjects": ["S01"] * n,
        "partition": "test",
        "part": "beat",
        "model": "gan",
        "seed": 3,
    }


def test_generated_beats_stand_beside_real_ones_with_one_cursor_and_one_scale(
    trained: Path, open_page: OpenPage
) -> None:
    app = open_page("generation")
    option = linked(app)
    base = option["baseOption"]
    titles = [title["text"] for title in base["title"]]
    assert titles == ["Real", "Smoothed", "Generated  SYNTHETIC", "Time from the R peak (s)"]
    assert base["axisPointer"]["link"] == [{"xAxisIndex": "all"}]
    assert len({(axis["min"], axis["max"]) for axis in base["yAxis"]}) == 1
    assert len({(axis["min"], axis["max"]) for axis in base["xAxis"]}) == 1
    assert base["yAxis"][0]["name"] == "Amplitude (mV)"
    tops = [grid["top"] for grid in option["media"][0]["option"]["grid"]]
    assert tops == sorted(set(tops)), "on a phone they stand one above the other"
    spread = chart(app)
    assert "SYNTHETIC" in json.dumps(spread["layout"]["annotations"])
    assert [b.label for b in app.get("download_button")] == ["Download npz", "Download csv"]


def test_an_untrained_study_shows_its_real_beats(study: Path, open_page: OpenPage) -> None:
    app = open_page("generation")
    assert "No generator is trained yet." in words(app)
    titles = [title["text"] for title in linked(app)["baseOption"]["title"]]
    assert titles[:-1] == ["Real", "Smoothed"]
    assert "SYNTHETIC" not in json.dumps(linked(app))


def test_a_label_is_offered_where_a_study_has_several(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    assert "generate-label" not in {s.key for s in open_page("generation").selectbox}
    path = trained / "beats.parquet"
    table = pd.read_parquet(path)
    table["label"] = np.where(np.arange(len(table)) % 2, "V", "N")
    table.to_parquet(path)
    info = trained / "study.json"
    info.write_text(info.read_text().replace('"Tiny"', '"Tiny, labelled"'))
    app = open_page("generation")
    app.selectbox(key="generate-label").select("V")
    app.get("form_submit_button")[0].click().run()
    check(app)
    assert submitted.of("generate")["label"] == "V"


def generate(study: Path, subjects: list[str], *, n: int = 5, **asked: Any) -> str:
    """Write a finished job that generated beats of subjects: each one's real ones, shifted."""
    sets = [Study.open(study).beats("train", subject=name).take(slice(0, n)) for name in subjects]
    beats = concatenate(sets)
    synthetic = {
        "signals": beats.signals + np.float32(0.02),
        "synthetic": np.ones(len(beats), bool),
    }
    out = study / "exports" / f"made-{len(subjects)}-{asked.get('model', 'gan')}.npz"
    write_beats(replace(beats, **synthetic), out)
    told = {"model": "gan", "subjects": subjects, "per_subject": n, "days": "recorded", "seed": 0}
    return write_job(study, "generate", {"out": str(out), **told, **asked}, result={})


def test_the_first_visit_generates_everybody_by_itself(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    shutil.rmtree(trained / "runs")
    app = open_page("generation", subject="S02")
    asked = submitted.of("generate")
    assert asked["subjects"] == ["S01", "S02", "S03"] and asked["per_subject"] == 50
    assert "Generating" in app.progress[0].text
    titles = [title["text"] for title in linked(app)["baseOption"]["title"]]
    assert titles[:-1] == ["Real", "Smoothed"], "what is there already is shown meanwhile"
    open_page("generation")
    assert submitted.verbs() == ["generate"], "once"


def test_a_model_that_was_trained_anew_draws_into_another_file(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    """What was taken from the older file, and said of it, is not taken for the new one's."""
    outs = []
    for seed in (0, 1):
        shutil.rmtree(trained / "runs", ignore_errors=True)
        card = trained / "models" / "gan" / "card.json"
        write_json(card, json.loads(card.read_text()) | {"recipe": {"format": 1, "seed": seed}})
        open_page("generation", subject="S02")
        outs.append(submitted.of("generate")["out"])
    assert outs[0] != outs[1]


def test_another_subject_is_shown_at_once_from_a_generation_of_everybody(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    generate(trained, ["S01", "S02", "S03"])
    app = open_page("generation")
    app.selectbox(key="subject").select("S03").run()
    check(app)
    assert "**S03**: 5 beats by the GAN (conditional), as on the recorded days" in words(app)
    mean = linked(app)["baseOption"]["series"][-1]
    own = Study.open(trained).beats("train", subject="S03").signals[:5, :, 0].mean(axis=0) + 0.02
    np.testing.assert_allclose([y for _, y in mean["data"]], own, atol=1e-3)
    assert submitted.calls == []


def test_a_subject_without_generated_beats_has_them_by_one_click(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("generation", subject="S02")
    assert "No generated beats of S02 yet." in words(app)
    app.button(key="generate-now").click().run()
    check(app)
    assert (submitted.of("generate")["subjects"], submitted.verbs()) == (["S02"], ["generate"])
    assert "Generating" in app.progress[0].text


def test_the_same_model_and_days_are_shown_of_the_next_subject(
    trained: Path, open_page: OpenPage
) -> None:
    generate(trained, ["S02"], model="mixture")
    generate(trained, ["S02"])
    generate(trained, ["S01"], model="mixture")
    app = open_page("generation", subject="S02")
    shown = next(box for box in app.selectbox if box.label == "Generated beats")
    assert [words.split(" by the ")[1].split(",")[0] for words in shown.options] == [
        "GAN (conditional)",
        "Gaussian mixture",
    ]
    app.selectbox(key="subject").select("S01").run()
    assert "**S01**: 20 beats by the GAN" in words(app), "not the newer one of the mixture"


@pytest.mark.parametrize("page", ["generation", "identification", "authenticity"])
def test_the_subject_of_the_address_is_chosen(
    page: str, trained: Path, open_page: OpenPage
) -> None:
    app = open_page(page, subject="S03")
    assert app.selectbox(key="subject").value == "S03"
    if page != "generation":
        assert app.selectbox(key="recording").options == ["S03/session_2", "S03/session_1"]


def test_a_study_that_was_moved_finds_its_generated_beats(
    trained: Path, open_page: OpenPage
) -> None:
    job = next((trained / "runs").iterdir()) / "job.json"
    told = job.read_text()
    job.write_text(told.replace(str(trained), "/elsewhere"))
    assert "**S01**: 20 beats" in words(open_page("generation"))


def test_downloads_hold_the_subject_alone_and_say_what_made_them(trained: Path) -> None:
    job_id = generate(trained, ["S01", "S02"])
    study = Study.open(trained)
    job = read_job(trained, job_id)
    for ending in (".npz", ".csv"):
        path = trained / f"download{ending}"
        path.write_bytes(generated.as_bytes(study, job, "S02", ending))
        beats = read_beats(path)
        assert set(beats.subject) == {"S02"} and beats.synthetic.all()
    assert "gan" in path.read_text()
    part = generated.file_of_subject(study, job, "S02")
    assert part == generated.part_name(study, job, "S02") and set(read_beats(part).subject) == {
        "S02"
    }


@pytest.mark.parametrize("method", ["PCA", "t-SNE"])
def test_points_of_real_and_generated_beats(
    method: str, trained: Path, open_page: OpenPage
) -> None:
    app = section(open_page, "Points", **{"plane-method": method})
    real, generated = linked(app)["series"][:2]
    assert (real["name"], generated["name"]) == ("Real, smoothed", "Generated")
    assert "20 real and as many generated beats of S01" in words(app)
    assert method in linked(app)["xAxis"]["name"]


def test_copies_are_told_and_shown_over_the_beat_that_they_copy(
    trained: Path, open_page: OpenPage
) -> None:
    app = section(open_page, "Not a copy?")
    assert "20 of 20 generated beats are near copies" in words(app), "the fixture copies them"
    train, copy = chart(app, 1)["data"]
    assert copy["line"]["dash"] == "dash"
    assert train["name"].startswith("Closest train beat (S01 ")
    assert "SYNTHETIC" in json.dumps(chart(app, 1)["layout"]["annotations"])
    app.slider(key="closest-rank").set_value(20).run()
    check(app)
    assert chart(app, 1)["data"][1]["name"] != copy["name"]


def test_beats_that_are_no_copies_are_cleared_beside_unseen_real_ones(
    trained: Path, open_page: OpenPage
) -> None:
    path = trained / "exports" / "generated.npz"
    beats = read_beats(path)
    noise = np.random.default_rng(1).normal(0, 0.2, beats.signals.shape).astype(np.float32)
    write_beats(type(beats)(**{**beats.__dict__, "signals": beats.signals + noise}), path)
    app = section(open_page, "Not a copy?")
    train = Study.open(trained).beats("train")
    closest = nearest_distances(read_beats(path).signals, train.signals, 250.0).min()
    assert "None of the 20 generated beats is a near copy" in words(app)
    assert f"The closest differs by {100 * closest:.3g}" in words(app)
    assert "which no model has seen" in words(app)


def test_a_row_hides_which_beats_were_exchanged_until_asked(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    asked = {"model": "gan", "subject": "S01", "part": "beat"}
    job = write_job(trained, "quiz", asked, result=quiz_result(trained))
    app = section(open_page, "Swap test")
    hidden = "".join(str(e.proto.spec) for e in app.get("plotly_chart"))
    assert "SYNTHETIC" not in hidden
    assert "#D55E00" not in hidden
    app.get_by_key(f"swap-guess-{job}").set_value([2, 3])
    app.toggle(key=f"swap-show-{job}").set_value(True).run()
    check(app)
    shown = "".join(str(e.proto.spec) for e in app.get("plotly_chart"))
    assert shown.count("SYNTHETIC") == 2, "once a row"
    assert shown.count('"width":2.4') == 3
    assert "You named 2 and found 1 of the 3." in words(app)
    assert "The judge calls 2 of the 3 exchanged beats synthetic, and 0 of the 7" in words(app)


@pytest.mark.parametrize("part", swap_test.PARTS)
def test_every_part_can_be_exchanged(
    part: str, trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = section(open_page, "Swap test", **{"swap-part": part})
    app.button(key="swap-new").click().run()
    check(app)
    asked = submitted.of("quiz")
    assert (asked["subject"], asked["part"], asked["model"]) == ("S01", part, "gan")
    assert not chart_count(app), "it is being made"


def chart_count(app: AppTest) -> int:
    return len(app.get("plotly_chart"))


@pytest.mark.parametrize("ending", strip_form.FORMATS)
def test_a_strip_is_asked_for_in_every_format(
    ending: str, trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = section(open_page, "Strip")
    assert "No strip of this person yet." in words(app)
    app.number_input(key="strip-seconds").set_value(20)
    app.selectbox(key="strip-format").select(ending)
    app.number_input(key="strip-rate").set_value(80.0)
    app.checkbox(key="strip-noise").set_value(True)
    button = next(b for b in app.get("form_submit_button") if b.label == "Make a strip")
    button.click().run()
    check(app)
    asked = submitted.of("generate")
    assert Path(asked.pop("out")).suffix == ending
    asked.pop("study")
    assert asked == {
        "model": "gan",
        "subjects": ["S01"],
        "seconds": 20.0,
        "days": "recorded",
        "seed": 0,
        "heart_rate": 80.0,
        "noise": "real",
    }


def test_a_strip_is_drawn_on_true_paper_and_downloaded_whole(
    trained: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = trained / "exports" / "strip.hea"
    files = [out, out.with_suffix(".dat")]
    for file in files:
        file.write_bytes(file.suffix.encode())
    asked = {"model": "gan", "subjects": ["S01"], "seconds": 22.0, "days": "recorded", "seed": 0}
    write_job(
        trained,
        "generate",
        {"study": str(trained), "out": str(out), **asked},
        result={"files": [str(file) for file in files]},
    )
    signal = np.sin(np.arange(22 * 250) / 30).astype(np.float32)[:, None]
    recording = Recording(signal, 250.0, ("I",), ("mV",), "strip", out)
    monkeypatch.setattr(strip_form, "read_recording", lambda path: recording)
    app = section(open_page, "Strip")
    assert "**S01**: 20 beats by the GAN" in words(app), "not the strip"
    assert chart_count(app) == strip_form.ROWS_A_PAGE_S / strip_form.USUAL_ROW_S
    layout = chart(app)["layout"]
    assert (layout["xaxis"]["dtick"], layout["yaxis"]["dtick"]) == (0.2, 0.5)
    assert (layout["xaxis"]["minor"]["dtick"], layout["yaxis"]["minor"]["dtick"]) == (0.04, 0.1)
    assert (layout["yaxis"]["scaleanchor"], layout["yaxis"]["scaleratio"]) == ("x", 10 / 25)
    assert layout["xaxis"]["range"] == [0.0, 5.0]
    assert "SYNTHETIC" in json.dumps(layout["annotations"])
    assert "25 mm/s to 10 mm/mV" in words(app)
    height = layout["height"]
    app.get_by_key("strip-row-s").set_value(2.5).run()
    check(app)
    assert chart(app)["layout"]["xaxis"]["range"] == [0.0, 2.5]
    assert chart(app)["layout"]["height"] != height
    assert chart_count(app) == 4
    with zipfile.ZipFile(io.BytesIO(strip_form.as_zip(files))) as archive:
        assert sorted(archive.namelist()) == ["strip.dat", "strip.hea"]


def test_both_generators_stand_beside_real_beats_and_the_better_is_named(
    trained: Path, open_page: OpenPage
) -> None:
    figure = {"value": 0.52, "ceiling": 0.5, "n": 100}
    realism = {
        "gan": {"discriminative": {"features": figure}},
        "mixture": {"discriminative": {"features": figure | {"value": 0.61}}},
        "better": {"model": "gan", "why": "the gan is ahead in the judge on features"},
    }
    models = Study.open(trained).model_recipes()
    figures = {"protocol": "by record", "seed": 0, "realism": realism, "models": models}
    write_json(trained / "reports" / "figures.json", figures)
    app = section(open_page, "How close")
    assert "Better for these data: GAN (conditional)." in app.success[0].value
    assert app.table[0].value.iloc[0, 1:].tolist() == ["52 %", "61 %", "50 %"]
    assert "the best of 5 judges tells **52 %** right (real from real: 50 %" in words(app)
    assert "by record. Below each figure its 95 % interval" in words(app)
    assert app.table[1].value.iloc[0, 1:].tolist() == ["0.52", "0.61", "0.5"]


def test_an_unmeasured_study_says_how_to_measure(trained: Path, open_page: OpenPage) -> None:
    app = section(open_page, "How close")
    assert "Not measured yet" in words(app)
    assert app.button(key="evaluate-realism").label == "Evaluate"


def test_no_page_imports_tensorflow_or_support_vector_machines() -> None:
    code = (
        "import sys; from pages.parts import closeness, judgement, planes, quiz, strip_form;"
        "print(sorted({'tensorflow', 'keras', 'sklearn.svm'} & set(sys.modules)))"
    )
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

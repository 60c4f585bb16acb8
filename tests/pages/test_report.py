"""The report page: what it will say, a job that makes it, and what can be taken along."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.study import Study
from tests.pages.conftest import Submitted, words, write_job

Open = Callable[..., AppTest]


def button(app: AppTest, label: str) -> object:
    return next(one for one in app.button if one.label == label)


def downloads(app: AppTest) -> list[str]:
    return [str(getattr(one, "label", "")) for one in app.get("download_button")]


def make(app: AppTest, ending: str) -> None:
    app.radio(key="report-format").set_value(ending)
    button(app, "Make the report").click()  # type: ignore[attr-defined]
    app.run()


def report_of(study: Path, ending: str = ".html") -> Path:
    out = study / "reports" / f"report{ending}"
    out.parent.mkdir(exist_ok=True)
    out.write_bytes(b"x" * 1000)
    write_job(study, "write_report", {"study": str(study), "out": str(out)}, result={})
    return out


@pytest.mark.usefixtures("submitted")
def test_without_a_study_the_page_says_what_to_do(open_page: Open) -> None:
    app = open_page("report")
    assert not app.radio
    assert words(app)


def test_an_untrained_study_is_told_as_such(study: Path, open_page: Open) -> None:
    app = open_page("report")
    table = app.table[0].value.to_string()
    assert "3 subjects" in table
    assert "none is trained yet" in table
    assert "not judged yet" in table
    assert "tell of the data only" in words(app)


@pytest.mark.parametrize("ending", [".html", ".pdf"])
def test_one_click_makes_the_report(
    ending: str, study: Path, open_page: Open, submitted: Submitted
) -> None:
    app = open_page("report")
    make(app, ending)
    assert submitted.of("write_report")["out"] == str(study / "reports" / f"report{ending}")
    assert Path(submitted.of("write_report")["out"]).parent.is_dir()


def test_a_trained_study_can_be_judged_from_here(
    trained: Path, open_page: Open, submitted: Submitted
) -> None:
    app = open_page("report")
    assert "generated (gan)" in app.table[0].value.to_string()
    assert "without figures" in words(app)
    button(app, "Evaluate").click()  # type: ignore[attr-defined]
    app.run()
    assert submitted.verbs() == ["evaluate"]


def test_a_report_that_was_made_is_offered(trained: Path, open_page: Open) -> None:
    report_of(trained)
    app = open_page("report")
    assert any("Download the report (HTML" in label for label in downloads(app))
    assert "newer than this report" not in words(app)


def test_a_report_older_than_the_models_says_so(trained: Path, open_page: Open) -> None:
    out = report_of(trained)
    past = time.time() - 3600
    os.utime(out, (past, past))
    assert "newer than this report" in words(open_page("report"))


def test_a_report_that_is_gone_is_no_fault(trained: Path, open_page: Open) -> None:
    report_of(trained).unlink()
    assert "make it again" in words(open_page("report"))


def test_a_failed_report_says_why(trained: Path, open_page: Open) -> None:
    out = trained / "reports" / "report.pdf"
    arguments = {"study": str(trained), "out": str(out)}
    write_job(trained, "write_report", arguments, status="failed", message="The disk is full.")
    assert "The disk is full." in words(open_page("report"))


def test_options_and_figures_can_be_taken_along(trained: Path, open_page: Open) -> None:
    app = open_page("report")
    assert "Options (study.json)" in downloads(app)
    assert not any("figures.json" in label for label in downloads(app))
    figures = {
        "protocol": "split by record",
        "seed": 3,
        "models": Study.open(trained).model_recipes(),
    }
    (trained / "reports").mkdir(exist_ok=True)
    (trained / "reports" / "figures.json").write_text(json.dumps(figures))
    app = open_page("report")
    assert "Figures (figures.json)" in downloads(app)
    assert "seed 3" in app.table[0].value.to_string()
    assert any("evaluate DIR --seed 3" in one.value for one in app.code)

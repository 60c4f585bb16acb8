"""What the dashboard shows before there is a study, and how the demo study comes about."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import workspace as places
from tests.pages.conftest import PAGES, PROJECT, Submitted, check, words, write_job

OpenPage = Callable[..., AppTest]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_without_a_study_says_what_to_do(
    name: str, workspace: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    (workspace / "studies").mkdir()
    app = open_page(name)
    assert "There is no study yet" in app.info[0].value
    assert submitted.calls == []
    app.button(key="start-demo").click().run()
    check(app)
    assert submitted.verbs() == ["demo"]


@pytest.mark.parametrize("name", PAGES)
def test_the_first_start_prepares_the_demo_once(
    name: str, workspace: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page(name)
    folder = workspace / "studies" / "demo"
    assert submitted.calls == [("demo", "demo", {"study": str(folder)})]
    assert "simulated" in app.selectbox(key="study").options[0]
    assert app.progress[0].text.startswith("Preparing the demo study")


def test_the_prepared_demo_is_trained_once_and_called_simulated(
    workspace: Path, prepared: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    folder = workspace / "studies" / "demo"
    shutil.copytree(prepared, folder)
    write_job(folder, "demo", {"study": str(folder)})
    app = open_page("generation")
    assert submitted.calls == [("demo", "train", {"study": str(folder), "preset": "quick"})]
    assert app.progress[0].text.startswith("Training")
    assert "Simulated cohort" in words(app)
    shown = len(app.get("plotly_chart")), len(app.get("echarts_chart"))
    assert shown == (1, 1), "real beats are there before training ends"
    app.run()
    assert submitted.verbs() == ["train"]


def test_a_cancelled_training_of_the_demo_is_not_begun_again(
    workspace: Path, prepared: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    folder = workspace / "studies" / "demo"
    shutil.copytree(prepared, folder)
    write_job(folder, "demo", {"study": str(folder)})
    write_job(folder, "train", {"study": str(folder)}, status="cancelled")
    open_page("training")
    assert submitted.calls == []


def test_a_shipped_demo_study_is_copied(
    workspace: Path,
    prepared: Path,
    submitted: Submitted,
    open_page: OpenPage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "SHIPPED_DEMO", prepared)
    app = open_page("recordings")
    assert submitted.calls == []
    assert app.metric[0].value == "3"
    assert (prepared / "study.json").is_file()


def test_a_failed_preparation_is_told_and_can_be_discarded(
    workspace: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    folder = workspace / "studies" / "mine"
    message = "a.csv: is damaged. Save it again."
    write_job(folder, "prepare", {"study": str(folder)}, status="failed", message=message)
    app = open_page("training")
    assert [e.value for e in app.error] == [message]
    app.button(key="discard").click().run()
    check(app)
    assert not folder.exists()


SCRIPT = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60).run()
for section in ("Balance", "Quality", "Beats", "Features", "Export"):
    app.session_state["recordings-section"] = section
    app.run()
    assert not app.exception
for name in ("training", "generation", "authenticity", "identification"):
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception
print([m for m in ("tensorflow", "keras", "sklearn", "matplotlib", "wfdb") if m in sys.modules])
"""


def test_the_dashboard_imports_neither_tensorflow_nor_other_heavy_packages(
    workspace: Path, trained: Path
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=PROJECT,
        env={**os.environ, places.WORKSPACE_VARIABLE: str(workspace)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip().splitlines()[-1] == "[]"

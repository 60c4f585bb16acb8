"""What a page shows of a job: live, stopping, interrupted, failed; and that it runs elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from pages.parts import job_panel
from tests.pages.conftest import check, write_job


def show(folder: str, job_id: str) -> None:
    """Be a page with one job's panel; a script of its own."""
    from pathlib import Path

    from core import jobs
    from pages.parts import job_panel

    job_panel.panel(Path(folder), jobs.read_job(Path(folder), job_id), key="test")


def page(study: Path, job_id: str) -> AppTest:
    kwargs = {"folder": str(study), "job_id": job_id}
    app = AppTest.from_function(show, kwargs=kwargs, default_timeout=30).run()
    assert not app.exception
    return app


def change(study: Path, job_id: str, **state: Any) -> None:
    path = study / "runs" / job_id / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | state))


def bar(app: AppTest) -> str:
    return str(app.get("progress")[0].proto.text)


@pytest.fixture
def running(study: Path) -> str:
    job_id = write_job(study, "train", {"study": str(study)}, status="running")
    now = json.loads((study / "runs" / job_id / "state.json").read_text())["started"]
    change(study, job_id, started=now - 200, since=[now - 100, 1], told=now, run=2)
    return job_id


def test_running_job_tells_stage_times_and_that_it_went_on(study: Path, running: str) -> None:
    app = page(study, running)
    assert bar(app) == "Training: train it, 3 of 10"
    (told,) = app.caption
    assert told.value.startswith("3 min so far, about 6 min left of this step, it was stopped once")
    change(study, running, since=None, run=1)
    assert page(study, running).caption[0].value == "3 min so far."


def test_cancel_is_answered_at_once(study: Path, running: str) -> None:
    app = page(study, running)
    app.button[0].click().run()
    assert (study / "runs" / running / "cancel").exists()
    assert bar(app) == "Training: stopping ..."
    assert not app.button

    change(study, running, status="cancelled")
    app = page(study, running)
    assert app.info[0].value == "Training was cancelled. What is finished stays."
    assert [button.label for button in app.button] == ["Resume"]


def test_interrupted_job_is_resumed_or_left(
    study: Path, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(
        study, running, worker={"host": "elsewhere", "pid": 1, "born": 0.0}, status="interrupted"
    )
    resumed: list[str] = []

    def resume(folder: Path, job_id: str, *, workspace: Path) -> None:
        resumed.append(job_id)
        change(folder, job_id, status="done")

    monkeypatch.setattr(jobs, "resume", resume)
    app = page(study, running)
    assert app.warning[0].value.startswith("Training was interrupted.")
    assert [button.label for button in app.button] == ["Resume", "Leave it"]
    app.button[1].click().run()
    assert jobs.read_job(study, running).status == "cancelled"
    page(study, running).button[0].click().run()
    assert resumed == [running]


def test_failure_is_a_sentence_and_the_log_names_no_folder(study: Path) -> None:
    job_id = write_job(
        study, "train", {}, status="failed", message="rec_1.dat: is empty. Give another."
    )
    log = study / "runs" / job_id / "log.txt"
    log.write_text(
        "2026-01-01 10:00:00,000 INFO train begins\n"
        "2026-01-01 10:00:01,000 ERROR /home/eve/ws/rec_1.dat: is empty, 25 mm/s\n"
        "Traceback (most recent call last):\n"
        '  File "/home/eve/core/training.py", line 3\n'
    )
    app = page(study, job_id)
    assert app.error[0].value == "rec_1.dat: is empty. Give another."
    assert job_panel.last_log_lines(jobs.read_job(study, job_id)) == [
        "2026-01-01 10:00:00,000 INFO train begins",
        "2026-01-01 10:00:01,000 ERROR rec_1.dat: is empty, 25 mm/s",
    ]
    log.unlink()
    assert job_panel.last_log_lines(jobs.read_job(study, job_id)) == []


def test_long_jobs_of_all_studies_are_told_of_on_every_page(
    study: Path, running: str, open_page: Callable[..., AppTest]
) -> None:
    write_job(study, "generate", {}, status="running")
    other = study.with_name("other")
    shutil.copytree(study, other)
    shutil.rmtree(other / "runs")
    app = open_page("report", study="other")
    assert [b.label for b in app.button if "running" in (b.key or "")] == ["Training: 30%. Tiny"]
    app.button("running-tiny").click().run()
    check(app)
    assert app.session_state["study"] == "tiny"
    assert bar(app).startswith("Training: train it")

    change(study, running, status="interrupted")
    app = open_page("report", study="other")
    assert app.button("running-tiny").label == "Training: interrupted. Tiny"
    change(study, running, status="done")
    assert "running-tiny" not in [b.key for b in open_page("report").button]


def test_job_that_waits_says_so_and_spans_are_read_easily(study: Path) -> None:
    job_id = write_job(study, "train", {}, status="queued")
    assert bar(page(study, job_id)) == "Training: waiting for a worker ..."
    assert [job_panel.span(s) for s in (-1, 40, 180, 9000)] == ["0 s", "40 s", "3 min", "2.5 h"]

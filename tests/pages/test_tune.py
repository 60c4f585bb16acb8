"""The tuning part of the training page: its start, its progress, its trials, the best as model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from core.study import Study
from tests.pages.conftest import Submitted, chart, check, words, write_job

OpenPage = Callable[..., AppTest]
TAB = {"training-tab": "Tune"}


def write_trials(study: Path, accuracies: list[tuple[str, float]]) -> dict[str, Any]:
    """Write a search as `core.tuning` documents its file, the last trial the best."""
    trials: list[dict[str, Any]] = [
        {
            "number": number,
            "state": state,
            "accuracy": accuracy,
            "epochs": [accuracy / 2, accuracy],
            "seconds": 3.2,
            "settings": {"filters": [16, 32], "learning_rate": number / 1000},
        }
        for number, (state, accuracy) in enumerate(accuracies, start=1)
    ]
    found = {
        "study": Study.open(study).info.fingerprint,
        "protocol": "as told",
        "space": {},
        "best": len(trials),
        "trials": trials,
    }
    (study / "tuning").mkdir()
    (study / "tuning" / "trials.json").write_text(json.dumps(found))
    return trials[-1]["settings"]  # type: ignore[no-any-return]


def test_without_trials_a_search_begins_with_what_was_chosen(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("training", **TAB)
    assert "No trial yet" in words(app)
    app.number_input(key="tune-trials").set_value(8)
    app.number_input(key="tune-seed").set_value(3)
    app.get("form_submit_button")[-1].click().run()
    check(app)
    assert submitted.of("tune") == {"study": str(study), "trials": 8, "seed": 3}
    assert not app.get("form_submit_button"), "one job at a time"


def test_a_running_search_shows_its_progress_and_is_cancelled(
    study: Path, open_page: OpenPage
) -> None:
    job = write_job(
        study, "tune", {"trials": 10}, status="running", metrics=[{"accuracy": 0.5, "best": 0.6}]
    )
    app = open_page("training", **TAB)
    assert app.progress[0].value == 30
    assert [line["name"] for line in chart(app)["data"]] == ["accuracy", "best"]
    assert "The first trial is on its way." in words(app)
    write_trials(study, [("complete", 0.8), ("complete", 0.9)])
    app = open_page("training", **TAB)
    assert "**Trial 2 of 10**, best so far 90.0% (trial 2), 3 s a trial" in words(app)
    assert len(app.get("plotly_chart")) == 3, "the job's curves, the trials, a setting"
    app.button(key=f"cancel-tune-{job}").click().run()
    check(app)
    assert (study / "runs" / job / "cancel").exists()


def test_the_best_of_the_trials_becomes_the_model_with_one_click(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    settings = write_trials(trained, [("complete", 0.8), ("pruned", 0.4), ("complete", 0.9)])
    app = open_page("training", **TAB)
    table = app.dataframe[-1].value
    assert list(table["State"]) == ["complete", "pruned", "complete"]
    assert list(table["learning rate"]) == ["0.001", "0.002", "0.003"]
    best = next(line for line in chart(app, -2)["data"] if line["name"] == "best so far")
    assert best["y"] == [0.8, 0.8, 0.9]
    assert "Trial 3, accuracy 90.0%" in words(app)
    scatter = {line["name"]: line for line in chart(app, -1)["data"]}
    assert (scatter["complete"]["x"], scatter["pruned"]["x"]) == (["(16, 32)"] * 2, ["(16, 32)"])
    app.selectbox(key="tune-setting").select("learning_rate").run()
    assert chart(app, -1)["layout"]["xaxis"]["categoryarray"] == ["0.001", "0.002", "0.003"]
    app.button(key="tune-use").click().run()
    check(app)
    assert submitted.of("train") == {
        "study": str(trained),
        "models": ["identifier"],
        "preset": "full",
        "seed": 0,
    }
    for job in (trained / "runs").iterdir():
        (job / "job.json").unlink()
    card = trained / "models" / "identifier" / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"recipe": {"tuned": settings}}))
    app = open_page("training", **TAB)
    assert "The identifier was trained with these settings." in words(app)
    assert "tune-use" not in [button.key for button in app.button]


def test_trials_on_other_data_are_not_shown(trained: Path, open_page: OpenPage) -> None:
    write_trials(trained, [("complete", 0.8)])
    path = trained / "tuning" / "trials.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"study": "another"}))
    assert "No trial yet" in words(open_page("training", **TAB))

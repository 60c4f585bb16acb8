"""The overview: where a study stands, what to do next, and the study that an address names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.study import Study
from pages.parts import workspace as places
from pages.parts.standing import key_figures
from tests.pages.conftest import PROJECT, Submitted, check, linked, words, write_job

OpenPage = Callable[..., AppTest]
FIGURES = {
    "protocol": "split by record: a subject's last recording is test",
    "seed": 0,
    "identification": {
        "real": {
            "protocol": "split by record",
            "method": "joined",
            "methods": {"joined": {"recording": {"rank_1": 0.958, "probes": 24}}},
        }
    },
    "realism": {
        "gan": {
            "discriminative": {
                "features": {"value": 0.482, "ceiling": 0.491, "protocol": "an RBF SVM"}
            },
            "tstr": {"value": 0.874, "ceiling": 0.827, "protocol": "a discriminant"},
            "privacy": {"near_copies": {"value": 0.186, "ceiling": 0.159, "protocol": "near"}},
        }
    },
}


def buttons(app: AppTest) -> set[str]:
    return {str(b.key) for b in app.main.button if b.key}


def labels(app: AppTest) -> list[str]:
    return [b.label for b in app.main.button]


def judge(study: Path) -> None:
    figures = FIGURES | {"models": Study.open(study).model_recipes()}
    (study / "reports").mkdir()
    (study / "reports" / "figures.json").write_text(json.dumps(figures))


def test_without_a_study_it_says_what_one_is_and_opens_three_doors(
    workspace: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    (workspace / "studies").mkdir()
    app = open_page("overview")
    assert "A **study** is one folder" in words(app)
    assert "There is no study yet" in app.info[0].value
    assert "Upload recordings" in labels(app)
    app.button(key="door-folder").click().run()
    check(app)
    assert app.title[0].value == "Recordings"
    assert app.file_uploader


def test_a_prepared_study_is_to_be_trained(study: Path, open_page: OpenPage) -> None:
    app = open_page("overview")
    assert [m.value for m in app.metric] == ["3", "6", app.metric[2].value, "3"]
    assert "split by record" in words(app)
    assert "0 of 5 models" in words(app)
    assert "Not judged yet" in words(app)
    assert "Train the models" in labels(app)
    next(b for b in app.main.button if b.label == "Train the models").click().run()
    check(app)
    assert app.title[0].value == "Training"


def test_a_trained_study_is_to_be_judged_and_shows_its_picture(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("overview")
    assert "5 of 5 models" in words(app)
    assert [m.value for m in app.metric][4:] == ["\u2013"] * 4
    titles = [title["text"] for title in linked(app)["baseOption"]["title"]]
    assert any("Generated" in title for title in titles)
    assert "SYNTHETIC" in json.dumps(linked(app))
    app.button(key="evaluate-overview").click().run()
    check(app)
    assert submitted.verbs() == ["evaluate"]
    assert app.progress[0].text.startswith("Evaluating the study")
    assert "evaluate-overview" not in buttons(app)


def test_a_judged_study_shows_its_key_figures_with_their_meaning(
    trained: Path, open_page: OpenPage
) -> None:
    judge(trained)
    app = open_page("overview")
    shown = {m.label: m.value for m in app.metric}
    assert shown["Right name, of a recording (rank-1)"] == "95.8 %"
    assert shown["Real from generated, told by an SVM"] == "48.2 %"
    assert "50 %: it cannot tell; real from real: 49.1 %" in words(app)
    assert all(m.help for m in app.metric[4:]), "each figure with its protocol"
    assert "report" in buttons(app)


def test_without_a_generation_real_beside_generated_is_one_click_away(
    trained: Path, open_page: OpenPage
) -> None:
    judge(trained)
    shutil.rmtree(trained / "exports")
    app = open_page("overview")
    assert not app.get("echarts_chart")
    app.button(key="beside").click().run()
    check(app)
    assert app.title[0].value == "Generation"


def test_figures_that_were_not_measured_are_left_open() -> None:
    assert [figure.value for figure in key_figures(None)] == [None] * 4
    assert [figure.value for figure in key_figures({"identification": {}})] == [None] * 4


def test_a_running_job_is_shown_and_a_failed_one_says_why(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    write_job(study, "train", {"study": str(study)}, status="running")
    app = open_page("overview")
    assert app.main.get("progress")[0].text.startswith("Training")
    write_job(study, "train", {"study": str(study)}, status="failed", message="It broke. Mend it.")
    app = open_page("overview")
    assert "It broke. Mend it." in [e.value for e in app.error]
    assert "Recent jobs" in [e.label for e in app.expander]


def linked_to(name: str, page: str = "app.py") -> AppTest:
    app = AppTest.from_file(str(PROJECT / page), default_timeout=60)
    app.query_params["study"] = name
    app.run()
    check(app)
    return app


@pytest.mark.parametrize("asked", ["Other", "other-folder"])
def test_the_address_names_the_study(
    asked: str, study: Path, prepared: Path, open_page: OpenPage
) -> None:
    other = study.parent / "other-folder"
    shutil.copytree(prepared, other)
    told = json.loads((other / "study.json").read_text())
    (other / "study.json").write_text(json.dumps(told | {"name": "Other"}))
    assert linked_to(asked).session_state["study"] == "other-folder"


def test_a_study_that_is_not_there_is_told_in_one_sentence(study: Path) -> None:
    app = linked_to("gone")
    assert [w.value for w in app.warning] == [
        "gone: is no study of this workspace. Choose one of the list."
    ]
    assert app.session_state["study"] == "tiny"
    assert app.header[0].value == "Tiny"


def test_two_studies_of_one_title_are_told_apart(study: Path, prepared: Path) -> None:
    shutil.copytree(prepared, study.parent / "again")
    found = places.labels(places.list_studies())
    assert set(found) == {"tiny", "again"}
    assert len(set(found.values())) == 2
    assert all(name in title for name, title in found.items())


def test_a_study_on_its_way_already_has_its_title(study: Path) -> None:
    folder = study.parent / "My-cohort"
    write_job(folder, "prepare", {"study": str(folder), "name": "My cohort"}, status="queued")
    entry = next(e for e in places.list_studies() if e.folder == folder)
    assert entry.title == "My cohort"
    assert not entry.prepared


def test_a_study_on_its_way_has_its_title_as_soon_as_its_job_is_told(workspace: Path) -> None:
    folder = workspace / "studies" / "My-study"
    (folder / "runs").mkdir(parents=True)
    assert places.list_studies()[0].title == "My-study"
    write_job(folder, "prepare", {"name": "My study!"}, status="queued")
    assert places.list_studies()[0].title == "My study!"
    (job,) = (folder / "runs").iterdir()
    told = (job / "job.json").read_text()
    (job / "job.json").unlink()
    assert places.list_studies()[0].title == "My-study"
    (job / "job.json").write_text(told)
    assert places.list_studies()[0].title == "My study!"

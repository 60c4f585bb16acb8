"""The training page: the plan, a running training, runs side by side, networks, cards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import runs
from core.models.storage import save_arrays
from core.options import MODEL_NAMES
from core.study import Study, writing
from tests.pages.conftest import Submitted, chart, check, words, write_job

OpenPage = Callable[..., AppTest]
TAB = "training-tab"


def _measure(study: Path, seconds: float) -> None:
    """Write how long each model took, as a training does."""
    for name in MODEL_NAMES:
        timing = {
            "seconds": seconds,
            "learning_seconds": None,
            "preset": "quick",
            "beats": len(Study.open(study).beats("train")),
            "machine": "another",
        }
        (study / "models" / name / "timing.json").write_text(json.dumps(timing))


def test_training_begins_with_what_was_chosen(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("training")
    assert "smoothed beats** of 3 subjects in the train part" in words(app)
    app.get_by_key("train-models").set_value(["gan", "autoencoder", "identifier"])
    app.selectbox(key="train-preset").select("full")
    app.number_input(key="train-seed").set_value(7)
    app.selectbox(key="train-target").select("label")
    app.selectbox(key="train-order").select("lstm_cnn")
    app.selectbox(key="train-balance").select("draws")
    app.selectbox(key="train-augment").select("classic")
    app.button(key="train-begin").click().run()
    check(app)
    assert submitted.of("train") == {
        "study": str(study),
        "models": ["autoencoder", "gan", "identifier"],
        "preset": "full",
        "seed": 7,
        "target": "label",
        "order": "lstm_cnn",
        "balance": "draws",
        "augment": "classic",
    }
    assert app.progress[0].text.startswith("Training")
    assert "train-begin" not in [button.key for button in app.button], "one training at a time"
    assert "Another can begin when it ends" in words(app)


def test_options_of_the_identifier_come_with_it(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("training")
    app.selectbox(key="train-augment").select("classic").run()
    app.get_by_key("train-models").set_value(["autoencoder"]).run()
    assert "train-augment" not in [box.key for box in app.selectbox]
    app.button(key="train-begin").click().run()
    check(app)
    assert submitted.of("train") == {
        "study": str(study),
        "models": ["autoencoder"],
        "preset": "quick",
        "seed": 0,
    }


def test_no_model_chosen_is_told(study: Path, submitted: Submitted, open_page: OpenPage) -> None:
    app = open_page("training")
    app.get_by_key("train-models").set_value([]).run()
    app.button(key="train-begin").click().run()
    check(app)
    assert app.error[0].value == "Models: none is chosen. Choose at least one."
    assert submitted.calls == []


def test_the_plan_names_what_is_missing_and_refuses(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("training")
    assert "not known yet: it is measured from the first training on" in words(app)
    app.get_by_key("train-models").set_value(["gan"]).run()
    assert list(app.dataframe[0].value["Takes"]) == ["cannot begin: needs autoencoder"]
    app.button(key="train-begin").click().run()
    check(app)
    assert "gan: needs a trained autoencoder" in app.error[0].value
    assert submitted.calls == []


def test_the_plan_tells_how_long_it_should_take(trained: Path, open_page: OpenPage) -> None:
    _measure(trained, 60.0)
    app = open_page("training")
    table = app.dataframe[0].value
    assert list(table["Stands on"])[:2] == ["the beats", "autoencoder"]
    assert table["Takes"][0] == "about 60 s, measured in this study on another machine"
    assert "In all **about 5 min**" in words(app)
    app.selectbox(key="train-preset").select("full").run()
    assert "what identifier takes: with this preset it was not measured yet" in words(app)


def test_a_running_training_shows_curves_and_is_cancelled(study: Path, open_page: OpenPage) -> None:
    job = write_job(
        study,
        "train",
        {"preset": "quick"},
        status="running",
        metrics=[{"critic_loss": 2.0}, {"critic_loss": 1.5}],
    )
    app = open_page("training")
    assert app.progress[0].value == 30
    assert chart(app)["data"][0]["name"] == "critic loss"
    assert "train-begin" not in [button.key for button in app.button]
    app.button(key=f"cancel-train-{job}").click().run()
    check(app)
    assert (study / "runs" / job / "cancel").exists()


def _write_samples(study: Path, folder: Path, steps: list[int]) -> None:
    train = Study.open(study).beats("train")
    beats = np.stack([train.signals[:4] + step / 1000 for step in steps]).astype(np.float32)
    folder.mkdir(parents=True)
    save_arrays(
        folder / "samples.npz",
        {
            "subject": np.asarray(train.subject[0]),
            "steps": np.asarray(steps),
            "beats": beats,
            "unit": np.asarray("step"),
        },
    )


def test_a_running_training_shows_its_first_halfway_and_latest_beats(
    study: Path, open_page: OpenPage
) -> None:
    job = write_job(study, "train", {"preset": "quick"}, status="running")
    state = study / "runs" / job / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"stage": "train gan"}))
    _write_samples(study, study / "models" / ".gan.checkpoint", [0, 100, 200, 450])
    app = open_page("training")
    figures = [chart(app, number) for number in range(3)]
    titles = [figure["layout"]["title"]["text"] for figure in figures]
    assert titles == ["Step 0", "Step 200", "Step 450"]
    assert len({tuple(figure["layout"]["yaxis"]["range"]) for figure in figures}) == 1, "one scale"
    for figure in figures:
        assert "SYNTHETIC" in [note["text"][3:-4] for note in figure["layout"]["annotations"]]
    app.get_by_key("live-samples-view").set_value("How they differ from the real mean").run()
    check(app)
    apart = chart(app)["layout"]["yaxis"]["range"]
    whole = figures[0]["layout"]["yaxis"]["range"]
    assert apart[1] - apart[0] < whole[1] - whole[0]


@pytest.mark.parametrize("status", ["failed", "cancelled", "interrupted"])
def test_a_training_that_ended_early_can_be_resumed(
    status: str, study: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core import jobs

    resumed: list[str] = []
    monkeypatch.setattr(jobs, "resume", lambda folder, job, workspace: resumed.append(job))
    message = "beats.npy: is missing. Prepare the study again." if status == "failed" else ""
    job = write_job(study, "train", {"preset": "quick"}, status=status, message=message)
    app = open_page("training")
    assert message in words(app)
    app.button(key=f"resume-train-{job}").click().run()
    assert resumed == [job]


def test_empty_tabs_tell_what_to_do(study: Path, open_page: OpenPage) -> None:
    assert "No training has ended yet" in words(open_page("training", **{TAB: "Runs"}))
    assert "No model is trained yet" in words(open_page("training", **{TAB: "Models"}))


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_the_card_of_each_model(name: str, trained: Path, open_page: OpenPage) -> None:
    app = open_page("training", **{TAB: "Models", "model-shown": name})
    assert len(app.get("plotly_chart")) == 1, "its curves; there is no network in this study"
    assert [e.label for e in app.expander][-1] == "Its whole card"


def test_a_network_is_drawn_with_its_parameters(
    trained: Path, trained_study: Path, open_page: OpenPage
) -> None:
    from core.architecture import read_layers

    for name in ("autoencoder", "gan"):
        shutil.rmtree(trained / "models" / name)
        shutil.copytree(trained_study / "models" / name, trained / "models" / name)
    app = open_page("training", **{TAB: "Models"})
    for network in ("encoder", "decoder"):
        layers = read_layers(trained / "models" / "autoencoder" / f"{network}.keras")
        assert f"{sum(layer.parameters for layer in layers):,} parameters" in words(app)
    app = open_page("training", **{TAB: "Models", "model-shown": "gan"})
    assert "Critic: orders real and generated beats" in words(app)


def _runs(study: Path) -> list[str]:
    """Make a second run of a study, whose figures are better; return the ids, newest first."""
    opened = Study.open(study)
    with writing(study):
        runs.keep_models(opened)
        for name in MODEL_NAMES:
            path = study / "models" / name / "card.json"
            card = json.loads(path.read_text())
            card["recipe"]["seed"] = card["seed"] = 9
            if name == "authenticity":
                card["auc"] = 0.9
            path.unlink()
            path.write_text(json.dumps(card))
        runs.record(opened, preset="quick", seed=9, trained=MODEL_NAMES, options={})
    return [run.id for run in runs.list_runs(opened)]


def test_runs_are_compared_and_the_better_is_marked(trained: Path, open_page: OpenPage) -> None:
    assert "the two stand side by side" in words(open_page("training", **{TAB: "Runs"}))
    _runs(trained)
    app = open_page("training", **{TAB: "Runs"})
    assert list(app.dataframe[0].value["State"]) == ["in use", "kept"]
    table = app.table[0].value
    assert list(table.loc["Judge: AUC, subjects held out of train"]) == ["0.9 ★", "0.64"]
    assert len(chart(app)["data"]) == 2, "a line a run"
    app.multiselect(key="runs-compared").set_value([]).run()
    check(app)
    assert "Choose two or more." in words(app)


def test_the_models_of_a_run_are_put_to_use_and_back(trained: Path, open_page: OpenPage) -> None:
    newest, oldest = _runs(trained)
    app = open_page("training", **{TAB: "Runs"})
    app.button(key="runs-use-begin").click().run()
    check(app)
    assert Study.open(trained).card("gan")["seed"] == 0
    assert "In use now: autoencoder" in words(app)
    assert app.selectbox(key="runs-use").value == newest
    app.button(key="runs-use-begin").click().run()
    check(app)
    assert Study.open(trained).card("gan")["seed"] == 9
    assert app.selectbox(key="runs-use").value == oldest


def test_models_are_not_exchanged_under_a_running_job(trained: Path, open_page: OpenPage) -> None:
    _runs(trained)
    write_job(trained, "train", {"preset": "quick"}, status="running")
    app = open_page("training", **{TAB: "Runs"})
    assert "runs-use-begin" not in [button.key for button in app.button]
    assert "Models can be exchanged when it has ended" in words(app)


def test_trainings_that_did_not_finish_are_listed(study: Path, open_page: OpenPage) -> None:
    write_job(study, "train", {"preset": "quick"}, status="cancelled")
    app = open_page("training", **{TAB: "Runs"})
    assert list(app.dataframe[0].value["State"]) == ["cancelled"]

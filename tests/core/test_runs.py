"""Finished trainings are kept, and their models are put back together or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from core import runs, workflow
from core.errors import UserError
from core.options import MODEL_FORMATS
from core.runs import Figure, best_of
from core.study import Study, read_json, writing


@pytest.fixture
def study(prepared_study: Path, tmp_path: Path) -> Study:
    shutil.copytree(prepared_study, tmp_path / "study")
    return Study.open(tmp_path / "study")


def _put(study: Study, seed: int, *names: str) -> None:
    """Write models as a training of a seed leaves them, in the order of what stands on what."""
    for name in names:
        folder = study.model_folder(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        needs = {"mixture": ("autoencoder",), "gan": ("autoencoder",)}.get(name, ())
        recipe: dict[str, Any] = {
            "format": MODEL_FORMATS[name],  # type: ignore[index]
            "seed": seed,
            "needs": {needed: study.card(needed)["recipe"] for needed in needs},
        }
        card = {"preset": "quick", "seed": seed, "recipe": recipe, "alarms": []}
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "history.json").write_text(json.dumps([{"spread": 0.5}, {"spread": seed / 10}]))
        (folder / "timing.json").write_text(json.dumps({"seconds": 2.0 * seed}))
        (folder / "weights.npz").write_bytes(bytes([seed]))


def _train(study: Study, seed: int, *names: str) -> str:
    """Do to the runs what a training does."""
    with writing(study.folder):
        runs.keep_models(study)
        _put(study, seed, *names)
        return runs.record(study, preset="quick", seed=seed, trained=names, options={})


def _seed(study: Study, name: str) -> int:
    return study.model_folder(name).joinpath("weights.npz").read_bytes()[0]


def test_models_before_any_run_are_a_run_in_use(study: Study) -> None:
    assert runs.list_runs(study) == []
    _put(study, 3, "autoencoder", "gan")
    (run,) = runs.list_runs(study)
    assert (run.id, run.in_use, run.seed, run.trained) == ("", True, 3, ("autoencoder", "gan"))
    assert run.figures["gan"] == {"spread": 0.3, "alarms": 0.0}
    assert run.seconds == {"autoencoder": 6.0, "gan": 6.0}
    assert [row["spread"] for row in runs.read_curves(study, run)["gan"]] == [0.5, 0.3]


def test_a_run_is_put_back_and_undone(study: Study) -> None:
    first = _train(study, 1, "autoencoder", "mixture", "gan")
    second = _train(study, 2, "autoencoder", "mixture", "gan")
    assert [(run.id, run.in_use) for run in runs.list_runs(study)] == [
        (second, True),
        (first, False),
    ]
    done = runs.restore(study, first)
    assert done == {"restored": ["autoencoder", "mixture", "gan"], "left_out": []}
    assert {_seed(study, name) for name in ("autoencoder", "mixture", "gan")} == {1}
    assert next(run for run in runs.list_runs(study) if run.in_use).id == first
    runs.restore(study, second)
    assert _seed(study, "gan") == 2
    assert not [p for p in study.folder.glob(".*") if p.name != ".lock"]


def test_files_of_a_kept_run_take_no_second_place(study: Study) -> None:
    first = _train(study, 1, "autoencoder")
    before = (study.model_folder("autoencoder") / "weights.npz").stat().st_ino
    _train(study, 2, "autoencoder")
    kept = study.folder / runs.FOLDER / first / "models" / "autoencoder" / "weights.npz"
    assert kept.stat().st_ino == before
    assert not (study.folder / runs.FOLDER / runs.list_runs(study)[0].id / "models").exists()


def test_a_model_that_stood_on_another_is_left_out_but_kept(study: Study) -> None:
    first = _train(study, 1, "autoencoder", "identifier")
    second = _train(study, 2, "autoencoder", "gan", "identifier")
    assert runs.restore(study, first)["left_out"] == ["gan"]
    assert not study.has_model("gan")
    runs.restore(study, second)
    assert _seed(study, "gan") == 2
    third = _train(study, 3, "mixture")
    runs.restore(study, second)
    assert study.has_model("mixture"), "it stands on the same autoencoder"
    assert third in {run.id for run in runs.list_runs(study)}


def test_old_runs_lose_their_models_but_not_their_figures(study: Study) -> None:
    ids = [_train(study, seed, "autoencoder", "gan") for seed in range(1, 9)]
    found = {run.id: run for run in runs.list_runs(study)}
    kept = [run_id for run_id in ids if found[run_id].kept]
    assert kept == ids[-1 - runs.KEPT :]
    assert found[ids[0]].figures["gan"]["spread"] == 0.1
    with pytest.raises(UserError, match="no longer kept"):
        runs.restore(study, ids[0])
    runs.restore(study, kept[0])
    assert _seed(study, "gan") == 3, "making room must not take the one that is asked for"


def test_what_cannot_be_put_back_is_refused_and_changes_nothing(study: Study) -> None:
    first = _train(study, 1, "autoencoder")
    _train(study, 2, "autoencoder")
    place = study.folder / runs.FOLDER / first / "run.json"
    told = read_json(place)
    for change, words in (
        ({"study": "another"}, "other data"),
        ({"recipes": {"autoencoder": {"format": 0}}}, "older CardioTwin"),
    ):
        place.write_text(json.dumps(told | change))
        with pytest.raises(UserError, match=words):
            runs.restore(study, first)
    place.write_text(json.dumps(told))
    with writing(study.folder), pytest.raises(UserError, match="writing to this study"):
        runs.restore(study, first)
    with pytest.raises(UserError, match="no such run"):
        runs.restore(study, "none")
    assert _seed(study, "autoencoder") == 2


def test_an_exchange_that_was_broken_off_is_finished_by_the_next(study: Study) -> None:
    first = _train(study, 1, "autoencoder")
    _train(study, 2, "autoencoder")
    (study.folder / "models").rename(study.folder / ".models.old")
    assert not any(run.in_use for run in runs.list_runs(study))
    runs.restore(study, first)
    assert _seed(study, "autoencoder") == 1


def test_a_damaged_run_is_passed_over(study: Study) -> None:
    first = _train(study, 1, "autoencoder")
    second = _train(study, 2, "autoencoder")
    (study.folder / runs.FOLDER / first / "run.json").write_text("{")
    assert [run.id for run in runs.list_runs(study)] == [second]


@pytest.mark.parametrize(
    ("better", "values", "best"),
    [
        ("higher", {"a": 1.0, "b": 2.0}, ["b"]),
        ("lower", {"a": 1.0, "b": 2.0, "c": 1.0}, ["a", "c"]),
        (1.0, {"a": 0.7, "b": 1.2}, ["b"]),
        ("higher", {"a": 1.0, "b": 1.0}, []),
        ("higher", {"a": 1.0}, []),
    ],
)
def test_the_better_one(better: Any, values: dict[str, float], best: list[str]) -> None:
    figure = Figure(model="gan", name="spread", words="", better=better)
    assert best_of(figure, values) == best


def test_a_training_is_kept_and_its_models_make_beats_again(study: Study, tmp_path: Path) -> None:
    models = ["autoencoder", "mixture"]
    workflow.train(study.folder, models=models, preset="quick", seed=0)
    (first,) = runs.list_runs(study)
    assert (first.trained, first.preset, first.seed) == (tuple(models), "quick", 0)
    assert first.seconds["autoencoder"] > 0
    assert first.figures["autoencoder"]["error"] < 0.05
    workflow.train(study.folder, models=models, preset="quick", seed=0)
    assert len(runs.list_runs(study)) == 1, "nothing was trained"
    asked: dict[str, Any] = {"model": "mixture", "per_subject": 3, "seed": 5}
    workflow.generate(study.folder, tmp_path / "first.csv", **asked)
    workflow.train(study.folder, models=models, preset="quick", seed=1)
    workflow.generate(study.folder, tmp_path / "second.csv", **asked)
    runs.restore(study, first.id)
    workflow.generate(study.folder, tmp_path / "again.csv", **asked)
    first_beats, second_beats, again = (
        (tmp_path / f"{name}.csv").read_bytes() for name in ("first", "second", "again")
    )
    assert first_beats == again != second_beats

"""The identifier's figures of a study: honest, leaky beside them, disturbed; each says how."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import scoreboard, workflow
from core.beat_set import BeatSet
from core.evaluation.identification import METHOD_WORDS
from core.reporting import told_figures
from core.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, prepared_study: Path) -> Study:
    folder = tmp_path_factory.mktemp("scoreboard") / "study"
    shutil.copytree(prepared_study, folder)
    workflow.train(folder, models=["identifier"], preset="quick")
    return Study.open(folder)


@pytest.fixture(scope="module")
def figures(study: Study) -> dict[str, Any]:
    found: dict[str, Any] = workflow.evaluate(study.folder)["identification"]
    return found


def test_the_methods_table_holds_every_method_and_unit(figures: dict[str, Any]) -> None:
    real = figures["real"]
    assert set(real["methods"]) == set(METHOD_WORDS)
    assert real["enrolled"] == 4 and real["method"] in METHOD_WORDS
    for method in real["methods"].values():
        for unit in ("beat", "five_beats", "recording"):
            assert 0 <= method[unit]["rank_1"] <= 1
            assert 0 <= method[unit]["eer_posterior"] <= 1


def test_leaky_figures_are_called_leaky_beside_the_honest_ones(figures: dict[str, Any]) -> None:
    leaky = figures["leaky"]
    assert leaky["protocol"].startswith("leaky")
    assert "a subject's last recording" not in leaky["protocol"]
    assert "a subject's last recording" in figures["real"]["protocol"]
    for method in ("network", "plain_lda", "template"):
        row = leaky[method]
        assert row["name"].startswith("leaky: ")
        assert row["honest_rank_1"] == figures["real"]["methods"][method]["beat"]["rank_1"]
        assert row["rank_1"] > 0.5


def test_robustness_starts_from_the_undisturbed_probes(figures: dict[str, Any]) -> None:
    first, *others = figures["robustness"]["rows"]
    honest = figures["real"]["methods"][figures["real"]["method"]]
    assert first["beat"] == pytest.approx(honest["beat"]["rank_1"])
    assert first["recording"] == pytest.approx(honest["recording"]["rank_1"])
    assert min(row["beat"] for row in others) < first["beat"]


def test_a_report_lists_figures_and_no_curves(study: Study, figures: dict[str, Any]) -> None:
    assert figures
    listed = list(told_figures(study.figures()))
    assert 20 < len(listed) < 250
    assert any("leaky" in one.name and "leaky" in one.protocol for one in listed)


class Told:
    """An identifier that says the same of everything, and keeps how much it was shown."""

    method, methods, threshold = "joined", ("joined",), 0.5

    def __init__(self, target: str, classes: tuple[str, ...]) -> None:
        self.target, self.classes = target, classes
        self.shown: list[int] = []

    def beat_scores(self, beats: BeatSet, *, method: str | None = None) -> np.ndarray:
        self.shown.append(len(beats))
        return np.full((len(beats), len(self.classes)), np.log(1 / len(self.classes)))

    def recording_scores(self, beats: BeatSet) -> tuple[np.ndarray, np.ndarray]:
        names = np.unique(beats.recording)
        scores = np.zeros((len(names), len(self.classes)))
        scores[0] = 1
        return names, scores


def evaluate_with(
    folder: Path, monkeypatch: pytest.MonkeyPatch, identifier: Told
) -> tuple[dict[str, Any], list[str]]:
    """Return the identification figures of a study that has this identifier, and its gaps."""
    write_card(folder, {})
    monkeypatch.setattr(scoreboard, "load_model", lambda study, name: identifier)
    found = workflow.evaluate(folder)
    return found["identification"], found["missing"]


def write_card(folder: Path, card: dict[str, Any]) -> None:
    path = folder / "models" / "identifier" / "card.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(card))


def test_labels_are_scored_beside_beats_that_have_none(
    prepared_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(prepared_study, folder)
    table = Study.open(folder).beat_table
    table["label"] = np.resize(["N", "", "V", "N", "?"], len(table))
    table.to_parquet(folder / "beats.parquet")
    identifier = Told("label", ("N", "V"))
    found, _ = evaluate_with(folder, monkeypatch, identifier)
    test = Study.open(folder).beats("test")
    assert found["real"]["beats"] == np.isin(test.label, ["N", "V"]).sum() < len(test)
    assert set(identifier.shown) == {len(test)}
    identifier = Told("label", ("S", "F"))
    shutil.rmtree(folder / "models")
    missing = evaluate_with(folder, monkeypatch, identifier)[1]
    assert "identification: no label of the test part was learned" in missing


def test_a_test_part_of_strangers_tells_how_many_are_accepted(
    demo_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "study"
    sources = [demo_recordings / f"S{i:02d}" for i in range(1, 6)]
    workflow.prepare(sources, folder, options={"split": "subject"})
    learned = tuple(sorted(set(Study.open(folder).beats("train").subject)))
    found, missing = evaluate_with(folder, monkeypatch, Told("subject", learned))
    assert any("nobody of the test part was learned" in words for words in missing)
    assert not any("identification: the test part is empty" in words for words in missing)
    recordings = len(set(Study.open(folder).beats("test").recording))
    accepted = found["strangers"]["strangers_accepted"]
    assert (accepted["value"], accepted["n"]) == (1 / recordings, recordings)
    assert "split by subject" in accepted["protocol"]


def test_an_identifier_of_an_older_version_is_missing_and_the_rest_is_there(
    prepared_study: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(prepared_study, folder)
    write_card(folder, {"identifier": {"target": "subject", "classes": ["S01"]}})
    found = workflow.evaluate(folder)
    assert found["identification"] == {}
    assert any("older CardioTwin" in words for words in found["missing"])

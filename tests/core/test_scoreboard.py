"""The identifier's figures of a study: honest, leaky beside them, disturbed; each says how."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from core import workflow
from core.evaluation.identification import METHOD_WORDS
from core.reporting import figure_rows
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
    listed = list(figure_rows(study.figures()))
    assert 20 < len(listed) < 150
    assert any("leaky" in name and "leaky" in protocol for name, _, protocol in listed)

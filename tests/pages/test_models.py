"""Generation, authenticity and identification on a study with finished jobs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.beat_set import read_beats
from core.options import MODEL_NAMES
from core.study import Study
from tests.pages.conftest import Submitted, check, words, write_job

OpenPage = Callable[..., AppTest]
FORM = {"generate-form": True}
"""The form of generation is open."""


@pytest.mark.parametrize(
    ("model", "days", "rate"),
    list(itertools.product(("gan", "mixture"), ("recorded", "new"), (None, 90.0))),
)
def test_every_combination_of_generation_reaches_the_job(
    model: str,
    days: str,
    rate: float | None,
    trained: Path,
    submitted: Submitted,
    open_page: OpenPage,
) -> None:
    table = pd.read_parquet(trained / "beats.parquet")
    table["partition"] = "train"
    table.to_parquet(trained / "beats.parquet")
    app = open_page("generation", subject="S02", **FORM)
    app.number_input(key="generate-number").set_value(12)
    app.selectbox(key="generate-model").select(model)
    app.selectbox(key="generate-days").select(days)
    app.number_input(key="generate-rate").set_value(rate)
    app.get("form_submit_button")[0].click().run()
    check(app)
    asked = submitted.of("generate")
    assert (asked["model"], asked["days"], asked.get("heart_rate")) == (model, days, rate)
    assert (asked["subjects"], asked["per_subject"], asked["seed"]) == (["S02"], 12, 0)
    assert Path(asked["out"]).parent == trained / "exports"


def test_a_new_day_is_offered_only_where_days_are_known_to_differ(
    trained: Path, open_page: OpenPage
) -> None:
    kept = Study.open(trained).beat_table.query("partition == 'train'")
    assert kept.groupby("subject")["recording_name"].nunique().max() == 1
    app = open_page("generation", **FORM)
    assert app.selectbox(key="generate-days").options == ["as on the recorded days"]


@pytest.mark.parametrize(
    ("page", "verb"), [("authenticity", "authenticate"), ("identification", "identify")]
)
def test_a_failed_job_shows_its_message_as_it_is(
    page: str, verb: str, trained: Path, open_page: OpenPage
) -> None:
    message = "a.dat: holds no signal. Give another file."
    path = str(trained / "exports" / "generated.npz")
    asked = {"file": path} if verb == "authenticate" else {"files": [path]}
    write_job(trained, verb, asked, status="failed", message=message)
    app = open_page(page, **{"probe-kind": "Generated beats"})
    assert message in [e.value for e in app.error]


def test_real_beats_of_a_person_are_judged(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("authenticity", subject="S03", **{"probe-kind": "A recording of the study"})
    next(b for b in app.button if b.label == "Judge").click().run()
    check(app)
    beats = read_beats(Path(submitted.of("authenticate")["file"]))
    assert set(beats.subject) == {"S03"}
    assert not beats.synthetic.any()


def test_generated_beats_are_judged(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("authenticity", **{"probe-kind": "Generated beats"})
    next(b for b in app.button if b.label == "Judge again").click().run()
    check(app)
    assert submitted.of("authenticate")["file"].endswith("generated.npz")


@pytest.mark.parametrize("missing", MODEL_NAMES)
def test_a_missing_model_is_told_with_what_to_do(
    missing: str, trained: Path, open_page: OpenPage
) -> None:
    (trained / "models" / missing / "card.json").unlink()
    pages = {
        "autoencoder": ("generation", "No generator is trained yet."),
        "authenticity": ("authenticity", "The judge is not trained yet."),
        "identifier": ("identification", "The identifier is not trained yet."),
    }
    page, sentence = pages.get(missing, ("generation", ""))
    app = open_page(page)
    assert sentence in words(app)

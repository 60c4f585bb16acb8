"""The authenticity page: the verdict with its reasons, and the blind quiz beside the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import jobs
from core.beat_set import read_beats
from core.comparison import told_values
from core.study import Study
from pages.parts import quiz
from tests.pages.conftest import Submitted, chart, check, words, write_job

OpenPage = Callable[..., AppTest]
QUIZ = {"authenticity-section": "Real or generated?"}
TRUTH = (True, False, False, True, True, False, True, False, True, False)


def mixed(study: Path) -> dict[str, Any]:
    beats = Study.open(study).beats("validation")
    return {
        "signals": told_values(beats.signals[:10]),
        "synthetic": list(TRUTH),
        "judge": [0.4] * 10,
        "subjects": ["S01", "S02"] * 5,
        "partition": "validation",
        "part": "beat",
        "model": "gan",
        "seed": 5,
    }


@pytest.fixture
def finished(trained: Path, submitted: Submitted, monkeypatch: pytest.MonkeyPatch) -> Submitted:
    """A study whose quizzes are mixed at once."""

    def submit(folder: Path, verb: str, arguments: dict[str, Any], *, workspace: Path) -> str:
        submitted.calls.append((Path(folder).name, verb, dict(arguments)))
        return write_job(Path(folder), verb, dict(arguments), result=mixed(trained))

    monkeypatch.setattr(jobs, "submit", submit)
    return submitted


def play(app: AppTest, said: list[str]) -> list[str]:
    """Give the answers; return what the page showed before each."""
    shown = []
    for one in said:
        proto = app.get("plotly_chart")[0].proto
        shown.append(f"{proto.spec} {proto.alt} {words(app)}")
        app.button(key=f"quiz-{one}").click().run()
        check(app)
    return shown


def test_a_verdict_tells_its_probability_and_every_beat(trained: Path, open_page: OpenPage) -> None:
    app = open_page("authenticity")
    assert app.header[0].value == "Synthetic, with probability 0.70"
    assert "In truth, this study generated them." in words(app)
    assert "SYNTHETIC" in json.dumps(chart(app, 1)["layout"]["annotations"])
    assert list(app.dataframe[0].value["Said"]) == ["synthetic", "synthetic", "real"]
    app = open_page("authenticity", **{"authenticity-section": "How far to trust the judge"})
    assert [m.value for m in app.metric] == ["0.610", "0.640", "0.240"]
    assert "the judge tells **61 %** right; a coin gets 50 %." in words(app)
    assert app.table[0].value.to_numpy().tolist() == [
        ["this study's GAN", "0.520"],
        ["beats pieced together from two people", "0.930"],
    ], "the hardest first"


def test_a_verdict_is_that_of_what_is_chosen(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("authenticity")
    app.get_by_key("probe-kind").set_value("A recording of the study").run()
    check(app)
    assert not app.header, "of other beats"
    assert "Not judged yet: S01/session_2." in words(app)
    next(b for b in app.button if b.label == "Judge").click().run()
    check(app)
    file = Path(submitted.of("authenticate")["file"])
    assert set(read_beats(file).recording) == {"S01/session_2"}
    assert "Judging" in app.progress[0].text


def test_what_gave_it_away_and_copies_are_told(trained: Path, open_page: OpenPage) -> None:
    result = {
        "beats": [0.3, 0.4, 0.2],
        "synthetic": True,
        "outcome": "copies",
        "copies": [True, False, True],
        "verdict": "Synthetic: 2 of 3 beats are copies.",
        "reasons": [
            {"feature": "std", "words": "spread of the samples", "weight": 0.2},
            {"feature": "slope", "words": "slopes are too even", "weight": -0.9},
        ],
    }
    write_job(trained, "authenticate", {"study": str(trained), "file": "a.npz"}, result=result)
    app = open_page("authenticity")
    assert app.header[0].value == "Copies of real beats"
    assert "2 of 3 beats are copies" in app.warning[0].value
    assert "Synthetic: 2 of 3 beats are copies." in words(app)
    assert list(app.dataframe[0].value["What"]) == [
        "no sign of: slopes are too even",
        "spread of the samples",
    ]
    assert list(app.dataframe[1].value["Copy"]) == ["yes", "", "yes"]


def test_a_file_that_says_it_is_synthetic_has_no_probability(
    trained: Path, open_page: OpenPage
) -> None:
    result = {
        "beats": [0.2, 0.3],
        "synthetic": True,
        "outcome": "synthetic",
        "marked": True,
        "judge": "real",
        "reasons": [{"feature": "std", "words": "spread of the samples", "weight": -0.2}],
    }
    write_job(trained, "authenticate", {"study": str(trained), "file": "a.npz"}, result=result)
    app = open_page("authenticity")
    assert app.header[0].value == "Synthetic: the file says so"
    assert "What was weighed" in [one.value for one in app.subheader]


def test_a_judge_that_cannot_tell_says_so(trained: Path, open_page: OpenPage) -> None:
    words_of_it = "Cannot tell: no clear beat was found."
    result = {"beats": [0.6], "synthetic": False, "outcome": "unknown", "verdict": words_of_it}
    write_job(trained, "authenticate", {"study": str(trained), "file": "a.npz"}, result=result)
    app = open_page("authenticity")
    assert app.header[0].value == "Cannot tell"
    assert words_of_it in words(app)
    assert not app.warning


def test_a_round_tells_nothing_before_its_end_and_then_both_scores(
    trained: Path, finished: Submitted, open_page: OpenPage
) -> None:
    app = open_page("authenticity", **QUIZ)
    app.button(key="quiz-begin").click().run()
    check(app)
    truth = [quiz.GENERATED if synthetic else quiz.REAL for synthetic in TRUTH]
    shown = play(app, ["generated", "real"] + ["real"] * 8)
    for number, page in enumerate(shown, 1):
        assert f"Beat {number} of 10" in page
        for leak in ("SYNTHETIC", "#D55E00", "S01", "S02", "0.4 "):
            assert leak not in page
    scales = {
        json.dumps(json.loads(p[: p.rindex("}") + 1])["layout"]["yaxis"]["range"]) for p in shown
    }
    assert len(scales) == 1, "one scale for all"
    assert [(m.label, m.value) for m in app.metric] == [
        ("You", "6 of 10"),
        ("The judge", "5 of 10"),
    ]
    assert "5 of 10 is what a coin gets" in words(app)
    assert "6 or more are right in 38 of 100 rounds" in words(app)
    assert list(app.dataframe[0].value["It was"]) == truth
    drawn = "".join(str(e.proto.spec) for e in app.get("plotly_chart"))
    assert drawn.count("SYNTHETIC") == 2, "once a row"
    assert drawn.count('"width":2.4') == sum(TRUTH)


def test_a_new_round_has_another_seed_and_no_answers(
    trained: Path, finished: Submitted, open_page: OpenPage
) -> None:
    app = open_page("authenticity", **QUIZ)
    app.button(key="quiz-begin").click().run()
    first = finished.of("quiz")["seed"]
    play(app, ["real"] * 10)
    app.button(key="quiz-again").click().run()
    check(app)
    assert finished.of("quiz")["seed"] != first
    play(app, ["generated"] * 10)
    assert "Over 2 rounds: you 10, the judge 10 of 20." in words(app)
    assert len(finished.calls) == 2


def test_a_second_click_on_one_beat_counts_once(trained: Path) -> None:
    state: dict[str, Any] = {"guesses": []}
    quiz.guess(state, "real", 0)
    quiz.guess(state, "generated", 0)
    assert state["guesses"] == ["real"]


def test_a_failed_round_can_be_begun_anew(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    message = "quiz: 3 real beats are too few. Prepare a study with 5 or more."
    job = write_job(trained, "quiz", {"model": "gan"}, status="failed", message=message)
    state = {str(trained): {"job": job, "guesses": [], "rounds": []}}
    app = open_page("authenticity", **QUIZ, quiz=state)
    assert message in [e.value for e in app.error]
    app.button(key="quiz-again").click().run()
    check(app)
    assert submitted.verbs().count("quiz") == 1


def test_without_a_generator_there_is_no_quiz(trained: Path, open_page: OpenPage) -> None:
    for name in ("gan", "mixture"):
        (trained / "models" / name / "card.json").unlink()
    app = open_page("authenticity", **QUIZ)
    assert "No generator is trained." in words(app)


def test_scores_in_words() -> None:
    assert "no better" in quiz.verdict(5, 10)
    assert "9 or more are right in 1 of 100 rounds" in quiz.verdict(9, 10)
    assert "10 or more are right in 1 of 1,000 rounds" in quiz.verdict(10, 10)


def test_digits_of_a_round_do_not_tell_where_a_beat_comes_from() -> None:
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 1, (4, 50, 1)).astype(np.float32)
    text = json.dumps(told_values(signals))
    longest = max(len(part.split(".")[1].strip("] ")) for part in text.split(",") if "." in part)
    assert longest <= 4

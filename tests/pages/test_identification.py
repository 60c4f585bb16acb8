"""The page identification: who it is, claims, the gallery and its changes, stored figures."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import gallery
from core.beat_set import read_beats
from core.evaluation import identification
from core.gallery import list_gallery
from core.options import MODEL_FORMATS
from core.study import Study
from pages.parts import probe_choice
from pages.parts.answer import LEAST, MOST, marked_beats
from tests.pages.conftest import Submitted, answer, chart, check, words, write_job

OpenPage = Callable[..., AppTest]
PEOPLE = ("S01", "S02", "S03")
PER_BEAT = [
    {"predicted": name, "score": score}
    for name, score in (("S02", 0.7), ("S02", 0.9), ("S03", 0.6), ("S03", 0.8), ("S02", 0.8))
]


def press(app: AppTest, label: str) -> None:
    next(b for b in app.button if b.label == label).click().run()
    check(app)


def finish(study: Path, verb: str, result: Any) -> None:
    """End the newest job, which must be of a verb."""
    job = sorted((study / "runs").iterdir())[-1]
    assert json.loads((job / "job.json").read_text())["verb"] == verb
    (job / "result.json").write_text(json.dumps(result))
    state = json.loads((job / "state.json").read_text())
    state |= {"status": "done", "finished": time.time()}
    (job / "state.json").write_text(json.dumps(state))


def change_card(study: Path, **values: Any) -> None:
    path = study / "models" / "identifier" / "card.json"
    card = json.loads(path.read_text())
    card["identifier"] |= values
    path.write_text(json.dumps(card))


def tell_names(study: Path, **changes: Any) -> None:
    """Write a finished job that named generated beats of the study."""
    path = study / "exports" / "generated.npz"
    result = {"results": [answer(path, **changes)]}
    write_job(study, "identify", {"files": [str(path)]}, result=result)


def test_who_it_is_with_score_threshold_probability_and_runners_up(
    trained: Path, open_page: OpenPage
) -> None:
    app = open_page("identification")
    assert app.header[0].value == "It is S02"
    told = words(app)
    assert "Score **0.930**, accepted from 0.500." in told
    assert "Probability **87 %**, if it is one of the 3 in the gallery." in told
    assert "set on train-side data for 1 % false accepts." in told
    assert "Identified by network and discriminants (chosen on the train side by rank 1" in told
    assert [name.strip() for name in chart(app)["data"][0]["y"]] == ["S03", "S01", "S02"]
    change_card(trained, false_accept_rate=None)
    assert "no false-accept rate was measured" in words(open_page("identification"))


def test_the_beats_lie_over_the_gallerys_on_one_scale(trained: Path, open_page: OpenPage) -> None:
    tell_names(trained, beats=5, per_beat=PER_BEAT)
    app = open_page("identification")
    own, other = chart(app, 1), chart(app, 2)
    names = [trace.get("name") for trace in own["data"]]
    assert {"This recording", "S02, mean and spread", MOST, LEAST} <= set(names)
    assert own["layout"]["yaxis"]["range"] == other["layout"]["yaxis"]["range"]
    train = Study.open(trained).beats("train")
    for figure, name in ((own, "S02"), (other, "S01")):
        mean = next(t for t in figure["data"] if t.get("name") == f"{name}, mean and spread")
        expected = train.signals[train.subject == name, :, 0].mean(axis=0)
        np.testing.assert_allclose(_values(mean["y"]), expected, atol=1e-6)
    assert "3 of 5 beats name S02 alone; most convincing: beat 2" in words(app)
    app.selectbox(key=_key(app, "beside")).select("S03").run()
    check(app)
    assert "S03, mean and spread" in [trace.get("name") for trace in chart(app, 2)["data"]]


def _key(app: AppTest, begin: str) -> str:
    return next(str(box.key) for box in app.selectbox if str(box.key).startswith(begin))


def _values(encoded: Any) -> np.ndarray:
    """Return the numbers of a trace, which Plotly may have packed."""
    if isinstance(encoded, dict):
        import base64

        packed = base64.b64decode(encoded["bdata"])
        return np.frombuffer(packed, dtype=np.dtype(encoded["dtype"]))
    return np.asarray(encoded, dtype=float)


def test_beats_that_name_another_are_the_least_convincing() -> None:
    assert marked_beats(PER_BEAT, "S02") == {MOST: 1, LEAST: 3}
    assert marked_beats(PER_BEAT[:2], "S02") == {MOST: 1, LEAST: 0}
    assert marked_beats(PER_BEAT[:1], "S02") == {}


def test_cannot_tell_says_why(trained: Path, open_page: OpenPage) -> None:
    tell_names(trained, accepted=False, reason="too unlike everyone who is enrolled", score=0.2)
    app = open_page("identification")
    assert app.header[0].value == "Cannot tell"
    assert "Too unlike everyone who is enrolled." in words(app)
    assert "Most alike: **S02**. Score **0.200**, accepted from 0.500." in words(app)


def test_a_file_without_a_beat_has_no_answer(trained: Path, open_page: OpenPage) -> None:
    tell_names(
        trained, beats=0, predicted=None, score=None, probability=None, accepted=False, scores={},
        reason="no clear beat was found",
    )  # fmt: skip
    app = open_page("identification")
    assert "No clear beat was found." in words(app)
    assert not app.get("plotly_chart")


def test_a_file_that_is_gone_still_has_its_answer(trained: Path, open_page: OpenPage) -> None:
    path = trained / "lost.npz"
    write_job(trained, "identify", {"files": [str(path)]}, result={"results": [answer(path)]})
    app = open_page("identification")
    assert app.header[0].value == "It is S02"
    assert "The file is gone, so its beats are not shown." in words(app)


def test_another_probe_has_its_own_answer(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("identification")
    assert app.header[0].value == "It is S02"
    app.get_by_key("probe-kind").set_value("A recording of the study").run()
    check(app)
    assert not app.header, "of the generated beats"
    assert "Not compared yet: S01/session_2." in words(app)
    assert "no model learned from it" in words(app)


def test_a_recording_of_the_address_is_chosen_with_its_subject(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("identification", recording="S02/session_1")
    assert app.selectbox(key="subject").value == "S02"
    assert app.selectbox(key="recording").value == "S02/session_1"
    assert "The models learned from this recording" in words(app)
    app.button(key="take-unseen").click().run()
    check(app)
    assert app.selectbox(key="recording").value == "S02/session_2"
    assert not [b for b in app.button if b.key == "take-unseen"]
    press(app, "Identify")
    assert set(read_beats(Path(submitted.of("identify")["files"][0])).record) == {"session_2"}


def test_an_opened_file_is_open_on_all_pages(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    content = (trained / "exports" / "generated.npz").read_bytes()
    app = open_page("identification", **{"probe-kind": "A file"})
    assert not [b for b in app.button if b.label == "Identify"], "there is nothing to look at yet"
    assert "Choose one ECG file" in words(app)
    app.file_uploader(key="probe-upload").upload("ann.npz", content).run()
    check(app)
    assert "**ann.npz**" in words(app)
    press(app, "Identify")
    file = Path(submitted.of("identify")["files"][0])
    assert file.read_bytes() == content
    app.switch_page("pages/authenticity.py").run()
    check(app)
    assert "**ann.npz**" in words(app)
    press(app, "Judge")
    assert submitted.of("authenticate")["file"] == str(file), "stored once"


def test_a_claim_is_verified(trained: Path, submitted: Submitted, open_page: OpenPage) -> None:
    app = open_page("identification", subject="S01")
    app.selectbox(key="probe-claimed").select("S03").run()
    press(app, "Verify")
    assert submitted.verbs() == ["identify", "verify"]
    asked = submitted.of("verify")
    assert asked["subject"] == "S03"
    assert set(read_beats(Path(asked["files"][0])).recording) == {"S01/session_2"}
    found = {"subject": "S03", "score": 0.1, "threshold": 0.5, "match": False, "reason": "too low"}
    finish(trained, "verify", {"results": [found]})
    app.run()
    check(app)
    no = "No, not accepted as S03: too low; score 0.100, accepted from 0.500."
    assert no in words(app)
    assert no in words(open_page("identification")), "it is there after a reload"
    finish(trained, "verify", {"results": [found | {"match": True, "score": 0.9}]})
    assert "Yes, it is S03: score 0.900" in words(open_page("identification"))
    tell_names(trained)
    assert "it is S03" not in words(open_page("identification")), "of an earlier probe"


def test_nobody_joins_the_gallery_unless_asked(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("identification")
    press(app, "Identify")
    assert "refresh" not in submitted.of("identify")
    app = open_page("identification", **{"gallery-refresh": True})
    assert "joins the gallery" in words(app)
    press(app, "Identify")
    assert submitted.of("identify")["refresh"] is True
    app.selectbox(key="probe-claimed").select("S02").run()
    press(app, "Verify")
    assert "refresh" not in submitted.of("identify"), "it would be verified against itself"
    tell_names(trained, refreshed=True)
    assert "a further template of S02" in words(open_page("identification"))


def test_the_gallery_is_edited_with_undo(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = open_page("identification", section="Gallery")
    assert app.dataframe[0].value["Person"].tolist() == list(PEOPLE)
    assert "nobody enrolled since the training" in words(app)
    assert not [b for b in app.button if b.label == "Undo"], "there is nothing to undo"
    press(app, "Take out")
    assert app.dataframe[0].value["Person"].tolist() == ["S02", "S03"]
    assert "Taken out: S01." in words(app)
    press(app, "Undo")
    assert app.dataframe[0].value["Person"].tolist() == list(PEOPLE)
    assert submitted.calls == [], "nothing of it needs a worker"


def test_somebody_of_the_test_part_is_enrolled(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    gallery.remove_subject(Study.open(trained), "S03")
    app = open_page("identification", section="Gallery")
    assert app.selectbox(key="enrol-recording").options == ["S03/session_2"]
    name = next(box for box in app.text_input if box.label == "Name")
    assert name.value == "S03"
    name.set_value("Ann").run()
    press(app, "Enrol")
    asked = submitted.of("enroll")
    assert asked["subject"] == "Ann"
    beats = read_beats(Path(asked["files"][0]))
    assert set(beats.recording) == {"S03/session_2"}
    assert "Enrolling" in app.progress[0].text
    study = Study.open(trained)
    gallery.enrol(study, [gallery.Enrolment(subject="Ann", beats=beats, file="ann.hea", remark="")])
    told = {"file": "ann.hea", "beats": len(beats), "reason": ""}
    result = {"subject": "Ann", "enrolled": [told], "templates": 1, "gallery": 3}
    finish(trained, "enroll", result | {"remarks": ["ann.hea resembles S02."]})
    app.run()
    check(app)
    sentence = f"Ann is enrolled with {len(beats)} beats, 1 enrolled template in all; 3 people"
    assert sentence in words(app) and "ann.hea resembles S02." in words(app)
    row = app.dataframe[0].value.set_index("Person").loc["Ann"]
    assert (row["Known by"], row["Templates"], row["Beats"]) == ("enrolled", 1, len(beats))
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", row["Added"])
    press(app, "Undo")
    assert "Ann" not in [one["subject"] for one in list_gallery(study)["subjects"]]
    assert sentence not in words(app)


def test_an_uploaded_recording_is_enrolled_under_a_name(
    trained: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    content = (trained / "exports" / "generated.npz").read_bytes()
    app = open_page("identification", section="Gallery")
    enrol = next(b for b in app.button if b.label == "Enrol")
    assert enrol.disabled
    app.file_uploader(key="enrol-upload").upload("ann.npz", content)
    next(box for box in app.text_input if box.label == "Name").set_value("Ann").run()
    press(app, "Enrol")
    assert submitted.of("enroll")["subject"] == "Ann"
    assert Path(submitted.of("enroll")["files"][0]).read_bytes() == content


def test_a_failed_enrolment_is_one_sentence_without_folders(
    trained: Path, open_page: OpenPage
) -> None:
    path = trained.parents[1] / "uploads" / "0a1b" / "2c3d" / "probe" / "ann.csv"
    message = "its beats are synthetic. Give another recording of this person."
    write_job(trained, "enroll", {}, status="failed", message=f"{path}: {message}")
    app = open_page("identification", section="Gallery")
    assert [e.value for e in app.error] == [f"ann.csv: {message}"]


def test_the_beats_of_enrolled_people_are_shown(trained: Path, open_page: OpenPage) -> None:
    study = Study.open(trained)
    beats = study.beats("test")
    ann = beats.take(beats.subject == "S01")
    gallery.enrol(study, [gallery.Enrolment(subject="Ann", beats=ann, file="a", remark="")])
    tell_names(trained, predicted="Ann", scores={"Ann": 0.9, "S01": 0.1})
    app = open_page("identification")
    mean = next(t for t in chart(app, 1)["data"] if t.get("name") == "Ann, mean and spread")
    expected = ann.signals[:, :, 0].mean(axis=0)
    np.testing.assert_allclose(_values(mean["y"]), expected, atol=1e-6)


def test_an_answer_older_than_the_gallery_says_so(trained: Path, open_page: OpenPage) -> None:
    tell_names(trained)
    finish(trained, "identify", {"results": [answer(trained / "exports" / "generated.npz")]})
    changed = "The gallery or the identifier has changed since."
    assert changed not in words(open_page("identification"))
    job = sorted((trained / "runs").iterdir())[-1] / "state.json"
    job.write_text(json.dumps(json.loads(job.read_text()) | {"finished": 1.0}))
    assert changed in words(open_page("identification"))


def test_a_damaged_gallery_is_one_sentence(trained: Path, open_page: OpenPage) -> None:
    (trained / "gallery").mkdir()
    (trained / "gallery" / "gallery.json").write_text('{"version": 1, "now": 3}')
    app = open_page("identification")
    assert "is damaged" in app.error[0].value
    assert [tab.label for tab in app.tabs] == ["Evaluation"]


def write_figures(study: Path, found: dict[str, Any]) -> None:
    figures = {
        "protocol": "split by record",
        "seed": 3,
        "identification": found,
        "realism": {},
        "authenticity": {},
        "missing": [],
        "models": Study.open(study).model_recipes(),
    }
    (study / "reports").mkdir(exist_ok=True)
    (study / "reports" / "figures.json").write_text(json.dumps(figures))


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    """What `evaluate` stores of an identifier of people, computed of drawn scores."""
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 3
    scores = rng.normal(0, 1, (120, 3)) + 2 * np.eye(3)[truth]
    posteriors = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    row = identification.figures_of(scores, truth, truth, posteriors=posteriors)
    units = dict.fromkeys(identification.UNITS, row)
    genuine, impostor = identification.split_pairs(scores, truth)
    detection = identification.detection_and_identification(scores, truth, truth)
    chance = np.exp(posteriors.max(axis=1))
    reliability = identification.reliability(chance, posteriors.argmax(axis=1) == truth)
    disturbed = {"disturbance": "noise", "level": 10, "unit": "dB", "beat": 0.4, "recording": 0.6}
    still = {"disturbance": "undisturbed", "level": None, "unit": "", "beat": 0.5, "recording": 0.7}
    leaky = {"name": "leaky", "probes": 40, "rank_1": 1.0, "rank_1_interval": [1.0, 1.0]}
    honest = {"honest_rank_1": 0.5, "honest_rank_1_interval": [0.25, 0.75]}
    return {
        "real": {
            "protocol": "split by record",
            "method": "joined",
            "enrolled": 3,
            "subjects": 3,
            "recordings": 120,
            "beats": 120,
            "methods": {
                name: {"name": told, **units} for name, told in identification.METHOD_WORDS.items()
            },
            "verification": {
                "protocol": "all pairs",
                "genuine": len(genuine),
                "impostor": len(impostor),
                "eer": row["eer"],
                "eer_posterior": row["eer_posterior"],
                "det": identification.det_curve(genuine, impostor),
            },
            "open_set": identification.open_set_rates(scores, truth, 1.0),
            "detection": {"recording": detection},
            "reliability": {"recording": reliability},
            "confusion": identification.confusion(scores, truth, PEOPLE),
        },
        "robustness": {"protocol": "disturbed", "rows": [still, disturbed]},
        "leaky": {"protocol": "leaky: both sides", "network": leaky | honest},
        "gan": {
            "rank1_beat": {"value": 0.9, "n": 40, "ceiling": 0.5, "protocol": "of the GAN's beats"}
        },
    }


def test_stored_figures_are_shown_in_plots_and_small_tables(
    trained: Path, figures: dict[str, Any], open_page: OpenPage
) -> None:
    write_figures(trained, figures)
    app = open_page("identification", section="Evaluation")
    real = figures["real"]
    rank_1 = f"{100 * real['methods']['joined']['beat']['rank_1']:.3g} %"
    assert [m.value for m in app.metric][:3] == [rank_1] * 3
    assert len(app.get("plotly_chart")) == 5
    assert all(one.proto.alt for one in app.get("plotly_chart"))
    methods, leaky, generated = (table.value for table in app.table)
    assert methods.shape == (5, 4) and methods.iloc[0, 0] == "**network and discriminants**"
    assert methods.iloc[0, 1].startswith(f"{rank_1}  \n")
    assert leaky.columns.tolist() == ["Method", "Honest", "Leaky"]
    assert leaky.iloc[0, 1].startswith("50 %") and leaky.iloc[0, 2].startswith("100 %")
    assert generated.iloc[:, 0].tolist() == [rank_1, "90 %"]
    app.selectbox(key="figure").select("eer").run()
    check(app)
    eer = f"{100 * real['methods']['joined']['beat']['eer']:.3g} %"
    assert app.table[0].value.iloc[0, 1].startswith(eer)
    told = words(app)
    for protocol in ("split by record", "all pairs", "disturbed", "leaky: both sides"):
        assert f": {protocol}" in told
    assert app.dataframe[-1].value["Figure"].str.contains("EER of scores").any()


def test_figures_of_an_earlier_identifier_are_not_shown(
    trained: Path, figures: dict[str, Any], submitted: Submitted, open_page: OpenPage
) -> None:
    write_figures(trained, figures)
    card = trained / "models" / "identifier" / "card.json"
    recipe = {"format": MODEL_FORMATS["identifier"], "seed": 9}
    card.write_text(json.dumps(json.loads(card.read_text()) | {"recipe": recipe}))
    app = open_page("identification", section="Evaluation")
    assert not app.metric and "run the evaluation" in words(app)
    app.button(key="evaluate-identification").click().run()
    check(app)
    assert submitted.of("evaluate") == {"study": str(trained)}


def test_a_label_study_names_labels_and_has_no_gallery(trained: Path, open_page: OpenPage) -> None:
    change_card(trained, target="label", classes=["N", "V", "S"])
    per_beat = [{"predicted": name, "score": -0.1} for name in "NNNV"]
    tell_names(
        trained, beats=4, predicted="N", score=-0.9, accepted=False, per_beat=per_beat,
        scores={"N": -0.9, "V": -1.0, "S": -5.0}, reason="too unlike everything that was learned",
    )  # fmt: skip
    app = open_page("identification")
    assert [tab.label for tab in app.tabs] == ["Which label", "Evaluation"]
    assert "N, V, S" in words(app)
    assert app.header[0].value == "N: 3 of 4 beats"
    assert app.table[0].value.to_numpy().tolist() == [["N", "3", "75 %"], ["V", "1", "25 %"]]
    assert not [box for box in app.selectbox if box.key == "probe-claimed"]

    truth = np.array([0, 0, 0, 1, 1, 2])
    scores = np.log(np.eye(3)[[0, 0, 0, 1, 0, 1]] * 0.8 + 0.1)
    beat = identification.class_figures(scores, truth, ["N", "V", "S"])
    real = {
        "protocol": "split by subject",
        "classes": ["N", "V", "S"],
        "subjects": 1,
        "recordings": 2,
        "beats": 6,
        "methods": {"joined": {"name": "joined", "beat": beat}},
        "confusion": identification.confusion(scores, truth, ["N", "V", "S"]),
    }
    write_figures(trained, {"real": real})
    app = open_page("identification", section="Evaluation")
    assert "6 beats of 2 recordings of 1 subject." in words(app)
    by_label, by_method = (table.value for table in app.table)
    assert by_label.to_numpy().tolist()[1:] == [
        ["V", "50 %", "50 %", "50 %", "2"],
        ["S", "0 %", "none", "0 %", "1"],
    ]
    assert by_method["Method"].tolist() == ["network and trees"]
    assert chart(app)["data"][0]["type"] == "heatmap"


def test_an_answer_of_models_from_before_is_told_to_be_old(
    trained: Path, open_page: OpenPage
) -> None:
    assert not open_page("identification").warning
    card = trained / "models" / "identifier" / "card.json"
    os.utime(card, (time.time() + 9, time.time() + 9))
    (warned,) = open_page("identification").warning
    assert warned.value.startswith("The models were trained anew since this answer")


def test_another_file_of_the_same_name_has_no_answer_yet(trained: Path, tmp_path: Path) -> None:
    ann, bob = tmp_path / "1" / "day_1.edf", tmp_path / "2" / "day_1.edf"
    write_job(trained, "identify", {"files": [str(ann)]}, result={"results": [answer(ann)]})
    study = Study.open(trained)
    assert probe_choice.newest(study, "identify", probe_choice.of_file(ann)) is not None
    assert probe_choice.newest(study, "identify", probe_choice.of_file(bob)) is None

"""The recordings page: uploads, options, and what a prepared study shows."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import UserError
from core.options import PrepareOptions, parse_options
from core.study import Study
from pages.parts import uploads
from pages.parts.options_form import _choices
from tests.pages.conftest import Submitted, chart, check, words

OpenPage = Callable[..., AppTest]
CHOICES = [
    (name, value)
    for name, field in PrepareOptions.model_fields.items()
    if name != "leads"
    for value in _choices(field.annotation)
]


def traces(app: AppTest, number: int = 0) -> list[str]:
    return [t.get("name", "") for t in chart(app, number)["data"]]


def test_a_study_shows_its_counts_and_a_recording_on_one_scale(
    study: Path, open_page: OpenPage
) -> None:
    app = open_page("recordings")
    assert [m.value for m in app.metric][:2] == ["3", "6 of 6"]
    figure = chart(app)
    assert traces(app) == ["Raw", "Clean", "Smoothed", "R peak"]
    assert figure["layout"]["xaxis"]["title"]["text"] == "Time (s)"
    assert figure["layout"]["yaxis"]["title"]["text"] == "Amplitude (mV)"


def test_the_viewer_marks_the_peaks_of_the_seconds_that_it_shows(
    study: Path, open_page: OpenPage
) -> None:
    app = open_page("recordings")
    name = app.selectbox(key="viewer-recording").options[1]
    app.selectbox(key="viewer-recording").select(name).run()
    app.slider[0].set_value(12.0).run()
    check(app)
    opened = Study.open(study)
    table = opened.beat_table
    own = table[(table["recording_name"] == name) & (table["rejected"] == "")]
    at = own["r_sample"] / opened.sampling_rate
    expected = at[(at >= 12) & (at < 22)].to_numpy()
    peaks = next(t for t in chart(app)["data"] if t["name"] == "R peak")
    assert len(decoded(peaks["x"])) == len(expected) > 5
    assert max(abs(decoded(peaks["x"]) - expected)) < 1e-3


def decoded(values: Any) -> Any:
    import base64

    import numpy as np

    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.asarray(values)


@pytest.mark.parametrize(
    ("section", "state", "charts"),
    [
        ("Beats", {}, 3),
        ("Features", {"feature-kind": "Recordings"}, 0),
        ("Features", {"feature-kind": "Beats"}, 0),
        ("Picture", {"picture-method": "PCA", "picture-colour": "partition"}, 1),
        ("Picture", {"picture-method": "t-SNE", "picture-colour": "subject"}, 1),
    ],
)
def test_each_section_shows_what_it_says(
    section: str, state: dict[str, str], charts: int, study: Path, open_page: OpenPage
) -> None:
    app = open_page("recordings", **{"recordings-section": section}, **state)
    assert len(app.get("plotly_chart")) == charts
    assert bool(app.dataframe) == (section == "Features")


@pytest.mark.parametrize("signal", ["smoothed", "clean", "raw"])
@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_beats_are_exported(signal: str, ending: str, study: Path, open_page: OpenPage) -> None:
    app = open_page("recordings", **{"recordings-section": "Export"})
    app.selectbox(key="export-signal").select(signal)
    app.selectbox(key="export-format").select(ending)
    app.get("form_submit_button")[0].click().run()
    check(app)
    assert not app.error
    assert f"beats-all-{signal}" in app.get("download_button")[0].label
    assert any(p.suffix == ending for p in (study / "exports").iterdir())


def new_study(open_page: OpenPage, files: dict[str, bytes] | list[tuple[str, bytes]]) -> AppTest:
    app = open_page("recordings", new_study=True)
    pairs = files.items() if isinstance(files, dict) else files
    for name, content in pairs:
        app.file_uploader[0].upload(name, content)
    app.run()
    check(app)
    return app


def prepare(app: AppTest) -> AppTest:
    app.button(key="FormSubmitter:new-study-Prepare").click().run()
    check(app)
    return app


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return target.getvalue()


def stored(submitted: Submitted) -> set[str]:
    (folder,) = submitted.of("prepare")["sources"]
    return {str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file()}


def test_a_zip_and_a_folder_keep_their_folders(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(
        open_page,
        {
            "cohort.zip": zipped("Ann/rec_1.csv", "Bob/rec_1.csv", "__MACOSX/x", ".hidden"),
            "Cid/rec_1.csv": b"1",
        },
    )
    app.text_input(key="new-title").input("My cohort")
    prepare(app)
    assert stored(submitted) == {"cohort/Ann/rec_1.csv", "cohort/Bob/rec_1.csv", "Cid/rec_1.csv"}
    arguments = submitted.of("prepare")
    assert arguments["name"] == "My cohort"
    assert Path(arguments["study"]).name == "My-cohort"
    assert app.session_state["study"] == "My-cohort"
    assert app.progress[0].text.startswith("Preparing the recordings")


def test_where_names_collide_the_page_asks(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    files = [("rec_1.hea", b"h1"), ("rec_1.dat", b"d1"), ("rec_1.hea", b"h2"), ("rec_1.dat", b"d2")]
    app = new_study(open_page, [*files, ("other.csv", b"o")])
    asked = [t for t in app.text_input if "whose is it?" in t.label]
    assert len(asked) == 4
    prepare(app)
    assert "rec_1.hea: comes more than once" in app.error[0].value
    assert "prepare" not in submitted.verbs()
    for field, person in zip(asked, ("Ann", "Ann", "Bob", "Bob"), strict=True):
        app.text_input(key=field.key).input(person)
    app.text_input(key="loose-person").input("Cid")
    prepare(app)
    assert stored(submitted) == {
        "Ann/rec_1.hea",
        "Ann/rec_1.dat",
        "Bob/rec_1.hea",
        "Bob/rec_1.dat",
        "Cid/other.csv",
    }
    (folder,) = submitted.of("prepare")["sources"]
    assert (Path(folder) / "Bob" / "rec_1.dat").read_bytes() == b"d2"


@pytest.mark.parametrize("name", ["../../evil.csv", "/evil.csv", "C:/evil.csv", "..\\evil.csv"])
def test_a_zip_cannot_write_outside_its_folder(name: str) -> None:
    class File(io.BytesIO):
        size = 1
        name = "a.zip"

    with pytest.raises(UserError, match="outside its folder"):
        uploads.gather([File(zipped(name))])


def test_a_damaged_zip_and_no_file_are_told(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.zip": b"no zip"})
    assert "a.zip: is no readable zip" in app.error[0].value
    prepare(app)
    assert any("holds no file" in e.value for e in app.error)


def test_a_name_that_is_taken_is_refused(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.csv": b"1"})
    app.text_input(key="new-title").input("tiny")
    prepare(app)
    assert "'tiny' is taken" in app.error[0].value


@pytest.mark.parametrize(("name", "value"), CHOICES)
def test_every_choice_of_the_form_reaches_the_job(
    name: str, value: Any, study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.csv": b"1"})
    app.selectbox(key=f"option-{name}").set_value(value)
    prepare(app)
    options = submitted.of("prepare")["options"]
    assert options[name] == value
    assert getattr(parse_options(PrepareOptions, options), name) == value


@pytest.mark.parametrize(
    ("typed", "leads"), [("", None), ("all", "all"), ("I, II", ["I", "II"]), (" V1 ", ["V1"])]
)
def test_leads_reach_the_job(
    typed: str, leads: Any, study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.csv": b"1"})
    app.text_input(key="option-leads").input(typed)
    prepare(app)
    assert submitted.of("prepare")["options"]["leads"] == leads


def test_the_form_offers_every_option_with_its_range(study: Path, open_page: OpenPage) -> None:
    app = open_page("recordings", new_study=True)
    for name, field in PrepareOptions.model_fields.items():
        widget = app.get_by_key(f"option-{name}")
        assert field.description == widget.label
        if any(a is float for a in (field.annotation, *get_args(field.annotation))):
            limits = {type(m).__name__: m for m in field.metadata}
            assert (widget.min or 0, widget.max) == (limits["Ge"].ge, limits["Le"].le)


def test_a_study_is_deleted_and_put_back(study: Path, open_page: OpenPage) -> None:
    app = open_page("recordings")
    button = next(b for b in app.button if b.label == "Delete")
    button.click().run()
    check(app)
    assert not study.exists()
    assert "There is no study yet" in words(app)
    next(b for b in app.button if b.label == "Undo").click().run()
    check(app)
    assert (study / "study.json").is_file()
    assert app.metric[0].value == "3"


def test_ecg_id_is_fetched_and_prepared(
    study: Path, submitted: Submitted, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.readers import physionet

    monkeypatch.setattr(physionet, "download_ecgid", lambda folder, report: folder)
    app = open_page("recordings", new_study=True)
    next(b for b in app.button if b.label == "Get ECG-ID from PhysioNet").click().run()
    check(app)
    assert submitted.of("prepare")["name"] == "ECG-ID"
    assert app.session_state["study"] == "ECG-ID"


def test_no_network_is_told_in_one_sentence(
    study: Path, submitted: Submitted, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.readers import physionet

    def fail(folder: Path, report: object) -> Path:
        raise UserError("ECG-ID", "cannot be fetched from physionet.org", "Try again")

    monkeypatch.setattr(physionet, "download_ecgid", fail)
    app = open_page("recordings", new_study=True)
    next(b for b in app.button if b.label == "Get ECG-ID from PhysioNet").click().run()
    check(app)
    assert [e.value for e in app.error] == [
        "ECG-ID: cannot be fetched from physionet.org. Try again."
    ]
    assert submitted.calls == []

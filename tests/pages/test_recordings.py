"""The recordings page: uploads, options, and what a prepared study shows."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import UserError
from core.options import PrepareOptions, parse_options
from core.readers import find_recordings
from core.readers.check import check_folder, write_manifest
from core.study import Study
from pages.parts import uploads
from pages.parts.options_form import _choices
from pages.parts.refusals import advice
from tests.pages.conftest import Submitted, chart, check, words

OpenPage = Callable[..., AppTest]
CHOICES = [
    (name, value)
    for name, field in PrepareOptions.model_fields.items()
    if name != "leads"
    for value in _choices(field.annotation)
]


def signal(seconds: int = 20, height: float = 1.0) -> bytes:
    """Return a table of one lead with a sharp wave a second, at 250 Hz as its time column tells."""
    rows = [
        f"{i / 250:.3f},{height * math.exp(-(((i % 250) - 125) ** 2) / 20):.5f}"
        for i in range(seconds * 250)
    ]
    return "\n".join(["time,I", *rows]).encode()


def traces(app: AppTest, number: int = 0) -> list[str]:
    return [t.get("name", "") for t in chart(app, number)["data"]]


def test_a_study_shows_its_counts_and_the_balance_of_its_classes(
    study: Path, open_page: OpenPage
) -> None:
    app = open_page("recordings")
    assert [m.value for m in app.metric][:2] == ["3", "6 of 6"]
    assert {"train", "validation", "test"} <= set(traces(app))


def test_other_options_are_tried_on_a_recording_of_the_study(
    study: Path, open_page: OpenPage
) -> None:
    app = open_page("recordings", **{"recordings-section": "Cleaning"})
    name = app.selectbox(key="recording").options[1]
    app.selectbox(key="recording").select(name).run()
    app.slider[0].set_value(12).run()
    check(app)
    opened = Study.open(study)
    table = opened.beat_table
    own = table[(table["recording_name"] == name) & (table["rejected"] == "")]
    at = own["r_sample"] / opened.sampling_rate
    expected = at[(at >= 12) & (at < 20)].to_numpy()
    peaks = next(t for t in chart(app)["data"] if t["name"] == "R peak")
    assert len(decoded(peaks["x"])) == len(expected) > 5
    assert max(abs(decoded(peaks["x"]) - expected)) < 0.05
    assert chart(app)["layout"]["xaxis3"]["title"]["text"] == "Time (s)"
    smoothing = app.number_input(key="try-tiny-smoothing_ms")
    smoothing.set_value(60.0).run()
    check(app)
    assert "Smoothed: moving average of 60 ms" in traces(app)
    assert "the study keeps its options" in words(app)
    assert Study.open(study).info.options.smoothing_ms == 20


def decoded(values: Any) -> Any:
    import base64

    import numpy as np

    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.asarray(values)


@pytest.mark.parametrize(
    ("section", "state", "charts", "tables"),
    [
        ("Balance", {}, 1, 0),
        ("Quality", {}, 2, 1),
        ("Beats", {}, 2, 0),
        ("Features", {"feature-kind": "Recordings"}, 0, 1),
        ("Features", {"feature-kind": "Beats"}, 0, 1),
    ],
)
def test_each_section_shows_what_it_says(
    section: str,
    state: dict[str, str],
    charts: int,
    tables: int,
    study: Path,
    open_page: OpenPage,
) -> None:
    app = open_page("recordings", **{"recordings-section": section}, **state)
    assert len(app.get("plotly_chart")) == charts
    assert len(app.dataframe) == tables


@pytest.mark.parametrize(("kind", "rows"), [("Recordings", 2), ("Beats", 60)])
def test_features_are_found_by_name(kind: str, rows: int, study: Path, open_page: OpenPage) -> None:
    app = open_page("recordings", **{"recordings-section": "Features", "feature-kind": kind})
    app.text_input(key="feature-search").input("s02").run()
    check(app)
    assert int(app.caption[-2].value.split()[0].replace(",", "")) >= rows
    app.text_input(key="feature-search").input("nobody").run()
    assert "Nothing here is called 'nobody'" in words(app)


@pytest.mark.parametrize("kind", ["smoothed", "clean", "raw"])
@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_beats_are_exported(kind: str, ending: str, study: Path, open_page: OpenPage) -> None:
    app = open_page("recordings", **{"recordings-section": "Export"})
    app.selectbox(key="export-signal").select(kind)
    app.selectbox(key="export-format").select(ending)
    app.get("form_submit_button")[0].click().run()
    check(app)
    assert not app.error
    assert f"beats-all-{kind}" in app.get("download_button")[0].label
    assert any(p.suffix == ending for p in (study / "exports").iterdir())


def begin_new(open_page: OpenPage) -> AppTest:
    app = open_page("recordings")
    next(b for b in app.sidebar.button if b.label == "New").click().run()
    check(app)
    return app


def new_study(open_page: OpenPage, files: dict[str, bytes] | list[tuple[str, bytes]]) -> AppTest:
    app = begin_new(open_page)
    pairs = files.items() if isinstance(files, dict) else files
    for name, content in pairs:
        app.file_uploader[0].upload(name, content)
    app.run()
    check(app)
    return app


def prepare(app: AppTest) -> AppTest:
    app.button(key="prepare").click().run()
    check(app)
    return app


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, signal(height=1 + len(name) / 10))
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
            "Cid/rec_1.csv": signal(),
        },
    )
    assert "**3 recordings of 3 people**, 0 files refused" in words(app)
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
    first, second = signal(), signal(height=2)
    files = [("rec_1.csv", first), ("rec_1.csv", second), ("other.csv", signal(height=3))]
    app = new_study(open_page, files)
    asked = [t for t in app.text_input if "whose is it?" in t.label]
    assert len(asked) == 2
    assert "rec_1.csv: comes more than once" in app.error[0].value
    assert not [b for b in app.button if b.key == "prepare"]
    for field, person in zip(asked, ("Ann", "Bob"), strict=True):
        app.text_input(key=field.key).input(person)
    app.run()
    app.text_input(key="loose-person").input("Cid")
    prepare(app)
    assert stored(submitted) == {
        "Ann/rec_1.csv",
        "Bob/rec_1.csv",
        "unnamed/other.csv",
        "manifest.csv",
    }
    (folder,) = submitted.of("prepare")["sources"]
    assert (Path(folder) / "Bob" / "rec_1.csv").read_bytes() == second
    named = {s.path.stem: s.subject for s in find_recordings([Path(folder)])}
    assert named["other"] == "Cid"


def test_refused_files_are_told_before_anything_is_prepared(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    files = {
        "Ann/good.csv": signal(),
        "Ann/notes.txt": b"no numbers at all",
        "Ann/damaged.edf": b"x" * 300,
        "Ann/norate.csv": b"I\n" + b"\n".join(str(i % 7).encode() for i in range(2000)),
    }
    app = new_study(open_page, files)
    assert "**1 recording of 1 person**, 3 files refused" in words(app)
    table = app.table[0].value
    assert {Path(name).name for name in table["File"]} == {"notes.txt", "damaged.edf", "norate.csv"}
    told = table["Why it is not used, and what to do"].tolist()
    assert any(
        "with \u2018Rate of files that do not tell theirs\u2019" in words_ for words_ in told
    )
    assert not any("--" in words_ for words_ in told), "named as the form names it"
    app.number_input(key="option-source_rate").set_value(250.0).run()
    check(app)
    assert "**2 recordings of 1 person**, 2 files refused" in words(app)
    prepare(app)
    assert submitted.of("prepare")["options"]["source_rate"] == 250


def test_the_preview_follows_the_options_at_once(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"Ann/a.csv": signal()})
    assert "20 beats usable" in words(app) or "of 20 beats usable" in words(app)
    assert traces(app)[:3] == [
        "Raw",
        "Clean: 0.5 to 40 Hz",
        "Smoothed: moving average of 20 ms",
    ]
    app.number_input(key="option-lowpass_hz").set_value(25.0).run()
    check(app)
    assert "Clean: 0.5 to 25 Hz" in traces(app)
    assert submitted.calls == []


def test_an_option_that_does_not_fit_loses_nothing(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"Ann/a.csv": signal()})
    app.number_input(key="option-sampling_rate").set_value(100.0)
    app.number_input(key="option-lowpass_hz").set_value(90.0)
    app.text_input(key="new-title").input("Mine")
    app.run()
    check(app)
    assert "90 Hz is more than 100 samples per second can hold" in app.error[0].value
    prepare(app)
    assert submitted.calls == []
    app.number_input(key="option-lowpass_hz").set_value(40.0)
    prepare(app)
    assert stored(submitted) == {"Ann/a.csv"}
    assert submitted.of("prepare")["name"] == "Mine"


def test_a_failed_preparation_is_tried_again_without_an_upload(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"Ann/a.csv": signal()})
    app.text_input(key="new-title").input("Mine")
    app.text_input(key="option-leads").input("V9")
    prepare(app)
    folder = study.parent / "Mine"
    (job,) = (folder / "runs").iterdir()
    state = json.loads((job / "state.json").read_text())
    failed = {"status": "failed", "message": "a.csv: has no lead V9. Choose I."}
    (job / "state.json").write_text(json.dumps(state | failed))
    app.run()
    app.button(key="change-options").click().run()
    check(app)
    assert app.text_input(key="option-leads").value == "V9"
    assert app.text_input(key="new-title").value == "Mine"
    app.text_input(key="option-leads").input("I")
    prepare(app)
    assert [verb for _, verb, _ in submitted.calls] == ["prepare", "prepare"]
    assert submitted.of("prepare")["options"]["leads"] == ["I"]
    assert stored(submitted) == {"Ann/a.csv"}


def test_what_was_corrected_is_still_there_when_it_is_tried_again(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.csv": signal()})
    app.text_input(key="loose-person").input("Ann")
    app.text_input(key="new-title").input("Mine")
    prepare(app)
    (job,) = (study.parent / "Mine" / "runs").iterdir()
    state = json.loads((job / "state.json").read_text()) | {"status": "failed", "message": "No."}
    (job / "state.json").write_text(json.dumps(state))
    app.run()
    app.button(key="change-options").click().run()
    check(app)
    assert app.session_state["manifest_table"][1]["Subject"].tolist() == ["Ann"]


def test_what_is_corrected_becomes_the_manifest(tmp_path: Path) -> None:
    for name in ("Ann", "Bob"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_bytes(signal(height=len(name)))
    (tmp_path / "Ann" / "manifest.csv").write_text("path,subject\na.csv,Old\n")
    checked = check_folder(tmp_path)
    assert [row.subject for row in checked.found] == ["Old", "Bob"]
    assert checked.found[0].seconds == 20
    rows = [replace(checked.found[0], subject="New, Ann", label="sick"), checked.found[1]]
    write_manifest(tmp_path, rows)
    assert [(s.subject, s.label) for s in find_recordings([tmp_path])] == [
        ("New, Ann", "sick"),
        ("Bob", None),
    ]
    assert check_folder(tmp_path).found[0].subject == "New, Ann"


@pytest.mark.parametrize(
    ("reason", "fault", "fix"),
    [
        ("/tmp/x/a.edf: is damaged. Export it again.", "is damaged", "Export it again"),
        (
            "Its signal is flat.",
            "Its signal is flat",
            "Choose another lead, or check the electrodes",
        ),
        ("something new", "something new", "Look at its trace"),
    ],
)
def test_a_refusal_says_what_to_do(reason: str, fault: str, fix: str) -> None:
    assert advice("/tmp/x/a.edf", reason) == (fault, fix)


@pytest.mark.parametrize("name", ["../../evil.csv", "/evil.csv", "C:/evil.csv", "..\\evil.csv"])
def test_a_zip_cannot_write_outside_its_folder(name: str) -> None:
    class File(io.BytesIO):
        size = 1
        name = "a.zip"

    with pytest.raises(UserError, match="outside its folder"):
        uploads.gather([File(zipped(name))])


def test_a_name_of_dots_is_no_way_out_of_its_folder() -> None:
    class File(io.BytesIO):
        size = 1
        name = "...zip"

    with pytest.raises(UserError, match="outside its folder"):
        uploads.gather([File(zipped("a/b.csv"))])


def test_a_file_that_is_damaged_within_a_zip_is_told(workspace: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.csv", signal(height=1))
    content = bytearray(target.getvalue())
    content[40:60] = b"\xff" * 20

    class File(io.BytesIO):
        size = 1
        name = "x.zip"

    with pytest.raises(UserError, match="cannot be stored"):
        uploads.store(uploads.gather([File(bytes(content))]), loose_folder="unnamed")


def test_a_damaged_zip_and_no_file_are_told(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.zip": b"no zip"})
    assert "a.zip: is no readable zip" in app.error[0].value
    app = new_study(open_page, {"notes.md": b"hello"})
    assert app.error[0].value.startswith("Upload: holds no ECG recording")
    assert submitted.calls == []


def test_before_an_upload_the_page_shows_how_files_are_to_lie(
    study: Path, open_page: OpenPage
) -> None:
    app = begin_new(open_page)
    assert "my_recordings/" in app.get("code")[0].value
    assert app.get("download_button")[0].label == "Manifest to fill in"
    assert "WFDB (PhysioNet) (.hea .dat .mat)" in app.file_uploader[0].help


def test_a_name_that_is_taken_is_refused(
    study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.csv": signal()})
    app.text_input(key="new-title").input("tiny")
    prepare(app)
    assert "'tiny' is taken" in app.error[0].value


@pytest.mark.parametrize(("name", "value"), CHOICES)
def test_every_choice_of_the_form_reaches_the_job(
    name: str, value: Any, study: Path, submitted: Submitted, open_page: OpenPage
) -> None:
    app = new_study(open_page, {"a.csv": signal()})
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
    app = new_study(open_page, {"a.csv": signal()})
    app.text_input(key="option-leads").input(typed)
    prepare(app)
    assert submitted.of("prepare")["options"]["leads"] == leads


def test_the_form_offers_every_option_with_its_range(study: Path, open_page: OpenPage) -> None:
    app = new_study(open_page, {"a.csv": signal()})
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
    app = begin_new(open_page)
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
    app = begin_new(open_page)
    next(b for b in app.button if b.label == "Get ECG-ID from PhysioNet").click().run()
    check(app)
    assert [e.value for e in app.error] == [
        "ECG-ID: cannot be fetched from physionet.org. Try again."
    ]
    assert submitted.calls == []

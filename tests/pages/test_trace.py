"""The Trace page: a recording or a file on ECG paper, measured, and what comes next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import trace
from core.study import Study
from core.viewing import BUDGET_BYTES, unpack
from pages.parts import ecg_paper, opened_file
from pages.parts.probe_choice import OF_FILE
from tests.pages.conftest import DEMO_RECORDINGS, Submitted, check, words

FILE = DEMO_RECORDINGS / "S02" / "session_1.hea"


def paper(app: AppTest) -> dict[str, Any]:
    """Return what the browser is told once of the trace."""
    told = json.loads(app.get("bidi_component")[0].proto.json)
    assert isinstance(told, dict)
    return told


def view(app: AppTest) -> bytes:
    """Return the view that the browser is sent."""
    return bytes(app.get("bidi_component")[1].proto.bytes)


def test_a_recording_of_the_study(open_page: Callable[..., AppTest], study: Path) -> None:
    app = open_page("trace", subject="S02", recording="S02/session_1")
    told = paper(app)
    assert told["name"] == "S02/session_1"
    assert told["leads"] == ["I"]
    assert told["calibrated"]
    assert not told["synthetic"]
    assert told["kinds"][0]["words"] == "raw, unfiltered"
    data = view(app)
    assert len(data) <= BUDGET_BYTES
    head, series, kept, refused = unpack(data)
    assert head["token"] == told["token"]
    clean = Study.open(study).signals("S02/session_1")[1][:, 0]
    drawn = series[0].decoded()
    np.testing.assert_allclose(drawn, clean[: len(drawn)], atol=series[0].scale)
    assert len(kept) > 5
    assert len(refused) <= 1
    labels = app.table[0].value.iloc[:, 0].tolist()
    assert "Heart rate" in labels
    assert "Signal quality" in labels


def test_it_begins_at_the_time_asked_for(open_page: Callable[..., AppTest], study: Path) -> None:
    app = open_page("trace", subject="S02", recording="S02/session_1", t=12.5)
    assert paper(app)["start"] == 12.5
    assert app.number_input(key="t").value == 12.5
    app.number_input(key="t").set_value(3.0).run()
    check(app)
    head, *_ = unpack(view(app))
    assert (head["start"], head["jumps"]) == (3.0, 1)
    app.selectbox(key="recording").select("S02/session_2").run()
    check(app)
    assert paper(app)["name"] == "S02/session_2"
    assert paper(app)["start"] == 0.0


def test_the_end_seen_from_near_stays_in_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """The paper may then begin later than the field lets a user choose."""
    monkeypatch.setattr(ecg_paper, "_feed", lambda **_: None)
    monkeypatch.setattr(ecg_paper, "view_bytes", lambda *_, **__: b"")

    def page() -> None:
        import streamlit as st

        from pages.parts import ecg_paper

        st.button("moved", on_click=ecg_paper._moved)
        ecg_paper._draw_feed(None, "token", 0, 29.0)  # type: ignore[arg-type]

    app = AppTest.from_function(page)
    app.session_state[ecg_paper.FEED_KEY] = {"view": {"start": 29.4}}
    app.run()
    app.button[0].click().run()
    assert not app.exception
    assert app.number_input(key="t").value == 29.0


def test_time_is_kept_within_the_recording(open_page: Callable[..., AppTest], study: Path) -> None:
    app = open_page("trace", t=1e9)
    assert paper(app)["start"] == paper(app)["duration"] - 1


def test_a_file_is_shown_measured_and_named(
    open_page: Callable[..., AppTest], trained: Path, submitted: Submitted
) -> None:
    state = {"trace-kind": OF_FILE, opened_file.FILE_KEY: str(FILE)}
    app = open_page("trace", **state)
    assert paper(app)["name"] == "session_1"
    assert app.table[0].value.iloc[:, 0].tolist()[0] == "Heart rate"
    next(b for b in app.button if b.label == "Who is it?").click().run()
    assert submitted.of("identify")["files"] == [str(FILE)]


def test_a_long_recording_is_measured_once_asked_and_stays_measured(
    open_page: Callable[..., AppTest], study: Path, tmp_path: Path
) -> None:
    at = np.arange(3700 * 50) / 50
    wave = np.exp(-((((at % 0.8) - 0.4) / 0.02) ** 2))
    file = tmp_path / "long.csv"
    file.write_text(
        "\n".join(["time,I", *(f"{t:.2f},{v:.3f}" for t, v in zip(at, wave, strict=True))])
    )
    app = open_page("trace", **{"trace-kind": OF_FILE, opened_file.FILE_KEY: str(file)})
    assert not len(app.table)
    next(b for b in app.button if b.label == "Measure").click().run()
    check(app)
    assert app.table[0].value.iloc[0, 1].startswith("75 a minute")
    app.number_input(key="t").set_value(3.0).run()
    assert len(app.table) == 1


def test_without_a_file_it_says_what_to_do(open_page: Callable[..., AppTest], study: Path) -> None:
    app = open_page("trace", **{"trace-kind": OF_FILE})
    assert "Choose one ECG file" in words(app)


def test_a_file_that_cannot_be_read_is_one_sentence(
    open_page: Callable[..., AppTest], study: Path, tmp_path: Path
) -> None:
    file = tmp_path / "noise.dcm"
    file.write_bytes(b"no recording at all")
    app = open_page("trace", **{"trace-kind": OF_FILE, opened_file.FILE_KEY: str(file)})
    assert len(app.error) == 1
    assert "noise.dcm" in app.error[0].value


def test_it_is_printed_at_true_scale(open_page: Callable[..., AppTest], study: Path) -> None:
    app = open_page("trace")
    next(b for b in app.button if b.label == "Print at true scale").click().run()
    check(app)
    assert app.get("download_button")[0].proto.label == "Save the PDF"


def test_untrained_leads_to_the_training(open_page: Callable[..., AppTest], study: Path) -> None:
    app = open_page("trace")
    assert "Who is it?" not in [b.label for b in app.button]
    assert "once the study is trained" in words(app)


@pytest.mark.parametrize("unit", ["mV", "unknown"])
@pytest.mark.parametrize("n_leads", [1, 3, 12])
def test_what_the_browser_is_told(unit: str, n_leads: int) -> None:
    shown = made(n_leads, unit)
    told = ecg_paper.describe(shown, token="x", lead=0, start_s=2.0)
    json.dumps(told, allow_nan=False)
    assert told["calibrated"] == (unit == "mV")
    assert (told["standard"] is not None) == (n_leads == 12)
    keys = [layout["key"] for layout in told["layouts"]]
    assert keys[0] == {1: "one", 3: "all", 12: "standard"}[n_leads]
    assert told["zeros"]["raw"] == pytest.approx([5.0] * n_leads, abs=0.1)
    for asked in (None, "nonsense", {"token": "another"}):
        data = ecg_paper.view_bytes(shown, asked, token="x", lead=0, start_s=2.0)
        head, series, _, _ = unpack(data)
        assert head["id"] == 0
        assert len(series) == n_leads
        assert series[0].first_s <= 2.0


def test_a_view_is_what_was_asked_for() -> None:
    asked = {
        "token": "x",
        "id": 7,
        "kinds": ["raw", "smoothed"],
        "px_per_s": 94.5,
        "span": 4.0,
        "parts": [[1, 3.0, 7.0]],
    }
    head, series, _, _ = unpack(
        ecg_paper.view_bytes(made(3, "mV"), asked, token="x", lead=0, start_s=0.0)
    )
    assert head["id"] == 7
    assert [one[:2] for one in head["series"]] == [["raw", 1], ["smoothed", 1]]
    assert all(one.per_step == 1 for one in series)


def test_a_synthetic_recording_says_so() -> None:
    told = ecg_paper.describe(made(1, "mV", synthetic=True), token="x", lead=0, start_s=0.0)
    assert told["synthetic"]
    assert told["kinds"][1]["colour"] == told["synthetic_colour"]


def made(n_leads: int, unit: str, *, synthetic: bool = False) -> trace.Trace:
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((n_leads, 5000)).astype(np.float32)
    signal[:, 100:150] = np.nan
    offsets = {"raw": 5.0, "clean": 0.0, "smoothed": 0.0}
    layers = {
        kind: trace.Layer(kind, signal + np.float32(offset), 250.0)
        for kind, offset in offsets.items()
    }
    leads = trace.STANDARD if n_leads == 12 else tuple(f"L{i}" for i in range(n_leads))
    return trace.Trace(
        name="made",
        leads=leads,
        unit=unit,
        duration_s=20.0,
        layers=layers,
        words=dict.fromkeys(trace.KINDS, "as told"),
        peaks_s=np.arange(0.5, 20, 0.8),
        refused=np.zeros(25, dtype=np.bool_),
        synthetic=synthetic,
    )

"""Explore: points that lead to their beat, features by group, and augmentation by sliders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.plots.style import COLOURS, GENERATED, SMOOTHED
from core.study import Study
from pages.parts import feature_words
from tests.pages.conftest import chart, check, linked, words

OpenPage = Callable[..., AppTest]
POINTS, FEATURES, AUGMENTATION = "Points", "Features", "Augmentation"


def section(open_page: OpenPage, name: str = POINTS, **state: Any) -> AppTest:
    return open_page("explore", **{"explore-section": name, **state})


def scatter(app: AppTest) -> dict[str, Any]:
    spec = json.loads(app.get("echarts_chart")[0].proto.spec)
    assert isinstance(spec, dict)
    return spec


def series(app: AppTest) -> list[str]:
    return [one["name"] for one in scatter(app)["series"][:-1]]


def beat_names(app: AppTest) -> list[str]:
    return [trace["name"] for trace in chart(app)["data"]]


@pytest.mark.parametrize("method", ["PCA", "t-SNE"])
@pytest.mark.parametrize("of", ["shape", "features"])
def test_beats_are_points_in_a_plane(
    method: str, of: str, study: Path, open_page: OpenPage
) -> None:
    app = section(open_page, **{"points-method": method, "points-of": of})
    assert series(app) == ["S01", "S02", "S03"]
    assert method in scatter(app)["xAxis"]["name"]
    assert ("% of the variance" in scatter(app)["xAxis"]["name"]) == (method == "PCA")
    assert ("distances between groups mean nothing" in words(app)) == (method == "t-SNE")
    told = app.get("echarts_chart")[0].proto.alt
    assert told.startswith(f"{method} of ") and told.endswith("a colour a subject")


def test_sessions_are_of_their_subject_and_the_others_grey(
    study: Path, open_page: OpenPage
) -> None:
    app = section(open_page, **{"points-colour": "session", "subject": "S02"})
    names = series(app)
    assert names[0] == "Others"
    assert len(names) > 2 and all(name.startswith("S02, ") for name in names[1:])
    app.toggle(key="points-only-session").set_value(False).run()
    check(app)
    assert any(name.startswith("S01, ") for name in series(app))


def test_parts_have_a_colour_each(study: Path, open_page: OpenPage) -> None:
    app = section(open_page, **{"points-colour": "partition"})
    assert {"train", "test"} <= set(series(app))


def test_the_list_and_the_arrows_show_a_beat_of_the_subject(
    study: Path, open_page: OpenPage
) -> None:
    app = section(open_page, subject="S02")
    picker = app.selectbox(key="explore-beat")
    first, second, last = picker.options[0], picker.options[1], picker.options[-1]
    assert first.startswith("S02/")
    assert beat_names(app)[1] == "This beat" and "of S02" in beat_names(app)[0]
    shown = chart(app)["data"][1]
    app.button(key="explore-beat-next").click().run()
    check(app)
    assert (
        app.selectbox(key="explore-beat").format_func(app.session_state["explore-beat"]) == second
    )
    assert chart(app)["data"][1]["y"] != shown["y"]
    app.button(key="explore-beat-previous").click().run()
    app.button(key="explore-beat-previous").click().run()
    assert app.selectbox(key="explore-beat").format_func(app.session_state["explore-beat"]) == last


def test_the_beat_is_the_one_that_the_study_holds_and_leads_to_its_trace(
    study: Path, open_page: OpenPage
) -> None:
    opened = Study.open(study)
    row = int(np.flatnonzero(opened.beat_table["subject"] == "S03")[4])
    known = opened.beat_table.iloc[row]
    app = section(open_page, **{"subject": "S03", "explore-beat": f"real-{row}"})
    drawn = chart(app)["data"][1]["y"]
    assert drawn["dtype"] == "f4" if isinstance(drawn, dict) else len(drawn)
    links = [link.proto for link in app.get("page_link")]
    assert f"{known['recording_name']} at {known['time_s']:.2f} s, on ECG paper" in [
        link.label for link in links
    ]
    features = next(frame.value for frame in app.dataframe if "This beat" in frame.value)
    height = features.set_index("Feature").loc["Height, peak to peak (mV)", "This beat"]
    assert float(str(height)) == pytest.approx(opened.features["peak_to_peak"][row], rel=0.01)


def test_without_generated_beats_the_way_to_them_is_shown(study: Path, open_page: OpenPage) -> None:
    app = section(open_page, **{"points-colour": "kind"})
    assert "no generated beats yet" in words(app)
    assert not app.get("echarts_chart")
    assert "Generate some on Generation" in [one.proto.label for one in app.get("page_link")]


def test_generated_beats_are_points_marked_as_synthetic(trained: Path, open_page: OpenPage) -> None:
    app = section(open_page, **{"points-colour": "kind", "explore-beat": "generated-3"})
    assert series(app) == ["Real, of others", "Real, smoothed", "Generated"]
    colours = [one["itemStyle"]["color"] for one in scatter(app)["series"]]
    assert colours[1:3] == [COLOURS[SMOOTHED], COLOURS[GENERATED]]
    assert scatter(app)["title"]["text"] == "SYNTHETIC"
    assert beat_names(app)[1] == "Generated beat"
    assert "SYNTHETIC" in json.dumps(chart(app)["layout"]["annotations"])
    assert "nobody was measured" in words(app)


@pytest.mark.parametrize("column", ["subject", "session", "partition", "kind"])
def test_a_feature_by_group_has_its_unit(column: str, trained: Path, open_page: OpenPage) -> None:
    app = section(open_page, FEATURES, **{"features-group": column})
    layout = chart(app)["layout"]
    assert layout["xaxis"]["title"]["text"] == "Height, peak to peak (mV)"
    assert ("SYNTHETIC" in json.dumps(layout)) == (column == "kind")
    assert not app.info


def test_beats_without_a_value_are_left_out_and_counted(study: Path, open_page: OpenPage) -> None:
    app = section(open_page, FEATURES, **{"feature-one": "rr_before"})
    table = Study.open(study).beat_table
    missing = int(table.loc[table["rejected"] == "", "rr_before"].isna().sum())
    assert missing and f"{missing:,} beats without a value are left out" in words(app)


def test_generated_beats_have_no_rhythm(trained: Path, open_page: OpenPage) -> None:
    state = {"feature-one": "rr_before", "features-group": "kind"}
    app = section(open_page, FEATURES, **state)
    assert "Generated beats stand alone" in words(app)


def test_many_groups_are_boxes_and_the_chosen_subject_is_in_colour(
    study: Path, open_page: OpenPage
) -> None:
    table = pd.read_parquet(study / "beats.parquet")
    table["subject"] = [f"P{i % 60:02d}" for i in range(len(table))]
    table.to_parquet(study / "beats.parquet")
    info = study / "study.json"
    info.write_text(info.read_text().replace('"Tiny"', '"Tiny, of many"'))
    app = section(open_page, FEATURES, subject="P59")
    boxes = chart(app)["data"]
    assert all(box["type"] == "box" for box in boxes)
    assert [b["name"] for b in boxes if b["line"]["color"] == COLOURS[SMOOTHED]] == [
        next(b["name"] for b in boxes if b["name"].startswith("P59,"))
    ]
    assert "smallest groups are not drawn" in words(app)
    app = section(open_page, subject="P59")
    assert len(series(app)) <= 14 and series(app)[0] == "Others" and "P59" in series(app)


def test_two_features_are_points_that_lead_to_their_beat(study: Path, open_page: OpenPage) -> None:
    state = {"features-shown": "Two, as points", "feature-up": "rr_before", "subject": "S01"}
    app = section(open_page, FEATURES, **state)
    assert scatter(app)["xAxis"]["name"] == "Highest value (mV)"
    assert scatter(app)["yAxis"]["name"] == "RR interval before (s)"
    assert "without both values are left out" in words(app)
    assert beat_names(app)[1] == "This beat"


def test_sliders_change_the_augmented_beats_only(study: Path, open_page: OpenPage) -> None:
    app = section(open_page, AUGMENTATION, subject="S01")

    def sides() -> tuple[str, str]:
        drawn = [one for one in linked(app)["baseOption"]["series"] if "name" in one]
        return json.dumps(drawn[0]["data"]), json.dumps(drawn[1]["data"])

    before = sides()
    assert before[0] != before[1]
    app.slider(key="augment-shift").set_value(40).run()
    check(app)
    after = sides()
    assert after[0] == before[0] and after[1] != before[1]
    for name in ("shift", "warp", "scale", "noise", "baseline"):
        app.slider(key=f"augment-{name}").set_value(
            0 if name in ("shift", "warp", "scale") else 0.0
        )
    app.run()
    same = sides()
    assert same[0] == same[1]
    assert "fill up rare classes" in words(app)


def test_features_are_named_in_words_with_their_unit_and_lead() -> None:
    leads = ("I", "II")
    assert (
        feature_words.title_of("II_slope_maximum", "mV", leads) == "Steepest rise, lead II (mV/s)"
    )
    assert feature_words.title_of("spectrum_1.5_hz") == "Spectrum at 1.5 Hz (log10 mV s)"
    assert feature_words.title_of("rms", "unit unknown") == "Root mean square (signal unit)"
    assert feature_words.title_of("skewness") == "Skewness"

"""Points in groups: each told apart, the chosen one named, the others grey."""

from __future__ import annotations

import numpy as np

from core.plots import points
from core.plots.signals import Panel, Scale
from core.plots.style import COLOURS, GENERATED, NEUTRAL, SMOOTHED

SCALE = Scale(sampling_rate=250.0, before_s=0.25, unit="mV")


def test_named_groups_differ_and_the_rest_is_grey_and_behind() -> None:
    names = np.repeat([f"S{i:02d}" for i in range(20)], 3)
    groups = points.groups_of(names, chosen="S19")
    assert groups[0].name == points.OTHERS and groups[0].faint and groups[0].colour == NEUTRAL
    named = groups[1:]
    assert [group.name for group in named] == [f"S{i:02d}" for i in range(12)] + ["S19"]
    assert len({(group.colour, group.symbol) for group in named}) == len(named)
    assert sorted(np.concatenate([group.rows for group in groups])) == list(range(60))


def test_a_subject_alone_keeps_its_colour() -> None:
    names = np.repeat(["A", "B", "C"], 4)
    usual = {group.name: group for group in points.groups_of(names, chosen="B")}
    rest, alone = points.groups_of(names, shown=names == "B", chosen="B")
    assert (alone.colour, alone.symbol) == (usual["B"].colour, usual["B"].symbol)
    assert len(rest.rows) == 8


def test_a_click_leads_to_the_point_of_its_group() -> None:
    groups = points.groups_of(np.asarray(["A", "B", "A", "B"]))
    selected = [{"series_id": "B", "data_indices": [1]}, {"series_id": "ring", "data_indices": [0]}]
    assert points.clicked(groups, selected) == [3]
    assert points.clicked(groups, [{"series_id": "B", "data_indices": [7]}]) == []


def test_generated_points_are_marked_and_the_ring_is_around_the_chosen_one() -> None:
    groups = points.real_and_generated(
        np.asarray([False, False, True]), np.asarray([True, False, True])
    )
    assert [group.name for group in groups] == ["Real, of others", "Real, smoothed", "Generated"]
    places = np.asarray([[0, 1], [2, 3], [4, 5]], np.float32)
    told = np.asarray(["a", "b", "c"])
    option = points.scatter(places, groups, told, titles=("x", "y"), ring=2)
    assert option["title"]["text"] == "SYNTHETIC"
    assert option["dataset"][-1]["source"][["x", "y"]].to_numpy().tolist() == [[4, 5]]
    assert option["series"][2]["itemStyle"]["color"] == COLOURS[GENERATED]


def test_a_generated_beat_says_so_and_a_real_one_does_not() -> None:
    beat = np.zeros((1, 175), np.float32)
    for kind, marks in ((GENERATED, 1), (SMOOTHED, 0)):
        figure = points.beat_over_mean(
            Panel("beat", kind, beat), beat[0], "mean", SCALE, (-1.0, 1.0)
        )
        assert len(figure.layout.annotations) == marks
        assert figure.data[1].line.color == COLOURS[kind]


def test_boxes_have_the_quartiles_and_the_chosen_is_in_colour() -> None:
    values = {"A": np.arange(101, dtype=np.float32), "B": np.asarray([1.0], np.float32)}
    lower, upper = points.value_boxes(values, title="x", chosen=["A"]).data
    assert (upper.q1[0], upper.median[0], upper.q3[0]) == (25, 50, 75)
    assert (upper.line.color, lower.line.color) == (COLOURS[SMOOTHED], NEUTRAL)


def test_histograms_are_shares_of_each_group() -> None:
    values = {"A": np.zeros(10, np.float32), "Generated": np.ones(4, np.float32)}
    figure = points.value_histogram(values, title="x", synthetic="Generated")
    assert [max(trace.y) for trace in figure.data] == [1.0, 1.0]
    assert "SYNTHETIC" in figure.layout.annotations[0].text

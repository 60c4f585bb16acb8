"""Layers of a network -> its diagram: a box a layer, from top to bottom, branches side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from core.architecture import Layer
from core.plots.style import GROUPS, NEUTRAL

ROW_PX, BOX_SHARE = 84, 0.72
"""Height of a row, and the share of it that a box takes."""
WIDEST, SLOT_SHARE = 0.62, 0.94
"""Of the figure's width: a box at most, and the share of its slot that a box takes."""
CROWDED = 3
"""Boxes in a row from which there is room for short words only."""
ATTACHED = frozenset(
    {
        *("BatchNormalization", "ReLU", "LeakyReLU", "Activation", "Dropout", "Rescaling"),
        *("MaxPooling1D", "AveragePooling1D", "GlobalAveragePooling1D", "Flatten", "Reshape"),
    }
)
"""Layers that are written into the box of the one before them."""
WORDS: dict[str, str] = {
    "InputLayer": "Input",
    "Conv1D": "Convolution",
    "Bidirectional": "Two-way LSTM",
    "BatchNormalization": "batch norm",
    "LeakyReLU": "leaky ReLU",
    "MaxPooling1D": "max-pool",
    "AveragePooling1D": "mean-pool",
    "GlobalAveragePooling1D": "mean over time",
    "Concatenate": "Joined",
    "Add": "Sum",
    "Dot": "Dot product",
    "Normalization": "Scaled",
    "Dropout": "dropout",
    "Flatten": "flat",
    "Reshape": "reshaped",
    "Activation": "",
    "Rescaling": "scaled",
}
INPUT_WORDS = {"z": "noise z", "u": "noise u"}
TINT, INK = 0.22, "#1A1A1A"
"""How much of its colour a box has over white, and what is written on it, on any page."""
KIND_COLOURS: dict[str, str] = {
    "Conv1D": GROUPS[5],
    "Bidirectional": GROUPS[3],
    "LSTM": GROUPS[3],
    "Dense": GROUPS[4],
    "Embedding": GROUPS[4],
}


@dataclass
class _Box:
    """Layers that are drawn as one, or the place where a long arrow passes a row."""

    layers: list[Layer]
    row: int = 0
    x: float = 0.5
    sources: list[_Box] = field(default_factory=list)

    @property
    def shape(self) -> str:
        return shape_words(self.layers[-1])

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)


def shape_words(layer: Layer) -> str:
    """Return the shape of a layer's output for one beat: ``175 x 48``; ``1`` for one number."""
    return " × ".join(str(n) for n in layer.shape[1:]) or "1"


def layer_words(layer: Layer) -> str:
    """Return what a layer is, with its settings."""
    own = WORDS.get(layer.kind, layer.kind)
    if layer.kind == "Dense" and not layer.name.startswith("dense"):
        own = f"{own}: {layer.name}"
    between = " " if layer.kind in ATTACHED else ", "
    return between.join(word for word in (own, layer.what) if word) or layer.kind


def network_diagram(layers: Sequence[Layer]) -> go.Figure:
    """Draw a network: a box has its layers, the shape of their output and how many parameters.

    Args:
        layers: As `core.architecture.read_layers` gives them, each after what feeds it.
    """
    boxes, passed = _placed(layers)
    figure = go.Figure()
    for box in (*boxes, *passed):
        for source in box.sources:
            _draw_line(figure, source, box)
    widths = {row: _slots(row, [*boxes, *passed]) for row in {box.row for box in boxes}}
    for box in boxes:
        _draw_box(figure, box, min(WIDEST, SLOT_SHARE / widths[box.row]), widths[box.row])
    rows = 1 + max(box.row for box in boxes)
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[rows - 0.5, -0.5], fixedrange=True)
    figure.update_layout(
        height=ROW_PX * rows + 8,
        margin={"l": 0, "r": 0, "t": 4, "b": 4},
        showlegend=False,
        hovermode="closest",
    )
    return figure


def _placed(layers: Sequence[Layer]) -> tuple[list[_Box], list[_Box]]:
    """Return the boxes in their places, and the places where arrows pass rows between them."""
    fed = defaultdict(list)
    for layer in layers:
        for name in layer.inputs:
            fed[name].append(layer.name)
    home: dict[str, _Box] = {}
    boxes: list[_Box] = []
    for layer in layers:
        source = home[layer.inputs[0]] if len(layer.inputs) == 1 else None
        if (
            source is not None
            and layer.kind in ATTACHED
            and source.layers[-1].kind != "InputLayer"
            and len(fed[layer.inputs[0]]) == 1
        ):
            source.layers.append(layer)
            home[layer.name] = source
            continue
        box = _Box([layer], sources=[home[name] for name in layer.inputs])
        box.row = 1 + max((one.row for one in box.sources), default=-1)
        home[layer.name] = box
        boxes.append(box)
    for box in reversed(boxes):
        following = [other.row for other in boxes if any(box is one for one in other.sources)]
        if following:
            box.row = min(following) - 1
    passed = _passed(boxes)
    for row in range(1 + max(box.row for box in boxes)):
        own = [box for box in (*boxes, *passed) if box.row == row]
        own.sort(key=lambda box: _mean([one.x for one in box.sources]) if box.sources else 0.0)
        for i, box in enumerate(own):
            box.x = (i + 0.5) / len(own)
    _put_inputs_above(boxes)
    return boxes, passed


def _passed(boxes: Sequence[_Box]) -> list[_Box]:
    """Break arrows that are longer than a row into pieces; return the places where they bend."""
    bends: list[_Box] = []
    for box in boxes:
        for i, source in enumerate(box.sources):
            for row in range(source.row + 1, box.row):
                bend = _Box([], row=row, sources=[box.sources[i]])
                box.sources[i] = bend
                bends.append(bend)
    return bends


def _put_inputs_above(boxes: Sequence[_Box]) -> None:
    """Put the first row's inputs above what they feed, where each feeds a box of its own."""
    first = [box for box in boxes if box.row == 0]
    places = [
        [other.x for other in boxes if any(box is one for one in other.sources)] for box in first
    ]
    if len(first) > 1 and all(len(own) == 1 for own in places):
        for box, own in zip(first, places, strict=True):
            box.x = own[0]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _slots(row: int, boxes: Sequence[_Box]) -> int:
    """Return into how many slots a row is divided; the first row's inputs follow the second."""
    own = sum(box.row == row for box in boxes)
    if row == 0 and own > 1:
        return max(own, sum(box.row == 1 for box in boxes))
    return own


def _draw_line(figure: go.Figure, source: _Box, box: _Box) -> None:
    half = BOX_SHARE / 2
    start = source.row + (half if source.layers else 0.0)
    end = box.row - (half if box.layers else 0.0)
    figure.add_shape(
        type="line",
        x0=source.x,
        x1=box.x,
        y0=start,
        y1=end,
        line={"color": NEUTRAL, "width": 1.5},
        layer="below",
    )


def _draw_box(figure: go.Figure, box: _Box, width: float, slots: int) -> None:
    first = box.layers[0]
    colour = KIND_COLOURS.get(first.kind, NEUTRAL)
    half = BOX_SHARE / 2
    figure.add_shape(
        type="rect",
        x0=box.x - width / 2,
        x1=box.x + width / 2,
        y0=box.row - half,
        y1=box.row + half,
        line={"color": colour, "width": 1.5},
        fillcolor=_tinted(colour),
    )
    if first.kind == "InputLayer":
        title = INPUT_WORDS.get(first.name, first.name)
    else:
        title = layer_words(first)
    title = title[0].upper() + title[1:]
    held = f"{box.parameters:,} par." if box.parameters else ""
    if slots >= CROWDED:
        short = title.partition(",")[0]
        lines = [f"<b>{short}</b>", box.shape, held]
    else:
        rest = ", ".join(layer_words(layer) for layer in box.layers[1:])
        lines = [f"<b>{title}</b>", rest, " · ".join(part for part in (box.shape, held) if part)]
    figure.add_annotation(
        x=box.x,
        y=box.row,
        text="<br>".join(line for line in lines if line),
        showarrow=False,
        font={"size": 11 if slots > CROWDED else 12, "color": INK},
    )
    figure.add_scatter(
        x=[box.x],
        y=[box.row],
        mode="markers",
        marker={"opacity": 0, "size": 40},
        hovertemplate="<br>".join(
            f"{layer_words(layer)}: {shape_words(layer)}, {layer.parameters:,} parameters"
            for layer in box.layers
        )
        + "<extra></extra>",
    )


def _tinted(colour: str) -> str:
    """Return a ``#rrggbb`` colour over white, as one that lets nothing through."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + TINT * (part - 255)):02X}" for part in parts)

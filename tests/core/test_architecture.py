"""What is read of a saved network is what Keras says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.architecture import Layer, layer_of, layers_of, read_layers
from core.errors import UserError
from core.models.storage import load_model
from core.plots.network import network_diagram, shape_words
from core.study import Study

NETWORKS = ("autoencoder/encoder", "autoencoder/decoder", "gan/generator", "identifier/network")


@pytest.mark.parametrize("name", NETWORKS)
def test_counts_and_shapes_are_those_of_keras(name: str, trained_study: Path) -> None:
    path = trained_study / "models" / f"{name}.keras"
    network = load_model(path)
    layers = read_layers(path)
    assert sum(layer.parameters for layer in layers) == network.count_params()
    for layer in layers:
        real = network.get_layer(layer.name)
        assert layer.parameters == real.count_params(), layer.name
        assert layer.shape == tuple(real.output.shape), layer.name
    assert layers == layers_of(network)
    seen: set[str] = set()
    for layer in layers:
        assert seen.issuperset(layer.inputs)
        seen.add(layer.name)


def test_networks_are_read_without_keras() -> None:
    code = "import sys, core.architecture, core.plots.network; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_critic_is_told_on_the_card_of_the_gan(trained_study: Path) -> None:
    layers = [layer_of(row) for row in Study.open(trained_study).card("gan")["critic"]]
    by_name = {layer.name: layer for layer in layers}
    features = by_name["features"].shape[1]
    assert features is not None
    assert next(one for one in layers if one.kind == "Dense").parameters == 256 * (features + 1)
    assert layer_of(json.loads(json.dumps(layers[3].as_json()))) == layers[3]
    assert layers[-1].shape == (None, 1)


def test_a_damaged_network_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "network.keras"
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match="missing or damaged"):
        read_layers(path)


def _layer(name: str, kind: str, *inputs: str, parameters: int = 0) -> Layer:
    shape = (None, 8, 2)
    return Layer(name=name, kind=kind, what="", shape=shape, parameters=parameters, inputs=inputs)


def test_the_diagram_has_a_box_a_layer_with_its_shape_and_count() -> None:
    layers = [
        _layer("beat", "InputLayer"),
        _layer("conv", "Conv1D", "beat", parameters=1234),
        _layer("norm", "BatchNormalization", "conv", parameters=8),
        _layer("dense", "Dense", "beat", parameters=20),
        _layer("add", "Add", "norm", "dense"),
    ]
    figure = network_diagram(layers)
    texts = [note.text for note in figure.layout.annotations]
    assert len(texts) == 4, "a normalisation stands in the box of what it follows"
    conv = next(text for text in texts if "Convolution" in text)
    assert "batch norm" in conv
    assert "8 × 2 · 1,242 par." in conv
    assert shape_words(layers[0]) == "8 × 2"


@pytest.mark.parametrize("name", NETWORKS)
def test_boxes_neither_overlap_nor_leave_the_figure(name: str, trained_study: Path) -> None:
    figure = network_diagram(read_layers(trained_study / "models" / f"{name}.keras"))
    boxes = np.array([[s.x0, s.x1, s.y0, s.y1] for s in figure.layout.shapes if s.type == "rect"])
    assert boxes[:, 0].min() >= 0
    assert boxes[:, 1].max() <= 1
    for i, (x0, x1, y0, y1) in enumerate(boxes):
        others = np.delete(boxes, i, axis=0)
        apart = (others[:, 0] >= x1) | (others[:, 1] <= x0)
        assert (apart | (others[:, 2] >= y1) | (others[:, 3] <= y0)).all()
    for line in (s for s in figure.layout.shapes if s.type == "line"):
        assert line.y0 < line.y1, "arrows go down"

"""A saved network -> its layers with shapes and parameter counts, without Keras.

A ``.keras`` file is a zip: ``config.json`` names the layers and what they are fed, the weights lie
in an HDF5 file, a group a layer.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
Shape = tuple[int | None, ...]
"""Of what a layer puts out; None stands for the number of beats."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a network.

    Attributes:
        name: Unique within the network.
        kind: Its class in Keras, such as ``Conv1D``.
        what: Its settings in words; empty if there is nothing to say.
        shape: Of its output.
        parameters: How many numbers it holds, learned or not.
        inputs: Names of the layers that feed it, in order.
    """

    name: str
    kind: str
    what: str
    shape: Shape
    parameters: int
    inputs: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a card holds it; `layer_of` reads it back."""
        return asdict(self)


def layer_of(row: Mapping[str, Any]) -> Layer:
    """Return what `Layer.as_json` gave."""
    lists = {name: tuple(row[name]) for name in ("shape", "inputs")}
    return Layer(**{**row, **lists})


def read_layers(path: Path) -> list[Layer]:
    """Return the layers of a ``.keras`` file in the order in which they are computed.

    Raises:
        UserError: The file is missing or damaged.
    """
    import h5py

    try:
        with zipfile.ZipFile(path) as file:
            config = json.loads(file.read(_CONFIG))["config"]["layers"]
            with h5py.File(io.BytesIO(file.read(_WEIGHTS)), "r") as weights:
                sizes = [_size(weights["layers"][group]) for group in _groups(config)]
        counts = {layer["name"]: size for layer, size in zip(config, sizes, strict=True)}
        return _described(config, counts)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise UserError(path, "is missing or damaged", "Train the model again") from None


def layers_of(network: Any) -> list[Layer]:
    """Return the layers of a Keras model in memory."""
    counts = {layer.name: int(layer.count_params()) for layer in network.layers}
    # JSON brings tuples and Keras' own objects into the form that a file has.
    return _described(json.loads(network.to_json())["config"]["layers"], counts)


def _groups(config: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Return the HDF5 group of each layer: its class, and a number from the second one on."""
    seen: Counter[str] = Counter()
    for layer in config:
        name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", layer["class_name"])
        name = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
        yield f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1


def _size(group: Any) -> int:
    """Return how many numbers the arrays of a group and its groups hold."""
    if hasattr(group, "shape"):
        return int(math.prod(group.shape))
    return sum(_size(group[name]) for name in group)


def _described(config: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> list[Layer]:
    tensors = {layer["name"]: list(_tensors(layer["inbound_nodes"])) for layer in config}
    told = {name: shape for own in tensors.values() for name, shape in own}
    layers: dict[str, Layer] = {}
    waiting = list(config)
    while waiting:
        layer = next(
            one for one in waiting if all(name in layers for name, _ in tensors[one["name"]])
        )
        waiting.remove(layer)
        name = layer["name"]
        layers[name] = Layer(
            name=name,
            kind=layer["class_name"],
            what=_words(layer),
            shape=told.get(name) or _last_shape(layer, [shape for _, shape in tensors[name]]),
            parameters=counts[name],
            inputs=tuple(source for source, _ in tensors[name]),
        )
    return list(layers.values())


def _tensors(value: Any) -> Iterator[tuple[str, Shape]]:
    """Return the layers, and the shapes of their outputs, that a layer's nodes name."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"][0], tuple(value["config"]["shape"])
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tensors(item)


def _last_shape(layer: Mapping[str, Any], fed: Sequence[Shape]) -> Shape:
    """Return the output's shape of a layer that feeds no other, which the file does not tell."""
    config = layer["config"]
    if "batch_shape" in config:
        return tuple(config["batch_shape"])
    if "units" in config:
        return (*fed[0][:-1], config["units"])
    if "target_shape" in config:
        return (fed[0][0], *config["target_shape"])
    return fed[0]


def _words(layer: Mapping[str, Any]) -> str:
    kind, config = layer["class_name"], layer["config"]
    words = []
    if kind.startswith("Conv"):
        words.append(f"kernel {config['kernel_size'][0]}")
    if "Pooling" in kind and "pool_size" in config:
        words.append(str(config["pool_size"][0]))
    if kind == "Dropout":
        words.append(f"{config['rate']:.0%}")
    if kind == "Bidirectional":
        words.append(f"{config['layer']['config']['units']} units each way")
    if kind == "Embedding":
        words.append(f"of {config['input_dim']}")
    if config.get("activation") not in (None, "linear") and kind != "Bidirectional":
        words.append(str(config["activation"]).replace("_", " "))
    if kind == "Normalization":
        words.append("back to the beat's units" if config.get("invert") else "to unit variance")
    return ", ".join(words)

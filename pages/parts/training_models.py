"""A trained model -> its card, its curves, its first and last beats, its network as a diagram."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from core.architecture import Layer, layer_of, read_layers
from core.durations import read_timing
from core.options import MODEL_NAMES
from core.plots.figures import loss_curves
from core.plots.network import layer_words, network_diagram, shape_words
from core.study import Study, read_json
from pages.parts import job_panel, training_samples
from pages.parts.training_plan import MODEL_WORDS

NETWORK_WORDS = {
    "encoder": "Encoder: a beat to its code",
    "decoder": "Decoder: a code to a beat",
    "generator": "Generator: noise, person and recording to a code",
    "critic": "Critic: orders real and generated beats; used in training only",
    "network": "CNN-LSTM: a beat to its embedding and its class",
}
WITHOUT_NETWORK = {
    "mixture": "No network: a Gaussian of the codes of each recording.",
    "authenticity": "No network: a forest of decision trees on features of a beat.",
}
STEPS_WORDS = {"gan": "Reports, one every 50 steps", "authenticity": "Reports"}


def draw(study: Study) -> None:
    """Draw one of the trained models."""
    trained = [name for name in MODEL_NAMES if study.has_model(name)]
    if not trained:
        st.info("No model is trained yet. Begin under Train; each is shown here once it is done.")
        return
    if st.session_state.get("model-shown") not in trained:
        st.session_state.pop("model-shown", None)
    name = st.segmented_control(
        "Model", trained, default=trained[0], required=True, key="model-shown"
    )
    st.header(MODEL_WORDS[name])
    card = study.card(name)
    for words in card.get("alarms", []):
        st.warning(words)
    _draw_facts(study, name, card)
    training_samples.finished(study, name)
    _draw_networks(study, name, card)
    _draw_history(study, name)
    whole = st.expander("Its whole card", on_change="rerun", key=f"card-{name}")
    if whole.open:
        whole.json({k: v for k, v in card.items() if k not in ("history", "critic")})


def _draw_facts(study: Study, name: str, card: dict[str, Any]) -> None:
    timing = read_timing(study.model_folder(name)) or {}
    subjects = card.get("train_subjects", "?")
    facts = {
        "Trained on": f"{card['train_beats']:,} beats of {subjects} subjects"
        if "train_beats" in card
        else "",
        "Preset, seed": f"{card.get('preset', '')}, {card.get('seed', '')}",
        "Took": job_panel.span(timing["seconds"]) if "seconds" in timing else "",
        "AUC": f"{card['auc']:.3f}, {card.get('protocol', '')}" if "auc" in card else "",
    }
    known = {key: value for key, value in facts.items() if value}
    st.table(known, border="horizontal", width="content", alt=f"Card of {name}")


def _draw_networks(study: Study, name: str, card: dict[str, Any]) -> None:
    """Draw each network of a model, side by side where there is room."""
    if name in WITHOUT_NETWORK:
        st.caption(WITHOUT_NETWORK[name])
        return
    networks = {
        path.stem: _layers(str(path), path.stat().st_mtime_ns)
        for path in sorted(study.model_folder(name).glob("*.keras"), reverse=name != "autoencoder")
    }
    networks = dict(sorted(networks.items(), key=lambda one: list(NETWORK_WORDS).index(one[0])))
    if card.get("critic"):
        networks["critic"] = [layer_of(row) for row in card["critic"]]
    if not networks:
        return
    st.markdown("#### Network")
    st.caption(
        "From top to bottom. A box: the layer, the shape of what it puts out for one beat, "
        "and how many parameters (par.) it holds."
    )
    with st.grid(min(2, len(networks)), min_column_width=330):
        for network, layers in networks.items():
            with st.container():
                total = sum(layer.parameters for layer in layers)
                st.markdown(f"**{NETWORK_WORDS.get(network, network)}**, {total:,} parameters")
                st.plotly_chart(
                    network_diagram(layers),
                    key=f"network-{name}-{network}",
                    config={"displayModeBar": False},
                    alt=f"Diagram of the {network}; the same as a table under Layers",
                )
    table = st.expander("Layers", on_change="rerun", key=f"layers-{name}")
    if table.open:
        for network, layers in networks.items():
            table.markdown(f"**{NETWORK_WORDS.get(network, network)}**")
            table.dataframe(_table(layers), hide_index=True, alt=f"Layers of the {network}")


def _table(layers: list[Layer]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Layer": layer.name,
                "What it is": layer_words(layer),
                "Puts out": shape_words(layer),
                "Parameters": layer.parameters,
                "Fed by": ", ".join(layer.inputs),
            }
            for layer in layers
        ]
    )


@st.cache_data(max_entries=16, show_spinner=False, scope="session")
def _layers(path: str, stamp: int) -> list[Layer]:
    return read_layers(Path(path))


def _draw_history(study: Study, name: str) -> None:
    path = study.model_folder(name) / "history.json"
    if not path.is_file():
        return
    history = [
        {k: v for k, v in row.items() if isinstance(v, int | float)} for row in read_json(path)
    ]
    st.markdown("#### Training curves")
    st.plotly_chart(
        loss_curves(history, x_title=STEPS_WORDS.get(name, "Epoch")),
        key=f"history-{name}",
        alt=f"Training curves of {name}",
    )

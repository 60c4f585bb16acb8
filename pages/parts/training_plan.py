"""What is to be trained -> which models on which beats, how long it should take, and the button."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.errors import UserError
from core.options import MODEL_NAMES, TrainOptions
from core.partitions import SPLIT_WORDS
from core.study import Study
from core.sufficiency import sufficiency
from core.training import Step, plan
from pages.parts import content, job_panel
from pages.parts.looks import emphasis

MODEL_WORDS: dict[str, str] = {
    "autoencoder": "Autoencoder: beats to codes and back",
    "mixture": "Mixture: draws codes of a person, one Gaussian a recording",
    "gan": "Conditional GAN: draws codes of a person",
    "authenticity": "Judge: real or synthetic",
    "identifier": "Identifier: who it is (CNN-LSTM)",
}
PRESET_WORDS = {"quick": "quick: a minute or a few", "full": "full: best figures, much longer"}
IDENTIFIER_WORDS: dict[str, tuple[str, dict[str, str]]] = {
    "target": (
        "It names",
        {
            "auto": "the subject, else the label",
            "subject": "the subject",
            "label": "the label of a beat",
        },
    ),
    "order": (
        "Network",
        {
            "auto": "as tuned, else CNN, then LSTM",
            "cnn_lstm": "CNN, then LSTM",
            "lstm_cnn": "LSTM, then CNN",
        },
    ),
    "balance": (
        "Rare labels",
        {"weights": "count more", "draws": "are drawn more often", "none": "are left rare"},
    ),
    "augment": (
        "Rare classes are filled up with",
        {
            "none": "nothing",
            "classic": "varied copies of their beats",
            "mixture": "beats of the mixture",
            "gan": "beats of the GAN",
        },
    ),
}
MAX_SEED = 2**31 - 1


def draw(study: Study, *, busy: bool) -> None:
    """Draw what a training will do, and the button that begins it.

    Args:
        study: The study.
        busy: Whether a job is changing the study, so that no other may begin.
    """
    kept = content.kept_beats(study)
    train = kept[kept["partition"] == "train"]
    st.markdown(
        f"Trained on the **{len(train):,} smoothed beats** of {train['subject'].nunique()} "
        f"subjects in the train part; {SPLIT_WORDS[study.info.options.split]}."
    )
    _draw_verdict(study)
    models = st.pills(
        "Models",
        MODEL_NAMES,
        selection_mode="multi",
        default=MODEL_NAMES,
        key="train-models",
        persist_state="session",
    )
    with st.grid(3, min_column_width=220):
        preset = st.selectbox(
            "Preset",
            list(PRESET_WORDS),
            format_func=PRESET_WORDS.__getitem__,
            key="train-preset",
            persist_state="session",
        )
        seed = st.number_input(
            "Seed",
            *(0, MAX_SEED, 0),
            key="train-seed",
            help="The same seed, beats and options give the same models",
        )
    own = _identifier_options() if "identifier" in models else {}
    chosen: dict[str, Any] = {
        "models": [name for name in MODEL_NAMES if name in models],
        "preset": preset,
        "seed": int(seed),
        **own,
    }
    steps = plan(study, TrainOptions(**chosen)) if chosen["models"] else []
    if steps:
        _draw_plan(steps)
    if busy:
        st.info("A job is changing this study: it is shown above. Another can begin when it ends.")
        return
    if st.button("Train", icon=":material/play_arrow:", key="train-begin", type=emphasis()):
        with job_panel.one_sentence():
            _refuse(steps)
            job_panel.submit(study.folder, "train", **chosen)
            st.rerun()


def _draw_verdict(study: Study) -> None:
    """Draw whether there are enough beats to train on, and a row a subject and label."""
    found = sufficiency(study)
    enough = bool(found["subjects"]) and all(row["enough"] for row in found["subjects"])
    tell = st.success if enough else st.warning
    tell(found["verdict"])
    each = st.expander("Enough beats of each?", on_change="rerun", key="train-enough")
    if each.open:
        for name in ("subjects", "labels"):
            if found[name]:
                table = pd.DataFrame(found[name]).rename(columns=str.capitalize)
                each.dataframe(table, hide_index=True, alt=f"Whether beats are enough: {name}")


def _identifier_options() -> dict[str, str]:
    with st.expander("Options of the identifier"), st.grid(2, min_column_width=240):
        return {
            name: st.selectbox(
                words,
                list(choices),
                format_func=choices.__getitem__,
                key=f"train-{name}",
                persist_state="session",
            )
            for name, (words, choices) in IDENTIFIER_WORDS.items()
        }


def _draw_plan(steps: list[Step]) -> None:
    rows = [
        {
            "Model": MODEL_WORDS[step.model],
            "Stands on": ", ".join(step.stands_on) or "the beats",
            "Takes": "nothing: it is trained so already" if step.kept else _time_words(step),
        }
        for step in steps
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="What will be trained, and how long")
    st.markdown(_total(steps))


def _time_words(step: Step) -> str:
    if step.missing:
        return f"cannot begin: needs {', '.join(step.missing)}"
    if step.estimate.seconds is None:
        return step.estimate.basis
    return f"about {job_panel.span(max(1.0, step.estimate.seconds))}, {step.estimate.basis}"


def _total(steps: list[Step]) -> str:
    todo = [step for step in steps if not step.kept]
    if not todo:
        return "Nothing to do: these models are trained so already. Another seed gives others."
    known = [step.estimate.seconds for step in todo if step.estimate.seconds is not None]
    unknown = [step.model for step in todo if step.estimate.seconds is None]
    if not known:
        return "How long it takes is not known yet: it is measured from the first training on."
    words = f"In all **about {job_panel.span(max(1.0, sum(known)))}**"
    if unknown:
        words += f", and what {', '.join(unknown)} takes: with this preset it was not measured yet"
    return f"{words}. Longer while the machine is busy; it goes on when the page is closed."


def _refuse(steps: list[Step]) -> None:
    if not steps:
        raise UserError("Models", "none is chosen", "Choose at least one")
    for step in steps:
        if step.missing:
            missing = ", ".join(step.missing)
            raise UserError(step.model, f"needs a trained {missing}", f"Choose {missing} as well")

"""Training: what is trained on what, the live curves, and the cards of the finished models."""

from __future__ import annotations

from datetime import datetime
from itertools import accumulate
from typing import Any

import pandas as pd
import streamlit as st

from core import jobs
from core.errors import UserError
from core.options import MODEL_NAMES
from core.partitions import SPLIT_WORDS
from core.plots.figures import loss_curves
from core.study import Study, read_json
from core.sufficiency import sufficiency
from core.training import NEEDS
from core.tuning import TRIAL_RANGE, read_trials
from pages.parts import augmentation_preview, content, frame, job_panel, sidebar

MODEL_WORDS: dict[str, str] = {
    "autoencoder": "Autoencoder: beats to codes and back",
    "mixture": "Mixture: draws codes of a person, one Gaussian a recording",
    "gan": "Conditional GAN: draws codes of a person",
    "authenticity": "Judge: real or synthetic",
    "identifier": "Identifier: who it is (CNN-LSTM)",
}
PRESET_WORDS = {"quick": "quick: a minute or a few", "full": "full: best figures, much longer"}
IDENTIFIER_OPTIONS: dict[str, tuple[str, dict[str, str]]] = {
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
USUAL_TRIALS = 20


def draw_models(study: Study) -> None:
    """Draw a table of the models: what each is for, stands on, and whether it is trained."""
    rows = []
    for name in MODEL_NAMES:
        card = study.card(name) if study.has_model(name) else None
        rows.append(
            {
                "Model": name,
                "State": "not trained" if card is None else f"trained, {card.get('preset', '')}",
                "Seed": "" if card is None else str(card.get("seed", "")),
                "What it is": MODEL_WORDS[name],
                "Stands on": ", ".join(NEEDS[name]) or "beats",
            }
        )
    kept = content.kept_beats(study)
    train = kept[kept["partition"] == "train"]
    st.markdown(
        f"Trained on the **{len(train):,} smoothed beats** of {train['subject'].nunique()} "
        f"subjects in the train part; {SPLIT_WORDS[study.info.options.split]}."
    )
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Models and whether they are trained")
    draw_verdict(study)


def draw_verdict(study: Study) -> None:
    """Draw whether there are enough beats to train on, and a row a subject and label."""
    found = sufficiency(study)
    enough = bool(found["subjects"]) and all(row["enough"] for row in found["subjects"])
    tell = st.success if enough else st.warning
    tell(found["verdict"])
    with st.expander("Enough beats of each?"):
        for name in ("subjects", "labels"):
            if found[name]:
                table = pd.DataFrame(found[name]).rename(columns=str.capitalize)
                st.dataframe(table, hide_index=True, alt=f"Whether beats are enough: {name}")


def draw_start(study: Study) -> None:
    """Draw the form that begins a training."""
    with st.form("train"):
        models = st.pills(
            "Models", MODEL_NAMES, selection_mode="multi", default=MODEL_NAMES, key="train-models"
        )
        with st.grid(3):
            preset = st.selectbox(
                "Preset",
                list(PRESET_WORDS),
                format_func=lambda name: PRESET_WORDS[name],
                key="train-preset",
            )
            seed = st.number_input("Seed", 0, MAX_SEED, 0, key="train-seed")
        with st.expander("Identifier"), st.grid(3):
            own = {
                name: st.selectbox(
                    words,
                    list(choices),
                    format_func=choices.__getitem__,
                    key=f"train-{name}",
                )
                for name, (words, choices) in IDENTIFIER_OPTIONS.items()
            }
        if not st.form_submit_button("Train", icon=":material/play_arrow:"):
            return
    with job_panel.one_sentence():
        if not models:
            raise UserError("Models", "none is chosen", "Choose at least one")
        chosen = [name for name in MODEL_NAMES if name in models]
        job_panel.submit(study.folder, "train", models=chosen, preset=preset, seed=int(seed), **own)
        st.rerun()


def draw_history(study: Study) -> None:
    """Draw the study's trainings, and the curves of one of them."""
    own = [job for job in jobs.list_jobs(study.folder) if job.verb == "train"]
    if not own:
        return
    rows = [
        {
            "Begun": datetime.fromtimestamp(job.created).strftime("%Y-%m-%d %H:%M"),
            "State": job.status,
            "Models": ", ".join(job.arguments.get("models") or ["all"]),
            "Preset": job.arguments.get("preset", "full"),
            "Seed": str(job.arguments.get("seed", 0)),
            "Message": job.message,
        }
        for job in own
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Trainings of this study")


def draw_tuning(study: Study, *, busy: bool) -> None:
    """Draw the search for better settings of the identifier: its start, its progress, its trials.

    Args:
        study: The study.
        busy: Whether a job is changing the study, so that no other may begin.
    """
    st.header("Tune")
    st.markdown(
        "Searches better settings of the identifier's network, on the train part only. "
        "Run again, it goes on; what was finished is kept."
    )
    job = job_panel.newest(study.folder, "tune")
    if job is not None:
        job_panel.panel(study.folder, job, curves=True, key="tune")
    found = read_trials(study)
    done = len(found["trials"]) if found else 0
    if not busy:
        with st.form("tune"):
            with st.grid(3):
                trials = st.number_input(
                    "Trials in all", *TRIAL_RANGE, max(USUAL_TRIALS, done), key="tune-trials"
                )
                seed = st.number_input("Seed", 0, MAX_SEED, 0, key="tune-seed")
            if st.form_submit_button("Search", icon=":material/search:"):
                with job_panel.one_sentence():
                    job_panel.submit(study.folder, "tune", trials=int(trials), seed=int(seed))
                    st.rerun()
    if found and done:
        draw_trials(study, found, busy=busy)
    else:
        st.info("No trial yet. The first one has the usual settings, so the best is no worse.")


def draw_trials(study: Study, found: dict[str, Any], *, busy: bool) -> None:
    """Draw the trials of a search, and the button that makes the best the model.

    Args:
        study: The study.
        found: What `read_trials` returned, with at least one trial.
        busy: Whether a job is changing the study.
    """
    trials = found["trials"]
    st.caption(f"Accuracy: {found['protocol']}. Pruned: given up early, behind the median.")
    best_so_far = list(
        accumulate((t["accuracy"] if t["state"] == "complete" else 0.0 for t in trials), max)
    )
    points = [
        {t["state"]: t["accuracy"], "best so far": best}
        for t, best in zip(trials, best_so_far, strict=True)
    ]
    figure = loss_curves(points, x_title="Trial")
    figure.update_yaxes(title_text="Accuracy (share of beats)")
    st.plotly_chart(figure, key="tune-trials-chart", alt="Accuracy of each trial")
    rows = [
        {
            "Trial": t["number"],
            "State": t["state"],
            "Accuracy": t["accuracy"],
            "Epochs": len(t["epochs"]),
            "Seconds": round(t["seconds"]),
            **{name.replace("_", " "): str(value) for name, value in t["settings"].items()},
        }
        for t in trials
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="Trials of the search")
    best = next((t for t in trials if t["number"] == found["best"]), None)
    if best is None:
        return
    st.subheader("Best settings")
    st.markdown(f"Trial {best['number']}, accuracy {best['accuracy']:.1%}.")
    st.table(
        {name.replace("_", " "): str(value) for name, value in best["settings"].items()},
        border="horizontal",
        width="content",
        alt="Best settings",
    )
    card = study.card("identifier") if study.has_model("identifier") else {}
    if card.get("recipe", {}).get("tuned") == best["settings"]:
        st.success("The identifier was trained with these settings.")
    elif not busy and st.button(
        "Make it the model", key="tune-use", icon=":material/model_training:"
    ):
        seed = int(st.session_state["tune-seed"])
        with job_panel.one_sentence():
            job_panel.submit(study.folder, "train", models=["identifier"], preset="full", seed=seed)
            st.rerun()


def draw_cards(study: Study) -> None:
    """Draw the card and the curves of each trained model."""
    for name in (n for n in MODEL_NAMES if study.has_model(n)):
        with st.expander(MODEL_WORDS[name]):
            card = study.card(name)
            plain = {
                key.replace("_", " "): _short(value)
                for key, value in card.items()
                if isinstance(value, str | int | float | bool) and key != "train_sha256"
            }
            st.table(plain, border="horizontal", width="content", alt=f"Card of {name}")
            for words in card.get("alarms", []):
                st.warning(words)
            path = study.model_folder(name) / "history.json"
            if path.is_file():
                history = [
                    {k: v for k, v in row.items() if isinstance(v, int | float)}
                    for row in read_json(path)
                ]
                st.plotly_chart(
                    loss_curves(history, x_title="Reports over the training"),
                    key=f"card-{name}",
                    alt=f"Training curves of {name}",
                )
            st.json({k: v for k, v in card.items() if k != "history"}, expanded=False)


def _short(value: str | float | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw(study: Study) -> None:
    """Draw the page of a study."""
    job = job_panel.newest(study.folder, "train")
    if job is not None:
        job_panel.panel(study.folder, job, curves=True, key="train")
    draw_models(study)
    busy = any(j.active and j.verb in jobs.WRITERS for j in jobs.list_jobs(study.folder))
    if not busy:
        draw_start(study)
        augmentation_preview.draw(study)
    if any(study.has_model(name) for name in MODEL_NAMES):
        st.header("Finished models")
        draw_cards(study)
    draw_tuning(study, busy=busy)
    if job is not None:
        st.header("Trainings so far")
        draw_history(study)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

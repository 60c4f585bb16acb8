"""Generating: from trained models to synthetic beats of chosen subjects."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.beat_set import BeatSet
from core.errors import UserError, did_you_mean
from core.models.storage import load_card
from core.options import IDENTIFIER_FORMAT
from core.recording import StrArray
from core.study import Study

GENERATORS = ("gan", "mixture")
MAX_BEATS = 1_000_000
HEART_RATE_RANGE = (30.0, 220.0)


@lru_cache(maxsize=8)
def _load(name: str, folder: Path, stamp: int) -> Any:
    """Load a model once a version of it."""
    if name == "autoencoder":
        from core.models.autoencoder import Autoencoder

        return Autoencoder.load(folder)
    if name == "gan":
        from core.models.conditional_gan import ConditionalGan

        return ConditionalGan.load(folder)
    if name == "mixture":
        from core.models.gaussian_mixture import GaussianMixtureGenerator

        return GaussianMixtureGenerator.load(folder)
    if name == "authenticity":
        from core.models.authenticity import AuthenticityJudge

        return AuthenticityJudge.load(folder)
    if load_card(folder)["identifier"]["target"] == "label":
        from core.models.label_identifier import LabelIdentifier

        return LabelIdentifier.load(folder)
    from core.models.cnn_lstm import Identifier

    return Identifier.load(folder)


def load_model(study: Study, name: str) -> Any:
    """Return a trained model of a study, kept in memory for the next call.

    Raises:
        UserError: It was not trained, `check_current` refuses it, or its files are damaged.
    """
    check_current(study, name)
    folder = study.model_folder(name)
    stamp = (folder / "card.json").stat().st_mtime_ns
    try:
        return _load(name, folder, stamp)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            folder, f"cannot be loaded ({type(error).__name__})", "Delete it and train it again"
        ) from None


def check_current(study: Study, name: str) -> None:
    """Refuse a model of an older CardioTwin, and one whose foundations were trained anew since.

    Raises:
        UserError: It was not trained, an identifier is of an older format, or what the model
            stands on is another one now.
    """
    recipe: dict[str, Any] = study.card(name).get("recipe") or {}
    again = f"Train it again: python -m core train {study.folder} --models {name}"
    if name == "identifier" and recipe.get("format") != IDENTIFIER_FORMAT:
        raise UserError(f"model {name}", "was trained by an older CardioTwin", again)
    for needed, made_of in recipe.get("needs", {}).items():
        if study.card(needed).get("recipe") != made_of:
            raise UserError(
                f"model {name}",
                f"stands on another {needed} than the one that is there now",
                again,
            )


def choose_subjects(
    study: Study, wanted: list[str] | None, *, label: str | None = None
) -> list[str]:
    """Return the subjects to draw: those asked for, or all that have train beats (of a label).

    Raises:
        UserError: One of them is not in the study's train part.
    """
    kept = _train_rows(study)
    if label is not None and not wanted and (kept["label"] == label).any():
        kept = kept[kept["label"] == label]
    known = list(dict.fromkeys(kept["subject"]))
    for name in wanted or []:
        if name not in known:
            raise UserError(
                f"--subject {name}", "is not in the study's train part", did_you_mean(name, known)
            )
    return list(wanted or known)


def draw_beats(
    study: Study,
    model: str,
    subjects: StrArray,
    *,
    seed: int,
    days: str = "recorded",
    label: str | None = None,
    heart_rate: float | None = None,
) -> BeatSet:
    """Draw one synthetic beat for each entry of `subjects`.

    Args:
        study: A study whose autoencoder and `model` are trained.
        model: ``gan`` or ``mixture``.
        subjects: (n,) a subject's name a beat.
        seed: Seed of every random step.
        days: ``recorded``: as on the days in the study; ``new``: as on another day.
        label: Beats of this label only; any by default.
        heart_rate: Beats per minute that ST and T are brought to; the subject's own by default.

    Raises:
        UserError: A model is missing, a subject or label is unknown.
    """
    autoencoder = load_model(study, "autoencoder")
    generator = load_model(study, model)
    labels = _labels(study, subjects, seed) if label is None else np.full(len(subjects), label)
    codes = generator.sample(subjects, seed=seed, days=days, labels=labels)
    signals = autoencoder.decode(codes)
    if study.info.options.normalisation != "none":
        from core.preprocessing.beats import normalise

        signals = normalise(signals, study.info.options.normalisation)
    usual = _median_rr(study)
    rr = np.asarray([usual.get(str(s), np.nan) for s in subjects], dtype=np.float64)
    if heart_rate is not None:
        from core.models.identifier_input import REFERENCE_RR_S, Window, adapt_to_rate

        wanted = np.full(len(rr), 60.0 / heart_rate)
        window = Window(before_s=study.info.before_s, sampling_rate=study.sampling_rate)
        signals = adapt_to_rate(signals, REFERENCE_RR_S * rr / wanted, window)
        rr = wanted
    return BeatSet.build(
        signals,
        sampling_rate=study.sampling_rate,
        before_s=study.info.before_s,
        leads=study.info.leads,
        subject=subjects,
        label="" if labels is None else labels,
        rr_before=rr.astype(np.float32),
        rr_after=rr.astype(np.float32),
        synthetic=np.ones(len(signals), dtype=np.bool_),
    )


def _train_rows(study: Study) -> pd.DataFrame:
    """Return the rows of the beat table that generators were fitted to."""
    table = study.beat_table
    return table[(table["rejected"] == "") & (table["partition"] == "train")]


def _labels(study: Study, subjects: StrArray, seed: int) -> StrArray | None:
    """Return a label for each beat, as often as each subject has it; None if there is one at most.

    What a generator is conditioned on is `core.training.generator_labels` of the train beats.
    """
    kept = _train_rows(study)
    if kept["label"].nunique() < 2:
        return None
    rng = np.random.default_rng(seed)
    labels = np.full(len(subjects), "", dtype=object)
    for name in dict.fromkeys(subjects):
        mine = np.flatnonzero(subjects == name)
        own = kept["label"][kept["subject"] == name].to_numpy()
        if len(own):
            labels[mine] = own[rng.integers(0, len(own), len(mine))]
    return labels.astype(np.str_)


def _median_rr(study: Study) -> dict[str, float]:
    """Return each subject's median RR interval in its train beats, in seconds."""
    kept = _train_rows(study)
    return {str(s): float(v) for s, v in kept.groupby("subject")["rr_before"].median().items()}

"""Scoreboard: from a trained study to every figure of it, each with its protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation import identification, realism
from core.fakes import KINDS as FAKES
from core.generating import GENERATORS, draw_beats, load_model
from core.partitions import SPLIT_WORDS
from core.progress import Progress, Report, silent
from core.recording import StrArray
from core.study import Study, write_json

REDRAWS_RANGE = (1, 100)
GENERATED_PER_SUBJECT = 20
"""Generated beats of each subject that the identifier and the judge are asked about."""


def evaluate_study(
    study: Study,
    *,
    seed: int = 0,
    redraws: int = realism.DEFAULT_REDRAWS,
    report: Report = silent,
) -> dict[str, Any]:
    """Compute every figure that the study's trained models and partitions allow, and store them.

    Figures of models that are not trained, or of parts that are empty, are left out; ``missing``
    says which and why.

    Args:
        study: A study with at least one trained model.
        seed: Of every draw, fold and resampling.
        redraws: How often generated beats are drawn anew for a figure.
        report: Told about each step.

    Returns:
        ``{"study", "protocol", "seed", "realism", "identification", "authenticity", "missing",
        "models"}``;
        each figure is a mapping with ``value``, ``n`` and ``protocol``, most with ``ceiling``:
        what real beats score in its place.

    Raises:
        UserError: `redraws` is out of range.
    """
    low, high = REDRAWS_RANGE
    if not low <= redraws <= high:
        raise UserError("--redraws", f"{redraws} is out of range", f"Give {low} to {high}")
    missing: list[str] = []
    result: dict[str, Any] = {
        "study": study.info.name,
        "simulated": study.info.simulated,
        "protocol": SPLIT_WORDS[study.info.options.split],
        "seed": seed,
        "subjects": len(study.subjects),
        "realism": _realism_or_why_not(study, seed, redraws, missing, report),
        "identification": _identification(study, seed, missing, report),
        "authenticity": _authenticity(study, seed, missing),
        "missing": missing,
        "models": study.model_recipes(),
    }
    result = realism.plain(result)
    _name_split(result, f"; {result['protocol']}")
    try:
        write_json(study.folder / "reports" / "figures.json", result)
    except OSError as error:
        missing.append(f"stored figures: the study cannot be written ({error.strerror})")
        result["missing"] = missing
    return result


def _name_split(node: dict[str, Any], words: str) -> None:
    """Add to the protocol of every figure how the study is split, leaky or not."""
    for child in node.values():
        if isinstance(child, dict):
            if "protocol" in child and words[2:] not in child["protocol"]:
                child["protocol"] += words
            _name_split(child, words)


def _realism_or_why_not(
    study: Study, seed: int, redraws: int, missing: list[str], report: Report
) -> dict[str, Any]:
    try:
        return _realism(study, seed, redraws, missing, report)
    except UserError as error:
        missing.append(f"realism: {error}")
        return {}


def _realism(
    study: Study, seed: int, redraws: int, missing: list[str], report: Report
) -> dict[str, Any]:
    """Return the figures of the reconstruction and of each generator, beside real beats'."""
    train, validation, test = (study.beats(part) for part in ("train", "validation", "test"))
    if not len(validation):
        missing.append("realism: the study has no validation part")
        return {}
    if not study.has_model("autoencoder"):
        missing.append("realism: no autoencoder is trained")
        return {}
    namers = {"cnn_lstm": _fit_cnn_lstm} if len(set(train.subject)) > 1 and len(test) else None
    ceiling = realism.real_against_real(
        train, validation, test, seed=seed, redraws=redraws, namers=namers, report=report
    )
    autoencoder = load_model(study, "autoencoder")
    figures: dict[str, Any] = {
        "real": ceiling,
        "reconstruction": realism.evaluate_reconstruction(
            train,
            validation,
            test,
            lambda signals: autoencoder.decode(autoencoder.encode(signals)),
            seed=seed,
            redraws=redraws,
            ceiling=ceiling,
            report=report,
        ),
    }
    for name in GENERATORS:
        if not study.has_model(name):
            missing.append(f"realism: no {name} is trained")
            continue

        def draw(subjects: StrArray, draw_seed: int, name: str = name) -> BeatSet:
            return draw_beats(study, name, subjects, seed=draw_seed)

        figures[name] = realism.evaluate_generator(
            train,
            validation,
            test,
            draw,
            seed=seed,
            redraws=redraws,
            ceiling=ceiling,
            namers=namers,
            report=report,
            stage=f"evaluate {name}",
        )
    return figures


def _fit_cnn_lstm(beats: BeatSet, seed: int) -> realism.Namer:
    """Return a CNN-LSTM, quickly trained on `beats`, that names the subject of single beats."""
    from core.models.cnn_lstm import Identifier

    identifier = Identifier.fit(beats, target="subject", preset="quick", seed=seed)
    names = np.asarray(identifier.classes)

    def name(others: BeatSet) -> StrArray:
        scores = identifier.beat_scores(others, method="network")
        return np.asarray(names[scores.argmax(axis=1)], dtype=np.str_)

    return name


def _identification(study: Study, seed: int, missing: list[str], report: Report) -> dict[str, Any]:
    """Return how well the identifier names real probes of the test part, and generated ones."""
    if not study.has_model("identifier"):
        missing.append("identification: no identifier is trained")
        return {}
    identifier = load_model(study, "identifier")
    probes = study.beats("test")
    truth = probes.subject if identifier.target == "subject" else probes.label
    probes = probes.take(np.isin(truth, identifier.classes))
    protocol = SPLIT_WORDS[study.info.options.split]
    figures: dict[str, Any] = {}
    if len(probes):
        report(Progress("evaluate identifier", 0, 1))
        figures["real"] = identification.evaluate_identifier(
            identifier, probes, seed=seed, protocol=protocol
        )
    else:
        missing.append("identification: the test part is empty")
    if identifier.target != "subject":
        return figures
    names = np.repeat(np.asarray(identifier.classes), GENERATED_PER_SUBJECT)
    for model in GENERATORS:
        if study.has_model(model) and study.has_model("autoencoder"):
            beats = draw_beats(study, model, names, seed=seed)
            best = identifier.beat_scores(beats).argmax(axis=1)
            figures[model] = {
                "rank1_beat": {
                    "value": float(np.mean(np.asarray(identifier.classes)[best] == names)),
                    "n": len(names),
                    "protocol": f"share of generated beats ({model}, {GENERATED_PER_SUBJECT} a "
                    "subject) that the study's identifier, trained on real train beats, names as "
                    "the subject asked for",
                }
            }
    return figures


def _authenticity(study: Study, seed: int, missing: list[str]) -> dict[str, Any]:
    """Return how well the judge tells unseen real beats from newly made fakes of each kind."""
    from sklearn.metrics import roc_auc_score

    if not study.has_model("authenticity"):
        missing.append("authenticity: no judge is trained")
        return {}
    judge = load_model(study, "authenticity")
    figures: dict[str, Any] = {}
    for part in ("validation", "test"):
        real = study.beats(part)
        real = real.take(np.isin(real.subject, study.beats("train").subject))
        if not len(real):
            missing.append(f"authenticity: the {part} part is empty")
            continue
        of_real = judge.probability(real)
        rng = np.random.default_rng(seed + 1)
        drawn = {
            model: draw_beats(study, model, real.subject, seed=seed + 1).signals
            for model in GENERATORS
            if study.has_model(model)
        }
        drawn |= {kind: make(real, rng) for kind, make in FAKES.items()}
        for forger, signals in drawn.items():
            fakes = replace(real, signals=np.ascontiguousarray(signals, dtype=np.float32))
            of_fakes = judge.probability(fakes)
            truth = np.r_[np.zeros(len(of_real)), np.ones(len(of_fakes))]
            scores = np.r_[of_real, of_fakes]
            words = (
                f"the study's judge on {len(real)} real {part} beats and as many fakes of the same "
                f"subjects ({forger.replace('_', ' ')}); it learned train beats against the GAN, "
                "the mixture and four kinds of crude fakes"
            )
            figures[f"{part}_{forger}"] = {
                "auc": {
                    "value": float(roc_auc_score(truth, scores)),
                    "n": len(truth),
                    "protocol": f"area under the ROC curve of {words}",
                },
                "accuracy": {
                    "value": float(np.mean((scores > 0.5) == truth)),
                    "n": len(truth),
                    "protocol": f"accuracy of {words}",
                },
            }
    return figures

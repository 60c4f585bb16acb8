"""Scoreboard: from a trained study to every figure of it, each with its protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation import identification, realism, robustness
from core.fakes import KINDS as FAKES
from core.fakes import make_kind
from core.generating import (
    GENERATORS,
    choose_subjects,
    draw_beats,
    draw_sequences,
    load_model,
)
from core.partitions import RANDOM_SPLIT_SEED, SPLIT_WORDS, TEST_SHARE
from core.progress import Progress, Report, silent
from core.recording import StrArray
from core.study import Study, write_json

REDRAWS_RANGE = (1, 100)
GENERATED_PER_SUBJECT = 20
"""Generated beats of each subject that the identifier and the judge are asked about."""
LEAKY = "leaky"
"""First word of the protocol of beats of one recording on both sides."""
LEAKY_METHODS = ("network", "plain_lda", "template")


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
    """Add to the protocol of every figure how the study is split; leaky ones have their own."""
    for child in node.values():
        if isinstance(child, dict):
            protocol = child.get("protocol", "")
            if protocol.startswith(LEAKY) and LEAKY not in words:
                continue
            if "protocol" in child and words[2:] not in protocol:
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
    namers = {"cnn_lstm": fit_cnn_lstm} if len(set(train.subject)) > 1 and len(test) else None
    embed = _embedding(study)
    ceiling = realism.real_against_real(
        train,
        validation,
        test,
        seed=seed,
        redraws=redraws,
        namers=namers,
        embed=embed,
        report=report,
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
            embed=embed,
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
            generated_new=new_days_of(study, name, missing),
            draw_rows=_rows_of(study, name, missing),
            embed=embed,
            report=report,
            stage=f"evaluate {name}",
        )
    if all(name in figures for name in GENERATORS):
        figures["gan"] = realism.with_floor(figures["gan"], figures["mixture"])
        figures["better"] = realism.better_generator(figures)
    return figures


def new_days_of(study: Study, model: str, missing: list[str]) -> realism.Generate | None:
    """Return what draws beats as on other days; None if it cannot, which is then missing."""

    def draw(subjects: StrArray, seed: int) -> BeatSet:
        return draw_beats(study, model, subjects, seed=seed, days="new")

    try:
        draw(np.asarray(choose_subjects(study, None)[:1], dtype=np.str_), 0)
    except UserError as error:
        missing.append(f"realism, beats of other days: {error}")
        return None
    return draw


def _rows_of(study: Study, model: str, missing: list[str]) -> realism.DrawRows | None:
    """Return what draws a generator's beats in a row; None if it cannot, which is then missing."""

    def draw(subjects: StrArray, length: int, seed: int) -> BeatSet:
        return draw_sequences(study, model, subjects, length, seed=seed)

    try:
        draw(np.asarray(choose_subjects(study, None)[:1], dtype=np.str_), 2, 0)
    except UserError as error:
        missing.append(f"realism, beats in a row: {error}")
        return None
    return draw


def _embedding(study: Study) -> realism.Embed | None:
    """Return what the study's identifier of subjects sees in beats; None if it has none."""
    if not study.has_model("identifier"):
        return None
    try:
        identifier = load_model(study, "identifier")
    except UserError:
        return None
    return identifier.embeddings if identifier.target == "subject" else None


def fit_cnn_lstm(beats: BeatSet, seed: int) -> realism.Namer:
    """Return a CNN-LSTM, quickly trained on `beats`, that names the subject of single beats."""
    from core.models.cnn_lstm import Identifier

    identifier = Identifier.fit(beats, preset="quick", seed=seed)
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
    try:
        identifier = load_model(study, "identifier")
    except UserError as error:
        missing.append(f"identification: {error}")
        return {}
    probes = study.beats("test")
    of_subjects = identifier.target == "subject"
    known = np.isin(probes.subject if of_subjects else probes.label, identifier.classes)
    figures: dict[str, Any] = {}
    if known.any():
        report(Progress("evaluate identifier", 0, 3))
        figures["real"] = identification.evaluate_identifier(
            identifier, probes, seed=seed, protocol=SPLIT_WORDS[study.info.options.split]
        )
        report(Progress("evaluate identifier", 1, 3))
        figures["robustness"] = robustness.robustness(identifier, probes, seed=seed)
    elif not len(probes):
        missing.append("identification: the test part is empty")
    elif of_subjects:
        missing.append("identification: nobody of the test part was learned: all are strangers")
        figures["strangers"] = _strangers(identifier, probes)
    else:
        missing.append("identification: no label of the test part was learned")
    if not of_subjects:
        return figures
    if known.any() and study.info.options.split != "random":
        report(Progress("evaluate identifier", 2, 3))
        figures["leaky"] = _leaky(study, figures["real"]["methods"], seed, missing)
    report(Progress("evaluate identifier", 3, 3))
    return figures | _generated_named(study, identifier, figures, seed)


def _strangers(identifier: Any, probes: BeatSet) -> dict[str, Any]:
    """Return how many recordings of people who were not learned are taken for somebody."""
    recordings, scores = identifier.recording_scores(probes)
    truth = np.full(len(recordings), identification.STRANGER)
    rates = identification.open_set_rates(scores, truth, identifier.threshold)
    return {
        "strangers_accepted": {
            "value": rates["strangers_accepted"],
            "n": len(recordings),
            "protocol": f"share of recordings of {len(set(probes.subject))} people who were not "
            "learned whose best score reaches the identifier's threshold",
        }
    }


def _leaky(study: Study, honest: dict[str, Any], seed: int, missing: list[str]) -> dict[str, Any]:
    """Return rank-1 by beat with the study's beats split at random, beside the honest figures."""
    from core.models.cnn_lstm import Identifier

    beats = study.beats("all")
    in_test = np.random.default_rng(RANDOM_SPLIT_SEED).random(len(beats)) < TEST_SHARE
    train, test = beats.take(~in_test), beats.take(in_test)
    try:
        identifier: Any = Identifier.fit(train, preset="quick", seed=seed)
    except UserError as error:
        missing.append(f"identification, leaky: {error}")
        return {}
    truth = identification.truth_of(test.subject, identifier.classes)
    rows: dict[str, Any] = {
        "protocol": f"{SPLIT_WORDS['random']}; the study's kept beats, a quickly trained network; "
        "beside it the study's own identifier on its test part"
    }
    for method in LEAKY_METHODS:
        scores = identifier.beat_scores(test, method=method)
        found = identification.figures_of(scores, truth, test.subject, seed=seed)
        beside = honest[method]["beat"]
        rows[method] = {
            "name": f"{LEAKY}: {identification.METHOD_WORDS[method]}",
            "probes": len(test),
            "rank_1": found["rank_1"],
            "rank_1_interval": found["rank_1_interval"],
            "honest_rank_1": beside["rank_1"],
            "honest_rank_1_interval": beside["rank_1_interval"],
        }
    return rows


def _generated_named(
    study: Study, identifier: Any, figures: dict[str, Any], seed: int
) -> dict[str, Any]:
    """Return the share of each generator's beats that are named as the subject asked for."""
    known = set(choose_subjects(study, None)) & set(identifier.classes)
    names = np.repeat(np.asarray(sorted(known), dtype=np.str_), GENERATED_PER_SUBJECT)
    real = figures["real"]["methods"][identifier.method]["beat"] if "real" in figures else {}
    result: dict[str, Any] = {}
    for model in GENERATORS:
        if not (len(names) and study.has_model(model) and study.has_model("autoencoder")):
            continue
        beats = draw_beats(study, model, names, seed=seed)
        scores = identifier.beat_scores(beats)
        truth = identification.truth_of(names, identifier.classes)
        result[model] = {
            "rank1_beat": {
                "value": identification.rank_k(scores, truth),
                "n": len(names),
                "ceiling": real.get("rank_1"),
                "protocol": f"share of generated beats ({model}, {GENERATED_PER_SUBJECT} a "
                "subject) that the study's identifier, trained on real train beats, names as "
                "the subject asked for: a verifier that no generator saw; beside, rank-1 of "
                "single real test beats",
            }
        }
    return result


def _authenticity(study: Study, seed: int, missing: list[str]) -> dict[str, Any]:
    """Return how well the judge tells unseen real beats from newly made fakes of each kind."""
    from sklearn.metrics import roc_auc_score

    if not study.has_model("authenticity"):
        missing.append("authenticity: no judge is trained")
        return {}
    try:
        judge = load_model(study, "authenticity")
    except UserError as error:
        missing.append(f"authenticity: {error}")
        return {}
    figures: dict[str, Any] = {}
    for part in ("validation", "test"):
        real = study.beats(part)
        real = real.take(np.isin(real.subject, study.beats("train").subject))
        if not len(real):
            missing.append(f"authenticity: the {part} part is empty")
            continue
        of_real = judge.probability(real)
        files = [real.take(real.recording == name) for name in np.unique(real.recording)]
        figures[f"{part}_real"] = {
            "false_alarms": {
                "value": float(np.mean([judge.is_synthetic(file) for file in files])),
                "n": len(files),
                "protocol": f"share of real {part} recordings that the judge calls synthetic",
            }
        }
        drawn = {
            model: draw_beats(study, model, real.subject, seed=seed + 1).signals
            for model in GENERATORS
            if study.has_model(model)
        }
        drawn |= {
            kind: make_kind(kind, real, seed=seed + 1, options=study.info.options).signals
            for kind in FAKES
        }
        for forger, signals in drawn.items():
            fakes = replace(real, signals=np.ascontiguousarray(signals, dtype=np.float32))
            of_fakes = judge.probability(fakes)
            truth = np.r_[np.zeros(len(of_real)), np.ones(len(of_fakes))]
            scores = np.r_[of_real, of_fakes]
            words = (
                f"the study's judge on {len(real)} real {part} beats and as many fakes of the same "
                f"subjects ({forger.replace('_', ' ')}); it learned train beats against "
                f"{len(judge.card.kinds)} kinds of fakes"
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
            if forger in judge.card.kinds and len(judge.card.kinds) > 1:
                rest = judge.without(forger)
                left_out = np.r_[rest.probability(real), rest.probability(fakes)]
                figures[f"{part}_{forger}"]["auc_left_out"] = {
                    "value": float(roc_auc_score(truth, left_out)),
                    "n": len(truth),
                    "protocol": f"the same with this kind taken out of the judge: {words}",
                }
    return figures

"""Training: from a prepared study to saved models, each of which is finished or not there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from core import __version__, runs
from core.alarms import alarms
from core.beat_set import BeatSet, concatenate
from core.durations import TIMING_FILE, Estimate, Stopwatch, estimate
from core.errors import UserError
from core.filling import Filled, extra_beats
from core.generating import GENERATORS, check_current, draw_beats
from core.labels import are_several
from core.options import (
    MODEL_FORMATS,
    MODEL_NAMES,
    AugmentationOptions,
    ModelName,
    PreprocessingOptions,
    TrainOptions,
    parse_options,
)
from core.partitions import SPLIT_WORDS
from core.progress import Report, silent
from core.recording import FloatArray
from core.snapshots import SAMPLES_FILE, SHOWN_BEATS, Recorder
from core.study import Study, read_json, replace_folder, write_json, writing
from core.sufficiency import sufficiency
from core.tuning import best_settings, network_settings

NEEDS: dict[str, tuple[str, ...]] = {
    "autoencoder": (),
    "mixture": ("autoencoder",),
    "gan": ("autoencoder",),
    "authenticity": ("autoencoder", "mixture", "gan"),
    "identifier": (),
}
"""Models that must be there before another is trained."""

FOREIGN_KINDS = ("time_reversed", "over_smoothed", "smoothed_noise", "scrambled", "ecgsyn")
"""Kinds of fake that give themselves away on any device: they do not imitate a study's people."""
HARD_KINDS = ("spliced",)
"""Kinds of fake of which the judge is shown several for each real beat."""
HARD_COPIES = 3
"""So many: held-out train beats were told better than with one, by 0.01 of the AUC."""
SAMPLES_SEED = 0
"""Of the noise of the beats that are drawn to watch a training: the same at every step."""
FEW_BEATS = 200
"""Below this the judge is shown a fake of each kind for each real beat."""

IDENTIFIER_OPTIONS = ("target", "order", "balance", "augment")
"""Options that only the identifier takes."""
PENDING = "training.json"
"""What is being trained: it lets ``--resume`` go on without being told again."""


def train(
    study: str | Path,
    *,
    models: Sequence[str] | None = None,
    preset: str = "full",
    seed: int = 0,
    resume: bool = False,
    target: str = "auto",
    order: str = "auto",
    balance: str = "weights",
    augment: str = "none",
    augmentation: Mapping[str, float] | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Fit and save models on the train part of a study.

    A model that was trained on the same data with the same options is left as it is; one that
    was interrupted goes on from its last checkpoint.

    Args:
        study: Folder of the study.
        models: Names out of `core.options.MODEL_NAMES`; all by default.
        preset: ``quick`` or ``full``.
        seed: Seed of every random step.
        resume: Go on with what the last interrupted call was doing; the other options are then
            taken from it.
        target: What the identifier names: ``subject``, ``label``, or ``auto`` (the subject
            where the study has several, else the label).
        order: Of the identifier's network: ``cnn_lstm``, ``lstm_cnn``, or ``auto`` (what tuning
            found, else the CNN first).
        balance: How rare labels are made up for: ``weights``, ``draws`` or ``none``.
        augment: What the identifier's rare classes are filled up with: ``none``, ``classic``
            (varied copies of their beats), ``mixture`` or ``gan`` (beats that these draw).
        augmentation: How far copies are varied, values of `core.options.AugmentationOptions`.
        report: Told about every epoch.

    Returns:
        ``{"models": {name: "trained" | "kept"}, "seed", "preset", "remarks"}``; remarks say whether
        there are enough beats, and what went wrong in a training.

    Raises:
        UserError: The study is too small for a model, has nothing to resume, or an option is for
            a model that is not trained.
    """
    opened = Study.open(Path(study))
    folder = opened.folder
    values: dict[str, Any] = {
        "preset": preset,
        "seed": seed,
        "target": target,
        "order": order,
        "balance": balance,
        "augment": augment,
        "augmentation": parse_options(AugmentationOptions, dict(augmentation or {})),
    }
    if models is not None:
        values["models"] = tuple(models)
        if not models:
            raise UserError("--models", "names no model", f"Name some of {', '.join(MODEL_NAMES)}")
    options = parse_options(TrainOptions, values)
    _refuse_without_identifier(options)
    for name in options.models:
        for needed in _needs(name, options):
            if needed not in options.models and not opened.has_model(needed):
                asked = f" --augment {augment}" if needed not in NEEDS[name] else ""
                raise UserError(
                    f"--models {name}{asked}",
                    f"needs a trained {needed}",
                    f"Add {needed} to --models",
                )
    pending = folder / "models" / PENDING
    if resume:
        if not pending.is_file():
            raise UserError("--resume", "nothing was interrupted in this study", "Leave it out")
        options = TrainOptions(**read_json(pending))
    outcome: dict[str, str] = {}
    with writing(folder):
        if not pending.is_file():
            runs.keep_models(opened)
        write_json(pending, options.model_dump(mode="json"))
        for name in (n for n in MODEL_NAMES if n in options.models):
            outcome[name] = _train_one(opened, name, options, report)
        runs.record(
            opened,
            preset=options.preset,
            seed=options.seed,
            trained=tuple(outcome),
            options=options.model_dump(mode="json", include=set(IDENTIFIER_OPTIONS)),
        )
        pending.unlink()
    remarks = [sufficiency(opened)["verdict"]]
    for name in (n for n in options.models if n in GENERATORS):
        remarks += [f"{name}: {words}" for words in opened.card(name).get("alarms", [])]
    return {
        "models": outcome,
        "preset": options.preset,
        "seed": options.seed,
        "remarks": remarks,
    }


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a training would do with one model.

    Attributes:
        model: Its name.
        kept: Whether it is left as it is, since it was trained so already.
        stands_on: Models that it is made of; none where it learns from the beats alone.
        missing: Those of them that are neither there nor among what is trained.
        estimate: How long it should take.
    """

    model: ModelName
    kept: bool
    stands_on: tuple[str, ...]
    missing: tuple[str, ...]
    estimate: Estimate


def plan(study: Study, options: TrainOptions) -> list[Step]:
    """Return what `train` would do with each model, in order, and how long it should take."""
    table = study.beat_table
    beats = int(((table["partition"] == "train") & (table["rejected"] == "")).sum())
    steps: list[Step] = []
    for name in (n for n in MODEL_NAMES if n in options.models):
        needs = _needs(name, options)
        anew = {step.model for step in steps if not step.kept}
        kept = (
            study.has_model(name)
            and not anew.intersection(needs)
            and all(study.has_model(needed) for needed in needs)
            and study.card(name).get("recipe") == _recipe(study, name, options)
        )
        there = [needed in options.models or study.has_model(needed) for needed in needs]
        steps.append(
            Step(
                model=name,
                kept=kept,
                stands_on=needs,
                missing=tuple(n for n, is_there in zip(needs, there, strict=True) if not is_there),
                estimate=estimate(study, name, preset=options.preset, beats=max(1, beats)),
            )
        )
    return steps


def _refuse_without_identifier(options: TrainOptions) -> None:
    """Refuse an option that would change nothing."""
    if "identifier" in options.models:
        return
    usual = TrainOptions()
    for name in IDENTIFIER_OPTIONS:
        if getattr(options, name) != getattr(usual, name):
            raise UserError(
                f"--{name} {getattr(options, name)}",
                "is for the identifier, which is not among --models",
                "Add identifier to --models, or leave the option out",
            )


def _needs(name: ModelName, options: TrainOptions) -> tuple[str, ...]:
    """Return the models that must be there before another is trained with these options."""
    if name == "identifier" and options.augment in GENERATORS:
        return (*NEEDS[name], "autoencoder", options.augment)
    return NEEDS[name]


def _train_one(study: Study, name: ModelName, options: TrainOptions, report: Report) -> str:
    for needed in _needs(name, options):
        check_current(study, needed)
    recipe = _recipe(study, name, options)
    if study.has_model(name) and study.card(name).get("recipe") == recipe:
        return "kept"
    final = study.model_folder(name)
    checkpoint = final.with_name(f".{name}.checkpoint")
    marker = checkpoint / "recipe.json"
    if not (marker.is_file() and read_json(marker) == recipe):
        shutil.rmtree(checkpoint, ignore_errors=True)
        write_json(marker, recipe)
    new = final.with_name(f".{name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    watch = Stopwatch(report, stage=f"train {name}", folder=checkpoint)
    model = FITS[name](study, options, checkpoint, watch)
    model.save(new)
    own = read_json(new / "card.json") if (new / "card.json").is_file() else {}
    history = getattr(model, "history", None)
    told: dict[str, Any] = {}
    if name == "gan":
        told["alarms"] = alarms(history or [])
    if name == "identifier":
        told["augment"] = options.augment
    write_json(new / "card.json", {**own, **told, **_provenance(study, options), "recipe": recipe})
    if history:
        write_json(new / "history.json", [_plain(entry) for entry in history])
    beats = len(study.beats("train"))
    write_json(new / TIMING_FILE, watch.timing(preset=options.preset, beats=beats))
    samples = checkpoint / SAMPLES_FILE
    if samples.is_file():
        samples.replace(new / SAMPLES_FILE)
    replace_folder(new, final)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return "trained"


def _recipe(study: Study, name: ModelName, options: TrainOptions) -> dict[str, Any]:
    """Return what decides how a model comes out; equal recipes give equal models."""
    return {
        "format": MODEL_FORMATS[name],
        "study": study.info.fingerprint,
        "preset": options.preset,
        "seed": options.seed,
        "target": options.target if name == "identifier" else "",
        "tuned": best_settings(study) if name == "identifier" else None,
        **(_identifier_recipe(study, options) if name == "identifier" else {}),
        "needs": {needed: study.card(needed)["recipe"] for needed in NEEDS[name]},
    }


def _identifier_recipe(study: Study, options: TrainOptions) -> dict[str, Any]:
    """Return the identifier's own part; the generator that taught it is not needed afterwards."""
    augmented: dict[str, Any] = {}
    if options.augment != "none":
        augmented["augment"] = options.augment
    if options.augment == "classic":
        augmented["augmentation"] = options.augmentation.model_dump()
    if options.augment in GENERATORS:
        augmented["taught_by"] = study.card(options.augment)["recipe"]
    return {
        "order": options.order,
        "balance": options.balance,
        **augmented,
    }


def _provenance(study: Study, options: TrainOptions) -> dict[str, Any]:
    train_beats = study.beats("train")
    return {
        "study": study.info.name,
        "simulated": study.info.simulated,
        "sampling_rate": study.sampling_rate,
        "before_s": study.info.before_s,
        "beat_samples": int(train_beats.signals.shape[1]),
        "leads": list(study.info.leads),
        "normalisation": study.info.options.normalisation,
        "split": SPLIT_WORDS[study.info.options.split],
        "train_beats": len(train_beats),
        "train_subjects": len(set(train_beats.subject)),
        "train_sha256": hashlib.sha256(train_beats.signals.tobytes()).hexdigest(),
        "preset": options.preset,
        "seed": options.seed,
        "versions": {
            "cardiotwin": __version__,
            **{p: version(p) for p in ("numpy", "scikit-learn", "tensorflow", "keras")},
        },
    }


def _plain(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a history entry as JSON takes it: numbers that are not finite become null."""
    plain: dict[str, Any] = {}
    for key, value in entry.items():
        number = float(value) if isinstance(value, np.number | int | float) else value
        plain[key] = None if isinstance(number, float) and not np.isfinite(number) else number
    return plain


def generator_labels(beats: BeatSet) -> np.ndarray | None:
    """Return the labels that generators are conditioned on; None where they are not several."""
    return beats.label if are_several(beats.label) else None


def _fit_autoencoder(study: Study, options: TrainOptions, checkpoint: Path, report: Report) -> Any:
    from core.models.autoencoder import Autoencoder

    beats = study.beats("train")
    subject, shown = _shown_beats(beats)

    def watch(model: Autoencoder, done: int, total: int) -> None:
        def draw() -> FloatArray:
            return model.decode(model.encode(shown))

        Recorder(checkpoint, subject=subject, draw=draw, unit="epoch")(done, total)

    return Autoencoder.fit(
        beats.signals,
        preset=options.preset,
        seed=options.seed,
        report=report,
        checkpoint=checkpoint,
        watch=watch,
    )


def _shown_beats(beats: BeatSet) -> tuple[str, FloatArray]:
    """Return the subject of most train beats, and some of its beats, far apart; none of none."""
    if not len(beats):
        return "", beats.signals
    names, counts = np.unique(beats.subject, return_counts=True)
    subject = str(names[counts.argmax()])
    own = np.flatnonzero(beats.subject == subject)
    chosen = np.unique(np.linspace(0, len(own) - 1, SHOWN_BEATS).round().astype(int))
    return subject, np.asarray(beats.signals[own[chosen]])


def _fit_mixture(study: Study, options: TrainOptions, checkpoint: Path, report: Report) -> Any:
    from core.models.autoencoder import Autoencoder
    from core.models.gaussian_mixture import GaussianMixtureGenerator

    beats = study.beats("train")
    autoencoder = Autoencoder.load(study.model_folder("autoencoder"))
    return GaussianMixtureGenerator.fit(
        autoencoder.encode(beats.signals),
        beats.subject,
        beats.recording,
        labels=generator_labels(beats),
        decode=autoencoder.decode,
        seed=options.seed,
        report=report,
    )


def _fit_gan(study: Study, options: TrainOptions, checkpoint: Path, report: Report) -> Any:
    from core.models.autoencoder import Autoencoder
    from core.models.conditional_gan import ConditionalGan

    beats = study.beats("train")
    autoencoder = Autoencoder.load(study.model_folder("autoencoder"))
    subject, _ = _shown_beats(beats)

    def watch(model: ConditionalGan, done: int, total: int) -> None:
        def draw() -> FloatArray:
            return autoencoder.decode(model.sample([subject] * SHOWN_BEATS, seed=SAMPLES_SEED))

        Recorder(checkpoint, subject=subject, draw=draw, unit="step")(done, total)

    return ConditionalGan.fit(
        autoencoder,
        beats.signals,
        beats.subject,
        beats.recording,
        labels=generator_labels(beats),
        preset=options.preset,
        seed=options.seed,
        report=report,
        checkpoint=checkpoint,
        watch=watch,
    )


def _fit_authenticity(study: Study, options: TrainOptions, checkpoint: Path, report: Report) -> Any:
    """Fit the judge on train beats against fakes of each kind of `core.fakes` and both generators.

    A machine a kind: a judge of generators alone, once these are good, stands at chance and lets
    anything pass. Each kind is made of half of the beats; of spliced ones, which are the hardest
    to tell, there are several for each. Kinds that any device shows are learned on beats as of
    elsewhere too.
    """
    from core.models.authenticity import AuthenticityJudge

    real = study.beats("train")
    rng = np.random.default_rng(options.seed)
    panel = {
        name: draw_beats(study, name, real.subject[_half(len(real), rng)], seed=options.seed)
        for name in GENERATORS
    }
    panel |= fake_panel(real, seed=options.seed, prepared=study.info.options)
    foreign = foreign_panel(real, seed=options.seed, prepared=study.info.options)
    return AuthenticityJudge.fit(real, panel, seed=options.seed, foreign=foreign, report=report)


def fake_panel(real: BeatSet, *, seed: int, prepared: PreprocessingOptions) -> dict[str, BeatSet]:
    """Return the fakes of each kind of `core.fakes` that a judge learns beside its real beats."""
    from core.fakes import KINDS, make_kind

    rng = np.random.default_rng(seed)
    panel = {}
    for number, kind in enumerate(KINDS):
        made_of = [real] * HARD_COPIES if kind in HARD_KINDS else [real.take(_half(len(real), rng))]
        panel[kind] = concatenate(
            [
                make_kind(kind, beats, seed=seed + number + len(KINDS) * copy, options=prepared)
                for copy, beats in enumerate(made_of)
            ]
        )
    return panel


def foreign_panel(
    real: BeatSet, *, seed: int, prepared: PreprocessingOptions
) -> dict[str, BeatSet]:
    """Return real beats as of elsewhere, and fakes of them of the kinds that any device shows."""
    from core.elsewhere import as_elsewhere
    from core.fakes import make_kind

    rng = np.random.default_rng(seed)
    elsewhere = as_elsewhere(real.take(_half(len(real), rng)), rng)
    panel = {"real": elsewhere}
    for number, kind in enumerate(FOREIGN_KINDS):
        made_of = elsewhere.take(_half(len(elsewhere), rng))
        panel[kind] = make_kind(kind, made_of, seed=seed + 100 + number, options=prepared)
    return panel


def _half(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return positions of every other of n beats, drawn at random; of few, all of them."""
    return np.arange(n) if n < FEW_BEATS else np.sort(rng.permutation(n)[: n // 2])


def _fit_identifier(study: Study, options: TrainOptions, checkpoint: Path, report: Report) -> Any:
    from core.models.cnn_lstm import Identifier
    from core.models.label_identifier import LabelIdentifier, label_settings

    beats = study.beats("train")
    one_subject = len(set(beats.subject)) < 2
    by_label = one_subject and len(set(beats.label) - {""}) > 1
    target: Filled = "label" if by_label else "subject"
    if options.target != "auto":
        target = options.target
    order = {} if options.order == "auto" else {"order": options.order}
    common: dict[str, Any] = {
        "preset": options.preset,
        "seed": options.seed,
        "report": report,
        "checkpoint": checkpoint,
        "extra": extra_beats(
            study,
            options.augment,
            target=target,
            seed=options.seed,
            options=options.augmentation,
        ),
    }
    if target == "label":
        settings = replace(label_settings(options.preset), **order)
        return LabelIdentifier.fit(beats, settings=settings, balance=options.balance, **common)
    settings = network_settings((best_settings(study) or {}) | order, preset=options.preset)
    return Identifier.fit(beats, settings=settings, **common)


FITS: dict[str, Callable[[Study, TrainOptions, Path, Report], Any]] = {
    "autoencoder": _fit_autoencoder,
    "mixture": _fit_mixture,
    "gan": _fit_gan,
    "authenticity": _fit_authenticity,
    "identifier": _fit_identifier,
}

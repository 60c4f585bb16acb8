"""Finished trainings of a study -> runs: what came out, to compare, and models to go back to.

A run is ``trainings/<id>/`` in the study: ``run.json`` and ``curves.json``, and under ``models/``
the models, from when others take their place. The models in use have no second copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from core.durations import read_timing
from core.errors import UserError
from core.options import MODEL_FORMATS, MODEL_NAMES, ModelName
from core.study import Study, read_json, replace_folder, write_json, writing

FOLDER, RUN_FILE, CURVES_FILE, MODELS = "trainings", "run.json", "curves.json", "models"
KEPT = 5
"""Runs, besides the one in use, whose models are kept; of older ones the figures stay."""

Better = Literal["higher", "lower"] | float
"""Which of two values is the better one: the higher, the lower, the nearer to a number."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that a training gives, in words.

    Attributes:
        model: Whose.
        name: Within that model.
        words: What it is, with its unit.
        better: Which value is the better one.
        percent: Whether it is a share.
    """

    model: str
    name: str
    words: str
    better: Better
    percent: bool = False


FIGURES: tuple[Figure, ...] = (
    Figure(
        model="autoencoder",
        name="error",
        words="Autoencoder: variance lost, last epoch",
        better="lower",
        percent=True,
    ),
    Figure(
        model="gan",
        name="spread",
        words="GAN: spread of generated over real beats, last report",
        better=1.0,
    ),
    Figure(
        model="gan",
        name="critic_accuracy",
        words="GAN: pairs that the critic orders rightly, last report",
        better=0.5,
        percent=True,
    ),
    Figure(model="gan", name="alarms", words="GAN: alarms", better="lower"),
    Figure(
        model="authenticity",
        name="auc",
        words="Judge: AUC, subjects held out of train",
        better="higher",
    ),
    Figure(
        model="authenticity",
        name="brier",
        words="Judge: Brier score, subjects held out of train",
        better="lower",
    ),
    Figure(
        model="identifier",
        name="held_out_accuracy",
        words="Identifier: right on held-out train recordings, last epoch",
        better="higher",
        percent=True,
    ),
    Figure(
        model="identifier",
        name="loss",
        words="Identifier: loss, last epoch",
        better="lower",
    ),
)
"""None is of the test part: who chooses by it has no test any more."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished training.

    Attributes:
        id: Name of its folder; ids sort by time. Empty for models of which no run is kept yet.
        time: When it ended, in UTC, as ISO 8601; empty if unknown.
        study: Fingerprint of the data.
        preset: As asked for.
        seed: As asked for.
        trained: Models that it was to train; the others were there before.
        options: What else was asked for, by name.
        recipes: What each model of the study was made of, when it ended.
        seconds: How long each model's training took, where that is known.
        figures: Model -> figure -> value, those of `FIGURES`.
        kept: Whether its models can be put back; not stored.
        in_use: Whether they are the models of the study now; not stored.
    """

    id: str
    time: str
    study: str
    preset: str
    seed: int | None
    trained: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    recipes: dict[str, Any]
    seconds: dict[str, float]
    figures: dict[str, dict[str, float]]
    kept: bool = False
    in_use: bool = False


def list_runs(study: Study) -> list[Run]:
    """Return the runs of a study, newest first; also one of present models that none is of."""
    recipes = study.model_recipes()
    folder = study.folder / FOLDER
    names = sorted((p.name for p in folder.iterdir()), reverse=True) if folder.is_dir() else []
    found = [
        _read(folder / name, recipes) for name in names if (folder / name / RUN_FILE).is_file()
    ]
    runs = [run for run in found if run is not None]
    if recipes and not any(run.in_use for run in runs):
        runs.insert(0, _present(study))
    return runs


def read_curves(study: Study, run: Run) -> dict[str, list[dict[str, float]]]:
    """Return the training history of each model of a run, a row of figures a report."""
    path = study.folder / FOLDER / run.id / CURVES_FILE
    if run.id and path.is_file():
        return cast(dict[str, list[dict[str, float]]], read_json(path))
    return _curves(study) if run.in_use else {}


def record(
    study: Study, *, preset: str, seed: int, trained: tuple[str, ...], options: Mapping[str, Any]
) -> str:
    """Keep what came out of a training that has just ended; return the run's id.

    The caller holds `core.study.writing`. Models made of the same as those of an earlier run are
    that run.
    """
    same = next((run for run in list_runs(study) if run.in_use and run.id), None)
    if same is not None:
        return same.id
    now = datetime.now(UTC)
    return _store(
        study,
        Run(
            **_outcome(study),
            id="",
            time=now.isoformat(timespec="seconds"),
            preset=preset,
            seed=seed,
            trained=trained,
            options=dict(options),
        ),
        now,
    )


def keep_models(study: Study, *, spare: str = "") -> None:
    """Keep the models that are in use, before others take their place.

    The caller holds `core.study.writing`. Files are linked, or copied where links cannot be. Only
    the newest `KEPT` runs keep their models, and the one of the id `spare`.
    """
    run = next((run for run in list_runs(study) if run.in_use), None)
    if run is None:
        return
    name = run.id or _store(study, run, _time_of(study))
    place = study.folder / FOLDER / name / MODELS
    if not place.is_dir():
        new = place.with_name(f".{MODELS}.new")
        shutil.rmtree(new, ignore_errors=True)
        for model in run.recipes:
            _link(study.model_folder(model), new / model)
        replace_folder(new, place)
    others = [one for one in list_runs(study) if one.kept and one.id not in (name, spare)]
    for old in others[KEPT - 1 :]:
        shutil.rmtree(study.folder / FOLDER / old.id / MODELS, ignore_errors=True)


def restore(study: Study, run_id: str) -> dict[str, Any]:
    """Put the models of a run back into the study, all of them or none.

    What was in use is kept as a run, so that choosing it undoes this. Models that the run has not
    stay where they stand on nothing that changed.

    Returns:
        ``restored`` and ``left_out``, names of models; the latter stood on models that changed.

    Raises:
        UserError: There is no such run, its models are not kept, are of other data or of an older
            CardioTwin, or a job is writing to the study.
    """
    with writing(study.folder):
        run = next((one for one in list_runs(study) if one.id == run_id and run_id), None)
        if run is None:
            raise UserError(run_id or "run", "there is no such run", "Choose one of the list")
        if run.in_use:
            return {"restored": [], "left_out": []}
        _check(study, run)
        keep_models(study, spare=run.id)
        models = study.folder / MODELS
        present = study.model_recipes()
        left_out = [
            name for name, recipe in present.items() if not _stands(name, recipe, present, run)
        ]
        new = study.folder / f".{MODELS}.new"
        shutil.rmtree(new, ignore_errors=True)
        # It is missing where an exchange was broken off between its two renamings.
        for entry in sorted(models.iterdir()) if models.is_dir() else ():
            if entry.name not in run.recipes and entry.name not in left_out:
                _link(entry, new / entry.name)
        for name in run.recipes:
            _link(study.folder / FOLDER / run.id / MODELS / name, new / name)
        replace_folder(new, models)
    return {"restored": [n for n in MODEL_NAMES if n in run.recipes], "left_out": left_out}


def best_of(figure: Figure, values: Mapping[str, float]) -> list[str]:
    """Return whose value of a figure is the best; nobody's if all are alike or alone."""
    wanted = figure.better

    def badness(value: float) -> float:
        if wanted == "higher":
            return -value
        return value if wanted == "lower" else abs(value - cast(float, wanted))

    scores = {name: badness(value) for name, value in values.items()}
    least = min(scores.values(), default=0.0)
    best = [name for name, score in scores.items() if score == least]
    return best if len(best) < len(values) else []


def _check(study: Study, run: Run) -> None:
    if not run.kept:
        raise UserError(
            "run", f"its models are no longer kept, only those of {KEPT} runs are", "Train again"
        )
    if run.study != study.info.fingerprint:
        raise UserError("run", "its models were trained on other data", "Train again")
    for name, recipe in run.recipes.items():
        if (recipe or {}).get("format") != MODEL_FORMATS[cast(ModelName, name)]:
            raise UserError(
                f"model {name} of the run", "was trained by an older CardioTwin", "Train again"
            )


def _stands(name: str, recipe: Any, present: Mapping[str, Any], run: Run) -> bool:
    """Return whether a present model is replaced by the run's, or can stand beside these."""
    if name in run.recipes:
        return True
    after = {**present, **run.recipes}
    needs = (recipe or {}).get("needs", {})
    return all(after.get(needed) == made_of for needed, made_of in needs.items())


def _present(study: Study) -> Run:
    """Return the present models as a run that is not kept yet."""
    cards = {name: study.card(name) for name in study.model_recipes()}
    presets = {str(card.get("preset", "")) for card in cards.values()}
    seeds = {card.get("seed") for card in cards.values()}
    return Run(
        **_outcome(study),
        id="",
        time=_time_of(study).isoformat(timespec="seconds"),
        preset=presets.pop() if len(presets) == 1 else "mixed",
        seed=seeds.pop() if len(seeds) == 1 else None,
        trained=tuple(name for name in MODEL_NAMES if name in cards),
        in_use=True,
    )


def _outcome(study: Study) -> dict[str, Any]:
    recipes = study.model_recipes()
    timings = {name: read_timing(study.model_folder(name)) or {} for name in recipes}
    return {
        "study": study.info.fingerprint,
        "recipes": recipes,
        "seconds": {n: float(t["seconds"]) for n, t in timings.items() if "seconds" in t},
        "figures": {name: _figures(study, name) for name in recipes},
    }


def _figures(study: Study, name: str) -> dict[str, float]:
    """Return the figures of a present model that `FIGURES` names."""
    card = study.card(name)
    last = (_history(study, name) or [{}])[-1]
    known = {**card, **last, "alarms": len(card["alarms"]) if "alarms" in card else None}
    own = {figure.name: known.get(figure.name) for figure in FIGURES if figure.model == name}
    return {n: float(v) for n, v in own.items() if isinstance(v, int | float)}


def _history(study: Study, name: str) -> list[dict[str, float]]:
    path = study.model_folder(name) / "history.json"
    rows = read_json(path) if path.is_file() else []
    return [{k: v for k, v in row.items() if isinstance(v, int | float)} for row in rows]


def _curves(study: Study) -> dict[str, list[dict[str, float]]]:
    return {name: _history(study, name) for name in study.model_recipes()}


def _time_of(study: Study) -> datetime:
    """Return when the last of the present models was saved."""
    stamps = [
        (study.model_folder(name) / "card.json").stat().st_mtime for name in study.model_recipes()
    ]
    return datetime.fromtimestamp(max(stamps), UTC)


def _store(study: Study, run: Run, when: datetime) -> str:
    digest = hashlib.sha256(json.dumps(run.recipes, sort_keys=True).encode()).hexdigest()[:6]
    name = f"{when:%Y%m%d-%H%M%S-%f}-{digest}"
    new = study.folder / FOLDER / f".{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    held = {k: v for k, v in asdict(run).items() if k not in ("kept", "in_use")}
    write_json(new / RUN_FILE, {**held, "id": name})
    write_json(new / CURVES_FILE, _curves(study))
    replace_folder(new, study.folder / FOLDER / name)
    return name


def _read(folder: Path, present: Mapping[str, Any]) -> Run | None:
    """Return a run of its folder; None if it is damaged."""
    try:
        held = read_json(folder / RUN_FILE)
        run = Run(**{**held, "trained": tuple(held["trained"])})
    except (UserError, TypeError, KeyError):
        return None
    in_use = run.recipes == present
    return Run(**{**vars(run), "kept": in_use or (folder / MODELS).is_dir(), "in_use": in_use})


def _link(source: Path, target: Path) -> None:
    """Make a file or folder appear in another place without its bytes, or with where it must."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for entry in sorted(source.iterdir()):
            _link(entry, target / entry.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

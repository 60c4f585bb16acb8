"""Tuning: from a study's train part to better hyper-parameters of the identifier.

Each trial trains a network on a part of train and is judged on the rest of it. Trials are Dask
tasks; all that is known of them lies in ``tuning/`` in the study:

- ``journal.log``: Optuna's own record, from which a search goes on;
- ``trials.json``: the trials of the present search, for reading; `read_trials`;
- ``best.json``: the best settings, which the next training uses; `best_settings`;
- ``running``: while a search runs; a trial stops after the epoch in which it is gone.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.beat_set import BeatSet
from core.cluster import task_client, task_slots, write_atomically
from core.errors import Cancelled, UserError
from core.models.identifier_calibration import HELD_OUT_SHARE, as_other_days, split_train
from core.progress import Progress, Report, silent
from core.study import Study, read_json, write_json, writing

if TYPE_CHECKING:
    import optuna

TRIAL_RANGE = (1, 1000)
SEARCH_SPACE: dict[str, tuple[Any, ...]] = {
    "order": ("cnn_lstm", "lstm_cnn"),
    "filters": ((32, 64, 128), (48, 96, 128), (64, 128, 128)),
    "lstm_units": (32, 64, 96),
    "skip_units": (128, 256, 512),
    "embedding": (128, 192, 256),
    "dropout": (0.0, 0.1, 0.2, 0.3),
    "late_dropout": (0.2, 0.3, 0.4, 0.5),
    "l2": (1e-5, 1e-4, 1e-3),
    "label_smoothing": (0.0, 0.05, 0.1),
    "margin": (0.0, 0.5, 1.0, 1.5, 2.0),
    "learning_rate": (1e-3, 3e-3, 5e-3),
}
"""Values that a trial may take of fields of `NetworkSettings`, besides the default."""

PRUNING = {"n_startup_trials": 4, "n_warmup_steps": 3}
"""From this epoch on a trial ends when its best is below the median of the finished ones there."""
FEWEST_UNDER_WAY = 2
"""Trials under way at least, whatever the workers: so one worker and two search alike."""
POLL_S = 0.2
PRESET = "quick"
JUDGE_SEED = 0
"""Of the variation of what is judged, which is the same for every trial and search."""
FOLDER, JOURNAL, TRIALS, BEST, RUNNING = (
    "tuning",
    "journal.log",
    "trials.json",
    "best.json",
    "running",
)
PROTOCOL = (
    "rank-1 of single beats, every subject counted alike, network alone, on each train subject's "
    f"last train recording, or the last {HELD_OUT_SHARE:.0%} of its only one, varied as another "
    "day would be"
)


def tune_identifier(
    study: Study, *, trials: int = 20, seed: int = 0, report: Report = silent
) -> dict[str, Any]:
    """Search hyper-parameters on the train side; the best are used by the next training.

    A tree-structured Parzen estimator suggests (Bergstra et al. 2011), the median rule prunes; both
    by Optuna. Run again it goes on: `trials` counts those that earlier calls finished or pruned.
    The same seed and data give the same trials on one worker and on two.

    Args:
        study: A prepared study of two subjects or more.
        trials: How many, in all.
        seed: Of suggestions and of every network.
        report: Told about every trial; may raise `Cancelled`, which keeps the finished ones.

    Returns:
        ``{"search", "target": "subject", "trials", "pruned", "best": {"accuracy", "settings"},
        "protocol", "space"}``, which is also what ``best.json`` holds; ``search`` names what was
        searched on what data.

    Raises:
        UserError: `trials` is out of range, train has fewer than two subjects with beats to learn
            from and to be judged on, or the record of earlier trials is damaged.
    """
    low, high = TRIAL_RANGE
    if not low <= trials <= high:
        raise UserError("--trials", f"{trials} is out of range", f"Give {low} to {high}")
    _, judge = split_train(study.beats("train"))
    if len(set(judge.subject)) < 2:
        raise UserError(
            study.folder,
            "has fewer than two subjects in train with beats to learn from and to be judged on; "
            "tuning is for naming subjects, not for labels",
            "Add recordings of others, or train with the usual settings",
        )
    with writing(study.folder):
        search = _open_search(study)
        if len(_counted(search)) < trials:
            with task_client(study.folder / FOLDER) as client:
                _run(search, study, client, trials=trials, seed=seed, report=report)
        return _write_results(search, study)


def read_trials(study: Study) -> dict[str, Any] | None:
    """Return what ``trials.json`` holds of this study's data; None if there was no search.

    Returns:
        ``{"study", "protocol", "space", "best": number | None, "trials": [{"number", "state":
        "complete" | "pruned", "accuracy", "epochs": [accuracy], "seconds", "settings"}]}``.
    """
    path = study.folder / FOLDER / TRIALS
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found if found.get("study") == study.info.fingerprint else None


def best_settings(study: Study) -> dict[str, Any] | None:
    """Return the best hyper-parameters that a search found; None if there was none.

    What was found on other data, in another space or beside other defaults does not count.
    """
    path = study.folder / FOLDER / BEST
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found["best"]["settings"] if found.get("search") == _search_name(study) else None


def search_space() -> dict[str, tuple[Any, ...]]:
    """Return the values that trials choose from; the defaults, which are the first trial, too."""
    defaults = asdict(network_settings({}))
    return {
        name: values if defaults[name] in values else (defaults[name], *values)
        for name, values in SEARCH_SPACE.items()
    }


def network_settings(values: Mapping[str, Any], *, preset: str = PRESET) -> Any:
    """Return the settings of a network, trained as long as the preset trains it."""
    from core.models.cnn_lstm import EPOCHS
    from core.models.identifier_network import NetworkSettings

    names = {field.name for field in fields(NetworkSettings)}
    known = asdict(NetworkSettings()) | {k: v for k, v in values.items() if k in names}
    known |= {"epochs": EPOCHS[preset], "filters": tuple(known["filters"])}  # type: ignore[index]
    return NetworkSettings(**known)


def run_trial(
    folder: str,
    token: str,
    values: Mapping[str, Any],
    seed: int,
    rivals: list[optuna.trial.FrozenTrial],
) -> dict[str, Any]:
    """Train and judge one network, in a worker.

    Args:
        folder: The study's.
        token: What ``running`` holds as long as the trial is wanted.
        values: Hyper-parameters.
        seed: Of the network.
        rivals: Finished trials, by whose median it is pruned.

    Returns:
        ``{"state": "complete" | "pruned" | "cancelled", "accuracy", "epochs", "seconds"}``.
    """
    import optuna

    began = time.monotonic()
    study = Study.open(Path(folder))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    mirror = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(**PRUNING)
    )
    mirror.add_trials(rivals)
    trial = mirror.ask()
    epochs: list[float] = []

    def watch(progress: Progress) -> None:
        if not _is_wanted(study, token):
            raise Cancelled
        epochs.append(float(progress.metrics["held_out_accuracy"]))
        trial.report(epochs[-1], progress.done)
        if progress.done < progress.total and trial.should_prune():
            raise optuna.TrialPruned

    def ending(state: str, accuracy: float | None) -> dict[str, Any]:
        seconds = time.monotonic() - began
        return {"state": state, "accuracy": accuracy, "epochs": epochs, "seconds": seconds}

    if not _is_wanted(study, token):
        return ending("cancelled", None)
    try:
        accuracy = train_and_judge(*split_train(study.beats("train")), values, seed, watch)
    except Cancelled:
        return ending("cancelled", None)
    except optuna.TrialPruned:
        return ending("pruned", epochs[-1])
    return ending("complete", accuracy)


def _is_wanted(study: Study, token: str) -> bool:
    try:
        return (study.folder / FOLDER / RUNNING).read_text(encoding="utf-8") == token
    except OSError:
        return False


def _open_search(study: Study) -> optuna.Study:
    """Return the search of this data in this space; trials that a killed call left are failed.

    The caller holds the right to write to the study, so that nobody else writes the journal.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = study.folder / FOLDER / JOURNAL
    path.parent.mkdir(exist_ok=True)
    path.with_name(f"{JOURNAL}.lock").unlink(missing_ok=True)
    _drop_torn_line(path)
    try:
        search = optuna.create_study(
            study_name=_search_name(study),
            storage=JournalStorage(JournalFileBackend(str(path))),
            direction="maximize",
            load_if_exists=True,
        )
    except (ValueError, KeyError):
        raise UserError(path, "is damaged", "Delete it; the search then begins anew") from None
    for trial in search.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        search.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return search


def _search_name(study: Study) -> str:
    """Return a digest of all that makes accuracies comparable."""
    what = [study.info.fingerprint, PROTOCOL, search_space(), asdict(network_settings({}))]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]


def _drop_torn_line(path: Path) -> None:
    """Remove the end of a journal that its writer, killed, had not finished."""
    if path.is_file():
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            path.write_bytes(whole)


def _run(
    search: optuna.Study, study: Study, client: Any, *, trials: int, seed: int, report: Report
) -> None:
    """Let workers try until so many trials are done.

    Trials are begun and told in order, each begun when the one `under_way` places before it was
    told: what it is suggested from does not depend on which of them was faster.
    """
    import optuna

    slots, resources = task_slots(client)
    under_way = max(FEWEST_UNDER_WAY, slots)
    token = secrets.token_hex(8)
    marker = study.folder / FOLDER / RUNNING
    write_atomically(marker, token)
    done = len(_counted(search))
    running: deque[tuple[optuna.Trial, Any]] = deque()
    try:
        while done < trials:
            while len(running) < under_way and done + len(running) < trials:
                trial, values = _ask(search, done + len(running), seed)
                future = client.submit(
                    run_trial,
                    str(study.folder.absolute()),
                    token,
                    values,
                    seed,
                    search.get_trials(states=(optuna.trial.TrialState.COMPLETE,)),
                    key=f"trial-{token}-{trial.number}",
                    pure=False,
                    resources=resources,
                )
                running.append((trial, future))
            trial, future = running[0]
            while not future.done():
                report(Progress("tune", done, trials))
                time.sleep(POLL_S)
            outcome = _outcome(future)
            _tell(search, trial, outcome)
            running.popleft()
            done += 1
            best = _write_results(search, study)["best"]["accuracy"]
            report(Progress("tune", done, trials, {"accuracy": outcome["accuracy"], "best": best}))
    finally:
        marker.unlink(missing_ok=True)
        for trial, future in running:
            outcome = future.result() if future.status == "finished" else {"state": "cancelled"}
            _tell(search, trial, outcome)
        client.cancel([future for _, future in running])
        if running:
            _write_results(search, study)


def _outcome(future: Any) -> dict[str, Any]:
    """Return what `run_trial` returned in its worker.

    Raises:
        UserError: The workers are gone.
    """
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    try:
        outcome: dict[str, Any] = future.result()
    except (FutureCancelledError, KilledWorker):
        raise UserError(
            "tune", "its workers ended, or had too little memory", "Run it again, it goes on"
        ) from None
    return outcome


def _ask(search: optuna.Study, number: int, seed: int) -> tuple[optuna.Trial, dict[str, Any]]:
    """Begin the trial of a number, counted without failed ones, and return it with its values."""
    import optuna

    search.sampler = optuna.samplers.TPESampler(seed=seed + number)
    space = search_space()
    if number == 0:
        defaults = asdict(network_settings({}))
        search.enqueue_trial({name: space[name].index(defaults[name]) for name in space})
    trial = search.ask()
    for name, values in space.items():
        trial.suggest_int(name, 0, len(values) - 1)
    return trial, _values(trial.params)


def _values(places: Mapping[str, int]) -> dict[str, Any]:
    space = search_space()
    return {name: space[name][place] for name, place in places.items()}


def _tell(search: optuna.Study, trial: optuna.Trial, outcome: Mapping[str, Any]) -> None:
    """Write how a trial ended into the journal."""
    from optuna.trial import TrialState

    if outcome["state"] == "cancelled":
        search.tell(trial, state=TrialState.FAIL)
        return
    for epoch, accuracy in enumerate(outcome["epochs"], start=1):
        trial.report(accuracy, epoch)
    trial.set_user_attr("seconds", outcome["seconds"])
    if outcome["state"] == "pruned":
        search.tell(trial, state=TrialState.PRUNED)
    else:
        search.tell(trial, outcome["accuracy"])


def _counted(search: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that ended by themselves, in order."""
    from optuna.trial import TrialState

    return search.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def _write_results(search: optuna.Study, study: Study) -> dict[str, Any]:
    """Write ``trials.json`` and ``best.json`` from the journal; return what tuning returns."""
    trials = _counted(search)
    rows = [
        {
            "number": number,
            "state": trial.state.name.lower(),
            "accuracy": trial.value,
            "epochs": [trial.intermediate_values[e] for e in sorted(trial.intermediate_values)],
            "seconds": trial.user_attrs["seconds"],
            "settings": _values(trial.params),
        }
        for number, trial in enumerate(trials, start=1)
    ]
    complete = [row for row in rows if row["state"] == "complete"]
    best = max(complete, key=lambda row: row["accuracy"], default=None)
    about = {"protocol": PROTOCOL, "space": {k: list(v) for k, v in search_space().items()}}
    folder = study.folder / FOLDER
    number = best["number"] if best else None
    write_json(
        folder / TRIALS,
        {"study": study.info.fingerprint, **about, "best": number, "trials": rows},
    )
    if best is None:
        return {}
    result = {
        "search": search.study_name,
        "target": "subject",
        "trials": len(rows),
        "pruned": len(rows) - len(complete),
        "best": {"accuracy": best["accuracy"], "settings": best["settings"]},
        **about,
    }
    write_json(folder / BEST, result)
    return result


def train_and_judge(
    learn: BeatSet, judge: BeatSet, values: Mapping[str, Any], seed: int, report: Report
) -> float:
    """Return the share of judged beats that a network names rightly, subjects counted alike."""
    from core.models.cnn_lstm import TRAINING_RUNS, classes_of, gallery_of, inputs_of
    from core.models.identifier_batches import Variation, draw_samples
    from core.models.identifier_network import build_network, train_network

    settings = network_settings(values)
    classes, targets = classes_of(learn.subject, "subject")
    gallery = gallery_of(learn, targets)
    days = as_other_days(judge, seed=JUDGE_SEED)
    probes = gallery_of(days, np.searchsorted(np.asarray(classes), days.subject))
    inputs, _ = inputs_of(probes, 1)
    _, n_samples, n_channels = inputs.shape
    network = build_network(n_samples, n_channels, len(classes), settings, seed=seed)
    train_network(
        network,
        lambda n, rng: draw_samples(gallery, n, rng, sizes=TRAINING_RUNS, variation=Variation()),
        settings,
        seed=seed,
        identity="",
        held_out=(inputs, probes.targets),
        report=report,
        checkpoint=None,
    )
    posterior = network.predict(inputs, verbose=0)[0]
    right = posterior.argmax(axis=1) == probes.targets
    return float(np.mean([right[probes.targets == c].mean() for c in np.unique(probes.targets)]))

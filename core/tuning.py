"""Tuning: from a study's train part to better hyper-parameters of the identifier."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from core.beat_set import BeatSet
from core.errors import UserError
from core.partitions import gap_for
from core.progress import Progress, Report, silent
from core.study import Study, write_json, writing

TRIAL_RANGE = (1, 1000)
HELD_OUT_SHARE = 0.3
"""Share of a subject's only recording, its end, that trials are judged on."""

SEARCH_SPACE: dict[str, tuple[Any, ...]] = {
    "filters": ((16, 32, 64), (32, 64, 128), (48, 96, 128)),
    "lstm_units": (32, 64, 96),
    "embedding": (64, 128, 192),
    "dropout": (0.1, 0.2, 0.3),
    "late_dropout": (0.3, 0.4, 0.5),
    "l2": (1e-5, 1e-4, 1e-3),
    "label_smoothing": (0.0, 0.05, 0.1),
    "learning_rate": (1e-3, 3e-3, 5e-3),
}
"""Values that a trial may take of each field of `NetworkSettings`."""


def tune_identifier(
    study: Study, *, trials: int = 20, seed: int = 0, report: Report = silent
) -> dict[str, Any]:
    """Search hyper-parameters on the train side; the best are used by the next training.

    Run again it goes on: `trials` counts those that an earlier call finished. Trials are kept in
    ``tuning/journal.log`` in the study, the best in ``tuning/best.json``.

    Returns:
        ``{"trials", "best": {"accuracy", "settings"}, "protocol"}``.

    Raises:
        UserError: `trials` is out of range, or train has fewer than two subjects.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    low, high = TRIAL_RANGE
    if not low <= trials <= high:
        raise UserError("--trials", f"{trials} is out of range", f"Give {low} to {high}")
    beats = study.beats("train")
    if len(set(beats.subject)) < 2:
        raise UserError(study.folder, "has fewer than two subjects in train", "Add recordings")
    learn, judge = split_train(beats)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = study.folder / "tuning"
    with writing(study.folder):
        folder.mkdir(exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
        search = optuna.create_study(
            study_name=study.info.fingerprint,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
        )
        done = _finished(search)
        while done < trials:
            search.sampler = optuna.samplers.TPESampler(seed=seed + done)
            report(Progress("tune", done, trials))
            search.optimize(lambda trial: _try(trial, learn, judge, seed), n_trials=1)
            done = _finished(search)
        best = {
            "accuracy": search.best_value,
            "settings": {k: SEARCH_SPACE[k][i] for k, i in search.best_params.items()},
        }
        result = {
            "trials": done,
            "best": best,
            "protocol": "rank-1 of single beats, network alone, on each train subject's last train "
            f"recording, or the last {HELD_OUT_SHARE:.0%} of its only one",
        }
        write_json(folder / "best.json", result)
    report(Progress("tune", trials, trials))
    return result


def _finished(search: Any) -> int:
    return sum(trial.state.is_finished() for trial in search.trials)


def _try(trial: Any, learn: BeatSet, judge: BeatSet, seed: int) -> float:
    """Return the share of held-out beats that a network with a trial's settings names rightly."""
    from core.models.cnn_lstm import Identifier

    settings = network_settings(
        {k: v[trial.suggest_int(k, 0, len(v) - 1)] for k, v in SEARCH_SPACE.items()}
    )
    identifier = Identifier.fit(learn, seed=seed, settings=settings)
    best = identifier.beat_scores(judge, method="network").argmax(axis=1)
    return float(np.mean(np.asarray(identifier.classes)[best] == judge.subject))


def network_settings(values: dict[str, Any], *, preset: str = "quick") -> Any:
    """Return the settings of a network, trained as long as the preset trains it."""
    from core.models.cnn_lstm import EPOCHS
    from core.models.identifier_network import NetworkSettings

    known = asdict(NetworkSettings()) | values | {"epochs": EPOCHS[preset]}  # type: ignore[index]
    return NetworkSettings(**known | {"filters": tuple(known["filters"])})


def split_train(beats: BeatSet) -> tuple[BeatSet, BeatSet]:
    """Return what trials learn from and what they are judged on: both of the train part.

    A subject's last recording is held out; of a single one its end, after a gap.
    """
    judged = np.zeros(len(beats), dtype=bool)
    left_out = np.zeros(len(beats), dtype=bool)
    gap = round(gap_for(beats.signals.shape[1] / beats.sampling_rate) * beats.sampling_rate)
    for subject in dict.fromkeys(beats.subject):
        mine = beats.subject == subject
        recordings = list(dict.fromkeys(beats.recording[mine]))
        if len(recordings) > 1:
            judged |= mine & (beats.recording == recordings[-1])
            continue
        samples = beats.r_sample[mine]
        cut = np.quantile(samples, 1 - HELD_OUT_SHARE)
        judged |= mine & (beats.r_sample > cut)
        left_out |= mine & (beats.r_sample <= cut) & (beats.r_sample > cut - gap)
    return beats.take(~judged & ~left_out), beats.take(judged)

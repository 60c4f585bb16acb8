"""Tuning sees the train part only, goes on where it stopped, and its best becomes the model."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from core import cli, cluster, jobs, tuning, workflow
from core.beat_set import BeatSet
from core.errors import Cancelled, UserError
from core.models import identifier_network
from core.models.identifier_network import NetworkSettings
from core.partitions import TRAIN
from core.progress import Progress, Report, silent
from core.study import Study, read_json

ROOT = Path(__file__).resolve().parents[2]
ENOUGH_S = 120
Rows = list[dict[str, Any]]
SMALL_SPACE: dict[str, tuple[Any, ...]] = {
    "order": ("cnn_lstm", "lstm_cnn"),
    "embedding": (8, 16),
    "learning_rate": (3e-3, 1e-2),
}


@dataclass(frozen=True)
class SmallSettings(NetworkSettings):
    """Networks that learn in a second or two."""

    filters: tuple[int, ...] = (4,)
    lstm_units: int = 4
    skip_units: int = 16
    embedding: int = 8
    epoch_samples: int = 256


EPOCHS = 6
TRIALS = 14
"""More than the ten that are drawn at random before the suggestions begin."""
KILLED = """
import sys
from core import workflow
workflow.tune(sys.argv[1], trials=int(sys.argv[2]))
"""


def tune(study: str, *, trials: int, report: Report = silent) -> dict[str, Any]:
    """Stand in for `core.workflow.tune` in workers that tests start: small networks."""
    tuning.SEARCH_SPACE = SMALL_SPACE
    identifier_network.NetworkSettings = SmallSettings  # type: ignore[misc]
    return workflow.tune(study, trials=trials, report=report)


def learn_at_once(
    learn: BeatSet, judge: BeatSet, values: dict[str, Any], seed: int, report: Report
) -> float:
    """Stand in for a network: the better, the nearer to some values of the search space."""
    accuracy = 1 - abs(values["dropout"] - 0.1) - abs(values["lstm_units"] - 96) / 96
    for epoch in range(1, EPOCHS + 1):
        time.sleep(0.02)
        figures = {"held_out_accuracy": accuracy * epoch / EPOCHS}
        report(Progress("train identifier", epoch, EPOCHS, figures))
    return accuracy


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    """Two workers in this process, at an address that other processes reach as well."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            dashboard_address=None,
        ) as own,
        Client(own, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def here(workers: Client, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Trials run on the workers of this process."""
    monkeypatch.setenv(cluster.ADDRESS_VARIABLE, workers.scheduler.address)
    return workers


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are small."""
    monkeypatch.setattr(tuning, "SEARCH_SPACE", SMALL_SPACE)
    monkeypatch.setattr(identifier_network, "NetworkSettings", SmallSettings)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network is trained: what is tested is the search."""
    monkeypatch.setattr(tuning, "train_and_judge", learn_at_once)


@pytest.fixture
def study(prepared_study: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared_study, tmp_path / "study")
    return tmp_path / "study"


@pytest.fixture
def in_one_go(here: Client, at_once: None, prepared_study: Path, tmp_path: Path) -> Rows:
    """The trials of a search that nothing interrupted."""
    shutil.copytree(prepared_study, tmp_path / "in_one_go")
    workflow.tune(tmp_path / "in_one_go", trials=TRIALS)
    return rows(tmp_path / "in_one_go")


def rows(folder: Path) -> Rows:
    """Return the finished trials as their file has them, but for the time that they took."""
    found = tuning.read_trials(Study.open(folder))
    assert found is not None
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found["trials"]]


def test_every_value_of_the_search_space_is_a_setting() -> None:
    assert set(tuning.SEARCH_SPACE) <= set(NetworkSettings.__dataclass_fields__)
    for name, values in tuning.search_space().items():
        assert getattr(NetworkSettings(), name) in values
        assert set(tuning.SEARCH_SPACE[name]) <= set(values)
        for value in values:
            assert getattr(tuning.network_settings({name: value}), name) == value
    assert set(tuning.SEARCH_SPACE["order"]) == {"cnn_lstm", "lstm_cnn"}


def test_trials_learn_and_are_judged_apart_within_train(prepared_study: Path) -> None:
    train = Study.open(prepared_study).beats("train")
    learn, judge = tuning.split_train(train)
    assert set(judge.subject) == set(train.subject)
    kept = set(zip(train.recording, train.r_sample, strict=True))
    a = set(zip(learn.recording, learn.r_sample, strict=True))
    b = set(zip(judge.recording, judge.r_sample, strict=True))
    assert a | b <= kept
    assert not a & b
    for recording, sample in b:
        nearest = min((abs(sample - s) for r, s in a if r == recording), default=None)
        assert nearest is None or nearest >= train.signals.shape[1]


def test_a_killed_search_goes_on_with_the_same_trials(
    here: Client, study: Path, in_one_go: Rows
) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(study), str(TRIALS)], cwd=ROOT)
    finished = study / "tuning" / "trials.json"
    deadline = time.monotonic() + ENOUGH_S
    while not finished.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(rows(study)) < TRIALS
    with (study / "tuning" / "journal.log").open("a") as journal:
        journal.write('{"op_code": 4, "worker_')
    result = workflow.tune(study, trials=TRIALS)
    assert rows(study) == in_one_go
    best = max(in_one_go, key=lambda row: row["accuracy"])
    found = json.loads(json.dumps(result))
    assert found["trials"] == TRIALS
    assert found["best"]["settings"] == best["settings"]
    assert found["space"] == json.loads(json.dumps(tuning.search_space()))
    assert workflow.tune(study, trials=1) == result, "nothing is left to do"


def test_cancelling_keeps_what_is_finished_and_stops_the_workers(
    here: Client, study: Path, in_one_go: Rows
) -> None:
    def cancel(progress: Progress) -> None:
        if progress.done:
            raise Cancelled

    with pytest.raises(Cancelled):
        workflow.tune(study, trials=TRIALS, report=cancel)
    kept = len(rows(study))
    assert 0 < kept < TRIALS
    assert not (study / "tuning" / "running").exists()
    deadline = time.monotonic() + ENOUGH_S
    while any(here.processing().values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(rows(study)) == kept
    assert workflow.tune(study, trials=TRIALS)["trials"] == TRIALS
    assert rows(study) == in_one_go


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_trial_that_nobody_wants_any_more_stops_after_its_epoch(
    epochs: int, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = study / "tuning" / "running"
    marker.parent.mkdir()
    marker.write_text("this search")

    def learn(
        learn: BeatSet, judge: BeatSet, values: dict[str, Any], seed: int, report: Report
    ) -> float:
        for epoch in range(1, EPOCHS + 1):
            if epoch > epochs:
                marker.write_text("a later search")
            report(Progress("train identifier", epoch, EPOCHS, {"held_out_accuracy": 0.5}))
        return 0.5

    monkeypatch.setattr(tuning, "train_and_judge", learn)
    outcome = tuning.run_trial(str(study), "this search", {}, 0, [])
    assert (outcome["state"], len(outcome["epochs"])) == ("cancelled", epochs)
    assert tuning.run_trial(str(study), "this search", {}, 0, [])["epochs"] == []


def test_hopeless_trials_are_pruned(in_one_go: Rows) -> None:
    pruned = [row for row in in_one_go if row["state"] == "pruned"]
    complete = [row for row in in_one_go if row["state"] == "complete"]
    assert pruned
    assert complete
    assert {len(row["epochs"]) for row in complete} == {EPOCHS}
    best = max(row["accuracy"] for row in complete)
    for row in pruned:
        assert tuning.PRUNING["n_warmup_steps"] <= len(row["epochs"]) < EPOCHS
        assert row["epochs"][-1] < best * len(row["epochs"]) / EPOCHS


def test_suggestions_learn_from_earlier_trials(in_one_go: Rows) -> None:
    defaults = json.loads(json.dumps(asdict(NetworkSettings())))
    assert in_one_go[0]["settings"].items() <= defaults.items()
    late = [row["settings"]["lstm_units"] for row in in_one_go[10:]]
    assert np.mean(late) > np.mean(tuning.SEARCH_SPACE["lstm_units"])


def test_nothing_but_train_is_looked_at(here: Client, small: None, study: Path) -> None:
    poisoned = study.with_name("poisoned")
    shutil.copytree(study, poisoned)
    table = Study.open(study).beat_table
    beats = np.load(study / "beats.npy")
    elsewhere = (table["partition"] != TRAIN).to_numpy()
    assert elsewhere.any()
    beats[elsewhere] = np.nan
    np.save(poisoned / "beats.npy", beats)
    for folder in (study, poisoned):
        workflow.tune(folder, trials=1)
    assert rows(study) == rows(poisoned)
    assert len(rows(study)) == 1


def test_one_command_makes_the_best_the_model(
    here: Client,
    small: None,
    study: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cli.main(["tune", str(study), "--trials", "1", "--train", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trained"]["models"] == {"identifier": "trained"}
    opened = Study.open(study)
    assert opened.card("identifier")["recipe"]["tuned"] == result["best"]["settings"]
    assert read_json(study / "tuning" / "best.json")["best"] == result["best"]
    again = workflow.tune(study, trials=1, train_best=True)
    assert again["trained"]["models"] == {"identifier": "kept"}
    monkeypatch.setattr(tuning, "SEARCH_SPACE", {**SMALL_SPACE, "embedding": (8, 32)})
    assert workflow.train(study, models=["identifier"])["models"] == {"identifier": "trained"}
    assert opened.card("identifier")["recipe"]["tuned"] is None


def test_the_best_of_another_search_does_not_count(
    here: Client, at_once: None, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tuning.best_settings(Study.open(study)) is None
    best = workflow.tune(study, trials=2)["best"]["settings"]
    found = tuning.best_settings(Study.open(study))
    assert found == json.loads(json.dumps(best))
    for where, name, value in (
        (tuning, "SEARCH_SPACE", SMALL_SPACE),
        (tuning, "PROTOCOL", "judged in another way"),
        (identifier_network, "NetworkSettings", SmallSettings),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, value)
            assert tuning.best_settings(Study.open(study)) is None
    about = read_json(study / "study.json")
    (study / "study.json").write_text(json.dumps(about | {"fingerprint": "other data"}))
    assert tuning.best_settings(Study.open(study)) is None


def test_what_was_found_is_read_without_loading_what_searches() -> None:
    heavy = "{'optuna', 'tensorflow', 'keras', 'distributed'}"
    code = f"import sys, core.tuning, core.training; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_job_of_the_dashboard_lends_its_worker_to_the_trials(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(cluster.ADDRESS_VARIABLE, raising=False)
    try:
        job = jobs.submit(study, "tune", {"trials": 1}, workspace=tmp_path, functions=__name__)
        deadline = time.monotonic() + ENOUGH_S
        while (state := jobs.read_job(study, job)).active:
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
    finally:
        cluster.stop(tmp_path)
    assert state.status == "done", (state.message, (state.folder / "log.txt").read_text())
    assert [set(row["settings"]) for row in rows(study)] == [set(SMALL_SPACE)]
    assert [entry["done"] for entry in state.history] == [1]


def test_a_damaged_journal_and_a_study_of_one_subject_are_told(
    study: Path, demo_recordings: Path, tmp_path: Path
) -> None:
    (study / "tuning").mkdir()
    (study / "tuning" / "journal.log").write_text("nonsense\n{}\n")
    with pytest.raises(UserError, match=r"journal\.log: is damaged"):
        workflow.tune(study, trials=1)
    workflow.prepare([demo_recordings / "S01"], tmp_path / "one")
    with pytest.raises(UserError, match="fewer than two subjects"):
        workflow.tune(tmp_path / "one", trials=1)

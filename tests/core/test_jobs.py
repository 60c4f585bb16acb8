"""Jobs on a real local cluster: watched, cancelled, killed and resumed, by files alone."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core import cluster, jobs, workflow
from core.errors import UserError
from core.jobs import JobState

ROOT = Path(__file__).resolve().parents[2]
FAKE = "tests.core.fake_workflow"
ENOUGH_S = 40
SUBMIT = """
import sys
from pathlib import Path
from core import jobs
print(jobs.submit(Path(sys.argv[1]), "train", {"epochs": 40, "seconds": 0.05},
                  workspace=Path(sys.argv[2]), functions=sys.argv[3]))
assert "tensorflow" not in sys.modules
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(cluster.ADDRESS_VARIABLE, raising=False)
        yield folder
        cluster.stop(folder)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tmp_path / "study"


def submit(folder: Path, verb: str, workspace: Path, **arguments: Any) -> str:
    return jobs.submit(folder, verb, arguments, workspace=workspace, functions=FAKE)


def wait_until(study: Path, job_id: str, when: Callable[[JobState], bool]) -> JobState:
    deadline = time.monotonic() + ENOUGH_S
    while not when(state := jobs.read_job(study, job_id)):
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    return state


def ended(state: JobState) -> bool:
    return not state.active


def test_every_verb_is_a_function_of_the_workflow() -> None:
    for verb in jobs.VERBS:
        names = inspect.signature(getattr(workflow, verb)).parameters
        assert "report" in names
        assert ("study" in names) == (verb not in jobs.WITHOUT_STUDY)


def test_job_of_a_process_that_is_gone_is_watched_from_another(
    workspace: Path, study: Path
) -> None:
    made = subprocess.run(
        [sys.executable, "-c", SUBMIT, str(study), str(workspace), FAKE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=ENOUGH_S,
    )
    assert made.returncode == 0, made.stderr
    job_id = made.stdout.strip()
    during = wait_until(study, job_id, lambda job: job.done > 2)
    assert (during.status, during.stage, during.total) == ("running", "train gan", 40)
    assert during.history[0]["metrics"] == {"loss": 1.0}
    after = wait_until(study, job_id, ended)
    assert (after.status, after.done, after.message) == ("done", 40, "")
    assert after.result == {"begun_at": 0, "epochs": 40, "worst": None}
    assert [report["done"] for report in after.history] == list(range(1, 41))

    second = submit(study, "prepare", workspace, sources=["a.csv", study / "b.csv"])
    assert [job.id for job in jobs.list_jobs(study)] == [second, job_id]
    result = wait_until(study, second, ended).result
    assert result["sources"] == [str(Path.cwd() / "a.csv"), str(study / "b.csv")]
    assert result["study"] == str(study)


def test_inference_does_not_wait_for_training_and_a_second_training_is_refused(
    workspace: Path, study: Path
) -> None:
    training = submit(study, "train", workspace, epochs=10_000, seconds=0.01)
    queued = submit(study.with_name("other"), "train", workspace, epochs=1)
    quick = wait_until(study, submit(study, "generate", workspace), ended)
    assert quick.status == "done"
    for place in (study, workspace):
        with pytest.raises(UserError, match=f"job {training} .*train.* is running"):
            submit(place, "prepare", workspace, sources=[], study=study)
    assert jobs.read_job(study.with_name("other"), queued).status == "queued"

    jobs.cancel(study.with_name("other"), queued)
    jobs.cancel(study, training)
    stopped = wait_until(study, training, ended)
    assert stopped.status == "cancelled"
    assert 0 < stopped.done < 10_000
    after = submit(study, "train", workspace, epochs=1)
    assert wait_until(study, after, ended).status == "done"
    unstarted = jobs.read_job(study.with_name("other"), queued)
    assert (unstarted.status, unstarted.started) == ("cancelled", None)


def test_failures_are_one_sentence_and_the_rest_is_in_the_log(workspace: Path, study: Path) -> None:
    mended = wait_until(study, submit(study, "identify", workspace, files=["rec_1.dat"]), ended)
    assert mended.status == "failed"
    assert mended.message == "rec_1.dat: is empty. Give another file."
    bug = wait_until(study, submit(study, "authenticate", workspace, file="x"), ended)
    assert bug.status == "failed"
    assert bug.message == "An unexpected error stopped the job (ZeroDivisionError), see its log."
    assert "a secret detail" in (bug.folder / "log.txt").read_text()
    with pytest.raises(UserError, match="Did you mean 'train'"):
        submit(study, "trian", workspace)
    for wrong in ("../../etc", "20250101-000000-000000-abcdef"):
        with pytest.raises(UserError, match="there is no such job"):
            jobs.read_job(study, wrong)


def test_job_whose_worker_is_killed_goes_on_from_its_checkpoint(
    workspace: Path, study: Path
) -> None:
    job_id = submit(study, "train", workspace, epochs=8, seconds=0.1, die_at=4)
    after = wait_until(study, job_id, ended)
    assert (after.status, after.result["begun_at"], after.runs) == ("done", 4, 2)
    assert [report["done"] for report in after.history] == list(range(1, 9))
    with pytest.raises(UserError, match="the job is done"):
        jobs.resume(study, job_id)


def test_job_that_hears_nothing_is_cancelled_with_its_process(workspace: Path, study: Path) -> None:
    job_id = submit(study, "tune", workspace, seconds=3600)
    during = wait_until(study, job_id, lambda job: job.done == 1)
    assert not during.stopping
    worker = json.loads((during.folder / "state.json").read_text())["worker"]
    family = [psutil.Process(pid) for pid in (worker["pid"], int((study / "child").read_text()))]
    jobs.cancel(study, job_id)
    after = wait_until(study, job_id, ended)
    assert (after.status, after.stopping, after.remaining_s) == ("cancelled", False, None)
    assert not psutil.wait_procs(family, timeout=ENOUGH_S)[1], "nothing of it computes on"

    again = wait_until(study, submit(study, "train", workspace, epochs=1), ended)
    assert again.status == "done", "the cluster has another worker"
    assert jobs.read_job(study, job_id).status == "cancelled", "it does not run again by itself"


def test_job_that_was_cancelled_while_its_worker_restarts_stays_so(
    workspace: Path, study: Path
) -> None:
    job_id = submit(study, "train", workspace, epochs=1000, seconds=0.05)
    during = wait_until(study, job_id, lambda job: job.done > 2)
    worker = json.loads((during.folder / "state.json").read_text())["worker"]
    os.kill(worker["pid"], signal.SIGKILL)
    jobs.cancel(study, job_id)
    assert wait_until(study, job_id, ended).status == "cancelled"
    after = wait_until(study, submit(study, "train", workspace, epochs=1), ended)
    assert after.status == "done"
    assert jobs.read_job(study, job_id).status == "cancelled"

    jobs.resume(study, job_id, functions=FAKE)
    resumed = wait_until(study, job_id, lambda job: job.done > during.done)
    assert resumed.runs > during.runs
    jobs.cancel(study, job_id)
    wait_until(study, job_id, ended)


def test_remaining_time_is_of_the_stages_own_pace(
    workspace: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MIN_PACE_S", 0)
    job_id = submit(study, "train", workspace, epochs=1000, seconds=0.05)
    during = wait_until(study, job_id, lambda job: job.done > 10)
    assert during.remaining_s is not None
    assert during.remaining_s > 0
    jobs.cancel(study, job_id)
    assert wait_until(study, job_id, ended).remaining_s is None


def test_oldest_jobs_that_change_nothing_are_forgotten_with_their_exports(
    workspace: Path, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "KEPT", 2)
    exports = study / "exports"
    exports.mkdir(parents=True)
    outs = [exports / "a.npz", study.with_name("mine.npz"), exports / "b.npz", exports / "c.npz"]
    trained = submit(study, "train", workspace, epochs=1)
    ids = [trained]
    for out in [*outs, outs[2]]:
        out.touch()
        ids.append(submit(study, "generate", workspace, out=out))
        wait_until(study, ids[-1], ended)
    assert [job.id for job in jobs.list_jobs(study)] == [*ids[:2:-1], trained]
    assert [out.exists() for out in outs] == [False, True, True, True]


def test_job_whose_scheduler_is_killed_is_interrupted_and_resumes(
    workspace: Path, study: Path
) -> None:
    job_id = submit(study, "train", workspace, epochs=40, seconds=0.1)
    waiting = submit(study.with_name("other"), "train", workspace, epochs=1)
    wait_until(study, job_id, lambda job: job.done > 2)
    address = cluster.ensure(workspace)
    family = psutil.Process(address.pid).children(recursive=True)
    os.kill(address.pid, signal.SIGKILL)
    interrupted = wait_until(study, job_id, ended)
    assert interrupted.status == "interrupted"
    assert interrupted.resumable
    assert jobs.read_job(study.with_name("other"), waiting).status == "interrupted"
    psutil.wait_procs(family, timeout=ENOUGH_S)
    assert not [process for process in family if process.is_running()], "its workers end with it"

    jobs.resume(study, job_id, functions=FAKE)
    after = wait_until(study, job_id, ended)
    assert after.status == "done"
    assert after.result["begun_at"] >= 2
    assert after.runs == 2
    assert [report["done"] for report in after.history] == list(range(1, 41))


def test_cluster_elsewhere_is_used_as_it_is(
    workspace: Path, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = cluster.ensure(workspace)
    monkeypatch.setenv(cluster.ADDRESS_VARIABLE, address.address)
    job_id = submit(study, "generate", tmp_path / "shared")
    after = wait_until(study, job_id, ended)
    assert after.status == "done"
    assert after.result["pid"] in [p.pid for p in psutil.Process(address.pid).children()]
    assert not list(tmp_path.glob("shared/.cluster/*/address.json"))

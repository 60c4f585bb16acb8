"""From a workflow verb and its arguments to a job: a folder of plain files that anyone may watch.

A job lies in ``<folder>/runs/<id>/``:

- ``job.json``: verb, arguments, workspace, when it was created;
- ``state.json``: status and progress, replaced atomically at most every `STATE_EVERY_S`;
- ``progress.jsonl``: a line a report that has metrics, for live curves;
- ``heartbeat``: touched by the worker while it works;
- ``cancel``: its existence asks the worker to stop: at its next report or, where that is too
  long in coming, by ending its process;
- ``result.json`` and ``log.txt``.

The files, not a future, are the truth: page, browser, dashboard and scheduler may all be gone.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import psutil

from core import cluster
from core.errors import Cancelled, UserError, did_you_mean
from core.progress import Progress, Report

if TYPE_CHECKING:
    from distributed import Client

Status = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]

VERBS: dict[str, str] = {
    "demo": cluster.TRAIN,
    "prepare": cluster.TRAIN,
    "train": cluster.TRAIN,
    "tune": cluster.TRAIN,
    "evaluate": cluster.TRAIN,
    "generate": cluster.INFER,
    "authenticate": cluster.INFER,
    "quiz": cluster.INFER,
    "identify": cluster.INFER,
    "verify": cluster.INFER,
    "enroll": cluster.INFER,
    "remove_enrolled": cluster.INFER,
    "undo_gallery": cluster.INFER,
    "peaks": cluster.INFER,
    "measure": cluster.INFER,
    "export": cluster.INFER,
    "write_report": cluster.INFER,
}
"""The functions of `core.workflow` that may run as jobs, and the local worker of each."""

WRITERS = frozenset(
    {"demo", "prepare", "train", "tune", "enroll", "remove_enrolled", "undo_gallery"}
)
"""Verbs that change a study: one of them at a time."""

WITHOUT_STUDY = frozenset({"peaks", "measure"})
PATH_ARGUMENTS = frozenset({"study", "out", "pdf", "file", "files", "sources"})
"""Arguments that name files: a worker elsewhere has another current folder."""

WORKFLOW = "core.workflow"
STATE_EVERY_S = 0.2
METRICS_EVERY_S = 0.05
HEARTBEAT_EVERY_S = 2.0
LOOK_EVERY_S = 0.1
GRACE_S = 0.6
"""What a step has to hear that it is cancelled, before the worker's process is ended."""
RESTART_S = 30.0
"""How long a local worker that died may take to be there again, before its job is given up."""
STALE_S = 60.0
"""A heartbeat older than this, or a job unsubmitted for so long, is given up."""
MIN_PACE_S = 2.0
"""A stage that was watched for less tells nothing of how long it will take."""
KEPT = 50
"""Ended jobs a verb that changes no study; older ones go at the next one, and what they drew."""

_ID = re.compile(r"\d{8}-\d{6}-\d{6}-[0-9a-f]{6}")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What is known of a job.

    Attributes:
        id: Name of its folder; ids sort by time.
        verb: Function of `core.workflow`.
        arguments: Its arguments, as JSON has them.
        status: ``interrupted`` if it should be running and is not: its worker or scheduler died.
        stage: What is being done, in the user's words.
        done: Units of the stage that are finished.
        total: Units of the stage in all; 0 if unknown.
        message: Why it failed, in one sentence; else empty.
        created: When it was submitted, in seconds since 1970.
        started: When a worker first began it since it was submitted or resumed; None if it has not.
        finished: When it ended; None if it has not.
        runs: How often it was begun: by more than one it went on after it had been stopped.
        remaining_s: What its present stage will still take, at the pace that it has had so far;
            None if that is not known.
        stopping: Whether it was asked to stop and has not yet.
        history: For curves, a dict a report: ``time``, ``stage``, ``done``, ``total``,
            ``metrics``; only from `read_job`.
        result: What the function returned, if JSON can hold it; only from `read_job`.
        folder: The job's own folder, with ``log.txt``.
    """

    id: str
    verb: str
    arguments: dict[str, Any]
    status: Status
    stage: str
    done: int
    total: int
    message: str
    created: float
    started: float | None
    finished: float | None
    runs: int
    remaining_s: float | None
    stopping: bool
    folder: Path
    history: list[dict[str, Any]] = field(default_factory=list)
    result: Any = None

    @property
    def active(self) -> bool:
        """Whether it waits or works."""
        return self.status in ("queued", "running")

    @property
    def resumable(self) -> bool:
        """Whether `resume` takes it."""
        return self.status in ("interrupted", "cancelled", "failed")


def submit(
    folder: Path,
    verb: str,
    arguments: Mapping[str, Any],
    *,
    workspace: Path,
    functions: str = WORKFLOW,
) -> str:
    """Hand a function of the workflow to a worker and return the job's id.

    Starts the workspace's cluster if there is none, which takes some seconds.

    Args:
        folder: Study or workspace that keeps the job.
        verb: One of `VERBS`.
        arguments: Keyword arguments of the function, of types that JSON has; paths may be relative
            to the caller's folder. The study is ``folder`` if it is not among them.
        workspace: Folder of the cluster, see `core.cluster`.
        functions: Module that holds the functions; for tests.

    Raises:
        UserError: No such verb; a job that changes the same study is not finished; the cluster
            does not answer.
    """
    if verb not in VERBS:
        raise UserError(verb, "is not a job", did_you_mean(verb, VERBS))
    study = {} if verb in WITHOUT_STUDY else {"study": folder}
    plain = json.loads(json.dumps(_absolute({**study, **arguments})))
    with _submissions(workspace):
        _refuse_conflict(folder, verb, plain, workspace)
        _forget_oldest(folder, verb)
        job = _create(folder, verb, plain, workspace)
    _send(job, functions)
    return job.name


def list_jobs(folder: Path) -> list[JobState]:
    """Return the jobs of a study or workspace, newest first, without history and result."""
    runs = folder / "runs"
    names = sorted((p.name for p in runs.iterdir()), reverse=True) if runs.is_dir() else []
    jobs = (_read(runs / name) for name in names if _ID.fullmatch(name))
    return [job for job in jobs if job is not None]


def read_job(folder: Path, job_id: str) -> JobState:
    """Return one job, with its history and result.

    Raises:
        UserError: There is no such job.
    """
    return _require(folder, job_id, whole=True)


def cancel(folder: Path, job_id: str) -> None:
    """Ask a job to stop, which it does within 2 s; what it finished stays, as its checkpoint does.

    Nothing happens if it has ended. On a cluster elsewhere it stops at its next report.

    Raises:
        UserError: There is no such job.
    """
    state = _require(folder, job_id)
    if state.active or state.status == "interrupted":
        (state.folder / "cancel").touch()
        if state.status != "running" or _worker_is_dead(state.folder):
            _update(state.folder, status="cancelled", finished=time.time())


def resume(
    folder: Path, job_id: str, *, workspace: Path | None = None, functions: str = WORKFLOW
) -> None:
    """Submit a job again that was interrupted, cancelled or failed; it goes on where it stood.

    Args:
        folder: Study or workspace that keeps the job.
        job_id: From `submit` or `list_jobs`.
        workspace: Folder of the cluster; by default the one it was submitted with.
        functions: Module that holds the functions; for tests.

    Raises:
        UserError: There is no such job; it has not ended; it is done; a job that changes the
            same study is not finished; the cluster does not answer.
    """
    state = _require(folder, job_id)
    if not state.resumable:
        fix = "Cancel it first" if state.active else "Submit a new one"
        raise UserError(job_id, f"the job is {state.status}", fix)
    place = workspace or Path(_read_json(state.folder / "job.json")["workspace"])
    with _submissions(place):
        _refuse_conflict(folder, state.verb, state.arguments, place)
        (state.folder / "cancel").unlink(missing_ok=True)
        before = _read_json(state.folder / "state.json")
        again = _first_state(before.get("attempt", 0) + 1)
        _write_state(state.folder, {**again, "run": before.get("run", 0)})
    _send(state.folder, functions, workspace=place)


def run_job(job_folder: str, attempt: int, functions: str = WORKFLOW) -> None:
    """Run a job in a worker, from its folder; whatever happens ends up in its files.

    Args:
        job_folder: The job's own folder.
        attempt: Which submission this is; a later one makes this one stop.
        functions: Module that holds the functions.
    """
    job = Path(job_folder)
    state = _read_json(job / "state.json")
    if state.get("attempt") != attempt or state.get("status") not in ("queued", "running"):
        return
    run = state.get("run", 0) + 1
    started = state.get("started", time.time())
    worker = cluster.this_process()
    _update(job, status="running", run=run, started=started, worker=worker, stage="", since=None)
    reporter = _Reporter(job, attempt, run)
    with _log(job), _watch(job, own_process=_is_local(state)):
        ending = _run(job, functions, reporter)
    if _read_json(job / "state.json").get("attempt") == attempt:
        reporter.flush()
        _update(job, finished=time.time(), **reporter.latest, **ending)


def _run(job: Path, functions: str, report: Report) -> dict[str, Any]:
    """Call the function and return how the state ends."""
    try:
        description = _read_json(job / "job.json")
        verb = description["verb"]
        if verb not in VERBS:
            raise UserError(verb, "is not a job", did_you_mean(verb, VERBS))
        if (job / "cancel").exists():
            raise Cancelled
        _logger.info("%s begins", verb)
        function = getattr(importlib.import_module(functions), verb)
        result = _plain(function(**description["arguments"], report=report))
        if result is not None:
            cluster.write_atomically(job / "result.json", json.dumps(result))
    except Cancelled:
        _logger.info("cancelled")
        return {"status": "cancelled"}
    except UserError as error:
        _logger.error("%s", error)
        return {"status": "failed", "message": str(error)}
    except Exception as error:
        _logger.exception("an unexpected error")
        message = f"An unexpected error stopped the job ({type(error).__name__}), see its log."
        return {"status": "failed", "message": message}
    _logger.info("done")
    return {"status": "done"}


class _Reporter:
    """Writes progress into a job's files, not too often, and stops the job when asked to."""

    def __init__(self, job: Path, attempt: int, run: int) -> None:
        self.latest: dict[str, Any] = {}
        self._job, self._attempt, self._run = job, attempt, run
        self._next_state = self._next_metrics = 0.0
        self._since: tuple[float, int] = (0.0, 0)
        self._waiting = ""

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage != self.latest.get("stage"):
            self.flush()
            self._next_metrics = 0.0
            self._since = (time.time(), int(progress.done))
            _logger.info("%s", progress.stage)
        self.latest = {
            "stage": progress.stage,
            "done": int(progress.done),
            "total": int(progress.total),
        }
        if progress.metrics:
            line = {
                "time": time.time(),
                **self.latest,
                "metrics": _plain(dict(progress.metrics)),
                "run": self._run,
            }
            self._waiting = json.dumps(line) + "\n"
            if now >= self._next_metrics:
                self._next_metrics = now + METRICS_EVERY_S
                self.flush()
        if now >= self._next_state:
            self._next_state = now + STATE_EVERY_S
            if (self._job / "cancel").exists():
                raise Cancelled
            if _read_json(self._job / "state.json").get("attempt") != self._attempt:
                raise Cancelled
            _update(self._job, **self.latest, since=self._since, told=time.time())

    def flush(self) -> None:
        """Write the line of metrics that came too soon after the one before."""
        if self._waiting:
            with (self._job / "progress.jsonl").open("a", encoding="utf-8") as file:
                file.write(self._waiting)
            self._waiting = ""


@contextmanager
def _watch(job: Path, *, own_process: bool) -> Iterator[None]:
    """Touch the job's heartbeat and look for its cancelling from a thread, as long as it can.

    A step that does not report soon after it was cancelled is ended with its process, if that is
    this job's own: the cluster starts the worker again, and what counts is on disk.
    """
    ended = threading.Event()

    def look() -> None:
        next_beat = time.monotonic()
        patience = math.inf
        while not ended.wait(LOOK_EVERY_S):
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + HEARTBEAT_EVERY_S
                with suppress(OSError):
                    (job / "heartbeat").touch()
            if own_process and patience == math.inf and (job / "cancel").exists():
                patience = now + GRACE_S
            if now >= patience and not ended.is_set():
                _end_process(job)

    with suppress(OSError):
        (job / "heartbeat").touch()
    thread = threading.Thread(target=look, name=f"watch-{job.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _end_process(job: Path) -> None:
    """End this worker in the middle of a step, and whatever it has started."""
    _logger.info("cancelled in the middle of a step")
    _update(job, status="cancelled", finished=time.time())
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _log(job: Path) -> Iterator[None]:
    """Send what is logged and warned of to the job's log; a worker runs one job at a time."""
    handler = logging.FileHandler(job / "log.txt", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root, package = logging.getLogger(), logging.getLogger("core")
    root.addHandler(handler)
    package.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _submissions(workspace: Path) -> Iterator[None]:
    """Let one submission at a time look for conflicts and create its job."""
    with cluster.locked(workspace / ".cluster" / "submissions.lock"):
        yield


def _create(folder: Path, verb: str, arguments: dict[str, Any], workspace: Path) -> Path:
    now = datetime.now(UTC)
    job = folder / "runs" / f"{now:%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}"
    try:
        job.mkdir(parents=True)
        _write_state(job, _first_state(attempt=1))
        description = {
            "verb": verb,
            "arguments": arguments,
            "workspace": os.path.abspath(workspace),  # noqa: PTH100 - links are not resolved
            "created": now.timestamp(),
        }
        cluster.write_atomically(job / "job.json", json.dumps(description, indent=1))
    except OSError as error:
        raise UserError(
            folder, f"cannot be written ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    return job


def _forget_oldest(folder: Path, verb: str) -> None:
    """Remove the oldest ended jobs of a verb that changes no study, with their own exports."""
    if verb in WRITERS:
        return
    jobs = list_jobs(folder)
    old = [job for job in jobs if job.verb == verb and not job.active][KEPT:]
    ids = {job.id for job in old}
    wanted = {job.arguments.get("out") for job in jobs if job.id not in ids}
    for job in old:
        out = job.arguments.get("out")
        if out and out not in wanted and Path(out).parent == folder.absolute() / "exports":
            Path(out).unlink(missing_ok=True)
        shutil.rmtree(job.folder, ignore_errors=True)


def _first_state(attempt: int) -> dict[str, Any]:
    return {"status": "queued", "attempt": attempt, "queued": time.time()}


def _send(job: Path, functions: str, *, workspace: Path | None = None) -> None:
    """Submit a job's folder to the cluster as a task that nobody waits for."""
    from distributed import fire_and_forget

    description, state = _read_json(job / "job.json"), _read_json(job / "state.json")
    path = os.path.abspath(job)  # noqa: PTH100 - links are not resolved
    try:
        address = cluster.ensure(workspace or Path(description["workspace"]))
        with cluster.open_client(address) as client:
            if not address.is_local:
                _check_workers(client, path)
            _update(job, cluster=asdict(address))
            future = client.submit(
                run_job,
                path,
                state["attempt"],
                functions,
                key=f"{job.name}-{state['attempt']}",
                pure=False,
                resources={VERBS[description["verb"]]: 1} if address.is_local else None,
            )
            fire_and_forget(future)
    except UserError as error:
        _update(job, status="failed", finished=time.time(), message=str(error))
        raise
    except Exception:
        _update(job, status="failed", finished=time.time(), message="It could not be submitted.")
        raise


def _sees(path: str) -> bool:
    """Return whether a worker sees a folder."""
    return Path(path).is_dir()


def _check_workers(client: Client, path: str) -> None:
    """Raise unless the workers of a cluster elsewhere have this package and see the folder."""
    try:
        answers = client.run(_sees, path)
    except Exception as error:  # Dask passes on what a worker could not import as a bare Exception
        raise UserError(
            cluster.ADDRESS_VARIABLE,
            f"its workers cannot load CardioTwin ({error})",
            "Start them with the same Python environment, in CardioTwin's folder",
        ) from None
    blind = [worker for worker, sees in answers.items() if not sees]
    if blind:
        raise UserError(
            cluster.ADDRESS_VARIABLE,
            f"the worker {blind[0]} does not see the workspace",
            "Use a workspace on a folder that all workers share",
        )


def _refuse_conflict(
    folder: Path, verb: str, arguments: Mapping[str, Any], workspace: Path
) -> None:
    """Raise if another job that changes the same study has not ended."""
    if verb not in WRITERS:
        return
    study = _study(folder, arguments)
    for place in {study, folder.resolve(), workspace.resolve()}:
        for job in list_jobs(place):
            if job.active and job.verb in WRITERS and _study(place, job.arguments) == study:
                raise UserError(
                    study.name,
                    f"the job {job.id} ({job.verb}) is {job.status} on this study",
                    "Wait for it or cancel it",
                )


def _study(folder: Path, arguments: Mapping[str, Any]) -> Path:
    """Return the study that a job works on."""
    return Path(arguments.get("study", folder)).resolve()


def _require(folder: Path, job_id: str, *, whole: bool = False) -> JobState:
    job = _read(folder / "runs" / job_id, whole=whole) if _ID.fullmatch(job_id) else None
    if job is None:
        raise UserError(job_id, "there is no such job", "Choose one of the list")
    return job


def _read(job: Path, *, whole: bool = False) -> JobState | None:
    description, state = _read_json(job / "job.json"), _read_json(job / "state.json")
    if not description or not state:
        return None
    return JobState(
        id=job.name,
        verb=description["verb"],
        arguments=description["arguments"],
        status=_true_status(job, state),
        stage=state.get("stage", ""),
        done=state.get("done", 0),
        total=state.get("total", 0),
        message=state.get("message", ""),
        created=description["created"],
        started=state.get("started"),
        finished=state.get("finished"),
        runs=state.get("run", 0),
        remaining_s=_remaining_s(state),
        stopping=state["status"] == "running" and (job / "cancel").exists(),
        folder=job,
        history=_read_history(job / "progress.jsonl") if whole else [],
        result=_read_json(job / "result.json", missing=None) if whole else None,
    )


def _true_status(job: Path, state: Mapping[str, Any]) -> Status:
    """Return the status that the files tell, or that they would if the dead could write."""
    status: Status = state["status"]
    if status not in get_args(Status):
        return "interrupted"
    if status not in ("queued", "running"):
        return status
    address = cluster.Address(**state["cluster"]) if "cluster" in state else None
    if status == "queued":
        waiting = time.time() - state["queued"] < STALE_S if address is None else None
        alive = cluster.is_alive(address) if address is not None else waiting
        return "queued" if alive else "interrupted"
    dead = cluster.process_is_alive(**state["worker"]) is False
    try:
        age = time.time() - (job / "heartbeat").stat().st_mtime
    except FileNotFoundError:
        age = time.time() - state["started"]
    if dead:
        # Dask starts a dead worker again, and its task, unless the scheduler died with it.
        restarting = age < RESTART_S and address is not None and cluster.is_alive(address)
        return "running" if restarting else "interrupted"
    return "running" if age < STALE_S else "interrupted"


def _worker_is_dead(job: Path) -> bool:
    """Return whether the worker that a job runs in is known to have ended."""
    worker = _read_json(job / "state.json").get("worker")
    return worker is not None and cluster.process_is_alive(**worker) is False


def _is_local(state: Mapping[str, Any]) -> bool:
    """Return whether a job was given to a worker that `core.cluster` started, one job at a time."""
    return "cluster" in state and cluster.Address(**state["cluster"]).is_local


def _remaining_s(state: Mapping[str, Any]) -> float | None:
    """Return what the present stage will still take, at its pace since its first report."""
    if state["status"] != "running" or not state.get("since") or not state.get("total"):
        return None
    (since, begun_at), told = state["since"], state["told"]
    if told - since < MIN_PACE_S or state["done"] <= begun_at:
        return None
    pace = (told - since) / (state["done"] - begun_at)
    return float(max(0.0, pace * (state["total"] - state["done"]) - (time.time() - told)))


def _read_history(path: Path) -> list[dict[str, Any]]:
    """Return the reports in order; what a later run did again is told once, as it came last."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    reports: list[dict[str, Any]] = []
    again: dict[str, tuple[int, int]] = {}
    for line in reversed(lines):
        with suppress(ValueError):
            report = json.loads(line)
            stage, run, done = report["stage"], report.pop("run"), report["done"]
            later_run, later_done = again.get(stage, (run, 0))
            if run < later_run and done >= later_done:
                continue
            again[stage] = (run, done)
            reports.append(report)
    return reports[::-1]


def _read_json(path: Path, missing: Any = {}) -> Any:  # noqa: B006 - never changed
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return missing


def _write_state(job: Path, state: Mapping[str, Any]) -> None:
    cluster.write_atomically(job / "state.json", json.dumps(state))


def _update(job: Path, **changes: Any) -> None:
    _write_state(job, {**_read_json(job / "state.json"), **changes})


def _absolute(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments whose paths are absolute text; links are not resolved."""

    def absolute(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [absolute(item) for item in value]
        return value if value is None else os.path.abspath(value)  # noqa: PTH100

    return {
        name: absolute(value) if name in PATH_ARGUMENTS else value
        for name, value in arguments.items()
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, with None for what JSON cannot hold, such as NaN."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None

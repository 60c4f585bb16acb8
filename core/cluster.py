"""From a workspace folder to a Dask client: starts, finds and ends the process that does long work.

The local cluster is a process of its own, so that a job outlives the page, the browser and the
dashboard that asked for it. It listens on the loopback interface only and ends when it has been
idle for a while. Its address lies in ``<workspace>/.cluster/<host>/``. With
``DASK_SCHEDULER_ADDRESS`` set, that cluster is used and nothing is started.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from core.errors import UserError
from core.threads import thread_settings

if TYPE_CHECKING:
    from distributed import Client

ADDRESS_VARIABLE = "DASK_SCHEDULER_ADDRESS"
LOOPBACK = "127.0.0.1"
TRAIN = "train"
INFER = "infer"
TRIAL = "trial"
"""A task of a long step: it runs where the step's job may wait for it without holding it up."""

JOB_WORKERS = ((TRAIN, 0.5), (INFER, 0.3))
"""The local workers, one thread each, and the share of the machine's memory that each may use."""
TASK_WORKERS = ((TRIAL, 0.4), (TRIAL, 0.4))
"""Those of a step that runs outside of any cluster: each uses half of the cores, see `threads`."""

IDLE_TIMEOUT_S = 30 * 60.0
TASK_IDLE_TIMEOUT_S = 60.0
START_TIMEOUT_S = 90.0
ANSWER_TIMEOUT_S = 20.0
ELSEWHERE_TIMEOUT_S = 5.0
END_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 2.0
ASK_AGAIN_S = 10.0
"""How long an answer of a cluster elsewhere, that it is alive, is believed."""
NICENESS = 10
POLL_S = 0.05
LOOK_EVERY_S = 0.5

_PACKAGE = Path(__file__).resolve().parent
_answers: dict[tuple[str, str], tuple[float, bool]] = {}


@dataclass(frozen=True)
class Address:
    """Where a scheduler is.

    Attributes:
        address: Such as ``tcp://127.0.0.1:40123``.
        scheduler: The scheduler's own id, which another one on the same port does not have.
        host: Name of the machine that its process runs on; empty for a cluster elsewhere.
        pid: Its process; 0 for a cluster elsewhere.
        born: When that process began, in seconds since 1970, which tells it from a later one.
        code: Version of the code that it runs; empty for a cluster elsewhere.
    """

    address: str
    scheduler: str
    host: str = ""
    pid: int = 0
    born: float = 0.0
    code: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it was started by `ensure`."""
        return self.pid > 0


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that no other thread or process of this machine holds; waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def process_is_alive(host: str, pid: int, born: float) -> bool | None:
    """Return whether a process runs; None if it is another machine's."""
    if host != platform.node():
        return None
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - born) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def this_process() -> dict[str, Any]:
    """Return host, pid and birth of the calling process, as `process_is_alive` takes them."""
    born = psutil.Process().create_time()
    return {"host": platform.node(), "pid": os.getpid(), "born": born}


def connect(workspace: Path, *, idle_timeout_s: float = IDLE_TIMEOUT_S) -> Client:
    """Return a client of the workspace's cluster, which is started if there is none.

    The caller closes the client. Jobs are best submitted through `core.jobs`.

    Args:
        workspace: Folder in which the cluster keeps its address and log.
        idle_timeout_s: After so long without work the cluster, if started now, ends itself.

    Raises:
        UserError: ``DASK_SCHEDULER_ADDRESS`` does not answer, or no process could be started.
    """
    return open_client(ensure(workspace, idle_timeout_s=idle_timeout_s))


def open_client(address: Address, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Client:
    """Return a client of the scheduler at an address.

    Raises:
        UserError: Nothing answers there.
    """
    from distributed import Client

    try:
        return Client(address.address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError):
        raise UserError(
            address.address,
            "no Dask scheduler answers there",
            f"Start it, or correct or remove {ADDRESS_VARIABLE}",
        ) from None


@contextmanager
def task_client(folder: Path) -> Iterator[Client]:
    """Yield a client for the tasks of a long step; `task_slots` tells how to submit them.

    In a job it is that of the job's own cluster: the job leaves its worker's thread to the tasks
    and goes on beside them, and its claim on the worker keeps other jobs out. With
    ``DASK_SCHEDULER_ADDRESS`` set it is that cluster. Else two local workers are started for the
    tasks, and ended afterwards.

    Args:
        folder: Keeps address and log of workers that are started.

    Raises:
        UserError: ``DASK_SCHEDULER_ADDRESS`` does not answer, or no process could be started.
    """
    from distributed import get_client, secede

    if _in_task():
        client = get_client()
        secede()
        yield client
        return
    address = ensure(folder, idle_timeout_s=TASK_IDLE_TIMEOUT_S, workers=TASK_WORKERS)
    # That workers are gone the caller says in a sentence; Dask would print tracebacks beside it.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        with open_client(address) as client:
            yield client
    finally:
        if address.is_local:
            stop(folder)


def _in_task() -> bool:
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True


def task_slots(client: Client) -> tuple[int, dict[str, float] | None]:
    """Return how many tasks of a step can run at a time, and the resources that each asks for.

    On a cluster elsewhere, which knows none of the roles, it is one a worker.
    """
    workers = client.scheduler_info()["workers"].values()
    own = sum(TRIAL in worker["resources"] for worker in workers)
    return (own, {TRIAL: 1}) if own else (max(1, len(workers)), None)


def ensure(
    workspace: Path,
    *,
    idle_timeout_s: float = IDLE_TIMEOUT_S,
    workers: Sequence[tuple[str, float]] = JOB_WORKERS,
) -> Address:
    """Return the address of a scheduler that answers; see `connect`."""
    elsewhere = os.environ.get(ADDRESS_VARIABLE)
    if elsewhere:
        found = _ask(Address(elsewhere, ""), timeout_s=ELSEWHERE_TIMEOUT_S)
        if found is None:
            raise UserError(
                ADDRESS_VARIABLE,
                f"no Dask scheduler answers at {elsewhere}",
                "Start it, or correct or remove the variable",
            )
        return Address(elsewhere, found["scheduler"])
    folder = _folder(workspace)
    with locked(folder / "lock"):
        address = _read_address(folder)
        if address is not None and process_is_alive(address.host, address.pid, address.born):
            found = _ask(address)
            fresh = address.code == _code_version()
            if found is not None and (fresh or found["busy"]):
                return address
            _end(address)
        return _start(workspace, folder, idle_timeout_s, workers)


def is_alive(address: Address) -> bool:
    """Return whether the very scheduler that had this address still runs.

    A local one is known by its process; another machine's local one cannot be reached and counts
    as gone. One elsewhere is asked, at most every few seconds.
    """
    if address.is_local:
        return process_is_alive(address.host, address.pid, address.born) is True
    key = (address.address, address.scheduler)
    asked, answer = _answers.get(key, (-ASK_AGAIN_S, False))
    if time.monotonic() - asked >= ASK_AGAIN_S:
        found = _ask(address, timeout_s=ELSEWHERE_TIMEOUT_S)
        answer = found is not None and found["scheduler"] == address.scheduler
        _answers[key] = (time.monotonic(), answer)
    return answer


def stop(workspace: Path) -> None:
    """End the workspace's local cluster, if there is one; its jobs can be resumed."""
    folder = _folder(workspace)
    with locked(folder / "lock"):
        address = _read_address(folder)
        if address is not None and process_is_alive(address.host, address.pid, address.born):
            _end(address)
        (folder / "address.json").unlink(missing_ok=True)


def _folder(workspace: Path) -> Path:
    return workspace / ".cluster" / (platform.node() or "localhost")


def _read_address(folder: Path) -> Address | None:
    try:
        return Address(**json.loads((folder / "address.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _code_version() -> str:
    """Return what changes when a file of this package does."""
    files = sorted(_PACKAGE.rglob("*.py"))
    newest = max(file.stat().st_mtime_ns for file in files)
    return f"{len(files)}-{newest}"


def _ask(address: Address, *, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any] | None:
    """Return the scheduler's id and whether it has work; None if nobody answers."""
    try:
        with open_client(address, timeout_s=timeout_s) as client:
            busy = any(client.processing().values())
            return {"scheduler": client.scheduler_info()["id"], "busy": busy}
    except (UserError, OSError):
        return None


def _end(address: Address) -> None:
    """End a local cluster by its own process id, gently first."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(address.pid)
        process.terminate()
        try:
            process.wait(END_TIMEOUT_S)
        except psutil.TimeoutExpired:
            process.kill()


def _start(
    workspace: Path, folder: Path, idle_timeout_s: float, workers: Sequence[tuple[str, float]]
) -> Address:
    """Start the process, detached from this one, and wait for its address."""
    (folder / "address.json").unlink(missing_ok=True)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "core.cluster"),
                *("--workspace", str(workspace.resolve())),
                *("--idle-timeout", str(idle_timeout_s)),
                *("--workers", json.dumps(workers)),
            ],
            cwd=_PACKAGE.parent,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        address = _read_address(folder)
        if address is not None:
            # While this process lives it is the parent, and a child that ended needs its wait().
            threading.Thread(target=process.wait, name="reap-cluster", daemon=True).start()
            return address
        time.sleep(POLL_S)
    process.kill()
    process.wait()
    raise UserError(
        folder / "log.txt", "the process for long work did not start", "Read its last lines"
    )


def _environment() -> dict[str, str]:
    """Return this process's environment, with the cores shared between the workers."""
    return {
        **os.environ,
        **thread_settings(),
        "PYTHONUNBUFFERED": "1",
    }


async def _serve(
    workspace: Path, idle_timeout_s: float, workers: Sequence[tuple[str, float]]
) -> None:
    """Run scheduler and workers until they were idle for too long, or are told to end."""
    import dask
    from distributed import Nanny, Scheduler
    from distributed.system import MEMORY_LIMIT

    code = _code_version()
    folder = _folder(workspace)
    dask.config.set(
        {
            "distributed.scheduler.worker-ttl": None,
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.worker.profile.enabled": False,
            "distributed.admin.system-monitor.gil.enabled": False,
        }
    )
    common: dict[str, Any] = {
        "host": LOOPBACK,
        "dashboard": False,
        "dashboard_address": f"{LOOPBACK}:0",
    }
    async with Scheduler(port=0, **common) as scheduler:
        nannies = [
            Nanny(
                scheduler.address,
                name=f"{role}-{number}",
                nthreads=1,
                resources={role: 1, TRIAL: 1} if role == TRAIN else {role: 1},
                memory_limit=int(share * MEMORY_LIMIT),
                local_directory=str(folder / "scratch"),
                **common,
            )
            for number, (role, share) in enumerate(workers)
        ]
        await asyncio.gather(*nannies)
        told_to_end = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, told_to_end.set)
        address = Address(scheduler.address, scheduler.id, code=code, **this_process())
        write_atomically(folder / "address.json", json.dumps(asdict(address)))
        idle_since = None
        while idle_since is None or time.time() - idle_since < idle_timeout_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(told_to_end.wait(), LOOK_EVERY_S)
                break
            idle_since = scheduler.check_idle()
        if _read_address(folder) == address:
            (folder / "address.json").unlink(missing_ok=True)
        await asyncio.gather(*(nanny.close(timeout=CLOSE_TIMEOUT_S) for nanny in nannies))


def main() -> None:
    """Run the local cluster in this process, until it has been idle too long."""
    parser = argparse.ArgumentParser(description="Run CardioTwin's local workers.")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--idle-timeout", type=float, default=IDLE_TIMEOUT_S, metavar="SECONDS")
    parser.add_argument("--workers", type=json.loads, required=True, metavar="JSON")
    arguments = parser.parse_args()
    os.nice(NICENESS)
    asyncio.run(_serve(arguments.workspace, arguments.idle_timeout, arguments.workers))


if __name__ == "__main__":
    main()

"""The process for long work: one a workspace, on the loopback interface, gone when idle."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from core import cluster
from core.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
ENOUGH_S = 40
ENSURE = """
import sys
from pathlib import Path
from core import cluster
with cluster.connect(Path(sys.argv[1])) as client:
    assert client.submit(abs, -1).result() == 1
print(cluster.ensure(Path(sys.argv[1])).pid, "tensorflow" in sys.modules)
"""


@pytest.fixture(autouse=True)
def nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cluster.ADDRESS_VARIABLE, raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    cluster.stop(tmp_path)


def wait_for_end(process: psutil.Process) -> None:
    deadline = time.monotonic() + ENOUGH_S
    while process.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.is_running(), "a zombie counts as running, too"


def test_dashboards_that_start_together_share_one_cluster_that_outlives_them(
    workspace: Path,
) -> None:
    dashboards = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURE, str(workspace)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = {dashboard.communicate(timeout=ENOUGH_S)[0] for dashboard in dashboards}
    address = cluster.ensure(workspace)
    assert answers == {f"{address.pid} False\n"}
    assert cluster.is_alive(address)

    process = psutil.Process(address.pid)
    family = [process, *process.children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections() if c.status == "LISTEN"]
    assert listening
    assert all(ipaddress.ip_address(ip).is_loopback for ip in listening)
    assert os.getsid(address.pid) != os.getsid(0)
    assert {p.nice() for p in family} == {min(19, os.nice(0) + cluster.NICENESS)}

    cluster.stop(workspace)
    assert not cluster.is_alive(address)
    for one in family:
        wait_for_end(one)


def test_idle_cluster_ends_itself_and_the_next_call_starts_another(workspace: Path) -> None:
    first = cluster.ensure(workspace, idle_timeout_s=0.5)
    family = [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]
    for one in family:
        wait_for_end(one)
    assert not cluster.is_alive(first)

    # What a killed process leaves behind: an address at which somebody else may live.
    (left,) = workspace.glob(".cluster/*/log.txt")
    somebody = cluster.Address(first.address, first.scheduler, first.host, os.getpid(), 1.0)
    left.with_name("address.json").write_text(json.dumps(asdict(somebody)))
    second = cluster.ensure(workspace)
    assert second.pid not in (first.pid, os.getpid())
    assert cluster.ensure(workspace) == second


def test_idle_cluster_of_older_code_is_replaced(workspace: Path) -> None:
    older = replace(cluster.ensure(workspace), code="older")
    (file,) = workspace.glob(".cluster/*/address.json")
    file.write_text(json.dumps(asdict(older)))
    assert cluster.ensure(workspace).pid != older.pid
    assert not cluster.is_alive(older)


def test_scheduler_elsewhere_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "ELSEWHERE_TIMEOUT_S", 0.3)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        monkeypatch.setenv(cluster.ADDRESS_VARIABLE, address)
        with pytest.raises(UserError, match=f"DASK_SCHEDULER_ADDRESS: .*{address}"):
            cluster.connect(tmp_path)
    assert not list(tmp_path.iterdir())


def test_tasks_of_a_step_outside_of_any_cluster_have_two_workers_while_it_lasts(
    tmp_path: Path,
) -> None:
    with cluster.task_client(tmp_path) as client:
        assert cluster.task_slots(client) == (2, {cluster.TRIAL: 1})
        pids = set(client.run(os.getpid).values())
        future = client.submit(os.getpid, resources={cluster.TRIAL: 1}, pure=False)
        assert future.result() in pids
        assert len(pids - {os.getpid()}) == 2
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            wait_for_end(psutil.Process(pid))
    assert not list(tmp_path.glob(".cluster/*/address.json"))

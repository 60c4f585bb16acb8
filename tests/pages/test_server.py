"""The dashboard as it is served: headers, hosts, frames, errors, and what its process holds."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from email.message import Message
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, sync_playwright
from streamlit.testing.v1 import AppTest

from core import cluster
from core.errors import UserError
from pages.parts import server
from tests.pages.browser import CHROMIUM, FLAGS, PAGES, idle, sound
from tests.pages.conftest import PROJECT

BROKEN = """
import streamlit as st
from core.errors import UserError
from pages.parts import server
if st.runtime.exists():
    st.markdown("drawn")
    if st.query_params.get("why") == "user":
        raise UserError("a.csv", "is damaged", "Save it again")
    raise RuntimeError("a secret of /home/somebody")
else:
    app = st.App(
        __file__, middleware=server.MIDDLEWARE, lifespan=server.warm, on_script_error=server.tell
    )
"""


def serve(script: Path, workspace: Path, log: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Serve a script as ``make run`` does, with this project's settings."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as written:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "streamlit", "run", str(script)),
                *("--server.headless=true", f"--server.port={port}"),
            ],
            cwd=PROJECT,
            env={
                **os.environ,
                "CARDIOTWIN_WORKSPACE": str(workspace),
                "PYTHONPATH": str(PROJECT),
            },
            stdout=written,
            stderr=written,
        )
    try:
        for _ in range(240):
            try:
                get(f"http://127.0.0.1:{port}/_stcore/health")
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail(log.read_text())
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)
        cluster.stop(workspace)


def get(url: str, **headers: str) -> tuple[int, Message, str]:
    """Return status, headers and text of an answer."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


@pytest.fixture(scope="module")
def served(
    prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, psutil.Process]]:
    """The dashboard on a workspace with one prepared study."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(prepared, folder / "workspace" / "studies" / "tiny")
    yield from serve(PROJECT / "app.py", folder / "workspace", folder / "log.txt")


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A script that raises, and the server's log."""
    script = tmp_path / "broken.py"
    script.write_text(BROKEN)
    log = tmp_path / "log.txt"
    for address, _ in serve(script, tmp_path / "workspace", log):
        yield address, log


@pytest.fixture
def page() -> Iterator[Page]:
    """A tab of headless Chromium; skipped without it, but an error in CI."""
    if not CHROMIUM.exists():
        if os.environ.get("CARDIOTWIN_REQUIRE_DATA"):
            pytest.fail(f"there is no {CHROMIUM}")
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser.new_context(reduced_motion="reduce").new_page()
        browser.close()


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/training", "/favicon.png"])
def test_every_answer_bears_the_security_headers(
    served: tuple[str, psutil.Process], path: str
) -> None:
    status, headers, _ = get(served[0] + path)
    assert status == 200
    for name, value in server.headers().items():
        assert headers[name] == value
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "http" not in policy, "nothing from another server"
    assert headers["X-Frame-Options"] == "DENY"


def test_it_listens_on_this_machine_alone(served: tuple[str, psutil.Process]) -> None:
    listening = {c.laddr.ip for c in served[1].net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example"])
def test_a_name_that_is_not_its_own_is_refused(
    served: tuple[str, psutil.Process], host: str
) -> None:
    status, _, text = get(served[0], Host=host)
    assert status == 400
    assert "server.allowedHosts" in text
    assert get(served[0], Host="localhost:8501")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
def test_a_socket_is_not_opened_for_pages_of_another_origin(
    served: tuple[str, psutil.Process], origin: str
) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for asked, status in ((origin, 403), (served[0], 101)):
        with closing(http.client.HTTPConnection(served[0].split("/")[2], timeout=10)) as line:
            line.request("GET", "/_stcore/stream", headers=upgrade | {"Origin": asked})
            assert line.getresponse().status == status


@pytest.mark.browser
def test_pages_keep_to_the_policy_and_ask_nobody_else(
    served: tuple[str, psutil.Process], page: Page
) -> None:
    address, process = served
    refused: list[str] = []
    hosts: set[str] = set()
    page.on("pageerror", lambda error: refused.append(str(error)))
    page.on(
        "console",
        lambda m: refused.append(m.text) if "Content Security Policy" in m.text else None,
    )
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    for name in PAGES:
        page.goto(f"{address}/{'' if name == 'Overview' else name.lower()}")
        page.get_by_test_id("stMain").get_by_role("heading", name=name, exact=True).wait_for()
        idle(page)
        sound(page)
        for tab in page.get_by_role("tab").all():
            tab.click()
            idle(page)
            sound(page)
    assert refused == []
    assert {host for host in hosts if host} == {address.split("/")[2]}
    libraries = {m.path for m in process.memory_maps()}
    assert not [path for path in libraries if "/tensorflow/" in path]


@pytest.mark.browser
def test_no_page_can_put_it_into_a_frame(served: tuple[str, psutil.Process], page: Page) -> None:
    page.set_content(f'<iframe src="{served[0]}"></iframe>')
    page.wait_for_timeout(1_000)
    assert "chrome-error" in page.frames[1].url or page.frames[1].url == "about:blank"


@pytest.mark.browser
def test_an_error_is_one_sentence_and_its_trace_is_in_the_log(
    broken: tuple[str, Path], page: Page
) -> None:
    address, log = broken
    page.goto(address)
    said = page.get_by_test_id("stAlertContentError")
    said.wait_for()
    assert page.get_by_test_id("stException").count() == 0
    text = said.inner_text()
    assert "Something went wrong here (error " in text
    number = text.split("(error ")[1][:8]
    shown = page.content()
    assert "Traceback" not in shown
    assert "secret" not in shown
    assert "broken.py" not in shown
    assert f"Error {number}" in log.read_text()
    assert "RuntimeError: a secret" in log.read_text()

    page.goto(f"{address}/?why=user")
    page.get_by_text("a.csv: is damaged. Save it again.").wait_for()


def test_the_policy_allows_an_inline_script_by_its_hash_alone(tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text("<script>\nlet a = 1\n</script><script src='a.js'></script>")
    told = server.policy(index)
    assert told.count("'sha256-") == 1
    assert told != server.policy()
    assert "script-src 'self' 'sha256-" in told


def _fail(user: bool) -> None:
    import streamlit as st

    from core.errors import UserError
    from pages.parts import server

    error = UserError("a.csv", "is damaged", "Save it again") if user else ValueError("secret")
    st.session_state["shown"] = server.tell(error)


@pytest.mark.parametrize("user", [True, False])
def test_what_is_told_of_an_error(user: bool) -> None:
    app = AppTest.from_function(_fail, args=(user,)).run()
    assert app.session_state["shown"] is True
    told = app.error[0].value
    if user:
        assert told == str(UserError("a.csv", "is damaged", "Save it again"))
    else:
        assert "Something went wrong" in told
        assert "secret" not in told

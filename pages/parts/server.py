"""The dashboard's script -> what serves it: security headers, hosts that may ask, plain errors.

Streamlit sends none of these headers by itself, and asks a look-up service on the internet for this
machine's address when a page of another origin opens its socket: such sockets are refused here.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import importlib
import logging
import os
import re
import secrets
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from core.errors import UserError

INDEX = Path(st.__file__).parent / "static" / "index.html"
WARMED = ("pages.parts.frame", "pages.parts.content", "core.plots.signals")
"""What the first page needs, imported while the browser is still opening."""

NEW_MODULES = 30
"""So many imports since the last time, and it is worth it to set libraries aside again."""

_log = logging.getLogger("cardiotwin")
_set_aside: dict[str, int] = {}

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
"""Arrow's own allocator keeps some 10 MB; it is read when tables are first used, after this."""


def policy(index: Path = INDEX) -> str:
    """Return the content-security policy: from this server alone, and in no frame.

    Streamlit's page has inline scripts, which are allowed by their hashes; its components are
    modules made in the browser (``blob:``); its styles are inline.
    """
    scripts = re.findall(r"<script>(.*?)</script>", index.read_text(encoding="utf-8"), re.DOTALL)
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {hashes} blob:",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "frame-src 'none'",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


@cache
def headers() -> dict[str, str]:
    """Return the headers of every answer, by their names."""
    return {
        "Content-Security-Policy": policy(),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class Guard:
    """Refuse foreign hosts and origins, and add the security headers to every answer.

    A site whose name is made to point to this machine asks with its own name as host; only those of
    ``server.allowedHosts`` are answered. A socket is opened for pages of this server alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = MutableHeaders(scope=message)
                for name, value in headers().items():
                    given[name] = value
            await send(message)

        asked = Headers(scope=scope)
        host = asked.get("host")
        if not is_host_allowed(host):
            words = "This name is not the dashboard's. Add it to server.allowedHosts."
            await PlainTextResponse(words, status_code=400)(scope, receive, send_guarded)
        elif scope["type"] == "websocket" and not _same_origin(asked.get("origin"), host):
            words = "The dashboard is opened from its own address only."
            await PlainTextResponse(words, status_code=403)(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)


def _same_origin(origin: str | None, host: str | None) -> bool:
    return origin is None or urlsplit(origin).netloc == host


def tell(error: Exception) -> bool:
    """Show an error of a script as one sentence; what raised it is in the server's log."""
    if isinstance(error, UserError):
        st.error(str(error))
        return True
    number = secrets.token_hex(4)
    _log.error("Error %s is the one above: %r", number, error)
    st.error(
        f"Something went wrong here (error {number}). Reload the page; if it stays, "
        "the server's log tells more under this number."
    )
    return True


@asynccontextmanager
async def warm(_app: Any) -> AsyncIterator[None]:
    """Import what the first page needs while the server is already answering."""
    threading.Thread(target=_import, args=WARMED, daemon=True).start()
    yield


def _import(*names: str) -> None:
    for name in names:
        importlib.import_module(name)
    _set_aside["modules"] = 0
    set_libraries_aside()


def set_libraries_aside() -> None:
    """Take imported libraries out of garbage collection, if many are new; in a server alone.

    Streamlit collects after every run of a script, before the page hears that it has ended: with
    the objects of the libraries among it, that takes longer than the script.
    """
    if "modules" in _set_aside and len(sys.modules) - _set_aside["modules"] > NEW_MODULES:
        _set_aside["modules"] = len(sys.modules)
        gc.collect()
        gc.freeze()


MIDDLEWARE = (Middleware(Guard),)

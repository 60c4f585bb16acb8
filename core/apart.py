"""Short heavy work -> processes beside the caller's, which never loads what the work needs.

Filters, delineation, t-SNE and printing need libraries that make a dashboard half as large again.
Work of minutes is for `core.jobs` instead.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import ModuleType
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Told = TypeVar("Told")

PROCESSES = 2
"""One may be busy for seconds while the other answers at once."""

_lock = threading.Lock()
_pool: ProcessPoolExecutor | None = None


def begin(
    function: Callable[Given, Told], *args: Given.args, **kwargs: Given.kwargs
) -> Future[Told]:
    """Begin a call of a module's function in another process.

    Args:
        function: Of a module; what it is given and returns is copied from process to process.
        *args: What it is given.
        **kwargs: What it is given by name.

    Returns:
        What its result, or what it raised, can be had from.
    """
    global _pool
    with _lock, _without_main():
        try:
            if _pool is not None:
                return _pool.submit(function, *args, **kwargs)
        except BrokenProcessPool:
            pass
        _pool = ProcessPoolExecutor(
            PROCESSES, multiprocessing.get_context("spawn"), initializer=_end_with_parent
        )
        atexit.register(_pool.shutdown, cancel_futures=True)
        return _pool.submit(function, *args, **kwargs)


def run(function: Callable[Given, Told], *args: Given.args, **kwargs: Given.kwargs) -> Told:
    """Call a module's function in another process, and return or raise what it does.

    A process that was ended from outside, as by lack of memory, is replaced and asked once more.

    Args:
        function: Of a module; what it is given and returns is copied from process to process.
        *args: What it is given.
        **kwargs: What it is given by name.
    """
    try:
        return begin(function, *args, **kwargs).result()
    except BrokenProcessPool:
        return begin(function, *args, **kwargs).result()


@contextmanager
def _without_main() -> Iterator[None]:
    """Let processes that begin meanwhile not run the main script, as they do by default.

    In a dashboard that is the script of a page, which needs its server and all its libraries.
    """
    main, none = sys.modules["__main__"], ModuleType("__main__")
    sys.modules["__main__"] = none
    try:
        yield
    finally:
        if sys.modules["__main__"] is none:
            sys.modules["__main__"] = main


def _end_with_parent() -> None:
    """Make a process end when the one that began it has gone, however that ended."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()

"""Work in processes beside this one: the same answers, errors that can be read, no lasting harm."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest

from core import apart
from core.errors import UserError
from core.projection import tsne
from core.readers import read_recording


def test_it_answers_as_here_but_from_another_process() -> None:
    beats = np.random.default_rng(0).standard_normal((20, 30, 1)).astype(np.float32)
    assert np.array_equal(apart.run(tsne, beats, seed=1), tsne(beats, seed=1))
    assert apart.run(os.getpid) != os.getpid()


def test_an_error_of_the_user_comes_back_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none"):
        apart.run(read_recording, tmp_path / "none.edf")


def test_a_killed_process_is_replaced() -> None:
    for process in psutil.Process().children():
        if process.pid == apart.run(os.getpid):
            process.send_signal(signal.SIGKILL)
    assert apart.run(abs, -3) == 3


def test_the_main_script_is_not_run_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "page.py"
    script.write_text("raise SystemExit('a page was run without its server')", encoding="utf-8")
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setattr(apart, "_pool", None)
    assert apart.run(abs, -2) == 2
    assert sys.modules["__main__"] is main

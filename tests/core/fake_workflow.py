"""Workflow functions that do nothing but wait, report and fail, for the tests of jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.progress import Progress, Report


def train(
    study: str, *, epochs: int = 3, seconds: float = 0.0, die_at: int = -1, report: Report
) -> dict[str, Any]:
    """Count epochs in a checkpoint and go on from it; at ``die_at`` the process dies, once."""
    checkpoint = Path(study) / "checkpoint"
    begun_at = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(begun_at, epochs):
        report(Progress("train gan", epoch + 1, epochs, {"loss": 1 / (epoch + 1)}))
        if epoch == die_at and begun_at == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        checkpoint.write_text(str(epoch + 1))
        time.sleep(seconds)
    return {"begun_at": begun_at, "epochs": epochs, "worst": float("nan")}


def prepare(sources: list[str], study: str, *, report: Report) -> dict[str, Any]:
    """Return what arrived."""
    return {"sources": sources, "study": study, "pid": os.getpid()}


def generate(study: str, *, out: str = "", report: Report) -> dict[str, Any]:
    """Return the process that did it."""
    return {"pid": os.getpid()}


def identify(study: str, files: list[str], *, report: Report) -> None:
    """Fail as the user's fault."""
    raise UserError("rec_1.dat", "is empty", "Give another file")


def authenticate(study: str, file: str, *, report: Report) -> None:
    """Fail as a bug does."""
    raise ZeroDivisionError("a secret detail")


def tune(study: str, *, seconds: float, report: Report) -> None:
    """Report once, then do something long that hears nothing, in a process of its own as well."""
    child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
    (Path(study) / "child").write_text(str(child.pid))
    report(Progress("search", 1, 2))
    child.wait()

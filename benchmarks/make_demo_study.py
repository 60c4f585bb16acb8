"""The demo cohort -> the trained demo study that comes with the dashboard.

    python -m benchmarks.make_demo_study

Prepares 12 subjects of ``assets/demo``, trains every model quickly with seed 0, evaluates, and puts
the study in ``assets/demo_study``, where an older one may stand. It takes a few minutes. The other
subjects are strangers to the study: to try "cannot tell" and to enroll.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from core import workflow
from core.progress import Progress

ROOT = Path(__file__).resolve().parents[1]
SEED = 0
SUBJECTS = 12


def _show(progress: Progress) -> None:
    if progress.done == progress.total:
        sys.stderr.write(f"{progress.stage}\n")


def main() -> None:
    """Make the study beside its place, then put it there."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(dir=ROOT / "assets") as temporary:
        study = Path(temporary) / "demo_study"
        cohort = sorted(Path("assets/demo").iterdir())[:SUBJECTS]
        workflow.prepare(cohort, study, name=workflow.DEMO_NAME, report=_show)
        workflow.train(study, preset="quick", seed=SEED, report=_show)
        workflow.evaluate(study, seed=SEED, report=_show)
        final = ROOT / "assets" / "demo_study"
        shutil.rmtree(final, ignore_errors=True)
        (study / ".lock").unlink(missing_ok=True)
        study.rename(final)


if __name__ == "__main__":
    main()

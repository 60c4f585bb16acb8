"""The demo cohort -> the trained demo study that comes with the dashboard.

    python -m benchmarks.make_demo_study

Prepares 12 subjects of ``assets/demo``, trains every model quickly with seed 0, evaluates,
generates beats of everybody, and puts the study in ``assets/demo_study``, where an older one may
stand. It takes a few minutes. The other subjects are strangers to the study: to try "cannot tell"
and to enroll.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from core import workflow
from core.progress import Progress
from core.study import Study, write_json

ROOT = Path(__file__).resolve().parents[1]
SEED = 0
SUBJECTS = 12
BEATS = 20
"""Of each subject, that are generated."""


def _show(progress: Progress) -> None:
    if progress.done == progress.total:
        sys.stderr.write(f"{progress.stage}\n")


def _generate(study: Path) -> None:
    """Generate beats of everybody, as a finished job of the dashboard."""
    out = Path("exports") / "generated-gan-everybody.npz"
    (study / out).parent.mkdir()
    subjects = Study.open(study).subjects
    asked = {"model": "gan", "subjects": subjects, "per_subject": BEATS, "days": "recorded"}
    result = workflow.generate(study, study / out, **asked, seed=SEED, report=_show)
    job = study / "runs" / "20260101-000000-000000-abcdef"
    job.mkdir(parents=True)
    arguments = {"study": ".", "out": str(out), **asked, "seed": SEED}
    told = {
        "job": {"verb": "generate", "arguments": arguments, "workspace": ".", "created": 0},
        "state": {"status": "done", "attempt": 1, "queued": 0, "finished": 0},
        "result": {**result, "file": str(out)},
    }
    for name, content in told.items():
        write_json(job / f"{name}.json", content)


def main() -> None:
    """Make the study beside its place, then put it there."""
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory(dir=ROOT / "assets") as temporary:
        study = Path(temporary) / "demo_study"
        cohort = sorted(Path("assets/demo").iterdir())[:SUBJECTS]
        workflow.prepare(cohort, study, name=workflow.DEMO_NAME, report=_show)
        workflow.train(study, preset="quick", seed=SEED, report=_show)
        workflow.evaluate(study, seed=SEED, report=_show)
        _generate(study)
        final = ROOT / "assets" / "demo_study"
        shutil.rmtree(final, ignore_errors=True)
        (study / ".lock").unlink(missing_ok=True)
        study.rename(final)


if __name__ == "__main__":
    main()

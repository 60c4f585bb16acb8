"""Workspaces for pages: empty, with a tiny prepared study, with models and jobs as files."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import jobs, workflow
from core.beat_set import BeatSet, write_beats
from core.options import MODEL_FORMATS, MODEL_NAMES
from core.study import Study
from pages.parts import workspace as places

PROJECT = Path(__file__).resolve().parents[2]
DEMO_RECORDINGS = PROJECT / "assets" / "demo"
PAGES = (
    *("overview", "recordings", "trace", "explore", "training"),
    *("generation", "authenticity", "identification", "report"),
)


@dataclass
class Submitted:
    """What pages asked for; each becomes the files of a job that waits."""

    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def verbs(self) -> list[str]:
        return [verb for _, verb, _ in self.calls]

    def of(self, verb: str) -> dict[str, Any]:
        return next(arguments for _, v, arguments in reversed(self.calls) if v == verb)


def write_job(
    folder: Path,
    verb: str,
    arguments: dict[str, Any],
    *,
    status: str = "done",
    result: Any = None,
    message: str = "",
    metrics: list[dict[str, float]] | None = None,
) -> str:
    """Write the files of a job, as `core.jobs` documents them."""
    taken = len(list((folder / "runs").glob("*"))) if (folder / "runs").is_dir() else 0
    job = folder / "runs" / f"20260101-000000-{taken:06d}-abcdef"
    job.mkdir(parents=True)
    now = time.time()
    state = {
        "status": status,
        "attempt": 1,
        "queued": now,
        "message": message,
        "stage": f"{verb} it",
        "done": 3,
        "total": 10,
    }
    if status == "running":
        from core import cluster

        state |= {"started": now, "worker": cluster.this_process()}
        (job / "heartbeat").touch()
    description = {"verb": verb, "arguments": arguments, "workspace": ".", "created": now}
    (job / "job.json").write_text(json.dumps(description))
    (job / "state.json").write_text(json.dumps(state))
    if result is not None:
        (job / "result.json").write_text(json.dumps(result))
    lines = [
        json.dumps(
            {"time": now, "stage": "train gan", "done": i, "total": 9, "metrics": m, "run": 1}
        )
        for i, m in enumerate(metrics or [])
    ]
    (job / "progress.jsonl").write_text("\n".join(lines))
    return job.name


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """Streamlit collects garbage after every run: leave out what the tests before have loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace in which nothing was begun yet."""
    monkeypatch.setenv(places.WORKSPACE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(places, "SHIPPED_DEMO", tmp_path / "none")
    monkeypatch.syspath_prepend(str(PROJECT))
    return tmp_path


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> Submitted:
    """Jobs are written as files that wait, and no worker is started."""
    record = Submitted()

    def submit(folder: Path, verb: str, arguments: dict[str, Any], *, workspace: Path) -> str:
        record.calls.append((Path(folder).name, verb, dict(arguments)))
        return write_job(Path(folder), verb, json.loads(json.dumps(arguments)), status="queued")

    monkeypatch.setattr(jobs, "submit", submit)
    return record


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects of the demo cohort, prepared once."""
    source = tmp_path_factory.mktemp("source")
    for name in ("S01", "S02", "S03"):
        shutil.copytree(DEMO_RECORDINGS / name, source / name)
    folder = tmp_path_factory.mktemp("prepared") / "tiny"
    workflow.prepare([source], folder, name="Tiny")
    return folder


@pytest.fixture
def study(workspace: Path, prepared: Path, submitted: Submitted) -> Path:
    """The tiny study in a workspace."""
    folder = workspace / "studies" / "tiny"
    shutil.copytree(prepared, folder)
    return folder


@pytest.fixture
def trained(study: Path) -> Path:
    """The tiny study with cards of models that were never trained, and finished jobs."""
    for name in MODEL_NAMES:
        folder = study / "models" / name
        folder.mkdir(parents=True)
        card: dict[str, Any] = {"preset": "quick", "seed": 0, "protocol": "as told"}
        card["recipe"] = {"format": MODEL_FORMATS[name]}
        if name == "authenticity":
            card |= {"accuracy": 0.61, "auc": 0.64, "brier": 0.24}
            card["kinds"] = {"spliced": {"auc": 0.93}, "gan": {"auc": 0.52}}
        if name == "identifier":
            card["identifier"] = {
                "target": "subject",
                "classes": ["S01", "S02", "S03"],
                "method": "joined",
                "threshold": 0.5,
                "false_accept_rate": 0.01,
                "selection": {"rank_1": {"joined": 0.95, "lda": 0.9}},
            }
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "history.json").write_text(json.dumps([{"loss": 2.0}, {"loss": 1.0}]))
    (study / "exports").mkdir()
    out = study / "exports" / "generated.npz"
    real = Study.open(study).beats("train")
    write_beats(
        BeatSet.build(
            real.signals[:20] + np.float32(0.01),
            sampling_rate=real.sampling_rate,
            before_s=real.before_s,
            leads=real.leads,
            subject="S01",
            synthetic=np.ones(20, dtype=np.bool_),
        ),
        out,
    )
    asked = {"model": "gan", "subjects": ["S01"], "per_subject": 20, "days": "recorded", "seed": 0}
    write_job(study, "generate", {"study": str(study), "out": str(out), **asked}, result={})
    write_job(
        study,
        "authenticate",
        {"study": str(study), "file": str(out)},
        result={"beats": [0.9, 0.8, 0.4], "synthetic": True},
    )
    write_job(
        study,
        "identify",
        {"study": str(study), "files": [str(out)]},
        result={"results": [answer(out)]},
    )
    return study


def answer(path: Path, **changes: Any) -> dict[str, Any]:
    """Return what `workflow.identify` says of one file."""
    return {
        "file": str(path),
        "beats": 20,
        "predicted": "S02",
        "score": 0.93,
        "probability": 0.87,
        "accepted": True,
        "scores": {"S01": -1.0, "S02": 0.93, "S03": -2.0},
        "reason": "",
    } | changes


@pytest.fixture
def open_page(workspace: Path) -> Callable[..., AppTest]:
    """Open a page of the dashboard; it must not raise, and bears the notice."""

    def open_(name: str, **state: Any) -> AppTest:
        app = AppTest.from_file(str(PROJECT / "app.py"), default_timeout=60)
        for key, value in state.items():
            app.session_state[key] = value
        app.run()
        if name != "overview":
            app.switch_page(f"pages/{name}.py")
            app.run()
        check(app)
        return app

    return open_


def check(app: AppTest) -> None:
    """Assert that a page did not raise and bears the notice."""
    assert not app.exception, app.exception[0].value
    assert "Research use only. Not a medical device." in [c.value for c in app.caption]


def words(app: AppTest) -> str:
    """Return all text that a page shows."""
    kinds = ("title", "header", "markdown", "caption", "info", "warning", "error", "success")
    return "\n".join(str(e.value) for kind in kinds for e in app.get(kind))


def chart(app: AppTest, number: int = 0) -> dict[str, Any]:
    """Return the figure of a chart as Plotly has it."""
    spec = json.loads(app.get("plotly_chart")[number].proto.spec)
    assert isinstance(spec, dict)
    return spec


def linked(app: AppTest) -> dict[str, Any]:
    """Return the option of the panels that share one cursor, as ECharts has it."""
    spec = json.loads(app.get("echarts_chart")[0].proto.spec)
    assert isinstance(spec, dict)
    return spec

"""Fixtures that several tests share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from core import workflow

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the browser's journeys first: they are the longest, and workers should end together."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings beside the project; skipped without them, but an error in CI."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    message = f"no real recordings at {SHARED_DATA}"
    if os.environ.get("CARDIOTWIN_REQUIRE_DATA"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def demo_recordings() -> Path:
    """The simulated cohort that comes with the project."""
    return Path(__file__).resolve().parents[1] / "assets" / "demo"


@pytest.fixture(scope="session")
def prepared_study(tmp_path_factory: pytest.TempPathFactory, demo_recordings: Path) -> Path:
    """A study of four simulated subjects, two recordings each; tests only read it."""
    folder = tmp_path_factory.mktemp("prepared") / "study"
    workflow.prepare([demo_recordings / f"S{i:02d}" for i in range(1, 5)], folder)
    return folder


@pytest.fixture(scope="session")
def trained_study(tmp_path_factory: pytest.TempPathFactory, prepared_study: Path) -> Path:
    """The same study with every model trained quickly; tests only read it."""
    folder = tmp_path_factory.mktemp("trained") / "study"
    shutil.copytree(prepared_study, folder)
    workflow.train(folder, preset="quick")
    return folder

"""Fixtures that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real recordings beside the project; skipped without them, but an error in CI."""
    if SHARED_DATA.is_dir():
        return SHARED_DATA
    message = f"no real recordings at {SHARED_DATA}"
    if os.environ.get("CARDIOTWIN_REQUIRE_DATA"):
        pytest.fail(message)
    pytest.skip(message)

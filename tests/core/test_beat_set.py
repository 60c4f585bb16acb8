"""Files of beats: whole whoever writes them, and read again as they were."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from core.beat_set import read_beats, write_beats
from core.study import Study

DEMO_STUDY = Path(__file__).resolve().parents[2] / "assets" / "demo_study"


def test_two_threads_that_write_the_same_file_leave_it_whole(tmp_path: Path) -> None:
    beats = Study.open(DEMO_STUDY).beats("test")
    out = tmp_path / "beats.npz"

    def write_and_read() -> bool:
        found = []
        for _ in range(5):
            write_beats(beats, out)
            found.append(np.array_equal(read_beats(out).signals, beats.signals))
        return all(found)

    with ThreadPoolExecutor(2) as pool:
        assert all(one.result() for one in [pool.submit(write_and_read) for _ in range(2)])
    assert [path.name for path in tmp_path.iterdir()] == ["beats.npz"]

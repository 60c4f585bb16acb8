"""Time of preparing a folder of recordings, beside NeuroKit2's ``ecg_process`` on the same signals.

    python benchmarks/preparing.py FOLDER [--json]

Protocol: one process, one thread, one run of each, one after the other in this order. Imports and
one warm-up call of each (on the first recording) stay apart. Three are timed, in seconds of the
clock and of the processor, the second of which does not mind what else the machine does:

- ``neurokit2``: ``neurokit2.ecg_process`` on the chosen lead of each recording, read before, at the
  file's own rate, with its defaults; a recording on which it raises is counted as failed, and its
  time, up to then, counts.
- ``preprocess``: `core.preprocessing.pipeline.preprocess` on the same recordings, read before:
  resampling, filters, R peaks, beats, features, quality.
- ``prepare``: `core.preparing.prepare` on the folder, into a temporary folder: reading all files,
  the above, and writing the study.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import neurokit2
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.options import PrepareOptions
from core.preparing import prepare
from core.preprocessing.leads import choose_leads
from core.preprocessing.pipeline import preprocess
from core.readers import find_recordings, read_recording
from core.recording import Recording

TARGET = 20.0
"""How many times faster than NeuroKit2 `prepare` is to be."""


def main() -> None:
    """Print the figures for the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        figures = measure(arguments.folder)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{figures['recordings']} recordings, {figures['hours']:.2f} h of signal, one lead")
    for name in ("neurokit2", "preprocess", "prepare"):
        one = figures[name]
        print(
            f"{name:11} {one['wall_s']:8.2f} s {one['cpu_s']:8.2f} s of processor "
            f"{one['wall_s'] / figures['recordings'] * 1000:8.1f} ms a recording "
            f"{one['failed']:3d} failed {one['times_faster']:6.1f} x "
            f"({one['times_faster_cpu']:.1f} x by processor time)"
        )
    print(f"target: prepare {TARGET:g} times faster than neurokit2")


def measure(folder: Path) -> dict[str, Any]:
    """Return the figures for a folder of recordings."""
    options = PrepareOptions()
    sources = [s for s in find_recordings([folder]) if s.kind == "recording"]
    recordings = [read_recording(source.path) for source in sources]

    def peer(recording: Recording) -> None:
        lead = choose_leads(recording.leads, None, units=recording.units)[0]
        neurokit2.ecg_process(recording.signal[:, lead], sampling_rate=recording.sampling_rate)

    def ours(recording: Recording) -> None:
        preprocess(recording, options)

    figures: dict[str, Any] = {
        "recordings": len(recordings),
        "hours": sum(r.duration for r in recordings) / 3600,
    }
    timed = {
        "neurokit2": _timed_each(peer, recordings),
        "preprocess": _timed_each(ours, recordings),
    }
    with tempfile.TemporaryDirectory() as scratch:
        prepare([sources[0].path], Path(scratch) / "warm-up", options=options)
        timed["prepare"] = _timed(lambda: prepare([folder], Path(scratch) / "study"))
    for name, one in timed.items():
        figures[name] = one | {
            "times_faster": timed["neurokit2"]["wall_s"] / one["wall_s"],
            "times_faster_cpu": timed["neurokit2"]["cpu_s"] / one["cpu_s"],
        }
    return figures


def _timed_each(
    work: Callable[[Recording], None], recordings: list[Recording]
) -> dict[str, float | int]:
    work(recordings[0])
    failed = 0

    def all_of_them() -> None:
        nonlocal failed
        for recording in recordings:
            try:
                work(recording)
            except Exception:  # whatever a peer raises, on artefact recordings
                failed += 1

    seconds = _timed(all_of_them)
    return seconds | {"failed": failed}


def _timed(work: Callable[[], object]) -> dict[str, float | int]:
    wall, cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu, "failed": 0}


if __name__ == "__main__":
    main()

"""ECG-ID recordings -> does training on generated beats, too, help to name people on another day?

The gallery is each subject's first day; probes are the recordings of later days. The identifier is
trained on the real beats alone, then with as many beats again from each generator, which stand
beside them as one more recording of each subject and are in no template. Same seeds of identifier
and draws, so differences are paired; the generators are trained once, with seed 0.

    python benchmarks/augmented.py FOLDER [--seeds 5] [--days recorded,new] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.identification import people_of, probe_beats
from core.beat_set import BeatSet
from core.evaluation.identification import bootstrap_interval
from core.generating import GENERATORS, draw_beats
from core.models.cnn_lstm import Identifier
from core.study import Study
from core.workflow import prepare, train

UNITS = {"beat": 1, "five beats": 5}


def hits(identifier: Identifier, probes: BeatSet) -> dict[str, tuple[Any, Any]]:
    """Return, for single beats and means of five, which are named rightly, and whose they are."""
    subject_of = dict(zip(probes.recording, probes.subject, strict=True))
    found = {}
    for unit, size in UNITS.items():
        owners = np.asarray([subject_of[name] for name in identifier.runs(probes, size)])
        best = identifier.beat_scores(probes, in_a_row=size).argmax(axis=1)
        found[unit] = (np.asarray(identifier.classes)[best] == owners, owners)
    return found


def measure(folder: Path, *, seeds: int, days: list[str]) -> list[dict[str, Any]]:
    """Return a row a generator, kind of days and unit: the mean over seeds and its interval."""
    people = people_of(folder)
    with tempfile.TemporaryDirectory() as workspace:
        study_folder = Path(workspace) / "study"
        prepare(people.first_day(), study_folder, options={"split": "none"})
        train(study_folder, models=["autoencoder", "mixture", "gan"], seed=0)
        study = Study.open(study_folder)
        real = study.beats("train")
        probes, _ = probe_beats(study, people.later_days())
        more = {"real alone": None} | {f"{m}, {d} days": (m, d) for m in GENERATORS for d in days}
        named: dict[tuple[str, str], list[Any]] = {}
        subjects: dict[str, Any] = {}
        for seed in range(seeds):
            for name, which in more.items():
                extra = None
                if which is not None:
                    model, kind = which
                    extra = draw_beats(study, model, real.subject, seed=seed, days=kind)
                learned = Identifier.fit(real, seed=seed, calibrate=False, extra=extra)
                for unit, (right, owners) in hits(learned, probes).items():
                    named.setdefault((name, unit), []).append(right)
                    subjects[unit] = owners
                print(seed, name, named[name, "beat"][-1].mean(), file=sys.stderr, flush=True)
    rows = []
    for (name, unit), runs in named.items():
        right = np.mean(runs, axis=0)
        gain = right - np.mean(named["real alone", unit], axis=0)
        rows.append(
            {
                "train": name,
                "unit": unit,
                "rank_1": float(right.mean()),
                "seeds": [float(run.mean()) for run in runs],
                "difference": float(gain.mean()),
                "interval": bootstrap_interval(
                    lambda at, gain=gain: float(gain[at].mean()), subjects[unit], seed=0
                ),
            }
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder a subject, of WFDB recordings")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--days", default="recorded,new", help="of the generated beats")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments.folder, seeds=arguments.seeds, days=arguments.days.split(","))
    print("first day -> later days; difference from real alone, 95 % over subjects")
    for row in rows:
        low, high = row["interval"] or (float("nan"), float("nan"))
        print(
            f"{row['train']:24}{row['unit']:12}rank-1 {row['rank_1']:.4f} "
            f"({min(row['seeds']):.4f}-{max(row['seeds']):.4f})  "
            f"difference {row['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

"""ECG-ID recordings -> rank-1 and EER of the identifier, its parts and the yardsticks.

Two protocols, end to end through `core.workflow`: the gallery is prepared with ``--split none`` and
trained, the probes are read as ``identify`` reads them.

    same day    gallery: the first recording of each subject; probes: the second ones
    other days  gallery: the same; probes: all recordings of later days

    python benchmarks/identification.py FOLDER [--seeds 3] [--preset full] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.beat_set import BeatSet, concatenate
from core.errors import UserError
from core.evaluation.identification import METHOD_WORDS, UNITS, evaluate_identifier
from core.generating import load_model
from core.readers import read_recording
from core.study import Study
from core.workflow import identify, prepare, read_probe, train


def natural(path: Path) -> list[Any]:
    """Return a key that puts rec_2 before rec_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def recordings_of(folder: Path) -> dict[str, list[Path]]:
    """Return the WFDB headers of each subject's folder, in natural order."""
    return {
        subject.name: sorted(subject.glob("*.hea"), key=natural)
        for subject in sorted(folder.iterdir())
        if subject.is_dir()
    }


def probe_beats(study: Study, files: list[Path]) -> tuple[BeatSet, list[str]]:
    """Return the kept beats of the files as ``identify`` sees them, and what was wrong."""
    sets, remarks = [], []
    for file in files:
        try:
            beats, reason = read_probe(study, file)
        except UserError as error:
            remarks.append(str(error))
            continue
        name = f"{file.parent.name}/{file.stem}"
        remarks += [f"{name}: {reason}"] if reason else []
        text = {
            "subject": np.full(len(beats), file.parent.name),
            "recording": np.full(len(beats), name),
        }
        sets.append(replace(beats, **text))
    return concatenate(sets), remarks


def measure(folder: Path, workspace: Path, *, seed: int, preset: str) -> dict[str, Any]:
    """Return the figures of both protocols for one seed."""
    people = recordings_of(folder)
    gallery = [files[0] for files in people.values()]
    second = [files[1] for files in people.values() if len(files) > 1]
    days = {f: read_recording(f).session for files in people.values() for f in files}
    later = [f for files in people.values() for f in files if days[f] != days[files[0]]]

    prepare(gallery, workspace, options={"split": "none"})
    began, cpu = time.perf_counter(), time.process_time()
    train(workspace, models=["identifier"], preset=preset, seed=seed)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    study = Study.open(workspace)
    identifier = load_model(study, "identifier")
    result: dict[str, Any] = {"seed": seed, "train_s": seconds, "train_cpu_s": cpu_seconds}
    for name, files in (("same day", second), ("other days", later)):
        if not files:
            continue
        probes, remarks = probe_beats(study, files)
        figures = evaluate_identifier(identifier, probes, protocol=name)
        answers = identify(workspace, files)["results"]
        named = [a["predicted"] == f.parent.name for a, f in zip(answers, files, strict=True)]
        accepted = [a["accepted"] for a in answers]
        figures["identify"] = {
            "files": len(files),
            "named_rightly": float(np.mean(named)),
            "accepted": float(np.mean(accepted)),
            "remarks": remarks,
        }
        result[name] = figures
    return result


def show(results: list[dict[str, Any]]) -> None:
    """Print a table a protocol: the mean over seeds, and the least and largest rank-1."""
    for protocol in ("same day", "other days"):
        runs = [r[protocol] for r in results if protocol in r]
        if not runs:
            continue
        one = runs[0]
        print(
            f"\n{protocol}: {one['enrolled']} enrolled by one recording each; probes: "
            f"{one['recordings']} recordings, {one['subjects']} subjects, {one['beats']} beats; "
            f"{len(runs)} seeds"
        )
        print(f"{'':28}" + "".join(f"{unit + ' rank-1':>26}{'EER':>8}" for unit in UNITS))
        for method, words in METHOD_WORDS.items():
            line = f"{words:28}"
            for unit in UNITS:
                rank = [run["methods"][method][unit]["rank_1"] for run in runs]
                eer = np.mean([run["methods"][method][unit]["eer"] for run in runs])
                spread = f"{np.mean(rank):.3f} ({min(rank):.3f}-{max(rank):.3f})"
                line += f"{spread:>26}{eer:8.4f}"
            print(line)
        ends = one["methods"]["joined"]["beat"]["rank_1_interval"]
        print(f"95 % over subjects, by beat, seed {results[0]['seed']}: {ends}")
        dealt = one["shuffled"]
        print(f"subjects dealt anew: {dealt['rank_1']:.3f}, chance {dealt['chance']:.3f}")
        for run in runs:
            told = run["identify"]
            print(
                f"identify: {told['named_rightly']:.3f} of {told['files']} files named rightly, "
                f"{told['accepted']:.3f} accepted; {'; '.join(told['remarks'])}"
            )
    print(
        "\ntrain s (CPU s): "
        + ", ".join(f"{r['train_s']:.0f} ({r['train_cpu_s']:.0f})" for r in results)
    )


def main() -> None:
    """Run the protocols."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder a subject, of WFDB recordings")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", choices=("quick", "full"), default="full")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = []
    for seed in range(arguments.seeds):
        with tempfile.TemporaryDirectory() as workspace:
            results.append(
                measure(
                    arguments.folder,
                    Path(workspace) / "study",
                    seed=seed,
                    preset=arguments.preset,
                )
            )
    show(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

"""ECG-ID recordings -> how well people are identified, from one day to the next and with strangers.

Every protocol goes end to end through `core.workflow`: galleries are prepared with ``--split none``
and trained, probes are read as ``identify`` reads them. Nothing of a probe is seen before.

    same-day    gallery: the first recording of each subject; probes: the second ones
    later-days  gallery: all recordings of the first day; probes: those of later days
    thirds      embedding learned on two thirds of the subjects, by their first recording; the other
                third are strangers, then enrolled by one recording, without training: three ways
    few-shot    gallery: five seconds of the first recording; probes: pieces of five seconds of
                the second one, and of later days

    python benchmarks/identification.py FOLDER [--protocols same-day,thirds] [--seeds 5]
        [--preset full] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.beat_set import BeatSet, concatenate
from core.errors import UserError
from core.evaluation.identification import METHOD_WORDS, UNITS, evaluate_identifier
from core.generating import load_model
from core.readers import read_recording
from core.study import Study
from core.workflow import identify, prepare, read_probe, train

THIRDS = 3
PIECE_S = 5
QUOTED = ("rank_1", "rank_1_subject_mean", "eer", "eer_posterior")


@dataclass(frozen=True)
class People:
    """Recordings of each subject, in natural order, and the day of each."""

    files: dict[str, list[Path]]
    day: dict[Path, str]

    def first(self, names: Iterable[str] | None = None) -> list[Path]:
        """Return the first recording of each subject, or of those named."""
        return [self.files[name][0] for name in names or self.files]

    def second(self, names: Iterable[str] | None = None) -> list[Path]:
        """Return the second recording of each subject, or of those named, who has one."""
        return [self.files[n][1] for n in names or self.files if len(self.files[n]) > 1]

    def first_day(self) -> list[Path]:
        """Return all recordings of each subject's first day."""
        return [f for own in self.files.values() for f in own if self.day[f] == self.day[own[0]]]

    def later_days(self) -> list[Path]:
        """Return all recordings of other days."""
        return [f for own in self.files.values() for f in own if self.day[f] != self.day[own[0]]]


def natural(path: Path) -> list[Any]:
    """Return a key that puts rec_2 before rec_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.stem)]


def people_of(folder: Path) -> People:
    """Return the WFDB headers of each subject's folder."""
    files = {
        subject.name: sorted(subject.glob("*.hea"), key=natural)
        for subject in sorted(folder.iterdir())
        if subject.is_dir()
    }
    return People(files, {f: read_recording(f).session for own in files.values() for f in own})


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


def answers(workspace: Path, files: list[Path], enrolled: Iterable[str]) -> dict[str, Any]:
    """Return what ``identify`` says of files: of those enrolled, and of strangers."""
    known = set(enrolled)
    results = identify(workspace, files)["results"]
    own = [
        (a, a["predicted"] == f.parent.name, f.parent.name in known)
        for a, f in zip(results, files, strict=True)
    ]
    of_known = [(a, right) for a, right, mine in own if mine]
    return {
        "enrolled_files": len(of_known),
        "named_rightly": float(np.mean([right for _, right in of_known])) if of_known else None,
        "refused": float(np.mean([not a["accepted"] for a, _ in of_known])) if of_known else None,
        "accepted_wrongly": float(np.mean([a["accepted"] and not r for a, r in of_known]))
        if of_known
        else None,
        "stranger_files": len(own) - len(of_known),
        "strangers_accepted": int(sum(a["accepted"] for a, _, mine in own if not mine)),
    }


def trained(files: list[Path], workspace: Path, *, seed: int, preset: str) -> tuple[Any, float]:
    """Prepare and train on files; return the identifier and the seconds of training."""
    prepare(files, workspace, options={"split": "none", "subject_from": "folder"})
    began = time.perf_counter()
    train(workspace, models=["identifier"], preset=preset, seed=seed)
    return load_model(Study.open(workspace), "identifier"), time.perf_counter() - began


def figures(
    identifier: Any, workspace: Path, files: list[Path], *, protocol: str
) -> dict[str, Any]:
    """Return the figures of an identifier on probes that it never saw."""
    probes, remarks = probe_beats(Study.open(workspace), files)
    result = evaluate_identifier(identifier, probes, protocol=protocol)
    said = answers(workspace, files, identifier.classes)
    return result | {"identify": said, "remarks": remarks, "selection": identifier.selection}


def same_day(people: People, work: Path, *, seed: int, preset: str) -> dict[str, Any]:
    """First recording of each subject -> second."""
    identifier, seconds = trained(people.first(), work, seed=seed, preset=preset)
    found = figures(identifier, work, people.second(), protocol="first recording -> second")
    return {"first -> second": found | {"train_s": seconds}}


def later_days(people: People, work: Path, *, seed: int, preset: str) -> dict[str, Any]:
    """All recordings of the first day -> those of later days."""
    identifier, seconds = trained(people.first_day(), work, seed=seed, preset=preset)
    found = figures(identifier, work, people.later_days(), protocol="first day -> later days")
    return {"first day -> later days": found | {"train_s": seconds}}


def thirds(people: People, work: Path, *, seed: int, preset: str) -> dict[str, Any]:
    """Two thirds of the subjects -> the others: as strangers, then enrolled without training."""
    names = list(people.files)
    results: dict[str, Any] = {}
    for third in range(THIRDS):
        others = names[third::THIRDS]
        learned = [name for name in names if name not in others]
        study = work / str(third)
        identifier, seconds = trained(people.first(learned), study, seed=seed, preset=preset)
        of_strangers = figures(
            identifier, study, people.second(), protocol="strangers among the probes"
        )
        results[f"strangers: third {third}"] = of_strangers | {"train_s": seconds}
        enrolled = []
        for file in people.first(others):
            beats, _ = read_probe(Study.open(study), file)
            enrolled.append((file.parent.name, beats))
        for words, removed, probes in (
            ("enrolled, gallery of the third", learned, people.second(others)),
            ("enrolled, gallery of all", [], people.second(others)),
        ):
            gallery = identifier.with_gallery(enrolled, removed=removed)
            beats, _ = probe_beats(Study.open(study), probes)
            results[f"{words}: third {third}"] = evaluate_identifier(gallery, beats, protocol=words)
    return results


def pieces(files: list[Path], folder: Path, *, most: int | None = None) -> list[Path]:
    """Write pieces of five seconds of WFDB records; return their headers.

    Args:
        files: Headers.
        folder: Where the pieces go, under the name of each file's own folder.
        most: Pieces of each, from its start; all if None.
    """
    written = []
    for file in files:
        record = wfdb.rdrecord(str(file.with_suffix("")), physical=False)
        length = PIECE_S * int(record.fs)
        home = folder / file.parent.name
        home.mkdir(parents=True, exist_ok=True)
        for i in range(min(record.sig_len // length, most or record.sig_len)):
            name = f"{file.stem}_{i}"
            wfdb.wrsamp(
                name,
                fs=record.fs,
                units=record.units,
                sig_name=record.sig_name,
                d_signal=record.d_signal[i * length : (i + 1) * length],
                fmt=record.fmt,
                adc_gain=record.adc_gain,
                baseline=record.baseline,
                write_dir=str(home),
            )
            written.append(home / f"{name}.hea")
    return written


def few_shot(people: People, work: Path, *, seed: int, preset: str) -> dict[str, Any]:
    """Five seconds of each subject -> pieces of five seconds, of the same day and of others."""
    gallery = pieces(people.first(), work / "gallery", most=1)
    identifier, seconds = trained(gallery, work / "study", seed=seed, preset=preset)
    results = {}
    for words, files in (
        ("5 s, within the day", people.second()),
        ("5 s, between days", people.later_days()),
    ):
        probes = pieces(files, work / words)
        results[words] = figures(identifier, work / "study", probes, protocol=words)
        results[words]["train_s"] = seconds
    return results


PROTOCOLS: dict[str, Callable[..., dict[str, Any]]] = {
    "same-day": same_day,
    "later-days": later_days,
    "thirds": thirds,
    "few-shot": few_shot,
}


def spread(values: list[Any]) -> str:
    """Return the mean of a figure over seeds, and its least and largest value."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    return f"{np.mean(known):.4f} ({min(known):.4f}-{max(known):.4f})"


def show(results: list[dict[str, Any]]) -> None:
    """Print a table a protocol: means over seeds, and the least and largest value."""
    for protocol in results[0]:
        runs = [r[protocol] for r in results]
        one = runs[0]
        print(
            f"\n{protocol}: {one['enrolled']} enrolled; probes: {one['recordings']} recordings, "
            f"{one['subjects']} subjects, {one['beats']} beats; {len(runs)} seeds"
        )
        for method, words in METHOD_WORDS.items():
            for unit in UNITS:
                row = [run["methods"][method][unit] for run in runs]
                line = ", ".join(f"{k} {spread([r.get(k) for r in row])}" for k in QUOTED)
                print(f"  {words:28} {unit:10} {line}")
        beat = one["methods"]["joined"]["beat"].get("rank_1_interval")
        print(f"  95 % over subjects, by beat, first seed: {beat}")
        if "identify" in one:
            for key in one["identify"]:
                print(f"  identify: {key} {spread([r['identify'][key] for r in runs])}")
            print(f"  chosen: {[r['selection'].get('method') for r in runs]}")
            print(f"  thresholds: {spread([r['open_set']['threshold'] for r in runs])}")
            print(f"  remarks: {'; '.join(one['remarks'])}")
        if "train_s" in one:
            print(f"  train s: {spread([r['train_s'] for r in runs])}")


def main() -> None:
    """Run the protocols."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder a subject, of WFDB recordings")
    parser.add_argument("--protocols", default=",".join(PROTOCOLS), help="which, after commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--preset", choices=("quick", "full"), default="full")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    people = people_of(arguments.folder)
    results: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        results.append({})
        for name in arguments.protocols.split(","):
            with tempfile.TemporaryDirectory() as work:
                run = PROTOCOLS[name]
                results[-1] |= run(people, Path(work) / name, seed=seed, preset=arguments.preset)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1))
    show(results)


if __name__ == "__main__":
    main()

"""Annotated recordings -> how well beat types of people never seen are told, N S V F.

Cross-validated by recording: in natural order, recordings are dealt to the folds in turn, so that
none is on both sides and nobody chose which stand together. In the first set of MIT-BIH each is of
another person. Q beats are neither learned nor judged. ``chosen`` is what the identifier uses
unless told otherwise: what its own train recordings said is best.

    python benchmarks/beat_types.py FOLDER [--folds 5] [--seed 0] [--preset full] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.beat_set import BeatSet
from core.evaluation.identification import class_figures, confusion
from core.labels import aami_classes
from core.models.label_identifier import LABEL_METHODS, LabelIdentifier
from core.readers import read_recording
from core.readers.sources import natural_key
from core.study import Study
from core.workflow import prepare

CLASSES = ("N", "S", "V", "F")
ROWS = ("chosen", *LABEL_METHODS)


def reference_counts(folder: Path) -> dict[str, int]:
    """Return how many beats of each type the annotators marked in all recordings."""
    counts = dict.fromkeys(CLASSES, 0)
    for header in folder.glob("*.hea"):
        annotations = read_recording(header).annotations
        if annotations is not None:
            for name in aami_classes(annotations.symbols):
                if name in counts:
                    counts[name] += 1
    return counts


def folds_of(beats: BeatSet, n_folds: int) -> list[list[str]]:
    """Return the recordings of each fold, dealt in natural order."""
    names = sorted(set(beats.recording.tolist()), key=lambda name: natural_key(Path(name)))
    return [names[i::n_folds] for i in range(n_folds)]


def measure(beats: BeatSet, *, n_folds: int, seed: int, preset: Any) -> dict[str, Any]:
    """Return the figures of each fold and of all folds together, by method."""
    pooled: dict[str, list[np.ndarray]] = {method: [] for method in ROWS}
    truths: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    folds: list[dict[str, Any]] = []
    for names in folds_of(beats, n_folds):
        test = np.isin(beats.recording, names)
        began = time.perf_counter()
        identifier = LabelIdentifier.fit(beats.take(~test), preset=preset, seed=seed)
        seconds = time.perf_counter() - began
        probes = beats.take(test)
        judged = probes.label != ""
        truth = np.asarray([CLASSES.index(name) for name in probes.label[judged]])
        columns = [identifier.classes.index(name) for name in CLASSES]
        row: dict[str, Any] = {
            "recordings": names,
            "train_s": seconds,
            "method": identifier.method,
            "selection": identifier.selection,
        }
        for method in LABEL_METHODS:
            scores = identifier.beat_scores(probes, method=method)[judged][:, columns]
            pooled[method].append(scores)
            row[method] = class_figures(scores, truth, CLASSES)
        pooled["chosen"].append(pooled[identifier.method][-1])
        row["chosen"] = row[identifier.method]
        truths.append(truth)
        owners.append(probes.recording[judged])
        folds.append(row)
        print(
            f"{', '.join(names)}: {seconds:.0f} s of training, {identifier.method} chosen, "
            f"macro F1 {row['chosen']['macro_f1']:.3f}",
            flush=True,
        )
    truth, owner = np.concatenate(truths), np.concatenate(owners)
    result: dict[str, Any] = {"folds": folds, "seed": seed}
    for name in ROWS:
        scores = np.concatenate(pooled[name])
        result[name] = class_figures(scores, truth, CLASSES, subjects=owner, seed=seed)
        result[name]["confusion"] = confusion(scores, truth, CLASSES)["counts"]
        result[name]["by_recording"] = {
            one: confusion(scores[owner == one], truth[owner == one], CLASSES)["counts"]
            for one in dict.fromkeys(owner.tolist())
        }
    return result


def show(result: dict[str, Any]) -> None:
    """Print a table a method, all folds together."""
    for method in ROWS:
        figures = result[method]
        print(f"\n{method}: macro F1 {figures['macro_f1']:.3f}")
        print("    sensitivity  predictivity     F1   beats   said N      S      V      F")
        for i, name in enumerate(CLASSES):
            one = figures["per_class"][name]
            cells = "".join(f"{n:7d}" for n in figures["confusion"][i])
            print(
                f"{name}   {one['sensitivity']:11.3f}{one['predictivity'] or 0:14.3f}"
                f"{one['f1']:7.3f}{one['support']:8d}  {cells}"
            )


def main() -> None:
    """Run the cross-validation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="WFDB recordings with beat annotations")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=("quick", "full"), default="full")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as workspace:
        study = Path(workspace) / "study"
        prepare([arguments.folder], study, options={"subject_from": "file", "split": "none"})
        beats = Study.open(study).beats("all")
    marked = reference_counts(arguments.folder)
    beats = replace(beats, label=np.where(np.isin(beats.label, CLASSES), beats.label, ""))
    kept = {name: int((beats.label == name).sum()) for name in CLASSES}
    lost = ", ".join(f"{name} {marked[name] - kept[name]} of {marked[name]}" for name in CLASSES)
    print(f"Reference beats not found or rejected in preparing, and not judged: {lost}")
    result = measure(beats, n_folds=arguments.folds, seed=arguments.seed, preset=arguments.preset)
    result |= {"marked": marked, "kept": kept}
    show(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

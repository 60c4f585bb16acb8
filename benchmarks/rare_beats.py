"""Annotated recordings -> do more beats of rare types, varied or generated, help to name them?

Beat types N S V F, cross-validated by recording as in ``beat_types.py``, all leads. In each fold,
everything is learned from its train recordings: autoencoder, mixture and GAN, conditioned on beat
type and person, from at most 300 beats of a type and recording, evenly spread; then the identifier,
alone and with rare types filled up as ``train --augment`` does. The identifier is judged by its
trees, which it chooses over its network on these recordings. What differs between two arms is the
extra beats alone; intervals are paired, over recordings.

    python benchmarks/rare_beats.py FOLDER [--folds 5] [--seeds 1] [--preset quick] [--json OUT]

With ``--json``, what a stopped run has measured is taken from there.
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

from benchmarks.beat_types import CLASSES, folds_of
from core.beat_set import BeatSet
from core.evaluation.identification import confusion
from core.filling import filled
from core.models.autoencoder import Autoencoder
from core.models.conditional_gan import ConditionalGan
from core.models.gaussian_mixture import GaussianMixtureGenerator
from core.models.identifier_network import NetworkSettings
from core.models.label_identifier import LabelIdentifier
from core.recording import IntArray, StrArray
from core.study import Study
from core.workflow import prepare

ARMS = ("none", "classic", "mixture", "gan")
MOST_BEATS = 300
"""Beats of one type and recording that the generators learn: more are alike."""
DRAWS = 2_000
"""Of recordings, for an interval."""


def thinned(beats: BeatSet) -> BeatSet:
    """Return at most `MOST_BEATS` beats of each type and recording, evenly spread over it."""
    chosen = []
    for name in np.unique(beats.recording):
        for label in CLASSES:
            mine = np.flatnonzero((beats.recording == name) & (beats.label == label))
            at = np.linspace(0, len(mine) - 1, min(len(mine), MOST_BEATS))
            chosen.append(mine[np.round(at).astype(np.int64)])
    return beats.take(np.sort(np.concatenate(chosen)))


def extras(train: BeatSet, preset: Any, seed: int) -> dict[str, BeatSet | None]:
    """Return what each arm adds to the train beats, from generators fitted to these."""
    some = thinned(train)
    autoencoder = Autoencoder.fit(some.signals, preset=preset, seed=seed)
    names = (some.subject, some.recording)
    generators = {
        "mixture": GaussianMixtureGenerator.fit(
            autoencoder.encode(some.signals),
            *names,
            labels=some.label,
            decode=autoencoder.decode,
            seed=seed,
        ),
        "gan": ConditionalGan.fit(
            autoencoder, some.signals, *names, labels=some.label, preset=preset, seed=seed
        ),
    }
    made: dict[str, BeatSet | None] = {
        "none": None,
        "classic": filled(train, None, target="label", seed=seed),
    }
    for name, generator in generators.items():

        def draw(subjects: StrArray, labels: StrArray, generator: Any = generator) -> BeatSet:
            codes = generator.sample(subjects, seed=seed, labels=labels)
            return BeatSet.build(
                autoencoder.decode(codes),
                sampling_rate=train.sampling_rate,
                before_s=train.before_s,
                leads=train.leads,
                subject=subjects,
                label=labels,
                synthetic=np.ones(len(codes), dtype=np.bool_),
            )

        made[name] = filled(train, draw, target="label", seed=seed)
    return made


def judged(train: BeatSet, probes: BeatSet, extra: BeatSet | None, seed: int) -> dict[str, Any]:
    """Return the confusion counts of each probe recording by what learned train and extra beats.

    The network is not asked, so it is as small as can be.
    """
    settings = NetworkSettings(filters=(8,), lstm_units=4, skip_units=8, epoch_samples=64, epochs=1)
    identifier = LabelIdentifier.fit(train, seed=seed, settings=settings, choose=False, extra=extra)
    told = probes.label != ""
    columns = [identifier.classes.index(name) for name in CLASSES]
    scores = identifier.beat_scores(probes, method="features")[told][:, columns]
    truth = np.asarray([CLASSES.index(name) for name in probes.label[told]])
    owner = probes.recording[told]
    return {
        str(name): confusion(scores[owner == name], truth[owner == name], CLASSES)["counts"]
        for name in np.unique(owner)
    }


def measure(
    beats: BeatSet,
    *,
    n_folds: int,
    seeds: int,
    preset: Any,
    found: dict[str, Any],
    out: Path | None,
) -> None:
    """Fill `found` with the counts of each seed, arm and recording, written after every arm."""
    for seed in range(seeds):
        for fold, names in enumerate(folds_of(beats, n_folds)):
            counts = found["counts"].setdefault(str(seed), {arm: {} for arm in ARMS})
            waiting = [arm for arm in ARMS if not set(names) <= set(counts[arm])]
            if not waiting:
                continue
            test = np.isin(beats.recording, names)
            train, probes = beats.take(~test), beats.take(test)
            began = time.perf_counter()
            made = extras(train, preset, seed)
            fitted_s = time.perf_counter() - began
            for arm in waiting:
                began = time.perf_counter()
                extra = made[arm]
                counts[arm] |= judged(train, probes, extra, seed)
                one = {
                    "seed": seed,
                    "fold": fold,
                    "arm": arm,
                    "real": {c: int((train.label == c).sum()) for c in CLASSES},
                    "added": {
                        c: 0 if extra is None else int((extra.label == c).sum()) for c in CLASSES
                    },
                    "generators_s": round(fitted_s),
                    "identifier_s": round(time.perf_counter() - began),
                }
                found["fits"].append(one)
                print(one, file=sys.stderr, flush=True)
                if out:
                    out.write_text(json.dumps(found, indent=1))


def f1(table: IntArray) -> np.ndarray:
    """Return (..., n_classes) the F1 of each class of confusion counts; 0 where there is none."""
    right = np.diagonal(table, axis1=-2, axis2=-1)
    both = table.sum(axis=-1) + table.sum(axis=-2)
    return np.asarray(2 * right / np.maximum(both, 1))


def figures(counts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row an arm and class: F1 over all recordings, mean of seeds, and its difference.

    Args:
        counts: Seed -> arm -> recording -> confusion counts.
    """
    names = sorted(set.intersection(*(set(r) for arms in counts.values() for r in arms.values())))
    tables = {
        arm: np.asarray([[arms[arm][n] for n in names] for arms in counts.values()]) for arm in ARMS
    }
    drawn = np.random.default_rng(0).integers(0, len(names), (DRAWS, len(names)))

    def with_macro(table: IntArray) -> np.ndarray:
        each = f1(table)
        return np.append(each, each.mean(axis=-1, keepdims=True), axis=-1)

    whole = {arm: with_macro(table.sum(axis=1)) for arm, table in tables.items()}
    resampled = {
        arm: np.stack([with_macro(table[:, at].sum(axis=1)).mean(axis=0) for at in drawn])
        for arm, table in tables.items()
    }
    rows = []
    for arm in ARMS:
        gain = whole[arm] - whole["none"]
        low, high = np.quantile(resampled[arm] - resampled["none"], (0.025, 0.975), axis=0)
        for i, name in enumerate((*CLASSES, "macro")):
            rows.append(
                {
                    "arm": arm,
                    "class": name,
                    "f1": float(whole[arm][:, i].mean()),
                    "seeds": whole[arm][:, i].tolist(),
                    "difference": float(gain[:, i].mean()),
                    "interval": [float(low[i]), float(high[i])],
                }
            )
    return rows


def main() -> None:
    """Run the cross-validation and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="WFDB recordings with beat annotations")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", choices=("quick", "full"), default="quick", help="generators'")
    parser.add_argument("--leads", default="all")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = {"folds": arguments.folds, "preset": arguments.preset, "leads": arguments.leads}
    found: dict[str, Any] = {"settings": settings, "counts": {}, "fits": []}
    if arguments.json and arguments.json.is_file():
        before = json.loads(arguments.json.read_text())
        found = before if before["settings"] == settings else found
    options = {"subject_from": "file", "split": "none", "leads": arguments.leads}
    with tempfile.TemporaryDirectory() as workspace:
        study = Path(workspace) / "study"
        prepared = prepare([arguments.folder], study, options=options)
        beats = Study.open(study).beats("all")
    found["refused"] = [f"{Path(r['path']).name} {r['reason']}" for r in prepared["refused"]]
    beats = replace(beats, label=np.where(np.isin(beats.label, CLASSES), beats.label, ""))
    measure(
        beats,
        n_folds=arguments.folds,
        seeds=arguments.seeds,
        preset=arguments.preset,
        found=found,
        out=arguments.json,
    )
    found["figures"] = figures(found["counts"])
    print(f"{len(beats):,} beats; not used: {'; '.join(found['refused']) or 'none'}")
    print("F1 over all recordings; difference from no extra beats, 95 % over recordings")
    for row in found["figures"]:
        low, high = row["interval"]
        print(
            f"{row['arm']:9}{row['class']:6}{row['f1']:.4f} "
            f"({min(row['seeds']):.4f}-{max(row['seeds']):.4f})  "
            f"difference {row['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""ECG-ID recordings -> how many beats of a person a generator needs: the learning curve.

Study as the product makes it: split by record, the mixture on the autoencoder's codes. Half of the
people keep a few beats only, the others all, as where one person of a study was measured for too
short; then the halves change roles. Figures are of those with few beats: TSTR and TRTR (linear
discriminant, the same number of generated or repeated real beats of each, tested on another
recording), and the SVMs' accuracy against validation beats. Once from the first recording alone,
once from the first two, among people who have two.

    python benchmarks/sufficiency.py FOLDER [--seeds 1] [--json OUT]
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

from core.beat_set import BeatSet, concatenate
from core.evaluation.identification import bootstrap_interval
from core.evaluation.realism import evaluate_generator, fit_linear_namer
from core.models.autoencoder import Autoencoder
from core.models.gaussian_mixture import GaussianMixtureGenerator
from core.recording import IntArray, StrArray
from core.study import Study
from core.workflow import prepare

FROM_ONE = (2, 4, 6, 8, 10, 13)
"""Beats of the first recording; everybody in the 45 of ECG-ID has 13."""
FROM_TWO = (4, 8, 16, 32)
"""Beats of the first two recordings, half of each."""
TAUGHT = 24
"""Beats of a subject that the discriminant learns, generated or repeated."""
REDRAWS = 2
"""Of the generated beats, for the SVMs."""


def few_beats(train: BeatSet, subjects: set[str], n: int, n_recordings: int) -> BeatSet:
    """Return the beats, but of some subjects the first `n` of their first recordings alone."""
    kept: list[IntArray] = []
    for subject in np.unique(train.subject):
        mine = np.flatnonzero(train.subject == subject)
        if subject in subjects:
            names = list(dict.fromkeys(train.recording[mine].tolist()))[:n_recordings]
            share = n // n_recordings
            mine = np.concatenate([mine[train.recording[mine] == name][:share] for name in names])
        kept.append(mine)
    return train.take(np.concatenate(kept))


def evenly(rows: IntArray, n: int) -> IntArray:
    """Return `n` of the rows, evenly spread, repeated where there are fewer."""
    return rows[np.linspace(0, len(rows) - 1, n).round().astype(np.int64)]


def right_named(taught: BeatSet, test: BeatSet, seed: int) -> dict[str, float]:
    """Return the share of each test subject's beats that what was taught names rightly."""
    named = fit_linear_namer(taught, seed)(test)
    return {
        str(name): float(np.mean(named[test.subject == name] == name))
        for name in np.unique(test.subject)
    }


def figures_of(study: Study, thinned: BeatSet, subjects: set[str], seed: int) -> dict[str, Any]:
    """Return the figures of the subjects that have few beats."""
    autoencoder = Autoencoder.fit(thinned.signals, preset="full", seed=seed)
    mixture = GaussianMixtureGenerator.fit(
        autoencoder.encode(thinned.signals),
        thinned.subject,
        thinned.recording,
        decode=autoencoder.decode,
        seed=seed,
    )

    def generate(names: StrArray, draw_seed: int) -> BeatSet:
        return BeatSet.build(
            autoencoder.decode(mixture.sample(names, seed=draw_seed)),
            sampling_rate=thinned.sampling_rate,
            before_s=thinned.before_s,
            leads=thinned.leads,
            subject=names,
            synthetic=np.ones(len(names), dtype=np.bool_),
        )

    def own(beats: BeatSet) -> BeatSet:
        return beats.take(np.isin(beats.subject, sorted(subjects)))

    everybody = np.unique(thinned.subject)
    test = own(study.beats("test"))
    repeated = concatenate(
        [
            thinned.take(evenly(np.flatnonzero(thinned.subject == name), TAUGHT))
            for name in everybody
        ]
    )
    judged = evaluate_generator(
        own(thinned), own(study.beats("validation")), test, generate, seed=seed, redraws=REDRAWS
    )
    return {
        "tstr": right_named(generate(np.repeat(everybody, TAUGHT), seed), test, seed),
        "trtr": right_named(repeated, test, seed),
        **{name: judged["discriminative"][name]["value"] for name in ("features", "residual")},
    }


def measure(study: Study, *, seeds: int) -> list[dict[str, Any]]:
    """Return a row a number of beats and of recordings."""
    train = study.beats("train")
    names, counts = np.unique(train.subject, return_counts=True)
    recordings = np.asarray([len(set(train.recording[train.subject == n])) for n in names])
    two = names[(recordings >= 2) & (counts >= max(FROM_TWO))]
    plan = [(names, n, 1) for n in FROM_ONE] + [(two, n, 2) for n in FROM_TWO]
    plan.append((two, 0, 0))
    rows = []
    for group, n, n_recordings in plan:
        found: dict[str, list[Any]] = {}
        for seed in range(seeds):
            for half in range(2):
                chosen = set(group[half::2].tolist())
                thinned = few_beats(train, chosen, n, n_recordings) if n else train
                for name, value in figures_of(study, thinned, chosen, seed).items():
                    found.setdefault(name, []).append(value)
        row: dict[str, Any] = {"beats": n, "recordings": n_recordings, "subjects": len(group)}
        for name in ("tstr", "trtr"):
            both = {s: [v[s] for v in found[name] if s in v] for s in group.tolist()}
            each = np.asarray([np.mean(values) for values in both.values()])
            row[name] = float(each.mean())
            row[f"{name}_interval"] = bootstrap_interval(
                lambda at, each=each: float(each[at].mean()), np.asarray(list(both)), seed=0
            )
            row[f"{name}_of_two"] = float(np.mean([np.mean(both[s]) for s in two.tolist()]))
        row |= {name: float(np.mean(found[name])) for name in ("features", "residual")}
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Print the learning curve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder a subject, of WFDB recordings")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as workspace:
        study = Path(workspace) / "study"
        prepare([arguments.folder], study)
        rows = measure(Study.open(study), seeds=arguments.seeds)
    print("beats recordings   TSTR (95 %)            TRTR   of people with two   SVM feat.  resid.")
    for row in rows:
        low, high = row["tstr_interval"] or (float("nan"), float("nan"))
        print(
            f"{row['beats'] or 'all':>5} {row['recordings'] or 'all':>10}   {row['tstr']:.3f} "
            f"({low:.3f}-{high:.3f})   {row['trtr']:.3f}   {row['tstr_of_two']:.3f} / "
            f"{row['trtr_of_two']:.3f}        {row['features']:.3f}      {row['residual']:.3f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

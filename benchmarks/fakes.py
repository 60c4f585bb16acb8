"""Recordings of many people -> which kinds of fake their judge catches, known to it or not.

Split by record: a subject's last recording is test. The judge learns real train beats against
fakes made of train beats; it is asked about real test beats and fakes made of test beats. A kind
is left out by taking what was learned of it out of the judge. Kinds that no judge was shown at
all: NeuroKit2's two simulators, splices and smoothing outside of the panel's ranges. Copies are
told by their distance to the closest train beat alone.

    python benchmarks/fakes.py FOLDER [--seeds 3] [--others FOLDER] [--generators] [--json OUT]
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

import neurokit2
import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.beat_set import BeatSet
from core.errors import UserError
from core.evaluation.privacy import NEAR_COPY_DISTANCE, nearest_distances
from core.fakes import KINDS, make_kind, partners, splice
from core.generating import GENERATORS, draw_beats
from core.models.authenticity import AuthenticityJudge
from core.options import PrepareOptions
from core.preprocessing.pipeline import preprocess
from core.recording import Recording
from core.study import Study
from core.training import fake_panel, foreign_panel
from core.workflow import prepare, read_probe, train

SIMULATED_STRIPS = 40
SIMULATED_S = 12
SOURCE_RATE = 500.0
UNSEEN_SPLICES_S = (0.02, 0.03, 0.23, 0.25)
PIECE_BEATS = 40
"""Beats of another person's recording that are judged as one file."""
PIECES = 3
"""Of each recording of other people."""


def simulated(beats: BeatSet, method: str, seed: int) -> BeatSet:
    """Return beats of NeuroKit2's simulator, cleaned and cut as those of a study."""
    rng = np.random.default_rng(seed)
    cut = []
    for i in range(SIMULATED_STRIPS):
        signal = neurokit2.ecg_simulate(
            duration=SIMULATED_S,
            sampling_rate=int(SOURCE_RATE),
            method=method,
            heart_rate=int(rng.integers(55, 95)),
            noise=float(rng.choice([0.0, 0.01, 0.05])),
            random_state=seed * SIMULATED_STRIPS + i,
        )
        strip = np.asarray(signal, dtype=np.float32)[:, None]
        recording = Recording(strip, SOURCE_RATE, ("I",), ("mV",), f"strip {i}", Path("simulated"))
        found = preprocess(recording, PrepareOptions())
        cut.append(found.beats[found.rejected == ""])
    return BeatSet.build(
        np.concatenate(cut),
        sampling_rate=beats.sampling_rate,
        before_s=beats.before_s,
        leads=beats.leads,
    )


def unseen_kinds(test: BeatSet, seed: int) -> dict[str, BeatSet]:
    """Return fakes of kinds, or of ranges, that no judge of the panel is shown."""
    rng = np.random.default_rng(seed)
    n = len(test)
    at = rng.choice(UNSEEN_SPLICES_S, n)
    made = {
        "spliced elsewhere": splice(test, partners(test, rng), at, np.full(n, 0.02)),
        "spliced, 60 ms fade": splice(
            test, partners(test, rng), rng.uniform(0.05, 0.2, n), np.full(n, 0.06)
        ),
        "smoothed, 36 ms": uniform_filter1d(test.signals, 9, axis=1),
        "smoothed, Gaussian": gaussian_filter1d(test.signals, 3, axis=1),
    }
    sets = {name: replace(test, signals=signals) for name, signals in made.items()}
    sets["NeuroKit2 simple"] = simulated(test, "daubechies", seed)
    sets["NeuroKit2 ecgsyn"] = simulated(test, "ecgsyn", seed)
    return sets


def copies_of(train_beats: BeatSet, seed: int) -> dict[str, Any]:
    """Return copies of train beats: as they are, with noise, and with gain, offset and shift."""
    rng = np.random.default_rng(seed)
    x = train_beats.signals[rng.permutation(len(train_beats))[:500]]
    size = x.std(axis=1, keepdims=True)
    noise = rng.standard_normal(x.shape)
    noise = uniform_filter1d(noise, 5, axis=1)
    noise /= noise.std(axis=1, keepdims=True)
    gain = rng.uniform(0.9, 1.1, (len(x), 1, 1))
    return {
        "copies": x,
        "copies, 1 % noise": x + 0.01 * size * noise,
        "copies, 2.5 % noise": x + 0.025 * size * noise,
        "copies, gain, offset, 8 ms, 1 % noise": np.roll(gain * x + 0.05, 2, axis=1)
        + 0.01 * size * noise,
    }


def auc(of_real: np.ndarray, of_fakes: np.ndarray) -> float:
    """Return the area under the ROC curve of fakes against real beats."""
    truth = np.repeat([0, 1], [len(of_real), len(of_fakes)])
    return float(roc_auc_score(truth, np.concatenate([of_real, of_fakes])))


def files_of(judge: AuthenticityJudge, beats: BeatSet) -> dict[str, float]:
    """Return the share of recordings that are called synthetic, and of those not told."""
    said = [
        judge.examine(beats.take(beats.recording == name), reasons=0)
        for name in np.unique(beats.recording)
    ]
    return {
        "n": len(said),
        "synthetic": float(np.mean([one.synthetic for one in said])),
        "cannot_tell": float(np.mean([not one.certain for one in said])),
    }


def strangers(study: Study, judge: AuthenticityJudge, folder: Path) -> dict[str, Any]:
    """Return what the judge says of pieces of real recordings of other people and devices."""
    synthetic, unknown, share, n = 0, 0, [], 0
    for path in sorted([*folder.rglob("*.hea"), *folder.rglob("*.xml"), *folder.rglob("*.dcm")]):
        try:
            beats, reason = read_probe(study, path)
        except UserError as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        if reason or not len(beats):
            continue
        for start in np.linspace(0, max(0, len(beats) - PIECE_BEATS), PIECES).astype(int):
            piece = beats.take(slice(int(start), int(start) + PIECE_BEATS))
            said = judge.examine(piece, reasons=0)
            n += 1
            synthetic += said.synthetic
            unknown += not said.certain
            share.append(float(np.mean(said.probability > 0.5)))
            if len(beats) <= PIECE_BEATS:
                break
    return {
        "n": n,
        "synthetic": synthetic / max(1, n),
        "cannot_tell": unknown / max(1, n),
        "beats_synthetic": float(np.mean(share)) if share else None,
    }


def left_out_people(study: Study, seed: int) -> dict[str, float]:
    """Return what a judge of two thirds of the people says of the others' recordings."""
    learned = study.beats("train")
    names = np.unique(learned.subject)
    kept = names[np.random.default_rng(seed).permutation(len(names)) % 3 != 0]
    mine = learned.take(np.isin(learned.subject, kept))
    prepared = study.info.options
    judge = AuthenticityJudge.fit(
        mine,
        fake_panel(mine, seed=seed, prepared=prepared),
        seed=seed,
        foreign=foreign_panel(mine, seed=seed, prepared=prepared),
    )
    everyone = study.beats("all")
    return files_of(judge, everyone.take(~np.isin(everyone.subject, kept)))


def measure(study: Study, *, seed: int, generators: bool, others: Path | None) -> dict[str, Any]:
    """Return the figures of one seed."""
    learned, test = study.beats("train"), study.beats("test")
    test = test.take(np.isin(test.subject, learned.subject))
    panel = fake_panel(learned, seed=seed, prepared=study.info.options)
    if generators:
        train(study.folder, models=["autoencoder", "mixture", "gan"], seed=seed)
        panel |= {name: draw_beats(study, name, learned.subject, seed=seed) for name in GENERATORS}
    began = time.perf_counter()
    foreign = foreign_panel(learned, seed=seed, prepared=study.info.options)
    judge = AuthenticityJudge.fit(learned, panel, seed=seed, foreign=foreign)
    result: dict[str, Any] = {"fit_s": time.perf_counter() - began, "kinds": {}, "unseen": {}}
    of_real = judge.probability(test)
    result["false_alarm_beats"] = float(np.mean(of_real > 0.5))
    result["real_recordings"] = files_of(judge, test)
    for kind in panel:
        if kind in KINDS:
            fakes = make_kind(kind, test, seed=1000 + seed, options=study.info.options)
        else:
            fakes = draw_beats(study, kind, test.subject, seed=1000 + seed)
            fakes = replace(fakes, recording=test.recording)
        rest = judge.without(kind)
        result["kinds"][kind] = {
            "auc": auc(of_real, judge.probability(fakes)),
            "auc_left_out": auc(rest.probability(test), rest.probability(fakes)),
            "files": files_of(judge, fakes),
            "files_left_out": files_of(rest, fakes),
        }
    for name, fakes in unseen_kinds(test, 1000 + seed).items():
        found = judge.probability(fakes)
        result["unseen"][name] = {"auc": auc(of_real, found), "caught": float(np.mean(found > 0.5))}
    near = nearest_distances(test.signals, learned.signals, test.sampling_rate)
    result["copies"] = {
        "real_test_beats": {"called_copies": float(np.mean(near < NEAR_COPY_DISTANCE))}
    }
    for name, signals in copies_of(learned, seed).items():
        distances = nearest_distances(
            signals.astype(np.float32), learned.signals, test.sampling_rate
        )
        result["copies"][name] = {
            "auc": auc(-near, -distances),
            "called_copies": float(np.mean(distances < NEAR_COPY_DISTANCE)),
        }
    result["left_out_people"] = left_out_people(study, seed)
    if others is not None:
        result["other_people"] = strangers(study, judge, others)
    return result


def main() -> None:
    """Print the table: a line a kind, the mean over seeds and the least."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder a subject, of WFDB recordings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--others", type=Path, help="real recordings of other people")
    parser.add_argument("--generators", action="store_true", help="also the GAN and the mixture")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as workspace:
        prepare([arguments.folder], Path(workspace) / "study", options={"subject_from": "folder"})
        study = Study.open(Path(workspace) / "study")
        for seed in range(arguments.seeds):
            runs.append(
                measure(study, seed=seed, generators=arguments.generators, others=arguments.others)
            )
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)

    def line(name: str, values: list[float], more: str = "") -> None:
        print(f"{name:40}{np.mean(values):.4f} (least {min(values):.4f}){more}")

    print("AUC on real test beats against fakes made of them; in brackets with the kind left out")
    for kind in runs[0]["kinds"]:
        rows = [run["kinds"][kind] for run in runs]
        left = np.mean([row["auc_left_out"] for row in rows])
        caught = np.mean([row["files"]["synthetic"] for row in rows])
        line(kind, [row["auc"] for row in rows], f" [{left:.4f}] files caught {caught:.3f}")
    print("kinds that no judge was shown")
    for kind in runs[0]["unseen"]:
        rows = [run["unseen"][kind] for run in runs]
        line(kind, [row["auc"] for row in rows], f" caught {rows[0]['caught']:.3f}")
    print("copies of train beats, by distance")
    for kind in runs[0]["copies"]:
        rows = [run["copies"][kind] for run in runs]
        if "auc" in rows[0]:
            line(kind, [row["auc"] for row in rows], f" called {rows[0]['called_copies']:.3f}")
    print("false alarms")
    line("real test beats", [run["false_alarm_beats"] for run in runs])
    line("real test recordings", [run["real_recordings"]["synthetic"] for run in runs])
    people = [run["left_out_people"] for run in runs]
    unknown = np.mean([run["cannot_tell"] for run in people])
    line("people left out", [run["synthetic"] for run in people], f" cannot tell {unknown:.3f}")
    if arguments.others is not None:
        people = [run["other_people"] for run in runs]
        unknown = np.mean([run["cannot_tell"] for run in people])
        line("other people", [run["synthetic"] for run in people], f" cannot tell {unknown:.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()

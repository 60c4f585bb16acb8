"""ECG-ID recordings -> does training on generated beats help to name people on another day?

The gallery is each subject's first day; probes are the recordings of later days. What names people
is trained on the real beats alone; on these and generated beats; and on generated beats alone
(TSTR of another day, beside the real beats' own figure). Generators and namers are trained anew
for each seed; all of one seed are paired. Namers:

    lda        linear discriminant on principal components of z-scored beats
    cnn_lstm   the identifier's network, trained on single z-scored beats as they are: all it learns
               of other days it learns from its training beats
    network    the identifier's network as the product trains it: it adapts ST-T to the heart rate,
               and varies time, gain, baseline and noise inside its batches
    joined     the identifier: that network with its two discriminants

``--probes same-day`` holds back the later half of the first-day recordings of subjects with three
or more, and looks at no later day: there, settings can be chosen.

    python benchmarks/augmented.py FOLDER [--seeds 5] [--models mixture,gan] [--days recorded,new]
        [--times 1,5] [--namers lda,cnn_lstm,network,joined] [--probes later-days] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.identification import People, people_of, probe_beats
from core.beat_set import BeatSet, concatenate
from core.evaluation.identification import bootstrap_interval
from core.evaluation.realism import fit_linear_namer
from core.generating import GENERATORS, draw_beats
from core.models.cnn_lstm import Identifier, classes_of, gallery_of
from core.models.identifier_batches import Variation, draw_samples
from core.models.identifier_input import means_in_a_row, network_input, no_rhythm, recording_codes
from core.models.identifier_network import NetworkSettings, build_network, train_network
from core.recording import StrArray
from core.study import Study
from core.workflow import prepare, train

UNITS = {"beat": 1, "five beats": 5}
NAMERS = ("lda", "cnn_lstm", "network", "joined")
PROBES = ("later-days", "same-day")
REAL = "real alone"
NO_VARIATION = Variation(
    exponents=(0.0, 0.0), late_scale=0, scale=0, shift_s=0, gain=0, baseline=0, noise=0
)
EPOCHS = 16
"""Of the network without variation, as the preset ``full`` has."""

Name = Callable[[BeatSet], StrArray]


@dataclass
class Runs:
    """Which probes were named rightly: by arm, namer and unit, a row a seed.

    Attributes:
        right: (arm, namer, unit) -> a list of (n,) bool.
        owners: (namer, unit) -> (n,) whose probe each is.
    """

    right: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)
    owners: dict[tuple[str, str], StrArray] = field(default_factory=dict)

    def note(self, arm: str, namer: str, unit: str, named: StrArray, owners: StrArray) -> None:
        """Add the answers of one seed."""
        self.right.setdefault((arm, namer, unit), []).append(named == owners)
        self.owners[namer, unit] = owners

    def rows(self) -> list[dict[str, Any]]:
        """Return a row an arm, namer and unit: means over seeds, ratio and interval over subjects.

        The ratio is to real beats alone, of the same namer, unit and seeds; its interval resamples
        subjects, and pairs what both say of the same probes.
        """
        rows = []
        for (arm, namer, unit), runs in self.right.items():
            right = np.mean(runs, axis=0)
            real = np.mean(self.right[REAL, namer, unit][: len(runs)], axis=0)
            owners = self.owners[namer, unit]

            def ratio(at: Any, right: Any = right, real: Any = real) -> float:
                return float(right[at].mean() / max(real[at].mean(), 1e-9))

            rows.append(
                {
                    "train": arm,
                    "namer": namer,
                    "unit": unit,
                    "rank_1": float(right.mean()),
                    "rank_1_subject_mean": float(
                        np.mean([right[owners == one].mean() for one in np.unique(owners)])
                    ),
                    "seeds": [float(run.mean()) for run in runs],
                    "ratio": ratio(slice(None)),
                    "ratio_seeds": [
                        float(run.mean() / max(alone.mean(), 1e-9))
                        for run, alone in zip(runs, self.right[REAL, namer, unit], strict=False)
                    ],
                    "interval": bootstrap_interval(ratio, owners, seed=0),
                    "subjects": {
                        str(one): float(right[owners == one].mean()) for one in np.unique(owners)
                    },
                }
            )
        return rows


def in_a_row(beats: BeatSet, size: int) -> BeatSet:
    """Return the means of `size` beats in a row of a recording, as `Identifier.runs` lists them."""
    codes = recording_codes(beats)
    means, owners = means_in_a_row(beats.signals, codes, size)
    first = np.unique(codes, return_index=True)[1]
    return replace(beats.take(first[owners]), signals=means) if size > 1 else beats


def fit_plain_network(train_beats: BeatSet, seed: int) -> Name:
    """Return what names beats by the identifier's network, trained without any variation.

    Subjects are drawn equally often, and each beat of one: none has neighbours in time.
    """
    names, targets = classes_of(train_beats.subject, "subject")
    lone = replace(train_beats, synthetic=np.ones(len(train_beats), np.bool_))
    gallery = gallery_of(lone, targets)
    n_samples, n_leads = train_beats.signals.shape[1:]
    settings = NetworkSettings(epochs=EPOCHS)
    network = build_network(n_samples, 2 * n_leads, len(names), settings, seed=seed)
    train_network(
        network,
        lambda n, rng: draw_samples(gallery, n, rng, sizes=(1, 1), variation=NO_VARIATION),
        settings,
        seed=seed,
        identity="",
        held_out=None,
        report=lambda _: None,
        checkpoint=None,
    )

    def name(beats: BeatSet) -> StrArray:
        inputs = network_input(beats.signals, no_rhythm(len(beats)), beats.sampling_rate)
        posterior = network.predict(inputs, batch_size=2048, verbose=0)[0]
        return np.asarray(names, dtype=np.str_)[posterior.argmax(axis=1)]

    return name


def one_arm(
    runs: Runs,
    arm: str,
    real: BeatSet,
    extra: BeatSet | None,
    probes: BeatSet,
    *,
    seed: int,
    namers: Sequence[str],
) -> None:
    """Train each namer on real beats, and on the extra ones if any, and note what it says."""
    together = real if extra is None else concatenate([real, extra])
    identifiers = [name for name in namers if name in ("network", "joined")]
    for namer in (name for name in namers if name not in identifiers):
        by_name(runs, arm, namer, together, probes, seed=seed)
    if not identifiers:
        return
    learned = Identifier.fit(real, seed=seed, calibrate=False, extra=extra)
    subject_of = dict(zip(probes.recording, probes.subject, strict=True))
    for unit, size in UNITS.items():
        owners = np.asarray([subject_of[name] for name in learned.runs(probes, size)])
        for namer in identifiers:
            scores = learned.beat_scores(probes, in_a_row=size, method=namer)  # type: ignore[arg-type]
            named = np.asarray(learned.classes)[scores.argmax(axis=1)]
            runs.note(arm, namer, unit, named, owners)


def by_name(
    runs: Runs, arm: str, namer: str, taught: BeatSet, probes: BeatSet, *, seed: int
) -> None:
    """Train one namer that knows no templates, and note what it says."""
    name = (fit_linear_namer if namer == "lda" else fit_plain_network)(taught, seed)
    for unit, size in UNITS.items():
        asked = in_a_row(probes, size)
        runs.note(arm, namer, unit, name(asked), asked.subject)


def same_day(people: People) -> tuple[list[Path], list[Path]]:
    """Return gallery and probes of the first day: the later half of three or more recordings."""
    gallery, probes = [], []
    for own in people.files.values():
        first = [file for file in own if people.day[file] == people.day[own[0]]]
        kept = (len(first) + 1) // 2 if len(first) > 2 else len(first)
        gallery += first[:kept]
        probes += first[kept:]
    return gallery, probes


def measure(folder: Path, options: argparse.Namespace, runs: Runs, seed: int) -> None:
    """Train generators and namers with one seed, and note the answers."""
    people = people_of(folder)
    if options.probes == "later-days":
        files = people.first_day(), people.later_days()
    else:
        files = same_day(people)
    with tempfile.TemporaryDirectory() as workspace:
        study_folder = Path(workspace) / "study"
        prepare(files[0], study_folder, options={"split": "none"})
        train(
            study_folder, models=["autoencoder", *options.models], preset=options.preset, seed=seed
        )
        study = Study.open(study_folder)
        real = study.beats("train")
        probes, _ = probe_beats(study, files[1])
        one_arm(runs, REAL, real, None, probes, seed=seed, namers=options.namers)
        for model in options.models:
            for kind in options.days:
                for times in options.times:
                    words = f"{model}, {kind} days, x{times}"
                    asked = np.tile(real.subject, times)
                    drawn = draw_beats(study, model, asked, seed=seed, days=kind)
                    one_arm(
                        runs,
                        f"real + {words}",
                        real,
                        drawn,
                        probes,
                        seed=seed,
                        namers=options.namers,
                    )
                    for namer in (n for n in options.namers if n in ("lda", "cnn_lstm")):
                        by_name(runs, f"{words} alone", namer, drawn, probes, seed=seed)
                    print(seed, words, file=sys.stderr, flush=True)


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table a namer."""
    for namer in NAMERS:
        for unit in UNITS:
            mine = [row for row in rows if (row["namer"], row["unit"]) == (namer, unit)]
            if mine:
                print(f"\n{namer}, {unit}: rank-1 (least-most over seeds); ratio to real alone")
            for row in mine:
                low, high = row["interval"] or (float("nan"), float("nan"))
                print(
                    f"  {row['train']:36}{row['rank_1']:.4f} "
                    f"({min(row['seeds']):.4f}-{max(row['seeds']):.4f})   "
                    f"{row['ratio']:.3f} ({low:.3f} to {high:.3f} over subjects; "
                    f"{min(row['ratio_seeds']):.3f} to {max(row['ratio_seeds']):.3f} over seeds)"
                )


def listed(text: str) -> list[str]:
    """Return the entries of a list with commas."""
    return text.split(",")


def main() -> None:
    """Run the seeds, print the tables, write JSON after every seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder a subject, of WFDB recordings")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--models", type=listed, default=list(GENERATORS))
    parser.add_argument("--preset", choices=("quick", "full"), default="full", help="of generators")
    parser.add_argument("--days", type=listed, default=["recorded", "new"])
    parser.add_argument(
        "--times",
        type=lambda text: [int(part) for part in listed(text)],
        default=[5],
        help="generated beats for each real one; several after commas",
    )
    parser.add_argument("--namers", type=listed, default=list(NAMERS))
    parser.add_argument("--probes", choices=PROBES, default="later-days")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = Runs()
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        measure(options.folder, options, runs, seed)
        if options.json:
            options.json.write_text(json.dumps(runs.rows(), indent=1))
    print(f"gallery: first day; probes: {options.probes}; {options.seeds} seeds")
    show(runs.rows())


if __name__ == "__main__":
    main()

"""Recordings -> how real generated beats are: rows 1 to 10 of the project's table, over seeds.

The study is prepared with ``--split record``; autoencoder, mixture and GAN are trained on its train
part, anew with every seed. Judges tell beats apart from the validation part, the last fifth of each
train recording, that nothing was fitted to: as many generated beats of each subject as it has
there, redrawn (the network judges every redraw, too). Train beats in their place are the ceiling,
the mixture is the floor. TSTR and TRTS use the test part, which is another recording; sequences are
rows of ten beats of the validation part where it has enough of them, else of the test part.

What is measured of a seed is written to OUT at once; seeds that OUT has are not measured again.
Real and generated beats together, on probes of another day: see ``benchmarks/augmented.py``.

    python benchmarks/generation.py FOLDER [--seeds 5] [--first-seed 0] [--redraws 20]
        [--models gan,mixture] [--preset full] [--leads all] [--subject-from file] [--json OUT]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.evaluation import realism
from core.evaluation.judges import JUDGE_WORDS
from core.evaluation.sequences import SEQUENCE_WORDS
from core.generating import GENERATORS, choose_subjects, draw_beats, draw_sequences, load_model
from core.scoreboard import fit_cnn_lstm, new_days_of
from core.study import Study
from core.workflow import prepare, train

EVALUATION_SEED = 0
"""Of redraws and folds: one ceiling for all seeds of training."""
TIMED_BEATS = 50_000
TIMED_CALLS = 5
TSTR = tuple(
    f"{name}{namer}" for name in ("tstr", *realism.FURTHER_TSTR) for namer in ("", "_cnn_lstm")
)
SOURCES = ("reconstruction", "mixture", "gan")

Row = tuple[str, str, str, str]
"""Number in the project's table, words, path of the figure, key in it."""

FIGURES: tuple[Row, ...] = (
    *(("1 2 8", words, f"discriminative/{judge}", "value") for judge, words in JUDGE_WORDS.items()),
    ("3 8", "TSTR, LDA", "tstr", "value"),
    ("3 8", "TSTR, CNN-LSTM", "tstr_cnn_lstm", "value"),
    ("3", "TSTR, LDA, five times as many beats", "tstr_more", "value"),
    ("3", "TSTR, CNN-LSTM, five times as many beats", "tstr_more_cnn_lstm", "value"),
    ("3", "TSTR, LDA, five times as many beats, new days", "tstr_new", "value"),
    ("3", "TSTR, CNN-LSTM, five times as many, new days", "tstr_new_cnn_lstm", "value"),
    ("", "TRTS, LDA", "trts", "value"),
    ("4", "spread within subject over real", "spread", "value"),
    ("4", "share of subjects in 0.9 to 1.1", "spread", "share_like_real"),
    ("4", "collapsed subjects", "spread", "collapsed"),
    ("5", "obedience: subject", "obedience", "value"),
    ("5", "train beats named from the other folds", "obedience", "ceiling_held_out_train"),
    ("5", "obedience: label, mean over labels", "obedience_label", "value"),
    ("6", "mean-beat PRD to validation, median", "prd", "value"),
    ("6", "share of subjects at most 5 %", "prd", "share_close"),
    ("6", "mean-beat PRD to train, median", "prd_train", "value"),
    ("6", "share of subjects at most 5 %", "prd_train", "share_close"),
    ("7", "near copies", "privacy/near_copies", "value"),
    ("7", "closer to train than 95 % of validation", "privacy/close", "value"),
    ("7", "membership AUC", "privacy/membership", "value"),
    *(
        ("9", f"{name.upper()} median, share as validation's", f"intervals/{name}", "value")
        for name in ("rr", "pr", "qrs", "qt")
    ),
    *(
        ("9", f"{name.upper()} median, share as train's", f"intervals_train/{name}", "value")
        for name in ("rr", "pr", "qrs", "qt")
    ),
    ("9", "delineation success less real", "intervals/delineation_success", "value"),
    *(
        ("", f"sequences: {words}", f"sequences/{j}", "value")
        for j, words in SEQUENCE_WORDS.items()
    ),
    ("", "MMD", "mmd", "value"),
    ("", "Frechet distance, principal components", "frechet", "value"),
    ("", "Frechet distance, identifier", "frechet_identifier", "value"),
    ("", "spectra, dB", "psd", "value"),
    *(("", name, name, "value") for name in ("precision", "recall", "density", "coverage")),
)


def parts_of(study: Study) -> tuple[Any, ...]:
    """Return the train, validation and test beats."""
    return tuple(study.beats(part) for part in ("train", "validation", "test"))  # type: ignore[arg-type]


def measured_real(study: Study, *, redraws: int) -> dict[str, Any]:
    """Return the figures of real beats in the generated ones' place."""
    return realism.real_against_real(
        *parts_of(study),
        seed=EVALUATION_SEED,
        redraws=redraws,
        namers={"cnn_lstm": fit_cnn_lstm},
        thorough=True,
        report=tell,
    )


def measure(
    study: Study,
    models: list[str],
    ceiling: dict[str, Any],
    *,
    seed: int,
    redraws: int,
    preset: str,
) -> dict[str, Any]:
    """Return the figures of the reconstruction and of each generator, trained with a seed."""
    seconds: dict[str, float] = {}
    for name in ("autoencoder", *models):
        started = time.perf_counter()
        train(study.folder, models=[name], preset=preset, seed=seed)
        seconds[name] = time.perf_counter() - started
    autoencoder = load_model(study, "autoencoder")
    parts = parts_of(study)
    common: dict[str, Any] = {
        "seed": EVALUATION_SEED,
        "redraws": redraws,
        "ceiling": ceiling,
        "thorough": True,
        "report": tell,
    }
    found: dict[str, Any] = {"train_s": seconds, "beats_per_second": {}}
    found["reconstruction"] = realism.evaluate_reconstruction(
        *parts,
        lambda signals: autoencoder.decode(autoencoder.encode(signals)),
        namers={"cnn_lstm": fit_cnn_lstm},
        **common,
    )
    for name in models:
        found[name] = realism.evaluate_generator(
            *parts,
            lambda subjects, s, name=name: draw_beats(study, name, subjects, seed=s),
            generated_new=new_days_of(study, name, []),
            draw_rows=lambda subjects, n, s, name=name: draw_sequences(
                study, name, subjects, n, seed=s
            ),
            namers={"cnn_lstm": fit_cnn_lstm},
            stage=f"{name}, seed {seed}",
            **common,
        )
        found["beats_per_second"][name] = beats_per_second(study, name)
    return found


def beats_per_second(study: Study, model: str) -> float:
    """Return the beats generated a second in one warm call: the median of five."""
    subjects = np.resize(np.asarray(choose_subjects(study, None), dtype=np.str_), TIMED_BEATS)
    times = []
    for call in range(TIMED_CALLS + 1):
        started = time.perf_counter()
        draw_beats(study, model, subjects, seed=call)
        times.append(time.perf_counter() - started)
    return TIMED_BEATS / float(np.median(times[1:]))


def tell(progress: Any) -> None:
    """Say on standard error how far it is."""
    print(f"{progress.stage}: {progress.done} of {progress.total}", file=sys.stderr, flush=True)


def at(figures: Any, path: str, key: str) -> Any:
    """Return a value out of nested figures; None where there is none."""
    for name in path.split("/"):
        figures = figures.get(name) if isinstance(figures, dict) else None
    value = figures.get(key) if isinstance(figures, dict) else None
    return float(len(value)) if isinstance(value, list) else value


def cell(values: list[Any], interval: Any = None) -> str:
    """Return the mean over seeds, their range, and one seed's interval."""
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    text = f"{np.mean(known):.3f}"
    if len(known) > 1:
        text += f" ({min(known):.3f}-{max(known):.3f})"
    return text + (f" [{interval[0]:.3f} {interval[1]:.3f}]" if interval else "")


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Yield the table: real beats, then each source's mean over seeds, range and interval."""
    seeds = list(result["seeds"].values())
    sources = [name for name in SOURCES if name in seeds[0]]
    head = ["row", "figure", "real", *sources]
    table = [head]
    for number, words, path, key in FIGURES:
        real = at(result["real"], path, key)
        if path.startswith("privacy") and sources[1:]:
            real = at(seeds[0][sources[-1]], path, "ceiling")
        row = [number, words, cell([real])]
        for source in sources:
            values = [at(one[source], path, key) for one in seeds]
            over = "interval" if key == "value" else f"{key}_interval"
            row.append(cell(values, at_interval(seeds[0][source], path, over)))
        table.append(row)
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
    yield ""
    for name in TSTR:
        ratios = {s: ratio(seeds, s, name) for s in sources}
        yield f"3 {name} over TRTR: " + ", ".join(f"{s} {cell(v)}" for s, v in ratios.items())
    for name in ("autoencoder", *sources[1:]):
        yield f"10 seconds to train {name}: {cell([one['train_s'].get(name) for one in seeds])}"
    for name in sources[1:]:
        rates = [one["beats_per_second"][name] for one in seeds]
        yield f"10 beats a second generated by {name}, one warm call: {cell(rates)}"
    if all(name in sources for name in GENERATORS):
        for seed, one in result["seeds"].items():
            better = realism.better_generator(one)
            yield f"8 seed {seed}: better is {better['model'] or 'neither'}: {better['why']}"


def at_interval(figures: Any, path: str, key: str) -> Any:
    """Return an interval out of nested figures; None where there is none."""
    for name in path.split("/"):
        figures = figures.get(name) if isinstance(figures, dict) else None
    return figures.get(key) if isinstance(figures, dict) else None


def ratio(seeds: list[dict[str, Any]], source: str, name: str) -> list[float]:
    """Return a figure over that of real beats, a seed each."""
    pairs = [(at(one[source], name, "value"), at(one[source], name, "ceiling")) for one in seeds]
    return [value / ceiling for value, ceiling in pairs if value is not None and ceiling]


def known_results(path: Path | None, protocol: dict[str, Any]) -> dict[str, Any]:
    """Return what OUT holds; an error if it was measured in another way."""
    if path is None or not path.is_file():
        return {"protocol": protocol, "seeds": {}}
    result: dict[str, Any] = json.loads(path.read_text())
    if result["protocol"] != protocol:
        sys.exit(f"{path} was measured in another way: {result['protocol']}. Name another file.")
    return result


def main() -> None:
    """Measure each seed that is not yet known, write it, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="recordings, as `prepare` takes them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--redraws", type=int, default=20)
    parser.add_argument("--models", default="gan,mixture", help="after commas")
    parser.add_argument("--preset", choices=("quick", "full"), default="full")
    parser.add_argument("--leads", help="as for prepare: names after commas, or all")
    parser.add_argument("--subject-from", help="as for prepare")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    models = [name for name in GENERATORS if name in arguments.models.split(",")]
    options: dict[str, Any] = {"split": "record"}
    if arguments.leads:
        named = arguments.leads
        options["leads"] = named if named == "all" else tuple(named.split(","))
    if arguments.subject_from:
        options["subject_from"] = arguments.subject_from
    with tempfile.TemporaryDirectory() as workspace:
        folder = Path(workspace) / "study"
        prepare([arguments.folder], folder, options=options)
        study = Study.open(folder)
        train_beats, validation, test = parts_of(study)
        protocol = {
            "study": study.info.fingerprint,
            "beats": {"train": len(train_beats), "validation": len(validation), "test": len(test)},
            "subjects": len(set(train_beats.subject)),
            "leads": list(study.info.leads),
            "models": models,
            "preset": arguments.preset,
            "redraws": arguments.redraws,
            "words": __doc__.split("\n\n")[1].replace("\n", " "),
        }
        result = known_results(arguments.json, protocol)
        if "real" not in result:
            result["real"] = measured_real(study, redraws=arguments.redraws)
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            if str(seed) in result["seeds"]:
                continue
            result["seeds"][str(seed)] = measure(
                study,
                models,
                result["real"],
                seed=seed,
                redraws=arguments.redraws,
                preset=arguments.preset,
            )
            if arguments.json:
                temporary = arguments.json.with_suffix(".part")
                temporary.write_text(json.dumps(result, indent=1))
                temporary.replace(arguments.json)
    print(json.dumps(protocol, indent=1))
    for line in lines(result):
        print(line)


if __name__ == "__main__":
    main()

"""Command line: the verbs of CardioTwin, each a function of `core.workflow`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from core import __version__
from core.errors import UserError
from core.options import MODEL_NAMES, PrepareOptions, parse_options
from core.progress import Progress, Report, silent

OK, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130
Run = Callable[[argparse.Namespace, Report], Any]
NOTICE = "Research use only. Not a medical device."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the words of a call in one line."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}. See {self.prog} --help.\n")
        raise SystemExit(USER_ERROR)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _leads(text: str) -> tuple[str, ...] | str:
    return "all" if text == "all" else tuple(_split(text))


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**31:
        raise argparse.ArgumentTypeError(f"{seed} is not from 0 to {2**31 - 1}")
    return seed


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = _Parser(
        prog="python -m core",
        description=f"Generate, authenticate and identify ECG signals. {NOTICE}",
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)

    def verb(name: str, text: str, run: Run) -> _Parser:
        one: _Parser = verbs.add_parser(name, help=text, description=f"{text}. {NOTICE}")
        one.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
        one.set_defaults(run=run, say=_say)
        return one

    def source_rate(one: _Parser) -> None:
        one.add_argument(
            "--source-rate", type=float, metavar="HZ", help="rate of files that tell none"
        )

    one = verb("demo", "Make a study of the simulated demo cohort, prepared", _function("demo"))
    one.add_argument("study", metavar="DIR", help="folder of the new study")

    one = verb("prepare", "Read ECG files, clean them, find beats, store them as a study", _prepare)
    one.add_argument("sources", nargs="+", metavar="SRC", help="file or folder of ECG recordings")
    one.add_argument("--study", required=True, metavar="DIR", help="folder of the new study")
    one.add_argument("--sampling-rate", type=float, metavar="HZ", help="rate of the study")
    source_rate(one)
    one.add_argument(
        "--leads", type=_leads, metavar="NAME,...|all", help="leads to keep (default: one)"
    )
    one.add_argument("--split", metavar="session|record|subject|time|random|none")
    one.add_argument("--subject-from", metavar="header|folder|file")
    for name in ("highpass-hz", "lowpass-hz", "smoothing-ms", "before-s", "after-s"):
        one.add_argument(f"--{name}", type=float, metavar=name.rsplit("-", 1)[1].upper())
    one.add_argument("--notch-hz", metavar="auto|off|50|60")
    one.add_argument("--window", metavar="fixed|r_to_r")
    one.add_argument("--normalisation", metavar="none|zscore|minmax")

    one = verb("train", "Fit the models of a study and save them", _function("train"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("--models", type=_split, metavar=",".join(MODEL_NAMES))
    one.add_argument("--preset", default="full", metavar="quick|full")
    one.add_argument("--seed", type=_seed, default=0, metavar="N")
    one.add_argument(
        "--target", default="auto", metavar="auto|subject|label", help="what the identifier names"
    )
    one.add_argument(
        "--order",
        default="auto",
        metavar="auto|cnn_lstm|lstm_cnn",
        help="what comes first in the identifier's network",
    )
    one.add_argument(
        "--balance",
        default="weights",
        metavar="weights|draws|none",
        help="how rare labels are made up for",
    )
    one.add_argument(
        "--augment",
        default="none",
        metavar="none|classic|mixture|gan",
        help="what the identifier's rare classes are filled up with",
    )
    one.add_argument("--resume", action="store_true", help="go on with what was interrupted")

    one = verb("export", "Write a study's real beats to a file", _function("export"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("--out", required=True, metavar="FILE.npz|.csv")
    one.add_argument("--partition", default="all", metavar="train|validation|test|all")
    one.add_argument("--signal", default="smoothed", metavar="smoothed|clean|raw")

    one = verb("generate", "Write synthetic beats or a strip to a file", _function("generate"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("--model", default="gan", metavar="gan|mixture")
    one.add_argument("--per-subject", type=int, metavar="N", help="beats of each, 50 by default")
    one.add_argument(
        "--seconds", type=float, metavar="T", help="a continuous strip of one subject instead"
    )
    one.add_argument(
        "--subject",
        dest="subjects",
        action="append",
        metavar="S",
        help="may be given several times",
    )
    one.add_argument("--label", metavar="L")
    one.add_argument("--heart-rate", type=float, metavar="BPM")
    one.add_argument(
        "--sdnn", type=float, metavar="MS", help="standard deviation of RR (with --seconds)"
    )
    one.add_argument(
        "--noise",
        default="off",
        metavar="off|real",
        help="wander and noise like the recording's (with --seconds)",
    )
    one.add_argument("--days", default="recorded", metavar="recorded|new")
    one.add_argument("--seed", type=_seed, default=0, metavar="N")
    one.add_argument(
        "--out", required=True, metavar="FILE", help=".npz or .csv; a strip: .hea, .edf or .csv"
    )

    one = verb(
        "authenticate",
        "Tell whether a file's beats are real or synthetic",
        _function("authenticate"),
    )
    one.add_argument("study", metavar="DIR")
    one.add_argument("file", metavar="FILE", help="a file of beats or a recording")
    source_rate(one)

    one = verb("identify", "Tell who each file is of", _function("identify"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("files", nargs="+", metavar="FILE")
    one.add_argument("--per-beat", action="store_true", help="also name each beat alone")
    one.add_argument(
        "--refresh",
        action="store_true",
        help="enroll what is named with confidence; without it the study is not changed",
    )
    source_rate(one)

    one = verb("verify", "Tell whether each file is of one subject", _function("verify"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("files", nargs="+", metavar="FILE")
    one.add_argument("--subject", required=True, metavar="NAME")
    source_rate(one)

    one = verb("enroll", "Add a person to those who can be named", _function("enroll"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("files", nargs="+", metavar="FILE")
    one.add_argument("--subject", required=True, metavar="NAME")
    source_rate(one)

    one = verb("gallery", "List who can be named, remove somebody, undo", _function("gallery"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("--remove", metavar="NAME", help="take a person out, also one who was trained")
    one.add_argument("--undo", action="store_true", help="take the last change back")

    one = verb("tune", "Search the identifier's hyper-parameters", _function("tune"))
    one.add_argument("study", metavar="DIR")
    one.add_argument(
        "--trials", type=int, default=20, metavar="N", help="in all; run again, it goes on"
    )
    one.add_argument("--seed", type=_seed, default=0, metavar="N")
    one.add_argument(
        "--train",
        dest="train_best",
        action="store_true",
        help="then train the identifier with the best settings",
    )

    one = verb("report", "Write a study for reading", _function("write_report"))
    one.add_argument("study", metavar="DIR")
    one.add_argument("--out", required=True, metavar="FILE.html|.pdf")

    one = verb(
        "peaks", "Find R peaks, as sample numbers at each file's own rate", _function("peaks")
    )
    one.add_argument("files", nargs="+", metavar="FILE")
    source_rate(one)

    one = verb(
        "measure",
        "Measure recordings: rate, PR, QRS, QT, variability, quality",
        _function("measure"),
    )
    one.add_argument("files", nargs="+", metavar="FILE")
    one.add_argument("--leads", type=_leads, metavar="NAME,...|all", help="default: one")
    one.add_argument("--pdf", metavar="OUT", help="print them at true scale, too")
    one.set_defaults(say=_say_measures)
    source_rate(one)

    one = verb(
        "evaluate", "Compute every figure of a study, with its protocol", _function("evaluate")
    )
    one.add_argument("study", metavar="DIR")
    one.add_argument("--seed", type=_seed, default=0, metavar="N")
    one.add_argument("--redraws", type=int, default=5, metavar="N", help="draws for each figure")
    return parser


def _function(name: str) -> Run:
    """Return what calls a function of `core.workflow` with a verb's words by their names."""

    def run(args: argparse.Namespace, report: Report) -> Any:
        from core import workflow

        words = {k: v for k, v in vars(args).items() if k not in ("verb", "run", "say", "json")}
        return getattr(workflow, name)(**words, report=report)

    return run


def _prepare(args: argparse.Namespace, report: Report) -> Any:
    from core import workflow

    values = {
        name: getattr(args, name)
        for name in PrepareOptions.model_fields
        if getattr(args, name, None) is not None
    }
    if args.leads is not None:
        values["leads"] = args.leads
    if args.notch_hz is not None and args.notch_hz.isdigit():
        values["notch_hz"] = int(args.notch_hz)
    options = parse_options(PrepareOptions, values)
    return workflow.prepare(args.sources, args.study, options=options, report=report)


def _progress_bar() -> Report:
    """Return a report that draws a bar on standard error, one a stage."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def show(progress: Progress) -> None:
        bar = bars.get(progress.stage)
        if bar is None:
            for other in bars.values():
                other.close()
            bars.clear()
            bar = bars[progress.stage] = tqdm(
                total=progress.total or None, desc=progress.stage, leave=False, file=sys.stderr
            )
        bar.update(progress.done - bar.n)

    return show


def _say(result: Any, indent: str = "") -> None:
    """Print a result for people: a line a value, lists and tables indented."""
    for key, value in result.items():
        if isinstance(value, dict) and value:
            print(f"{indent}{key}:")  # noqa: T201
            _say(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{indent}{key}:")  # noqa: T201
            for entry in value:
                flat = {k: v for k, v in entry.items() if not isinstance(v, dict | list)}
                print(f"{indent}  " + ", ".join(f"{k} {v}" for k, v in flat.items()))  # noqa: T201
        elif isinstance(value, list) and value and all(isinstance(v, bool) for v in value):
            print(f"{indent}{key}: {sum(value)} of {len(value)}")  # noqa: T201
        elif isinstance(value, list):
            print(f"{indent}{key}: " + ", ".join(str(v) for v in value))  # noqa: T201
        elif not isinstance(value, dict):
            print(f"{indent}{key}: {value}")  # noqa: T201


def _say_measures(result: Any) -> None:
    """Print what was measured on each file for people: a line a figure, with its unit."""
    from core.measuring import measure_rows

    for entry in result["results"]:
        print(f"{entry['file']}:")  # noqa: T201
        for name, value in measure_rows(entry["measures"]) if entry["measures"] else ():
            print(f"  {name}: {value}")  # noqa: T201
        for remark in [*entry["remarks"], *([entry["error"]] if "error" in entry else [])]:
            print(f"  {remark}")  # noqa: T201
    if "pdf" in result:
        print(f"Printed into {result['pdf']}")  # noqa: T201


def _unexpected(error: Exception) -> str:
    """Return one line on a fault of CardioTwin itself; its traceback goes to a file."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="cardiotwin-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        file.writelines(traceback.format_exception(error))
    kind = type(error).__name__
    return f"CardioTwin failed ({kind}), which is its own fault. {file.name} says where; report it."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status: 0, or 2 where the user can mend what is wrong."""
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    args = build_parser().parse_args(arguments)
    report = _progress_bar() if sys.stderr.isatty() else silent
    try:
        result = args.run(args, report)
        if args.json:
            print(json.dumps(result, allow_nan=False), flush=True)  # noqa: T201
        else:
            args.say(result)
            sys.stdout.flush()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return USER_ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write(
            "Stopped. What was finished is kept; the same command goes on from there.\n"
        )
        return INTERRUPTED
    except OSError as error:
        where = error.filename or Path.cwd()
        sys.stderr.write(f"{where}: {error.strerror or error}. Check the disk and your rights.\n")
        return USER_ERROR
    except Exception as error:
        sys.stderr.write(f"{_unexpected(error)}\n")
        return FAILED
    return OK

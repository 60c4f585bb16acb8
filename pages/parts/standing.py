"""A study -> where it stands, what to do next, and its key figures in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from core import jobs
from core.generating import GENERATORS
from core.options import MODEL_NAMES
from core.study import Study
from pages.parts.generated import file_of
from pages.parts.words import share

State = Literal["prepared", "trained", "judged"]


@dataclass(frozen=True)
class Standing:
    """Where a study stands.

    Attributes:
        trained: Names of the models that are trained, in the order of training.
        judged: Whether every figure of these models was measured.
    """

    trained: tuple[str, ...]
    judged: bool

    @property
    def state(self) -> State:
        """The last step that is done."""
        if not self.trained:
            return "prepared"
        return "judged" if self.judged else "trained"

    @property
    def generators(self) -> tuple[str, ...]:
        """The models that can draw beats now."""
        ready = "autoencoder" in self.trained
        return tuple(name for name in GENERATORS if ready and name in self.trained)


def standing(study: Study) -> Standing:
    """Return where a study stands."""
    trained = tuple(name for name in MODEL_NAMES if study.has_model(name))
    return Standing(trained, judged=bool(trained) and study.figures() is not None)


@dataclass(frozen=True)
class KeyFigure:
    """One figure for people who read no tables.

    Attributes:
        name: What was asked.
        value: The answer with its unit; None if it was not measured.
        meaning: How to read it, in one line.
        protocol: How it was measured.
        page: The page that tells more.
    """

    name: str
    value: str | None
    meaning: str
    protocol: str
    page: str


def key_figures(figures: Mapping[str, Any] | None) -> list[KeyFigure]:
    """Return the few figures that tell how well a study went; values are None where not measured.

    Args:
        figures: What `Study.figures` returned.
    """
    figures = figures or {}
    real = _at(figures, "identification", "real")
    named = _at(real, "methods", str(real.get("method")), "recording")
    realism = _at(figures, "realism")
    model = next((name for name in GENERATORS if realism.get(name)), "gan")
    generated = _at(realism, model)
    judge = _at(generated, "discriminative", "features")
    taught = _at(generated, "tstr")
    copies = _at(generated, "privacy", "near_copies")
    page = "pages/generation.py"
    return [
        KeyFigure(
            "Right name, of a recording (rank-1)",
            _share(named.get("rank_1")),
            _of(named.get("probes"), "test recordings") + "100 % is best",
            str(real.get("protocol", "")),
            "pages/identification.py",
        ),
        KeyFigure(
            "Real from generated, told by an SVM",
            _share(judge.get("value")),
            "50 %: it cannot tell; " + _beside(judge, "real from real"),
            str(judge.get("protocol", "")),
            page,
        ),
        KeyFigure(
            "Right name, learned from generated beats",
            _share(taught.get("value")),
            "of test beats; " + _beside(taught, "learned from real ones"),
            str(taught.get("protocol", "")),
            page,
        ),
        KeyFigure(
            "Near copies of train beats",
            _share(copies.get("value")),
            "of generated beats; " + _beside(copies, "real ones"),
            str(copies.get("protocol", "")),
            page,
        ),
    ]


def _at(node: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for name in path:
        found = node.get(name)
        node = found if isinstance(found, Mapping) else {}
    return node


def _share(value: Any) -> str | None:
    return share(float(value)) if isinstance(value, int | float) else None


def _of(number: Any, noun: str) -> str:
    return f"of {number} {noun}; " if number else ""


def _beside(figure: Mapping[str, Any], words: str) -> str:
    ceiling = _share(figure.get("ceiling"))
    return f"{words}: {ceiling}" if ceiling else "beside it stand real beats"


def newest_generation(study: Study) -> jobs.JobState | None:
    """Return the last job that drew beats, not a strip, and whose file is still there."""
    for job in jobs.list_jobs(study.folder):
        of_beats = job.verb == "generate" and not job.arguments.get("seconds")
        if of_beats and job.status == "done" and file_of(study, job).is_file():
            return job
    return None

"""Options that the command line, the pages and the study folder share, each with its range."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import UserError

Split = Literal["session", "record", "subject", "time", "random", "none"]
SubjectSource = Literal["header", "folder", "file"]
Preset = Literal["quick", "full"]
ModelName = Literal["autoencoder", "gan", "mixture", "authenticity", "identifier"]
SignalKind = Literal["raw", "clean", "smoothed"]
Target = Literal["auto", "subject", "label"]
"""What the identifier names; ``auto``: the subject where a study has several, else the label."""
Order = Literal["auto", "cnn_lstm", "lstm_cnn"]
"""Which comes first in the identifier's network; ``auto``: what tuning found, else the CNN."""
Balance = Literal["weights", "draws", "none"]
"""How rare labels are made up for: they count more, are drawn more often, or are not."""
Augment = Literal["none", "classic", "mixture", "gan"]
"""What rare classes are filled up with, for the identifier to learn from: nothing, varied copies
of their beats, or beats of a generator."""

MODEL_NAMES: tuple[ModelName, ...] = (
    "autoencoder",
    "mixture",
    "gan",
    "authenticity",
    "identifier",
)
"""Models in the order in which they are trained; each stands on those before it."""

MODEL_FORMATS: dict[ModelName, int] = {
    "autoencoder": 2,
    "mixture": 3,
    "gan": 3,
    "authenticity": 3,
    "identifier": 2,
}
"""Raised when models that were saved before can be read no more: they are trained anew."""


class Options(BaseModel):
    """Base of all options: unknown names are refused, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PreprocessingOptions(Options):
    """From a raw signal to beats."""

    sampling_rate: float = Field(250.0, ge=100, le=2000, description="Rate of the study, in Hz")
    highpass_hz: float = Field(0.5, ge=0.05, le=2, description="Removes the baseline, in Hz")
    lowpass_hz: float = Field(40.0, ge=20, le=150, description="Removes muscle noise, in Hz")
    notch_hz: Literal["auto", "off", 50, 60] = Field("auto", description="Power-line notch, in Hz")
    smoothing_ms: float = Field(20.0, ge=0, le=100, description="Moving average, in ms")
    window: Literal["fixed", "r_to_r"] = Field("fixed", description="How a beat is cut")
    before_s: float = Field(0.25, ge=0.1, le=0.6, description="Window before the R peak, in s")
    after_s: float = Field(0.45, ge=0.2, le=1.2, description="Window after the R peak, in s")
    normalisation: Literal["none", "zscore", "minmax"] = Field(
        "none", description="Scaling of each beat"
    )


class PrepareOptions(PreprocessingOptions):
    """From files to a study."""

    source_rate: float | None = Field(
        None, ge=20, le=50_000, description="Rate of files that do not tell theirs, in Hz"
    )
    leads: tuple[str, ...] | Literal["all"] | None = Field(
        None, description="Leads to keep; by default I, else MLII, else II, else the first"
    )
    split: Split = Field("record", description="How the test part is chosen")
    subject_from: SubjectSource | None = Field(None, description="Where the subject is named")


class AugmentationOptions(Options):
    """How far beats may be changed; 0 leaves them as they are."""

    shift_s: float = Field(0.006, ge=0, le=0.05, description="Largest shift in time, in s")
    warp: float = Field(
        0.05, ge=0, le=0.3, description="Largest relative stretch of PR and ST-T, R in place"
    )
    scale: float = Field(0.03, ge=0, le=0.5, description="Largest relative change of amplitude")
    noise_mv: float = Field(
        0.005, ge=0, le=0.5, description="White noise, a standard deviation in mV"
    )
    baseline_mv: float = Field(
        0.02, ge=0, le=1, description="Largest amplitude of baseline wander, in mV"
    )


class TrainOptions(Options):
    """From a prepared study to models."""

    models: tuple[ModelName, ...] = MODEL_NAMES
    preset: Preset = "full"
    target: Target = "auto"
    order: Order = "auto"
    balance: Balance = "weights"
    augment: Augment = "none"
    augmentation: AugmentationOptions = AugmentationOptions()
    seed: int = Field(0, ge=0, le=2**31 - 1)


OptionsT = TypeVar("OptionsT", bound=Options)


def option_flag(name: str) -> str:
    """Return the command-line flag of an option: ``sampling_rate`` -> ``--sampling-rate``."""
    return "--" + name.replace("_", "-")


def parse_options(kind: type[OptionsT], values: dict[str, Any]) -> OptionsT:
    """Build options from plain values.

    Raises:
        UserError: A value is out of range or unknown; names the option and its allowed range.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else kind.__name__
        field = kind.model_fields.get(name)
        if field is None:
            raise UserError(
                option_flag(name), "is not an option here", f"Use {', '.join(kind.model_fields)}"
            ) from None
        limits = {type(m).__name__.lower(): m for m in field.metadata}
        low, high = limits.get("ge"), limits.get("le")
        if low is not None and high is not None:
            fix = f"Give a number from {low.ge:g} to {high.le:g}"
        else:
            fix = f"Allowed: {_allowed(field.annotation)}"
        raise UserError(option_flag(name), f"{first.get('input')!r} is not allowed", fix) from None


def _allowed(annotation: Any) -> str:
    """Return the values of a Literal, wherever it stands in an annotation, or its own name."""
    arguments = getattr(annotation, "__args__", ())
    if not arguments:
        return getattr(annotation, "__name__", str(annotation))
    names: list[str] = []
    for argument in arguments:
        if argument is type(None) or argument is Ellipsis:
            continue
        names.append(
            _allowed(argument)
            if hasattr(argument, "__args__") or isinstance(argument, type)
            else str(argument)
        )
    return ", ".join(names)

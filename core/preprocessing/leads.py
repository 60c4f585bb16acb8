"""Names of a recording's channels -> positions of the leads that a study keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from core.errors import UserError, did_you_mean
from core.recording import MILLIVOLT, UNKNOWN_UNIT

PREFERRED_LEADS = ("I", "MLII", "II")
"""One lead, by default: the first of these that a recording has, else its first ECG lead."""

NOT_ECG = (
    *("abp", "art", "bp", "pap", "cvp", "icp", "pleth", "ppg", "spo", "resp", "co"),
    *("eeg", "emg", "eog", "gsr", "eda", "temp", "acc", "steps", "status"),
)
"""How the names of channels begin that are often stored beside an ECG, in lower case."""

_ECG_UNITS = (MILLIVOLT, UNKNOWN_UNIT)


def choose_leads(
    names: Sequence[str],
    wanted: Sequence[str] | Literal["all"] | None,
    *,
    units: Sequence[str] | None = None,
    where: object = "--leads",
) -> list[int]:
    """Return the positions of the leads to keep.

    Args:
        names: Name of each channel, as `Recording.leads` has them.
        wanted: None for one lead (I, else MLII, else II, else the first), ``"all"`` for every
            ECG lead, or the names of leads, in the order wanted; case does not matter.
        units: Unit of each channel; a channel that is neither in mV nor unknown is no ECG lead.
        where: The file or option that an error names.

    Raises:
        UserError: A lead is not there, is asked for twice, or no channel is an ECG lead.
    """
    units = [UNKNOWN_UNIT] * len(names) if units is None else list(units)
    ecg = [
        i
        for i, (name, unit) in enumerate(zip(names, units, strict=True))
        if unit in _ECG_UNITS and not _other_signal(name)
    ]
    if wanted is not None and wanted != "all":
        return [_position(names, name, where) for name in _once(wanted, where)]
    if not ecg:
        raise UserError(
            where,
            f"no ECG lead among {', '.join(names) or 'no channels'}",
            "Name the channel to use with --leads",
        )
    if wanted == "all":
        return ecg
    upper = {names[i].upper(): i for i in reversed(ecg)}
    return [next((upper[name] for name in PREFERRED_LEADS if name in upper), ecg[0])]


def _other_signal(name: str) -> bool:
    """Tell whether the first word of a name is that of a signal other than an ECG."""
    words = name.lower().replace("_", " ").split()
    return bool(words) and words[0].rstrip("0123456789") in NOT_ECG


def _once(wanted: Sequence[str], where: object) -> Sequence[str]:
    wanted = [wanted] if isinstance(wanted, str) else wanted
    twice = next((name for i, name in enumerate(wanted) if name in wanted[:i]), None)
    if twice is not None:
        raise UserError(where, f"asks for {twice!r} twice", "Name each lead once")
    if not wanted:
        raise UserError(where, "names no lead", "Name at least one, or leave the option out")
    return wanted


def _position(names: Sequence[str], wanted: str, where: object) -> int:
    exact = [i for i, name in enumerate(names) if name == wanted]
    if exact:
        return exact[0]
    bare = wanted.upper().removeprefix("ECG ")
    alike = [i for i, name in enumerate(names) if name.upper().removeprefix("ECG ") == bare]
    if alike:
        return alike[0]
    raise UserError(where, f"there is no lead {wanted!r}", did_you_mean(wanted, names))

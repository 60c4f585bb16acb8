"""Why a recording is not used, as the study tells it -> the fault, and what to do about it."""

from __future__ import annotations

FIXES: dict[str, str] = {
    "It lasts": "Give a longer recording",
    "Its signal is flat": "Choose another lead, or check the electrodes",
    "No heartbeat was found": "Choose another lead, or check that it is an ECG",
    "None of its": "Look at its trace; choose another lead or other filters",
    "Its beats have no shape": "Look at its trace; choose another lead",
    "the same signal as": "Nothing: the other one is used",
    "has the leads": "Choose leads that all recordings have",
    "no beat of it": "Look at its trace; choose another lead or other filters",
}
LOOK = "Look at its trace"


def advice(path: str, reason: str) -> tuple[str, str]:
    """Return the fault and the fix of a refusal, without full stops.

    Args:
        path: The file that was refused.
        reason: A user's error about it, ``where: fault. fix.``, or a sentence without advice.
    """
    told = reason.strip().rstrip(".")
    for begin, fix in FIXES.items():
        if told.startswith(begin):
            return told, fix
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    where, found, rest = told.partition(": ")
    if found and where.replace("\\", "/").rsplit("/", 1)[-1] == name:
        told = rest
    fault, found, fix = told.rpartition(". ")
    return (fault, fix) if found else (told, LOOK)

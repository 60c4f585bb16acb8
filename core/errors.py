"""What went wrong on the user's side, in one sentence: where, what is wrong, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can mend.

    Its message has one shape everywhere: ``where: fault. fix.``, on one line.

    Args:
        where: The file or option at fault, such as ``rec_1.dat`` or ``--sampling-rate``.
        fault: What is wrong with it, without a full stop.
        fix: What to do about it, without a full stop.
    """

    def __init__(self, where: object, fault: str, fix: str) -> None:
        self.where = str(where)
        self.fault = " ".join(fault.split())
        self.fix = " ".join(fix.split())
        super().__init__(self.where, self.fault, self.fix)

    def __str__(self) -> str:
        return f"{self.where}: {self.fault}. {self.fix}."


class Cancelled(Exception):  # noqa: N818 - a request that was granted, not an error
    """Raised inside a long step when its user asked to stop; finished parts stay on disk."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """Return a fix that names the nearest valid value, and the others if they are few."""
    options = sorted(valid)
    nearest = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    if nearest:
        return f"Did you mean {nearest[0]!r}"
    if len(options) > 12:
        return f"Choose one of {len(options)}: {', '.join(options[:12])}, ..."
    return f"Choose one of {', '.join(options)}" if options else "There is none to choose from"

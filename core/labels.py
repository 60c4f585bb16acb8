"""Beat labels: from PhysioNet annotation codes to the classes of ANSI/AAMI EC57."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from core.recording import StrArray

AAMI_CLASS_OF_SYMBOL = {
    **dict.fromkeys("NLRejB", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VEr", "V"),
    "F": "F",
    **dict.fromkeys("/fQ?", "Q"),
}
"""ANSI/AAMI EC57:2012, as de Chazal et al. 2004 apply it; ``r`` (R on T) counts as V."""

BEAT_SYMBOLS = tuple(AAMI_CLASS_OF_SYMBOL)


def aami_classes(symbols: StrArray) -> StrArray:
    """Return the AAMI class (``N S V F Q``) of each annotation code; empty for other codes."""
    return np.asarray([AAMI_CLASS_OF_SYMBOL.get(str(s), "") for s in symbols], dtype="<U1")


def are_several(labels: Iterable[str]) -> bool:
    """Return whether beats have labels to tell apart; one that is not labelled is of none."""
    return len(set(labels) - {""}) > 1

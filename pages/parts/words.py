"""Numbers -> the few words that pages have room for."""

from __future__ import annotations

from collections.abc import Sequence

RARE = 0.01
"""A probability nearer than this to 0 or 1 is told as beyond it: nothing is certain."""
GENERATOR_WORDS = {"gan": "GAN (conditional)", "mixture": "Gaussian mixture"}
DASH = "\u2060\u2013\u2060"
"""En dash at which no line breaks."""


def share(value: float | None) -> str:
    """Return a share from 0 to 1 in percent; ``none`` where there is no figure."""
    return "none" if value is None else f"{100 * value:.3g} %"


def interval(ends: Sequence[float] | None) -> str:
    """Return both ends of an interval of shares in percent, without the sign; empty without one."""
    return "" if ends is None else DASH.join(f"{100 * end:.3g}" for end in ends)


def probability(value: float) -> str:
    """Return a probability in whole percent."""
    if value > 1 - RARE:
        return f"over {1 - RARE:.0%}".replace("%", " %")
    if value < RARE:
        return f"under {RARE:.0%}".replace("%", " %")
    return f"{100 * value:.0f} %"


def score(value: float | None) -> str:
    """Return a score; ``none`` where there is none."""
    return "none" if value is None else f"{value:.3f}"


def count(number: int, noun: str) -> str:
    """Return how many there are of something, such as ``1 beat`` or ``2 beats``."""
    return f"{number:,} {noun}" + "s" * (number != 1)

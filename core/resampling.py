"""Labels of unequal number -> positions that hold each label equally often."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from core.errors import UserError, did_you_mean
from core.recording import IntArray

Strategy = Literal["over", "under"]


def balance(labels: npt.ArrayLike, *, seed: int, strategy: Strategy = "over") -> IntArray:
    """Return positions, ascending, at which each label stands equally often.

    ``over`` keeps every position and draws more of the rarer labels, with replacement, up to the
    number of the commonest; ``under`` draws from each, without replacement, as many as the rarest
    has. Only for the train part.

    Args:
        labels: (n,) labels.
        seed: The same seed and labels give the same positions.
        strategy: ``"over"`` or ``"under"``.

    Raises:
        UserError: Another strategy.
    """
    from sklearn.utils import resample

    if strategy not in get_args(Strategy):
        raise UserError(
            "--balance", f"{strategy!r} is not allowed", did_you_mean(strategy, get_args(Strategy))
        )
    values = np.asarray(labels)
    if not values.size:
        return np.empty(0, dtype=np.int64)
    names, counts = np.unique(values, return_counts=True)
    chosen = []
    for i, name in enumerate(names):
        members = np.flatnonzero(values == name)
        if strategy == "under":
            wanted, kept = int(counts.min()), members[:0]
        else:
            wanted, kept = int(counts.max() - counts[i]), members
        if wanted:
            drawn = resample(
                members, replace=strategy == "over", n_samples=wanted, random_state=seed + i
            )
            kept = np.concatenate([kept, drawn])
        chosen.append(kept)
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def fill_up(labels: npt.ArrayLike, *, share: float, most: int, seed: int) -> IntArray:
    """Return positions, ascending, of what more should be made of, once for each to be made.

    Every label is brought to `share` of the commonest one's number, from `most` new ones at most to
    each that is there: what three beats do not tell, a thousand copies of them do not either.
    An empty label is none. Only for the train part.

    Args:
        labels: (n,) labels.
        share: Of the commonest label's number, above 0 to 1.
        most: New ones a given one.
        seed: The same seed and labels give the same positions.
    """
    values = np.asarray(labels, dtype=np.str_)
    names, counts = np.unique(values[values != ""], return_counts=True)
    rng = np.random.default_rng([seed, len(values)])
    chosen = [np.empty(0, dtype=np.int64)]
    for name, count in zip(names, counts, strict=True):
        wanted = min(round(share * counts.max()) - count, most * count)
        if wanted > 0:
            members = np.tile(np.flatnonzero(values == name), most)
            whole, rest = divmod(int(wanted), int(count))
            chosen += [members[: whole * count], rng.choice(members[:count], rest, replace=False)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)

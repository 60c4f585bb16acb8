from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from core.errors import UserError
from core.resampling import balance

LABELS = np.array(["N"] * 50 + ["V"] * 7 + ["A"] * 3)


def test_over_keeps_all_and_repeats_the_rare():
    chosen = balance(LABELS, seed=0)
    assert Counter(LABELS[chosen].tolist()) == {"N": 50, "V": 50, "A": 50}
    assert set(chosen) == set(range(60))
    assert (np.diff(chosen) >= 0).all()


def test_under_takes_as_many_as_the_rarest_and_none_twice():
    chosen = balance(LABELS, seed=0, strategy="under")
    assert Counter(LABELS[chosen].tolist()) == {"N": 3, "V": 3, "A": 3}
    assert len(set(chosen)) == 9


@pytest.mark.parametrize("strategy", ["over", "under"])
def test_the_seed_decides(strategy):
    first = balance(LABELS, seed=1, strategy=strategy)
    assert np.array_equal(first, balance(LABELS, seed=1, strategy=strategy))
    assert not np.array_equal(first, balance(LABELS, seed=2, strategy=strategy))


@pytest.mark.parametrize("strategy", ["over", "under"])
def test_balanced_labels_stay_as_they_are(strategy):
    even = np.array([1, 0, 1, 0])
    assert balance(even, seed=0, strategy=strategy).tolist() == [0, 1, 2, 3]
    assert not len(balance([], seed=0, strategy=strategy))


def test_another_strategy_is_refused():
    with pytest.raises(UserError, match=r"'smote' is not allowed"):
        balance(LABELS, seed=0, strategy="smote")

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from core.errors import UserError
from core.resampling import balance, fill_up

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


def test_rare_labels_are_filled_up_to_a_share_of_the_commonest_and_no_further():
    made = LABELS[fill_up(LABELS, share=0.4, most=10, seed=0)]
    assert Counter(made.tolist()) == {"V": 13, "A": 17}
    assert not len(fill_up(LABELS, share=0.06, most=10, seed=0)), "each has 3 of 50 already"


def test_no_beat_is_copied_more_often_than_allowed():
    places = fill_up(LABELS, share=1, most=2, seed=0)
    assert Counter(LABELS[places].tolist()) == {"V": 14, "A": 6}
    assert max(Counter(places.tolist()).values()) == 2
    often = Counter(fill_up(LABELS, share=0.2, most=5, seed=3).tolist())
    assert max(often.values()) - min(often[i] for i in range(57, 60)) <= 1, "evenly, as far as may"


def test_what_has_no_label_is_not_filled_up_and_the_seed_decides():
    labels = np.array(["N"] * 50 + [""] * 4 + ["V"] * 9)
    places = fill_up(labels, share=0.3, most=5, seed=0)
    assert set(labels[places]) == {"V"}
    assert np.array_equal(places, fill_up(labels, share=0.3, most=5, seed=0))
    assert not np.array_equal(places, fill_up(labels, share=0.3, most=5, seed=1))
    assert not len(fill_up([], share=1, most=5, seed=0))

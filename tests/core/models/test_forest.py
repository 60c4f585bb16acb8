from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserError
from core.models.forest import Forest


def _data() -> tuple[np.ndarray, np.ndarray]:
    features = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    return features, (features[:, 1] > 0.3).astype(np.int64)


@pytest.fixture(scope="module")
def forest() -> Forest:
    return Forest.fit(*_data(), np.ones(300), n_trees=20, seed=0)


def test_trees_tell_classes_apart(forest: Forest) -> None:
    features, classes = _data()
    logs = forest.log_posteriors(features)
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-5)
    assert np.mean(logs.argmax(axis=1) == classes) > 0.9


def test_they_say_what_scikit_learn_says(forest: Forest) -> None:
    from sklearn.ensemble import ExtraTreesClassifier

    features, classes = _data()
    theirs = ExtraTreesClassifier(
        20, min_samples_leaf=3, max_features=0.3, random_state=0, n_jobs=1
    ).fit(features, classes)
    probes = np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    mean = theirs.predict_proba(probes) + 1e-3
    expected = np.log(mean / mean.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(forest.log_posteriors(probes), expected, atol=1e-5)


def test_saved_and_loaded_they_say_the_same(forest: Forest, tmp_path: Path) -> None:
    forest.save(tmp_path / "trees.npz")
    loaded = Forest.load(tmp_path / "trees.npz", n_features=4)
    features, _ = _data()
    np.testing.assert_array_equal(loaded.log_posteriors(features), forest.log_posteriors(features))


@pytest.mark.parametrize("damage", ["backwards", "outside", "column", "short"])
def test_trees_without_an_end_are_refused(forest: Forest, tmp_path: Path, damage: str) -> None:
    children, feature, threshold = forest.children.copy(), forest.feature.copy(), forest.threshold
    if damage == "backwards":
        children[1] = 0
    elif damage == "outside":
        children[0, 1] = len(feature)
    elif damage == "column":
        feature[0] = 4
    else:
        threshold = threshold[:-1]
    file = tmp_path / "trees.npz"
    replace(forest, children=children, feature=feature, threshold=threshold).save(file)
    with pytest.raises(UserError, match=r"trees\.npz"):
        Forest.load(file, n_features=4)

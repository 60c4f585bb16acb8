"""Features -> class by extremely randomised trees (Geurts et al. 2006), kept as plain arrays.

scikit-learn grows the trees. Its own files of trees could be read only by trusting what they hold;
arrays can be checked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import UserError
from core.models.storage import load_arrays, save_arrays
from core.recording import FloatArray, IntArray

FEWEST_IN_LEAF, FEATURE_SHARE = 3, 0.3
LEAST_PROBABILITY = 1e-3
"""Added to probabilities, which may be 0."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees, one after the other; a node's children stand behind it, a leaf is its own child.

    Attributes:
        roots: (n_trees,) node at which each tree begins.
        children: (n_nodes, 2) where it goes on: feature up to the threshold, or above.
        feature: (n_nodes,) column that is looked at.
        threshold: (n_nodes,).
        posterior: (n_nodes, n_classes) share of each class.
    """

    roots: IntArray
    children: IntArray
    feature: IntArray
    threshold: npt.NDArray[np.float64]
    posterior: FloatArray

    @classmethod
    def fit(
        cls,
        features: FloatArray,
        classes: IntArray,
        weights: npt.NDArray[np.float64],
        *,
        n_trees: int,
        seed: int,
    ) -> Forest:
        """Grow trees on rows (n, n_features) with classes (n,), 0 to n_classes - 1 all present."""
        from sklearn.ensemble import ExtraTreesClassifier

        grown = ExtraTreesClassifier(
            n_trees,
            min_samples_leaf=FEWEST_IN_LEAF,
            max_features=FEATURE_SHARE,
            random_state=seed,
            n_jobs=1,
        ).fit(features, classes, sample_weight=weights)
        trees = [one.tree_ for one in grown.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
        children = []
        for root, tree in zip(roots, trees, strict=True):
            both = np.stack([tree.children_left, tree.children_right], axis=1)
            own = np.arange(tree.node_count)[:, None]
            children.append(root + np.where(both < 0, own, both))
        values = np.concatenate([tree.value[:, 0] for tree in trees])
        return cls(
            roots=roots.astype(np.int64),
            children=np.concatenate(children).astype(np.int64),
            feature=np.maximum(0, np.concatenate([t.feature for t in trees])).astype(np.int64),
            threshold=np.concatenate([tree.threshold for tree in trees]),
            posterior=(values / values.sum(axis=1, keepdims=True)).astype(np.float32),
        )

    def log_posteriors(self, features: FloatArray) -> FloatArray:
        """Return (n, n_classes) natural logarithms of the trees' mean posteriors."""
        total = np.zeros((len(features), self.posterior.shape[1]))
        for root in self.roots:
            node = np.full(len(features), root)
            moving = np.arange(len(features))
            while len(moving):
                here = node[moving]
                above = features[moving, self.feature[here]] > self.threshold[here]
                node[moving] = self.children[here, above.astype(np.int64)]
                moving = moving[node[moving] != here]
            total += self.posterior[node]
        mean = total / len(self.roots) + LEAST_PROBABILITY
        logs: FloatArray = np.log(mean / mean.sum(axis=1, keepdims=True)).astype(np.float32)
        return logs

    def save(self, file: Path) -> None:
        """Write an ``.npz`` without pickles."""
        save_arrays(file, {name: np.asarray(array) for name, array in asdict(self).items()})

    @classmethod
    def load(cls, file: Path, *, n_features: int) -> Forest:
        """Read what `save` wrote.

        Raises:
            UserError: The file is missing or damaged.
        """
        try:
            forest = cls(**load_arrays(file))
            sound = forest._is_sound(n_features)
        except (TypeError, ValueError, IndexError):
            sound = False
        if not sound:
            raise UserError(file, "is damaged", "Train the model again")
        return forest

    def _is_sound(self, n_features: int) -> bool:
        """Tell whether every way through the trees comes to an end within the arrays."""
        n = len(self.feature)
        own = np.arange(n)[:, None]
        shapes = self.children.shape == (n, 2) and len(self.threshold) == len(self.posterior) == n
        return bool(
            shapes
            and len(self.roots)
            and all(np.issubdtype(a.dtype, np.integer) for a in (self.roots, self.children))
            and ((self.roots >= 0) & (self.roots < n)).all()
            and ((self.children >= own) & (self.children < n)).all()
            and ((self.feature >= 0) & (self.feature < n_features)).all()
        )

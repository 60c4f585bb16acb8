"""Beats -> likeness to each class by linear means: cosine, PCA and LDA."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.recording import FloatArray, IntArray

LDA_COMPONENTS = 60
"""Principal components that the discriminant sees."""
FLOOR = -30.0
"""Least log-posterior: a linear model is never as sure as it says."""


class LinearDiscriminant:
    """PCA to at most 60 components, then linear discriminant analysis, equal priors."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def fit(cls, features: FloatArray, classes: IntArray) -> LinearDiscriminant:
        """Fit to rows (n, n_features) with classes (n,), each of 0 to n_classes - 1 present."""
        from sklearn.decomposition import PCA
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
        from sklearn.pipeline import make_pipeline

        n_classes = len(np.unique(classes))
        components = min(LDA_COMPONENTS, features.shape[1], max(1, len(features) - n_classes))
        model = make_pipeline(
            PCA(components, svd_solver="full" if len(features) < 200 else "covariance_eigh"),
            LinearDiscriminantAnalysis(
                solver="eigen", shrinkage=1e-3, priors=np.full(n_classes, 1 / n_classes)
            ),
        )
        return cls(model.fit(features.astype(np.float64), classes))

    def log_posteriors(self, features: FloatArray) -> FloatArray:
        """Return (n, n_classes) natural logarithms of posteriors, at least `FLOOR`."""
        logits = self._model.decision_function(features.astype(np.float64))
        if logits.ndim == 1:
            logits = np.stack([np.zeros_like(logits), logits], axis=1)
        return floored(log_softmax(logits))

    def project(self, features: FloatArray) -> FloatArray:
        """Return (n, n_dimensions) discriminant coordinates: unit variance within classes."""
        return np.asarray(self._model.transform(features.astype(np.float64)), np.float32)

    def save(self, file: Path) -> None:
        """Write a ``.skops`` file."""
        import skops.io

        skops.io.dump(self._model, file, compression=zipfile.ZIP_DEFLATED)

    @classmethod
    def load(cls, file: Path) -> LinearDiscriminant:
        """Read what `save` wrote; nothing outside scikit-learn and numpy is trusted.

        Raises:
            UserError: The file is missing or damaged.
        """
        import skops.io

        try:
            return cls(skops.io.load(file, trusted=[]))
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise UserError(
                file, f"cannot be read ({type(error).__name__})", "Train the model again"
            ) from None


def log_softmax(logits: Any) -> FloatArray:
    """Return logarithms of the softmax over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(
        shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float32
    )


def floored(log_posteriors: FloatArray) -> FloatArray:
    """Return log-posteriors, none below `FLOOR`."""
    return np.maximum(log_posteriors, np.float32(FLOOR))


def cosines(features: FloatArray, templates: FloatArray) -> FloatArray:
    """Return (n, n_classes) cosines of rows (n, n_features) with templates (n_classes, ...)."""
    alike: FloatArray = _unit(features) @ _unit(templates).T
    return alike


def flatten(signals: FloatArray) -> FloatArray:
    """Return beats (n, n_samples, n_channels) as rows (n, n_samples n_channels)."""
    return signals.reshape(len(signals), -1)


def _unit(rows: FloatArray) -> FloatArray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)

"""Judges of beats: real and generated beats in pairs -> which of them each judge tells rightly.

Every judge answers on one protocol: as many generated as real beats of each subject, five folds,
the two beats of a pair in one fold (`paired_folds`). The mean over pairs is its accuracy; 0.5 is
chance.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

from core.models.authenticity import feature_matrix, held_out_decisions
from core.recording import FloatArray, IntArray

Array = npt.NDArray[np.floating[Any]]
DoubleArray = npt.NDArray[np.float64]

SVM_JUDGES = ("features", "waveform", "residual")
JUDGES = (*SVM_JUDGES, "boosting", "cnn")
JUDGE_WORDS = {
    "features": "an RBF SVM (C=10) on lone-beat features",
    "waveform": "an RBF SVM (C=10) on the samples of a beat",
    "residual": "an RBF SVM (C=10) on a beat less its subject's mean train beat",
    "boosting": "gradient boosting (80 trees) on features, samples and residual together",
    "cnn": "a small convolutional network on the samples of a beat and their slopes",
}

TREES = 80
LEAVES = 8
TREE_RATE = 0.1
"""Shrinkage: 80 shallow trees at 0.1 see interactions and do not learn a thousand rows by heart."""
LEAF_SHARE, MOST_IN_LEAF = 0.1, 20
"""Least rows in a leaf: a tenth of all, but scikit-learn's default of 20 is enough."""
BINS = 64
"""Of a feature: as good as 255 for a thousand rows, and faster."""

CNN_FILTERS = (16, 32, 32)
CNN_KERNELS = (9, 5, 5)
CNN_STRIDES = (2, 2, 2)
CNN_DENSE = 32
CNN_EPOCHS = 30
CNN_BATCH = 64
CNN_RATE = 3e-3
CNN_DECAY = 1e-2
"""Weight decay (AdamW), for the network has more weights than there are beats."""
LEAST_STD = 1e-6
"""Samples that vary less, in mV, hold rounding only."""


def judge_pairs(
    real: FloatArray,
    generated: FloatArray,
    real_residual: FloatArray,
    generated_residual: FloatArray,
    folds: IntArray,
    sampling_rate: float,
    *,
    seed: int,
    judges: tuple[str, ...] = JUDGES,
) -> dict[str, DoubleArray]:
    """Return for each judge (n,) the share of each held-out pair that it tells rightly.

    Args:
        real: (n, n_samples, n_leads) float32, millivolts.
        generated: (n, n_samples, n_leads) float32; row i is of the same subject as real row i.
        real_residual: (n, n_samples, n_leads) real beats less their subject's mean train beat.
        generated_residual: (n, n_samples, n_leads) the same of generated beats.
        folds: (n,) fold of each pair, from `paired_folds`.
        sampling_rate: In Hz.
        seed: Of the network's first weights and batches, and of the trees.
        judges: Which of `JUDGES`.
    """
    of_real = feature_matrix(real, sampling_rate)
    of_generated = feature_matrix(generated, sampling_rate)
    views = {
        "features": (of_real, of_generated),
        "waveform": (_rows(real), _rows(generated)),
        "residual": (_rows(real_residual), _rows(generated_residual)),
    }
    found: dict[str, DoubleArray] = {}
    for name in judges:
        if name in views:
            found[name] = svm_told(*views[name], folds)
        elif name == "boosting":
            one, other = (np.hstack([views[v][side] for v in SVM_JUDGES]) for side in (0, 1))
            found[name] = boosting_told(one, other, folds, seed=seed)
        else:
            found[name] = cnn_told(real, generated, folds, seed=seed)
    return found


def svm_told(real: Array, synthetic: Array, folds: IntArray) -> DoubleArray:
    """Return (n,) the share of each pair of rows, held out, that an RBF SVM (C=10) tells rightly.

    Args:
        real: (n, n_features).
        synthetic: (n, n_features); row i is of the same subject as real row i.
        folds: (n,) fold of each pair of rows, from `paired_folds`.
    """
    x, is_synthetic = _stacked(real, synthetic)
    decision = held_out_decisions(x, is_synthetic, np.tile(folds, 2))
    return _by_pair((decision > 0) == is_synthetic)


def boosting_told(real: Array, synthetic: Array, folds: IntArray, *, seed: int) -> DoubleArray:
    """Return (n,) the share of each pair of rows, held out, that boosting tells rightly.

    Arguments: see `svm_told`; `seed` is that of the trees.
    """
    x, is_synthetic = _stacked(real, synthetic)
    both = np.tile(folds, 2)
    right = np.empty(len(x), dtype=np.bool_)
    for fold in np.unique(folds):
        held = both == fold
        trees = HistGradientBoostingClassifier(
            max_iter=TREES,
            max_leaf_nodes=LEAVES,
            learning_rate=TREE_RATE,
            max_bins=BINS,
            min_samples_leaf=max(1, min(MOST_IN_LEAF, int(LEAF_SHARE * (~held).sum()))),
            early_stopping=False,
            random_state=seed,
        ).fit(x[~held], is_synthetic[~held])
        right[held] = trees.predict(x[held]) == is_synthetic[held]
    return _by_pair(right)


def cnn_told(real: FloatArray, synthetic: FloatArray, folds: IntArray, *, seed: int) -> DoubleArray:
    """Return (n,) the share of each pair of beats, held out, that a small network tells rightly.

    Samples and their differences are standardised by the mean and spread that each has in the
    fold's train part; the number of epochs is fixed, so nothing is chosen on what is held out.

    Args:
        real: (n, n_samples, n_leads), millivolts.
        synthetic: (n, n_samples, n_leads); row i is of the same subject as real row i.
        folds: (n,) fold of each pair, from `paired_folds`.
        seed: Of the first weights and of the order of the batches.
    """
    import tensorflow as tf

    signals = np.concatenate([real, synthetic]).astype(np.float32)
    slopes = np.diff(signals, axis=1, prepend=signals[:, :1])
    x = np.concatenate([signals, slopes], axis=2)
    is_synthetic = np.repeat([0.0, 1.0], len(real)).astype(np.float32)
    both = np.tile(folds, 2)
    network = _network(*x.shape[1:])
    rng = np.random.default_rng(seed)
    right = np.empty(len(x), dtype=np.bool_)
    for fold in np.unique(folds):
        held = both == fold
        mean, std = x[~held].mean(axis=0), x[~held].std(axis=0)
        scaled = (x - mean) / np.maximum(std, LEAST_STD) * (std > LEAST_STD)
        n = int((~held).sum())
        steps = max(1, n // CNN_BATCH)
        batches = np.stack(
            [np.resize(rng.permutation(n), (steps, min(CNN_BATCH, n))) for _ in range(CNN_EPOCHS)]
        ).reshape(CNN_EPOCHS * steps, -1)
        network.restart(int(rng.integers(2**31)))
        network.train(
            tf.constant(scaled[~held], tf.float32),
            tf.constant(is_synthetic[~held]),
            tf.constant(batches, tf.int32),
        )
        logits = network.logits(tf.constant(scaled[held], tf.float32)).numpy()
        right[held] = (logits > 0) == (is_synthetic[held] > 0)
    return _by_pair(right)


class _Network:
    """A small convolutional network whose whole training is one compiled graph."""

    def __init__(self, n_samples: int, n_channels: int) -> None:
        import keras
        import tensorflow as tf

        x = inputs = keras.Input((n_samples, n_channels))
        for filters, kernel, stride in zip(CNN_FILTERS, CNN_KERNELS, CNN_STRIDES, strict=True):
            x = keras.layers.Conv1D(
                filters, kernel, strides=stride, padding="same", activation="relu"
            )(x)
        x = keras.layers.Concatenate()(
            [keras.layers.GlobalAveragePooling1D()(x), keras.layers.Flatten()(x)]
        )
        x = keras.layers.Dense(CNN_DENSE, activation="relu")(x)
        self._model = model = keras.Model(inputs, keras.layers.Dense(1)(x))
        self._optimizer = optimizer = keras.optimizers.AdamW(CNN_RATE, weight_decay=CNN_DECAY)
        optimizer.build(model.trainable_variables)
        self._fresh = [tf.identity(v) for v in optimizer.variables]

        beats = tf.TensorSpec((None, n_samples, n_channels), tf.float32)

        @tf.function(
            input_signature=[
                beats,
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((None, None), tf.int32),
            ]
        )
        def train(x: Any, y: Any, batches: Any) -> Any:
            total = tf.shape(batches)[0]
            for step in tf.range(total):
                rows = batches[step]
                with tf.GradientTape() as tape:
                    logits = model(tf.gather(x, rows), training=True)[:, 0]
                    loss = tf.reduce_mean(
                        tf.nn.sigmoid_cross_entropy_with_logits(tf.gather(y, rows), logits)
                    )
                variables = model.trainable_variables
                optimizer.apply(tape.gradient(loss, variables), variables)
            return total

        self.train = train
        self.logits = tf.function(lambda x: model(x, training=False)[:, 0], input_signature=[beats])

    def restart(self, seed: int) -> None:
        """Give every layer new weights (Glorot and Bengio 2010), and the optimiser none."""
        rng = np.random.default_rng(seed)
        for variable in self._model.trainable_variables:
            shape = tuple(variable.shape)
            if len(shape) == 1:
                variable.assign(np.zeros(shape, np.float32))
                continue
            field = int(np.prod(shape[:-2]))
            limit = np.sqrt(6 / (field * (shape[-2] + shape[-1])))
            variable.assign(rng.uniform(-limit, limit, shape).astype(np.float32))
        for variable, value in zip(self._optimizer.variables, self._fresh, strict=True):
            variable.assign(value)


@lru_cache(maxsize=4)
def _network(n_samples: int, n_channels: int) -> _Network:
    return _Network(n_samples, n_channels)


def _by_pair(right: npt.NDArray[np.bool_]) -> DoubleArray:
    """Return (n,) of (2 n,) answers, the real rows' first, the share right in each pair."""
    return right.reshape(2, -1).mean(axis=0)


def _rows(signals: FloatArray) -> Array:
    return signals.reshape(len(signals), -1).astype(np.float64)


def _stacked(real: Array, synthetic: Array) -> tuple[DoubleArray, npt.NDArray[np.bool_]]:
    """Return both sets of rows, rounded to float32 alike, and which are synthetic."""
    x = np.vstack([real, synthetic]).astype(np.float32).astype(np.float64)
    return x, np.repeat([False, True], len(real))

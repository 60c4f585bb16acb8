"""Training samples -> a hybrid CNN-LSTM that names a class and embeds a beat.

Convolutions see the waves, the LSTM their order, a dense path the beat as a whole; a dense layer
joins them to an embedding, a softmax names the class. The weights that are kept are a running
average over the steps (Polyak and Juditsky 1992), which is steadier than the last step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from core.models.storage import restore_state, save_state
from core.progress import Progress, Report
from core.recording import FloatArray, IntArray

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Samples = Callable[[int, np.random.Generator], tuple[FloatArray, IntArray]]
"""Takes how many and a generator, returns inputs (n, n_samples, n_channels) and classes (n,)."""


Order = Literal["cnn_lstm", "lstm_cnn"]
"""Convolutions before the LSTM, or the LSTM before the convolutions."""
LSTM_FIRST_STRIDE = 4
"""Samples averaged before an LSTM that comes first: it reads 44 steps instead of 175."""


@dataclass(frozen=True)
class NetworkSettings:
    """Hyper-parameters of the network and of its training."""

    order: Order = "cnn_lstm"
    filters: tuple[int, ...] = (48, 96, 128)
    kernel: int = 3
    lstm_units: int = 64
    skip_units: int = 512
    embedding: int = 256
    dropout: float = 0.1
    late_dropout: float = 0.3
    l2: float = 1e-4
    batch_momentum: float = 0.9
    label_smoothing: float = 0.1
    margin: float = 1.5
    """Taken off the log-posterior of the right class in training (additive margin softmax, Wang et
    al. 2018, on log-posteriors): classes are pushed further apart. 0 turns it off."""
    averaging: float = 0.998
    """Share of the running average that a step keeps; shorter at first, so that it fills."""
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    batch: int = 64
    epoch_samples: int = 4096
    epochs: int = 12
    warm_up: float = 0.1
    """Share of the steps in which the learning rate rises."""
    patience: int = 4
    """Epochs without a better held-out loss after which training stops."""
    first_stop: float = 0.5
    """Share of the epochs before which training is not stopped, nor an epoch chosen."""


def build_network(
    n_samples: int, n_channels: int, n_classes: int, settings: NetworkSettings, *, seed: int
) -> keras.Model:
    """Return an untrained network: (n, n_samples, n_channels) -> log-posteriors, embeddings."""
    import keras

    seeds = iter(range(seed, seed + 1000))

    def glorot() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    inputs = keras.Input((n_samples, n_channels), name="beat")

    def waves(x: Any) -> Any:
        for filters in settings.filters:
            x = keras.layers.Conv1D(
                filters,
                settings.kernel,
                padding="same",
                use_bias=False,
                kernel_initializer=glorot(),
            )(x)
            x = keras.layers.BatchNormalization(momentum=settings.batch_momentum)(x)
            x = keras.layers.ReLU()(x)
            x = keras.layers.MaxPooling1D(2, padding="same")(x)
            x = keras.layers.Dropout(settings.dropout, seed=next(seeds))(x)
        return x

    def order_of(x: Any, *, sequences: bool) -> Any:
        lstm = keras.layers.LSTM(
            settings.lstm_units,
            return_sequences=sequences,
            kernel_initializer=glorot(),
            recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
        )
        return keras.layers.Bidirectional(lstm)(x)

    if settings.order == "cnn_lstm":
        x = waves(inputs)
        branches = [order_of(x, sequences=False)]
    else:
        x = keras.layers.AveragePooling1D(LSTM_FIRST_STRIDE, padding="same")(inputs)
        x = waves(order_of(x, sequences=True))
        branches = [keras.layers.GlobalAveragePooling1D()(x)]
    place = keras.layers.Conv1D(
        settings.filters[0] // 2, 1, activation="relu", kernel_initializer=glorot()
    )(x)
    branches.append(keras.layers.Flatten()(place))
    whole = keras.layers.Dense(settings.skip_units, kernel_initializer=glorot())(
        keras.layers.Flatten()(inputs)
    )
    x = keras.layers.Concatenate()([*branches, whole])
    x = keras.layers.Dropout(settings.late_dropout, seed=next(seeds))(x)
    embedding = keras.layers.Dense(
        settings.embedding,
        kernel_regularizer=keras.regularizers.L2(settings.l2),
        kernel_initializer=glorot(),
        name="embedding",
    )(x)
    x = keras.layers.BatchNormalization(momentum=settings.batch_momentum)(embedding)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Dense(n_classes, kernel_initializer=glorot())(x)
    posterior = keras.layers.Activation("log_softmax", name="class")(x)
    return keras.Model(inputs, [posterior, embedding], name="cnn_lstm")


def train_network(
    network: keras.Model,
    samples: Samples,
    settings: NetworkSettings,
    *,
    seed: int,
    identity: str,
    held_out: tuple[FloatArray, IntArray] | None,
    report: Report,
    checkpoint: Path | None,
) -> list[dict[str, float]]:
    """Train in place and return a row of figures an epoch.

    The learning rate warms up, then falls along a cosine (Loshchilov and Hutter 2017); weights
    decay apart from the gradient (AdamW); what is judged and kept is their running average. With
    `held_out` inputs and classes, the epoch with the least held-out loss is kept, and training
    stops when none was better for `patience` epochs.

    Args:
        network: What `build_network` returned.
        samples: Draws the samples of an epoch.
        settings: Hyper-parameters.
        seed: Of the samples drawn.
        identity: Names data, seed and settings; a checkpoint of another is not resumed.
        held_out: Inputs and classes of recordings that `samples` never draws, or None.
        report: Called after every epoch, once it can be resumed.
        checkpoint: Folder for the state after every epoch, or None.
    """
    import keras
    import tensorflow as tf

    optimizer = _optimizer(settings)
    optimizer.build(network.trainable_variables)
    average = keras.models.clone_model(network)
    _copy(network.variables, average.variables)
    step = _training_step(network, average, optimizer, settings)
    best = [tf.Variable(v) for v in network.variables]
    everything = [*network.variables, *optimizer.variables, *average.variables, *best]
    done, history = restore_state(checkpoint, everything, identity=identity)
    while done < settings.epochs and not _finished(history, settings):
        inputs, classes = samples(settings.epoch_samples, np.random.default_rng([seed, done]))
        row = _run_epoch(step, inputs, classes, settings.batch)
        if held_out is not None:
            row |= _held_out_figures(average, *held_out)
        history.append(row)
        if _best_epoch(history, settings) == done:
            _copy(average.variables, best)
        done += 1
        save_state(checkpoint, everything, step=done, history=history, identity=identity)
        report(Progress("train identifier", done, settings.epochs, row))
    _copy(best, network.variables)
    return history


def _best_epoch(history: list[dict[str, float]], settings: NetworkSettings) -> int:
    """Return the epoch of least held-out loss once stopping is allowed; else the last epoch."""
    last = len(history) - 1
    first = int(settings.first_stop * settings.epochs)
    losses = [row.get("held_out_loss", -i) for i, row in enumerate(history)]
    return first + int(np.argmin(losses[first:])) if last >= first else last


def _finished(history: list[dict[str, float]], settings: NetworkSettings) -> bool:
    return len(history) - 1 - _best_epoch(history, settings) >= settings.patience


def _copy(values: list[Any], variables: list[Any]) -> None:
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)


def _optimizer(settings: NetworkSettings) -> keras.optimizers.Optimizer:
    import keras

    steps = settings.epochs * max(1, settings.epoch_samples // settings.batch)
    warm_up = max(1, int(settings.warm_up * steps))
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 20,
        decay_steps=max(1, steps - warm_up),
        warmup_target=settings.learning_rate,
        warmup_steps=warm_up,
        alpha=0.01,
    )
    return keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, clipnorm=1.0)


def _training_step(
    network: keras.Model,
    average: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    settings: NetworkSettings,
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a compiled step: inputs and classes -> loss and number of right answers.

    It changes the network, and moves the weights of `average` towards it.

    XLA stays off: it makes the LSTM ten times slower on a CPU.
    """
    import tensorflow as tf

    n_classes = network.output_shape[0][-1]
    smooth = settings.label_smoothing

    @tf.function(reduce_retracing=True)
    def step(inputs: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        right_class = tf.one_hot(classes, n_classes)
        wanted = right_class * (1 - smooth) + smooth / n_classes
        with tf.GradientTape() as tape:
            posterior, _ = network(inputs, training=True)
            apart = posterior
            if settings.margin:
                apart = tf.nn.log_softmax(posterior - settings.margin * right_class)
            loss = -tf.reduce_mean(tf.reduce_sum(wanted * apart, axis=1))
            total = loss + tf.add_n(network.losses)
        gradients = tape.gradient(total, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        steps = tf.cast(optimizer.iterations, tf.float32)
        kept = tf.minimum(settings.averaging, steps / (steps + 9))
        for old, new in zip(average.variables, network.variables, strict=True):
            if old.dtype == "float32":
                old.assign(kept * old + (1 - kept) * new)
        right = tf.reduce_sum(
            tf.cast(tf.argmax(posterior, axis=1, output_type=classes.dtype) == classes, tf.float32)
        )
        return loss, right

    return step


def _run_epoch(step: Any, inputs: FloatArray, classes: IntArray, batch: int) -> dict[str, float]:
    import tensorflow as tf

    losses, right, seen = [], 0.0, 0
    for begin in range(0, max(1, len(inputs) - batch + 1), batch):
        chunk = slice(begin, begin + batch)
        loss, hits = step(tf.constant(inputs[chunk]), tf.constant(classes[chunk]))
        losses.append(float(loss))
        right += float(hits)
        seen += len(classes[chunk])
    return {"loss": float(np.mean(losses)), "accuracy": right / seen}


def _held_out_figures(
    network: keras.Model, inputs: FloatArray, classes: IntArray
) -> dict[str, float]:
    """Return loss and accuracy with every class counted alike, as in the samples."""
    parts = [
        np.asarray(network(inputs[i : i + 1024], training=False)[0])
        for i in range(0, len(inputs), 1024)
    ]
    posterior = np.concatenate(parts)
    weights = 1 / np.bincount(classes)[classes]
    weights /= weights.sum()
    return {
        "held_out_loss": float(-weights @ posterior[np.arange(len(classes)), classes]),
        "held_out_accuracy": float(weights @ (posterior.argmax(axis=1) == classes)),
    }

"""Beats -> codes -> beats: an autoencoder that starts as a PCA and learns the rest."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError
from core.models.storage import (
    load_card,
    load_model,
    restore_state,
    save_card,
    save_model,
    save_state,
)
from core.options import Preset
from core.progress import Progress, Report, silent
from core.recording import FloatArray

if TYPE_CHECKING:
    import keras

MIN_BEATS = 8
CODES_A_LEAD = 64
"""About twice the smoothing's bandwidth (40 Hz) times the window (0.7 s): little is lost."""
MAX_CODES = 192
"""However many leads; twelve are eight that are independent, and alike."""
HIDDEN_UNITS = 128
BATCH_SIZE = 128
LEARNING_RATE = 1e-3
CODE_NOISE = 0.02
"""Standard deviation of the noise on the codes in training; codes have unit variance."""
DERIVATIVE_WEIGHT = 0.5
SPECTRUM_WEIGHT = 0.02
SPECTRUM_BINS = 40
SPECTRUM_FLOOR = 1e-2
EPOCHS: dict[Preset, int] = {"quick": 15, "full": 60}
MAX_STEPS: dict[Preset, int] = {"quick": 1_500, "full": 12_000}
NULL_SHARE = 0.01
"""Of the leads' own root mean square: a combination of leads with less is nothing but rounding."""
FLAT = 1e-6
"""Of the largest: a direction or lead with less spread than this does not vary."""
CHUNK = 8_192
"""Beats that go through the network at once."""

_STAGE = "train autoencoder"


class Autoencoder:
    """Turns beats into a few numbers each, and such numbers into beats.

    Encoder and decoder are each a linear map that starts as the principal components of the
    training beats, scaled to codes of unit variance, plus a small network that starts at zero
    and learns what the linear map misses. The loss is the squared error of the beat and of its
    first difference, each over its variance, and the absolute error of the log spectrum.

    Where the leads obey linear relations, such as II = I + III, what comes out of the decoder
    obeys them as well: a last, fixed layer takes away what breaks them.

    Attributes:
        history: An entry an epoch: ``loss``, ``error`` (share of variance that is lost).
        n_codes: Numbers in a code.
        beat_shape: ``(n_samples, n_leads)`` of the beats.
    """

    def __init__(
        self, encoder: keras.Model, decoder: keras.Model, history: list[dict[str, float]]
    ) -> None:
        self.encoder = encoder
        self.decoder = decoder
        self.history = history
        self.n_codes = int(decoder.input_shape[-1])
        _, n_samples, n_leads = encoder.input_shape
        self.beat_shape = (int(n_samples), int(n_leads))

    @classmethod
    def fit(
        cls,
        beats: FloatArray,
        *,
        preset: Preset = "full",
        seed: int = 0,
        report: Report = silent,
        checkpoint: Path | None = None,
        watch: Watch | None = None,
    ) -> Autoencoder:
        """Learn from the beats of the train part.

        Args:
            beats: (n, n_samples, n_leads) float32, millivolts.
            preset: How long to train.
            seed: Same seed, beats and machine give the same autoencoder.
            report: Called after every epoch; may raise `Cancelled`.
            checkpoint: Folder to keep the state in after every epoch, and to go on from.
            watch: Called at the start and after every epoch, before it is reported.

        Raises:
            UserError: Fewer than 8 beats, values that are not numbers, or beats all alike.
        """
        beats = _checked(beats)
        basis = _principal_components(beats)
        encoder, decoder = _build(basis, beats.shape[1:], seed)
        model = cls(encoder, decoder, [])
        model.history = _train(
            model,
            beats,
            preset=preset,
            seed=seed,
            report=report,
            checkpoint=checkpoint,
            watch=watch,
        )
        return model

    def encode(self, beats: FloatArray) -> FloatArray:
        """Return the codes (n, n_codes) of beats (n, n_samples, n_leads).

        Raises:
            UserError: The beats have another shape than those it was trained on.
        """
        beats = np.asarray(beats, dtype=np.float32)
        if beats.shape[1:] != self.beat_shape:
            raise UserError(
                "beats",
                f"have shape {beats.shape[1:]}, the autoencoder was trained on {self.beat_shape}",
                "Use beats of the same sampling rate, window and leads",
            )
        return _in_chunks(self.encoder, beats)

    def decode(self, codes: FloatArray) -> FloatArray:
        """Return the beats (n, n_samples, n_leads) float32 of codes (n, n_codes)."""
        return _in_chunks(self.decoder, np.asarray(codes, dtype=np.float32))

    def save(self, folder: Path) -> None:
        """Write ``encoder.keras``, ``decoder.keras`` and the card."""
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self.encoder, folder / "encoder.keras")
        save_model(self.decoder, folder / "decoder.keras")
        save_card(
            folder,
            {
                "model": "autoencoder",
                "n_codes": self.n_codes,
                "beat_shape": list(self.beat_shape),
                "history": self.history,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Autoencoder:
        """Read what `save` wrote.

        Raises:
            UserError: A file is missing or damaged.
        """
        history = load_card(folder)["history"]
        return cls(
            load_model(folder / "encoder.keras"), load_model(folder / "decoder.keras"), history
        )


Watch = Callable[[Autoencoder, int, int], None]
"""Takes an autoencoder in training, and how many epochs are done of how many."""


def _checked(beats: FloatArray) -> FloatArray:
    beats = np.ascontiguousarray(beats, dtype=np.float32)
    if len(beats) < MIN_BEATS:
        raise UserError(
            "autoencoder",
            f"there are {len(beats)} beats to learn from, too few to train on",
            f"Give recordings with at least {MIN_BEATS} usable beats in the train part",
        )
    if not np.isfinite(beats).all():
        raise UserError(
            "autoencoder", "some beats have missing values", "Leave out beats with gaps"
        )
    return beats


@dataclass(frozen=True, eq=False)
class _Basis:
    """Principal components of beats, in scaled units.

    Attributes:
        mean: (n_samples, n_leads) mean beat.
        scale: (n_leads,) standard deviation of each lead around it.
        axes: (k, n_samples * n_leads) orthonormal rows.
        spread: (k,) standard deviation along each.
        true_leads: (n_leads, n_leads) the projection of millivolts on what the leads allow; None
            if they are independent.
    """

    mean: FloatArray
    scale: FloatArray
    axes: FloatArray
    spread: FloatArray
    true_leads: FloatArray | None


def _principal_components(beats: FloatArray) -> _Basis:
    n = len(beats)
    mean = beats.mean(axis=0, dtype=np.float64)
    centred = beats - mean
    scale = np.sqrt((centred**2).mean(axis=(0, 1)))
    if not scale.max() > 0:
        raise UserError(
            "autoencoder",
            "all beats are the same, so there is nothing to learn",
            "Check that the signal is not flat",
        )
    scale = np.maximum(scale, FLAT * scale.max())
    flat = (centred / scale).reshape(n, -1)
    n_codes = max(1, min(CODES_A_LEAD * beats.shape[2], MAX_CODES, n // 2, flat.shape[1]))
    if flat.shape[1] <= n:
        values, vectors = np.linalg.eigh(flat.T @ flat)
        spread, axes = np.sqrt(np.maximum(values[::-1], 0)), vectors[:, ::-1].T
    else:
        _, spread, axes = np.linalg.svd(flat, full_matrices=False)
    keep = max(1, int(np.sum(spread[:n_codes] > FLAT * spread[0])))
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    return _Basis(
        mean,
        scale,
        (axes * signs[:, None])[:keep],
        spread[:keep] / math.sqrt(n),
        _lead_projection(beats),
    )


def _lead_projection(beats: FloatArray) -> FloatArray | None:
    """Return the projection (n_leads, n_leads) off the combinations of leads that are always zero.

    They are the directions in which samples, each lead in units of its own root mean square, have
    less than `NULL_SHARE`. To be applied to rows: ``sample @ projection``.
    """
    n_leads = beats.shape[2]
    samples = beats.reshape(-1, n_leads).astype(np.float64)
    size = np.sqrt((samples**2).mean(axis=0))
    size = np.maximum(size, FLAT * size.max())
    samples = samples / size
    values, vectors = np.linalg.eigh(samples.T @ samples / len(samples))
    null = vectors[:, values < NULL_SHARE**2]
    if not null.shape[1]:
        return None
    return (np.eye(n_leads) - null @ null.T) * size / size[:, None]


def _build(basis: _Basis, shape: tuple[int, ...], seed: int) -> tuple[keras.Model, keras.Model]:
    import keras
    from keras import layers

    n_codes, n_values = basis.axes.shape
    variance = np.broadcast_to(basis.scale**2, shape)
    start = {"kernel_initializer": "zeros", "bias_initializer": "zeros"}

    def scaler(name: str, *, invert: bool) -> keras.layers.Layer:
        return layers.Normalization(
            axis=(1, 2), mean=basis.mean, variance=variance, invert=invert, name=name
        )

    def hidden(name: str, offset: int) -> keras.layers.Layer:
        initial = keras.initializers.GlorotUniform(seed=seed + offset)
        return layers.Dense(HIDDEN_UNITS, "gelu", kernel_initializer=initial, name=name)

    beat = keras.Input(shape, name="beat")
    values = layers.Flatten()(scaler("scale", invert=False)(beat))
    linear = layers.Dense(n_codes, name="linear")
    residual = layers.Dense(n_codes, name="residual", **start)
    encoder = keras.Model(
        beat, layers.Add()([linear(values), residual(hidden("hidden", 1)(values))]), name="encoder"
    )
    linear.set_weights([(basis.axes / basis.spread[:, None]).T, np.zeros(n_codes)])

    code = keras.Input((n_codes,), name="code")
    back = layers.Dense(n_values, name="linear")
    residual = layers.Dense(n_values, name="residual", **start)
    joined = layers.Add()([back(code), residual(hidden("hidden", 2)(code))])
    decoded = scaler("scale", invert=True)(layers.Reshape(shape)(joined))
    if basis.true_leads is not None:
        true_leads = layers.Dense(shape[1], use_bias=False, trainable=False, name="true_leads")
        decoded = true_leads(decoded)
        true_leads.set_weights([basis.true_leads])
    decoder = keras.Model(code, decoded, name="decoder")
    back.set_weights([basis.axes * basis.spread[:, None], np.zeros(n_values)])
    return encoder, decoder


def _train(
    model: Autoencoder,
    beats: FloatArray,
    *,
    preset: Preset,
    seed: int,
    report: Report,
    checkpoint: Path | None,
    watch: Watch | None,
) -> list[dict[str, float]]:
    import keras
    import tensorflow as tf

    n = len(beats)
    batch = min(BATCH_SIZE, n)
    steps = n // batch
    epochs = max(1, min(EPOCHS[preset], MAX_STEPS[preset] // steps))
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * steps)
    optimizer = keras.optimizers.Adam(schedule)
    weights = model.encoder.trainable_variables + model.decoder.trainable_variables
    optimizer.build(weights)
    scaled = beats.std(axis=(0, 1), dtype=np.float64).astype(np.float32)
    scale = np.maximum(scaled, FLAT * scaled.max())
    normal = (beats - beats.mean(axis=0)) / scale
    variance = float(np.var(normal))
    derivative_variance = max(float(np.var(np.diff(normal, axis=1))), FLAT)
    bins = min(SPECTRUM_BINS, beats.shape[1] // 2 + 1)

    def log_spectrum(values: Any) -> Any:
        spectrum = tf.signal.rfft(tf.transpose(values, (0, 2, 1)))[..., :bins]
        return tf.math.log(tf.abs(spectrum) + SPECTRUM_FLOOR)

    @tf.function(jit_compile=False)
    def step(x: Any, key: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            code = model.encoder(x, training=True)
            noise = tf.random.stateless_normal(tf.shape(code), key)
            y = model.decoder(code + CODE_NOISE * noise, training=True)
            difference = (y - x) / scale
            error = tf.reduce_mean(difference**2) / variance
            slope = difference[:, 1:] - difference[:, :-1]
            loss = (
                error
                + DERIVATIVE_WEIGHT * tf.reduce_mean(slope**2) / derivative_variance
                + SPECTRUM_WEIGHT
                * tf.reduce_mean(tf.abs(log_spectrum(y / scale) - log_spectrum(x / scale)))
            )
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss, error

    identity = f"{_fingerprint(beats)} {preset} {seed}"
    state = [*weights, *optimizer.variables]
    done, history = restore_state(checkpoint, state, identity=identity)
    if watch is not None and not done:
        watch(model, 0, epochs)
    for epoch in range(done, epochs):
        order = np.random.default_rng([seed, epoch]).permutation(n)
        totals = np.zeros(2)
        for i in range(steps):
            x = beats[order[i * batch : (i + 1) * batch]]
            totals += [float(value) for value in step(x, tf.constant([seed, epoch * steps + i]))]
        loss, error = totals / steps
        history.append({"loss": float(loss), "error": float(error)})
        save_state(checkpoint, state, step=epoch + 1, history=history, identity=identity)
        if watch is not None:
            watch(model, epoch + 1, epochs)
        report(Progress(_STAGE, epoch + 1, epochs, history[-1]))
    return history


def _fingerprint(array: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def _in_chunks(model: Any, values: FloatArray) -> FloatArray:
    if not len(values):
        return np.zeros((0, *model.output_shape[1:]), dtype=np.float32)
    parts = [
        np.asarray(model(values[i : i + CHUNK], training=False))
        for i in range(0, len(values), CHUNK)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)

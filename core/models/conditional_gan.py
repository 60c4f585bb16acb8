"""Beats of each recording -> a conditional GAN -> codes of beats that were never measured."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from core.architecture import layers_of
from core.models.autoencoder import Autoencoder
from core.models.gaussian_mixture import Components, Days, Draw, GaussianMixtureGenerator
from core.models.storage import (
    load_arrays,
    load_card,
    load_model,
    restore_state,
    save_arrays,
    save_card,
    save_model,
    save_state,
)
from core.models.succession import Succession
from core.options import Preset
from core.progress import Progress, Report, silent
from core.recording import FloatArray, IntArray

if TYPE_CHECKING:
    import keras

STEPS: dict[Preset, int] = {"quick": 600, "full": 4_000}
STEPS_A_REPORT = 50
BATCH_SIZE = 128
LEARNING_RATE = 4e-4
BETAS = (0.0, 0.99)
EMA_DECAY = 0.999
"""Of the generator's weights; reached from below as training goes on."""
PENALTY = 0.5
"""Weight of R1 and R2, the squared gradients at real and generated beats."""
MOMENT_WEIGHT = 1.0
"""Weight of what keeps a batch's white numbers at mean 0 and variance 1."""
INSTANCE_NOISE = 0.1
"""Of a recording's own spread, added to real and generated beats alike."""
HIDDEN_UNITS = 256
NOISE_INPUTS = 16
SUBJECT_UNITS = 8
LABEL_UNITS = 4
CONTEXT_MEANS = 16
CONTEXT_VARIANCES = 8
MAX_LOG_SCALE = 1.5
START = 0.005
"""Standard deviation of the generator's last weights: it starts as the Gaussian."""
CALIBRATION_DRAWS = 400
SPECTRUM_BINS = 40
SPECTRUM_FLOOR = 1e-2
FLAT = 1e-3
"""Least standard deviation of a white number, which should have 1."""
SPREAD_RECORDINGS = 32
SPREAD_DRAWS = 16
"""Beats drawn of each of at most so many recordings to see the spread while training."""
CHUNK = 8_192
"""Beats that go through the generator at once."""

Z_KEY, U_KEY, REAL_KEY, FAKE_KEY, SPREAD_KEY = (0, 1), (0, 2), (0, 3), (0, 4), (0, 5)
"""Added to a step's key: each random draw of a step has a stream of its own."""

_STAGE = "train gan"
_GENERATOR = "generator.keras"
_CALIBRATION = "calibration.npz"


class ConditionalGan:
    """Draws codes of beats from a generator that was trained against a critic.

    The generator starts as the Gaussian of each recording (`GaussianMixtureGenerator`) and
    learns how beats depart from it: it turns white noise, subject, label and what is known of
    the recording into other white numbers, which the Gaussian's mean and factor then place.
    The critic sees decoded beats and their departure from the mean beat, with a projection on
    the condition (Miyato & Koyama 2018). The loss is relativistic, on pairs of one recording,
    with R1 and R2 penalties (R3GAN, Huang et al. 2024). Deviations from it: penalties are taken
    on the white numbers, real and generated beats carry instance noise, the generator's weights
    are averaged, and each Gaussian's moments are restored afterwards.

    Attributes:
        mixture: Where training started from.
        history: An entry every 50 steps: ``critic_loss``, ``generator_loss``, ``penalty``,
            ``critic_accuracy`` (share of pairs that the critic orders rightly) and ``spread``
            (of generated over real beats, median over recordings; before the calibration).
        critic_layers: The critic's layers, for display: it is not kept after the training.
    """

    def __init__(
        self,
        mixture: GaussianMixtureGenerator,
        generator: keras.Model,
        offset: FloatArray,
        gain: FloatArray,
        history: list[dict[str, float]],
    ) -> None:
        self.mixture = mixture
        self.generator = generator
        self.history = history
        self.critic_layers: list[dict[str, Any]] = []
        self._offset = offset
        self._gain = gain
        self._context = _Context(mixture.components)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects that it can draw, sorted."""
        return self.mixture.subjects

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that it can draw, sorted; none if it was trained without."""
        return self.mixture.labels

    @classmethod
    def fit(
        cls,
        autoencoder: Autoencoder,
        beats: FloatArray,
        subjects: npt.ArrayLike,
        recordings: npt.ArrayLike,
        *,
        labels: npt.ArrayLike | None = None,
        preset: Preset = "full",
        seed: int = 0,
        report: Report = silent,
        checkpoint: Path | None = None,
        watch: Watch | None = None,
    ) -> ConditionalGan:
        """Learn from the beats of the train part.

        Args:
            autoencoder: Fitted to the same beats.
            beats: (n, n_samples, n_leads) float32, millivolts.
            subjects: (n,) who each beat belongs to.
            recordings: (n,) which recording each beat belongs to.
            labels: (n,) a further condition, such as the beat type.
            preset: How long to train.
            seed: Same seed, data and machine give the same generator.
            report: Called every 50 steps; may raise `Cancelled`.
            checkpoint: Folder to keep the state in at every report, and to go on from.
            watch: Called at the start and before every report.

        Raises:
            UserError: No recording has two beats of one label.
        """
        codes = autoencoder.encode(beats)
        mixture = GaussianMixtureGenerator.fit(
            codes, subjects, recordings, labels=labels, decode=autoencoder.decode, seed=seed
        )
        k = codes.shape[1]
        m = len(mixture.components.mean)
        starts = _Starts(seed)
        generator = _build_generator(mixture.components, k, seed, starts)
        model = cls(
            mixture,
            generator,
            np.zeros((m, k), np.float32),
            np.ones((m, k), np.float32),
            [],
        )
        model.history = _train(
            model,
            autoencoder,
            codes,
            preset=preset,
            seed=seed,
            starts=starts,
            report=report,
            checkpoint=checkpoint,
            watch=watch,
        )
        model._calibrate(seed)
        return model

    def sample(
        self,
        subjects: npt.ArrayLike,
        *,
        seed: int = 0,
        days: Days = "recorded",
        labels: npt.ArrayLike | None = None,
        succession: Succession | None = None,
    ) -> FloatArray:
        """Return codes (n, k) float32, drawn for the subjects (n,), in their order.

        Args:
            subjects: (n,) who to draw.
            seed: Same seed and request give the same codes.
            days: ``recorded`` as on the days it was trained on, ``new`` as on another day.
            labels: (n,) a label for each; without, labels come in the shares they were seen in.
            succession: Which beats are of one day of one recording; any by default.

        Raises:
            UserError: Unknown subject or label, or days that cannot be drawn.
        """
        rng = np.random.default_rng([seed, 0])
        draw = self.mixture.plan(subjects, rng=rng, days=days, labels=labels, succession=succession)
        w = self._white(draw, rng)
        w = (w - self._offset[draw.component]) * self._gain[draw.component]
        return self.mixture.place(draw, w)

    def save(self, folder: Path) -> None:
        """Write ``generator.keras``, the mixture's and the calibration's arrays, and the card."""
        self.mixture.save(folder)
        save_model(self.generator, folder / _GENERATOR)
        save_arrays(folder / _CALIBRATION, {"offset": self._offset, "gain": self._gain})
        told = {"history": self.history, "critic": self.critic_layers}
        save_card(folder, {"model": "gan", **told})

    @classmethod
    def load(cls, folder: Path) -> ConditionalGan:
        """Read what `save` wrote.

        Raises:
            UserError: A file is missing or damaged.
        """
        card = load_card(folder)
        calibration = load_arrays(folder / _CALIBRATION)
        model = cls(
            GaussianMixtureGenerator.load(folder),
            load_model(folder / _GENERATOR),
            calibration["offset"],
            calibration["gain"],
            card.get("history", []),
        )
        model.critic_layers = card.get("critic", [])
        return model

    def _white(self, draw: Draw, rng: np.random.Generator) -> FloatArray:
        """Return the generator's white numbers (n, k) for a draw."""
        n, k = draw.mean.shape
        z = rng.standard_normal((n, k), dtype=np.float32)
        u = rng.standard_normal((n, NOISE_INPUTS), np.float32)
        context, subject, label = self._context.of(draw)
        parts = [
            np.asarray(_generate(self.generator, z[i], u[i], context[i], subject[i], label[i]))
            for i in (slice(start, start + CHUNK) for start in range(0, n, CHUNK))
        ]
        return np.concatenate([np.zeros((0, k), np.float32), *parts])

    def _calibrate(self, seed: int) -> None:
        """Restore mean and variances of each Gaussian, from draws of the trained generator."""
        mean = self.mixture.components.mean
        rng = np.random.default_rng([seed, 1])
        for index in range(len(mean)):
            which = np.full(CALIBRATION_DRAWS, index)
            w = self._white(Draw(which, mean[which], len(which)), rng)
            self._offset[index] = w.mean(axis=0)
            self._gain[index] = 1 / np.maximum(w.std(axis=0), FLAT)


Watch = Callable[[ConditionalGan, int, int], None]
"""Takes a GAN in training, not yet calibrated, and how many steps are done of how many."""


class _Context:
    """What generator and critic are told of a recording besides its subject and label."""

    def __init__(self, parts: Components) -> None:
        variance = np.square(parts.factor).sum(axis=2)[:, :CONTEXT_VARIANCES]
        own = np.concatenate([np.log(parts.level)[:, None], np.log(variance)], axis=1)
        self._own = own.astype(np.float32)
        raw = np.concatenate([parts.mean[:, :CONTEXT_MEANS], self._own], axis=1)
        self._mean, spread = raw.mean(axis=0), raw.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1).astype(np.float32)
        self._subject = _codes_of(parts.subject)[parts.condition]
        self._label = _codes_of(parts.label)[parts.condition]

    @property
    def size(self) -> int:
        return len(self._mean)

    def of(self, draw: Draw) -> tuple[FloatArray, IntArray, IntArray]:
        """Return context (n, size) and the indices (n,) of subject and label of a draw."""
        raw = np.concatenate([draw.mean[:, :CONTEXT_MEANS], self._own[draw.component]], axis=1)
        context = np.clip((raw - self._mean) / self._spread, -4, 4)
        return context, self._subject[draw.component], self._label[draw.component]


def _codes_of(names: npt.NDArray[np.str_]) -> IntArray:
    return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _generate(generator: Any, z: Any, u: Any, context: Any, subject: Any, label: Any) -> Any:
    """Return white numbers: the noise z, scaled and shifted as the generator says."""
    import tensorflow as tf

    out = generator([z, u, context, subject, label], training=False)
    scale = tf.exp(tf.clip_by_value(out[:, -1:], -MAX_LOG_SCALE, MAX_LOG_SCALE))
    return z * scale + out[:, :-1]


class _Starts:
    """Initial weights, drawn in turn from a seed of their own.

    Without them Keras draws from Python's global generator, as other threads of a worker do: the
    same seed then gave one model or another.
    """

    def __init__(self, seed: int) -> None:
        self._draws = random.Random(seed)

    def _next(self) -> int:
        return self._draws.randint(1, 10**9)

    def dense(self) -> Any:
        from keras import initializers

        return initializers.GlorotUniform(seed=self._next())

    def embedding(self) -> Any:
        from keras import initializers

        return initializers.RandomUniform(seed=self._next())


def _condition_inputs(parts: Components, starts: _Starts) -> tuple[list[Any], list[Any]]:
    """Return the inputs context, subject and label, and what a network makes of them."""
    import keras
    from keras import layers

    context = keras.Input((_Context(parts).size,), name="context")
    subject = keras.Input((), dtype="int64", name="subject")
    label = keras.Input((), dtype="int64", name="label")
    made = [context]
    n_subjects, n_labels = len(np.unique(parts.subject)), len(np.unique(parts.label))
    for name, n, units, asked in (
        ("embed_subject", n_subjects, SUBJECT_UNITS, subject),
        ("embed_label", n_labels, LABEL_UNITS, label),
    ):
        embed = layers.Embedding(n, units, embeddings_initializer=starts.embedding(), name=name)
        made.append(embed(asked))
    return [context, subject, label], made


def _build_generator(parts: Components, k: int, seed: int, starts: _Starts) -> keras.Model:
    import keras
    from keras import layers

    z = keras.Input((k,), name="z")
    u = keras.Input((NOISE_INPUTS,), name="u")
    inputs, condition = _condition_inputs(parts, starts)
    x = layers.Concatenate()([z, u, *condition])
    for _ in range(2):
        x = layers.LeakyReLU(0.2)(layers.Dense(HIDDEN_UNITS, kernel_initializer=starts.dense())(x))
    start = keras.initializers.RandomNormal(stddev=START, seed=seed)
    out = layers.Dense(k + 1, kernel_initializer=start, name="out")(x)
    return keras.Model([z, u, *inputs], out, name="generator")


def _build_critic(parts: Components, n_features: int, starts: _Starts) -> keras.Model:
    from keras import Input, Model, layers

    features = Input((n_features,), name="features")
    inputs, condition = _condition_inputs(parts, starts)
    x = features
    for _ in range(2):
        x = layers.LeakyReLU(0.2)(layers.Dense(HIDDEN_UNITS, kernel_initializer=starts.dense())(x))
    project = layers.Dense(HIDDEN_UNITS, kernel_initializer=starts.dense(), name="projection")
    projected = project(layers.Concatenate()(condition))
    score = layers.Add()(
        [
            layers.Dense(1, kernel_initializer=starts.dense())(x),
            layers.Dot(axes=1)([x, layers.Rescaling(HIDDEN_UNITS**-0.5)(projected)]),
        ]
    )
    return Model([features, *inputs], score, name="critic")


def _beat_features(beat: Any, mean_beat: Any, level: Any) -> Any:
    """Return what the critic sees (n, f) of beats (n, n_samples, n_leads)."""
    import tensorflow as tf

    bins = min(SPECTRUM_BINS, beat.shape[1] // 2 + 1)

    def log_spectrum(values: Any) -> Any:
        spectrum = tf.signal.rfft(tf.transpose(values, (0, 2, 1)))[..., :bins]
        return tf.math.log(
            tf.sqrt(tf.math.real(spectrum * tf.math.conj(spectrum)) + 1e-6) + SPECTRUM_FLOOR
        )

    centre = tf.reduce_mean(beat, axis=1, keepdims=True)
    size = tf.math.reduce_std(beat, axis=1, keepdims=True) + 1e-3
    shape = (beat - centre) / size
    slope = shape[:, 1:] - shape[:, :-1]
    departure = (beat - mean_beat) / level[:, None]
    bend = departure[:, 1:] - departure[:, :-1]
    spread = tf.sqrt(tf.reduce_mean(departure**2, axis=1) + 1e-6)
    statistics = [
        centre[:, 0],
        tf.math.log(size[:, 0]),
        tf.reduce_max(shape, axis=1),
        tf.reduce_min(shape, axis=1),
        tf.reduce_mean(shape**3, axis=1),
        10 * tf.sqrt(tf.reduce_mean(slope**2, axis=1) + 1e-8),
        tf.math.log(spread),
        10 * tf.sqrt(tf.reduce_mean(bend**2, axis=1) + 1e-8),
    ]
    flat = [
        shape,
        5 * slope,
        log_spectrum(shape) / 2,
        departure,
        log_spectrum(departure) / 2,
        *statistics,
    ]
    n_values = [int(np.prod(part.shape[1:])) for part in flat]
    return tf.concat([tf.reshape(p, (-1, n)) for p, n in zip(flat, n_values, strict=True)], axis=1)


def _train(
    model: ConditionalGan,
    autoencoder: Autoencoder,
    codes: FloatArray,
    *,
    preset: Preset,
    seed: int,
    starts: _Starts,
    report: Report,
    checkpoint: Path | None,
    watch: Watch | None,
) -> list[dict[str, float]]:
    import keras
    import tensorflow as tf

    parts = model.mixture.components
    assignment = model.mixture.assignment
    m, k = parts.mean.shape
    n = len(codes)
    batch = min(BATCH_SIZE, max(n, 2))
    every = Draw(np.arange(m), parts.mean, m)
    context, subject, label = (tf.constant(array) for array in model._context.of(every))
    mean, factor, basis = (tf.constant(a) for a in (parts.mean, parts.factor, parts.basis))
    mean_beats = autoencoder.decode(parts.mean)
    lead_spread = (autoencoder.decode(codes) - mean_beats[assignment]).std(axis=(0, 1))
    mean_beat = tf.constant(mean_beats)
    level = tf.constant(parts.level[:, None] * np.maximum(lead_spread, 1e-6))
    real_white = tf.constant(_whiten(codes, model.mixture, assignment))
    home = tf.constant(assignment)

    def see(w: Any, which: Any) -> Any:
        placed = tf.linalg.matvec(tf.gather(factor, which), w) @ basis + tf.gather(mean, which)
        beat = autoencoder.decoder(placed, training=False)
        return _beat_features(beat, tf.gather(mean_beat, which), tf.gather(level, which))

    generator = model.generator
    n_features = int(see(real_white[:1], home[:1]).shape[1])
    critic = _build_critic(parts, n_features, starts)
    model.critic_layers = [layer.as_json() for layer in layers_of(critic)]
    averaged = [tf.Variable(v) for v in generator.trainable_variables]
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, STEPS[preset], alpha=0.1)
    generator_optimizer = keras.optimizers.Adam(schedule, *BETAS)
    critic_optimizer = keras.optimizers.Adam(schedule, *BETAS)
    generator_optimizer.build(generator.trainable_variables)
    critic_optimizer.build(critic.trainable_variables)

    def judge(w: Any, which: Any) -> Any:
        told = [tf.gather(context, which), tf.gather(subject, which), tf.gather(label, which)]
        return critic([see(w, which), *told], training=True)[:, 0]

    def draw(which: Any, key: Any) -> Any:
        n = tf.shape(which)[0]
        z = tf.random.stateless_normal((n, k), key + Z_KEY)
        u = tf.random.stateless_normal((n, NOISE_INPUTS), key + U_KEY)
        told = (tf.gather(context, which), tf.gather(subject, which), tf.gather(label, which))
        return _generate(generator, z, u, *told)

    def noisy(w: Any, key: Any) -> Any:
        return w + INSTANCE_NOISE * tf.random.stateless_normal(tf.shape(w), key)

    def pick(key: Any) -> tuple[Any, Any]:
        rows = tf.random.stateless_uniform((batch,), key, 0, n, tf.int64)
        which = tf.gather(home, rows)
        return noisy(tf.gather(real_white, rows), key + REAL_KEY), which

    watched, real_spread = _watched(parts, autoencoder.decode(codes), assignment)
    drawn_of = tf.repeat(tf.constant(watched), SPREAD_DRAWS)

    @tf.function(jit_compile=False)
    def spread_of(key: Any) -> Any:
        white = draw(drawn_of, key + SPREAD_KEY)
        placed = tf.linalg.matvec(tf.gather(factor, drawn_of), white) @ basis
        beats = autoencoder.decoder(placed + tf.gather(mean, drawn_of), training=False)
        grouped = tf.reshape(beats, (len(watched), SPREAD_DRAWS, -1))
        share = SPREAD_DRAWS / (SPREAD_DRAWS - 1)
        return tf.sqrt(share * tf.reduce_sum(tf.math.reduce_variance(grouped, axis=1), axis=1))

    @tf.function(jit_compile=False)
    def critic_step(key: Any) -> tuple[Any, Any, Any]:
        real, which = pick(key)
        fake = noisy(draw(which, key), key + FAKE_KEY)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                both, twice = tf.concat([real, fake], 0), tf.concat([which, which], 0)
                inner.watch(both)
                score = judge(both, twice)
            gradient = inner.gradient(score, both)
            penalty = 2 * tf.reduce_mean(tf.reduce_sum(gradient**2, axis=1))
            margin = score[:batch] - score[batch:]
            loss = tf.reduce_mean(tf.nn.softplus(-margin))
            total = loss + PENALTY / 2 * penalty
        variables = critic.trainable_variables
        critic_optimizer.apply(tape.gradient(total, variables), variables)
        return loss, penalty, tf.reduce_mean(tf.cast(margin > 0, tf.float32))

    @tf.function(jit_compile=False)
    def generator_step(key: Any, decay: Any) -> Any:
        real, which = pick(key)
        with tf.GradientTape() as tape:
            w = draw(which, key)
            margin = judge(noisy(w, key + FAKE_KEY), which) - judge(real, which)
            loss = tf.reduce_mean(tf.nn.softplus(-margin))
            first, second = tf.nn.moments(w, axes=[0])
            drift = tf.reduce_mean(first**2) + tf.reduce_mean((second - 1) ** 2)
            total = loss + MOMENT_WEIGHT * drift
        variables = generator.trainable_variables
        generator_optimizer.apply(tape.gradient(total, variables), variables)
        for slow, fast in zip(averaged, variables, strict=True):
            slow.assign(decay * slow + (1 - decay) * fast)
        return loss

    state = [
        *generator.trainable_variables,
        *critic.trainable_variables,
        *averaged,
        *generator_optimizer.variables,
        *critic_optimizer.variables,
    ]
    identity = f"{_fingerprint(codes, assignment)} {preset} {seed}"
    steps = STEPS[preset]
    done, history = restore_state(checkpoint, state, identity=identity)
    names = ("critic_loss", "generator_loss", "penalty", "critic_accuracy")
    totals = np.zeros(len(names))
    if watch is not None and not done:
        watch(model, 0, steps)
    for step in range(done, steps):
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        critic_loss, penalty, accuracy = critic_step(tf.constant([seed, 20 * step]))
        loss = generator_step(tf.constant([seed, 20 * step + 10]), tf.constant(decay, tf.float32))
        totals += [float(critic_loss), float(loss), float(penalty), float(accuracy)]
        if (step + 1) % STEPS_A_REPORT == 0 or step + 1 == steps:
            since = step % STEPS_A_REPORT + 1
            entry = dict(zip(names, (totals / since).tolist(), strict=True))
            if len(watched):
                found = spread_of(tf.constant([seed, 20 * step])).numpy()
                entry["spread"] = float(np.median(found / real_spread))
            history.append(entry)
            totals = np.zeros(len(names))
            save_state(checkpoint, state, step=step + 1, history=history, identity=identity)
            if watch is not None:
                watch(model, step + 1, steps)
            report(Progress(_STAGE, step + 1, steps, history[-1]))
    for slow, fast in zip(averaged, generator.trainable_variables, strict=True):
        fast.assign(slow)
    return history


def _watched(
    parts: Components, beats: FloatArray, component: IntArray
) -> tuple[IntArray, FloatArray]:
    """Return Gaussians whose spread is watched, and the spread of their real beats, in mV."""
    able = np.flatnonzero(parts.count > 1)
    chosen = able[np.unique(np.linspace(0, len(able) - 1, SPREAD_RECORDINGS).astype(np.int64))]
    spread = np.asarray([np.sqrt(beats[component == c].var(axis=0, ddof=1).sum()) for c in chosen])
    return chosen[spread > 0], spread[spread > 0]


def _whiten(
    codes: FloatArray, mixture: GaussianMixtureGenerator, component: IntArray
) -> FloatArray:
    """Return the white numbers (n, k) that the Gaussians would place at the codes."""
    parts = mixture.components
    deviation = np.linalg.solve(parts.basis.T.astype(np.float64), (codes - parts.mean[component]).T)
    white = np.empty_like(codes)
    for index in np.unique(component):
        rows = np.flatnonzero(component == index)
        white[rows] = np.linalg.solve(parts.factor[index].astype(np.float64), deviation[:, rows]).T
    return white


def _fingerprint(codes: FloatArray, assignment: IntArray) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(codes).tobytes())
    digest.update(np.ascontiguousarray(assignment).tobytes())
    return digest.hexdigest()[:16]

"""Beats -> who or what they are: a hybrid CNN-LSTM and a linear discriminant, joined.

The network and the discriminant look at the same input; their log-posteriors are added. For
persons, beats are averaged in a row, ST-T is adapted to the heart rate, and the score is on a
scale that does not depend on who else is enrolled.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.errors import UserError
from core.models.identifier_batches import Gallery, Variation, draw_samples
from core.models.identifier_input import (
    Window,
    adapt_to_rate,
    means_in_a_row,
    normalise,
    recording_codes,
    recording_rr,
    with_derivative,
)
from core.models.linear import LinearDiscriminant, Templates, flatten, floored, log_softmax
from core.models.storage import (
    load_arrays,
    load_card,
    load_model,
    save_arrays,
    save_card,
    save_model,
)
from core.options import Preset
from core.progress import Report, silent
from core.recording import FloatArray, IntArray, StrArray

Target = Literal["subject", "label"]
Method = Literal["joined", "network", "lda", "plain_lda", "template"]
METHODS: tuple[Method, ...] = ("joined", "network", "lda", "plain_lda", "template")
"""The identifier; its two parts alone, on the same input; the yardsticks, on plain beats."""

NETWORK_METHODS = ("joined", "network")
BEATS_IN_A_ROW = 5
"""Beats averaged before they are scored."""
LDA_WEIGHT = 0.15
"""Weight of each discriminant's tempered log-posterior beside the network's."""
LDA_TEMPERATURE = 2.0
"""Divides a discriminant's log-posteriors, which are too sure of themselves."""
LDA_SMOOTHING = 0.1
"""Share of a uniform posterior mixed in: the label smoothing that the network has learned."""
LDA_SIZES = (1, 3)
"""Beats in a row whose means the discriminant learns: single ones, and means of three."""
DEFAULT_THRESHOLD = 0.5
"""Least score of somebody enrolled; see `Identifier.threshold`."""
COSINE_WEIGHTS = {"embedding": 0.5, "projection": 0.25, "plain_projection": 0.25}
"""How much each space counts in how alike a probe is to a subject."""
PENALTY = 0.05
"""Weight of being less likely than the likeliest subject, per unit of log-posterior."""
HELD_OUT_FROM = 3
"""Recordings a class needs for its last one to be held out of training the network."""
EPOCHS: dict[Preset, int] = {"quick": 5, "full": 14}
BATCH_AT_INFERENCE = 2048


@dataclass(frozen=True)
class _Card:
    """Scalars of a trained identifier."""

    classes: tuple[str, ...]
    target: Target
    window: Window
    n_samples: int
    n_leads: int
    threshold: float


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What each part says of m inputs."""

    network: FloatArray
    lda: FloatArray
    lda_smooth: FloatArray
    plain_lda: FloatArray
    plain_lda_smooth: FloatArray
    template: FloatArray
    embedding: FloatArray
    projection: FloatArray
    plain_projection: FloatArray

    def mean_of(self, owners: IntArray) -> _Evidence:
        """Return the mean over the inputs of each recording, in order of its code."""
        codes = np.unique(owners)
        return _Evidence(
            **{
                part.name: np.stack(
                    [getattr(self, part.name)[owners == c].mean(axis=0) for c in codes]
                )
                for part in fields(self)
            }
        )


class Identifier:
    """Names the subject, or the label, of beats.

    Attributes:
        history: A row of figures an epoch.
    """

    def __init__(
        self,
        *,
        network: Any,
        lda: LinearDiscriminant,
        plain_lda: LinearDiscriminant,
        templates: dict[str, Templates],
        card: _Card,
        history: list[dict[str, float]],
    ) -> None:
        self._network = network
        self._lda = lda
        self._plain_lda = plain_lda
        self._templates = templates
        self._card = card
        self.history = history
        self._compiled: Any = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the scores' columns."""
        return self._card.classes

    @property
    def target(self) -> Target:
        """What the classes are: ``"subject"`` or ``"label"``."""
        return self._card.target

    @property
    def threshold(self) -> float:
        """Least score at which a probe is accepted as the subject who scored it."""
        return self._card.threshold

    @classmethod
    def fit(
        cls,
        train: BeatSet,
        *,
        target: Target = "subject",
        preset: Preset = "full",
        seed: int,
        report: Report = silent,
        checkpoint: Path | None = None,
        settings: Any = None,
    ) -> Identifier:
        """Learn the classes of `train`.

        Args:
            train: Real beats, in order of time within each recording.
            target: What to name: the ``subject`` or the ``label`` column.
            preset: ``quick`` or ``full``: how long to train.
            seed: Of every random step.
            report: Called every epoch; may raise `Cancelled`.
            checkpoint: Folder for what a later call needs to go on from here; None keeps nothing.
            settings: `NetworkSettings` instead of the preset's.

        Raises:
            UserError: There are fewer than two classes, or no beats.
        """
        from core.models.identifier_network import NetworkSettings, build_network, train_network

        classes, targets = _targets(train, target)
        window = Window(train.before_s, train.sampling_rate)
        gallery = _gallery(train, targets, window)
        sizes = (1, 7) if target == "subject" else (1, 1)
        settings = settings or NetworkSettings(epochs=EPOCHS[preset])
        variation = Variation()
        kept, held_out = _hold_out(gallery, sizes)

        n_samples, n_leads = train.signals.shape[1:]
        network = build_network(n_samples, 2 * n_leads, len(classes), settings, seed=seed)
        history = train_network(
            network,
            lambda n, rng: draw_samples(kept, n, rng, sizes=sizes, variation=variation),
            settings,
            seed=seed,
            identity=_identity(gallery, settings, seed),
            held_out=held_out,
            report=report,
            checkpoint=checkpoint,
        )
        shapes, owners = _inputs_of_sizes(gallery, LDA_SIZES if target == "subject" else (1,))
        plain = flatten(normalise(train.signals))
        identifier = cls(
            network=network,
            lda=LinearDiscriminant.fit(flatten(shapes), owners),
            plain_lda=LinearDiscriminant.fit(plain, targets),
            templates={"plain": _templates(plain, targets, centred=False)},
            card=_Card(classes, target, window, n_samples, n_leads, DEFAULT_THRESHOLD),
            history=history,
        )
        identifier._enrol_all(gallery)
        return identifier

    def score(self, beats: BeatSet, *, method: Method = "joined") -> FloatArray:
        """Return (n_classes,) how alike the beats of one recording are to each class.

        A higher score is more alike, on one scale for every recording. Of a label's classes, it
        is the mean log-posterior.
        """
        return self._scores(beats, np.zeros(len(beats), np.int64), BEATS_IN_A_ROW, method)[0]

    def recording_scores(
        self, beats: BeatSet, *, method: Method = "joined"
    ) -> tuple[StrArray, FloatArray]:
        """Return the names of the recordings (m,), and `score` (m, n_classes) of each."""
        codes = recording_codes(beats)
        first = np.unique(codes, return_index=True)[1]
        return beats.recording[first], self._scores(beats, codes, BEATS_IN_A_ROW, method)

    def beat_scores(
        self, beats: BeatSet, *, in_a_row: int = 1, method: Method = "joined"
    ) -> FloatArray:
        """Return (n, n_classes) scores of single beats, each scored alone.

        The heart rate is that of the whole recording. With `in_a_row` more than one, the scores
        are those of means of so many beats in a row of a recording, as `runs` lists them.
        """
        return self._input_scores(beats, recording_codes(beats), in_a_row, method)

    def runs(self, beats: BeatSet, in_a_row: int) -> StrArray:
        """Return (m,) the recording of each row of ``beat_scores(beats, in_a_row=in_a_row)``."""
        codes = recording_codes(beats)
        first = np.unique(codes, return_index=True)[1]
        return beats.recording[first][means_in_a_row(beats.signals, codes, in_a_row)[1]]

    def save(self, folder: Path) -> None:
        """Write ``network.keras``, two ``.skops``, ``templates.npz`` and ``card.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self._network, folder / "network.keras")
        self._lda.save(folder / "lda.skops")
        self._plain_lda.save(folder / "plain_lda.skops")
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, templates in self._templates.items():
            arrays |= {f"{name}_means": templates.means, f"{name}_centre": templates.centre}
        save_arrays(folder / "templates.npz", arrays)
        save_card(folder, {"identifier": asdict(self._card), "history": self.history})

    @classmethod
    def load(cls, folder: Path) -> Identifier:
        """Read what `save` wrote.

        Raises:
            UserError: A file is missing or damaged.
        """
        card = load_card(folder)
        values = card["identifier"]
        arrays = load_arrays(folder / "templates.npz")
        names = [key.removesuffix("_means") for key in arrays if key.endswith("_means")]
        return cls(
            network=load_model(folder / "network.keras"),
            lda=LinearDiscriminant.load(folder / "lda.skops"),
            plain_lda=LinearDiscriminant.load(folder / "plain_lda.skops"),
            templates={n: Templates(arrays[f"{n}_means"], arrays[f"{n}_centre"]) for n in names},
            card=_Card(
                **{
                    **values,
                    "classes": tuple(values["classes"]),
                    "window": Window(**values["window"]),
                }
            ),
            history=card["history"],
        )

    def _enrol_all(self, gallery: Gallery) -> None:
        size = BEATS_IN_A_ROW if self.target == "subject" else 1
        owners, evidence = self._evidence(gallery.signals, gallery.rr, gallery.codes, size)
        first = np.unique(gallery.codes, return_index=True)[1]
        targets = gallery.targets[first][owners]
        for name in ("embedding", "projection", "plain_projection"):
            self._templates[name] = _templates(getattr(evidence, name), targets, centred=True)

    def _scores(self, beats: BeatSet, codes: IntArray, in_a_row: int, method: Method) -> FloatArray:
        """Return (m, n_classes) the scores of each recording."""
        owners, per_input = self._input_evidence(beats, codes, in_a_row, method)
        return self._combine(per_input.mean_of(owners), method)

    def _input_scores(
        self, beats: BeatSet, codes: IntArray, in_a_row: int, method: Method
    ) -> FloatArray:
        """Return (m, n_classes) the scores of each input."""
        return self._combine(self._input_evidence(beats, codes, in_a_row, method)[1], method)

    def _input_evidence(
        self, beats: BeatSet, codes: IntArray, in_a_row: int, method: Method
    ) -> tuple[IntArray, _Evidence]:
        self._check(beats)
        size = in_a_row if self.target == "subject" else 1
        rr = recording_rr(beats, codes)
        return self._evidence(
            beats.signals, rr, codes, size, with_network=method in NETWORK_METHODS
        )

    def _combine(self, evidence: _Evidence, method: Method) -> FloatArray:
        if method == "network":
            return evidence.network
        if method == "lda":
            return evidence.lda
        if method == "plain_lda":
            return evidence.plain_lda
        if method == "template":
            return evidence.template
        closed = evidence.network + LDA_WEIGHT * (evidence.lda_smooth + evidence.plain_lda_smooth)
        if self.target == "label":
            return log_softmax(closed)
        alike = sum(
            weight * self._templates[name].cosines(getattr(evidence, name))
            for name, weight in COSINE_WEIGHTS.items()
        )
        return alike + PENALTY * (closed - closed.max(axis=1, keepdims=True))

    def _evidence(
        self,
        signals: FloatArray,
        rr: npt.NDArray[np.float64],
        codes: IntArray,
        size: int,
        *,
        with_network: bool = True,
    ) -> tuple[IntArray, _Evidence]:
        """Return the recording of each input (m,), and what each part says of it."""
        card = self._card
        plain, owners = means_in_a_row(signals, codes, size)
        adapted, _ = means_in_a_row(adapt_to_rate(signals, rr, card.window), codes, size)
        inputs = with_derivative(adapted, card.window.sampling_rate)
        rows, plain_rows = flatten(inputs), flatten(normalise(plain))
        lda, plain_lda = self._lda.log_posteriors(rows), self._plain_lda.log_posteriors(plain_rows)
        n_classes = len(card.classes)
        if with_network:
            network, embedding = self._run_network(inputs)
        else:
            network = np.zeros((len(rows), n_classes), np.float32)
            embedding = np.zeros((len(rows), 1), np.float32)
        return owners, _Evidence(
            network=network,
            lda=lda,
            lda_smooth=_smooth(lda),
            plain_lda=plain_lda,
            plain_lda_smooth=_smooth(plain_lda),
            template=self._templates["plain"].cosines(plain_rows),
            embedding=embedding,
            projection=self._lda.project(rows),
            plain_projection=self._plain_lda.project(plain_rows),
        )

    def _run_network(self, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
        import tensorflow as tf

        if self._compiled is None:
            network = self._network
            shape = (None, *inputs.shape[1:])
            self._compiled = tf.function(
                lambda x: network(x, training=False),
                input_signature=[tf.TensorSpec(shape, tf.float32)],
            )
        parts = [
            self._compiled(tf.constant(inputs[i : i + BATCH_AT_INFERENCE]))
            for i in range(0, len(inputs), BATCH_AT_INFERENCE)
        ]
        posteriors, embeddings = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in (0, 1))
        return floored(posteriors), embeddings

    def _check(self, beats: BeatSet) -> None:
        card = self._card
        wanted = (card.n_samples, card.n_leads)
        if not len(beats):
            raise UserError("probe", "holds no beat", "Give a longer or better recording")
        if beats.signals.shape[1:] != wanted or beats.sampling_rate != card.window.sampling_rate:
            raise UserError(
                "probe",
                f"has beats of {beats.signals.shape[1]} samples and {beats.signals.shape[2]} leads "
                f"at {beats.sampling_rate:g} Hz",
                f"Give beats of {wanted[0]} samples and {wanted[1]} leads at "
                f"{card.window.sampling_rate:g} Hz, as the identifier was trained on",
            )


def _targets(train: BeatSet, target: Target) -> tuple[tuple[str, ...], IntArray]:
    column = train.subject if target == "subject" else train.label
    names, codes = np.unique(column, return_inverse=True)
    if len(names) < 2:
        have = f"{len(names)} {target}" + (f" ({names[0]})" if len(names) else "")
        raise UserError(
            "train identifier", f"the train part has {have}", f"Give beats of two {target}s or more"
        )
    return tuple(str(n) for n in names), codes.astype(np.int64)


def _gallery(train: BeatSet, targets: IntArray, window: Window) -> Gallery:
    """Return the beats of each class and recording side by side, in order of time."""
    recordings = recording_codes(train)
    rr = recording_rr(train, recordings)
    codes = np.unique(np.stack([targets, recordings]), axis=1, return_inverse=True)[1].ravel()
    order = np.argsort(codes, kind="stable")
    return Gallery(
        train.signals[order], rr[order], targets[order], codes[order].astype(np.int64), window
    )


def _hold_out(
    gallery: Gallery, sizes: tuple[int, int]
) -> tuple[Gallery, tuple[FloatArray, IntArray] | None]:
    """Split off the last recording of every class that has three or more, for early stopping."""
    held: list[int] = []
    for one in np.unique(gallery.targets):
        codes = np.unique(gallery.codes[gallery.targets == one])
        if len(codes) >= HELD_OUT_FROM:
            held.append(int(codes[-1]))
    away = np.isin(gallery.codes, held)
    if not away.any():
        return gallery, None
    adapted = adapt_to_rate(gallery.signals[away], gallery.rr[away], gallery.window)
    means, owners = means_in_a_row(adapted, gallery.codes[away], min(sizes[1], BEATS_IN_A_ROW))
    codes, first = np.unique(gallery.codes[away], return_index=True)
    targets = gallery.targets[away][first][np.searchsorted(codes, owners)]
    inputs = with_derivative(means, gallery.window.sampling_rate)
    stay = ~away
    return (
        replace(
            gallery,
            signals=gallery.signals[stay],
            rr=gallery.rr[stay],
            targets=gallery.targets[stay],
            codes=gallery.codes[stay],
        ),
        (inputs, targets),
    )


def _inputs_of_sizes(gallery: Gallery, sizes: tuple[int, ...]) -> tuple[FloatArray, IntArray]:
    """Return adapted inputs of a gallery, means of so many beats in a row, and their classes."""
    adapted = adapt_to_rate(gallery.signals, gallery.rr, gallery.window)
    first = np.unique(gallery.codes, return_index=True)[1]
    inputs, targets = [], []
    for size in sizes:
        means, owners = means_in_a_row(adapted, gallery.codes, size)
        inputs.append(with_derivative(means, gallery.window.sampling_rate))
        targets.append(gallery.targets[first][owners])
    return np.concatenate(inputs), np.concatenate(targets)


def _smooth(log_posteriors: FloatArray) -> FloatArray:
    """Return log-posteriors of a tempered posterior with a uniform one mixed in."""
    tempered = np.exp(log_softmax(log_posteriors / LDA_TEMPERATURE))
    n_classes = log_posteriors.shape[1]
    return np.log((1 - LDA_SMOOTHING) * tempered + LDA_SMOOTHING / n_classes)


def _templates(features: FloatArray, targets: IntArray, *, centred: bool) -> Templates:
    return Templates.fit(features, targets, n_classes=int(targets.max()) + 1, centred=centred)


def _identity(gallery: Gallery, settings: Any, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(settings), seed]).encode())
    for array in (gallery.signals, gallery.rr, gallery.targets, gallery.codes):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

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
from core.models.identifier_batches import Gallery, Variation, draw_samples, vary
from core.models.identifier_input import (
    Window,
    adapt_to_rate,
    means_in_a_row,
    network_input,
    no_rhythm,
    normalise,
    recording_codes,
    recording_rr,
    rhythm_of,
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
LDA_WEIGHT, PLAIN_LDA_WEIGHT = 0.20, 0.12
"""Weights of the discriminants' tempered log-posteriors beside the network's, for single beats.

They fall with the root of the beats averaged, as noise does: more helps single beats of the same
day and hurts other days. Weighed on the 45 persons of ECG-ID with odd numbers, as were
`COSINE_WEIGHTS` and `PENALTY`.
"""
LDA_TEMPERATURE = 2.0
"""Divides a discriminant's log-posteriors, which are too sure of themselves."""
LDA_SMOOTHING = 0.1
"""Share of a uniform posterior mixed in: the label smoothing that the network has learned."""
LDA_SIZES = (1, 3)
"""Beats in a row whose means the discriminant learns: single ones, and means of three."""
SUBJECT_THRESHOLD = 0.82
"""Least score of somebody enrolled.

Measured on other subjects, since one recording a subject does not tell how alike the next will be:
ECG-ID's persons with odd numbers, two thirds enrolled by their first recording, three ways, by
recording. On the same day 3 of 45 strangers reach it and 99 % of the enrolled are named rightly; on
later days 0 of 35 and 86 %.
"""
LARGE_GALLERY = 20
"""Subjects from which the threshold stays the same.

Among fewer a stranger is more easily like one of them, since there are fewer ways to differ: the
threshold rises in proportion, to 0.98 for two subjects. Without it 40 % of the strangers passed in
a gallery of five.
"""
LABEL_THRESHOLD = float(np.log(0.5))
"""Least log-posterior of a label."""
FEWEST_ROWS = 60
"""Rows beyond one a class below which a discriminant is also given varied copies of the beats."""
COPIES = 20
"""Varied copies of each beat then."""
COSINE_WEIGHTS = {"embedding": 0.5, "projection": 0.5}
"""How much each space counts in how alike a probe is to a subject."""
PENALTY = 0.5
"""Weight of being less likely than the likeliest subject, per unit of log-posterior."""
HELD_OUT_FROM = 3
"""Recordings a class needs for its last one to be held out of training the network."""
HELD_OUT_EVERY = 5
"""Of so many recordings, one is held out of training a network for labels."""
PRIOR_WEIGHT = 0.5
"""Exponent of a label's share of the train beats in its posterior; samples are drawn equally."""
FEWEST_SAMPLES, SAMPLES_PER_CLASS = 4096, 64
"""Samples of an epoch: at least so many in all, and so many of each class."""
EPOCHS: dict[Preset, int] = {"quick": 6, "full": 16}
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
    log_prior: tuple[float, ...]


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
        gallery = _gallery(train, targets, window, target)
        sizes = (1, 7) if target == "subject" else (1, 1)
        settings = settings or NetworkSettings(
            epochs=EPOCHS[preset],
            epoch_samples=max(FEWEST_SAMPLES, SAMPLES_PER_CLASS * len(classes)),
        )
        variation = Variation()
        kept, held_out = _hold_out(gallery, min(sizes[1], BEATS_IN_A_ROW), target)

        n_samples, n_leads = train.signals.shape[1:]
        n_channels = 2 * n_leads + gallery.rhythm.shape[2]
        network = build_network(n_samples, n_channels, len(classes), settings, seed=seed)
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
        thick = _thickened(gallery, len(classes), seed)
        shapes, owners = _inputs_of_sizes(thick, LDA_SIZES if target == "subject" else (1,))
        identifier = cls(
            network=network,
            lda=LinearDiscriminant.fit(flatten(shapes), owners),
            plain_lda=LinearDiscriminant.fit(flatten(normalise(thick.signals)), thick.targets),
            templates={
                "plain": _templates(
                    flatten(normalise(gallery.signals)), gallery.targets, centred=False
                )
            },
            card=_Card(
                classes,
                target,
                window,
                n_samples,
                n_leads,
                _threshold(len(classes), target),
                _log_prior(targets, target),
            ),
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
                    "log_prior": tuple(values["log_prior"]),
                }
            ),
            history=card["history"],
        )

    def _enrol_all(self, gallery: Gallery) -> None:
        size = BEATS_IN_A_ROW if self.target == "subject" else 1
        owners, evidence = self._evidence(gallery, size)
        targets = _targets_of(gallery, owners)
        for name in COSINE_WEIGHTS:
            self._templates[name] = _templates(getattr(evidence, name), targets, centred=True)

    def _size(self, in_a_row: int) -> int:
        return in_a_row if self.target == "subject" else 1

    def _scores(self, beats: BeatSet, codes: IntArray, in_a_row: int, method: Method) -> FloatArray:
        """Return (m, n_classes) the scores of each recording."""
        owners, evidence = self._probe_evidence(beats, codes, in_a_row, method)
        return self._combine(evidence.mean_of(owners), method, self._size(in_a_row))

    def _input_scores(
        self, beats: BeatSet, codes: IntArray, in_a_row: int, method: Method
    ) -> FloatArray:
        """Return (m, n_classes) the scores of each input."""
        _, evidence = self._probe_evidence(beats, codes, in_a_row, method)
        return self._combine(evidence, method, self._size(in_a_row))

    def _probe_evidence(
        self, beats: BeatSet, codes: IntArray, in_a_row: int, method: Method
    ) -> tuple[IntArray, _Evidence]:
        self._check(beats)
        probe = _probe(beats, codes, self._card.window, self.target)
        return self._evidence(probe, self._size(in_a_row), with_network=method in NETWORK_METHODS)

    def _combine(self, evidence: _Evidence, method: Method, size: int) -> FloatArray:
        """Return (m, n_classes) scores of inputs that are means of `size` beats."""
        if method == "network":
            return evidence.network
        if method == "lda":
            return evidence.lda
        if method == "plain_lda":
            return evidence.plain_lda
        if method == "template":
            return evidence.template
        discriminants = (
            LDA_WEIGHT * evidence.lda_smooth + PLAIN_LDA_WEIGHT * evidence.plain_lda_smooth
        )
        closed = evidence.network + discriminants / np.sqrt(size)
        if self.target == "label":
            return log_softmax(closed + np.asarray(self._card.log_prior, np.float32))
        alike = sum(
            weight * self._templates[name].cosines(getattr(evidence, name))
            for name, weight in COSINE_WEIGHTS.items()
        )
        return alike + PENALTY * (closed - closed.max(axis=1, keepdims=True))

    def _evidence(
        self, beats: Gallery, size: int, *, with_network: bool = True
    ) -> tuple[IntArray, _Evidence]:
        """Return the recording of each input (m,), and what each part says of it."""
        inputs, owners = _inputs(beats, size)
        plain, _ = means_in_a_row(beats.signals, beats.codes, size)
        rows, plain_rows = flatten(inputs), flatten(normalise(plain))
        lda, plain_lda = self._lda.log_posteriors(rows), self._plain_lda.log_posteriors(plain_rows)
        n_classes = len(self.classes)
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


def _probe(beats: BeatSet, codes: IntArray, window: Window, target: Target) -> Gallery:
    """Return beats whose class nobody told, recordings as `codes` says."""
    return Gallery(
        signals=beats.signals,
        rr=recording_rr(beats, codes),
        targets=np.full(len(beats), -1, np.int64),
        codes=codes,
        recordings=codes,
        rhythm=rhythm_of(beats, codes) if target == "label" else no_rhythm(len(beats)),
        window=window,
    )


def _gallery(train: BeatSet, targets: IntArray, window: Window, target: Target) -> Gallery:
    """Return the beats of each class and recording side by side, in order of time."""
    recordings = recording_codes(train)
    codes = np.unique(np.stack([targets, recordings]), axis=1, return_inverse=True)[1].ravel()
    gallery = replace(
        _probe(train, recordings, window, target), targets=targets, codes=codes.astype(np.int64)
    )
    return gallery.take(np.argsort(codes, kind="stable"))


def _hold_out(
    gallery: Gallery, size: int, target: Target
) -> tuple[Gallery, tuple[FloatArray, IntArray] | None]:
    """Split whole recordings off for early stopping: the network never learns from them.

    Of subjects, the last recording of each who has three or more; of labels, every fifth recording
    without which no label is lost.
    """
    held: list[int] = []
    if target == "subject":
        for one in np.unique(gallery.targets):
            mine = np.unique(gallery.recordings[gallery.targets == one])
            held += [int(mine[-1])] if len(mine) >= HELD_OUT_FROM else []
    else:
        n_classes = len(np.unique(gallery.targets))
        for one in np.unique(gallery.recordings)[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]:
            stay = ~np.isin(gallery.recordings, [*held, one])
            if len(np.unique(gallery.targets[stay])) == n_classes:
                held.append(int(one))
    away = np.isin(gallery.recordings, held)
    if not away.any():
        return gallery, None
    inputs, owners = _inputs(gallery.take(away), size)
    return gallery.take(~away), (inputs, _targets_of(gallery, owners))


def _inputs(beats: Gallery, size: int) -> tuple[FloatArray, IntArray]:
    """Return what the network sees of means of `size` beats in a row, and their recordings."""
    adapted = adapt_to_rate(beats.signals, beats.rr, beats.window)
    means, owners = means_in_a_row(adapted, beats.codes, size)
    rhythm, _ = means_in_a_row(beats.rhythm, beats.codes, size)
    return network_input(means, rhythm, beats.window.sampling_rate), owners


def _targets_of(gallery: Gallery, owners: IntArray) -> IntArray:
    """Return the class of each recording in `owners`."""
    codes, first = np.unique(gallery.codes, return_index=True)
    return gallery.targets[first][np.searchsorted(codes, owners)]


def _thickened(gallery: Gallery, n_classes: int, seed: int) -> Gallery:
    """Return the gallery, with varied copies of its beats if they are too few for a covariance."""
    if len(gallery.codes) - n_classes >= FEWEST_ROWS:
        return gallery
    rows = np.repeat(np.arange(len(gallery.codes)), COPIES)
    variation = Variation(exponents=(0.0, 0.0))
    rng = np.random.default_rng([seed, len(rows)])
    thick = gallery.take(rows)
    return replace(thick, signals=vary(thick.signals, thick.rr, thick.window, rng, variation))


def _inputs_of_sizes(gallery: Gallery, sizes: tuple[int, ...]) -> tuple[FloatArray, IntArray]:
    """Return inputs that are means of so many beats in a row, and their classes."""
    parts = [_inputs(gallery, size) for size in sizes]
    owners = np.concatenate([owners for _, owners in parts])
    return np.concatenate([inputs for inputs, _ in parts]), _targets_of(gallery, owners)


def _smooth(log_posteriors: FloatArray) -> FloatArray:
    """Return log-posteriors of a tempered posterior with a uniform one mixed in."""
    tempered = np.exp(log_softmax(log_posteriors / LDA_TEMPERATURE))
    n_classes = log_posteriors.shape[1]
    return np.log((1 - LDA_SMOOTHING) * tempered + LDA_SMOOTHING / n_classes)


def _templates(features: FloatArray, targets: IntArray, *, centred: bool) -> Templates:
    return Templates.fit(features, targets, n_classes=int(targets.max()) + 1, centred=centred)


def _threshold(n_classes: int, target: Target) -> float:
    if target == "label":
        return LABEL_THRESHOLD
    return 1 - (1 - SUBJECT_THRESHOLD) * min(1.0, n_classes / LARGE_GALLERY)


def _log_prior(targets: IntArray, target: Target) -> tuple[float, ...]:
    """Return what a class is worth before its beat is seen: nothing of a subject."""
    counts = np.bincount(targets)
    if target == "subject":
        return (0.0,) * len(counts)
    return tuple((PRIOR_WEIGHT * np.log(counts / counts.sum())).tolist())


def _identity(gallery: Gallery, settings: Any, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(settings), seed]).encode())
    for array in (gallery.signals, gallery.rr, gallery.targets, gallery.codes, gallery.rhythm):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

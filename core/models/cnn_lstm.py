"""Beats -> who they are of: a hybrid CNN-LSTM and a linear discriminant, joined.

The network and the discriminant look at the same input: means of beats in a row, ST-T adapted to
the heart rate. Two kinds of answer come from them:

- log-posteriors over the gallery, for the question "who of these is it?";
- scores that hold for strangers too: how alike the embeddings are, whoever else is enrolled.

People are enrolled by their embeddings, without training anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from core.beat_set import BeatSet, BoolArray, concatenate
from core.errors import UserError
from core.models.identifier_batches import Gallery, Variation, draw_samples, vary
from core.models.identifier_calibration import calibrated, default_threshold
from core.models.identifier_input import (
    Window,
    adapt_to_rate,
    means_in_a_row,
    network_input,
    no_rhythm,
    normalise,
    recording_codes,
    recording_rr,
)
from core.models.linear import LinearDiscriminant, cosines, flatten, floored, log_softmax
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

Method = Literal["joined", "network", "lda", "plain_lda", "template"]
METHODS: tuple[Method, ...] = ("joined", "network", "lda", "plain_lda", "template")
"""The identifier; its two parts alone, on the same input; the yardsticks, on plain beats."""

NETWORK_METHODS = ("joined", "network")
BEATS_IN_A_ROW = 5
"""Beats averaged before they are scored."""
TRAINING_RUNS = (1, 5)
"""Beats in a row that make a training sample: single ones must be named, too."""
LDA_WEIGHT, PLAIN_LDA_WEIGHT = 0.10, 0.06
"""Weights of the discriminants' tempered log-posteriors beside the network's, for single beats.

They fall with the root of the beats averaged, as noise does: more helps single beats of the same
day and hurts other days.
"""
LDA_TEMPERATURE = 2.0
"""Divides a discriminant's log-posteriors, which are too sure of themselves."""
LDA_SMOOTHING = 0.1
"""Share of a uniform posterior mixed in: the label smoothing that the network has learned."""
LDA_SIZES = (1, 3)
"""Beats in a row whose means the discriminant learns: single ones, and means of three."""
FEWEST_ROWS = 60
"""Rows beyond one a class below which a discriminant is also given varied copies of the beats."""
COPIES = 20
"""Varied copies of each beat then."""
SPACES: dict[Method, tuple[str, ...]] = {
    "joined": ("embedding", "projection"),
    "network": ("embedding",),
    "lda": ("projection",),
    "plain_lda": ("plain_projection",),
    "template": ("plain",),
}
"""The spaces whose mean cosine tells how alike a probe is to a subject."""
ABSENT = -1e6
"""Cosine of who is as if not in the gallery."""
PENALTY = 0.5
"""Weight in a score of being less likely than the likeliest, per unit of log-posterior.

It ranks those who are enrolled; of the likeliest it takes nothing off, so a stranger is judged by
the cosines alone.
"""
SHARPNESS = 20.0
"""Log-posterior per unit of cosine, for subjects whom the network has not learned."""
HELD_OUT_FROM = 5
"""Recordings a subject needs for the last one to be held out of training the network.

Of fewer, to learn from all is worth more than to know when to stop.
"""
FEWEST_HELD_OUT = 10
"""Recordings below which they are not held out: too few tell one epoch from a better one by chance,
and the epochs stay those that were fixed on other subjects."""
SAMPLES_PER_CLASS = 64
"""Samples of each subject in an epoch, at least."""
EPOCHS: dict[Preset, int] = {"quick": 6, "full": 16}
BATCH_AT_INFERENCE = 2048


@dataclass(frozen=True)
class _Card:
    """Scalars of a trained identifier.

    Attributes:
        trained: Subjects that the network has learned.
        method: What identifies.
        threshold: Least score of somebody enrolled.
        false_accept_rate: Share of strangers on the train side who would pass the threshold; None
            where train has too few subjects to tell.
        temperature: Multiplies log-posteriors, so that their probabilities come true.
        selection: How method, threshold and temperature were chosen, for display.
    """

    trained: tuple[str, ...]
    window: Window
    n_samples: int
    n_leads: int
    method: Method
    threshold: float
    false_accept_rate: float | None
    temperature: float
    selection: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What each part says of m inputs."""

    network: FloatArray
    lda: FloatArray
    plain_lda: FloatArray
    embedding: FloatArray
    projection: FloatArray
    plain_projection: FloatArray
    plain: FloatArray

    def templates(self, owners: IntArray) -> dict[str, FloatArray]:
        """Return the median of each recording in each space, in order of its code.

        With the median a few spoiled beats do not count.
        """
        codes = np.unique(owners)
        spaces = sorted({space for used in SPACES.values() for space in used})
        return {
            space: np.stack([np.median(getattr(self, space)[owners == c], axis=0) for c in codes])
            for space in spaces
        }


@dataclass(frozen=True, eq=False)
class _Parts:
    """Cosines and closed-set log-posteriors of m inputs: what scores are made of."""

    alike: FloatArray
    closed: FloatArray

    def per_recording(self, owners: IntArray) -> _Parts:
        """Return one row a recording: the median cosine and the mean log-posterior."""
        codes = np.unique(owners)
        return _Parts(
            np.stack([np.median(self.alike[owners == c], axis=0) for c in codes]),
            np.stack([self.closed[owners == c].mean(axis=0) for c in codes]),
        )

    def scores(self) -> FloatArray:
        """Return (m, n_classes) scores that hold for strangers too."""
        gap = self.closed - self.closed.max(axis=1, keepdims=True)
        return np.asarray(self.alike + PENALTY * gap, dtype=np.float32)


class Identifier:
    """Names the subject of beats.

    Attributes:
        history: A row of figures an epoch.
    """

    target = "subject"
    methods = METHODS

    def __init__(
        self,
        *,
        network: Any,
        lda: LinearDiscriminant,
        plain_lda: LinearDiscriminant,
        templates: dict[str, FloatArray],
        owners: StrArray,
        card: _Card,
        history: list[dict[str, float]],
        centres: dict[str, FloatArray] | None = None,
        n_trained: int | None = None,
        removed: Collection[str] = (),
    ) -> None:
        self._network = network
        self._lda = lda
        self._plain_lda = plain_lda
        self._templates = templates
        self._owners = owners
        self._card = card
        self.history = history
        self._centres = centres or _centres(templates, owners)
        self._n_trained = len(owners) if n_trained is None else n_trained
        self._removed = frozenset(removed)
        self._compiled: Any = None
        self.classes: tuple[str, ...] = tuple(
            sorted(str(name) for name in set(owners.tolist()) - set(removed))
        )
        """Everybody in the gallery, in the order of the scores' columns."""
        self._means = {space: self._subject_means(space) for space in templates}

    @property
    def trained(self) -> tuple[str, ...]:
        """The subjects that the network has learned."""
        return self._card.trained

    @property
    def method(self) -> Method:
        """What identifies: chosen on the train side."""
        return self._card.method

    @property
    def threshold(self) -> float:
        """Least score at which a probe is accepted as the subject who scored it."""
        return self._card.threshold

    @property
    def false_accept_rate(self) -> float | None:
        """Share of train-side strangers who would pass the threshold; None if it is a default."""
        return self._card.false_accept_rate

    @property
    def selection(self) -> dict[str, Any]:
        """How method, threshold and temperature were chosen, ready for JSON."""
        return self._card.selection

    @classmethod
    def fit(
        cls,
        train: BeatSet,
        *,
        preset: Preset = "full",
        seed: int,
        report: Report = silent,
        checkpoint: Path | None = None,
        settings: Any = None,
        calibrate: bool = True,
        extra: BeatSet | None = None,
    ) -> Identifier:
        """Learn the subjects of `train`.

        Args:
            train: Real beats, in order of time within each recording.
            preset: ``quick`` or ``full``: how long to train, and whether to `calibrate`.
            seed: Of every random step.
            report: Called every epoch; may raise `Cancelled`.
            checkpoint: Folder for what a later call needs to go on from here; None keeps nothing.
            settings: `NetworkSettings` instead of the preset's.
            calibrate: Choose method, threshold and temperature on the train side, by short
                trainings without some of the subjects; only with the preset ``full``.
            extra: Generated beats of the same subjects to learn from, too: all of one subject and
                ``session`` stand for one more recording. They are in no template and choose
                nothing.

        Raises:
            UserError: There are fewer than two subjects, or no beats.
        """
        from core.models.identifier_network import NetworkSettings, build_network, train_network

        classes, targets = classes_of(train.subject, "subject")
        window = Window(train.before_s, train.sampling_rate)
        gallery = gallery_of(train, targets)
        settings = settings or NetworkSettings(epochs=EPOCHS[preset])
        fewest = SAMPLES_PER_CLASS * len(classes)
        settings = replace(settings, epoch_samples=max(settings.epoch_samples, fewest))
        variation = Variation()
        kept, held_out = _hold_out(gallery)
        learned = gallery
        if extra is not None:
            column = np.searchsorted(np.asarray(classes), extra.subject)
            more = gallery_of(_as_recordings(extra), column)
            kept, learned = kept.beside(more), gallery.beside(more)

        n_samples, n_leads = train.signals.shape[1:]
        network = build_network(n_samples, 2 * n_leads, len(classes), settings, seed=seed)
        history = train_network(
            network,
            lambda n, rng: draw_samples(kept, n, rng, sizes=TRAINING_RUNS, variation=variation),
            settings,
            seed=seed,
            identity=_identity(learned, settings, seed),
            held_out=held_out,
            report=report,
            checkpoint=checkpoint,
        )
        thick = _thickened(learned, len(classes), seed)
        shapes, owners = _inputs_of_sizes(thick, LDA_SIZES)
        identifier = cls(
            network=network,
            lda=LinearDiscriminant.fit(flatten(shapes), owners),
            plain_lda=LinearDiscriminant.fit(flatten(normalise(thick.signals)), thick.targets),
            templates={},
            owners=np.asarray(classes, dtype=np.str_),
            card=_Card(
                trained=classes,
                window=window,
                n_samples=n_samples,
                n_leads=n_leads,
                method="joined",
                threshold=default_threshold(len(classes)),
                false_accept_rate=None,
                temperature=1.0,
                selection={"protocol": "defaults: nothing was chosen for these subjects"},
            ),
            history=history,
        )
        identifier = identifier._with_templates(
            *identifier._embed(gallery, np.asarray(classes)), removed=()
        )
        if not calibrate or preset != "full":
            return identifier
        found = calibrated(train, settings, seed=seed, report=report, checkpoint=checkpoint)
        return identifier if found is None else identifier._recalibrated(**asdict(found))

    def with_gallery(
        self, enrolled: Sequence[tuple[str, BeatSet]], *, removed: Collection[str] = ()
    ) -> Identifier:
        """Return this identifier with other people in its gallery; nothing is trained.

        Args:
            enrolled: A subject and the beats of one recording, for each template; a subject may
                have several, and may be one that was trained.
            removed: Subjects not to be in the gallery.

        Raises:
            UserError: Beats do not fit, or nobody is left.
        """
        templates, owners = [self._templates], [self._owners]
        if enrolled:
            for _, beats in enrolled:
                self._check(beats)
            together = concatenate([beats for _, beats in enrolled])
            codes = np.repeat(np.arange(len(enrolled)), [len(beats) for _, beats in enrolled])
            places, evidence = self._evidence(
                _probe(together, codes, self._card.window), BEATS_IN_A_ROW
            )
            templates.append(evidence.templates(places))
            owners.append(np.asarray([subject for subject, _ in enrolled], dtype=np.str_))
        removed = self._removed | set(removed)
        everybody = np.concatenate(owners)
        if not set(everybody.tolist()) - set(removed):
            raise UserError("gallery", "nobody is left in it", "Enrol somebody, or undo")
        joined = {
            space: np.concatenate([one[space] for one in templates]) for space in self._templates
        }
        return self._with_templates(joined, everybody, removed=removed)

    def score(self, beats: BeatSet, *, method: Method | None = None) -> FloatArray:
        """Return (n_classes,) how alike the beats of one recording are to each in the gallery.

        A higher score is more alike, on one scale for every recording; it holds for people who
        are not enrolled, too.
        """
        codes = np.zeros(len(beats), np.int64)
        owners, parts = self._parts(beats, codes, BEATS_IN_A_ROW, method)
        return parts.per_recording(owners).scores()[0]

    def posterior(self, beats: BeatSet, *, method: Method | None = None) -> FloatArray:
        """Return (n_classes,) how probably one recording is of each in the gallery; sums to 1."""
        codes = np.zeros(len(beats), np.int64)
        owners, parts = self._parts(beats, codes, BEATS_IN_A_ROW, method)
        return np.exp(self._posteriors(parts.per_recording(owners).closed)[0])

    def recording_scores(
        self, beats: BeatSet, *, method: Method | None = None
    ) -> tuple[StrArray, FloatArray]:
        """Return the names of the recordings (m,), and `score` (m, n_classes) of each."""
        names, parts = self._recording_parts(beats, method)
        return names, parts.scores()

    def recording_posteriors(
        self, beats: BeatSet, *, method: Method | None = None
    ) -> tuple[StrArray, FloatArray]:
        """Return the names of the recordings (m,), and log-posteriors (m, n_classes) of each."""
        names, parts = self._recording_parts(beats, method)
        return names, self._posteriors(parts.closed)

    def left_out_scores(
        self, beats: BeatSet, *, in_a_row: int | None = None, method: Method | None = None
    ) -> FloatArray:
        """Return scores as if the subject of each row were not in the gallery.

        Rows are those of `recording_scores`, or of `beat_scores` with `in_a_row`. The own column is
        minus infinity. The likeliest of the others is then measured as a stranger's would be.
        """
        codes = recording_codes(beats)
        subjects = beats.subject[np.unique(codes, return_index=True)[1]]
        own = subjects[:, None] == np.asarray(self.classes)
        owners, parts = self._parts(
            beats,
            codes,
            in_a_row or BEATS_IN_A_ROW,
            method,
            left_out=own if own.shape[1] > 1 else None,
        )
        if in_a_row is None:
            parts, owners = parts.per_recording(owners), np.unique(owners)
        return np.where(own[owners], -np.inf, parts.scores())

    def beat_scores(
        self, beats: BeatSet, *, in_a_row: int = 1, method: Method | None = None
    ) -> FloatArray:
        """Return (n, n_classes) scores of single beats, each scored alone.

        The heart rate is that of the whole recording. With `in_a_row` more than one, the scores
        are those of means of so many beats in a row of a recording, as `runs` lists them.
        """
        return self._parts(beats, recording_codes(beats), in_a_row, method)[1].scores()

    def beat_posteriors(
        self, beats: BeatSet, *, in_a_row: int = 1, method: Method | None = None
    ) -> FloatArray:
        """Return (n, n_classes) log-posteriors over the gallery, of the rows of `beat_scores`."""
        parts = self._parts(beats, recording_codes(beats), in_a_row, method)[1]
        return self._posteriors(parts.closed)

    def embeddings(self, beats: BeatSet) -> FloatArray:
        """Return (n, n_units) what the network makes of single beats before it names them."""
        probe = _probe(beats, recording_codes(beats), self._card.window)
        return self._evidence(probe, 1)[1].embedding

    def runs(self, beats: BeatSet, in_a_row: int) -> StrArray:
        """Return (m,) the recording of each row of ``beat_scores(beats, in_a_row=in_a_row)``."""
        codes = recording_codes(beats)
        first = np.unique(codes, return_index=True)[1]
        return beats.recording[first][means_in_a_row(beats.signals, codes, in_a_row)[1]]

    def save(self, folder: Path) -> None:
        """Write ``network.keras``, two ``.skops``, ``templates.npz`` and ``card.json``.

        Only as it was trained: what was enrolled or removed since is the gallery's to keep.
        """
        if self._removed or len(self._owners) > self._n_trained:
            raise ValueError("an identifier with another gallery cannot be saved")
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self._network, folder / "network.keras")
        self._lda.save(folder / "lda.skops")
        self._plain_lda.save(folder / "plain_lda.skops")
        save_arrays(folder / "templates.npz", {**self._templates, "owners": self._owners})
        card = asdict(self._card) | {"target": self.target, "classes": self.classes}
        save_card(folder, {"identifier": card, "history": self.history})

    @classmethod
    def load(cls, folder: Path) -> Identifier:
        """Read what `save` wrote.

        Raises:
            UserError: A file is missing or damaged.
        """
        card = load_card(folder)
        values = {k: v for k, v in card["identifier"].items() if k not in ("target", "classes")}
        arrays = load_arrays(folder / "templates.npz")
        owners = cast(StrArray, arrays.pop("owners"))
        return cls(
            network=load_model(folder / "network.keras"),
            lda=LinearDiscriminant.load(folder / "lda.skops"),
            plain_lda=LinearDiscriminant.load(folder / "plain_lda.skops"),
            templates=arrays,
            owners=owners,
            card=_Card(
                **{
                    **values,
                    "trained": tuple(values["trained"]),
                    "window": Window(**values["window"]),
                }
            ),
            history=card["history"],
        )

    def parts_of(self, beats: BeatSet, method: Method) -> tuple[StrArray, FloatArray, FloatArray]:
        """Return names, cosines and log-posteriors, untempered, of recordings: what scores are of.

        For choosing on the train side: subjects can be left out of both before they are joined.
        """
        names, parts = self._recording_parts(beats, method)
        return names, parts.alike, parts.closed

    def _with_templates(
        self, templates: dict[str, FloatArray], owners: StrArray, *, removed: Collection[str]
    ) -> Identifier:
        other = Identifier(
            network=self._network,
            lda=self._lda,
            plain_lda=self._plain_lda,
            templates=templates,
            owners=owners,
            card=self._card,
            history=self.history,
            centres=self._centres or None,
            n_trained=self._n_trained if self._templates else None,
            removed=removed,
        )
        other._compiled = self._compiled
        return other

    def _recalibrated(self, **values: Any) -> Identifier:
        self._card = replace(self._card, **values)
        return self

    def _subject_means(self, space: str) -> FloatArray:
        rows = self._templates[space]
        means = np.stack([rows[self._owners == name].mean(axis=0) for name in self.classes])
        return means - self._centres[space]

    def _embed(self, gallery: Gallery, classes: StrArray) -> tuple[dict[str, FloatArray], StrArray]:
        owners, evidence = self._evidence(gallery, BEATS_IN_A_ROW)
        return evidence.templates(owners), classes[_targets_of(gallery, np.unique(owners))]

    def _recording_parts(self, beats: BeatSet, method: Method | None) -> tuple[StrArray, _Parts]:
        codes = recording_codes(beats)
        first = np.unique(codes, return_index=True)[1]
        owners, parts = self._parts(beats, codes, BEATS_IN_A_ROW, method)
        return beats.recording[first], parts.per_recording(owners)

    def _parts(
        self,
        beats: BeatSet,
        codes: IntArray,
        in_a_row: int,
        method: Method | None,
        *,
        left_out: BoolArray | None = None,
    ) -> tuple[IntArray, _Parts]:
        """Return the recording of each input (m,), and its cosines and log-posteriors.

        Classes that `left_out` (n_recordings, n_classes) marks are as if they were not there.
        """
        self._check(beats)
        method = method or self.method
        probe = _probe(beats, codes, self._card.window)
        owners, evidence = self._evidence(probe, in_a_row, with_network=method in NETWORK_METHODS)
        spaces = SPACES[method]
        alike = np.stack(
            [
                cosines(getattr(evidence, space) - self._centres[space], self._means[space])
                for space in spaces
            ]
        ).mean(axis=0)
        if left_out is not None:
            alike = np.where(left_out[owners], ABSENT, alike)
        return owners, _Parts(alike, self._over_gallery(_closed(evidence, method, in_a_row), alike))

    def _over_gallery(self, closed: FloatArray | None, alike: FloatArray) -> FloatArray:
        """Return (m, n_classes) log-posteriors over the gallery, not yet tempered.

        The network's, for those whom it has learned. Others stand to the likeliest of these as
        their cosines do, and so do those of whom more was enrolled, where that is more.
        """
        column = {name: i for i, name in enumerate(self.trained)}
        learned = np.asarray([name in column for name in self.classes])
        if closed is None or not learned.any():
            return log_softmax(SHARPNESS * alike)
        rows = np.arange(len(alike))
        result = np.full(alike.shape, -np.inf, dtype=np.float32)
        result[:, learned] = closed[:, [column[n] for n in self.classes if n in column]]
        result[alike <= ABSENT] = -np.inf
        best = result.argmax(axis=1)
        top, reference = result[rows, best][:, None], alike[rows, best][:, None]
        somebody = np.isfinite(top)
        by_cosine = np.where(somebody, top + SHARPNESS * (alike - reference), SHARPNESS * alike)
        enrolled = np.isin(self.classes, self._owners[self._n_trained :])
        result[:, enrolled] = np.maximum(result, by_cosine)[:, enrolled]
        return log_softmax(result)

    def _posteriors(self, closed: FloatArray) -> FloatArray:
        return log_softmax(self._card.temperature * closed)

    def _evidence(
        self, beats: Gallery, size: int, *, with_network: bool = True
    ) -> tuple[IntArray, _Evidence]:
        """Return the recording of each input (m,), and what each part says of it."""
        inputs, owners = inputs_of(beats, size)
        plain, _ = means_in_a_row(beats.signals, beats.codes, size)
        rows, plain_rows = flatten(inputs), flatten(normalise(plain))
        if with_network:
            network, embedding = self._run_network(inputs)
        else:
            network, embedding = (np.zeros((len(rows), 1), np.float32) for _ in range(2))
        return owners, _Evidence(
            network=network,
            lda=self._lda.log_posteriors(rows),
            plain_lda=self._plain_lda.log_posteriors(plain_rows),
            embedding=embedding,
            projection=self._lda.project(rows),
            plain_projection=self._plain_lda.project(plain_rows),
            plain=plain_rows,
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


def classes_of(column: StrArray, target: str) -> tuple[tuple[str, ...], IntArray]:
    """Return the names in a column of train, sorted, and the number of each row's.

    Raises:
        UserError: There are fewer than two.
    """
    names, codes = np.unique(column, return_inverse=True)
    if len(names) < 2:
        have = f"{len(names)} {target}" + (f" ({names[0]})" if len(names) else "")
        raise UserError(
            "train identifier", f"the train part has {have}", f"Give beats of two {target}s or more"
        )
    return tuple(str(n) for n in names), codes.astype(np.int64)


def _closed(evidence: _Evidence, method: Method, size: int) -> FloatArray | None:
    """Return log-posteriors over those who were trained, of means of `size` beats."""
    if method == "network":
        return evidence.network
    if method == "lda":
        return evidence.lda
    if method == "plain_lda":
        return evidence.plain_lda
    if method == "template":
        return None
    weighted = LDA_WEIGHT * _smooth(evidence.lda) + PLAIN_LDA_WEIGHT * _smooth(evidence.plain_lda)
    return np.asarray(evidence.network + weighted / np.sqrt(size), dtype=np.float32)


def _centres(templates: dict[str, FloatArray], owners: StrArray) -> dict[str, FloatArray]:
    """Return where cosines are measured from: the mean over subjects, of plain beats the origin."""
    names = np.unique(owners)
    return {
        space: np.mean([rows[owners == name].mean(axis=0) for name in names], axis=0)
        * np.float32(space != "plain")
        for space, rows in templates.items()
    }


def _as_recordings(generated: BeatSet) -> BeatSet:
    """Return generated beats as if those of a subject and day had been recorded together."""
    days = np.char.add(np.char.add(generated.subject.astype(np.str_), "\0"), generated.session)
    return replace(generated, recording=days, synthetic=np.zeros(len(generated), np.bool_))


def _probe(beats: BeatSet, codes: IntArray, window: Window) -> Gallery:
    """Return beats whose subject nobody told, recordings as `codes` says."""
    return Gallery(
        signals=beats.signals,
        rr=recording_rr(beats, codes),
        targets=np.full(len(beats), -1, np.int64),
        codes=codes,
        recordings=codes,
        rhythm=no_rhythm(len(beats)),
        window=window,
    )


def gallery_of(train: BeatSet, targets: IntArray) -> Gallery:
    """Return the beats of each subject and recording side by side, in order of time."""
    window = Window(train.before_s, train.sampling_rate)
    recordings = recording_codes(train)
    codes = np.unique(np.stack([targets, recordings]), axis=1, return_inverse=True)[1].ravel()
    gallery = replace(
        _probe(train, recordings, window), targets=targets, codes=codes.astype(np.int64)
    )
    return gallery.take(np.argsort(codes, kind="stable"))


def _hold_out(gallery: Gallery) -> tuple[Gallery, tuple[FloatArray, IntArray] | None]:
    """Split whole recordings off for early stopping: the network never learns from them.

    It is the last recording of each subject who has many, where there are enough of these.
    """
    held: list[int] = []
    for one in np.unique(gallery.targets):
        mine = list(dict.fromkeys(gallery.recordings[gallery.targets == one].tolist()))
        held += mine[-1:] if len(mine) >= HELD_OUT_FROM else []
    away = np.isin(gallery.recordings, held)
    if len(held) < FEWEST_HELD_OUT:
        return gallery, None
    inputs, owners = inputs_of(gallery.take(away), BEATS_IN_A_ROW)
    return gallery.take(~away), (inputs, _targets_of(gallery, owners))


def inputs_of(beats: Gallery, size: int) -> tuple[FloatArray, IntArray]:
    """Return what the network sees of means of `size` beats in a row, and their recordings."""
    adapted = adapt_to_rate(beats.signals, beats.rr, beats.window)
    means, owners = means_in_a_row(adapted, beats.codes, size)
    return network_input(means, no_rhythm(len(means)), beats.window.sampling_rate), owners


def _targets_of(gallery: Gallery, owners: IntArray) -> IntArray:
    """Return the subject of each recording in `owners`."""
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
    """Return inputs that are means of so many beats in a row, and their subjects."""
    parts = [inputs_of(gallery, size) for size in sizes]
    owners = np.concatenate([owners for _, owners in parts])
    return np.concatenate([inputs for inputs, _ in parts]), _targets_of(gallery, owners)


def _smooth(log_posteriors: FloatArray) -> FloatArray:
    """Return log-posteriors of a tempered posterior with a uniform one mixed in."""
    tempered = np.exp(log_softmax(log_posteriors / LDA_TEMPERATURE))
    n_classes = log_posteriors.shape[1]
    return np.log((1 - LDA_SMOOTHING) * tempered + LDA_SMOOTHING / n_classes)


def _identity(gallery: Gallery, settings: Any, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(settings), seed]).encode())
    for array in (gallery.signals, gallery.rr, gallery.targets, gallery.codes):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

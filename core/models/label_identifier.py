"""Beats -> which label each has (a beat type, a rhythm): a CNN-LSTM and randomised trees, joined.

Both see a beat beside the others of its recording (`core.models.beat_context`). Learned is from
every beat as it is and upside down, since electrodes and the heart's axis decide which way it
points; the rarer labels are seen more often than they occur.

Extra beats, generated or varied, have no rhythm and no neighbours of their own: each stands in the
place of a real train beat of its label, of its own subject where there is one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.errors import UserError
from core.models.beat_context import Context, beat_context, context_codes
from core.models.forest import Forest
from core.models.fusion_beats import (
    MOST_PER_VENTRICULAR,
    NORMAL,
    VENTRICULAR,
    has_fusion,
    limit_fusion,
    with_fusion_beats,
)
from core.models.identifier_input import DERIVATIVE_SCALE_S, recording_codes
from core.models.linear import floored, log_softmax
from core.models.storage import load_card, load_model, save_card, save_model
from core.models.ventricular_alone import Forms
from core.options import Balance, Preset
from core.progress import Progress, Report, silent
from core.recording import FloatArray, IntArray, StrArray
from core.resampling import balance as balanced

LabelMethod = Literal["joined", "network", "features"]
LABEL_METHODS: tuple[LabelMethod, ...] = ("joined", "network", "features")
"""Network and trees joined; each alone."""
NETWORK_WEIGHT = 0.1
"""Share of the network's log-posteriors in the joined ones."""
FUSION_LIMITS = (0.25, 0.33, 0.5)
"""Fusion beats a ventricular beat, among which is chosen on the train side."""
CHOICE_FOLDS = 3
"""Parts of the train recordings, each judged once by what learned the others."""
CHOICE_DRAWS, CHOICE_ERRORS = 200, 2.0
"""Bootstrap draws of recordings, and standard errors of its lead by which another way than the
trees must be ahead to be chosen: the few recordings with rare labels decide by chance."""
CHOICE_SHARE = 1 / 3
"""Share of the trees and epochs that what judges in the choice learns with."""
UNIFORM = 0.9
"""Share of a recording's beats named alike above which it has no others to be seen beside."""
LABEL_THRESHOLD = float(np.log(0.5))
"""Least log-posterior of a label that is told."""
TEMPER = 0.5
"""Exponent of a label's, and within it of a recording's, number of beats in its weight."""
IMITATED_WEIGHT = 3.0
"""Weight of imitated fusion beats over that of all recorded ones, which come from few people."""
MOST_BEATS = 300
"""Beats of one label and recording that count, and that the trees learn: more are alike."""
MOST_IMITATED = 80
"""Imitated beats of one recording that the trees learn."""
TREES: dict[Preset, int] = {"quick": 60, "full": 300}
EPOCHS: dict[Preset, int] = {"quick": 4, "full": 9}
NETWORK_RATE = 125.0
"""Sampling rate that the network needs, in Hz: beats at twice as much or more are thinned."""
LARGEST_INPUT = 4.0
GAIN, NOISE, FEATURE_NOISE = 0.15, 0.04, 0.1
"""Variation of the network's samples: height of the beat, noise over it, noise on its context."""
HELD = (
    "before / local",
    "after / local",
    "before / wide",
    "last / wide",
    "before / usual",
    "after / usual",
    "before / last",
    "after / before",
    "last / local",
    "next / local",
    "pause made up",
    "irregular here",
    "irregular here, mean",
    "jumps here",
    "irregular",
    "early / spread",
    "early beside earliest",
    "jumps wide",
    "P fit around",
    "P fit beside",
    "share early",
    "local",
    "rank here",
    "alike: before / local",
    "alike: pause made up",
    "most alike",
    "many alike",
    "fit",
    "QRS fit",
    "T fit",
    "P fit",
    "PR difference",
    "difference",
    "width",
    "width difference",
    "slope",
)
"""Features that the network sees beside the beat."""
BATCH_AT_INFERENCE = 2048


@dataclass(frozen=True)
class _Card:
    """Scalars of a trained identifier."""

    classes: tuple[str, ...]
    n_samples: int
    n_leads: int
    sampling_rate: float
    n_features: int
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    threshold: float
    remarks: tuple[str, ...]
    method: LabelMethod
    most_fusion: float
    selection: dict[str, Any]
    target: str = "label"


ROW_FIELDS = ("targets", "weights", "recordings", "imitated", "extra")


@dataclass(frozen=True)
class _Choice:
    """What identifies, and how it was chosen."""

    method: LabelMethod
    most_fusion: float
    selection: dict[str, Any]


DEFAULT_CHOICE = _Choice(
    "joined",
    MOST_PER_VENTRICULAR,
    {"protocol": "defaults: nothing was chosen for these recordings"},
)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Beats to learn from, with their context.

    Attributes:
        context: Of n beats.
        targets: (n,) class.
        weights: (n,) how much each counts.
        recordings: (n,) number of its recording.
        imitated: (n,) whether it is an imitated fusion beat.
        extra: (n,) whether it is an extra beat.
    """

    context: Context
    targets: IntArray
    weights: npt.NDArray[np.float64]
    recordings: IntArray
    imitated: npt.NDArray[np.bool_]
    extra: npt.NDArray[np.bool_]


class LabelIdentifier:
    """Names the label of beats.

    Attributes:
        history: A row of figures an epoch.
    """

    target = "label"
    methods = LABEL_METHODS

    def __init__(
        self,
        *,
        network: Any,
        trees: Forest,
        forms: Forms,
        card: _Card,
        history: list[dict[str, float]],
    ) -> None:
        self._network = network
        self._trees = trees
        self._forms = forms
        self._card = card
        self.history = history

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in the order of the scores' columns."""
        return self._card.classes

    @property
    def threshold(self) -> float:
        """Least score at which a label is told."""
        return self._card.threshold

    @property
    def method(self) -> LabelMethod:
        """What identifies unless told otherwise, chosen on train-side recordings."""
        return self._card.method

    @property
    def selection(self) -> dict[str, Any]:
        """How that was chosen, for display."""
        return self._card.selection

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user should know of what was learned, a sentence each."""
        return self._card.remarks

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
        balance: Balance = "weights",
        choose: bool = True,
        extra: BeatSet | None = None,
    ) -> LabelIdentifier:
        """Learn the labels of `train`.

        Where labels are beat types, fusion beats are imitated besides: most people have none.
        With the full preset, whether network, trees or both identify is chosen by cross-validation
        over the recordings of `train`.

        Args:
            train: Real beats, in order of time within each recording; those without a label only
                show what is usual in their recording.
            preset: ``quick`` or ``full``: how long to train.
            seed: Of every random step.
            report: Called every epoch; may raise `Cancelled`.
            checkpoint: Folder for what a later call needs to go on from here; None keeps nothing.
            settings: `NetworkSettings` instead of the preset's.
            balance: ``weights``: labels, and recordings within a label, count by the square root
                of their beats; ``draws``: beats are drawn until all labels have as many; ``none``:
                every beat counts once.
            choose: Find out what identifies best; only with the preset ``full``.
            extra: Further beats of these labels to learn from, such as generated ones; those whose
                label is not in `train` are left out. They choose and scale nothing; unless
                `balance` is ``none``, they share their label's weight. With `choose`, what they
                change is measured on recordings of `train` and told in `selection` and `remarks`.

        Raises:
            UserError: There are fewer than two labels.
        """
        classes, remarks = _classes_of(train)
        rows = _learning_rows(train, classes, seed, balance)
        upside_down = _learning_rows(replace(train, signals=-train.signals), classes, seed, balance)
        settings = settings or label_settings(preset)
        choice = DEFAULT_CHOICE
        if choose and preset == "full":
            choice = _choose(rows, upside_down, train, classes, settings, seed, report) or choice
        if extra is None:
            card = _card_of(rows, train, classes, remarks, choice)
        else:
            own, own_turned = rows, upside_down
            rows = _with_extra(rows, train, extra, classes, seed, balance)
            turned, more = (replace(beats, signals=-beats.signals) for beats in (train, extra))
            upside_down = _with_extra(upside_down, turned, more, classes, seed, balance)
            if choose and preset == "full":
                pairs = {"without": (own, own_turned), "with": (rows, upside_down)}
                gain = _gain_by_extra(pairs, train, classes, choice.most_fusion, seed, report)
                choice = replace(choice, selection=choice.selection | gain)
                remarks = (*remarks, *_told(gain))
            card = _card_of(own, train, classes, remarks, choice)
        trees = _fit_trees(rows, upside_down, TREES[preset], seed)
        network, history = _fit_network(rows, card, settings, seed, report, checkpoint)
        beat_types = {NORMAL, VENTRICULAR} <= set(classes)
        forms = Forms.of(train if beat_types else train.take(slice(0, 0)))
        return cls(network=network, trees=trees, forms=forms, card=card, history=history)

    def beat_scores(
        self, beats: BeatSet, *, in_a_row: int = 1, method: LabelMethod | None = None
    ) -> FloatArray:
        """Return (n, n_classes) log-posteriors of single beats, seen beside their recordings'.

        Args:
            beats: In order of time within each recording: all that it has.
            in_a_row: Not looked at: neighbours may have another label.
            method: ``joined``, or what ``network`` or ``features`` alone say; `self.method` by
                default.
        """
        method = method or self.method
        self._check(beats)
        context = beat_context(beats)
        scores = np.zeros((len(beats), len(self.classes)), np.float32)
        share = {"joined": NETWORK_WEIGHT, "network": 1.0, "features": 0.0}[method]
        if share > 0:
            scores += share * _run(self._network, _network_input(context, self._card))
        if share < 1:
            scores += (1 - share) * self._trees.log_posteriors(context.features)
        if has_fusion(self.classes):
            scores = limit_fusion(
                scores, context_codes(beats), self.classes, self._card.most_fusion
            )
        return floored(log_softmax(scores))

    def recording_scores(
        self, beats: BeatSet, *, method: LabelMethod | None = None
    ) -> tuple[StrArray, FloatArray]:
        """Return the names of the recordings (m,), and `score` (m, n_classes) of each."""
        scores = self.beat_scores(beats, method=method)
        codes = recording_codes(beats)
        first = np.unique(codes, return_index=True)[1]
        means = [scores[codes == code].mean(axis=0) for code in range(len(first))]
        return beats.recording[first], np.stack(means)

    def score(self, beats: BeatSet, *, method: LabelMethod | None = None) -> FloatArray:
        """Return (n_classes,) the mean log-posterior of the beats of one recording."""
        mean: FloatArray = self.beat_scores(beats, method=method).mean(axis=0)
        return mean

    def doubt(self, beats: BeatSet) -> str:
        """Return why the beats of one recording cannot be named; empty if nothing speaks against.

        Beats of one kind alone have no others beside which they would look unusual. Where they are
        formed like other people's ventricular beats and named otherwise, nobody can tell.
        """
        named = self.beat_scores(beats).argmax(axis=1)
        usual = int(np.bincount(named).argmax())
        if self.classes[usual] == VENTRICULAR or np.mean(named == usual) < UNIFORM:
            return ""
        if not self._forms.looks_ventricular(beats.take(named == usual)):
            return ""
        return (
            f"its beats are all alike, and wide or formed like other people's {VENTRICULAR} beats: "
            "beats of one kind alone cannot be told"
        )

    def runs(self, beats: BeatSet, in_a_row: int) -> StrArray:
        """Return (n,) the recording of each row of `beat_scores`."""
        return beats.recording

    def save(self, folder: Path) -> None:
        """Write ``network.keras``, ``trees.npz``, ``forms.npz`` and ``card.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self._network, folder / "network.keras")
        self._trees.save(folder / "trees.npz")
        self._forms.save(folder / "forms.npz")
        known = {"identifier": asdict(self._card), "history": self.history}
        told = {"remarks": "; ".join(self.remarks)} if self.remarks else {}
        save_card(folder, told | known)

    @classmethod
    def load(cls, folder: Path) -> LabelIdentifier:
        """Read what `save` wrote.

        Raises:
            UserError: A file is missing or damaged.
        """
        card = load_card(folder)
        values = dict(card["identifier"])
        for name in ("classes", "centre", "spread", "remarks"):
            values[name] = tuple(values[name])
        return cls(
            network=load_model(folder / "network.keras"),
            trees=Forest.load(folder / "trees.npz", n_features=values["n_features"]),
            forms=Forms.load(
                folder / "forms.npz", n_values=values["n_samples"] * values["n_leads"]
            ),
            card=_Card(**values),
            history=card["history"],
        )

    def _check(self, beats: BeatSet) -> None:
        card = self._card
        if not len(beats):
            raise UserError("probe", "holds no beat", "Give a longer or better recording")
        n_samples, n_leads = beats.signals.shape[1:]
        if (n_samples, n_leads, beats.sampling_rate) != (
            card.n_samples,
            card.n_leads,
            card.sampling_rate,
        ):
            raise UserError(
                "probe",
                f"has beats of {n_samples} samples and {n_leads} leads at "
                f"{beats.sampling_rate:g} Hz",
                f"Give beats of {card.n_samples} samples and {card.n_leads} leads at "
                f"{card.sampling_rate:g} Hz, as the identifier was trained on",
            )


def _classes_of(train: BeatSet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the labels, and a remark on each that only one recording has."""
    classes = tuple(str(name) for name in np.unique(train.label) if name != "")
    if len(classes) < 2:
        have = f"{len(classes)} label" + (f" ({classes[0]})" if classes else "s")
        raise UserError(
            "train identifier", f"the train part has {have}", "Give beats of two labels or more"
        )
    codes = recording_codes(train)
    remarks = [
        f"{name} occurs in one recording only: whether another person's is recognised is unknown"
        for name in classes
        if len(np.unique(codes[train.label == name])) == 1
    ]
    return classes, tuple(remarks)


def _learning_rows(train: BeatSet, classes: Sequence[str], seed: int, balance: Balance) -> _Rows:
    """Return the labelled beats with their context, and imitated fusion beats among beat types."""
    recordings = recording_codes(train)
    rows = _rows_of(train, train.label != "", recordings, classes)
    rows = replace(rows, weights=_balanced(rows.targets, rows.recordings, balance, seed))
    if not has_fusion(classes):
        return rows
    planted, made = with_fusion_beats(train, seed=seed)
    if not made.any():
        return rows
    imitated = _rows_of(planted, made, recordings, classes)
    recorded = rows.weights[rows.targets == classes.index("F")].sum()
    weights = np.full(len(imitated.targets), IMITATED_WEIGHT * recorded / len(imitated.targets))
    imitated = replace(imitated, weights=weights, imitated=np.ones_like(imitated.imitated))
    return _joined([rows, imitated])


def _with_extra(
    rows: _Rows,
    train: BeatSet,
    extra: BeatSet,
    classes: Sequence[str],
    seed: int,
    balance: Balance,
) -> _Rows:
    """Return the rows, and those of extra beats, in whose balance the extra ones count, too."""
    recordings = recording_codes(train)
    sets = [rows]
    for beats, hosts in _planted(train, extra, seed):
        among = np.isin(recordings, recordings[hosts])
        made = np.zeros(len(train), np.bool_)
        made[hosts] = True
        one = _rows_of(beats.take(among), made[among], recordings[among], classes)
        sets.append(replace(one, extra=np.ones_like(one.extra)))
    every = _joined(sets)
    recorded = np.flatnonzero(~every.imitated)
    targets, weights = every.targets[recorded], every.weights[recorded]
    shared = _balanced(targets, every.recordings[recorded], balance, seed)
    if balance != "none":
        real = ~every.extra[recorded]
        before = np.bincount(targets[real], weights[real], len(classes))
        after = np.bincount(targets, shared, len(classes))
        shared = shared * (before / np.maximum(after, 1e-12))[targets]
    every.weights[recorded] = shared
    return every


def _gain_by_extra(
    pairs: dict[str, tuple[_Rows, _Rows]],
    train: BeatSet,
    classes: Sequence[str],
    most_fusion: float,
    seed: int,
    report: Report,
) -> dict[str, Any]:
    """Return the macro F1 of the trees on train recordings, taught without and with extra beats.

    Only real beats are judged, and no extra beat teaches that is of a judged recording's subject:
    it may have been made of beats of that recording.
    """
    codes = recording_codes(train)
    person = np.zeros(codes.max() + 1, np.int64)
    person[codes] = np.unique(train.subject, return_inverse=True)[1].reshape(-1)
    found: dict[str, float] = {}
    for name, (rows, upside_down) in pairs.items():
        real = np.flatnonzero(~rows.imitated & ~rows.extra)
        targets, recordings = rows.targets[real], rows.recordings[real]
        order = np.unique(recordings, return_inverse=True)[1]
        scores = np.zeros((len(real), len(classes)), np.float32)
        for fold in range(CHOICE_FOLDS):
            report(Progress(f"measure what extra beats change ({name})", fold, CHOICE_FOLDS))
            judged = order % CHOICE_FOLDS == fold
            of_judged = np.isin(rows.recordings, recordings[judged])
            of_judged |= rows.extra & np.isin(person[rows.recordings], person[recordings[judged]])
            taught = np.flatnonzero(~of_judged)
            if not judged.any() or len(np.unique(rows.targets[taught])) < len(classes):
                return {}
            learned, turned = (_part_of(part, taught) for part in (rows, upside_down))
            trees = _fit_trees(learned, turned, round(CHOICE_SHARE * TREES["full"]), seed)
            scores[judged] = trees.log_posteriors(rows.context.features[real[judged]])
        if has_fusion(classes):
            scores = limit_fusion(scores, recordings, classes, most_fusion)
        table = np.zeros((len(classes), len(classes)), np.int64)
        np.add.at(table, (targets, scores.argmax(axis=1)), 1)
        found[name] = round(_macro_f1(table), 4)
    return {"extra": found}


def _told(gain: dict[str, Any]) -> tuple[str, ...]:
    if not gain:
        return ()
    before, after = gain["extra"]["without"], gain["extra"]["with"]
    verb = "help" if after > before else "do not help"
    return (
        f"on train recordings, the extra beats {verb}: macro F1 {before:.3f} without, "
        f"{after:.3f} with",
    )


def _planted(train: BeatSet, extra: BeatSet, seed: int) -> list[tuple[BeatSet, IntArray]]:
    """Return the train beats, some with an extra beat in their place, and at which positions.

    Nobody is host to two extra beats at once, so there are as many sets as the most that one is
    host to. What an extra beat's own RR intervals say is not looked at.
    """
    rng = np.random.default_rng([seed, len(extra)])
    asked = np.stack([extra.subject.astype(np.str_), extra.label.astype(np.str_)], axis=1)
    requests, request = np.unique(asked, axis=0, return_inverse=True)
    host = np.full(len(extra), -1, np.int64)
    for number, (subject, label) in enumerate(requests):
        guests = np.flatnonzero(request.reshape(-1) == number)
        known = np.flatnonzero((train.label == label) & (train.label != ""))
        own = known[train.subject[known] == subject]
        hosts = rng.permutation(own if len(own) else known)
        if len(hosts):
            host[guests] = np.resize(hosts, len(guests))
    planted = []
    waiting = np.flatnonzero(host >= 0)
    while len(waiting):
        places, first = np.unique(host[waiting], return_index=True)
        signals = np.array(train.signals)
        signals[places] = extra.signals[waiting[first]]
        planted.append((replace(train, signals=signals), places))
        waiting = np.delete(waiting, first)
    return planted


def _rows_of(
    beats: BeatSet,
    wanted: npt.NDArray[np.bool_],
    recordings: IntArray,
    classes: Sequence[str],
) -> _Rows:
    """Return the wanted beats, each counting once, with the number of its recording."""
    context = beat_context(beats)
    rows = np.flatnonzero(wanted)
    return _Rows(
        Context(
            context.names, context.features[rows], context.shape[rows], context.difference[rows]
        ),
        np.searchsorted(np.asarray(classes), beats.label[rows]).astype(np.int64),
        np.ones(len(rows)),
        recordings[rows],
        np.zeros(len(rows), np.bool_),
        np.zeros(len(rows), np.bool_),
    )


def _joined(sets: Sequence[_Rows]) -> _Rows:
    contexts = [one.context for one in sets]
    return _Rows(
        Context(
            contexts[0].names,
            *(
                np.concatenate([getattr(context, name) for context in contexts])
                for name in ("features", "shape", "difference")
            ),
        ),
        *(np.concatenate([getattr(one, name) for one in sets]) for name in ROW_FIELDS),
    )


def _balanced(
    targets: IntArray, recordings: IntArray, balance: Balance, seed: int
) -> npt.NDArray[np.float64]:
    """Return (n,) how much each beat counts."""
    if balance == "draws":
        return np.bincount(balanced(targets, seed=seed), minlength=len(targets)).astype(float)
    return _tempered(targets, recordings) if balance == "weights" else np.ones(len(targets))


def _tempered(targets: IntArray, recordings: IntArray) -> npt.NDArray[np.float64]:
    """Return weights by which labels, and recordings in a label, count by a root of their beats.

    Beyond `MOST_BEATS`, a recording's beats of a label count no more, being alike.
    """
    weights = np.zeros(len(targets))
    for target in np.unique(targets):
        mine = np.flatnonzero(targets == target)
        _, owner, count = np.unique(recordings[mine], return_inverse=True, return_counts=True)
        told = np.minimum(count, MOST_BEATS).astype(float)
        share = (told**TEMPER / count)[owner]
        weights[mine] = share / share.sum() * told.sum() ** TEMPER
    return weights


def _fit_trees(rows: _Rows, upside_down: _Rows, n_trees: int, seed: int) -> Forest:
    chosen, weights = _thinned(rows, seed)
    return Forest.fit(
        np.concatenate([r.context.features[chosen] for r in (rows, upside_down)]),
        np.tile(rows.targets[chosen], 2),
        np.tile(weights, 2) / weights.mean(),
        n_trees=n_trees,
        seed=seed,
    )


def _fit_network(
    rows: _Rows, card: _Card, settings: Any, seed: int, report: Report, checkpoint: Path | None
) -> tuple[Any, list[dict[str, float]]]:
    """Return a trained network and a row of figures an epoch."""
    from core.models.identifier_network import build_network, train_network

    inputs = _network_input(rows.context, card)
    chances = rows.weights / rows.weights.sum()

    def draw(n: int, rng: np.random.Generator) -> tuple[FloatArray, IntArray]:
        drawn = rng.choice(len(chances), n, p=chances)
        return _varied(inputs[drawn], card, rng), rows.targets[drawn]

    network = build_network(
        inputs.shape[1], inputs.shape[2], len(card.classes), settings, seed=seed
    )
    history = train_network(
        network,
        draw,
        settings,
        seed=seed,
        identity=_identity(inputs, rows, settings, seed),
        held_out=None,
        report=report,
        checkpoint=checkpoint,
    )
    return network, history


def _run(network: Any, inputs: FloatArray) -> FloatArray:
    """Return the log-posteriors (n, n_classes) of a network."""
    parts = [
        np.asarray(network(inputs[i : i + BATCH_AT_INFERENCE], training=False)[0])
        for i in range(0, len(inputs), BATCH_AT_INFERENCE)
    ]
    return np.concatenate(parts)


def _card_of(
    rows: _Rows,
    train: BeatSet,
    classes: tuple[str, ...],
    remarks: tuple[str, ...],
    choice: _Choice,
) -> _Card:
    known = rows.context.features[:, _held(rows.context)]
    return _Card(
        classes=classes,
        n_samples=train.signals.shape[1],
        n_leads=train.signals.shape[2],
        sampling_rate=train.sampling_rate,
        n_features=len(rows.context.names),
        centre=tuple(known.mean(axis=0).tolist()),
        spread=tuple((known.std(axis=0) + 1e-3).tolist()),
        threshold=LABEL_THRESHOLD,
        remarks=remarks,
        method=choice.method,
        most_fusion=choice.most_fusion,
        selection=choice.selection,
    )


def _choose(
    rows: _Rows,
    upside_down: _Rows,
    train: BeatSet,
    classes: tuple[str, ...],
    settings: Any,
    seed: int,
    report: Report,
) -> _Choice | None:
    """Return what names best the recordings that it did not learn; None if that cannot be told.

    It is the trees, unless another way is clearly ahead of them.
    """
    real = np.flatnonzero(~rows.imitated)
    targets, recordings = rows.targets[real], rows.recordings[real]
    order = np.unique(recordings, return_inverse=True)[1]
    settings = replace(settings, epochs=max(1, round(CHOICE_SHARE * settings.epochs)))
    by_trees, by_network = (np.zeros((len(real), len(classes)), np.float32) for _ in range(2))
    for fold in range(CHOICE_FOLDS):
        report(Progress("choose what identifies", fold, CHOICE_FOLDS))
        judged = order % CHOICE_FOLDS == fold
        taught = np.flatnonzero(~np.isin(rows.recordings, recordings[judged]))
        if not judged.any() or len(np.unique(rows.targets[taught])) < len(classes):
            return None
        learned, turned = (_part_of(part, taught) for part in (rows, upside_down))
        probes = _part_of(rows, real[judged]).context
        trees = _fit_trees(learned, turned, round(CHOICE_SHARE * TREES["full"]), seed)
        by_trees[judged] = trees.log_posteriors(probes.features)
        card = _card_of(learned, train, classes, (), DEFAULT_CHOICE)
        network, _ = _fit_network(learned, card, settings, seed, _cancellable(report, fold), None)
        by_network[judged] = _run(network, _network_input(probes, card))

    def tables(share: float, limit: float) -> IntArray:
        scores = share * by_network + (1 - share) * by_trees
        if has_fusion(classes):
            scores = limit_fusion(scores, recordings, classes, limit)
        counts = np.zeros((order.max() + 1, len(classes), len(classes)), np.int64)
        np.add.at(counts, (order, targets, scores.argmax(axis=1)), 1)
        return counts

    limits = FUSION_LIMITS if has_fusion(classes) else (MOST_PER_VENTRICULAR,)
    most_fusion = max(limits, key=lambda limit: _macro_f1(tables(0, limit).sum(axis=0)))
    shares: dict[LabelMethod, float] = {"features": 0, "joined": NETWORK_WEIGHT, "network": 1}
    counts = {way: tables(share, most_fusion) for way, share in shares.items()}
    found = {way: _macro_f1(table.sum(axis=0)) for way, table in counts.items()}
    ahead: list[LabelMethod] = [
        way for way in shares if _clearly_better(counts[way], counts["features"], seed)
    ]
    return _Choice(
        max(ahead, key=found.__getitem__, default="features"),
        most_fusion,
        {
            "protocol": f"macro F1 of train recordings, in {CHOICE_FOLDS} parts, each judged by "
            "what learned the others; the trees (features) unless another way is ahead by more "
            f"than {CHOICE_ERRORS:g} standard errors over recordings",
            "macro_f1": {way: round(value, 4) for way, value in found.items()},
        },
    )


def _clearly_better(one: IntArray, other: IntArray, seed: int) -> bool:
    """Tell whether tables (n_recordings, n_classes, n_classes) lead by more than chance."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(one), size=(CHOICE_DRAWS, len(one)))
    leads = [_macro_f1(one[d].sum(axis=0)) - _macro_f1(other[d].sum(axis=0)) for d in drawn]
    lead = _macro_f1(one.sum(axis=0)) - _macro_f1(other.sum(axis=0))
    return bool(lead > CHOICE_ERRORS * np.std(leads))


def _cancellable(report: Report, fold: int) -> Report:
    """Return what a network in the choice reports to: the part at which the choice is."""

    def tell(_: Progress) -> None:
        report(Progress("choose what identifies", fold, CHOICE_FOLDS))

    return tell


def _macro_f1(table: IntArray) -> float:
    """Return the mean F1 of the classes of a confusion matrix."""
    both = table.sum(axis=0) + table.sum(axis=1)
    return float(np.mean(2 * np.diag(table) / np.maximum(both, 1)))


def _part_of(rows: _Rows, chosen: IntArray) -> _Rows:
    context = rows.context
    return _Rows(
        Context(
            context.names,
            context.features[chosen],
            context.shape[chosen],
            context.difference[chosen],
        ),
        *(getattr(rows, name)[chosen] for name in ROW_FIELDS),
    )


def _thinned(rows: _Rows, seed: int) -> tuple[IntArray, npt.NDArray[np.float64]]:
    """Return some rows of each label and recording, and weights that make up for the rest."""
    rng = np.random.default_rng(seed)
    groups = np.stack([rows.imitated, rows.extra, rows.targets, rows.recordings])
    _, group = np.unique(groups, axis=1, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    starts = np.flatnonzero(np.diff(group.ravel()[order], prepend=-1))
    chosen, weights = [], []
    for members in np.split(order, starts[1:]):
        most = MOST_IMITATED if rows.imitated[members[0]] else MOST_BEATS
        kept = members if len(members) <= most else np.sort(rng.choice(members, most, False))
        chosen.append(kept)
        total = rows.weights[kept].sum()
        weights.append(rows.weights[kept] * (rows.weights[members].sum() / max(total, 1e-12)))
    return np.concatenate(chosen), np.concatenate(weights)


def label_settings(preset: Preset) -> Any:
    """Return the `NetworkSettings` of a preset."""
    from core.models.identifier_network import NetworkSettings

    return NetworkSettings(
        filters=(24, 48, 64),
        lstm_units=32,
        skip_units=64,
        embedding=64,
        dropout=0.2,
        late_dropout=0.4,
        label_smoothing=0.05,
        margin=0.0,
        epochs=EPOCHS[preset],
    )


def _held(context: Context) -> list[int]:
    """Return the columns of `HELD` that this window has: a short one has no P wave."""
    return [context.names.index(name) for name in HELD if name in context.names]


def _network_input(context: Context, card: _Card) -> FloatArray:
    """Return (n, n_times, n_channels): beat, difference, slope, then what is held constant."""
    every = max(1, int(card.sampling_rate // NETWORK_RATE))
    shape, difference = context.shape[:, ::every], context.difference[:, ::every]
    per_s = card.sampling_rate / every
    slope = np.gradient(shape, axis=1) * (per_s * DERIVATIVE_SCALE_S)
    waves = np.concatenate([shape, difference, slope], axis=2)
    known = (context.features[:, _held(context)] - np.asarray(card.centre)) / np.asarray(
        card.spread
    )
    held = np.broadcast_to(known[:, None, :], (*waves.shape[:2], known.shape[1]))
    clipped = np.clip(np.concatenate([waves, held], axis=2), -LARGEST_INPUT, LARGEST_INPUT)
    return clipped.astype(np.float32)


def _varied(inputs: FloatArray, card: _Card, rng: np.random.Generator) -> FloatArray:
    """Return samples upside down or not, higher or lower, noisier, their context less certain."""
    n, _, n_channels = inputs.shape
    waves = 3 * card.n_leads
    beat = inputs[:, :, :waves] * rng.choice([-1.0, 1.0], (n, 1, 1))
    beat = beat * (1 + rng.uniform(-GAIN, GAIN, (n, 1, 1)))
    beat += rng.standard_normal(beat.shape) * rng.uniform(0, NOISE, (n, 1, 1))
    shaken = FEATURE_NOISE * rng.standard_normal((n, 1, n_channels - waves))
    return np.concatenate([beat, inputs[:, :, waves:] + shaken], axis=2).astype(np.float32)


def _identity(inputs: FloatArray, rows: _Rows, settings: Any, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(settings), seed]).encode())
    for array in (inputs, rows.targets, rows.weights):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()

"""AuthenticityJudge: real beats and fakes of several kinds -> is a beat real, and what says so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED

import numpy as np
import numpy.typing as npt
import skops.io
from scipy.interpolate import CubicSpline
from scipy.special import expit, logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from core.beat_set import BeatSet
from core.errors import UserError
from core.models.evidence import FAMILIES, Cohort, evidence, evidence_names, scaled
from core.models.storage import load_card, save_card
from core.options import MODEL_FORMATS
from core.preprocessing.features import beat_features
from core.progress import Progress, Report, silent
from core.recording import FloatArray, IntArray, StrArray

FoldArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

THRESHOLD = 0.5
"""A beat is called synthetic above this probability."""
PENALTY = 10.0
"""C of the machine of `held_out_decisions`, as in the project's published figures."""
KIND_PENALTY = 3.0
"""C of the judge's own machines: its features are more, and partly noise."""
N_FOLDS = 5
FEW_RECORDINGS_LIMIT = 3.0
"""Mean log-odds, 0.95, above which a file is synthetic where there are fewer recordings than folds:
what is held out is then of the same day, and tells nothing of false alarms on another."""
LEAST_LIMIT = 1.0
"""That limit is at least this, a probability of 0.73: to take real for synthetic is the worst."""
MIN_BEATS = 10
"""Beats of each kind below which nothing can be held out."""
MAX_BEATS = 2000
"""Beats of each kind above which a random part is used: an SVM's time grows with the square."""
LEAST_VARIANCE = 1e-12
"""Features that vary less hold rounding only: float64 against float32 alone moves them."""
WINDOW_TOLERANCE = 1.5
"""Samples by which two windows may differ and still count as one; rates round differently."""
MOST_LOG_ODDS = 6.0
"""One machine's certainty about one beat is held to this, 0.9975: it saw no more beats."""
REFERENCE_BEATS = 3000
"""Learned beats, real and fake, that tell whether a beat is like anything that was learned."""
FAR_PERCENTILE = 99.0
"""Beats farther from learned ones than this percentage of held-out real and fake ones are unlike
them; at twice that distance nothing is said of them."""
NEAR_PERCENTILE = 95.0
"""Files that are farther from the middle of the study's beats than this percentage of its
recordings, subjects held out, are strange to the study."""
TYPICAL_SHARE = 0.1
"""A beat is a typical fake of its kind if its log-odds lie no farther from those of the median
fake than this share of the way from there to the median real beat. Told on nothing but the study:
at a tenth, fakes mostly pass, and what is real on other devices seldom does."""
MOST_COPIES = 3
"""Fakes of a kind for each real beat, at most: time grows with the square."""
LEAST_SUBJECTS = 3
"""Of which one can be held out while the others still tell what beats look like."""
LEAST_ALIKE = 4
"""Beats of which it can be said how alike they are."""
ALIKE_PERCENTILE = 95.0
"""A file whose beats are more alike than those of this percentage of a kind's fakes is not of it,
if the kind imitates the study: real beats of one heart are alike, a forger's draws seldom."""
TINY = 1e-9
FALSE_ALARM_SHARE = 0.02
"""Of held-out real recordings that the limit for a whole file lets be called synthetic."""
BACKGROUND_BEATS = 6
"""Real beats whose features are put in the place of a beat's, to see what moved the verdict."""
EXPLAINED_BEATS = 12

MODEL_FILE = "judge.skops"
TRUSTED_TYPES: tuple[str, ...] = ()
"""Types beyond those skops trusts by itself; a file that needs others is refused."""


@dataclass(frozen=True)
class KindCard:
    """How well one machine tells held-out real beats from one kind of fake.

    Attributes:
        n_each: Beats of each that it was fitted on.
        slope: Platt's slope from the machine's decision value to log-odds; 0 if it cannot tell.
        intercept: Platt's intercept.
        auc: Area under the ROC curve of held-out beats.
        general: Whether it was learned on beats as of other devices and hearts too.
        typical: Log-odds that fakes of the kind mostly reach.
        alike: Likeness that files of the kind seldom exceed; see `likeness`.
    """

    n_each: int
    slope: float
    intercept: float
    auc: float
    general: bool
    typical: float
    alike: float


@dataclass(frozen=True)
class JudgeCard:
    """What a judge was fitted on, and how well it tells held-out beats apart.

    Attributes:
        format: That of `MODEL_FORMATS` when it was saved.
        sampling_rate: Rate of the beats, in Hz.
        before_s: Seconds from the first sample to the R peak.
        n_samples: Samples a beat.
        n_leads: Leads a beat.
        features: Names of the features, in order.
        kinds: A card for each kind of fake.
        n_each: Real beats that it was fitted on.
        accuracy: Mean of the shares of held-out real beats and of fakes told correctly.
        auc: Area under the ROC curve of the same held-out beats, real against all fakes.
        brier: Mean squared error of the held-out probabilities, real beats and fakes weighing the
            same; 0.25 is a coin's.
        seed: Seed of the draw and the folds.
        threshold: Probability above which a beat is called synthetic.
        file_limit: Mean log-odds above which a whole file is called synthetic.
        far: Distance from the closest real beat above which a beat is unlike them.
        near: Distance from the middle of the real beats above which a file is strange to them.
        protocol: How the figures were measured, in a sentence.
        versions: Versions of the packages that the saved model depends on.
    """

    format: int
    sampling_rate: float
    before_s: float
    n_samples: int
    n_leads: int
    features: tuple[str, ...]
    kinds: dict[str, KindCard]
    n_each: int
    accuracy: float
    auc: float
    brier: float
    seed: int
    threshold: float
    file_limit: float
    far: float
    near: float
    protocol: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Reason:
    """What moved a verdict.

    Attributes:
        feature: Name of a family of features.
        words: What is said of it, for a reader.
        weight: How far it moved the mean log-odds; positive towards synthetic.
    """

    feature: str
    words: str
    weight: float


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a judge says of the beats of one file.

    Attributes:
        probability: (n,) that each beat is synthetic; 0.5 where nothing can be said.
        unlike: (n,) whether each is unlike all that the judge learned, real or fake.
        synthetic: Whether they are, taken together; false where nothing can be said.
        certain: Whether something can be said of them, taken together.
        kind: The kind of fake that they are most like.
        reasons: What moved the verdict most, first what moved it farthest.
    """

    probability: DoubleArray
    unlike: BoolArray
    synthetic: bool
    certain: bool
    kind: str
    reasons: tuple[Reason, ...]


class AuthenticityJudge:
    """Tells synthetic beats from real ones, by a support vector machine for each kind of fake.

    Each machine, of a radial kernel on the standardised features of `core.models.evidence`, tells
    real beats from one kind; Platt's logistic curve (Platt 1999), fitted to held-out decision
    values, turns these into odds. A fake is taken to be of each kind with equal chance, so the
    odds of the kinds are averaged; real and synthetic beats are taken to be equally frequent.
    Held out are whole subjects, from what is learned of real beats too; for kinds that imitate the
    study's people, recordings. Deviation from Platt: the slope is never negative, so that a machine
    that cannot tell answers 0.5 for every beat. Kinds that any device shows are also learned on
    beats changed as other hearts, leads and devices change them (`core.elsewhere`). What is
    strange to the study is called synthetic only where it is typical of such a kind: a real
    recording of another device must not be called so.
    """

    def __init__(
        self,
        machines: Mapping[str, Pipeline],
        cohort: Cohort,
        arrays: Mapping[str, npt.NDArray[Any]],
        card: JudgeCard,
    ) -> None:
        self._machines = dict(machines)
        self._cohort = cohort
        self._arrays = dict(arrays)
        self.card = card

    @classmethod
    def fit(
        cls,
        real: BeatSet,
        fakes: Mapping[str, BeatSet],
        *,
        seed: int,
        foreign: Mapping[str, BeatSet] | None = None,
        report: Report = silent,
    ) -> AuthenticityJudge:
        """Fit a judge on as many fakes of each kind as real beats, of every subject alike.

        Args:
            real: Measured beats; their rate and window become the judge's.
            fakes: For each kind, beats made of them, of the same filter, smoothing and window;
                one that names a real beat's recording is held out with it.
            seed: Of the draw of beats and of the folds.
            foreign: Real beats as of elsewhere (under "real"), and fakes of them, of some kinds;
                each names the recording of `real` that it was made of. Those kinds are then told
                of beats that are strange to the study too.
            report: Called after each kind.

        Raises:
            UserError: Too few beats, no common window, or not the same leads.
        """
        _require_finite(real, "real beats")
        panel = {kind: matched(beats, real, where=f"{kind} beats") for kind, beats in fakes.items()}
        rng = np.random.default_rng(seed)
        if len(real) > MAX_BEATS:
            real = real.take(np.sort(rng.choice(len(real), MAX_BEATS, replace=False)))
        fold_of = subject_folds(real, rng)
        pairs = {kind: _paired_draw(real, beats, fold_of, rng) for kind, beats in panel.items()}
        _require_enough({kind: len(pair.real) for kind, pair in pairs.items()})
        folds = np.concatenate([fold_of, *(pair.fold for pair in pairs.values())])
        kind_of = np.repeat(
            np.arange(len(pairs) + 1), [len(real), *(len(pair.fake) for pair in pairs.values())]
        )
        signals = np.concatenate(
            [real.signals, *(panel[kind].signals[pair.fake] for kind, pair in pairs.items())]
        )
        cohort = _learn(real, rng)
        cohorts = {f: _learn(real.take(fold_of != f), rng) for f in np.unique(folds)}
        x = _in_folds(signals, folds, cohorts)
        enough = len(np.unique(real.recording)) >= N_FOLDS
        known_of = recording_folds(real, rng) if enough else fold_of
        known_folds = np.concatenate(
            [known_of, *(known_of[pair.beside] for pair in pairs.values())]
        )
        known = _in_folds(
            signals,
            known_folds,
            {f: _learn(real.take(known_of != f), rng) for f in np.unique(known_folds)},
        )
        extra, extra_fold, extra_kind = _foreign(real, foreign or {}, list(pairs), fold_of, cohorts)

        def rows_of(number: int, pair: _Pair) -> IntArray:
            """Return the rows of a kind and of the real beats that it is told from."""
            return np.concatenate([pair.real, np.flatnonzero(kind_of == number)])

        decisions = np.zeros((len(x), len(pairs)))
        is_general = {kind: foreign is None or kind in foreign for kind in pairs}
        machines: dict[str, Pipeline] = {}
        cards: dict[str, KindCard] = {}
        for number, (kind, pair) in enumerate(pairs.items(), start=1):
            rows = rows_of(number, pair)
            is_fake = kind_of[rows] > 0
            more = is_general[kind] & ((extra_kind == number) | (extra_kind == 0))
            if is_general[kind]:
                shown_x = np.concatenate([x[rows], known[rows], extra[more]])
                shown_fake = np.concatenate([is_fake, is_fake, extra_kind[more] > 0])
                shown_fold = np.concatenate([folds[rows], folds[rows], extra_fold[more]])
            else:
                shown_x, shown_fake, shown_fold = known[rows], is_fake, folds[rows]
            of_extra = np.zeros(len(extra))
            for fold in np.unique(folds):
                away, held = shown_fold != fold, folds == fold
                machine = _machine().fit(shown_x[away], shown_fake[away])
                decisions[held, number - 1] = machine.decision_function(x[held])
                also = more & (extra_fold == fold)
                if also.any():
                    of_extra[also] = machine.decision_function(extra[also])
            machines[kind] = _rounded(_machine().fit(shown_x, shown_fake))
            if is_general[kind]:
                own = np.concatenate([decisions[rows, number - 1], of_extra[more]])
                truth = np.concatenate([is_fake, extra_kind[more] > 0])
            else:
                own, truth = _held_out(known[rows], is_fake, known_folds[rows]), is_fake
            slope, intercept = _platt(own[:, None], truth)
            auc = float(roc_auc_score(truth, own))
            of_fake, of_real = (float(np.median(own[truth == side])) for side in (1, 0))
            typical = slope * (of_fake - TYPICAL_SHARE * (of_fake - of_real)) + intercept
            cards[kind] = KindCard(
                len(pair.real),
                slope,
                intercept,
                auc,
                is_general[kind],
                max(0.0, typical),
                _most_alike(panel[kind]),
            )
            report(Progress("train authenticity", number, len(pairs) + 1, {"auc": auc}))
        log_odds = _joined(decisions, cards)
        is_real = kind_of == 0
        both = np.concatenate([x[is_real], known[is_real]])
        centre, spread = both.mean(axis=0), np.maximum(both.std(axis=0), LEAST_VARIANCE)
        rows_real = (both - centre) / spread
        far, near = _limits(rows_real, real, fold_of)
        shown = np.sort(rng.permutation(len(rows_real))[:REFERENCE_BEATS])
        reference = rows_real[shown].astype(np.float32)
        is_fake = kind_of > 0
        weight = np.where(is_fake, 0.5 / is_fake.sum(), 0.5 / (~is_fake).sum())
        card = JudgeCard(
            format=MODEL_FORMATS["authenticity"],
            sampling_rate=real.sampling_rate,
            before_s=real.before_s,
            n_samples=real.signals.shape[1],
            n_leads=real.signals.shape[2],
            features=evidence_names(real.signals, cohort),
            kinds=cards,
            n_each=max(kind.n_each for kind in cards.values()),
            accuracy=float(weight @ ((log_odds > 0) == is_fake)),
            auc=float(roc_auc_score(is_fake, log_odds)),
            brier=float(weight @ (expit(log_odds) - is_fake) ** 2),
            seed=seed,
            threshold=THRESHOLD,
            file_limit=_file_limit(real, fold_of, log_odds[: len(real)]),
            far=far,
            near=near,
            protocol=(
                f"{len(np.unique(folds))} folds over the train part, whole subjects held out "
                f"where there are enough; {len(real)} real beats and {int(is_fake.sum())} fakes of "
                f"{len(cards)} kinds, which together weigh as much as the real ones"
            ),
            versions={name: version(name) for name in ("scikit-learn", "skops", "numpy")},
        )
        background = x[rng.permutation(len(real))[:BACKGROUND_BEATS]]
        report(Progress("train authenticity", len(pairs) + 1, len(pairs) + 1, {"auc": card.auc}))
        real_scale = x[: len(real)].mean(axis=0), x[: len(real)].std(axis=0)
        arrays = {
            "centre": centre,
            "spread": spread,
            "reference": reference,
            "white": _whitener(rows_real).astype(np.float32),
            "background": background,
            "real_centre": real_scale[0],
            "real_spread": np.maximum(real_scale[1], LEAST_VARIANCE),
        }
        return cls(machines, cohort, arrays, card)

    def without(self, kind: str) -> AuthenticityJudge:
        """Return the judge that never saw one kind of fake; its limit for files stays.

        Raises:
            KeyError: There is no such kind, or no other.
        """
        kinds = {name: card for name, card in self.card.kinds.items() if name != kind}
        if len(kinds) != len(self.card.kinds) - 1 or not kinds:
            raise KeyError(kind)
        machines = {name: self._machines[name] for name in kinds}
        return AuthenticityJudge(
            machines, self._cohort, self._arrays, replace(self.card, kinds=kinds)
        )

    def probability(self, beats: BeatSet) -> DoubleArray:
        """Return (n,) the probability that each beat is synthetic.

        Beats of another rate are resampled to the judge's.

        Raises:
            UserError: Another window or number of leads, or samples that are missing.
        """
        return np.asarray(expit(self._log_odds(self._evidence(beats))))

    def is_synthetic(self, beats: BeatSet) -> bool:
        """Return whether the beats of a file, taken together, are synthetic; see `examine`.

        Raises:
            UserError: There are no beats, or as for `probability`.
        """
        return self.examine(beats, reasons=0).synthetic

    def examine(self, beats: BeatSet, *, reasons: int = 3) -> Opinion:
        """Return what is to be said of the beats of one file.

        They share one origin, so together they decide. They are synthetic if most are typical of a
        kind of fake that any device shows; or if mean and median of their log-odds, as far as what
        was learned reaches, are above the limit that real recordings, held out, seldom exceed.
        Nothing can be said where neither holds but most beats seem synthetic or are far from all
        real beats that were learned.

        Args:
            beats: At least one.
            reasons: How many reasons to give, at most; each costs time.

        Raises:
            UserError: There are no beats, or as for `probability`.
        """
        if not len(beats):
            raise UserError("beats", "there are none to judge", "Give at least one beat")
        x = self._evidence(beats)
        of_kinds, strange, distance = self._weighed(x)
        unlike = distance > self.card.far
        cards = self.card.kinds.values()
        alike = likeness(beats.signals)
        fits = np.asarray([card.general or not alike > card.alike for card in cards])
        faded = self._reached(of_kinds, np.full(len(x), np.median(strange)), strict=True)
        joined = _mean_of_kinds(np.where(fits, faded, np.minimum(faded, 0)))
        limit = self.card.file_limit
        typical = np.asarray([card.typical if card.general else np.inf for card in cards])
        synthetic = bool(
            (np.median(of_kinds, axis=0) > typical).any()
            or (joined.mean() > limit and np.median(joined) > limit)
        )
        leans = bool(np.median(_mean_of_kinds(of_kinds)) > 0)
        log_odds = _mean_of_kinds(self._reached(of_kinds, strange))
        return Opinion(
            probability=np.asarray(expit(log_odds)),
            unlike=unlike,
            synthetic=synthetic,
            certain=synthetic or not (leans or unlike.mean() > 0.5),
            kind=list(self.card.kinds)[int(of_kinds.mean(axis=0).argmax())],
            reasons=self._reasons(x)[:reasons] if reasons else (),
        )

    def _evidence(self, beats: BeatSet) -> DoubleArray:
        card = self.card
        if not len(beats):
            return np.empty((0, len(card.features)))
        like = BeatSet.build(
            np.empty((0, card.n_samples, card.n_leads), dtype=np.float32),
            sampling_rate=card.sampling_rate,
            before_s=card.before_s,
            leads=("",) * card.n_leads,
        )
        return evidence(matched(beats, like).signals, self._cohort)

    def _decisions(self, x: DoubleArray) -> DoubleArray:
        if not len(x):
            return np.empty((0, len(self._machines)))
        return np.stack([m.decision_function(x) for m in self._machines.values()], axis=1)

    def _weighed(self, x: DoubleArray) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
        """Return (n, n_kinds) log-odds, (n,) how strange each beat is, and (n,) how far off.

        Strange, 1 at the limit, is how far it is from the middle of the study's real beats; far
        off is how far it is from the closest of them.
        """
        of_kinds = _by_kind(self._decisions(x), self.card.kinds, most=np.inf)
        rows = (x - self._arrays["centre"]) / self._arrays["spread"]
        strange = _strangeness(rows, self._arrays["white"]) / self.card.near
        return of_kinds, strange, _distances(rows, self._arrays["reference"])

    def _reached(
        self, of_kinds: DoubleArray, strange: DoubleArray, *, strict: bool = False
    ) -> DoubleArray:
        """Return (n, n_kinds) log-odds as far as what was learned reaches: 0 tells nothing.

        For beats that are strange to the study, kinds that imitate it tell nothing, and others
        tell something only where a beat is as sure of the kind as its fakes mostly are.

        Args:
            of_kinds: (n, n_kinds) log-odds.
            strange: (n,) from `_weighed`.
            strict: Whether the second holds of all beats.
        """
        cards = self.card.kinds.values()
        general = np.asarray([card.general for card in cards])
        typical = np.asarray([max(card.typical, TINY) for card in cards])
        share = np.clip(2 * (strange - 1), 0, 1)[:, None]
        kept = np.clip(2 * of_kinds / typical - 1, 0, 1)
        kept = kept if strict else 1 - share + share * kept
        return np.where(
            general, np.where(of_kinds > 0, of_kinds * kept, of_kinds), of_kinds * (1 - share)
        )

    def _log_odds(self, x: DoubleArray) -> DoubleArray:
        """Return (n,) log-odds of each beat, nearer to 0 where it is strange to the study."""
        of_kinds, strange, _ = self._weighed(x)
        return _mean_of_kinds(self._reached(of_kinds, strange))

    def _reasons(self, x: DoubleArray) -> tuple[Reason, ...]:
        """Return each family of features with what it adds to the log-odds, the largest first.

        What it adds is the mean of two: what is lost when the family's features are replaced by
        those of a real beat, and what a real beat gains by them (the first and the last place of
        Shapley's orders), over some beats and some real beats.
        """
        at = np.unique(np.linspace(0, len(x) - 1, min(len(x), EXPLAINED_BEATS)).round().astype(int))
        background = self._arrays["background"]
        beats = np.repeat(x[at], len(background), axis=0)
        others = np.tile(background, (len(at), 1))
        full, empty = (self._plain(rows).mean() for rows in (x[at], background))
        z = (x.mean(axis=0) - self._arrays["real_centre"]) / self._arrays["real_spread"]
        family_of = np.asarray([name.split("/")[0] for name in self.card.features])
        found = []
        for family, words in FAMILIES.items():
            mine = family_of == family
            if not mine.any():
                continue
            lost = full - self._plain(np.where(mine, others, beats)).mean()
            gained = self._plain(np.where(mine, beats, others)).mean() - empty
            side = int(z[mine].mean() > 0)
            found.append(Reason(family, words[side], float((lost + gained) / 2)))
        return tuple(sorted(found, key=lambda reason: -abs(reason.weight)))

    def _plain(self, x: DoubleArray) -> DoubleArray:
        """Return (n,) log-odds not held to `MOST_LOG_ODDS`: what is held shows no reason."""
        return _joined(self._decisions(x), self.card.kinds, most=np.inf)

    def save(self, folder: Path) -> None:
        """Write ``judge.skops`` and ``card.json`` into a folder, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / MODEL_FILE
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        held = {
            "machines": self._machines,
            "cohort": self._cohort.as_arrays(),
            "arrays": self._arrays,
        }
        try:
            temporary.write_bytes(skops.io.dumps(held, compression=ZIP_DEFLATED))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        save_card(folder, asdict(self.card))

    @classmethod
    def load(cls, folder: Path) -> AuthenticityJudge:
        """Read what `save` wrote; nothing is unpickled.

        Raises:
            UserError: A file is missing, damaged, of an older CardioTwin, or holds types that are
                not trusted.
        """
        values = load_card(folder)
        path = folder / MODEL_FILE
        if values.get("format") != MODEL_FORMATS["authenticity"]:
            raise UserError(
                path, "was trained by another version of CardioTwin", "Train authenticity again"
            )
        try:
            known: dict[str, Any] = {field.name: values[field.name] for field in fields(JudgeCard)}
            known["kinds"] = {kind: KindCard(**card) for kind, card in known["kinds"].items()}
            card = JudgeCard(**{**known, "features": tuple(known["features"])})
            held = skops.io.load(path, trusted=list(TRUSTED_TYPES))
            cohort = Cohort.from_arrays(held["cohort"])
            return cls(held["machines"], cohort, held["arrays"], card)
        except Exception as error:
            raise UserError(
                path, f"is not a readable judge ({error})", "Train authenticity again"
            ) from None


@dataclass(frozen=True, eq=False)
class _Pair:
    """Positions of real beats and of fakes; of these also the fold, and a real beat of the same."""

    real: IntArray
    fake: IntArray
    fold: FoldArray
    beside: IntArray


def recording_folds(beats: BeatSet, rng: np.random.Generator) -> FoldArray:
    """Return (n,) a fold for each beat: whole recordings, those of a subject apart.

    With fewer recordings than folds, each recording is cut into stretches instead, which
    flatters: beats of another day are then more often called synthetic.
    """
    folds = np.empty(len(beats), dtype=np.int64)
    names, first = np.unique(beats.recording, return_index=True)
    if len(names) < N_FOLDS:
        for name in names:
            own = np.flatnonzero(beats.recording == name)
            folds[own] = np.arange(len(own)) * N_FOLDS // len(own)
        return folds
    by_subject = sorted(zip(beats.subject[first], rng.permutation(len(names)), names, strict=True))
    for number, (_, _, name) in enumerate(by_subject):
        folds[beats.recording == name] = number % N_FOLDS
    return folds


def subject_folds(beats: BeatSet, rng: np.random.Generator) -> FoldArray:
    """Return (n,) a fold for each beat: whole subjects; recordings where there are too few."""
    names = np.unique(beats.subject)
    if len(names) < LEAST_SUBJECTS:
        return recording_folds(beats, rng)
    fold = dict(zip(names.tolist(), (rng.permutation(len(names)) % N_FOLDS).tolist(), strict=True))
    return np.asarray([fold[name] for name in beats.subject.tolist()], dtype=np.int64)


def _paired_draw(
    real: BeatSet, fakes: BeatSet, fold_of: FoldArray, rng: np.random.Generator
) -> _Pair:
    """Return as many real beats as fakes of each recording, or subject where none is shared."""
    shared = np.isin(fakes.recording, real.recording).all() and (fakes.recording != "").all()
    of = "recording" if shared else "subject"
    of_real, left = getattr(real, of), np.arange(len(fakes))
    drawn: list[tuple[IntArray, IntArray]] = []
    for _ in range(min(MOST_COPIES, max(1, len(fakes) // max(1, len(real))))):
        one, other = equal_shares(of_real, getattr(fakes, of)[left], rng)
        if drawn and len(one) < len(drawn[0][0]):
            break
        drawn.append((one, left[other]))
        left = np.delete(left, other)
    return _Pair(
        drawn[0][0],
        np.concatenate([other for _, other in drawn]),
        fold_of[np.concatenate([one for one, _ in drawn])],
        np.concatenate([one for one, _ in drawn]),
    )


def _require_enough(sizes: Mapping[str, int]) -> None:
    for kind, n in sizes.items():
        if n < MIN_BEATS:
            raise UserError(
                "authenticity",
                f"{n} real beats and as many of {kind.replace('_', ' ')} are too few for a judge",
                f"Give at least {MIN_BEATS} real and {MIN_BEATS} synthetic beats",
            )


def _in_folds(signals: FloatArray, folds: FoldArray, cohorts: Mapping[int, Cohort]) -> DoubleArray:
    """Return (n, n_features) the evidence of beats, each beside the cohort without its fold."""
    x = np.empty((len(signals), len(evidence_names(signals, next(iter(cohorts.values()))))))
    for fold, cohort in cohorts.items():
        x[folds == fold] = evidence(signals[folds == fold], cohort)
    return x


def _foreign(
    real: BeatSet,
    foreign: Mapping[str, BeatSet],
    kinds: list[str],
    fold_of: FoldArray,
    cohorts: Mapping[int, Cohort],
) -> tuple[DoubleArray, FoldArray, IntArray]:
    """Return evidence, fold and kind (0: real) of what is as if of elsewhere."""
    by_subject = dict(zip(real.recording.tolist(), fold_of.tolist(), strict=True))
    parts, folds, numbers = [], [], []
    for kind, beats in foreign.items():
        if kind not in ("real", *kinds):
            continue
        beats = beats.take(np.isin(beats.recording, real.recording))
        beats = matched(beats, real, where=f"{kind} beats")
        fold = np.asarray([by_subject[name] for name in beats.recording.tolist()], dtype=np.int64)
        parts.append(_in_folds(beats.signals, fold, cohorts))
        folds.append(fold)
        numbers.append(np.full(len(beats), 0 if kind == "real" else kinds.index(kind) + 1))
    if not parts:
        n = len(evidence_names(real.signals, next(iter(cohorts.values()))))
        return np.empty((0, n)), np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(parts), np.concatenate(folds), np.concatenate(numbers)


def _learn(real: BeatSet, rng: np.random.Generator) -> Cohort:
    return Cohort.learn(real.signals, real.subject, real.sampling_rate, real.before_s, rng)


def _machine() -> Pipeline:
    return make_pipeline(
        VarianceThreshold(LEAST_VARIANCE),
        StandardScaler(),
        SVC(C=KIND_PENALTY, kernel="rbf", class_weight="balanced"),
    )


def _rounded(machine: Pipeline) -> Pipeline:
    """Return a fitted machine whose support vectors are float32 numbers: half the file."""
    vectors = machine[-1].support_vectors_
    machine[-1].support_vectors_ = vectors.astype(np.float32).astype(np.float64)
    return machine


def _held_out(x: DoubleArray, is_fake: BoolArray, folds: FoldArray) -> DoubleArray:
    """Return (n,) decision values of machines that were not fitted on the rows' own fold."""
    decision = np.empty(len(x))
    for fold in np.unique(folds):
        held = folds == fold
        decision[held] = _machine().fit(x[~held], is_fake[~held]).decision_function(x[held])
    return decision


def _by_kind(
    decisions: DoubleArray, cards: Mapping[str, KindCard], *, most: float = MOST_LOG_ODDS
) -> DoubleArray:
    """Return (n, n_kinds) log-odds of each kind of fake against real, held to `most`."""
    slope = np.asarray([card.slope for card in cards.values()])
    intercept = np.asarray([card.intercept for card in cards.values()])
    return np.clip(decisions * slope + intercept, -most, most)


def _joined(
    decisions: DoubleArray, cards: Mapping[str, KindCard], *, most: float = MOST_LOG_ODDS
) -> DoubleArray:
    """Return (n,) log-odds of a fake of some kind against real: the mean of the kinds' odds."""
    return _mean_of_kinds(_by_kind(decisions, cards, most=np.inf), most=most)


def _mean_of_kinds(of_kinds: DoubleArray, *, most: float = MOST_LOG_ODDS) -> DoubleArray:
    """Return (n,) the log of the mean of the kinds' odds, each log-odds held to `most`."""
    held = np.clip(of_kinds, -most, most)
    return np.asarray(logsumexp(held, axis=1) - np.log(max(1, held.shape[1])))


def likeness(signals: FloatArray) -> float:
    """Return how alike beats (n, n_samples, n_leads) are: median correlation with their mean.

    A heart's beats resemble each other. NaN of fewer than `LEAST_ALIKE` beats.
    """
    if len(signals) < LEAST_ALIKE:
        return float("nan")
    rows = scaled(signals).reshape(len(signals), -1)
    middle = rows.mean(axis=0)
    size = np.sqrt((rows**2).sum(axis=1) * (middle**2).sum())
    return float(np.median((rows @ middle) / np.maximum(size, LEAST_VARIANCE)))


def _most_alike(fakes: BeatSet) -> float:
    """Return how alike the fakes of one recording, or else subject, mostly are at most."""
    of = fakes.recording if (fakes.recording != "").all() else fakes.subject
    found = [likeness(fakes.signals[of == name]) for name in np.unique(of)]
    told = [value for value in found if np.isfinite(value)]
    return float(np.percentile(told, ALIKE_PERCENTILE)) if told else 1.0


def _distances(rows: npt.NDArray[Any], reference: npt.NDArray[Any]) -> DoubleArray:
    """Return (n,) root mean square differences of rows from the closest row of a reference."""
    if not (len(rows) and len(reference)):
        return np.zeros(len(rows))
    norms = (reference**2).sum(axis=1)
    squares = (rows**2).sum(axis=1) + (norms - 2 * rows @ reference.T).min(axis=1)
    return np.sqrt(np.maximum(squares, 0) / rows.shape[1]).astype(np.float64)


def _whitener(rows: DoubleArray) -> DoubleArray:
    """Return (n_features, n_features) what makes the features of real beats alike and apart."""
    covariance = LedoitWolf(assume_centered=True).fit(rows).covariance_
    return np.asarray(np.linalg.cholesky(np.linalg.inv(covariance)))


def _strangeness(rows: DoubleArray, white: DoubleArray) -> DoubleArray:
    """Return (n,) root mean square distances from the middle of real beats, once whitened."""
    return np.asarray(np.sqrt(((rows @ white) ** 2).mean(axis=1)))


def _limits(rows: DoubleArray, real: BeatSet, folds: FoldArray) -> tuple[float, float]:
    """Return how far from the closest real beat, and from their middle, held-out ones may be.

    Rows are of the real beats twice: beside a study that lacks their subject, and one that does
    not.
    """
    closest, strange = np.empty(len(real)), np.empty(len(real))
    for fold in np.unique(folds):
        held = folds == fold
        own, others = rows[: len(real)][held], rows[~np.tile(held, 2)]
        middle = others.mean(axis=0)
        closest[held] = _distances(own, others)
        strange[held] = _strangeness(own - middle, _whitener(others - middle))
    of_files = [np.median(strange[real.recording == one]) for one in np.unique(real.recording)]
    return (
        float(np.percentile(closest, FAR_PERCENTILE)),
        float(np.percentile(of_files, NEAR_PERCENTILE)),
    )


def _file_limit(real: BeatSet, folds: FoldArray, log_odds: DoubleArray) -> float:
    """Return the mean log-odds above which few held-out real recordings lie."""
    if len(np.unique(real.recording)) < N_FOLDS:
        return FEW_RECORDINGS_LIMIT
    _, file_of = np.unique(
        np.char.add(np.char.add(real.recording, "/"), folds.astype(str)), return_inverse=True
    )
    means = np.bincount(file_of, log_odds) / np.bincount(file_of)
    return max(LEAST_LIMIT, float(np.quantile(means, 1 - FALSE_ALARM_SHARE)))


def support_vector_machine() -> Pipeline:
    """Return the judge's machine, not yet fitted: drop constants, standardise, RBF SVM."""
    return make_pipeline(
        VarianceThreshold(LEAST_VARIANCE), StandardScaler(), SVC(C=PENALTY, kernel="rbf")
    )


def held_out_decisions(
    x: DoubleArray,
    is_synthetic: npt.NDArray[np.bool_],
    folds: FoldArray,
    *,
    report: Report = silent,
) -> DoubleArray:
    """Return (n,) decision values of a fresh machine for each fold, fitted on the others.

    Args:
        x: (n, n_features) features.
        is_synthetic: (n,) the truth; a positive decision value says synthetic.
        folds: (n,) fold of each row.
        report: Called after each fold.
    """
    decision = np.empty(len(x))
    names = np.unique(folds)
    for done, fold in enumerate(names, start=1):
        held = folds == fold
        machine = support_vector_machine().fit(x[~held], is_synthetic[~held])
        decision[held] = machine.decision_function(x[held])
        report(Progress("train authenticity", done, len(names) + 1))
    return decision


def equal_shares(
    real: StrArray, synthetic: StrArray, rng: np.random.Generator, *, most: int | None = None
) -> tuple[IntArray, IntArray]:
    """Return positions of real and of synthetic beats with equal numbers of each subject.

    With natural shares on one side and equal ones on the other, shares alone tell the two
    apart. Where no subject is on both sides, the totals are made equal instead.

    Args:
        real: (n_real,) subject of each real beat.
        synthetic: (n_synthetic,) subject of each synthetic beat.
        rng: Draws which beats are left out.
        most: The largest number of beats of each kind.

    Returns:
        Two arrays of one length; entry i of both is of one subject if subjects are shared.
    """
    shared = np.intersect1d(real, synthetic)
    if not len(shared):
        n = min(len(real), len(synthetic))
        pairs = [(rng.permutation(len(real))[:n], rng.permutation(len(synthetic))[:n])]
    else:
        pairs = []
        for subject in shared:
            one = rng.permutation(np.flatnonzero(real == subject))
            other = rng.permutation(np.flatnonzero(synthetic == subject))
            n = min(len(one), len(other))
            pairs.append((one[:n], other[:n]))
    of_real = np.concatenate([one for one, _ in pairs])
    of_synthetic = np.concatenate([other for _, other in pairs])
    if most is not None and len(of_real) > most:
        kept = rng.choice(len(of_real), most, replace=False)
        return of_real[kept], of_synthetic[kept]
    return of_real, of_synthetic


def paired_folds(
    subjects: StrArray, rng: np.random.Generator, *, n_folds: int = N_FOLDS
) -> FoldArray:
    """Return (n,) a fold for each beat, each subject spread over the folds at random.

    Given to a real beat and its synthetic counterpart alike, every fold and its complement have
    equal shares of each subject; otherwise a judge learns from the rest of a subject's beats
    which kind is left over, and falls below chance on beats that nobody can tell apart.
    """
    folds = np.empty(len(subjects), dtype=np.int64)
    start = 0
    for subject in np.unique(subjects):
        own = rng.permutation(np.flatnonzero(subjects == subject))
        folds[own] = (start + np.arange(len(own))) % n_folds
        start += len(own)
    return folds


def matched(beats: BeatSet, like: BeatSet, *, where: str = "beats") -> BeatSet:
    """Return beats as float32 at another set's rate and window.

    Another rate is resampled by a cubic spline around the R peak, without a low-pass filter:
    prepared beats hold nothing above the study's own low-pass.

    Raises:
        UserError: Window or number of leads differ, or samples are missing.
    """
    n_samples, n_leads = like.signals.shape[1:]
    if beats.signals.shape[2] != n_leads:
        raise UserError(
            where,
            f"{beats.signals.shape[2]} leads where {n_leads} are expected",
            "Prepare them with the same --leads",
        )
    tolerance = WINDOW_TOLERANCE / min(beats.sampling_rate, like.sampling_rate)
    before, after = _window(beats)
    like_before, like_after = _window(like)
    if abs(before - like_before) > tolerance or abs(after - like_after) > tolerance:
        raise UserError(
            where,
            f"the window is {before:.3f} s before to {after:.3f} s after the R peak, not "
            f"{like_before:.3f} s to {like_after:.3f} s",
            "Prepare them with the same window",
        )
    _require_finite(beats, where)
    same_rate = beats.sampling_rate == like.sampling_rate
    if same_rate and beats.signals.shape[1] == n_samples:
        signals = beats.signals
    else:
        source = np.arange(beats.signals.shape[1]) / beats.sampling_rate - before
        target = np.arange(n_samples) / like.sampling_rate - like_before
        spline = CubicSpline(source, beats.signals, axis=1)
        signals = spline(np.clip(target, source[0], source[-1]))
    columns = {
        name: getattr(beats, name)
        for name in ("subject", "session", "record", "recording", "label", "synthetic")
    }
    return BeatSet.build(
        np.asarray(signals, dtype=np.float32),
        sampling_rate=like.sampling_rate,
        before_s=like.before_s,
        leads=beats.leads,
        rr_before=beats.rr_before,
        rr_after=beats.rr_after,
        r_sample=beats.r_sample,
        **columns,
    )


def _window(beats: BeatSet) -> tuple[float, float]:
    """Return seconds before and after the sample of the R peak, the peak on a whole sample."""
    before = round(beats.before_s * beats.sampling_rate) / beats.sampling_rate
    return before, beats.signals.shape[1] / beats.sampling_rate - before


def _require_finite(beats: BeatSet, where: str) -> None:
    if not np.isfinite(beats.signals).all():
        raise UserError(where, "samples are missing or infinite", "Leave such beats out")


def feature_matrix(signals: FloatArray, sampling_rate: float) -> DoubleArray:
    """Return (n, n_features) the lone-beat features of float32 beats; 0 where undefined."""
    table = beat_features(np.asarray(signals, dtype=np.float32), sampling_rate)
    return np.nan_to_num(table.to_numpy(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _platt(decision: DoubleArray, is_synthetic: BoolArray) -> tuple[float, float]:
    """Return slope and intercept of the logistic curve from decision values (n, 1)."""
    n = len(is_synthetic)
    fakes = int(is_synthetic.sum())
    target = np.where(is_synthetic, (fakes + 1) / (fakes + 2), 1 / (n - fakes + 2))
    share = np.where(is_synthetic, 0.5 * n / fakes, 0.5 * n / (n - fakes))
    curve = LogisticRegression(C=1e6).fit(
        np.concatenate([decision, decision]),
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([target * share, (1 - target) * share]),
    )
    slope = float(curve.coef_[0, 0])
    return (slope, float(curve.intercept_[0])) if slope > 0 else (0.0, 0.0)

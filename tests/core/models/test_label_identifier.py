from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from core.beat_set import BeatSet, concatenate
from core.errors import Cancelled, UserError
from core.models import identifier_network, label_identifier
from core.models.beat_context import beat_context
from core.models.forest import Forest
from core.models.identifier_network import NetworkSettings
from core.models.label_identifier import LABEL_METHODS, LabelIdentifier
from core.progress import Progress
from core.verdict import judge

TINY = NetworkSettings(
    filters=(8,), lstm_units=4, skip_units=16, embedding=16, batch=16, epoch_samples=512, epochs=3
)
QUICK: dict[str, Any] = {"preset": "quick", "seed": 1, "settings": TINY}
SHORT: dict[str, Any] = QUICK | {"settings": replace(TINY, epochs=1)}
RATE, BEFORE_S = 100.0, 0.25
TIMES = np.arange(70) / RATE - BEFORE_S


def wave(at: float, width: float) -> np.ndarray:
    return np.exp(-(((TIMES - at) / width) ** 2))


def recorded(person: str, *, n: int = 60, n_leads: int = 1, kinds: str = "NSV") -> BeatSet:
    """A recording of sinus beats; every sixth is premature, in turn of the other kinds.

    ``S`` is a sinus beat that comes early, ``V`` is early and wide without a P wave.
    """
    rng = np.random.default_rng(sum(map(ord, person)))
    rr = rng.uniform(0.7, 1.0)
    sinus = wave(0, 0.02) + rng.uniform(0.1, 0.2) * wave(-0.15, 0.03)
    sinus = (sinus + rng.uniform(0.1, 0.3) * wave(0.28, 0.05)) * rng.uniform(0.5, 1.5)
    wide = 1.5 * wave(0.02, 0.06) - 0.6 * wave(0.3, 0.07)
    label = np.full(n, "N")
    for i, place in enumerate(range(4, n - 2, 6)):
        label[place] = kinds[1:][i % (len(kinds) - 1)] if len(kinds) > 1 else "N"
    intervals = rr * (1 + 0.01 * rng.standard_normal(n + 1))
    early = np.flatnonzero(label != "N")
    intervals[early] *= 0.6
    intervals[early + 1] *= 1.4
    beats = np.where((label == "V")[:, None], wide, sinus)[:, :, None]
    gain = rng.uniform(0.5, 1, n_leads)
    return BeatSet.build(
        (beats * gain + 0.03 * rng.standard_normal((n, 70, n_leads))).astype(np.float32),
        sampling_rate=RATE,
        before_s=BEFORE_S,
        leads=tuple(f"lead {i}" for i in range(n_leads)),
        subject=person,
        record="rec_1",
        recording=f"{person}/rec_1",
        label=label,
        rr_before=intervals[:-1].astype(np.float32),
        rr_after=intervals[1:].astype(np.float32),
        r_sample=np.cumsum(intervals[:-1] * RATE).astype(np.int64),
    )


def cohort(*people: str) -> BeatSet:
    return concatenate([recorded(person) for person in people])


@pytest.fixture(scope="module")
def identifier() -> LabelIdentifier:
    return LabelIdentifier.fit(cohort("eva", "finn", "gil"), **QUICK)


def named(identifier: LabelIdentifier, scores: np.ndarray) -> np.ndarray:
    return np.asarray(identifier.classes)[scores.argmax(axis=1)]


@pytest.mark.parametrize("method", LABEL_METHODS)
def test_labels_of_people_never_seen_are_told(identifier: LabelIdentifier, method: str) -> None:
    probes = cohort("hal", "ida")
    scores = identifier.beat_scores(probes, method=method)  # type: ignore[arg-type]
    assert identifier.classes == ("N", "S", "V")
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1, atol=1e-4)
    least = 0.7 if method == "network" else 0.9
    for kind in identifier.classes:
        mine = probes.label == kind
        assert np.mean(named(identifier, scores)[mine] == kind) >= least, kind


def test_electrodes_the_other_way_round_change_no_label(identifier: LabelIdentifier) -> None:
    probes = cohort("hal", "ida")
    upside_down = replace(probes, signals=-probes.signals)
    told = named(identifier, identifier.beat_scores(upside_down))
    assert np.mean(told == probes.label) > 0.9


def test_a_recording_scores_the_same_alone_and_among_others(identifier: LabelIdentifier) -> None:
    probes = cohort("hal", "ida")
    scores = identifier.beat_scores(probes)
    mine = probes.recording == "ida/rec_1"
    np.testing.assert_allclose(identifier.beat_scores(probes.take(mine)), scores[mine], atol=1e-4)
    names, means = identifier.recording_scores(probes)
    assert names.tolist() == ["hal/rec_1", "ida/rec_1"]
    np.testing.assert_allclose(means[1], identifier.score(probes.take(mine)), atol=1e-4)
    assert identifier.runs(probes, 5).tolist() == probes.recording.tolist()


def test_one_beat_of_unknown_rhythm_and_recording_has_a_score(identifier: LabelIdentifier) -> None:
    beat = recorded("hal").take(slice(0, 1))
    lone = BeatSet.build(
        beat.signals, sampling_rate=RATE, before_s=BEFORE_S, leads=beat.leads, synthetic=[True]
    )
    scores = identifier.score(lone)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_saved_and_loaded_it_scores_the_same(identifier: LabelIdentifier, tmp_path: Path) -> None:
    identifier.save(tmp_path)
    loaded = LabelIdentifier.load(tmp_path)
    probes = cohort("hal")
    assert (loaded.classes, loaded.target) == (identifier.classes, "label")
    assert (loaded.threshold, loaded.remarks) == (identifier.threshold, identifier.remarks)
    assert loaded.history == identifier.history
    for method in LABEL_METHODS:
        np.testing.assert_allclose(
            loaded.beat_scores(probes, method=method),
            identifier.beat_scores(probes, method=method),
            atol=1e-5,
        )


@pytest.mark.parametrize("name", ["network.keras", "trees.npz", "forms.npz", "card.json"])
def test_a_damaged_file_is_the_users_to_mend(
    identifier: LabelIdentifier, tmp_path: Path, name: str
) -> None:
    identifier.save(tmp_path)
    (tmp_path / name).write_bytes(b"not what it was")
    with pytest.raises(UserError, match=name):
        LabelIdentifier.load(tmp_path)


def test_resumed_after_a_cancel_it_is_as_if_never_stopped(
    identifier: LabelIdentifier, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled

    train = cohort("eva", "finn", "gil")
    with pytest.raises(Cancelled):
        LabelIdentifier.fit(train, **QUICK, report=stop, checkpoint=tmp_path)
    epochs: list[int] = []
    resumed = LabelIdentifier.fit(
        train,
        **QUICK,
        report=lambda p: epochs.append(p.done),
        checkpoint=tmp_path,
    )
    assert epochs == [3]
    np.testing.assert_allclose(
        resumed.beat_scores(cohort("hal")), identifier.beat_scores(cohort("hal")), atol=1e-5
    )


def test_what_identifies_is_chosen_on_train_recordings_and_told(tmp_path: Path) -> None:
    stages: list[str] = []
    fitted = LabelIdentifier.fit(
        cohort("eva", "finn", "gil", "hal"),
        **SHORT | {"preset": "full"},
        report=lambda progress: stages.append(progress.stage),
    )
    tried = fitted.selection["macro_f1"]
    assert set(tried) == set(LABEL_METHODS)
    assert tried[fitted.method] >= tried["features"]
    assert stages.index("train identifier") > stages.index("choose what identifies")
    probes = cohort("ida")
    np.testing.assert_array_equal(
        fitted.beat_scores(probes), fitted.beat_scores(probes, method=fitted.method)
    )
    fitted.save(tmp_path)
    loaded = LabelIdentifier.load(tmp_path)
    assert (loaded.method, loaded.selection) == (fitted.method, fitted.selection)


def test_where_nothing_can_be_chosen_the_defaults_stand() -> None:
    fitted = LabelIdentifier.fit(cohort("eva"), **SHORT | {"preset": "full"})
    assert "nothing was chosen" in fitted.selection["protocol"]


def test_ventricular_beats_alone_are_not_named_usual() -> None:
    train = concatenate([recorded(name, n=120, kinds="NV") for name in ("eva", "finn", "gil")])
    fitted = LabelIdentifier.fit(train, **SHORT)
    probe = recorded("hal", n=120, kinds="NV")
    alone = judge(fitted, probe.take(probe.label == "V"), "")
    usual = judge(fitted, probe.take(probe.label == "N"), "")
    assert "one kind alone" in alone.reason
    assert usual.reason == ""
    assert fitted.classes[usual.best] == "N"
    assert fitted.doubt(probe) == ""


def test_a_rhythm_that_a_whole_recording_has_is_learned() -> None:
    def of(person: str, rhythm: str) -> BeatSet:
        beats = recorded(person, kinds="N")
        spread = 0.25 if rhythm == "irregular" else 0.01
        rng = np.random.default_rng(len(person))
        intervals = 0.8 * np.exp(spread * rng.standard_normal(len(beats) + 1))
        return replace(
            beats,
            label=np.full(len(beats), rhythm),
            rr_before=intervals[:-1].astype(np.float32),
            rr_after=intervals[1:].astype(np.float32),
        )

    train = [of(p, r) for r in ("regular", "irregular") for p in (f"a {r}", f"bo {r}", f"cy {r}")]
    fitted = LabelIdentifier.fit(concatenate(train), **QUICK)
    probes = concatenate([of("dora", "regular"), of("emil x", "irregular")])
    names, scores = fitted.recording_scores(probes)
    assert dict(zip(names.tolist(), named(fitted, scores).tolist(), strict=True)) == {
        "dora/rec_1": "regular",
        "emil x/rec_1": "irregular",
    }


def test_without_balance_rare_labels_are_said_less_often() -> None:
    train = cohort("eva", "finn")
    rare = train.take((train.label != "S") | (np.arange(len(train)) < 12))
    noise = 2 * np.random.default_rng(0).standard_normal((200, 70, 1)).astype(np.float32)
    unclear = BeatSet.build(noise, sampling_rate=RATE, before_s=BEFORE_S, leads=("lead 0",))
    said = {}
    for how in ("none", "draws"):
        fitted = LabelIdentifier.fit(rare, **SHORT, balance=how)  # type: ignore[arg-type]
        share = np.exp(fitted.beat_scores(unclear, method="features")).mean(axis=0)
        said[how] = share[fitted.classes.index("N")]
    assert said["none"] > said["draws"]


def test_two_leads_and_a_label_with_one_beat() -> None:
    train = concatenate([recorded("eva", n_leads=2), recorded("finn", n_leads=2)])
    label = np.where(np.arange(len(train)) == 10, "Q", train.label)
    fitted = LabelIdentifier.fit(replace(train, label=label), **SHORT)
    assert fitted.classes == ("N", "Q", "S", "V")
    assert any("Q occurs in one recording only" in remark for remark in fitted.remarks)
    assert fitted.beat_scores(recorded("hal", n_leads=2)).shape == (60, 4)


def test_beats_without_a_label_are_no_class() -> None:
    train = cohort("eva", "finn")
    unlabelled = replace(train, label=np.where(np.arange(len(train)) % 7 == 0, "", train.label))
    fitted = LabelIdentifier.fit(unlabelled, **SHORT)
    assert fitted.classes == ("N", "S", "V")


@pytest.fixture
def untrained_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the network as it is built, where the trees alone are looked at."""
    monkeypatch.setattr(identifier_network, "train_network", lambda *_, **__: [])


def extra_of(train: BeatSet, label: str, *, height: float, n: int = 40) -> BeatSet:
    """Beats of a label unlike any real one: a narrow spike `height` mV high."""
    spike = height * wave(0, 0.01)
    noise = 0.01 * np.random.default_rng(0).standard_normal((n, 70, train.signals.shape[2]))
    return BeatSet.build(
        (spike[None, :, None] + noise).astype(np.float32),
        sampling_rate=RATE,
        before_s=BEFORE_S,
        leads=train.leads,
        subject=np.resize(np.unique(train.subject), n),
        label=label,
        synthetic=np.ones(n, np.bool_),
    )


@pytest.mark.usefixtures("untrained_network")
def test_extra_beats_teach_their_label() -> None:
    train = cohort("eva", "finn", "gil")
    probes = recorded("hal")
    odd = np.flatnonzero(probes.label == "N")[5::7]
    signals = np.array(probes.signals)
    signals[odd] = extra_of(train, "N", height=1, n=len(odd)).signals
    spikes = replace(probes, signals=signals)
    extra = extra_of(train, "V", height=1)
    named_v = {}
    for name, more in {"without": None, "with": extra}.items():
        fitted = LabelIdentifier.fit(train, **SHORT, extra=more)
        scores = fitted.beat_scores(spikes, method="features")
        named_v[name] = float(np.exp(scores[odd, fitted.classes.index("V")]).mean())
        assert np.mean(named(fitted, scores)[probes.label == "V"] == "V") > 0.9
    assert named_v["with"] > named_v["without"] + 0.05


@pytest.mark.usefixtures("untrained_network")
def test_extra_beats_stand_where_a_beat_of_their_label_stood() -> None:
    train = cohort("eva", "finn")
    seen: list[BeatSet] = []

    def context(beats: BeatSet) -> Any:
        seen.append(beats)
        return beat_context(beats)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_identifier, "beat_context", context)
        LabelIdentifier.fit(train, **SHORT, extra=extra_of(train, "S", height=9, n=10))
    planted = 0
    for beats in seen:
        changed = np.abs(beats.signals).max(axis=(1, 2)) > 8
        assert set(beats.label[changed]) <= {"S"}
        assert np.isin(beats.rr_before, train.rr_before).all(), "rhythm is that of the recording"
        planted += int(changed.sum())
    assert planted == 2 * 10, "each once as it is and once upside down"


@pytest.mark.usefixtures("untrained_network")
def test_extra_beats_choose_and_scale_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train = cohort("eva", "finn", "gil")
    monkeypatch.setitem(label_identifier.TREES, "full", 9)
    extra = concatenate([extra_of(train, x, height=50) for x in "NSV"])
    alone, helped = (
        LabelIdentifier.fit(train, **(SHORT | {"preset": "full"}), extra=more)
        for more in (None, extra)
    )
    assert helped.selection["macro_f1"] == alone.selection["macro_f1"]
    assert set(helped.selection["extra"]) == {"without", "with"}
    assert any("extra beats" in remark for remark in helped.remarks)
    told = {"selection", "remarks"}
    cards = [{k: v for k, v in vars(one._card).items() if k not in told} for one in (alone, helped)]
    assert cards[0] == cards[1]
    probes = recorded("hal")
    different = helped.beat_scores(probes, method="features") - alone.beat_scores(
        probes, method="features"
    )
    assert np.abs(different).max() > 0, "but they teach"


@pytest.mark.usefixtures("untrained_network")
def test_extra_beats_share_the_weight_of_their_label(monkeypatch: pytest.MonkeyPatch) -> None:
    train = cohort("eva", "finn")
    totals: list[np.ndarray] = []

    def grow(features: Any, targets: Any, weights: Any, **options: Any) -> Any:
        totals.append(np.bincount(targets, weights) / weights.sum())
        return Forest.fit(features, targets, weights, **options)

    monkeypatch.setattr(label_identifier, "Forest", SimpleNamespace(fit=grow))
    for more in (None, extra_of(train, "S", height=2)):
        LabelIdentifier.fit(train, **SHORT, extra=more)
    np.testing.assert_allclose(totals[0], totals[1], rtol=1e-6)
    LabelIdentifier.fit(train, **SHORT, extra=extra_of(train, "S", height=2), balance="none")
    s_beats = int((train.label == "S").sum())
    assert totals[2][1] == pytest.approx((s_beats + 40) / (len(train) + 40))


@pytest.mark.usefixtures("untrained_network")
def test_extra_beats_of_an_unknown_label_are_left_out() -> None:
    train = cohort("eva", "finn")
    alone, helped = (
        LabelIdentifier.fit(train, **SHORT, extra=more)
        for more in (None, extra_of(train, "Q", height=5))
    )
    assert helped.classes == alone.classes
    probes = recorded("hal")
    np.testing.assert_array_equal(
        helped.beat_scores(probes, method="features"), alone.beat_scores(probes, method="features")
    )


@pytest.mark.parametrize("label", ["N", ""])
def test_fewer_than_two_labels_are_refused(label: str) -> None:
    beats = recorded("eva", kinds="N")
    with pytest.raises(UserError, match="two labels"):
        LabelIdentifier.fit(replace(beats, label=np.full(len(beats), label)), **QUICK)


def test_beats_of_another_shape_are_refused(identifier: LabelIdentifier) -> None:
    with pytest.raises(UserError, match="70 samples and 1 leads at 100 Hz"):
        identifier.score(recorded("hal", n_leads=2))
    with pytest.raises(UserError, match="no beat"):
        identifier.score(recorded("hal").take(slice(0, 0)))


@pytest.fixture(scope="module")
def real(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> BeatSet:
    """Beats of five people; those of other types than N, S and V without a label."""
    from core.study import Study
    from core.workflow import prepare

    study = tmp_path_factory.mktemp("real") / "study"
    files = [shared_data / "mitdb" / f"{name}.hea" for name in ("119", "209", "223", "106", "220")]
    prepare(files, study, options={"subject_from": "file", "split": "none"})
    beats = Study.open(study).beats("all")
    return replace(beats, label=np.where(np.isin(beats.label, ["N", "S", "V"]), beats.label, ""))


def test_beat_types_of_real_recordings(real: BeatSet) -> None:
    probe = np.isin(real.subject, ["106", "220"])
    fitted = LabelIdentifier.fit(real.take(~probe), **SHORT)
    probes = real.take(probe & (real.label != ""))
    told = named(fitted, fitted.beat_scores(probes))
    for kind in ("N", "S", "V"):
        assert np.mean(told[probes.label == kind] == kind) > 0.7, kind


def test_real_ventricular_beats_alone_are_never_surely_normal(real: BeatSet) -> None:
    mine = real.subject == "119"
    fitted = LabelIdentifier.fit(real.take(~mine), **SHORT)
    alone = judge(fitted, real.take(mine & (real.label == "V")), "")
    assert alone.reason or fitted.classes[alone.best] == "V"
    normal = judge(fitted, real.take(mine & (real.label == "N")), "")
    assert (normal.reason, fitted.classes[normal.best]) == ("", "N")

"""The judge is at chance where nothing differs, sure where much does, and is read back whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skops.io
from scipy.ndimage import uniform_filter1d
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score

from core import workflow
from core.beat_set import BeatSet, write_beats
from core.errors import UserError
from core.fakes import KINDS, make_kind
from core.models.authenticity import (
    MODEL_FILE,
    AuthenticityJudge,
    equal_shares,
    matched,
    paired_folds,
    recording_folds,
)
from core.options import MODEL_FORMATS
from core.progress import Progress
from core.study import Study
from core.training import fake_panel, foreign_panel
from tests.core.evaluation.simulated import RATE, draw, subject_names

SUBJECTS = np.repeat(subject_names(6), 40)


@pytest.fixture(scope="module")
def real() -> BeatSet:
    return draw(SUBJECTS, 1)


def imitation(kind: str, beats: BeatSet) -> BeatSet:
    x = beats.signals
    rng = np.random.default_rng(5)
    signals = {
        "time-reversed": x[:, ::-1],
        "over-smoothed": uniform_filter1d(x, 21, axis=1),
        "white noise": rng.normal(0, x.std(), x.shape),
    }[kind]
    return replace(beats, signals=np.ascontiguousarray(signals, dtype=np.float32))


@pytest.fixture(scope="module")
def judge(real: BeatSet) -> AuthenticityJudge:
    return AuthenticityJudge.fit(
        real, {"smooth": imitation("over-smoothed", draw(SUBJECTS, 2))}, seed=0
    )


def four_standard_errors(n: int) -> float:
    return 4 * np.sqrt(0.25 / n)


def test_real_against_real_is_chance(real: BeatSet) -> None:
    accuracies = []
    for seed in range(3):
        card = AuthenticityJudge.fit(real, {"real": draw(SUBJECTS, 10 + seed)}, seed=seed).card
        accuracies.append(card.accuracy)
        assert card.brier == pytest.approx(0.25, abs=0.03)
    assert np.mean(accuracies) == pytest.approx(0.5, abs=four_standard_errors(2 * len(real)))


@pytest.mark.parametrize("kind", ["time-reversed", "over-smoothed", "white noise"])
def test_obvious_fakes_are_told_also_when_never_seen(kind: str, real: BeatSet) -> None:
    judge = AuthenticityJudge.fit(real, {kind: imitation(kind, draw(SUBJECTS, 2))}, seed=0)
    unseen = draw(SUBJECTS, 3)
    assert judge.card.accuracy > 0.97
    assert np.mean(judge.probability(imitation(kind, unseen)) > 0.9) > 0.95
    assert np.mean(judge.probability(unseen) < 0.1) > 0.95
    assert judge.is_synthetic(imitation(kind, unseen)) is True
    assert judge.is_synthetic(unseen) is False


def test_probabilities_are_calibrated(real: BeatSet) -> None:
    rng = np.random.default_rng(0)

    def noisier(beats: BeatSet) -> BeatSet:
        noise = rng.normal(0, 0.012, beats.signals.shape)
        return replace(beats, signals=(beats.signals + noise).astype(np.float32))

    judge = AuthenticityJudge.fit(real, {"noisy": noisier(draw(SUBJECTS, 2))}, seed=0)
    unseen, fakes = draw(SUBJECTS, 3), noisier(draw(SUBJECTS, 4))
    p = np.concatenate([judge.probability(unseen), judge.probability(fakes)])
    truth = np.repeat([0.0, 1.0], len(unseen))
    assert ((p >= 0) & (p <= 1)).all()
    for low, high in ((0.0, 0.5), (0.5, 1.0)):
        inside = (p >= low) & (p <= high)
        assert truth[inside].mean() == pytest.approx(p[inside].mean(), abs=0.12)


def test_type_alone_tells_nothing(real: BeatSet) -> None:
    """Findings: a judge scored 0.96 on a mean that differed by 1e-8 between float64 and 32."""
    x = real.signals - real.signals.mean(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    other = draw(SUBJECTS, 2).signals.astype(np.float64)
    other -= other.mean(axis=1, keepdims=True)
    fake = replace(real, signals=other + rng.normal(0, 1e-9, other.shape))
    card = AuthenticityJudge.fit(replace(real, signals=x), {"type": fake}, seed=0).card
    assert card.accuracy == pytest.approx(0.5, abs=four_standard_errors(2 * len(real)))


def test_shares_alone_tell_nothing(real: BeatSet) -> None:
    """Findings: natural against equal shares told real from real beats, at 0.58 to 0.61."""
    unequal = np.repeat(subject_names(6), [10, 200, 10, 200, 10, 200])
    card = AuthenticityJudge.fit(real, {"real": draw(unequal, 2)}, seed=0).card
    assert card.n_each == 3 * 10 + 3 * 40
    assert card.accuracy == pytest.approx(0.5, abs=four_standard_errors(2 * card.n_each))


def test_equal_shares_pairs_subjects() -> None:
    rng = np.random.default_rng(0)
    one = np.repeat(["A", "B", "C"], [5, 2, 9])
    other = np.repeat(["B", "A", "D"], [7, 3, 4])
    i, j = equal_shares(one, other, rng)
    assert (one[i] == other[j]).all()
    assert sorted(one[i]) == ["A"] * 3 + ["B"] * 2
    assert len(set(i)) == len(i) and len(set(j)) == len(j)
    i, j = equal_shares(one, np.repeat("Z", 4), rng)
    assert len(i) == len(j) == 4


def test_folds_spread_each_subject_evenly() -> None:
    folds = paired_folds(np.repeat(["A", "B"], [20, 35]), np.random.default_rng(0))
    assert np.bincount(folds[:20]).tolist() == [4] * 5
    assert np.bincount(folds[20:]).tolist() == [7] * 5


def test_a_seed_gives_the_same_judge_and_a_reader_the_same_answers(
    judge: AuthenticityJudge, real: BeatSet, tmp_path: Path
) -> None:
    again = AuthenticityJudge.fit(
        real, {"smooth": imitation("over-smoothed", draw(SUBJECTS, 2))}, seed=0
    )
    again.save(tmp_path)
    loaded = AuthenticityJudge.load(tmp_path)
    probe = draw(SUBJECTS, 3)
    np.testing.assert_array_equal(loaded.probability(probe), judge.probability(probe))
    assert loaded.card == judge.card
    assert skops.io.get_untrusted_types(file=tmp_path / MODEL_FILE) == []


class Foreign(BaseEstimator):
    """A type that no judge holds."""


def test_a_damaged_missing_or_foreign_model_is_refused(
    judge: AuthenticityJudge, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="missing"):
        AuthenticityJudge.load(tmp_path)
    judge.save(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(skops.io.dumps(Foreign()))
    with pytest.raises(UserError, match="not a readable judge"):
        AuthenticityJudge.load(tmp_path)
    (tmp_path / MODEL_FILE).write_bytes(b"PK damaged")
    with pytest.raises(UserError, match="not a readable judge"):
        AuthenticityJudge.load(tmp_path)


def test_another_rate_is_resampled_around_the_r_peak(judge: AuthenticityJudge) -> None:
    def smooth_beats(rate: float, n_samples: int) -> BeatSet:
        time = (np.arange(n_samples) - round(0.25 * rate)) / rate
        widths = np.linspace(0.012, 0.03, 20)[:, None]
        signals = np.exp(-0.5 * (time / widths) ** 2) - 0.2 * np.exp(-((time - 0.25) ** 2) / 0.004)
        return BeatSet.build(signals[..., None], sampling_rate=rate, before_s=0.25, leads=("I",))

    slow, fast = smooth_beats(RATE, 175), smooth_beats(500, 350)
    back = matched(fast, slow)
    assert back.sampling_rate == RATE
    assert back.signals.dtype == np.float32
    np.testing.assert_allclose(back.signals, slow.signals, atol=2e-4)
    np.testing.assert_allclose(judge.probability(fast), judge.probability(slow), atol=0.05)


def test_what_cannot_be_compared_is_refused(judge: AuthenticityJudge, real: BeatSet) -> None:
    shorter = replace(real, signals=real.signals[:, :150])
    with pytest.raises(UserError, match="window"):
        judge.probability(shorter)
    with pytest.raises(UserError, match="window"):
        AuthenticityJudge.fit(real, {"x": shorter}, seed=0)
    with pytest.raises(UserError, match="window"):
        judge.probability(replace(real, before_s=0.3))
    with pytest.raises(UserError, match="2 leads"):
        judge.probability(replace(real, signals=np.repeat(real.signals, 2, axis=2)))
    broken = real.signals.copy()
    broken[0, 0] = np.nan
    with pytest.raises(UserError, match="missing"):
        judge.probability(replace(real, signals=broken))
    with pytest.raises(UserError, match="too few"):
        AuthenticityJudge.fit(real.take(slice(0, 4)), {"x": real}, seed=0)
    with pytest.raises(UserError, match="none to judge"):
        judge.is_synthetic(real.take(slice(0, 0)))
    assert judge.probability(real.take(slice(0, 0))).shape == (0,)


def test_flat_beats_and_several_leads_are_judged(real: BeatSet) -> None:
    two = replace(real, signals=np.repeat(real.signals, 2, axis=2), leads=("I", "II"))
    seen: list[Progress] = []
    judge = AuthenticityJudge.fit(
        two, {"backwards": imitation("time-reversed", two)}, seed=0, report=seen.append
    )
    assert judge.card.n_leads == 2
    assert seen[-1].done == seen[-1].total
    flat = replace(two, signals=np.zeros_like(two.signals)).take(slice(0, 3))
    assert np.isfinite(judge.probability(flat)).all()


def test_folds_keep_recordings_whole_where_there_are_enough(real: BeatSet) -> None:
    folds = recording_folds(real, np.random.default_rng(0))
    for name in np.unique(real.recording):
        assert len(set(folds[real.recording == name])) == 1
    assert set(folds) == set(range(5))
    few = real.take(real.subject == "S00")
    folds = recording_folds(few, np.random.default_rng(0))
    assert set(folds) == set(range(5))


@pytest.fixture(scope="module")
def of_two_kinds(real: BeatSet) -> AuthenticityJudge:
    panel = {
        kind: imitation(kind, draw(SUBJECTS, seed))
        for kind, seed in (("over-smoothed", 2), ("time-reversed", 4))
    }
    return AuthenticityJudge.fit(real, panel, seed=0)


def test_an_opinion_names_the_kind_and_what_gave_it_away(of_two_kinds: AuthenticityJudge) -> None:
    unseen = draw(SUBJECTS, 3).take(slice(0, 60))
    smooth = of_two_kinds.examine(imitation("over-smoothed", unseen))
    assert (smooth.synthetic, smooth.certain, smooth.kind) == (True, True, "over-smoothed")
    assert of_two_kinds.examine(imitation("time-reversed", unseen)).kind == "time-reversed"
    weights = [abs(reason.weight) for reason in smooth.reasons]
    assert len(weights) == 3 and weights == sorted(weights, reverse=True)
    assert smooth.reasons[0].weight > 0
    real = of_two_kinds.examine(unseen)
    assert not real.synthetic
    assert real.reasons[0].weight < 0
    said = {
        r.feature: r
        for r in of_two_kinds.examine(imitation("over-smoothed", unseen), reasons=99).reasons
    }
    assert said["fine"].words == "too little detail above 20 Hz"
    assert said["slope"].words == "its slopes are too flat"
    assert sum(abs(r.weight) for r in said.values()) > 1


def test_what_is_like_nothing_that_was_learned_is_not_judged(
    of_two_kinds: AuthenticityJudge,
) -> None:
    noise = imitation("white noise", draw(SUBJECTS, 3))
    opinion = of_two_kinds.examine(noise)
    assert opinion.unlike.all()
    assert not opinion.certain
    assert not opinion.synthetic
    np.testing.assert_allclose(opinion.probability, 0.5, atol=0.05)
    unseen = of_two_kinds.examine(draw(SUBJECTS, 3))
    assert unseen.certain and np.mean(unseen.unlike) < 0.1


def test_a_kind_can_be_left_out(of_two_kinds: AuthenticityJudge, judge: AuthenticityJudge) -> None:
    unseen = draw(SUBJECTS, 3)
    rest = of_two_kinds.without("time-reversed")
    assert list(rest.card.kinds) == ["over-smoothed"]
    assert np.mean(rest.probability(imitation("over-smoothed", unseen)) > 0.9) > 0.95
    with pytest.raises(KeyError):
        of_two_kinds.without("none of them")
    with pytest.raises(KeyError):
        rest.without("over-smoothed")


def test_a_judge_of_an_older_format_is_to_be_trained_again(
    judge: AuthenticityJudge, tmp_path: Path
) -> None:
    judge.save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "format": 1}))
    with pytest.raises(UserError, match="another version"):
        AuthenticityJudge.load(tmp_path)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Study:
    """A study of sixteen real people, its judge trained on the panel without generators."""
    folder = tmp_path_factory.mktemp("people") / "study"
    chosen = sorted((shared_data / "ecgid").glob("Person_*"))[:16]
    workflow.prepare(chosen, folder, options={"subject_from": "folder"})
    study = Study.open(folder)
    real = study.beats("train")
    prepared = study.info.options
    judge = AuthenticityJudge.fit(
        real,
        fake_panel(real, seed=0, prepared=prepared),
        seed=0,
        foreign=foreign_panel(real, seed=0, prepared=prepared),
    )
    model = study.model_folder("authenticity")
    judge.save(model)
    card = json.loads((model / "card.json").read_text())
    card["recipe"] = {"format": MODEL_FORMATS["authenticity"], "needs": {}}
    (model / "card.json").write_text(json.dumps(card))
    return study


def test_fakes_of_real_people_are_caught_and_their_own_beats_pass(people: Study) -> None:
    judge = AuthenticityJudge.load(people.model_folder("authenticity"))
    test = people.beats("test")
    of_real = judge.probability(test)
    hard = ("spliced", "plain_gaussian")
    for kind in KINDS:
        of_fakes = judge.probability(make_kind(kind, test, seed=9))
        truth = np.repeat([0, 1], [len(of_real), len(of_fakes)])
        auc = roc_auc_score(truth, np.concatenate([of_real, of_fakes]))
        assert auc > (0.8 if kind in hard else 0.95), kind
    files = [test.take(test.recording == name) for name in np.unique(test.recording)]
    assert np.mean([judge.is_synthetic(file) for file in files]) <= 0.1


def test_authenticate_tells_copies_from_the_studys_own_recordings(
    people: Study, tmp_path: Path
) -> None:
    train = people.beats("train").take(slice(0, 40))
    workflow.export(people.folder, tmp_path / "own.npz", partition="train")
    own = workflow.authenticate(people.folder, tmp_path / "own.npz")
    assert own["outcome"] == "real" and not own["synthetic"]
    assert all(own["copies"]) and len(own["copies"]) == len(own["beats"])
    assert "train part" in own["verdict"]
    noise = uniform_filter1d(np.random.default_rng(0).normal(0, 1, train.signals.shape), 5, axis=1)
    size = train.signals.std(axis=1, keepdims=True)
    jittered = replace(train, signals=(train.signals + 0.03 * size * noise).astype(np.float32))
    for name, beats in (
        ("jittered", jittered),
        ("marked", replace(train, synthetic=np.ones(len(train), np.bool_))),
    ):
        write_beats(beats, tmp_path / f"{name}.npz")
        said = workflow.authenticate(people.folder, tmp_path / f"{name}.npz")
        assert said["outcome"] == "copies" and said["synthetic"], name
        assert "copies" in said["verdict"]
    write_beats(people.beats("test"), tmp_path / "test.npz")
    test = workflow.authenticate(people.folder, tmp_path / "test.npz")
    assert not any(test["copies"]) and not test["synthetic"]
    backwards = make_kind("time_reversed", people.beats("test"), seed=0)
    write_beats(backwards, tmp_path / "fake.npz")
    fake = workflow.authenticate(people.folder, tmp_path / "fake.npz")
    assert fake["synthetic"] and "backwards" in fake["verdict"]
    assert {"feature", "words", "weight"} == set(fake["reasons"][0])


def test_real_recordings_of_other_devices_are_not_called_synthetic(
    people: Study, shared_data: Path
) -> None:
    judge = AuthenticityJudge.load(people.model_folder("authenticity"))
    said, fakes = [], []
    for name in ("101", "112", "118", "205", "215", "230"):
        beats, _ = workflow.read_probe(people, shared_data / "mitdb" / f"{name}.hea")
        piece = beats.take(slice(0, 40))
        said.append(judge.examine(piece, reasons=0))
        fakes.append(judge.examine(make_kind("smoothed_noise", piece, seed=1), reasons=0))
    assert not any(one.synthetic for one in said)
    assert any(one.certain for one in said)
    assert np.mean([one.synthetic for one in fakes]) > 0.5


def test_a_file_that_says_that_it_is_synthetic_is_taken_at_its_word(
    people: Study, tmp_path: Path
) -> None:
    test = people.beats("test").take(slice(0, 30))
    write_beats(replace(test, synthetic=np.ones(len(test), np.bool_)), tmp_path / "marked.npz")
    said = workflow.authenticate(people.folder, tmp_path / "marked.npz")
    assert said["marked"] and said["synthetic"] and said["outcome"] == "synthetic"
    assert said["judge"] == "real" and "says so itself" in said["verdict"]
    write_beats(test, tmp_path / "plain.npz")
    assert not workflow.authenticate(people.folder, tmp_path / "plain.npz")["marked"]

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.beat_set import BeatSet, concatenate
from core.errors import Cancelled, UserError
from core.models.cnn_lstm import FEWEST_HELD_OUT, HELD_OUT_FROM, METHODS, Identifier
from core.models.identifier_network import NetworkSettings
from core.progress import Progress

TINY = NetworkSettings(
    filters=(8,), lstm_units=4, skip_units=16, embedding=16, batch=16, epoch_samples=512, epochs=3
)
RATE = 100.0
BEFORE_S = 0.25


def simulated(
    subject: str, record: str, *, n: int = 12, rr: float = 0.8, n_leads: int = 1, seed: int = 0
) -> BeatSet:
    """Beats of three Gaussian waves whose sizes and places belong to the subject."""
    own = np.random.default_rng(sum(map(ord, subject)))
    times = np.arange(70) / RATE - BEFORE_S
    p, t, qrs = own.uniform(-0.2, -0.12), own.uniform(0.2, 0.3), own.uniform(0.01, 0.03)
    sizes = own.uniform(0.05, 0.5, (2, n_leads))
    late = 0.08 + (t - 0.08) * (rr / 0.8) ** 0.4
    beat = (
        np.exp(-((times / qrs) ** 2))[:, None]
        + sizes[0] * np.exp(-(((times - p) / 0.03) ** 2))[:, None]
        + sizes[1] * np.exp(-(((times - late) / 0.05) ** 2))[:, None]
    )
    rng = np.random.default_rng([seed, sum(map(ord, subject + record))])
    return BeatSet.build(
        (beat + 0.03 * rng.standard_normal((n, 70, n_leads))).astype(np.float32),
        sampling_rate=RATE,
        before_s=BEFORE_S,
        leads=tuple(f"lead {i}" for i in range(n_leads)),
        subject=subject,
        record=record,
        recording=f"{subject}/{record}",
        rr_before=np.full(n, rr, np.float32),
    )


def cohort(record: str, *, n_leads: int = 1, seed: int = 0, rr: float = 0.8) -> BeatSet:
    return concatenate(
        [
            simulated(s, record, n_leads=n_leads, seed=seed, rr=rr)
            for s in ("anna", "bo", "cleo", "dan")
        ]
    )


@pytest.fixture(scope="module")
def identifier() -> Identifier:
    return Identifier.fit(cohort("rec_1"), seed=1, settings=TINY)


def right(identifier: Identifier, scores: np.ndarray, subjects: np.ndarray) -> float:
    return float(np.mean(np.asarray(identifier.classes)[scores.argmax(axis=1)] == subjects))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_names_subjects_from_another_recording(
    identifier: Identifier, method: str
) -> None:
    probes = cohort("rec_2", seed=5)
    assert right(identifier, identifier.beat_scores(probes, method=method), probes.subject) > 0.9
    names, scores = identifier.recording_scores(probes, method=method)
    assert right(identifier, scores, np.asarray([n.split("/")[0] for n in names])) == 1


def test_scores_come_in_the_order_of_the_beats(identifier: Identifier) -> None:
    probes = cohort("rec_2", seed=5)
    order = np.random.default_rng(0).permutation(len(probes))
    same_rate = replace(probes, rr_before=np.full(len(probes), 0.8, np.float32))
    np.testing.assert_allclose(
        identifier.beat_scores(same_rate.take(order)),
        identifier.beat_scores(same_rate)[order],
        atol=1e-4,
    )


def test_a_recording_scores_the_same_alone_and_among_others(identifier: Identifier) -> None:
    probes = cohort("rec_2", seed=5)
    names, scores = identifier.recording_scores(probes)
    for name, row in zip(names, scores, strict=True):
        alone = identifier.score(probes.take(probes.recording == name))
        np.testing.assert_allclose(alone, row, atol=1e-4)


def test_another_heart_rate_is_recognised_by_its_rr(identifier: Identifier) -> None:
    fast = cohort("rec_2", rr=0.45, seed=5)
    unknown = replace(fast, rr_before=np.full(len(fast), np.nan, np.float32))
    told = identifier.beat_scores(fast, method="lda")
    untold = identifier.beat_scores(unknown, method="lda")
    assert right(identifier, told, fast.subject) > right(identifier, untold, fast.subject)


def test_one_beat_of_unknown_rate_and_recording_has_a_score(identifier: Identifier) -> None:
    beat = simulated("bo", "rec_3", n=1)
    lone = BeatSet.build(
        beat.signals, sampling_rate=RATE, before_s=BEFORE_S, leads=beat.leads, synthetic=[True]
    )
    scores = identifier.score(lone)
    assert scores.shape == (4,)
    assert identifier.classes[int(scores.argmax())] == "bo"


def test_a_stranger_scores_below_the_enrolled(identifier: Identifier) -> None:
    enrolled = identifier.recording_scores(cohort("rec_2", seed=5))[1].max(axis=1)
    noise = simulated("bo", "rec_9")
    noise = replace(
        noise,
        signals=np.random.default_rng(0).standard_normal(noise.signals.shape).astype(np.float32),
    )
    assert identifier.score(noise).max() < min(identifier.threshold, enrolled.min())
    assert 0.95 < identifier.threshold < 1, "a gallery of four is stricter than one of twenty"


def test_saved_and_loaded_it_scores_the_same(identifier: Identifier, tmp_path: Path) -> None:
    identifier.save(tmp_path)
    loaded = Identifier.load(tmp_path)
    probes = cohort("rec_2", seed=5)
    assert loaded.classes == identifier.classes
    assert loaded.threshold == identifier.threshold
    assert loaded.history == identifier.history
    for method in METHODS:
        np.testing.assert_allclose(
            loaded.beat_scores(probes, method=method),
            identifier.beat_scores(probes, method=method),
            atol=1e-5,
        )


@pytest.mark.parametrize("name", ["network.keras", "lda.skops", "templates.npz", "card.json"])
def test_a_damaged_file_is_the_users_to_mend(
    identifier: Identifier, tmp_path: Path, name: str
) -> None:
    identifier.save(tmp_path)
    (tmp_path / name).write_bytes(b"not what it was")
    with pytest.raises(UserError, match=name):
        Identifier.load(tmp_path)


def test_resumed_after_a_cancel_it_is_as_if_never_stopped(
    identifier: Identifier, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        Identifier.fit(cohort("rec_1"), seed=1, settings=TINY, report=stop, checkpoint=tmp_path)
    epochs: list[int] = []
    resumed = Identifier.fit(
        cohort("rec_1"),
        seed=1,
        settings=TINY,
        report=lambda p: epochs.append(p.done),
        checkpoint=tmp_path,
    )
    assert epochs == [3]
    for mine, theirs in zip(resumed.history, identifier.history, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-5)
    probes = cohort("rec_2", seed=5)
    np.testing.assert_allclose(
        resumed.beat_scores(probes), identifier.beat_scores(probes), atol=1e-5
    )


def test_the_seed_decides_the_network(identifier: Identifier) -> None:
    def stop(progress: Progress) -> None:
        rows.append(dict(progress.metrics))
        raise Cancelled

    rows: list[dict[str, float]] = []
    with pytest.raises(Cancelled):
        Identifier.fit(cohort("rec_1"), seed=2, settings=TINY, report=stop)
    assert rows[0]["loss"] != pytest.approx(identifier.history[0]["loss"], rel=1e-3)


def test_early_stopping_looks_only_at_whole_train_recordings(identifier: Identifier) -> None:
    names = [chr(ord("a") + i) * 3 for i in range(FEWEST_HELD_OUT)]
    records = [f"rec_{i}" for i in range(1, HELD_OUT_FROM + 1)]
    several = concatenate([simulated(name, record) for name in names for record in records])
    fitted = Identifier.fit(several, seed=0, settings=replace(TINY, epochs=1), calibrate=False)
    assert all("held_out_loss" in row for row in fitted.history)
    fewer = several.take(several.subject != names[0])
    fitted = Identifier.fit(fewer, seed=0, settings=replace(TINY, epochs=1), calibrate=False)
    assert not any("held_out_loss" in row for row in fitted.history)
    assert not any("held_out_loss" in row for row in identifier.history)


def test_posteriors_are_over_the_gallery(identifier: Identifier) -> None:
    probes = cohort("rec_2", seed=5)
    for method in METHODS:
        _, closed = identifier.recording_posteriors(probes, method=method)
        np.testing.assert_allclose(np.exp(closed).sum(axis=1), 1, atol=1e-5)
    anna = probes.take(probes.subject == "anna")
    chances = identifier.posterior(anna)
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    assert identifier.classes[int(chances.argmax())] == "anna"


def test_a_person_is_enrolled_without_training(identifier: Identifier) -> None:
    grown = identifier.with_gallery([("eve", simulated("eve", "rec_1"))])
    assert grown.classes == ("anna", "bo", "cleo", "dan", "eve")
    assert grown.trained == identifier.classes
    probes = concatenate([cohort("rec_2", seed=5), simulated("eve", "rec_2", seed=5)])
    names, scores = grown.recording_scores(probes)
    assert right(grown, scores, np.asarray([n.split("/")[0] for n in names])) == 1
    assert right(grown, grown.recording_posteriors(probes)[1], np.asarray(grown.classes)) == 1


def test_nobody_scores_otherwise_because_another_is_enrolled(identifier: Identifier) -> None:
    grown = identifier.with_gallery([("eve", simulated("eve", "rec_1"))])
    anna = simulated("anna", "rec_2", seed=5)
    np.testing.assert_allclose(grown.score(anna)[:4], identifier.score(anna), atol=1e-5)


def test_left_out_a_subject_scores_as_if_never_enrolled(identifier: Identifier) -> None:
    probes = cohort("rec_2", seed=5)
    for in_a_row in (None, 5):
        left_out = identifier.left_out_scores(probes, in_a_row=in_a_row)
        subjects = (
            [n.split("/")[0] for n in identifier.recording_scores(probes)[0]]
            if in_a_row is None
            else [n.split("/")[0] for n in identifier.runs(probes, 5)]
        )
        for row, subject in zip(left_out, subjects, strict=True):
            assert row[identifier.classes.index(subject)] == -np.inf
    anna = probes.take(probes.subject == "anna")
    for enrolled in ([], [("eve", simulated("eve", "rec_1"))]):
        grown = identifier.with_gallery(enrolled)
        without = identifier.with_gallery(enrolled, removed=["anna"]).score(anna)
        np.testing.assert_allclose(grown.left_out_scores(anna)[0][1:], without, atol=1e-4)


def test_a_gallery_grows_on_a_gallery_and_is_not_saved(
    identifier: Identifier, tmp_path: Path
) -> None:
    shrunk = identifier.with_gallery([], removed=["anna"])
    grown = shrunk.with_gallery([("eve", simulated("eve", "rec_1"))])
    assert grown.classes == ("bo", "cleo", "dan", "eve")
    with pytest.raises(ValueError, match="gallery"):
        grown.save(tmp_path)


def test_a_twin_comes_close_and_takes_little(identifier: Identifier) -> None:
    twin = identifier.with_gallery([("eve", simulated("anna", "rec_3"))])
    anna = simulated("anna", "rec_2", seed=5)
    assert set(np.argsort(twin.score(anna))[-2:]) == {0, twin.classes.index("eve")}
    assert twin.score(anna).max() > identifier.threshold


def test_who_is_removed_is_not_named(identifier: Identifier) -> None:
    shrunk = identifier.with_gallery([], removed=["anna"])
    assert shrunk.classes == ("bo", "cleo", "dan")
    anna = simulated("anna", "rec_2", seed=5)
    assert shrunk.posterior(anna).sum() == pytest.approx(1, abs=1e-5)
    assert shrunk.score(anna).max() < identifier.score(anna).max()
    with pytest.raises(UserError, match="nobody is left"):
        identifier.with_gallery([], removed=identifier.classes)


def test_a_gallery_of_the_enrolled_alone(identifier: Identifier) -> None:
    people = ("eve", "finn", "gus")
    enrolled = [(one, simulated(one, "rec_1")) for one in people]
    alone = identifier.with_gallery(enrolled, removed=identifier.classes)
    assert alone.classes == people
    probes = concatenate([simulated(one, "rec_2", seed=5) for one in people])
    assert right(alone, alone.recording_posteriors(probes)[1], np.asarray(people)) == 1


def test_a_second_template_makes_another_day_more_alike(identifier: Identifier) -> None:
    other_day = simulated("bo", "rec_5")
    wander = 0.5 * np.sin(np.linspace(0, np.pi, 70, dtype=np.float32))[:, None]
    other_day = replace(other_day, signals=other_day.signals - wander)
    probe, template = other_day.take(slice(6)), other_day.take(slice(6, 12))
    own = identifier.classes.index("bo")
    twice = identifier.with_gallery([("bo", template)])
    assert twice.classes == identifier.classes
    before = identifier.score(probe, method="template")[own]
    assert twice.score(probe, method="template")[own] > before + 0.01
    assert twice.score(probe)[own] > identifier.score(probe)[own]
    assert twice.posterior(probe)[own] >= identifier.posterior(probe)[own]


def test_generated_beats_are_learned_from_and_stand_in_no_template() -> None:
    train = cohort("rec_1")
    made = cohort("rec_7", seed=9)
    nameless = np.full(len(made), "")
    drawn = np.ones(len(made), dtype=bool)
    made = replace(made, recording=nameless, record=nameless, synthetic=drawn)
    settings = replace(TINY, epochs=1)
    alone = Identifier.fit(train, seed=0, settings=settings)
    both = Identifier.fit(train, seed=0, settings=settings, extra=made)
    probes = cohort("rec_2", seed=5)
    np.testing.assert_allclose(
        both.beat_scores(probes, method="template"), alone.beat_scores(probes, method="template")
    )
    assert both.history != alone.history
    assert np.abs(both.beat_scores(probes) - alone.beat_scores(probes)).max() > 1e-3


def test_a_few_spoiled_beats_do_not_count(identifier: Identifier) -> None:
    anna = simulated("anna", "rec_2", n=30, seed=5)
    signals = anna.signals.copy()
    signals[7] = np.random.default_rng(0).standard_normal(signals[7].shape)
    spoiled = identifier.score(replace(anna, signals=signals))
    assert identifier.classes[int(spoiled.argmax())] == "anna"
    assert spoiled.max() == pytest.approx(identifier.score(anna).max(), abs=0.05)


@pytest.mark.parametrize("order", ["cnn_lstm", "lstm_cnn"])
def test_both_orders_learn(order: str) -> None:
    settings = replace(TINY, order=order, epochs=4)
    fitted = Identifier.fit(cohort("rec_1"), seed=0, settings=settings)
    probes = cohort("rec_2", seed=5)
    assert right(fitted, fitted.beat_posteriors(probes, method="network"), probes.subject) > 0.8


def test_a_margin_pushes_subjects_apart() -> None:
    def likeness(margin: float) -> float:
        settings = replace(TINY, margin=margin, epochs=6)
        fitted = Identifier.fit(cohort("rec_1"), seed=0, settings=settings)
        scores = fitted.parts_of(cohort("rec_2", seed=5), "network")[1]
        return float(scores[~np.eye(4, dtype=bool)].mean())

    assert likeness(2.0) < likeness(0.0)


def test_two_leads_and_a_subject_with_one_beat() -> None:
    train = concatenate(
        [
            simulated("anna", "rec_1", n_leads=2),
            simulated("bo", "rec_1", n=1, n_leads=2),
            simulated("cleo", "rec_1", n=1, n_leads=2),
        ]
    )
    fitted = Identifier.fit(train, seed=0, settings=replace(TINY, epochs=2))
    probe = simulated("cleo", "rec_2", n_leads=2, seed=3)
    assert fitted.classes[int(fitted.score(probe).argmax())] == "cleo"


def test_one_subject_is_refused() -> None:
    with pytest.raises(UserError, match="two subjects"):
        Identifier.fit(simulated("anna", "rec_1"), seed=0, settings=TINY)


def test_beats_of_another_shape_are_refused(identifier: Identifier) -> None:
    with pytest.raises(UserError, match="70 samples and 1 leads at 100 Hz"):
        identifier.score(simulated("anna", "rec_1", n_leads=2))
    with pytest.raises(UserError, match="no beat"):
        identifier.score(simulated("anna", "rec_1").take(slice(0, 0)))

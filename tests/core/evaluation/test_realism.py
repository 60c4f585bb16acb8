"""The scoreboard: real against real stands where it must, and each fault moves its own figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.ndimage import uniform_filter1d
from sklearn.neighbors import KNeighborsClassifier

from core.beat_set import BeatSet
from core.errors import Cancelled, UserError
from core.evaluation.realism import (
    JUDGES,
    discriminative_accuracy,
    evaluate_generator,
    evaluate_reconstruction,
    frechet_distance,
    mean_beat_prd,
    mmd,
    plain,
    prd,
    psd_distance,
    real_against_real,
    spread_ratios,
)
from core.models.authenticity import paired_folds
from core.progress import Progress
from core.recording import StrArray
from tests.core.evaluation.simulated import RATE, draw, subject_names

NAMES = subject_names(6)
TRAIN = draw(np.repeat(NAMES, 60), 1)
VALIDATION = draw(np.repeat(NAMES, 25), 2)
TEST = draw(np.repeat(NAMES, 30), 3)


@pytest.fixture(scope="module")
def ceiling() -> dict[str, Any]:
    return real_against_real(TRAIN, VALIDATION, TEST, seed=0, redraws=3)


def scores(
    generated: Callable[[StrArray, int], BeatSet], ceiling: dict[str, Any], **options: Any
) -> dict[str, Any]:
    return evaluate_generator(
        TRAIN, VALIDATION, TEST, generated, seed=0, redraws=2, ceiling=ceiling, **options
    )


def perfect(subjects: StrArray, seed: int) -> BeatSet:
    """The true distribution itself."""
    return draw(subjects, seed)


def leaves(figures: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for figure in figures.values():
        found += [figure] if "value" in figure else leaves(figure)
    return found


def test_real_against_real_is_at_chance(ceiling: dict[str, Any]) -> None:
    for judge in JUDGES:
        figure = ceiling["discriminative"][judge]
        assert figure["value"] == pytest.approx(0.5, abs=4 * figure["sampling_error"])
    assert ceiling["mmd"]["value"] == pytest.approx(0, abs=0.01)
    assert ceiling["spread"]["value"] == pytest.approx(1, abs=0.1)
    assert ceiling["tstr"]["value"] > 0.9
    assert ceiling["obedience"]["value"] > 0.9


def test_a_perfect_generator_scores_as_real_beats_do(ceiling: dict[str, Any]) -> None:
    seen: list[Progress] = []
    figures = scores(perfect, ceiling, report=seen.append)
    for judge in JUDGES:
        figure = figures["discriminative"][judge]
        assert figure["value"] == pytest.approx(0.5, abs=4 * figure["sampling_error"])
        assert figure["ceiling"] == ceiling["discriminative"][judge]["value"]
    assert figures["tstr"]["value"] == pytest.approx(figures["tstr"]["ceiling"], abs=0.05)
    assert figures["spread"]["share_like_real"] > 0.9
    assert figures["privacy"]["near_copies"]["value"] == 0
    assert [p.done for p in seen] == [1, 2]


def test_figures_are_json_with_protocol_and_repeat(ceiling: dict[str, Any]) -> None:
    figures = scores(perfect, ceiling)
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures == scores(perfect, ceiling)
    for figure in leaves(figures):
        assert isinstance(figure["value"], float)
        assert isinstance(figure["n"], int) and figure["n"] > 0
        assert figure["protocol"] and "\n" not in figure["protocol"]
        assert "ceiling" in figure


def test_the_ceiling_is_measured_where_it_is_not_given() -> None:
    figures = evaluate_generator(TRAIN, VALIDATION, TEST, perfect, seed=0, redraws=1)
    expected = real_against_real(TRAIN, VALIDATION, TEST, seed=0, redraws=1)
    assert figures["tstr"]["ceiling"] == expected["tstr"]["value"]
    assert figures["mmd"]["ceiling"] == expected["mmd"]["value"]


def white_noise(subjects: StrArray, seed: int) -> BeatSet:
    beats = draw(subjects, seed)
    noise = np.random.default_rng(seed).normal(0, 0.2, beats.signals.shape)
    return replace(beats, signals=noise.astype(np.float32))


def reversed_in_time(subjects: StrArray, seed: int) -> BeatSet:
    beats = draw(subjects, seed)
    return replace(beats, signals=np.ascontiguousarray(beats.signals[:, ::-1]))


def over_smoothed(subjects: StrArray, seed: int) -> BeatSet:
    beats = draw(subjects, seed)
    return replace(beats, signals=uniform_filter1d(beats.signals, 21, axis=1))


@pytest.mark.parametrize("fake", [white_noise, reversed_in_time, over_smoothed])
def test_obvious_fakes_are_told_by_every_judge(
    fake: Callable[[StrArray, int], BeatSet], ceiling: dict[str, Any]
) -> None:
    figures = scores(fake, ceiling)
    for judge in JUDGES:
        assert figures["discriminative"][judge]["value"] > 0.95
    for name in ("mmd", "frechet", "psd", "prd"):
        if (fake, name) != (reversed_in_time, "psd"):  # the same spectrum, by definition
            assert figures[name]["value"] > 3 * abs(figures[name]["ceiling"])


def test_a_collapsed_generator_has_no_spread(ceiling: dict[str, Any]) -> None:
    """It draws each recording's mean: right mean, right subject, and nothing else."""

    def collapsed(subjects: StrArray, seed: int) -> BeatSet:
        beats = draw(subjects, seed)
        means = {r: TRAIN.signals[TRAIN.recording == r].mean(axis=0) for r in TRAIN.recording}
        return replace(beats, signals=np.stack([means[r] for r in beats.recording]))

    figures = scores(collapsed, ceiling)
    assert figures["spread"]["value"] == pytest.approx(0, abs=1e-5)
    assert figures["spread"]["share_like_real"] == 0
    assert figures["spread"]["collapsed"] == NAMES.tolist()
    assert figures["obedience"]["value"] > 0.95
    assert figures["discriminative"]["features"]["value"] > 0.9


def test_shuffled_subjects_teach_nothing_and_obey_nobody(ceiling: dict[str, Any]) -> None:
    def disobedient(subjects: StrArray, seed: int) -> BeatSet:
        other = np.random.default_rng(seed).permutation(subjects)
        return replace(draw(other, seed), subject=subjects)

    figures = scores(disobedient, ceiling)
    chance = 1 / len(NAMES)
    for name in ("trts", "obedience"):
        assert figures[name]["value"] == pytest.approx(chance, abs=0.12)
    assert figures["tstr"]["value"] < 0.6 < 0.9 < figures["tstr"]["ceiling"]
    assert figures["obedience"]["subjects_obeyed"] < 0.2


def test_copies_of_train_are_seen_by_privacy_alone(ceiling: dict[str, Any]) -> None:
    def copies(subjects: StrArray, seed: int) -> BeatSet:
        rng = np.random.default_rng(seed)
        rows = [rng.choice(np.flatnonzero(TRAIN.subject == s)) for s in subjects]
        return TRAIN.take(np.asarray(rows))

    figures = scores(copies, ceiling)
    assert figures["discriminative"]["features"]["value"] < 0.6
    assert figures["privacy"]["near_copies"]["value"] == 1
    assert figures["privacy"]["close"]["value"] == 1


def test_reconstruction_shows_what_the_autoencoder_loses(ceiling: dict[str, Any]) -> None:
    def perfect_autoencoder(x: np.ndarray) -> np.ndarray:
        return x.astype(np.float64)

    def blurring(x: np.ndarray) -> np.ndarray:
        return uniform_filter1d(x, 9, axis=1)

    exact, blurred = (
        evaluate_reconstruction(TRAIN, VALIDATION, TEST, one, seed=0, redraws=3, ceiling=ceiling)
        for one in (perfect_autoencoder, blurring)
    )
    assert exact["discriminative"] == {
        judge: exact["discriminative"][judge] | {"value": ceiling["discriminative"][judge]["value"]}
        for judge in JUDGES
    }
    assert exact["spread"]["value"] == pytest.approx(1, abs=1e-6)
    assert exact["reconstruction_prd"]["value"] == pytest.approx(0, abs=1e-4)
    assert blurred["discriminative"]["features"]["value"] > 0.9
    assert blurred["spread"]["value"] < 0.97
    assert blurred["reconstruction_prd"]["value"] > 5


def test_another_classifier_can_take_the_test(ceiling: dict[str, Any]) -> None:
    def fit(beats: BeatSet, seed: int) -> Callable[[BeatSet], StrArray]:
        model = KNeighborsClassifier(1).fit(beats.signals[..., 0], beats.subject)
        return lambda other: model.predict(other.signals[..., 0])

    reference = real_against_real(
        TRAIN, VALIDATION, TEST, seed=0, redraws=1, namers={"nearest": fit}
    )
    figures = scores(perfect, reference, namers={"nearest": fit})
    assert figures["tstr_nearest"]["value"] > 0.9
    assert figures["tstr_nearest"]["ceiling"] > 0.9


def test_what_is_missing_is_null_or_refused(ceiling: dict[str, Any]) -> None:
    nothing = TEST.take(slice(0, 0))
    figures = real_against_real(TRAIN, VALIDATION, nothing, seed=0, redraws=1)
    assert figures["tstr"]["value"] is None and figures["tstr"]["n"] == 0
    assert figures["mmd"]["standard_error"] is None
    alone = [beats.take(beats.subject == NAMES[0]) for beats in (TRAIN, VALIDATION, TEST)]
    assert real_against_real(*alone, seed=0, redraws=1)["obedience"]["value"] is None
    with pytest.raises(UserError, match="validation"):
        real_against_real(TRAIN, nothing, TEST, seed=0)
    with pytest.raises(ValueError, match="asked for"):
        scores(lambda subjects, seed: draw(subjects[::-1], seed), ceiling)
    with pytest.raises(UserError, match="window"):
        scores(
            lambda subjects, seed: replace(
                draw(subjects, seed), signals=draw(subjects, seed).signals[:, :150]
            ),
            ceiling,
        )


def test_a_report_can_cancel(ceiling: dict[str, Any]) -> None:
    def cancel(progress: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        scores(perfect, ceiling, report=cancel)


def test_paired_folds_hold_no_bias() -> None:
    """Folds that are not paired fall below 0.5 where subjects differ and kinds do not."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 7)
    accuracies = []
    for _ in range(8):
        centres = rng.normal(0, 5, (40, 6))
        real, synthetic = (centres[subjects] + rng.normal(size=(280, 6)) for _ in range(2))
        folds = paired_folds(subjects.astype(str), rng)
        accuracies.append(discriminative_accuracy(real, synthetic, folds))
    assert np.mean(accuracies) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / (8 * 560)))


def test_mmd_is_the_u_statistic_and_unbiased() -> None:
    """Expected value: Gretton et al. 2012, equation 4, term by term."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 3)), rng.normal(0.5, 1, (9, 3))
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(9) for j in range(i)]

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-np.sum((a - b) ** 2) / (2 * np.median(pairs) ** 2)))

    terms = [
        kernel(x[i], x[j]) + kernel(y[i], y[j]) - kernel(x[i], y[j]) - kernel(x[j], y[i])
        for i in range(9)
        for j in range(9)
        if i != j
    ]
    assert mmd(x, y) == pytest.approx(np.mean(terms), abs=1e-12)
    same = [mmd(rng.normal(size=(30, 3)), rng.normal(size=(30, 3))) for _ in range(200)]
    assert np.mean(same) == pytest.approx(0, abs=4 * np.std(same) / np.sqrt(200))


def test_frechet_distance_by_the_matrix_square_root() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    y = rng.normal(1, 1, (150, 4)) @ rng.normal(size=(4, 4))
    a, b = np.cov(x.T), np.cov(y.T)
    gap = x.mean(axis=0) - y.mean(axis=0)
    expected = gap @ gap + np.trace(a + b - 2 * sqrtm(a @ b).real)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-8)


def test_spectra_differ_by_the_gain_in_decibels() -> None:
    x = TRAIN.signals
    assert psd_distance(x, 2 * x, RATE) == pytest.approx(20 * np.log10(2), abs=0.01)
    assert psd_distance(x, x + 5, RATE) == pytest.approx(0, abs=1e-3)


def test_prd_and_spread_of_known_changes() -> None:
    rows = np.asarray([[1.0, -1.0, 1.0, -1.0], [5.0, 5.0, 5.0, 5.0]])
    differences = prd(rows, np.asarray([[1.1, -1.1, 1.1, -1.1], [5.0, 5.0, 5.0, 5.0]]))
    assert differences[0] == pytest.approx(10)
    assert np.isnan(differences[1])
    assert max(mean_beat_prd(TRAIN, TRAIN).values()) == 0
    stretched = TRAIN.signals.astype(np.float64).copy()
    for recording in np.unique(TRAIN.recording):
        own = TRAIN.recording == recording
        mean = stretched[own].mean(axis=0)
        stretched[own] = mean + 1.02 * (stretched[own] - mean)
    ratios = spread_ratios(replace(TRAIN, signals=stretched.astype(np.float32)), TRAIN)
    assert list(ratios) == NAMES.tolist()
    assert np.median(list(ratios.values())) == pytest.approx(1.02, abs=0.01)
    assert spread_ratios(TRAIN.take(slice(0, 3)), TRAIN) == {}


def test_plain_leaves_only_what_json_has() -> None:
    mixed = {"a": np.float32(0.5), "b": np.nan, "c": [np.int64(3), np.inf], "d": np.bool_(True)}
    assert plain(mixed) == {"a": 0.5, "b": None, "c": [3, None], "d": True}

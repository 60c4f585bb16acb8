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
from core.evaluation.judges import svm_told
from core.evaluation.realism import (
    COMPARED,
    JUDGES,
    better_generator,
    evaluate_generator,
    evaluate_reconstruction,
    frechet_distance,
    mean_beat_prd,
    mmd,
    plain,
    prd,
    psd_distance,
    real_against_real,
    share_interval,
    spread_ratios,
    with_floor,
)
from core.evaluation.sequences import SEQUENCE_JUDGES
from core.models.authenticity import paired_folds
from core.progress import Progress
from core.recording import StrArray
from tests.core.evaluation.simulated import RATE, draw, subject_names

NAMES = subject_names(6)
TRAIN = draw(np.repeat(NAMES, 60), 1)
VALIDATION = draw(np.repeat(NAMES, 15), 2)
TEST = draw(np.repeat(NAMES, 30), 3)


@pytest.fixture(scope="module")
def ceiling() -> dict[str, Any]:
    return real_against_real(TRAIN, VALIDATION, TEST, seed=0, redraws=2)


@pytest.fixture(scope="module")
def of_perfect(ceiling: dict[str, Any]) -> dict[str, Any]:
    return scores(perfect, ceiling)


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


def test_a_perfect_generator_scores_as_real_beats_do(
    ceiling: dict[str, Any], of_perfect: dict[str, Any]
) -> None:
    figures = of_perfect
    for judge in JUDGES:
        figure = figures["discriminative"][judge]
        assert figure["value"] == pytest.approx(0.5, abs=4 * figure["sampling_error"])
        assert figure["ceiling"] == ceiling["discriminative"][judge]["value"]
    assert figures["tstr"]["value"] == pytest.approx(figures["tstr"]["ceiling"], abs=0.05)
    assert figures["spread"]["share_like_real"] > 0.9
    assert figures["privacy"]["near_copies"]["value"] == 0


def test_figures_are_json_with_protocol_and_repeat(
    ceiling: dict[str, Any], of_perfect: dict[str, Any]
) -> None:
    seen: list[Progress] = []
    figures = scores(perfect, ceiling, report=seen.append)
    assert [p.done for p in seen] == [1, 2]
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert figures == of_perfect
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
        evaluate_reconstruction(TRAIN, VALIDATION, TEST, one, seed=0, redraws=2, ceiling=ceiling)
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
        accuracies.append(float(svm_told(real, synthetic, folds).mean()))
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
    differences = prd(
        rows[..., None], np.asarray([[1.1, -1.1, 1.1, -1.1], [5.0, 5.0, 5.0, 5.0]])[..., None]
    )
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


def test_more_generated_beats_than_train_has_can_teach_more(ceiling: dict[str, Any]) -> None:
    asked: list[int] = []

    def counted(subjects: StrArray, seed: int) -> BeatSet:
        asked.append(len(subjects))
        return draw(subjects, seed)

    figures = evaluate_generator(
        TRAIN, VALIDATION, TEST, counted, seed=0, redraws=1, ceiling=ceiling
    )
    assert max(asked) == 5 * len(TRAIN)
    assert figures["tstr_more"]["ceiling"] == figures["tstr"]["ceiling"]
    assert figures["tstr_more"]["value"] > 0.9


def test_intervals_over_subjects_hold_the_value(of_perfect: dict[str, Any]) -> None:
    figures = of_perfect
    told = [*figures["discriminative"].values(), figures["tstr"], figures["prd"], figures["spread"]]
    for figure in told:
        low, high = figure["interval"]
        assert low <= figure["value"] <= high
        assert figure["interval_over"] == "subjects"
    assert figures["mmd"]["interval_over"] == "redraws"


def test_mean_beats_are_compared_with_train_and_with_validation(ceiling: dict[str, Any]) -> None:
    def doubled(subjects: StrArray, seed: int) -> BeatSet:
        beats = draw(subjects, seed)
        return replace(beats, signals=2 * beats.signals)

    figures = scores(doubled, ceiling)
    for name in ("prd", "prd_train"):
        assert figures[name]["value"] == pytest.approx(100, abs=15)
        assert figures[name]["share_close"] == 0
    assert figures["prd"]["ceiling_share_close"] == ceiling["prd"]["share_close"]


def with_labels(beats: BeatSet, *, turned: bool = False) -> BeatSet:
    """Every third beat is of another type, which stands on its head."""
    other = np.arange(len(beats)) % 3 == 0
    signals = np.where(other[:, None, None] != turned, -beats.signals, beats.signals)
    return replace(beats, signals=signals, label=np.where(other, "V", "N"))


@pytest.mark.parametrize(("turned", "expected"), [(False, 1.0), (True, 0.0)])
def test_a_generator_is_asked_for_labels_too(turned: bool, expected: float) -> None:
    parts = [with_labels(beats) for beats in (TRAIN, VALIDATION, TEST)]
    figures = evaluate_generator(
        *parts, lambda names, seed: with_labels(draw(names, seed), turned=turned), seed=0, redraws=1
    )
    assert figures["obedience_label"]["value"] == pytest.approx(expected, abs=0.1)
    assert figures["obedience_label"]["ceiling"] > 0.9


MANY = subject_names(12)


def recorded(seed: int) -> BeatSet:
    """Two rows of ten beats of each subject, one recording each, with a rhythm."""
    beats = draw(np.repeat(MANY, 20), seed)
    rng = np.random.default_rng(seed)
    samples = np.cumsum(rng.integers(180, 220, (len(MANY), 20)), axis=1)
    rr = np.diff(samples, axis=1, prepend=samples[:, :1] - 200) / RATE
    return replace(
        beats,
        recording=beats.subject,
        r_sample=samples.reshape(-1),
        rr_before=rr.reshape(-1).astype(np.float32),
    )


def test_beats_in_a_row_are_judged_where_there_are_enough() -> None:
    parts = (recorded(1), draw(np.repeat(MANY, 5), 2), recorded(3))

    def in_a_row(subjects: StrArray, length: int, seed: int) -> BeatSet:
        beats = draw(np.repeat(subjects, length), seed)
        return replace(beats, rr_before=np.full(len(beats), 0.8, np.float32))

    figures = evaluate_generator(*parts, perfect, draw_rows=in_a_row, seed=0, redraws=1)
    assert set(figures["sequences"]) == set(SEQUENCE_JUDGES)
    rhythm = figures["sequences"]["rhythm"]
    assert rhythm["value"] > 0.9
    assert rhythm["ceiling"] == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 48))
    assert rhythm["n"] == 48 and "24 rows of 10 beats of the test part" in rhythm["protocol"]
    short = real_against_real(TRAIN, VALIDATION, TEST, seed=0, redraws=1)
    assert short["sequences"]["svm"]["value"] is None
    assert "not measured" in short["sequences"]["svm"]["protocol"]


def of_a_generator(judged: float, named: float) -> dict[str, Any]:
    """Return the figures by which generators are compared, all alike."""

    def figure(sign: float) -> dict[str, Any]:
        value, ceiling = (judged, 0.5) if sign > 0 else (named, 0.9)
        return {"value": value, "ceiling": ceiling, "n": 1000, "standard_error": 0.005}

    figures: dict[str, Any] = {"discriminative": {}, "sequences": {}}
    for path, (_, sign) in COMPARED.items():
        *above, name = path.split("/")
        (figures[above[0]] if above else figures)[name] = figure(sign)
    return figures


def test_the_better_generator_is_ahead_by_more_than_chance() -> None:
    good, poor = of_a_generator(0.52, 0.9), of_a_generator(0.7, 0.6)
    assert better_generator({"gan": good, "mixture": poor})["model"] == "gan"
    assert better_generator({"gan": poor, "mixture": good})["model"] == "mixture"
    tie = better_generator({"gan": good, "mixture": of_a_generator(0.53, 0.89)})
    assert tie["model"] is None and tie["gan"] == tie["mixture"] == []
    beyond_real = better_generator(
        {"gan": of_a_generator(0.3, 1.0), "mixture": of_a_generator(0.5, 0.9)}
    )
    assert beyond_real["model"] is None
    assert better_generator({"gan": good})["why"] == "nothing could be compared"


def test_the_mixture_stands_beside_as_floor(of_perfect: dict[str, Any]) -> None:
    figures = of_perfect
    beside = with_floor(figures, figures)
    assert beside["discriminative"]["cnn"]["floor"] == figures["discriminative"]["cnn"]["value"]
    assert beside["privacy"]["close"]["floor"] == figures["privacy"]["close"]["value"]
    assert beside["tstr"]["ceiling"] == figures["tstr"]["ceiling"]


def test_a_share_of_subjects_has_wilsons_interval() -> None:
    """Expected: Wilson 1927, worked out by hand for z = 1.96."""
    assert share_interval(0.8, 10) == pytest.approx([0.4901625, 0.9433178], abs=1e-4)
    assert share_interval(1.0, 45) == pytest.approx([0.9213, 1.0], abs=1e-4)
    assert share_interval(float("nan"), 0) is None

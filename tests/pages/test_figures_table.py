"""The table of figures: every number in words, with its protocol, and no curve as rows."""

from __future__ import annotations

import numpy as np

from core.evaluation import identification
from pages.parts.figures_table import rows


def _figures() -> dict:
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 15
    scores = rng.normal(0, 1, (300, 15)) + 3 * np.eye(15)[truth]
    genuine, impostor = identification.split_pairs(scores, truth)
    return {
        "real": {
            "protocol": "split by record",
            "methods": {
                "lda": {
                    "name": "LDA",
                    "beat": identification.figures_of(scores, truth, truth, posteriors=scores),
                }
            },
            "verification": {"det": identification.det_curve(genuine, impostor)},
            "detection": {
                "recording": identification.detection_and_identification(scores, truth, truth)
            },
            "reliability": {"beat": identification.reliability(np.full(9, 0.5), np.ones(9, bool))},
            "labels": identification.class_figures(scores, truth, [f"c{i}" for i in range(15)]),
        },
        "robustness": {
            "protocol": "disturbed",
            "rows": [
                {
                    "disturbance": "noise",
                    "level": 10,
                    "unit": "dB",
                    "beat": 0.5,
                    "recording": None,
                }
            ],
        },
    }


def test_curves_and_bins_are_no_rows_and_names_are_words() -> None:
    found = list(rows(_figures()))
    assert len(found) < 80
    told = {(row["Of"], row["Figure"]): row for row in found}
    eer = told["real, methods, LDA, beat", "EER of scores"]
    assert eer["Protocol"] == "split by record" and eer["n"] == "300" and " to " in eer["Spread"]
    assert ("real, methods, LDA, beat", "true accepts at 0.1 % false accepts") in told
    found_at = told["real, detection, recording", "detected and identified at 5 % false alarms"]
    assert "left out of the gallery" in found_at["Protocol"]
    assert told["real, reliability, beat", "expected calibration error"]["Value"] == "0.5"
    assert told["real, labels, per class, c3", "sensitivity"]["n"] == "20"
    noisy = told["robustness, noise 10 dB", "beat"]
    assert (noisy["Value"], noisy["Protocol"]) == ("0.5", "disturbed")

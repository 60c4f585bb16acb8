"""The rows of a report's table of figures: compact, in words, no curve among them."""

from __future__ import annotations

from core.reporting import figure_rows

FIGURES = {
    "protocol": "split by record",
    "identification": {
        "real": {
            "methods": {
                "joined": {
                    "name": "network and discriminants",
                    "beat": {
                        "probes": 9,
                        "rank_1": 0.5,
                        "rank_1_interval": [0.25, 0.75],
                        "rank_1_posterior": 0.625,
                        "eer": 0.1,
                        "eer_posterior": 0.05,
                        "tar_1": 0.7,
                        "tar_01": None,
                    },
                }
            },
            "detection": {"recording": {"dir_5": 0.8, "curve": {"threshold": [0.1, 0.2]}}},
            "reliability": {"beat": {"ece": 0.02, "bins": [{"low": 0.0, "high": 0.1}]}},
        },
        "labels": {"macro_f1": 0.4, "per_class": {"V": {"f1": 0.3, "sensitivity": 0.2}}},
        "robustness": {
            "protocol": "disturbed",
            "rows": [
                {"disturbance": "undisturbed", "level": None, "unit": "", "beat": 0.9,
                 "recording": 1.0},
                {"disturbance": "noise", "level": 10, "unit": "dB", "beat": 0.5,
                 "recording": None},
            ],
        },
        "gan": {"rank1_beat": {"value": 0.9, "n": 40, "ceiling": 1.0, "protocol": "generated"}},
    },
}  # fmt: skip


def test_figures_of_the_same_probes_share_a_row() -> None:
    rows = {name: (value, protocol) for name, value, protocol in figure_rows(FIGURES)}
    assert rows == {
        "identification / real / methods / joined / beat": (
            "rank 1 0.500 (0.250 to 0.750); rank 1 of posteriors 0.625; EER of scores 0.100; "
            "EER of posteriors over the gallery 0.050; true accepts at 1 % false accepts 0.700",
            "split by record",
        ),
        "identification / real / detection / recording": (
            "detected and identified at 5 % false alarms 0.800",
            "split by record",
        ),
        "identification / real / reliability / beat": (
            "expected calibration error 0.020",
            "split by record",
        ),
        "identification / labels": ("macro F1 0.400", "split by record"),
        "identification / labels / per_class / V": (
            "F1 0.300; sensitivity 0.200",
            "split by record",
        ),
        "identification / robustness": (
            "undisturbed: beat 0.900, recording 1.000; noise 10 dB: beat 0.500",
            "disturbed",
        ),
        "identification / gan / rank1_beat": ("0.900 (real: 1.000)", "generated"),
    }

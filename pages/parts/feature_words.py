"""A feature of a beat, as its column is named -> plain words and its unit."""

from __future__ import annotations

from collections.abc import Sequence

WORDS: dict[str, tuple[str, str]] = {
    "rr_before": ("RR interval before", "s"),
    "rr_after": ("RR interval after", "s"),
    "quality": ("Quality, 0 to 1", ""),
    "peak_to_peak": ("Height, peak to peak", "mV"),
    "maximum": ("Highest value", "mV"),
    "minimum": ("Lowest value", "mV"),
    "time_of_maximum_s": ("Time of the highest value, from the beat's start", "s"),
    "time_of_minimum_s": ("Time of the lowest value, from the beat's start", "s"),
    "mean": ("Mean", "mV"),
    "rms": ("Root mean square", "mV"),
    "variance": ("Variance", "mV²"),
    "skewness": ("Skewness", ""),
    "kurtosis": ("Kurtosis (0: as a normal distribution)", ""),
    "slope_maximum": ("Steepest rise", "mV/s"),
    "slope_minimum": ("Steepest fall", "mV/s"),
    "slope_rms": ("Slope, root mean square", "mV/s"),
    "curvature_rms": ("Curvature, root mean square", "mV/s²"),
}
"""Feature -> its name in words, and its unit where the signal's is mV."""
RHYTHM = ("rr_before", "rr_after", "quality")
"""What the table of beats tells of a beat besides its shape."""
_SPECTRUM, _HZ = "spectrum_", "_hz"


def words_of(name: str, leads: Sequence[str] = ()) -> str:
    """Return a feature's name in words, with the lead's name behind it where there are several."""
    lead, feature = _split(name, leads)
    if feature.startswith(_SPECTRUM):
        said = f"Spectrum at {feature.removeprefix(_SPECTRUM).removesuffix(_HZ)} Hz"
    else:
        said = WORDS.get(feature, (feature.replace("_", " "), ""))[0]
    return f"{said}, lead {lead}" if lead else said


def unit_of(name: str, signal_unit: str = "mV", leads: Sequence[str] = ()) -> str:
    """Return a feature's unit; empty where it has none.

    Args:
        name: Of the feature.
        signal_unit: ``mV``, or what is known of another unit.
        leads: Of the study.
    """
    feature = _split(name, leads)[1]
    unit = "log10 mV s" if feature.startswith(_SPECTRUM) else WORDS.get(feature, ("", ""))[1]
    return unit if signal_unit == "mV" else unit.replace("mV", "signal unit")


def title_of(name: str, signal_unit: str = "mV", leads: Sequence[str] = ()) -> str:
    """Return the title of an axis: the feature in words, and its unit."""
    unit = unit_of(name, signal_unit, leads)
    return words_of(name, leads) + (f" ({unit})" if unit else "")


def _split(name: str, leads: Sequence[str]) -> tuple[str, str]:
    for lead in leads:
        if len(leads) > 1 and name.startswith(f"{lead}_"):
            return lead, name.removeprefix(f"{lead}_")
    return "", name

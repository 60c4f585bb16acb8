"""Tells when the beats that a recording usually has may themselves be ventricular.

A beat is told ventricular beside the usual ones of its recording; where there are no others, such
as in a few seconds of tachycardia, it looks usual. So its form is compared with other people's, and
the width of its QRS complex.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.beat_set import BeatSet
from core.errors import UserError
from core.models.beat_context import context_codes, widths
from core.models.fusion_beats import VENTRICULAR
from core.models.identifier_input import Window
from core.models.storage import load_arrays, save_arrays
from core.recording import FloatArray

FEWEST_BEATS = 5
"""Beats of a label that a recording needs before their form is remembered."""
WIDE_QUANTILE = 0.9
"""Share of other people's beats than which a ventricular one is wider, by its middle beat."""


@dataclass(frozen=True, eq=False)
class Forms:
    """Middle beats of people, a row a label and recording.

    Attributes:
        rows: (n_forms, n_samples * n_leads) of mean 0 and length 1.
        widths: (n_forms,) from the first to the last slope of the QRS complex, in s.
        ventricular: (n_forms,) whether it is of ventricular beats.
    """

    rows: FloatArray
    widths: FloatArray
    ventricular: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, train: BeatSet) -> Forms:
        """Return the forms of labelled beats."""
        codes = context_codes(train)
        found: list[tuple[FloatArray, float]] = []
        ventricular: list[bool] = []
        for code in np.unique(codes):
            for label in sorted(set(train.label[codes == code]) - {""}):
                own = train.take((codes == code) & (train.label == label))
                if len(own) >= FEWEST_BEATS:
                    found.append(_form(own))
                    ventricular.append(label == VENTRICULAR)
        size = int(np.prod(train.signals.shape[1:]))
        return cls(
            np.asarray([row for row, _ in found], np.float32).reshape(len(found), size),
            np.asarray([width for _, width in found], np.float32),
            np.asarray(ventricular, np.bool_),
        )

    def looks_ventricular(self, beats: BeatSet) -> bool:
        """Tell whether beats of one kind are as wide as ventricular ones, or formed like them.

        Which way up they are does not matter.
        """
        if not self.ventricular.any() or self.ventricular.all():
            return False
        row, width = _form(beats)
        wide, other = (self.widths[kind] for kind in (self.ventricular, ~self.ventricular))
        between = (np.median(wide) + np.median(other)) / 2
        if width > max(between, np.quantile(other, WIDE_QUANTILE)):
            return True
        return bool(self.ventricular[np.argmax(np.abs(self.rows @ row))])

    def save(self, file: Path) -> None:
        """Write an ``.npz`` without pickles."""
        save_arrays(file, asdict(self))

    @classmethod
    def load(cls, file: Path, *, n_values: int) -> Forms:
        """Read what `save` wrote; `n_values` is n_samples * n_leads.

        Raises:
            UserError: The file is missing or damaged.
        """
        try:
            forms = cls(**load_arrays(file))
            sound = (
                forms.rows.shape == (len(forms.ventricular), n_values)
                and forms.widths.shape == forms.ventricular.shape
            )
        except (TypeError, AttributeError):
            sound = False
        if not sound:
            raise UserError(file, "is damaged", "Train the model again")
        return forms


def _form(beats: BeatSet) -> tuple[FloatArray, float]:
    """Return the middle beat as a row of length 1, and the width of its QRS complex in s."""
    level = beats.signals - np.median(beats.signals, axis=1, keepdims=True)
    middle = np.median(level, axis=0)
    times = Window(beats.before_s, beats.sampling_rate).times(len(middle))
    width = widths(middle[None], times, beats.sampling_rate)[0][0]
    row = middle.ravel() - middle.mean()
    form: FloatArray = (row / max(float(np.linalg.norm(row)), 1e-9)).astype(np.float32)
    return form, float(width)

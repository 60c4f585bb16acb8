"""NumPy arrays (.npy, .npz) -> Recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.readers.arrays import recording_of_arrays
from core.recording import Recording


def read_numpy(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read a ``.npy`` array, or the named arrays of an ``.npz``, without unpickling.

    Signal, rate, leads and units are looked for by their usual names; see
    `core.readers.arrays`. The longer side of the signal is time.

    Raises:
        UserError: The file holds no signal or does not tell its rate.
    """
    # Given a path, np.load leaves a damaged file open.
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {"signal": loaded}
        else:
            arrays = {name: loaded[name] for name in loaded.files}
    return recording_of_arrays(path, arrays, source_rate=source_rate)

"""MATLAB files (.mat) that belong to no WFDB header -> Recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.readers.arrays import recording_of_arrays
from core.recording import Recording

_HDF5_MAGIC = b"\x89HDF"
_HDF5_OFFSETS = (0, 512)


def read_matlab(path: Path, *, source_rate: float | None = None) -> Recording:
    """Read a MATLAB file, up to version 7.3, with ``scipy.io`` or ``h5py``.

    Signal, rate, leads and units are looked for by their usual names, in structures, too; see
    `core.readers.arrays`. The longer side of the signal is time.

    Raises:
        UserError: The file is damaged, holds no signal, or does not tell its rate.
    """
    arrays = _hdf5(path) if _is_hdf5(path) else _classic(path)
    if not arrays:
        raise UserError(path, "holds no variables", "Save the signal in it")
    return recording_of_arrays(path, arrays, source_rate=source_rate)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_HDF5_OFFSETS[-1] + len(_HDF5_MAGIC))
    return any(start[at : at + 4] == _HDF5_MAGIC for at in _HDF5_OFFSETS)


def _classic(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    loaded = loadmat(path, squeeze_me=True, struct_as_record=False, chars_as_strings=True)
    arrays: dict[str, Any] = {}
    for name, value in loaded.items():
        if name.startswith("__"):
            continue
        fields = getattr(value, "_fieldnames", None)
        if fields is None:
            arrays[name] = value
        else:
            arrays.update({field: getattr(value, field) for field in fields})
    return arrays


def _hdf5(path: Path) -> dict[str, Any]:
    import h5py

    arrays: dict[str, Any] = {}

    def take(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and not name.startswith("#refs#"):
            value = node[()]
            is_text = node.attrs.get("MATLAB_class") == b"char"
            arrays[name.rsplit("/", 1)[-1]] = (
                "".join(map(chr, np.ravel(value))) if is_text else np.squeeze(value)
            )

    with h5py.File(path) as file:
        file.visititems(take)
    return arrays

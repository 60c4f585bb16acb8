"""Arrays and scalars of a model -> files of its folder; state of a training -> checkpoint."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import UserError

_EPOCH = (1980, 1, 1, 0, 0, 0)
_VOLATILE = re.compile(rb'(?<="date_saved": )"[^"]*"|(?<="shared_object_id": )\d+')
CARD_NAME = "card.json"
CHECKPOINT_NAME = "state.npz"
_STEP = "step"
_HISTORY = "history"
_IDENTITY = "identity"


def write_text(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_arrays(
    path: Path, arrays: Mapping[str, npt.NDArray[Any]], *, compressed: bool = False
) -> None:
    """Write arrays as an ``.npz`` without pickles; it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            save = np.savez_compressed if compressed else np.savez
            save(file, allow_pickle=False, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read what `save_arrays` wrote.

    Raises:
        UserError: The file is missing or damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def save_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write the scalars of a model as ``card.json``, beside what others wrote there."""
    path = folder / CARD_NAME
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_text(path, json.dumps({**known, **card}, indent=2, ensure_ascii=False) + "\n")


def load_card(folder: Path) -> dict[str, Any]:
    """Read the scalars of a model.

    Raises:
        UserError: There is no model, or its card is damaged.
    """
    path = folder / CARD_NAME
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return card


def save_model(model: Any, path: Path) -> None:
    """Write a Keras model as ``.keras``; it appears whole or not at all.

    Equal models give equal files: the time of saving and addresses in memory, which Keras writes
    beside them, are left out.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    bare = path.with_name(f".{os.getpid()}.bare")
    try:
        model.save(temporary)
        with zipfile.ZipFile(temporary) as saved, zipfile.ZipFile(bare, "w") as kept:
            for name in sorted(saved.namelist()):
                content = saved.read(name)
                if name.endswith(".json"):
                    content = _VOLATILE.sub(b"null", content)
                kept.writestr(zipfile.ZipInfo(name, _EPOCH), content)
        bare.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        bare.unlink(missing_ok=True)


def load_model(path: Path) -> Any:
    """Read a Keras model of built-in layers, not compiled.

    Raises:
        UserError: The file is missing or damaged.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(path, error) from None


def save_state(
    folder: Path | None,
    variables: Sequence[Any],
    *,
    step: int,
    history: Sequence[Mapping[str, float]],
    identity: str,
) -> None:
    """Write a training's variables, so that `restore_state` can go on from here.

    Args:
        folder: Where the checkpoint lives; None keeps none.
        variables: Keras variables, in an order that the caller keeps.
        step: Steps or epochs done.
        history: What was measured so far.
        identity: Names data, seed and settings; another training does not resume from this one.
    """
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    arrays[_STEP] = np.asarray(step)
    arrays[_HISTORY] = np.asarray(json.dumps(list(history)))
    arrays[_IDENTITY] = np.asarray(identity)
    save_arrays(folder / CHECKPOINT_NAME, arrays)


def restore_state(
    folder: Path | None, variables: Sequence[Any], *, identity: str
) -> tuple[int, list[dict[str, float]]]:
    """Put a checkpoint's values into the variables; return the steps done and their history.

    A missing, damaged or foreign checkpoint leaves the variables alone and returns ``(0, [])``.
    """
    if folder is None or not (folder / CHECKPOINT_NAME).exists():
        return 0, []
    try:
        arrays = load_arrays(folder / CHECKPOINT_NAME)
    except UserError:
        return 0, []
    values = [arrays.get(f"v{i}") for i in range(len(variables))]
    if str(arrays.get(_IDENTITY)) != identity or any(
        value is None or value.shape != tuple(variable.shape)
        for value, variable in zip(values, variables, strict=True)
    ):
        return 0, []
    for value, variable in zip(values, variables, strict=True):
        variable.assign(value)
    return int(arrays[_STEP]), json.loads(str(arrays[_HISTORY]))


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = "is missing" if isinstance(error, FileNotFoundError) else f"is damaged ({error})"
    return UserError(path, reason, "Train the model again")

"""A file that a user asked for: it appears whole or not at all, and why it cannot is a sentence."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a file beside a path to write to; it takes the path's place if nothing was raised.

    No other process or thread is given the same file.

    Raises:
        UserError: It cannot be written.
    """
    own = f"{os.getpid()}.{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{own}{path.suffix.lower()}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            path, f"cannot be written ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)

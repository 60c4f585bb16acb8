"""``python -m core``: the command line."""

import os
import sys
import warnings

from core.threads import thread_settings


def _silence_native_logs() -> None:
    """Keep Python's standard error, and send what C++ libraries write beside it to nowhere.

    TensorFlow logs to the file descriptor before any setting of its own takes effect; users'
    scripts rely on one line on standard error where something is wrong.
    """
    python_stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.stderr = python_stderr


if __name__ == "__main__":
    _silence_native_logs()
    os.environ.update(thread_settings())
    warnings.simplefilter("ignore")
    from core.cli import main

    sys.exit(main())

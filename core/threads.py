"""How many threads numerical libraries may use: the same at the command line and in jobs.

Sums depend on how they are split, so the same seed gives the same file only with the same number.
"""

from __future__ import annotations

import os


def thread_settings() -> dict[str, str]:
    """Return environment variables that give numerical libraries half of the cores.

    The dashboard keeps the other half. They work in a process that has not yet imported NumPy.
    """
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    return {
        **{f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS", "MKL")},
        "TF_NUM_INTRAOP_THREADS": threads,
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }

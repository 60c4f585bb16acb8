"""PhysioNet's ECG-ID Database -> a folder of WFDB recordings, a folder a person."""

from __future__ import annotations

import contextlib
import io
import itertools
from pathlib import Path

from core.errors import UserError
from core.progress import Progress, Report, silent

DATABASE = "ecgiddb"
"""Lugovaya 2005, doi 10.13026/C2J01F, ODC-BY 1.0; Goldberger et al. 2000."""


def download_ecgid(folder: Path, report: Report = silent) -> Path:
    """Fetch the ECG-ID Database (310 recordings, 90 persons) with ``wfdb``'s own client.

    Files that are there already are kept; after an interruption, call it again.

    Args:
        folder: Where to put it; made if it is not there.
        report: Called before and after each person.

    Returns:
        The folder, as `find_recordings` takes it.

    Raises:
        UserError: There is no connection, PhysioNet refuses, or the folder cannot be written.
    """
    import wfdb

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            folder, f"cannot be made ({error.strerror})", "Choose a folder that you may write to"
        ) from None
    done = 0
    try:
        records = list(wfdb.get_record_list(DATABASE))
        for _, person in itertools.groupby(records, key=lambda name: name.rpartition("/")[0]):
            batch = list(person)
            report(Progress("download ECG-ID", done, len(records)))
            # The client tells every file on standard output.
            with contextlib.redirect_stdout(io.StringIO()):
                wfdb.dl_database(DATABASE, str(folder), records=batch)
            done += len(batch)
    except (OSError, ValueError) as error:
        raise UserError(
            "ECG-ID",
            f"cannot be fetched from physionet.org ({type(error).__name__}, {done} done)",
            "Check the connection and try again; what is fetched already is kept",
        ) from error
    report(Progress("download ECG-ID", len(records), len(records)))
    return folder

"""A recording of the study or an uploaded file -> the file that a job is given."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from core.study import Study
from pages.parts import content, uploads

PREFIX = "probe"
OF_STUDY, OF_FILE = "A recording of the study", "A file"


def probe_recordings(study: Study) -> list[str]:
    """Return the recordings of the test part; of a study without one, all that were used."""
    kept = content.kept_beats(study)
    test = kept[kept["partition"] == "test"]
    return list(dict.fromkeys((test if len(test) else kept)["recording_name"]))


def told_name(file: Path) -> str:
    """Return the name by which a user knows a file of `recording_file`, or an upload."""
    own = re.fullmatch(rf"{PREFIX}-(.+)-[0-9a-f]{{8}}\.npz", file.name)
    return own[1] if own else file.name


def recording_file(study: Study, recording: str) -> Path:
    """Return a file of the beats of one recording: of its test part where it has one."""
    kept = content.kept_beats(study)
    own = (kept["recording_name"] == recording).to_numpy()
    test = own & (kept["partition"] == "test").to_numpy()
    beats = study.beats("all").take(test if test.any() else own)
    return content.write_part(study, beats, PREFIX, recording)


def choose(
    study: Study, recordings: Sequence[str], *, key: str
) -> tuple[Callable[[], Path] | None, str | None]:
    """Let the user choose a recording of the study, or upload one.

    Args:
        study: An opened study.
        recordings: Those that may be chosen; without any, only a file can.
        key: Begins the keys of the widgets.

    Returns:
        What makes the file to read, None as long as nothing is chosen; and the recording's name,
        None of an upload.
    """
    kind = OF_FILE
    if recordings:
        kind = st.segmented_control(
            "What to look at",
            [OF_STUDY, OF_FILE],
            default=OF_STUDY,
            required=True,
            label_visibility="collapsed",
            key=f"{key}-kind",
        )
    if kind == OF_STUDY:
        test = "test" in set(content.kept_beats(study)["partition"])
        recording = st.selectbox(
            "Recording of the test part" if test else "Recording (the study has no test part)",
            recordings,
            key=f"{key}-recording",
        )
        return (lambda: recording_file(study, recording)) if recording else None, recording
    files = st.file_uploader(
        "A recording, or a file of beats (.npz, .csv)",
        accept_multiple_files=True,
        key=f"{key}-upload",
        help="A recording of several files (.hea and .dat): choose all of them.",
    )
    return (lambda: uploads.store_probe(files)) if files else None, None

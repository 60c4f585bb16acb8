"""Files of any supported format -> recordings."""

from core.readers.beat_table import read_beat_table
from core.readers.detect import SUPPORTED_FORMATS
from core.readers.read import read_recording
from core.readers.sources import (
    Skipped,
    Source,
    Survey,
    find_recordings,
    resolve_subject,
    survey_sources,
)

__all__ = [
    "SUPPORTED_FORMATS",
    "Skipped",
    "Source",
    "Survey",
    "find_recordings",
    "read_beat_table",
    "read_recording",
    "resolve_subject",
    "survey_sources",
]

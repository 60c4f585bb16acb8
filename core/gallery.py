"""Gallery: who may be named, beside whom the identifier learned, without training anew.

``<study>/gallery/`` holds ``gallery.json`` and the beats of each enrolled recording, cut as the
study cuts them: a retrained identifier looks at them afresh. Every change is one step, which is
there or not, and can be undone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from core.beat_set import BeatSet, read_beats, write_beats
from core.errors import UserError, did_you_mean
from core.generating import check_current, load_model
from core.study import Study, read_json, write_json, writing

Origin = Literal["enrolled", "refreshed"]

GALLERY_VERSION = 1
GALLERY_FOLDER, GALLERY_FILE = "gallery", "gallery.json"
MOST_STEPS = 50
"""Steps that can be undone; the beats of older ones are deleted with the step."""
MOST_REFRESHED = 5
"""Refreshed templates of a subject; the oldest makes room, so that what a person chose stays."""
LONGEST_NAME = 100


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Template(_Model):
    """One recording of one subject, whose beats are in the gallery.

    Attributes:
        id: Number within the gallery, never given twice.
        subject: Who it is.
        file: Name of the file that it came from.
        session: Day or visit; empty if unknown.
        record: Name of the recording within its subject; empty if unknown.
        added: When, in UTC, as ISO 8601.
        beats: How many beats there are.
        remark: What is worth knowing of their quality; empty if nothing is.
        sha256: Digest of the beats.
        origin: ``enrolled`` by somebody, or ``refreshed`` by a confident probe.
    """

    id: int
    subject: str
    file: str
    session: str
    record: str
    added: str
    beats: int
    remark: str
    sha256: str
    origin: Origin


class State(_Model):
    """Who is in a gallery: ids of templates, and trained subjects who were taken out."""

    present: tuple[int, ...] = ()
    removed: tuple[str, ...] = ()


class Step(_Model):
    """What was done, and the state before it."""

    did: str
    before: State


class Gallery(_Model):
    """What ``gallery.json`` holds; `templates` are those that `now` or a step names."""

    version: int = GALLERY_VERSION
    next_id: int = 1
    now: State = State()
    steps: tuple[Step, ...] = ()
    templates: tuple[Template, ...] = ()

    @property
    def enrolled(self) -> tuple[Template, ...]:
        """The templates that are in the gallery now, oldest first."""
        return tuple(t for t in self.templates if t.id in self.now.present)

    @property
    def removed(self) -> tuple[str, ...]:
        """Trained subjects who are not in the gallery."""
        return self.now.removed

    def changed(self, did: str, now: State, templates: Iterable[Template] = ()) -> Gallery:
        """Return the gallery after one more step, with what nothing names any more left out."""
        steps = (*self.steps, Step(did=did, before=self.now))[-MOST_STEPS:]
        new = tuple(templates)
        return self._with(now, steps, (*self.templates, *new), self.next_id + len(new))

    def undone(self) -> Gallery:
        """Return the gallery before its last step."""
        return self._with(self.steps[-1].before, self.steps[:-1], self.templates, self.next_id)

    def _with(
        self, now: State, steps: tuple[Step, ...], templates: tuple[Template, ...], next_id: int
    ) -> Gallery:
        named = set(now.present).union(*(step.before.present for step in steps))
        kept = tuple(t for t in templates if t.id in named)
        return Gallery(next_id=next_id, now=now, steps=steps, templates=kept)


@dataclass(frozen=True, eq=False, kw_only=True)
class Enrolment:
    """Beats of one recording that are to become a template.

    Attributes:
        subject: Who it is.
        beats: Beats of that recording, cut as the study's.
        file: The file that they came from.
        remark: What is worth knowing of their quality.
        origin: Who asked for it.
    """

    subject: str
    beats: BeatSet
    file: str | Path
    remark: str = ""
    origin: Origin = "enrolled"


def read_gallery(study: Study) -> Gallery:
    """Return the gallery of a study; an empty one if nobody was enrolled or removed.

    Raises:
        UserError: Its file is damaged, or a newer CardioTwin wrote it.
    """
    path = study.folder / GALLERY_FOLDER / GALLERY_FILE
    if not path.is_file():
        return Gallery()
    content = read_json(path)
    if isinstance(content, dict) and content.get("version", 0) > GALLERY_VERSION:
        raise UserError(path, "is of a newer CardioTwin", "Update CardioTwin")
    try:
        return Gallery.model_validate(content)
    except ValidationError:
        raise UserError(
            path, "is damaged", f"Delete the folder {GALLERY_FOLDER} and enroll again"
        ) from None


def check_name(subject: str) -> str:
    """Return a subject's name without blanks around it.

    Raises:
        UserError: It is empty, too long, or cannot be printed.
    """
    name = subject.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UserError(
            "--subject",
            f"{name[:LONGEST_NAME]!r} is no name",
            f"Give 1 to {LONGEST_NAME} characters that can be printed",
        )
    return name


def digest_of(beats: BeatSet) -> str:
    """Return the SHA-256 of beats, in hexadecimal."""
    digest = hashlib.sha256(repr((beats.signals.shape, beats.sampling_rate)).encode())
    digest.update(np.ascontiguousarray(beats.signals).tobytes())
    return digest.hexdigest()


def enrol(study: Study, additions: Sequence[Enrolment]) -> Gallery:
    """Put recordings into the gallery, as one step.

    A trained subject who was removed is back with what was learned. Of more than `MOST_REFRESHED`
    refreshed templates of a subject the last are kept.

    Raises:
        UserError: The same beats are enrolled already, or the folder cannot be written.
    """

    def change(gallery: Gallery) -> Gallery:
        (study.folder / GALLERY_FOLDER).mkdir(exist_ok=True)
        new: list[Template] = []
        present = gallery.now.present
        for number, one in enumerate(_without_surplus(additions), gallery.next_id):
            digest = digest_of(one.beats)
            same = next((t for t in (*gallery.enrolled, *new) if t.sha256 == digest), None)
            if same is not None:
                raise UserError(one.file, already_enrolled(same), "Give another recording")
            new.append(_template(number, one, digest))
            write_beats(
                replace(
                    one.beats,
                    subject=np.full(len(one.beats), one.subject),
                    recording=np.full(len(one.beats), f"template {number}"),
                ),
                _beats_file(study.folder, number),
            )
        for subject in {one.subject for one in additions if one.origin == "refreshed"}:
            present = _without_oldest(gallery, new, subject, present)
        words = {t.subject: t.origin for t in new}
        now = State(
            present=(*present, *(t.id for t in new)),
            removed=tuple(name for name in gallery.removed if name not in words),
        )
        did = ", ".join(f"{subject} {origin}" for subject, origin in words.items())
        return gallery.changed(did, now, new)

    return _change(study, change)


def already_enrolled(same: Template) -> str:
    """Return what is wrong with beats that are in the gallery already."""
    return f"its beats are enrolled already, as {same.subject} (from {same.file})"


def remove_subject(study: Study, subject: str) -> Gallery:
    """Take a subject out of the gallery, trained or enrolled, with all templates.

    Raises:
        UserError: Nobody of that name is in the gallery, or nobody would be left.
    """
    trained = trained_subjects(study)

    def change(gallery: Gallery) -> Gallery:
        known = _names(gallery, trained)
        if subject not in known:
            raise UserError(f"--remove {subject}", "is not enrolled", did_you_mean(subject, known))
        if len(known) == 1:
            raise UserError(f"--remove {subject}", "nobody would be left", "Enroll another first")
        left = tuple(t.id for t in gallery.enrolled if t.subject != subject)
        removed = gallery.removed
        if subject in trained and subject not in removed:
            removed = (*removed, subject)
        return gallery.changed(f"{subject} removed", State(present=left, removed=removed))

    return _change(study, change)


def remove_template(study: Study, template: int) -> Gallery:
    """Take one template out of the gallery.

    Raises:
        UserError: There is no such template, or nobody would be left.
    """
    trained = trained_subjects(study)

    def change(gallery: Gallery) -> Gallery:
        one = next((t for t in gallery.enrolled if t.id == template), None)
        if one is None:
            raise UserError(f"template {template}", "is not in the gallery", "Look at the list")
        left = tuple(t.id for t in gallery.enrolled if t.id != template)
        now = State(present=left, removed=gallery.removed)
        if not left and set(trained) <= set(gallery.removed):
            raise UserError(one.subject, "nobody would be left", "Enroll another first")
        return gallery.changed(f"a template of {one.subject} removed", now)

    return _change(study, change)


def undo_step(study: Study) -> tuple[Gallery, str]:
    """Put the gallery back to what it was before its last step; return it and what was undone.

    Raises:
        UserError: There is nothing to undo.
    """
    undone: list[str] = []

    def change(gallery: Gallery) -> Gallery:
        if not gallery.steps:
            raise UserError("--undo", "nothing was changed in this gallery", "Leave it out")
        undone.append(gallery.steps[-1].did)
        return gallery.undone()

    return _change(study, change), undone[0]


def trained_subjects(study: Study) -> tuple[str, ...]:
    """Return the subjects that the identifier learned.

    Raises:
        UserError: None is trained, an older CardioTwin trained it, or it names labels.
    """
    check_current(study, "identifier")
    card = study.card("identifier").get("identifier", {})
    if card.get("target") != "subject":
        raise names_labels(study)
    return tuple(card["classes"])


def names_labels(study: Study) -> UserError:
    """Return the error of asking for people where the identifier names labels."""
    return UserError(
        study.folder,
        "its identifier names labels, not people",
        "Train one with --target subject",
    )


def load_identifier(study: Study) -> Any:
    """Return the identifier of a study with everybody in its gallery, kept for the next call.

    Raises:
        UserError: It was not trained, or a file of the gallery is missing or damaged.
    """
    identifier = load_model(study, "identifier")
    if identifier.target != "subject":
        return identifier
    gallery = read_gallery(study)
    removed = frozenset(gallery.removed) & frozenset(identifier.trained)
    if not gallery.enrolled and not removed:
        return identifier
    return _with_gallery(identifier, study.folder, gallery.enrolled, removed)


@lru_cache(maxsize=4)
def _with_gallery(
    identifier: Any, folder: Path, templates: tuple[Template, ...], removed: frozenset[str]
) -> Any:
    enrolled = [(one.subject, _template_beats(folder, one)) for one in templates]
    return identifier.with_gallery(enrolled, removed=removed)


def enrolled_beats(study: Study, subject: str) -> list[BeatSet]:
    """Return the beats of each template of a subject who was enrolled.

    Raises:
        UserError: A file is missing or damaged.
    """
    templates = read_gallery(study).enrolled
    return [_template_beats(study.folder, one) for one in templates if one.subject == subject]


def _template_beats(study_folder: Path, template: Template) -> BeatSet:
    path = _beats_file(study_folder, template.id)
    try:
        return read_beats(path)
    except UserError:
        raise UserError(
            path,
            "is missing or damaged",
            f"Remove {template.subject} from the gallery and enroll again",
        ) from None


def list_gallery(study: Study) -> dict[str, Any]:
    """Return who may be named, ready for JSON.

    Returns:
        ``{"subjects": [{"subject", "trained", "sessions", "templates": [{"id", "origin", "file",
        "session", "record", "beats", "added", "remark"}]}], "removed": [name], "undo": what the
        last step was, or None}``; ``id`` and ``added`` are None for what was learned.

    Raises:
        UserError: No identifier of subjects is trained, or the gallery is damaged.
    """
    gallery, trained = read_gallery(study), trained_subjects(study)
    templates: dict[str, list[dict[str, Any]]] = {name: [] for name in _names(gallery, trained)}
    learned = study.beat_table
    learned = learned[(learned["rejected"] == "") & (learned["partition"] == "train")]
    paths = dict(zip(study.recordings["recording"], study.recordings["path"], strict=True))
    for (subject, name), rows in learned.groupby(["subject", "recording_name"], sort=False):
        if subject in trained and subject not in gallery.removed:
            templates[str(subject)].append(
                {
                    "id": None,
                    "origin": "trained",
                    "file": Path(str(paths[name])).name,
                    "session": str(rows["session"].iloc[0]),
                    "record": str(rows["record"].iloc[0]),
                    "beats": len(rows),
                    "added": None,
                    "remark": "",
                }
            )
    for one in gallery.enrolled:
        templates[one.subject].append(one.model_dump(exclude={"subject", "sha256"}))
    return {
        "subjects": [
            {
                "subject": name,
                "trained": name in trained and name not in gallery.removed,
                "sessions": sorted({one["session"] for one in mine} - {""}),
                "templates": mine,
            }
            for name, mine in templates.items()
        ],
        "removed": list(gallery.removed),
        "undo": gallery.steps[-1].did if gallery.steps else None,
    }


def _names(gallery: Gallery, trained: Sequence[str]) -> list[str]:
    """Return everybody in a gallery, those whom the identifier learned first."""
    left = [name for name in trained if name not in gallery.removed]
    return list(dict.fromkeys([*left, *(t.subject for t in gallery.enrolled)]))


def _template(number: int, one: Enrolment, digest: str) -> Template:
    return Template(
        id=number,
        subject=one.subject,
        file=Path(one.file).name,
        session=str(one.beats.session[0]),
        record=str(one.beats.record[0]),
        added=datetime.now(UTC).isoformat(timespec="seconds"),
        beats=len(one.beats),
        remark=one.remark,
        sha256=digest,
        origin=one.origin,
    )


def _without_surplus(additions: Sequence[Enrolment]) -> list[Enrolment]:
    """Return what is added, without the first refreshed ones of a subject that are too many."""
    kept: list[Enrolment] = []
    refreshed: Counter[str] = Counter()
    for one in reversed(additions):
        if one.origin == "refreshed":
            refreshed[one.subject] += 1
        if one.origin != "refreshed" or refreshed[one.subject] <= MOST_REFRESHED:
            kept.append(one)
    return kept[::-1]


def _without_oldest(
    gallery: Gallery, new: Sequence[Template], subject: str, present: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the ids without the oldest refreshed templates of a subject that are too many."""

    def refreshed(templates: Iterable[Template]) -> list[int]:
        return [t.id for t in templates if t.subject == subject and t.origin == "refreshed"]

    old = refreshed(gallery.enrolled)
    room = MOST_REFRESHED - len(refreshed(new))
    surplus = old[: max(0, len(old) - room)]
    return tuple(i for i in present if i not in surplus)


def _change(study: Study, change: Callable[[Gallery], Gallery]) -> Gallery:
    """Write the gallery that `change` makes of the one that is there, and no file too many."""
    folder = study.folder / GALLERY_FOLDER
    with writing(study.folder):
        before = read_gallery(study)
        try:
            after = change(before)
            write_json(folder / GALLERY_FILE, after.model_dump(mode="json"))
        except OSError as error:
            raise UserError(
                folder,
                f"cannot be written ({error.strerror})",
                "Choose a folder that you may write to",
            ) from None
        finally:
            kept = {_beats_file(study.folder, t.id).name for t in read_gallery(study).templates}
            for path in folder.glob("*.npz"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)
    return after


def _beats_file(study_folder: Path, template: int) -> Path:
    return study_folder / GALLERY_FOLDER / f"{template:05d}.npz"

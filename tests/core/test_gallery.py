"""The gallery of a study: what is enrolled stays, every change is whole and can be undone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import gallery
from core.beat_set import BeatSet, per_beat_fields, read_beats
from core.errors import UserError
from core.gallery import (
    Enrolment,
    check_name,
    enrol,
    list_gallery,
    load_identifier,
    read_gallery,
    remove_subject,
    remove_template,
    undo_step,
)
from core.options import MODEL_FORMATS
from core.study import Study, writing

LEARNED = ("S01", "S02")


@pytest.fixture
def study(tmp_path: Path, prepared_study: Path) -> Study:
    """A study whose identifier's card names two of its four subjects."""
    folder = tmp_path / "study"
    shutil.copytree(prepared_study, folder)
    (folder / "models" / "identifier").mkdir(parents=True)
    card = {
        "identifier": {"target": "subject", "classes": LEARNED},
        "recipe": {"format": MODEL_FORMATS["identifier"]},
    }
    (folder / "models" / "identifier" / "card.json").write_text(json.dumps(card))
    return Study.open(folder)


def _beats(study: Study, recording: str) -> BeatSet:
    beats = study.beats("all")
    return beats.take(beats.recording == recording)


def _one(study: Study, subject: str, recording: str, **more: Any) -> Enrolment:
    return Enrolment(
        subject=subject, beats=_beats(study, recording), file=f"{recording}.hea", **more
    )


def _people(study: Study) -> dict[str, list[str]]:
    return {
        one["subject"]: [template["file"] for template in one["templates"]]
        for one in list_gallery(study)["subjects"]
    }


def _files(study: Study) -> list[str]:
    return sorted(path.name for path in (study.folder / "gallery").glob("*.npz"))


def test_beats_are_kept_as_they_are_with_their_rhythm(study: Study) -> None:
    given = _beats(study, "S03/session_1")
    after = enrol(study, [_one(study, "Ann", "S03/session_1", remark="1 of 35 left out.")])
    stored = read_beats(study.folder / "gallery" / _files(study)[0])
    for name in set(per_beat_fields()) - {"subject", "recording"}:
        np.testing.assert_array_equal(getattr(stored, name), getattr(given, name))
    assert np.isfinite(stored.rr_before[1:]).all()
    assert set(stored.subject) == {"Ann"}
    assert (stored.sampling_rate, stored.before_s) == (given.sampling_rate, given.before_s)
    template = after.enrolled[0]
    assert (template.beats, template.session) == (len(given), given.session[0])
    assert template.remark == "1 of 35 left out."


def test_the_list_tells_who_was_learned_and_who_enrolled(study: Study) -> None:
    additions = [_one(study, "Ann", "S03/session_1"), _one(study, "S01", "S01/session_2")]
    enrol(study, additions)
    listed = {one["subject"]: one for one in list_gallery(study)["subjects"]}
    assert list(listed) == ["S01", "S02", "Ann"]
    assert [one["trained"] for one in listed.values()] == [True, True, False]
    origins = [template["origin"] for template in listed["S01"]["templates"]]
    assert origins == ["trained", "enrolled"]
    sessions = {_beats(study, f"S01/session_{i}").session[0] for i in (1, 2)}
    assert set(listed["S01"]["sessions"]) == sessions
    assert json.loads(json.dumps(list_gallery(study))) == list_gallery(study)


def test_every_change_can_be_undone(study: Study) -> None:
    seen = [_people(study)]
    enrol(study, [_one(study, "Ann", "S03/session_1"), _one(study, "Ann", "S03/session_2")])
    seen.append(_people(study))
    remove_template(study, read_gallery(study).enrolled[0].id)
    seen.append(_people(study))
    assert seen[-1]["Ann"] == ["session_2.hea"]
    remove_subject(study, "S02")
    seen.append(_people(study))
    assert "S02" not in seen[-1]
    assert list_gallery(study)["removed"] == ["S02"]
    remove_subject(study, "Ann")
    assert list(_people(study)) == ["S01"]
    assert len(_files(study)) == 2
    for before in reversed(seen):
        undo_step(study)
        assert _people(study) == before
    assert _files(study) == []
    assert list_gallery(study)["undo"] is None
    with pytest.raises(UserError, match="nothing was changed"):
        undo_step(study)


def test_undo_tells_what_it_undid(study: Study) -> None:
    enrol(study, [_one(study, "Ann", "S03/session_1")])
    assert list_gallery(study)["undo"] == "Ann enrolled"
    assert undo_step(study)[1] == "Ann enrolled"


def test_a_trained_subject_enrolled_after_removal_is_back(study: Study) -> None:
    remove_subject(study, "S01")
    enrol(study, [_one(study, "S01", "S01/session_2")])
    assert _people(study)["S01"] == ["session_1.hea", "session_2.hea"]
    remove_subject(study, "S01")
    assert list(_people(study)) == ["S02"]
    undo_step(study)
    undo_step(study)
    assert list_gallery(study)["removed"] == ["S01"]


@pytest.mark.parametrize("name", ["Ann", "Bob"])
def test_the_same_beats_are_not_enrolled_twice(study: Study, name: str) -> None:
    enrol(study, [_one(study, "Ann", "S03/session_1")])
    before = read_gallery(study)
    with pytest.raises(UserError, match=r"already, as Ann \(from session_1.hea\)"):
        enrol(study, [_one(study, "Eve", "S04/session_1"), _one(study, name, "S03/session_1")])
    assert read_gallery(study) == before
    assert len(_files(study)) == 1


def test_beats_are_deleted_once_no_step_needs_them(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "MOST_STEPS", 2)
    enrol(study, [_one(study, "Ann", "S03/session_1")])
    remove_subject(study, "Ann")
    enrol(study, [_one(study, "Bob", "S04/session_1")])
    assert len(_files(study)) == 2
    enrol(study, [_one(study, "Eve", "S04/session_2")])
    assert _files(study) == ["00002.npz", "00003.npz"]
    undo_step(study)
    undo_step(study)
    assert list(_people(study)) == list(LEARNED)
    with pytest.raises(UserError, match="nothing was changed"):
        undo_step(study)


def test_the_oldest_refreshed_template_makes_room(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "MOST_REFRESHED", 2)
    enrol(study, [_one(study, "Ann", "S01/session_1")])
    for recording in ("S02/session_1", "S03/session_1", "S04/session_1"):
        enrol(study, [_one(study, "Ann", recording, origin="refreshed")])
    assert [t.id for t in read_gallery(study).enrolled] == [1, 3, 4]
    undo_step(study)
    assert [t.id for t in read_gallery(study).enrolled] == [1, 2, 3]


def test_of_many_refreshed_at_once_the_last_are_kept(study: Study) -> None:
    enrol(study, [_one(study, "Eve", "S01/session_1")])
    recordings = list(dict.fromkeys(study.beats("all").recording))[1:]
    more = [_one(study, "Ann", name, origin="refreshed") for name in recordings]
    assert len(more) == 7 > gallery.MOST_REFRESHED
    enrol(study, more)
    mine = [t.sha256 for t in read_gallery(study).enrolled if t.subject == "Ann"]
    assert mine == [gallery.digest_of(one.beats) for one in more[-gallery.MOST_REFRESHED :]]
    assert len(_files(study)) == 1 + gallery.MOST_REFRESHED
    undo_step(study)
    assert [t.origin for t in read_gallery(study).enrolled] == ["enrolled"]


def test_nobody_unknown_and_not_everybody_is_removed(study: Study) -> None:
    with pytest.raises(UserError, match="Did you mean"):
        remove_subject(study, "S0l")
    with pytest.raises(UserError, match="not in the gallery"):
        remove_template(study, 7)
    remove_subject(study, "S01")
    with pytest.raises(UserError, match="nobody would be left"):
        remove_subject(study, "S02")
    enrol(study, [_one(study, "Ann", "S03/session_1")])
    remove_subject(study, "S02")
    with pytest.raises(UserError, match="nobody would be left"):
        remove_template(study, read_gallery(study).enrolled[0].id)
    assert list(_people(study)) == ["Ann"]


def test_a_change_that_fails_leaves_all_as_it_was(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(study, [_one(study, "Ann", "S03/session_1")])
    before = read_gallery(study)

    def full(path: Path, content: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(gallery, "write_json", full)
        with pytest.raises(UserError, match="No space left"):
            enrol(study, [_one(study, "Bob", "S04/session_1")])
    with writing(study.folder), pytest.raises(UserError, match="another command"):
        remove_subject(study, "Ann")
    assert read_gallery(study) == before
    assert _files(study) == ["00001.npz"]


@pytest.mark.parametrize("content", ["", "[1]", '{"version": 1, "now": 3}', '{"version": 9}'])
def test_a_damaged_gallery_is_a_users_error(study: Study, content: str) -> None:
    enrol(study, [_one(study, "Ann", "S03/session_1")])
    (study.folder / "gallery" / "gallery.json").write_text(content)
    with pytest.raises(UserError, match=r"gallery\.json: is"):
        list_gallery(study)


def test_an_identifier_of_labels_has_no_gallery(study: Study) -> None:
    card = study.card("identifier") | {"identifier": {"target": "label", "classes": ["N", "V"]}}
    (study.folder / "models" / "identifier" / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="labels, not people"):
        list_gallery(study)


@pytest.mark.parametrize("recipe", [{}, {"recipe": {"format": MODEL_FORMATS["identifier"] - 1}}])
def test_an_identifier_of_an_older_version_is_told(study: Study, recipe: dict[str, Any]) -> None:
    card = {"identifier": {"target": "subject", "classes": LEARNED}, **recipe}
    (study.folder / "models" / "identifier" / "card.json").write_text(json.dumps(card))
    told = r"was trained by an older CardioTwin\. Train it again: .* --models identifier\.$"
    for ask in (list_gallery, load_identifier):
        with pytest.raises(UserError, match=told):
            ask(study)


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101, "\x1b[2J"])
def test_a_name_can_be_printed(name: str) -> None:
    with pytest.raises(UserError, match="is no name"):
        check_name(name)
    assert check_name(" Åsa Ng ") == "Åsa Ng"


def test_the_identifier_has_the_gallery_of_the_moment(trained_study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(trained_study, folder)
    study = Study.open(folder)
    plain = load_identifier(study)
    assert plain.classes == plain.trained
    enrol(study, [_one(study, "Ann", "S03/session_2")])
    remove_subject(study, "S02")
    changed = load_identifier(study)
    assert set(changed.classes) == {"S01", "S03", "S04", "Ann"}
    assert load_identifier(study) is changed, "it is made anew at every call"
    assert plain.classes == load_identifier(Study.open(trained_study)).classes
    (folder / "gallery" / "00001.npz").unlink()
    remove_subject(study, "S01")
    with pytest.raises(UserError, match="Remove Ann from the gallery"):
        load_identifier(study)
    remove_subject(study, "Ann")
    assert set(load_identifier(study).classes) == {"S03", "S04"}

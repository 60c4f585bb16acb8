"""Who it is, is it this person, and enrolment without training: names, or why there is none."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import gallery, workflow
from core.beat_set import concatenate, write_beats
from core.errors import UserError
from core.study import Study, writing

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "demo_study"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The shipped study of S01 to S12, which a test may change; S13 to S24 are strangers to it."""
    folder = tmp_path / "study"
    shutil.copytree(SHIPPED, folder)
    return folder


def _identify(study: Path, file: Path, **more: Any) -> dict[str, Any]:
    answer: dict[str, Any] = workflow.identify(study, [file], **more)["results"][0]
    return answer


def _content(folder: Path) -> dict[Path, str]:
    """Return a digest of every file below a folder, but for the lock, which holds nothing."""
    return {
        p: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and p.name != ".lock"
    }


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    path = tmp_path / "noise.csv"
    np.savetxt(path, np.random.default_rng(0).standard_normal(2500), fmt="%.4f")
    return path


def test_a_person_is_added_from_one_recording_without_training(
    study: Path, demo_recordings: Path
) -> None:
    probe = demo_recordings / "S22" / "session_2.hea"
    before = _identify(study, probe)
    assert not before["accepted"]
    models = _content(study / "models")
    given = demo_recordings / "S22" / "session_1.hea"
    result = workflow.enroll(study, [given], subject="Ann")
    assert result == {
        "subject": "Ann",
        "enrolled": [{"file": str(given), "beats": result["enrolled"][0]["beats"], "reason": ""}],
        "templates": 1,
        "gallery": 13,
        "remarks": [],
    }
    assert result["enrolled"][0]["beats"] > 20
    assert _content(study / "models") == models
    after = _identify(study, probe)
    assert (after["predicted"], after["accepted"], after["reason"]) == ("Ann", True, "")
    assert set(after["scores"]) == set(before["scores"]) | {"Ann"}
    assert workflow.verify(study, [probe], subject="Ann")["results"][0]["match"]
    for subject in ("S01", "S05", "S09", "S12"):
        other = demo_recordings / subject / "session_2.hea"
        assert _identify(study, other)["predicted"] == subject
        assert not workflow.verify(study, [other], subject="Ann")["results"][0]["match"]


def test_a_file_that_tells_nothing_is_not_enrolled(
    study: Path, demo_recordings: Path, noise: Path
) -> None:
    before = _content(study)
    with pytest.raises(UserError, match=r"noise.csv: .*Give another recording of this person"):
        workflow.enroll(study, [noise], subject="Ann", source_rate=250)
    missing = noise.with_name("missing.hea")
    with pytest.raises(UserError, match="no such file"):
        workflow.enroll(study, [missing], subject="Ann")
    with pytest.raises(UserError):
        workflow.enroll(study, [missing, noise], subject="Ann", source_rate=250)
    assert _content(study) == before
    good = demo_recordings / "S22" / "session_1.hea"
    result = workflow.enroll(study, [missing, good, noise], subject="Ann", source_rate=250)
    assert [bool(entry["reason"]) for entry in result["enrolled"]] == [True, False, True]
    assert result["templates"] == 1


def test_few_and_synthetic_and_mixed_beats_are_not_enrolled(study: Path, tmp_path: Path) -> None:
    beats = Study.open(study).beats("test")
    mine = beats.take(beats.subject == "S01")
    for name, chosen, reason in (
        ("two", mine.take(slice(2)), "only 2 clear beats"),
        ("mixed", beats, "beats of 12 people"),
        ("drawn", replace(mine, synthetic=np.ones(len(mine), dtype=bool)), "synthetic"),
    ):
        write_beats(chosen, tmp_path / f"{name}.npz")
        with pytest.raises(UserError, match=reason):
            workflow.enroll(study, [tmp_path / f"{name}.npz"], subject="Ann")
    write_beats(mine, tmp_path / "good.npz")
    assert workflow.enroll(study, [tmp_path / "good.npz"], subject="S01")["templates"] == 1


def test_enrolling_the_same_beats_again_is_told_and_changes_nothing(
    study: Path, demo_recordings: Path, tmp_path: Path
) -> None:
    given = demo_recordings / "S22" / "session_1.hea"
    for ending in (".hea", ".dat"):
        shutil.copy(given.with_suffix(ending), tmp_path)
    both = workflow.enroll(study, [given, tmp_path / "session_1.hea"], subject="Ann")
    assert both["templates"] == 1
    assert "same beats" in both["enrolled"][1]["reason"]
    before = _content(study)
    with pytest.raises(UserError, match="enrolled already, as Ann"):
        workflow.enroll(study, [given], subject="Bob")
    assert _content(study) == before


def test_a_look_alike_and_a_mismatch_are_enrolled_with_a_remark(
    study: Path, demo_recordings: Path
) -> None:
    known = demo_recordings / "S01" / "session_2.hea"
    assert workflow.enroll(study, [known], subject="Eve")["remarks"] == [
        "session_2.hea resembles S01."
    ]
    stranger = demo_recordings / "S22" / "session_1.hea"
    remarks = workflow.enroll(study, [stranger], subject="S02")["remarks"]
    assert "unlike what was known of S02" in remarks[0]


def test_two_who_are_level_are_both_told(study: Path, demo_recordings: Path) -> None:
    for subject, record in (("Ann", "session_1"), ("Bob", "session_2")):
        given = demo_recordings / "S22" / f"{record}.hea"
        workflow.enroll(study, [given], subject=subject)
    files = [demo_recordings / "S22" / f"session_{i}.hea" for i in (1, 2)]
    read = [workflow.read_probe(Study.open(study), file)[0] for file in files]
    halves = [beats.take(slice(0, None, 2)) for beats in read]
    write_beats(concatenate(halves), study.parent / "both.npz")
    answer = _identify(study, study.parent / "both.npz")
    assert not answer["accepted"]
    assert answer["reason"] in ("like both Ann and Bob", "like both Bob and Ann")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101])
def test_a_name_that_is_none_is_refused_before_anything_is_read(study: Path, name: str) -> None:
    with pytest.raises(UserError, match="--subject"):
        workflow.enroll(study, ["no/such/file.hea"], subject=name)


def test_who_is_removed_is_not_named_until_it_is_undone(study: Path, demo_recordings: Path) -> None:
    probe = demo_recordings / "S01" / "session_2.hea"
    assert _identify(study, probe)["predicted"] == "S01"
    listed = workflow.gallery(study, remove="S01")
    assert listed["removed"] == ["S01"]
    removed = _identify(study, probe)
    assert "S01" not in removed["scores"]
    assert not removed["accepted"]
    with pytest.raises(UserError, match="not enrolled"):
        workflow.verify(study, [probe], subject="S01")
    assert workflow.gallery(study, undo=True)["undone"] == "S01 removed"
    again = _identify(study, probe)
    assert (again["predicted"], again["accepted"]) == ("S01", True)
    with pytest.raises(UserError, match="one after the other"):
        workflow.gallery(study, remove="S01", undo=True)


def test_one_template_is_removed(study: Path, demo_recordings: Path) -> None:
    files = [demo_recordings / "S22" / f"session_{i}.hea" for i in (1, 2)]
    workflow.enroll(study, files, subject="Ann")
    templates = workflow.gallery(study)["subjects"][-1]["templates"]
    left = workflow.remove_enrolled(study, template=templates[0]["id"])["subjects"][-1]
    assert [one["file"] for one in left["templates"]] == ["session_2.hea"]
    assert workflow.undo_gallery(study)["subjects"][-1]["templates"] == templates


def test_only_a_confident_probe_refreshes_and_only_where_asked(
    study: Path, demo_recordings: Path, noise: Path
) -> None:
    known = demo_recordings / "S01" / "session_1.hea"
    stranger = demo_recordings / "S22" / "session_1.hea"
    before = _content(study)
    assert "refreshed" not in _identify(study, known)
    assert _content(study) == before
    files = [known, stranger, noise, known]
    answers = workflow.identify(study, files, refresh=True, source_rate=250)["results"]
    assert [answer["refreshed"] for answer in answers] == [True, False, False, False]
    listed = {one["subject"]: one for one in workflow.gallery(study)["subjects"]}
    assert [one["origin"] for one in listed["S01"]["templates"]] == ["trained", "refreshed"]
    assert len(listed) == 12
    assert not _identify(study, known, refresh=True)["refreshed"]
    workflow.undo_gallery(study)
    assert {k: v for k, v in _content(study).items() if k in before} == before


def test_a_locked_study_refreshes_nobody_and_still_answers(
    study: Path, demo_recordings: Path
) -> None:
    known = demo_recordings / "S01" / "session_1.hea"
    plain = _identify(study, known)
    with writing(study):
        answer = _identify(study, known, refresh=True)
    assert not answer.pop("refreshed")
    assert "another command is writing" in answer.pop("remark")
    assert answer == plain
    assert not (study / "gallery").exists()


def test_a_probe_that_later_ones_displace_is_not_called_refreshed(
    study: Path, demo_recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery, "MOST_REFRESHED", 1)
    beats = workflow.read_probe(Study.open(study), demo_recordings / "S01" / "session_1.hea")[0]
    files = [study.parent / f"{i}.npz" for i in range(2)]
    for i, file in enumerate(files):
        write_beats(beats.take(slice(i, None, 2)), file)
    answers = workflow.identify(study, files, refresh=True)["results"]
    assert [answer["refreshed"] for answer in answers] == [False, True]
    assert "later files" in answers[0]["remark"]
    assert "remark" not in answers[1]


@pytest.mark.parametrize(
    ("fill", "ending"),
    [
        (0.0, ".npz"),
        (0.0, ".csv"),
        (0.3, ".npz"),
        (np.nan, ".npz"),
        (np.inf, ".csv"),
        (1e30, ".npz"),
    ],
)
def test_beats_without_a_heart_in_them_are_left_out(
    study: Path, tmp_path: Path, fill: float, ending: str
) -> None:
    beats = Study.open(study).beats("test")
    mine = beats.take(beats.subject == "S01")
    signals = np.full_like(mine.signals, fill)
    if fill == 1e30:
        signals[:, ::2] *= -1
    none = replace(mine, signals=signals)
    before = _content(study)
    write_beats(none, tmp_path / f"none{ending}")
    answer = _identify(study, tmp_path / f"none{ending}")
    assert (answer["reason"], answer["beats"]) == ("no clear beat was found", 0)
    assert not answer["accepted"]
    with pytest.raises(UserError, match="no clear beat was found"):
        workflow.enroll(study, [tmp_path / f"none{ending}"], subject="Ann")
    assert _content(study) == before
    write_beats(concatenate([none.take(slice(0, 4)), mine]), tmp_path / f"some{ending}")
    workflow.enroll(study, [tmp_path / f"some{ending}"], subject="Ann")
    template = workflow.gallery(study)["subjects"][-1]["templates"][0]
    assert template["beats"] == len(mine)
    assert template["remark"] == f"4 of its {4 + len(mine)} beats were left out."


def test_the_probability_is_of_the_one_who_is_named(study: Path, demo_recordings: Path) -> None:
    for subject in ("S01", "S03", "S12"):
        answer = _identify(study, demo_recordings / subject / "session_2.hea")
        assert answer["predicted"] == subject
        assert 0.5 < answer["probability"] <= 1


def test_a_file_of_several_people_is_of_nobody(study: Path, tmp_path: Path) -> None:
    write_beats(Study.open(study).beats("test"), tmp_path / "all.npz")
    answer = _identify(study, tmp_path / "all.npz")
    assert not answer["accepted"]
    assert answer["reason"] == "it holds beats of 12 people"
    verified = workflow.verify(study, [tmp_path / "all.npz"], subject="S01")["results"][0]
    assert (verified["match"], verified["reason"]) == (False, answer["reason"])


def test_verify_doubts_what_identify_doubts(
    study: Path, demo_recordings: Path, noise: Path
) -> None:
    probes = [noise, demo_recordings / "S01" / "session_2.hea"]
    named = workflow.identify(study, probes, source_rate=250)["results"]
    asked = workflow.verify(study, probes, subject="S02", source_rate=250)["results"]
    assert asked[0]["reason"] == named[0]["reason"] != ""
    assert not asked[0]["match"]
    assert not asked[1]["match"]
    assert asked[1]["reason"]


@pytest.fixture(scope="module")
def label_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of ready beats of two labels and of no subject."""
    folder = tmp_path_factory.mktemp("labels")
    rng = np.random.default_rng(0)
    time_s = np.arange(187) / 125 - 0.25
    rows = []
    for label, width in (("N", 0.02), ("V", 0.05)):
        for _ in range(60):
            beat = np.exp(-((time_s / width) ** 2)) + 0.02 * rng.standard_normal(187)
            rows.append(",".join(f"{v:.4f}" for v in beat) + f",{label}")
    (folder / "beats.csv").write_text("\n".join(rows) + "\n")
    study = folder / "study"
    workflow.prepare([folder / "beats.csv"], study, options={"split": "random"})
    workflow.train(study, models=["identifier"], preset="quick")
    return study


def test_an_identifier_of_labels_names_labels_and_has_no_gallery(label_study: Path) -> None:
    """The file has a few more beats of N than of V, each named beside the others."""
    beats = Study.open(label_study).beats("all")
    file = label_study.parent / "beats.npz"
    write_beats(beats.take(slice(0, 100)), file)
    answer = _identify(label_study, file, per_beat=True)
    assert set(answer["scores"]) == {"N", "V"}
    assert answer["predicted"] == max(answer["scores"], key=answer["scores"].__getitem__)
    told = [one["predicted"] for one in answer["per_beat"]]
    assert np.mean(np.array(told) == beats.label[:100]) > 0.9
    for ask in (
        lambda: workflow.verify(label_study, [file], subject="N"),
        lambda: workflow.enroll(label_study, [file], subject="Ann"),
        lambda: workflow.identify(label_study, [file], refresh=True),
        lambda: workflow.gallery(label_study),
    ):
        with pytest.raises(UserError, match="names labels, not people"):
            ask()
    assert not (label_study / "gallery").exists()

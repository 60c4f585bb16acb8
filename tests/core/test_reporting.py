"""A report: every number is in the study's folder, every command gives it anew, it stands alone."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core import cli, workflow
from core.beat_set import read_beats
from core.errors import UserError
from core.plots.style import SYNTHETIC
from core.report_pages import Cell, Picture, Table
from core.reporting import NOTICE, commands_of, sections_of, told_figures, write_report
from core.study import Study
from tests.core.plots.test_paper_print import words

ROOT = Path(__file__).resolve().parents[2]
DEMO_STUDY = ROOT / "assets" / "demo_study"
NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")

FIGURES = {
    "protocol": "split by record",
    "identification": {
        "real": {
            "methods": {
                "joined": {
                    "name": "network and discriminants",
                    "beat": {
                        "probes": 9,
                        "rank_1": 0.5,
                        "rank_1_interval": [0.25, 0.75],
                        "eer": 0.1,
                        "tar_01": None,
                    },
                }
            },
            "detection": {"recording": {"dir_5": 0.8, "curve": {"threshold": [0.1, 0.2]}}},
            "reliability": {"beat": {"ece": 0.02, "bins": [{"low": 0.0, "high": 0.1}]}},
        },
        "labels": {"macro_f1": 0.4, "per_class": {"A/b": {"f1": 0.3, "sensitivity": 0.2}}},
        "robustness": {
            "protocol": "disturbed",
            "rows": [
                {"disturbance": "undisturbed", "level": None, "unit": "", "beat": 0.9,
                 "recording": 1.0},
                {"disturbance": "noise", "level": 10, "unit": "dB", "beat": 0.5,
                 "recording": None},
            ],
        },
        "gan": {"rank1_beat": {"value": 0.00012, "ceiling": 1.0, "protocol": "generated"}},
    },
}  # fmt: skip


class Page(HTMLParser):
    """What a page holds: cells with their sources, tags with their attributes, its own text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[tuple[str, str]] = []
        self.text: list[str] = []
        self._open: list[tuple[str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("td", "small"):
            self._open.append((tag, dict(attrs).get("data-source") or ""))
            self.cells.append(("", self._open[-1][1]))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._open:
            text, source = self.cells[-1]
            self.cells[-1] = (text + data, source)


@pytest.fixture(scope="module")
def study() -> Study:
    """The demo study that comes with the project: trained and judged."""
    found = Study.open(DEMO_STUDY)
    assert found.figures() is not None
    return found


@pytest.fixture(scope="module")
def page(study: Study, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(study, out)
    return out.read_text(encoding="utf-8")


def stored(folder: Path, source: str) -> Any:
    """Return what stands at a source, read by json and pandas alone."""
    file, place = source.split("#", 1)
    if file.endswith(".parquet"):
        recording, column = place.rsplit("/", 1)
        table = pd.read_parquet(folder / file).set_index("recording")
        return table.loc[recording, column]
    node = json.loads((folder / file).read_text())
    for step in place[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


def test_every_number_of_a_table_is_in_the_folder(page: str) -> None:
    cells = Page(page).cells
    sourced = [(text.strip(), source) for text, source in cells if source]
    assert len(sourced) > 300
    assert {source.split("#")[0].split("/")[0] for _, source in sourced} == {
        "recordings.parquet",
        "models",
        "reports",
    }
    for text, source in sourced:
        told = re.findall(NUMBER.pattern.replace("(", "(?:"), text)
        values = stored(DEMO_STUDY, source)
        values = values if isinstance(values, list) else [values]
        assert len(told) == len(values), source
        for one, value in zip(told, values, strict=True):
            digits = f"{float(value):.1e}" if "e" in one else ""
            places = len(one.split(".")[1]) if "." in one and not digits else 0
            assert one == (digits or f"{float(value):.{places}f}"), source


def test_no_number_of_a_table_is_without_a_source(page: str) -> None:
    """But for the study's facts, which the next test takes from the tables themselves."""
    body = page[page.index("In short</h2>") :]
    bare = [text for text, source in Page(body).cells if NUMBER.fullmatch(text) and not source]
    assert bare == []


def test_facts_follow_from_the_tables(page: str) -> None:
    recordings = pd.read_parquet(DEMO_STUDY / "recordings.parquet")
    beats = pd.read_parquet(DEMO_STUDY / "beats.parquet")
    kept = beats[beats["rejected"] == ""]
    info = json.loads((DEMO_STUDY / "study.json").read_text())
    cells = {text for text, _ in Page(page).cells}
    used = int(recordings["usable"].sum())
    assert str(kept["subject"].nunique()) in cells
    assert f"{len(recordings)}, of which {used} are used" in cells
    assert f"{len(kept)} kept, {len(beats) - len(kept)} rejected" in cells
    assert f"{recordings['duration_s'].sum() / 60:.1f} minutes" in cells
    parts = kept["partition"].value_counts()
    assert any(all(f"{name} {n}" in cell for name, n in parts.items()) for cell in cells)
    assert info["fingerprint"] in cells
    assert info["remarks"][0] in cells
    for name, version in info["versions"].items():
        assert any(f"{name} {version}" in cell for cell in cells)
    total = kept["subject"].value_counts()
    assert f"{total.min()} to {total.max()} beats a subject" in page


def test_every_protocol_is_told(page: str, study: Study) -> None:
    text = " ".join(Page(page).text)
    for figure in told_figures(study.figures()):
        assert figure.protocol in text
    assert text.count("[1]") >= 2


def test_page_stands_alone_and_is_small(page: str) -> None:
    assert len(page.encode()) < 1_000_000
    assert "http" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= set(re.findall(r"url\((#[^)]*)\)", page))
    for tag, attributes in Page(page).tags:
        assert tag not in ("script", "link", "img", "iframe")
        assert (attributes.get("href") or "#").startswith("#")
    names = [attributes["id"] for _, attributes in Page(page).tags if "id" in attributes]
    assert len(names) == len(set(names))


def test_page_can_be_read_by_everybody(page: str) -> None:
    tags = Page(page).tags
    by_name = {name: [a for tag, a in tags if tag == name] for name, _ in tags}
    assert by_name["html"][0]["lang"] == "en"
    assert len(by_name["h1"]) == 1
    assert len(by_name["h2"]) >= 8
    assert all(a.get("scope") in ("col", "row") for a in by_name["th"])
    assert all(a["role"] == "img" and a["aria-label"] for a in by_name["svg"])
    assert len(by_name["svg"]) == len(by_name["figcaption"])
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    assert NOTICE in page


def test_generated_panels_are_marked(page: str, study: Study, tmp_path: Path) -> None:
    assert page.count(f">{SYNTHETIC}<") == page.count(">Generated (") == 6
    write_report(study, tmp_path / "report.pdf")
    said = words(tmp_path / "report.pdf")
    assert said.count(SYNTHETIC) == 6
    assert said.count("Generated \\(") == 6
    assert NOTICE in said


@pytest.mark.parametrize("ending", [".html", ".pdf"])
def test_same_study_same_bytes(ending: str, study: Study, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(Study.open(study.folder), tmp_path / name / f"report{ending}")
    first, second = ((tmp_path / name / f"report{ending}").read_bytes() for name in "ab")
    assert first == second
    assert [p.name for p in (tmp_path / "a").iterdir()] == [f"report{ending}"]


@pytest.mark.parametrize("name", [r"$\q$", "$_$"])
def test_names_are_words_not_formulas(name: str, tmp_path: Path) -> None:
    from core.plots.report_plots import draw_counts
    from core.report_pages import Section as Part
    from core.report_pages import as_html, write_pdf

    def draw(figure: Any) -> None:
        draw_counts(figure, {"train": {name: 3}}, x_title="Subject")

    parts = [Part("S", [Picture("P", "alt", "", draw)])]
    assert f">{name}<" in as_html("T", "", "", parts)
    write_pdf(tmp_path / "page.pdf", "T", "", name, parts)
    assert (tmp_path / "page.pdf").is_file()


def test_ticks_keep_their_digits() -> None:
    """Coordinates are rounded to save room; what a picture says is not."""
    from core.report_pages import Section as Part
    from core.report_pages import as_html

    def draw(figure: Any) -> None:
        figure.subplots().set_yticks([0.0125, 0.0175])

    told = as_html("T", "", "", [Part("S", [Picture("P", "alt", "", draw)])])
    assert "0.0125" in told
    assert "0.0175" in told


def test_commands_make_the_same_study(
    demo_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [demo_recordings / name for name in ("S01", "S02")]
    options = {"lowpass_hz": 35.0, "split": "time", "notch_hz": 50, "leads": ("I",)}
    workflow.prepare(sources, tmp_path / "first", options=options)
    first = Study.open(tmp_path / "first")
    line, *others = commands_of(first)
    assert [one.split()[3] for one in others] == ["report"]
    monkeypatch.chdir(ROOT)
    program, flag, module, *arguments = shlex.split(line.replace("DIR", str(tmp_path / "again")))
    assert (program, flag, module) == ("python", "-m", "core")
    assert cli.main(arguments) == 0
    again = Study.open(tmp_path / "again")
    assert again.info.options == first.info.options
    assert again.info.fingerprint == first.info.fingerprint
    pd.testing.assert_frame_equal(again.beat_table, first.beat_table)


def test_commands_draw_the_same_beats_and_train_the_same_models(
    study: Study, tmp_path: Path
) -> None:
    lines = commands_of(study)
    (train,) = (line for line in lines if " train " in line)
    for name in ("autoencoder", "mixture", "gan", "authenticity", "identifier"):
        card = study.card(name)
        assert name in train
        assert f"--preset {card['preset']} --seed {card['seed']}" in train
    figures = study.figures()
    assert figures is not None
    assert any(f"evaluate DIR --seed {figures['seed']} --redraws" in line for line in lines)
    line = next(line for line in lines if "--model mixture" in line)
    arguments = shlex.split(line.replace("DIR", str(DEMO_STUDY)))[3:]
    arguments[arguments.index("--out") + 1] = str(tmp_path / "beats.npz")
    assert cli.main(arguments) == 0
    (signals,) = (s for s in sections_of(study) if s.title == "Signals")
    picture = signals.parts[0]
    assert isinstance(picture, Picture)
    panels = picture.draw.keywords["panels"]  # type: ignore[attr-defined]
    drawn = next(panel for panel in panels if "mixture" in panel.name)
    np.testing.assert_array_equal(read_beats(tmp_path / "beats.npz").signals[:, :, 0], drawn.beats)


def test_what_was_not_done_is_told(
    demo_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study with a file that was refused, without models and figures."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "bad.edf").write_bytes(b"0       " * 40)
    for file in (demo_recordings / "S01").iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    workflow.prepare([source], tmp_path / "study")
    for ending in (".html", ".pdf"):
        write_report(Study.open(tmp_path / "study"), tmp_path / f"report{ending}")
    said = " ".join(Page((tmp_path / "report.html").read_text()).text)
    assert "bad.edf" in said
    assert "and why (1)" in said
    assert "Not evaluated yet" in said
    assert "python -m core evaluate DIR" in said
    assert SYNTHETIC not in said
    assert "Not evaluated yet" in words(tmp_path / "report.pdf")


def test_another_ending_is_refused(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.html or \.pdf"):
        write_report(study, tmp_path / "report.docx")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(study, tmp_path / "no" / "report.html")


def test_figures_have_words_an_interval_a_source_and_a_protocol() -> None:
    told = {
        one.name: (one.cell(), one.cell("ceiling"), one.protocol) for one in told_figures(FIGURES)
    }
    here = "reports/figures.json#/identification/"
    beat = f"{here}real/methods/joined/beat/"
    assert told == {
        "real, methods, joined, beat, rank 1": (
            Cell("0.500", f"{beat}rank_1", "(0.250 to 0.750)", f"{beat}rank_1_interval"),
            Cell(""),
            "split by record",
        ),
        "real, methods, joined, beat, EER of scores": (
            Cell("0.100", f"{beat}eer"),
            Cell(""),
            "split by record",
        ),
        "real, detection, recording, detected and identified at 5 % false alarms": (
            Cell("0.800", f"{here}real/detection/recording/dir_5"),
            Cell(""),
            "split by record",
        ),
        "real, reliability, beat, expected calibration error": (
            Cell("0.020", f"{here}real/reliability/beat/ece"),
            Cell(""),
            "split by record",
        ),
        "labels, macro F1": (Cell("0.400", f"{here}labels/macro_f1"), Cell(""), "split by record"),
        "labels, per class, A/b, F1": (
            Cell("0.300", f"{here}labels/per_class/A~1b/f1"),
            Cell(""),
            "split by record",
        ),
        "labels, per class, A/b, sensitivity": (
            Cell("0.200", f"{here}labels/per_class/A~1b/sensitivity"),
            Cell(""),
            "split by record",
        ),
        "robustness, undisturbed, a beat": (
            Cell("0.900", f"{here}robustness/rows/0/beat"),
            Cell(""),
            "disturbed",
        ),
        "robustness, undisturbed, a recording": (
            Cell("1.000", f"{here}robustness/rows/0/recording"),
            Cell(""),
            "disturbed",
        ),
        "robustness, noise 10 dB, a beat": (
            Cell("0.500", f"{here}robustness/rows/1/beat"),
            Cell(""),
            "disturbed",
        ),
        "GAN, rank1 beat": (
            Cell("1.2e-04", f"{here}gan/rank1_beat/value"),
            Cell("1.000", f"{here}gan/rank1_beat/ceiling"),
            "generated",
        ),
    }


def test_realism_is_a_column_a_kind_of_beats(study: Study) -> None:
    (section,) = (s for s in sections_of(study) if s.title == "How real generated beats are")
    (table,) = (part for part in section.parts if isinstance(part, Table))
    assert table.head == ("Figure", "Real beats", "Reconstruction", "GAN", "Mixture", "How")
    rows = {row[0].text: row for row in table.rows}
    assert all(cell.source for cell in rows["MMD"][1:-1])

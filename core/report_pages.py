"""What a report says -> one HTML file that stands alone, or the pages of a PDF.

The same content gives the same bytes. Every number of a table may name its source in the study's
folder, as ``file#/json/pointer`` or ``file#row/column``; the HTML keeps it beside the number.
"""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase

INK = "#010203"
"""Stands for the page's own colour of text in a picture, light or dark."""
WIDTH_IN = 8.6
"""Of a picture on a page."""
A4_IN = (8.27, 11.69)
LEFT, RIGHT, TOP, BOTTOM = 0.09, 0.92, 0.94, 0.07
"""Of a page of the PDF, as shares."""
TEXT_PT, SMALL_PT, HEAD_PT, TITLE_PT = 8.5, 7.2, 12.0, 17.0
LINE = 1.35
"""Height of a line over that of its letters."""
LETTER = 0.55
"""Width of a usual letter over its height."""

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cardiotwin",
    "pdf.fonttype": 3,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "figure.constrained_layout.use": True,
}
KIND = ' class="n"'
"""Of a cell that holds a number."""
_STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5a6675;--line:#d5dbe3;--page:#fff;
--mark:#f4f6f9}
@media (prefers-color-scheme:dark){:root{--ink:#e4e9ef;--soft:#a3afbc;--line:#39424d;--page:#14191f;
--mark:#1e252d}}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:64rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.25rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
a{color:inherit}nav ul{columns:2;padding-left:1.2rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;margin:.25rem 0 1rem;font-size:.87rem}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
thead th{background:var(--mark)}tbody th{font-weight:500}td{overflow-wrap:anywhere}
.n,thead .n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
small{color:var(--soft)}
figure{margin:1rem 0;overflow-x:auto}figure svg{width:100%;height:auto;min-width:36rem}
figcaption,.note,footer{color:var(--soft);font-size:.87rem}
pre{background:var(--mark);padding:.75rem;overflow-x:auto;font-size:.8rem}
.notice{font-weight:600}footer{margin-top:3rem;border-top:1px solid var(--line);padding-top:.75rem}
@media print{body{max-width:none;margin:0;font-size:11px}h2{break-after:avoid}
tr,figure{break-inside:avoid}
nav{display:none}figure svg{min-width:0}thead{display:table-header-group}}
"""


@dataclass(frozen=True)
class Cell:
    """What stands in a table.

    Attributes:
        text: Words, or a number.
        source: Where in the study's folder the number stands; empty for words.
        beside: What stands behind it in small letters, such as an interval.
        beside_source: Where that stands.
    """

    text: str
    source: str = ""
    beside: str = ""
    beside_source: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the first of each row names it."""

    caption: str
    head: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    widths: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """Something that is drawn, and what is said of it.

    Attributes:
        title: Stands above it.
        alt: What it shows, for those who do not see it.
        caption: Stands under it.
        draw: Draws it.
        height_in: Its height, in inches.
        left_in: Room beside its axes, in inches, where pages are of paper.
    """

    title: str
    alt: str
    caption: str
    draw: Callable[[FigureBase], None]
    height_in: float = 3.0
    left_in: float = 0.65


@dataclass(frozen=True)
class Commands:
    """Lines for a command line."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A part of a report under a heading; a `str` is a paragraph."""

    title: str
    parts: Sequence[str | Table | Picture | Commands] = field(default_factory=tuple)


def as_html(title: str, notice: str, foot: str, sections: Sequence[Section]) -> str:
    """Return a report as HTML that needs no other file and no network."""
    import matplotlib as mpl

    links = "".join(
        f'<li><a href="#part-{i}">{html.escape(s.title)}</a></li>' for i, s in enumerate(sections)
    )
    lines = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{html.escape(title)} - CardioTwin</title><style>{_STYLE}</style></head>",
        f'<body><header><h1>{html.escape(title)}</h1><p class="notice">{notice}</p></header>',
        f'<nav aria-label="Contents"><ul>{links}</ul></nav><main>',
    ]
    number = 0
    with mpl.rc_context(_SETTINGS):
        for i, section in enumerate(sections):
            name = html.escape(section.title)
            lines.append(f'<section aria-labelledby="part-{i}"><h2 id="part-{i}">{name}</h2>')
            for part in section.parts:
                if isinstance(part, Picture):
                    number += 1
                    lines.append(_picture_html(part, number))
                else:
                    lines.append(_part_html(part))
            lines.append("</section>")
    lines.append(f"</main><footer>{html.escape(foot)}</footer></body></html>")
    return "\n".join(lines) + "\n"


_SCROLLED = 'tabindex="0"'
"""Of what may be wider than a phone: the keyboard can reach it, and scroll it."""


def _part_html(part: str | Table | Commands) -> str:
    if isinstance(part, str):
        return f"<p>{html.escape(part)}</p>"
    if isinstance(part, Commands):
        return f"<pre {_SCROLLED}><code>{html.escape(chr(10).join(part.lines))}</code></pre>"
    numeric = {i for row in part.rows for i, cell in enumerate(row) if i and cell.source}
    head = "".join(
        f'<th scope="col"{KIND if i in numeric else ""}>{html.escape(one)}</th>'
        for i, one in enumerate(part.head)
    )
    rows = "\n".join(f"<tr>{''.join(_cells_html(row))}</tr>" for row in part.rows)
    caption = f"<caption>{html.escape(part.caption)}</caption>" if part.caption else ""
    return (
        f'<div class="scroll" {_SCROLLED}>'
        f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cells_html(row: Sequence[Cell]) -> Iterator[str]:
    for i, cell in enumerate(row):
        kind = KIND if cell.source else ""
        beside = f" <small{_source(cell.beside_source)}>{html.escape(cell.beside)}</small>"
        text = html.escape(cell.text) + (beside if cell.beside else "")
        if i == 0:
            yield f'<th scope="row">{text}</th>'
        else:
            yield f"<td{kind}{_source(cell.source)}>{text}</td>"


def _source(where: str) -> str:
    return f' data-source="{html.escape(where)}"' if where else ""


def _picture_html(picture: Picture, number: int) -> str:
    drawn = _draw(picture)
    file = io.StringIO()
    drawn.savefig(file, format="svg", metadata={"Date": None})
    svg = _inline(file.getvalue(), number, picture.alt)
    return (
        f"<h3>{html.escape(picture.title)}</h3>"
        f"<figure {_SCROLLED}>{svg}<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
    )


def _draw(picture: Picture) -> Figure:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(WIDTH_IN, picture.height_in))
    picture.draw(drawn)
    return drawn


def _inline(svg: str, number: int, alt: str) -> str:
    """Return a picture as a part of a page: no addresses, names of its own, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (xmlns(:xlink)?|version)="[^"]*"', "", svg)
    svg = re.sub(r'(<g) id="[^"]*"', r"\1", svg).replace("xlink:href", "href")
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\1p{number}-", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: _NUMBER.sub(_rounded, tag.group()), svg)
    svg = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1system-ui, sans-serif", svg)
    svg = svg.replace(INK, "currentColor")
    svg = "\n".join(line.strip() for line in svg.splitlines() if line.strip())
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}"', 1)


_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number.group()):.2f}"


def write_pdf(path: Path, title: str, notice: str, foot: str, sections: Sequence[Section]) -> None:
    """Write a report as A4 pages."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages

    settings: Any = {**_SETTINGS, "figure.constrained_layout.use": False}
    settings |= {name: "black" for name, value in _SETTINGS.items() if value == INK}
    with (
        mpl.rc_context(settings),
        PdfPages(path, metadata={"Title": title, "CreationDate": None}) as pdf,
    ):
        paper = _Paper(pdf, f"{foot}")
        paper.text(title, TITLE_PT, weight="bold")
        paper.text(notice, TEXT_PT, weight="bold")
        for section in sections:
            paper.space(0.02, keep=0.33 if isinstance(section.parts[0], Picture) else 0.12)
            paper.text(section.title, HEAD_PT, weight="bold")
            for part in section.parts:
                if isinstance(part, str):
                    paper.text(part, TEXT_PT)
                elif isinstance(part, Commands):
                    for line in part.lines:
                        paper.text(line, SMALL_PT, family="monospace", letter=0.602)
                elif isinstance(part, Table):
                    paper.table(part)
                else:
                    paper.picture(part)
        paper.end()


class _Paper:
    """Pages that are filled from top to bottom."""

    def __init__(self, pdf: Any, foot: str) -> None:
        self._pdf = pdf
        self._foot = foot
        self._number = 0
        self._page: Figure | None = None
        self._y = 0.0

    def end(self) -> None:
        """Write the page that was begun."""
        if self._page is not None:
            self._pdf.savefig(self._page)
        self._page = None

    def _need(self, height: float) -> Figure:
        """Return the page, a new one if a share `height` of it is not left."""
        from matplotlib.figure import Figure

        if self._page is None or self._y - height < BOTTOM:
            self.end()
            self._number += 1
            self._y = TOP
            self._page = Figure(figsize=A4_IN)
            self._page.text(LEFT, 0.035, self._foot, fontsize=SMALL_PT)
            self._page.text(RIGHT, 0.035, str(self._number), fontsize=SMALL_PT, ha="right")
        return self._page

    def space(self, height: float, *, keep: float) -> None:
        """Leave space above something that should not begin at a page's very end."""
        self._need(keep)
        if self._y < TOP:
            self._y -= height

    def text(self, words: str, size: float, *, letter: float = LETTER, **how: Any) -> None:
        """Write a paragraph."""
        high = LINE * size / 72 / A4_IN[1]
        for line in _wrapped(words, RIGHT - LEFT, size, letter):
            page = self._need(high)
            page.text(LEFT, self._y, line, fontsize=size, va="top", parse_math=False, **how)
            self._y -= high
        self._y -= 0.4 * high

    def table(self, table: Table) -> None:
        """Write a table; its head again on each page."""
        if table.caption:
            self.text(table.caption, SMALL_PT, style="italic")
        shares = [w / sum(table.widths) * (RIGHT - LEFT) for w in table.widths]
        self._row([Cell(one) for one in table.head], shares, weight="bold")
        for row in table.rows:
            before = self._number
            lines = self._lines(row, shares)
            self._need(_row_high(lines))
            if self._number != before:
                self._row([Cell(one) for one in table.head], shares, weight="bold")
            self._row(row, shares)
        self._y -= 0.012

    @staticmethod
    def _lines(row: Sequence[Cell], shares: Sequence[float]) -> list[list[str]]:
        return [
            [
                *_wrapped(cell.text, share - 0.012, SMALL_PT, LETTER),
                *(_wrapped(cell.beside, share - 0.012, SMALL_PT, LETTER) if cell.beside else ()),
            ]
            for cell, share in zip(row, shares, strict=True)
        ]

    def _row(self, row: Sequence[Cell], shares: Sequence[float], **how: Any) -> None:
        from matplotlib.lines import Line2D

        lines = self._lines(row, shares)
        high = _row_high(lines)
        page = self._need(high)
        x = LEFT
        for cell, share in zip(lines, shares, strict=True):
            page.text(
                x,
                self._y,
                "\n".join(cell),
                fontsize=SMALL_PT,
                va="top",
                linespacing=LINE,
                parse_math=False,
                **how,
            )
            x += share
        self._y -= high
        under = Line2D([LEFT, RIGHT], [self._y + 0.002] * 2, color="#cccccc", linewidth=0.4)
        page.add_artist(under)

    def picture(self, picture: Picture) -> None:
        """Draw a picture over the width of the page, what it is above, and what is said beneath."""
        wide = (RIGHT - LEFT) * A4_IN[0]
        high = picture.height_in * wide / WIDTH_IN / A4_IN[1]
        caption = len(_wrapped(picture.caption, RIGHT - LEFT, SMALL_PT, LETTER))
        line = LINE * SMALL_PT / 72 / A4_IN[1]
        self._need(high + (caption + 2) * line + 0.02)
        self.text(picture.title, TEXT_PT, weight="bold")
        page = self._need(high)
        grid = page.add_gridspec(
            3,
            3,
            left=0,
            right=1,
            bottom=0,
            top=1,
            wspace=0,
            hspace=0,
            width_ratios=[LEFT, RIGHT - LEFT, 1 - RIGHT],
            height_ratios=[1 - self._y, high, max(self._y - high, 1e-6)],
        )
        part = page.add_subfigure(grid[1, 1])
        picture.draw(part)
        inch = high * A4_IN[1]
        part.subplots_adjust(
            left=picture.left_in / wide,
            right=0.99,
            bottom=0.55 / inch,
            top=1 - 0.3 / inch,
            wspace=0.28,
            hspace=0.6,
        )
        self._y -= high
        self.text(picture.caption, SMALL_PT)


def _row_high(lines: Sequence[Sequence[str]]) -> float:
    return (max(len(cell) for cell in lines) * LINE + 0.55) * SMALL_PT / 72 / A4_IN[1]


def _wrapped(words: str, width: float, size: float, letter: float) -> list[str]:
    """Return words in lines that fit a share of a page's width."""
    letters = int(width * A4_IN[0] * 72 / (size * letter))
    return textwrap.wrap(words, max(4, letters), break_long_words=True) or [""]

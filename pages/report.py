"""Report: what it will say of the study, one click to make it, the file, and the data behind it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.jobs import JobState
from core.options import MODEL_NAMES
from core.study import STUDY_FILE, Study
from pages.parts import content, figures_table, frame, job_panel, sidebar
from pages.parts.looks import emphasis
from pages.parts.words import count

VERB = "write_report"
FORMATS = {
    ".html": "HTML: one file for the browser, works offline",
    ".pdf": "PDF: A4 pages",
}
MIME = {".html": "text/html", ".pdf": "application/pdf", ".json": "application/json"}
FIGURES = Path("reports") / "figures.json"


def contents(study: Study) -> dict[str, str]:
    """Return what the report will say, a line a part."""
    found = content.summary(study)
    trained = [name for name in MODEL_NAMES if study.has_model(name)]
    generators = [name for name in ("gan", "mixture") if name in trained]
    figures = study.figures()
    refused = len(found["refused"])
    told = f"{refused} refused and why" if refused else "none refused"
    kinds = ["real", "smoothed", *(f"generated ({name})" for name in generators)]
    return {
        "Data": f"{count(found['subjects'], 'subject')}, "
        f"{count(found['recordings_used'], 'recording')} used, {told}, "
        f"{count(found['beats'], 'beat')}",
        "Protocol": study.info.remarks[0],
        "Signals": f"beats side by side on one scale: {', '.join(kinds)}",
        "Models": ", ".join(trained) or "none is trained yet",
        "Figures": f"each with its interval and protocol, seed {figures['seed']}"
        if figures
        else "not judged yet",
        "Again": "options, seeds, versions, and the commands that give every number anew",
    }


def draw_contents(study: Study) -> None:
    """Draw what the report will say, and what is missing for it to say more."""
    st.header("What it will say")
    st.table(contents(study), border="horizontal", alt="What the report will say, a line a part")
    if not any(study.has_model(name) for name in MODEL_NAMES):
        st.info("No model is trained yet: the report will tell of the data only.")
        st.page_link("pages/training.py", label="Train the models", icon=":material/school:")
    elif study.figures() is None:
        st.info("The study is not judged yet: the report will be without figures.")
        figures_table.draw_button(study, only="report")


def draw_form(study: Study) -> None:
    """Draw the choice of a format, and the button that makes the report."""
    with st.form("report"):
        ending = st.radio(
            "Format", list(FORMATS), format_func=FORMATS.__getitem__, key="report-format"
        )
        pressed = st.form_submit_button(
            "Make the report", icon=":material/description:", type=emphasis()
        )
    if not pressed:
        return
    with job_panel.one_sentence():
        out = study.folder / "reports" / f"report{ending}"
        out.parent.mkdir(exist_ok=True)
        job_panel.submit(study.folder, VERB, out=str(out))
        st.rerun()


def is_older(study: Study, file: Path) -> bool:
    """Tell whether models or figures came after a report."""
    made = file.stat().st_mtime
    later = [study.folder / FIGURES, *study.folder.glob("models/*/card.json")]
    return any(path.is_file() and path.stat().st_mtime > made for path in later)


def draw_done(study: Study, done: JobState) -> None:
    """Offer a report that was made."""
    file = Path(done.arguments["out"])
    if not file.is_file():
        st.caption("The report that was made is gone; make it again.")
        return
    ending = file.suffix
    st.download_button(
        f"Download the report ({ending[1:].upper()}, {file.stat().st_size / 1e6:.1f} MB)",
        file.read_bytes(),
        f"{study.folder.name}-report{ending}",
        MIME[ending],
        icon=":material/download:",
        key="download-report",
    )
    if is_older(study, file):
        st.warning("Models or figures are newer than this report: make it again.")


def draw_files(study: Study) -> None:
    """Offer the files that the report's numbers come from, and the commands that make them."""
    from core.reporting import commands_of

    with st.expander("Numbers and commands"):
        st.code("\n".join(commands_of(study)), language=None, wrap_lines=True)
        st.caption("DIR is a new study folder; sources are those the study was made of.")
        with st.container(horizontal=True):
            for name, label in ((STUDY_FILE, "Options"), (str(FIGURES), "Figures")):
                file = study.folder / name
                if file.is_file():
                    st.download_button(
                        f"{label} ({file.name})",
                        file.read_bytes(),
                        f"{study.folder.name}-{file.name}",
                        MIME[".json"],
                        icon=":material/data_object:",
                        key=f"download-{file.stem}",
                    )
        if not (study.folder / FIGURES).is_file():
            st.caption("There is no figures.json yet: the study was not judged.")


def draw(study: Study) -> None:
    """Draw the page of a study."""
    draw_contents(study)
    draw_form(study)
    job = job_panel.newest(study.folder, VERB)
    done = job_panel.outcome(study.folder, job.id if job else None, key="report")
    if done is not None:
        draw_done(study, done)
    draw_files(study)


frame.ensure_app()
chosen = sidebar.chosen_study()
if chosen is not None:
    draw(chosen)

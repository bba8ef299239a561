"""The report of a study, or of several: statistics, figures, one page, and the verdicts in the terminal.

It reads only the results' contract (`biotune.results`), so a report can be made again anywhere, and of an unfinished
study too.
"""

from collections.abc import Sequence
from pathlib import Path

from biotune.report.figures import draw_figures
from biotune.report.figures.combined import draw_several
from biotune.report.inputs import Tables
from biotune.report.output.files import write_report, write_several
from biotune.report.output.page import render_page, render_several
from biotune.report.output.terminal import print_several, print_summary
from biotune.report.results.analysis import summarise
from biotune.report.results.combined import Several, combine
from biotune.report.results.summary import Summary
from biotune.results import Results

__all__ = ["Several", "Summary", "make_report", "make_report_of_several", "print_several", "print_summary"]


def make_report(directory: Path | str) -> Summary:
    """Writes summary.json and report/ (index.html, figures/, tables/) into a results directory, finished or not.

    Returns:
        Every number of the report.

    Raises:
        UserError: not a results directory, damaged, or written by another version; the report cannot be written.
    """
    results = Results.open(directory)
    results.require_whole()
    tables = Tables.read(results)
    summary = summarise(results, tables)
    figures = draw_figures(summary, tables)
    page = render_page(summary, figures, (results.path / "study.yaml").read_text())
    write_report(results, summary, tables, figures.all, page)
    return summary


def make_report_of_several(directories: Sequence[Path | str], output: Path | str) -> Several:
    """Writes index.html, summary.json, figures/ and tables/ of several studies into a folder; theirs are only read.

    Returns:
        Every number of the report.

    Raises:
        UserError: as `make_report`; a directory is given twice; the folder holds something else.
    """
    studies = combine(directories, Path(output).expanduser().resolve())
    figures = draw_several(studies)
    write_several(studies, figures, render_several(studies, figures))
    return studies

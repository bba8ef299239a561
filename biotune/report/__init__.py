"""The report of a study, or of several: numbers, words, figures, one page, and the verdicts in the terminal.

It reads only the files of a results directory (`biotune.results`), so it can be made again on any machine, and of an
unfinished study too. It needs neither Ray nor PyTorch; from the topology room it takes what each null keeps.
"""

from collections.abc import Sequence
from pathlib import Path

from biotune.report.figures import draw_figures
from biotune.report.figures.combined import draw_combined
from biotune.report.inputs import read_studies, read_study
from biotune.report.output.files import write_combined, write_report
from biotune.report.output.page import render_combined, render_page
from biotune.report.output.terminal import print_combined, print_report
from biotune.report.results.analysis import summarise
from biotune.report.results.combined import combine
from biotune.report.text.combined import CombinedReport, describe_combined
from biotune.report.text.report import Report, describe

__all__ = [
    "CombinedReport",
    "Report",
    "make_combined_report",
    "make_report",
    "print_combined",
    "print_report",
    "read_report",
]


def read_report(directory: Path | str) -> Report:
    """Every number of a study's report, and its words; nothing is drawn or written.

    Args:
        directory: a results directory, finished or not.

    Raises:
        UserError: not a results directory, damaged, or written by another version.
    """
    inputs = read_study(directory)
    return describe(summarise(inputs), inputs)


def make_report(directory: Path | str, look: int | None = None) -> Report:
    """Writes summary.json and report/ (index.html, figures/, tables/) into the results directory of a study, finished
    or not.

    Args:
        directory: of the results.
        look: number of pairs of an earlier planned look; all goes to report-look-N/ then. None: the last.

    Returns:
        All numbers and words of the report.

    Raises:
        UserError: the directory isn't a results directory, is damaged, or was written by another version; or the report
            cannot be written.
    """
    inputs = read_study(directory, look)
    report = describe(summarise(inputs), inputs)
    tables = inputs.tables.at(report.pairs)
    figures = draw_figures(report, tables)
    write_report(report, tables, figures.all, render_page(report, figures, inputs.text))
    return report


def make_combined_report(directories: Sequence[Path | str], output: Path | str) -> CombinedReport:
    """Writes a report of several studies (index.html, summary.json, figures/, tables/) into a folder of its own.

    Returns:
        All numbers and words of the report.

    Raises:
        UserError: as `make_report`; or a directory is given twice, or the folder holds something else.
    """
    inputs = read_studies(directories)
    reports = {label: describe(summarise(one), one) for label, one in inputs.items()}
    page = Path(output).expanduser().resolve() / "index.html"
    combined = describe_combined(combine(inputs, reports, page), reports)
    figures = draw_combined(combined)
    write_combined(combined, figures, render_combined(combined, figures))
    return combined

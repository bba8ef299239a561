"""The page: one self-contained file, made from a report and its figures; nothing is computed here."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from biotune.report import formatting
from biotune.report.figures import Figures
from biotune.report.figures.drawing import INK, PAPER, Figure
from biotune.report.text.answer import (
    bootstrap_interval,
    claim_name,
    confidence,
    confidence_under,
    contrasts_key,
    in_short,
    interval,
    rank_sentence,
    trend_sentence,
)
from biotune.report.text.combined import CombinedReport
from biotune.report.text.conditions import changes_of
from biotune.report.text.looks import NOT_ADJUSTED
from biotune.report.text.methods import kernels_seen
from biotune.report.text.report import Report
from biotune.results import PROPAGATION

_DOI = re.compile(r"(?:https?://doi\.org/|doi:)?\b(10\.\d{4,9}/[^\s,;()&<>]*[^\s,;()&<>.])")
_ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")


def render_page(report: Report, figures: Figures, study: str) -> str:
    """The page of a study as HTML.

    Args:
        report: all numbers and words.
        figures: of its sections.
        study: text of study.yaml.
    """
    provenance, kernels = dict(_flat(report.environment)), kernels_seen(report.environment)
    return _template("page.html").render(s=report, figures=figures, study=study, provenance=provenance, kernels=kernels)


def render_combined(combined: CombinedReport, figures: Sequence[Figure]) -> str:
    """The page of several studies as HTML.

    Args:
        combined: all numbers and words.
        figures: in the order in which they are shown.
    """
    citations = dict.fromkeys(citation for report in combined.studies.values() for citation in report.citations)
    return _template("combined.html").render(s=combined, figures=figures, citations=list(citations))


def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"inline": _inline, "not_adjusted": NOT_ADJUSTED}
    environment.filters |= {
        "number": formatting.number,
        "ratio": formatting.ratio,
        "percent": formatting.percent,
        "p": formatting.probability,
        "setting": formatting.setting,
        "several": formatting.several,
        "duration": formatting.duration,
        "value": formatting.value,
        "task": formatting.task,
        "interval": interval,
        "claim": claim_name,
        "confidence": confidence,
        "confidence_under": confidence_under,
        "in_short": in_short,
        "bootstrap": bootstrap_interval,
        "contrasts": contrasts_key,
        "changes": changes_of,
        "rank": rank_sentence,
        "trend": trend_sentence,
        "count": formatting.count,
        "code": _with_code,
        "linked": _linked,
        "sections": _sections,
    }
    return environment.get_template(name)


def _inline(figure: Figure) -> Markup:
    """A figure's SVG as an element of the page, with unique ids and the page's colours of ink and paper."""
    svg = figure.svg[figure.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{figure.name}-', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    # the canvas is filled with the colour of paper, which the page may change
    svg = svg.replace(INK, "currentColor").replace(PAPER, "var(--paper)")
    alternative = Markup('<svg role="img" aria-label="{}" ').format(figure.alternative)
    return Markup(svg.replace("<svg ", alternative, 1))


def _sections(measures: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The measures under the headings of their table: of the topology, and of how the networks start."""
    start = {name: found for name, found in measures.items() if name in PROPAGATION}
    topology = {name: found for name, found in measures.items() if name not in start}
    headings = {"the topology, with the initial weights": topology, "how the networks start, before training": start}
    return [(heading, found) for heading, found in headings.items() if found]


def _with_code(sentence: str) -> Markup:
    """A sentence whose commands, between backticks, are shown as such."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(Markup.escape(sentence))))


def _linked(citation: str) -> Markup:
    """A citation with its DOI or arXiv number as a link."""
    text = str(Markup.escape(citation))
    text = _DOI.sub(lambda m: f'<a href="https://doi.org/{m[1]}">{m[1]}</a>', text)
    text = _ARXIV.sub(lambda m: f'<a href="https://arxiv.org/abs/{m[1]}">{m[0]}</a>', text)
    return Markup(text)


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested entries as pairs (names joined by dots, text)."""
    rows: list[tuple[str, str]] = []
    for key, item in content.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            rows += _flat(item, f"{name}.")
        elif isinstance(item, list):
            rows += (
                [row for n, entry in enumerate(item) for row in _flat(entry, f"{name}.{n}.")]
                if item and isinstance(item[0], Mapping)
                else [(name, ", ".join(map(str, item)) or "none")]
            )
        elif item is not None:
            rows.append((name, str(item)))
    return rows

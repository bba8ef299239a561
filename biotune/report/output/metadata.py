"""What programs read of a page: the study as a Dataset of schema.org, and what to cite."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from biotune.report.results.arm_results import Comparison
from biotune.report.text.methods import BIOTUNE
from biotune.report.text.report import Report
from biotune.results.documents import State


def describe_dataset(report: Report, state: State) -> dict[str, Any]:
    """A study as JSON-LD (https://schema.org/Dataset); what is not known is left out.

    Args:
        report: all numbers and words. state: of the study, for its dates.
    """
    summary = "../summary.json" if report.page.parent.name == "report" else "summary.json"
    warnings = [limit.text for limit in report.limits if limit.kind == "banner"]
    content = {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "name": f"{report.name}: {report.question}",
        "description": " ".join([*warnings, *report.answer]),
        "dateCreated": state.started,
        "dateModified": state.finished,
        "creativeWorkStatus": "Complete" if report.finished else "Incomplete",
        "isBasedOn": list(_connectomes(report)),
        "variableMeasured": [_ratio(c) for c in report.comparisons if c.ratio and c.comparable],
        "citation": [_software(report.environment), *report.citations],
        "distribution": {"@type": "DataDownload", "encodingFormat": "application/json", "contentUrl": summary},
    }
    return {key: value for key, value in content.items() if value}


def _software(environment: Mapping[str, Any]) -> dict[str, Any]:
    """biotune, in the version that ran the study."""
    found = {
        "@type": "SoftwareSourceCode",
        "name": BIOTUNE["title"],
        "author": {"@type": "Organization", "name": BIOTUNE["authors"]},
        "version": environment["packages"].get("biotune"),
        "license": f"https://spdx.org/licenses/{BIOTUNE['license']}",
        "codeRepository": BIOTUNE["repository"],
    }
    return {key: value for key, value in found.items() if value}


def _connectomes(report: Report) -> Iterator[dict[str, Any]]:
    """Each connectome that was used, once."""
    for used in {used["digest"]: used for used in report.connectomes.values()}.values():
        data = report.environment["data"].get(used["name"]) or {}
        found = {
            "@type": "Dataset",
            "name": used["name"],
            "about": used["species"],
            "license": data.get("licence"),
            "citation": used["citation"],
        }
        yield {key: value for key, value in found.items() if value}


def _ratio(comparison: Comparison) -> dict[str, Any]:
    """An arm's ratio in its pair; an end of its interval that is open is left out."""
    ratio, verdict = comparison.ratio, comparison.verdict
    assert ratio is not None
    ends = {"minValue": ratio.low, "maxValue": ratio.high}
    if verdict and verdict.bound:
        del ends["minValue" if verdict.direction == "faster" else "maxValue"]
    return {
        "@type": "PropertyValue",
        "name": f"updates to criterion, {comparison.arm} to {comparison.reference}",
        "description": verdict.name if verdict else "to come",
        "value": ratio.estimate,
        **{key: end for key, end in ends.items() if math.isfinite(end)},
    }

"""A report: the numbers of a study, and the words about them."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from biotune.report.inputs import Inputs
from biotune.report.results.summary import Summary, plain
from biotune.report.text.answer import answer, control_sentence, disagreements, question, ranks_note
from biotune.report.text.conditions import conditions_sentences
from biotune.report.text.limits import Limit, find_limits
from biotune.report.text.looks import looks_sentences, replication_sentences
from biotune.report.text.methods import CONTROLS, citations, describe_arm, methods


@dataclass(frozen=True)
class Report(Summary):
    """A study's results in numbers and words.

    Attributes:
        question: what was asked. answer: two sentences.
        described: arm -> what it changes, in words.
        conditions_sentences: a sentence for each arm that has been compared under all conditions.
        looks_sentences: what the planned looks led to, and what more pairs would. replication_sentences: one for each.
        disagreements: a sentence for each arm whose verdict, or interval, differs between the two ways of comparing.
        control_sentence: the result of the positive control; empty if there is none.
        ranks_note: why the reference's rank among null draws isn't given; empty if it is.
        limits: what a reader must know before believing the answer.
    """

    question: str
    answer: tuple[str, str]
    described: dict[str, str]
    conditions_sentences: list[str]
    looks_sentences: list[str]
    replication_sentences: list[str]
    disagreements: list[str]
    control_sentence: str
    ranks_note: str
    limits: list[Limit]
    methods: list[str]
    citations: list[str]

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json: numbers that are not finite are null."""
        content = plain(self) | {"arms": self.described}
        if self.control:
            del content["control"]["reference"]
            content["control"] |= {"what": CONTROLS[self.control.kind], "sentence": self.control_sentence}
        for key in ("page", "described", "control_sentence"):
            del content[key]
        return content


def describe(summary: Summary, inputs: Inputs) -> Report:
    """Adds the words to the numbers."""
    study, state = inputs.study, inputs.state
    numbers = {field.name: getattr(summary, field.name) for field in dataclasses.fields(Summary)}
    differ = disagreements(summary)
    dosed, measured = any(trend.slope for trend in summary.trends), bool(summary.associations)
    return Report(
        **numbers,
        question=question(study),
        answer=answer(summary),
        described={name: describe_arm(arm) for name, arm in summary.arms.items()},
        conditions_sentences=conditions_sentences(summary.conditions, summary.reference) if summary.conditions else [],
        looks_sentences=looks_sentences(summary, inputs.path),
        replication_sentences=replication_sentences(summary),
        disagreements=differ,
        control_sentence=control_sentence(summary.control) if summary.control else "",
        ranks_note=ranks_note(summary.arms, summary.comparisons),
        limits=find_limits(summary, study, state, inputs.tables.trials),
        methods=methods(study, state, dosed=dosed, measured=measured),
        citations=citations(state),
    )

"""The results of a study from Python: verdicts, tables, figures, and its trained networks."""

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from biotune.errors import UserError, unknown_name
from biotune.results import Results
from biotune.results.tables import TABLES

if TYPE_CHECKING:
    from biotune.library.network import Network
    from biotune.report.figures.drawing import Figure
    from biotune.report.inputs import Inputs
    from biotune.report.text.report import Report


class StudyResults:
    """A results directory, finished or not; it is read again at every `load_results`.

    Attributes:
        path: of the directory.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Results.open(directory).path

    @property
    def answer(self) -> str:
        """The report's first sentences, after what must be known before they are believed."""
        banners = [limit.text for limit in self._report.limits if limit.kind == "banner"]
        return " ".join([*banners, *self._report.answer])

    @property
    def verdicts(self) -> pd.DataFrame:
        """A row per arm: what is claimed, and the ratio of its updates to criterion to the reference's, in its pair
        and each at its own best setting, with intervals; as in the report's first table.

        Columns: `claim`, `ratio`, `low`, `high`, `best_ratio`, `best_low`, `best_high`, `updates` (geometric mean),
        `converged`, `replicates`. A ratio below 1 is faster. The claim of the reference is "reference"; it has no
        ratio, and neither has what is not comparable.
        """
        from biotune.report.text.answer import claim_name

        report = self._report
        pairs, best = (
            {c.arm: c.ratio if c.comparable else None for c in found} for found in (report.comparisons, report.own_best)
        )
        rows = {}
        for arm in report.arms:
            row: dict[str, Any] = {"claim": claim_name(report, arm) if arm in pairs else "reference"}
            for prefix, found in (("", pairs.get(arm)), ("best_", best.get(arm))):
                row |= {f"{prefix}ratio": found.estimate if found else None}
                row |= {f"{prefix}{end}": getattr(found, end) if found else None for end in ("low", "high")}
            result = report.result(arm)
            row |= {"updates": result.updates if result else None}
            row |= {"converged": result.converged.count if result else 0}
            row |= {"replicates": result.replicates if result else 0}
            rows[arm] = row
        table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")
        numbers = [column for column in table if column not in ("claim", "converged", "replicates")]
        return table.astype(dict.fromkeys(numbers, float))

    def curves(self, arm: str | None = None, *, phase: str = "own_best", condition: str | None = None) -> pd.DataFrame:
        """Losses after every epoch of the networks that were confirmed, or of the search's.

        Args:
            arm: None: all.
            phase: "own_best" (each arm at its own best setting), "pair" (at the setting of its pair), or "search".
            condition: None: the primary.

        Returns:
            Columns as of `curves.parquet` (`docs/reading-the-report.md`): `arm`, `trial`, `replicate`, `epoch`,
            `updates`, `training_loss`, `validation_loss`, `accuracy`, ...

        Raises:
            UserError: there is no such arm, phase or condition, or nothing was trained so.
        """
        held = self.table("curves")
        table = held[held["phase"] == self._one_of("phase", phase, ["own_best", "pair", "search"])]
        conditions = self._inputs.state.conditions
        under = next(iter(conditions)) if condition is None else self._one_of("condition", condition, conditions)
        table = table[table["condition"] == under]
        if arm is not None:
            table = table[table["arm"] == self._one_of("arm", arm, self._inputs.study["arms"])]
        if table.empty and len(held):
            there = held[["phase", "condition"]].drop_duplicates().itertuples(index=False)
            ways = "; ".join(f"{phase} under {condition}" for phase, condition in there)
            raise UserError(f"{self.path}: nothing of {arm or 'the arms'} as {phase} under {under}; there is {ways}")
        return table.reset_index(drop=True)

    def table(self, name: str) -> pd.DataFrame:
        """One of the study's tables: `trials`, `curves`, `convergence`, `topologies`, `matrices`.

        Raises:
            UserError: there is no such table, or it is damaged.
        """
        return Results.open(self.path).read_table(self._one_of("table", name, TABLES))

    @cached_property
    def figures(self) -> "dict[str, Figure]":
        """The report's figures by name, such as `ratios`; each has `svg`, `png` (bytes), `title` and `caption`."""
        from biotune.report.figures import draw_figures

        tables = self._inputs.tables.at(self._report.pairs)
        return {figure.name: figure for figure in draw_figures(self._report, tables).all}

    def report(self) -> Path:
        """Writes the report (page, figures, tables as CSV, summary.json); returns the page's path."""
        from biotune.report import make_report

        self._report = make_report(self.path)
        return self._report.page

    def network(
        self,
        arm: str,
        replicate: int = 0,
        *,
        phase: Literal["own_best", "pair"] = "own_best",
        condition: str | None = None,
        against: str = "",
    ) -> "Network":
        """One of the networks that the study confirmed, as it was at the end of its training.

        Args:
            arm: of the network. replicate: its number.
            phase: "own_best" or "pair".
            condition: None: the primary.
            against: with phase "pair", of the reference arm: the other arm of the pair.

        Raises:
            UserError: nothing was confirmed so, or its checkpoint isn't there any more.
        """
        from biotune.library.network import Network
        from biotune.study.directory.mirror import checkpoints_of
        from biotune.training import load_networks

        results, state = Results.open(self.path), self._inputs.state
        if state.selection is None:
            raise UserError(f"{self.path}: nothing is confirmed yet; the study is in its search")
        cell = state.selection.cell(arm, phase, condition, against)
        block = int(self._inputs.study["confirm"]["population"])
        if not isinstance(replicate, int) or replicate < 0:
            raise UserError(f"replicate: a whole number from 0 is needed, found {replicate!r}")
        # a block may begin anywhere: where those before it ended, and an extension went on
        begins = range(replicate, max(replicate - block, -1), -1)
        folder = checkpoints_of(results) / "confirm"
        files = (folder / f"{cell.checkpoint(first)}.pt" for first in begins)
        file = next((file for file in files if file.is_file()), None)
        networks = None if file is None else load_networks(file)
        held = [] if networks is None else list(networks.plan["replicates"])
        if networks is None or replicate not in held:
            raise UserError(f"{folder}: of {arm} as {phase}, replicate {replicate} is not confirmed (yet), or not kept")
        regions = state.connectomes[arm].regions if arm in state.connectomes else None
        network = Network.of(networks, held.index(replicate), None if regions is None else tuple(regions))
        network.details["arm"] = arm
        return network

    @cached_property
    def _inputs(self) -> "Inputs":
        from biotune.report.inputs import read_study

        return read_study(self.path)

    @cached_property
    def _report(self) -> "Report":
        from biotune.report import describe_study

        return describe_study(self._inputs)

    def _one_of(self, kind: str, name: str, known: Any) -> str:
        if name not in known:
            raise unknown_name(f"{kind} of {self.path.name}", name, known)
        return name

    def __repr__(self) -> str:
        state = self._inputs.state
        return f"<StudyResults {state.study} ({state.phase}): {self.path}>"

    def _repr_html_(self) -> str:
        page = self._inputs.report / "index.html"
        link = f'<p>Report: <a href="{escape(page.as_uri())}">{escape(str(page))}</a></p>' if page.is_file() else ""
        table = self.verdicts.to_html(border=0, float_format="{:.2f}".format, na_rep="–")
        return f"<p>{escape(self.answer)}</p>{table}{link}"


def load_results(directory: str | Path) -> StudyResults:
    """The results of a study, finished or not.

    >>> import biotune as bt
    >>> results = bt.load_results("results/seq_mem-20260101T120000Z")  # doctest: +SKIP
    >>> results.verdicts  # doctest: +SKIP

    Args:
        directory: the results directory, as `Study.run` and `biotune run` make it.

    Raises:
        UserError: it isn't a results directory, is damaged, or was written by another version.
    """
    return StudyResults(directory)

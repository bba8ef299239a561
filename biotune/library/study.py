"""A study from Python: read or shipped, estimated, run, with its results at the end."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from biotune.errors import UserError
from biotune.library.results import StudyResults
from biotune.study.definition.examples import example
from biotune.study.definition.load import load_study
from biotune.study.definition.study import Study as Definition

if TYPE_CHECKING:
    from biotune.study.dry_run import Estimate


class Study:
    """A validated study; `Study.read` and `Study.example` make one.

    >>> import biotune as bt
    >>> study = bt.Study.example("seq_mem", overrides={"confirm.looks": [8, 16]})
    >>> study
    <Study seq_mem: marmoset, weights, degrees, random; task seq_mem>

    """

    def __init__(self, definition: Definition) -> None:
        self._definition = definition

    @classmethod
    def read(
        cls,
        file: str | Path,
        overrides: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
        arms: list[str] | None = None,
        quick: bool = False,
    ) -> "Study":
        """A study from its YAML file (`docs/study.md` lists the keys; `biotune new` writes one to start from).

        Args:
            file: of the study.
            overrides: key path -> value, such as `{"confirm.replicates": 8}`.
            seed: replaces the file's.
            arms: run only these and the reference arm.
            quick: a first look, within about a minute; its report says that it is no result.

        Raises:
            UserError: a line for each mistake: file, line, key, what was found, what would do.
        """
        changes = [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]
        try:
            return cls(load_study(file, overrides=changes, seed=seed, arms=arms, quick=quick))
        except UserError as error:  # which speaks of the command line's options
            raise UserError(str(error).replace("--set ", "overrides: ")) from None

    @classmethod
    def example(cls, name: str = "seq_mem", overrides: Mapping[str, Any] | None = None, **options: Any) -> "Study":
        """A study that comes with biotune.

        Args:
            name: such as "seq_mem". overrides, options: as of `read`.

        Raises:
            UserError: there is no such study; the message names those that there are.
        """
        return cls.read(example(name), overrides, **options)

    @property
    def name(self) -> str:
        """Of the study."""
        return self._definition.config.name

    @property
    def arms(self) -> list[str]:
        """Their names; a positive control is the last."""
        return list(self._definition.arms)

    @property
    def reference(self) -> str:
        """The arm that the others are compared with."""
        return self._definition.config.reference_arm

    @property
    def notes(self) -> list[str]:
        """What is to be known about how the study was read."""
        return list(self._definition.notes)

    def to_dict(self) -> dict[str, Any]:
        """Every key of the study with its value, defaults written out: the content of its `study.yaml`."""
        return self._definition.resolved()

    def estimate(self, **options: Any) -> "Estimate":
        """What the study takes on this machine, and which differences it can show; this takes half a minute.

        It trains a trial of each arm in processes of its own, so a script that calls it needs an
        `if __name__ == "__main__":` around its calls; a notebook doesn't.

        Args:
            options: `cpus`, `gpus` of a trial, `concurrency` (trials at once), `kernels`; see `run`.

        Returns:
            An `Estimate`; printed, it is what `--dry-run` prints. `time.low` and `time.high` are seconds.

        Raises:
            UserError: a connectome isn't available, networks can't be drawn, or memory doesn't suffice.
        """
        from biotune.study.dry_run import DryRun

        return DryRun(self._definition, **options).estimate()

    def run(
        self, output: str | Path = "results", *, report: bool = True, console: Console | None = None, **options: Any
    ) -> StudyResults:
        """Runs the study: search, confirm, report.

        Interrupt it (Ctrl-C, or the notebook's stop button) and nothing is lost: `resume` goes on.

        Args:
            output: the folder that a results directory is made in.
            report: whether to make the report in the end.
            console: where progress is shown; None: this terminal, or below the cell.
            options: `address` of a Ray cluster, `cpus` and `gpus` of a trial, `concurrency`, `kernels`,
                `checkpoint_every`, ...: the fields of `biotune.study.run.Options`.

        Returns:
            The results.

        Raises:
            UserError: something that can be corrected; the message says how.
            KeyboardInterrupt: it was interrupted; the message has the call that goes on.
        """
        return _run(self._definition, Path(output), None, report, console, options)

    @staticmethod
    def resume(
        directory: str | Path, *, report: bool = True, console: Console | None = None, **options: Any
    ) -> StudyResults:
        """Goes on with a study that was killed or interrupted, as if nothing had happened.

        Args:
            directory: its results directory. report, console, options: as of `run`.

        Raises:
            UserError: it is no results directory, or was changed. KeyboardInterrupt: it was interrupted again.
        """
        from biotune.study.directory.resume import load_resumed

        directory = Path(directory)
        return _run(load_resumed(directory, None), directory.parent, directory, report, console, options)

    def __repr__(self) -> str:
        return f"<Study {self.name}: {', '.join(self.arms)}; task {self._definition.config.task.name}>"

    def _repr_html_(self) -> str:
        from html import escape

        text = yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
        return f"<details><summary>{escape(repr(self))}</summary><pre>{escape(text)}</pre></details>"


def _run(
    study: Definition, output: Path, resumed: Path | None, report: bool, console: Console | None, options: dict
) -> StudyResults:
    from dataclasses import fields

    from biotune.errors import unknown_name
    from biotune.study.run import Incomplete, Interrupted, Options, run_study

    known = [field.name for field in fields(Options)]
    for name in options:
        if name not in known:
            raise unknown_name("option of a run", name, known)
    console = console or Console(markup=False, emoji=False, highlight=False)
    try:
        directory = run_study(study, Options(output=output, **options), console, resume=resumed)
    except Interrupted as interrupted:
        raise KeyboardInterrupt(f"to go on: bt.Study.resume({str(interrupted.directory)!r})") from None
    except Incomplete as incomplete:
        raise UserError(f"{incomplete}; what there is: bt.load_results({str(incomplete.directory)!r})") from None
    results = StudyResults(directory)
    if report:
        results.report()
    return results

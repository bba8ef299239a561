"""Resuming a study: its directory, and whether everything that its numbers depend on is as it was."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from biotune.connectome import Connectome
from biotune.digests import study_difference
from biotune.errors import UserError
from biotune.results import Results
from biotune.results.documents import Section
from biotune.results.journal import Journal
from biotune.seeds import streams_digest
from biotune.study.definition.load import load_study
from biotune.study.definition.study import Study
from biotune.study.history.events import added_conditions
from biotune.tasks import is_own, task_digest


def load_resumed(directory: Path, space: Path | None) -> Study:
    """The study of a results directory, to be resumed.

    Args:
        directory: of a study that was killed or interrupted.
        space: the YAML that it was started from, if the user gives it: it must be the same study.

    Raises:
        UserError: not a results directory, or that of another study.
    """
    results = Results.open(directory)
    study = _with_added(results, {})
    if space is not None:
        differs, new = _beside(study, load_study(space))
        if differs or new:
            differs = differs or f"conditions.{next(iter(new))} is not given there"
            raise UserError(
                f"--resume {directory}: holds another study than {space}: {differs}; leave --space out to resume the "
                "one in the directory"
            )
    return study


def load_extended(directory: Path, space: Path | None) -> tuple[Study, dict[str, Section]]:
    """The study of a results directory, to be extended, and the conditions that this adds.

    Args:
        directory: of a study, finished or not.
        space: the YAML that it was started from, with further conditions; no other key that its numbers depend on may
            differ, see `biotune.digests.MAY_DIFFER`.

    Raises:
        UserError: not a results directory, or that of another study.
    """
    results = Results.open(directory)
    study = _with_added(results, {})
    if space is None:
        return study, {}
    differs, new = _beside(study, load_study(space))
    if differs:
        instead = (
            f"it was run with --quick: add the conditions to a copy of {directory / 'study.yaml'}"
            if study.config.quick
            else "an extension may add conditions and change the description, and nothing else"
        )
        raise UserError(f"--space {space}: is another study than {directory}: {differs}; {instead}")
    if not new:
        raise UserError(f"--space {space}: has no condition that {directory} doesn't have; leave it out")
    return _with_added(results, new), new


def _with_added(results: Results, new: Mapping[str, Section]) -> Study:
    """The study of a results directory, with the conditions that were added before, and new ones."""
    events, _ = Journal(results.path / "journal.jsonl").sound()  # it may be damaged, and be repaired after this
    before = added_conditions(events)
    return load_study(results.path / "study.yaml", added={**before, **new})


def _beside(study: Study, other: Study) -> tuple[str, dict[str, Section]]:
    """In which keys another study differs, "" if in none but in conditions that this one doesn't have; and those."""
    if "population" not in other.config.confirm.model_fields_set:  # it was chosen to fit a GPU when the study began
        other = other.with_population(study.config.confirm.population)
    here, there = study.resolved(), other.resolved()
    added = {name: held for name, held in there["conditions"].items() if name not in here["conditions"]}
    there["conditions"] = {name: held for name, held in there["conditions"].items() if name not in added}
    new = {name: held for name, held in added.items() if name not in study.conditions}
    changed = [name for name in added if name not in new and other.conditions[name] != study.conditions[name]]
    again = f"condition {changed[0]} was added before, as another" if changed else ""
    return study_difference(here, there) or again, new


def repair_journal(results: Results) -> Path | None:
    """Shortens a damaged journal to the part before the damage, so that the study can go on from there.

    Returns:
        Where the damaged journal is kept; None if there was no journal.

    Raises:
        StorageError: it cannot be written.
    """
    journal = results.journal()
    events, head = journal.sound()
    selected = any(event.get("event") == "selected" for event in events)
    # what stood in the part that is cut off may be written again when the study goes on; until then it is not known
    looks = [event["look"]["pairs"] for event in events if event.get("event") == "looked"]
    extended = [event["extension"] for event in events if event.get("event") == "extended"]
    before = results.read_state()
    state = {
        "phase": "confirm" if selected else "search",
        "finished": None,
        "journal": head,
        "looks": [look for look in before.looks if look.pairs in looks],
        "extensions": before.extensions[: len(extended)],
    }
    results.write_state(before.model_copy(update=state))  # first: it must not know of more than there is
    return journal.repair()


def require_same_connectomes(results: Results, study: Study, connectomes: Mapping[str, Connectome]) -> None:
    """Makes sure that a resumed study has the connectomes it was started with.

    Raises:
        UserError: an arm has another one now.
    """
    for arm, before in results.read_state().connectomes.items():
        if before.digest == connectomes[arm].digest:
            continue
        require_same_files(results, study)
        if (path := study.arms[arm].connectome.path) is not None:
            raise UserError(
                f"{results.path}: {path} (arm {arm}) is the file that the study was started with, but this version of "
                "biotune reads other edges from it; go on with the version it was started with, or start the study anew"
            )
        raise UserError(
            f"{results.path}: arm {arm} was started with the connectome {before.name} ({before.kind}), now "
            f"there is {connectomes[arm].name} ({connectomes[arm].provenance.kind}); set BIOTUNE_DATA as it was"
        )


def require_same_files(results: Results, study: Study) -> None:
    """Makes sure that the user's own connectome files are those that a resumed study was started with.

    A file that was written anew may still have the same edges: whether that is so, `require_same_connectomes` says.

    Raises:
        UserError: with a line for each file that is gone, or has another content.
    """
    lines: dict[str, str] = {}
    for arm, before in results.read_state().connectomes.items():
        path = study.arms[arm].connectome.path
        if path is not None and (differs := _file_differs(Path(path), before.sha256)):
            lines.setdefault(
                path,
                f"{results.path}: {path} (arm {arm}) {differs}; put it back as it was, or start the study anew",
            )
    if lines:
        raise UserError("\n".join(lines.values()))


def _file_differs(path: Path, sha256: str | None) -> str:
    """In what a file is not the one of this digest; "" if it is."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return f"is not there; the study was started with that of SHA-256 {sha256}"
    except OSError as error:
        return f"cannot be read ({error.strerror}); the study was started with that of SHA-256 {sha256}"
    return (
        "" if found == sha256 else f"has changed since the study was started: its SHA-256 was {sha256} and is {found}"
    )


def require_same_device(results: Results, device: str) -> None:
    """Makes sure that a resumed study runs on the kind of device it was started on.

    Raises:
        UserError: it would not, and its numbers would not be comparable.
    """
    before = results.read_state().device
    if before != device:
        raise UserError(
            f"{results.path}: was started on {before}, and its trials would now run on {device}; resume it on a "
            "machine that has the same, or choose it by --gpus-per-trial"
        )


def require_same_task(results: Results, study: Study) -> None:
    """Makes sure that a resumed study has the task it was started with.

    Raises:
        UserError: the file of a user's own task, or the pictures or the encoder of a task, have changed.
    """
    task = study.config.task
    if results.read_state().task_sha256 != task_digest(**task.options):
        file = f"the file of task {task.name} has" if is_own(task.name) else f"what task {task.name} shows has"
        raise UserError(
            f"{results.path}: {file} changed since the study was started; "
            "put it back as it was, or start the study anew"
        )


def require_same_streams(results: Results) -> None:
    """Makes sure that NumPy's generators draw the numbers that they drew when the study was started.

    Raises:
        UserError: they draw others; the message names both versions.
    """
    before = results.read_state().streams
    if before.sha256 != streams_digest():
        raise UserError(
            f"{results.path}: was started with NumPy {before.numpy}, whose generators draw other numbers than those "
            f"of NumPy {np.__version__} here; go on with NumPy {before.numpy}, or start the study anew"
        )


def require_same_topologies(results: Results, topologies: Mapping[str, str]) -> None:
    """Makes sure that this machine draws a resumed study's topologies as the machine did that it was started on.

    Raises:
        UserError: an arm's first topology is another here: trained weights would be put on other edges.
    """
    for arm, before in results.read_state().topologies.items():
        if before != topologies[arm]:
            there = results.read_environment().packages["numpy"]
            versions = f"NumPy {there} there and {np.__version__} here"
            raise UserError(
                f"{results.path}: this machine draws another topology for arm {arm} than the one that the study was "
                f"started on ({versions}); go on where it was started, or on a machine like that"
            )

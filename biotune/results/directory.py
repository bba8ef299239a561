"""Results on disk: the contract between a study, which writes, and the report, which reads.

    results/<study>-<UTC time>/
        study.yaml            the study, resolved: every default written out
        environment.json      versions, hardware, git commit, data digests, deviation of the kernels
        state.json            phase reached, what is confirmed, seconds per phase, how far the journal has come, and
                              the digests of what the study is made from: study.yaml, connectomes, task, topologies
        journal.jsonl         every event as it happened: what a killed study is resumed from; see `journal.py`
        trials.parquet        a row per search trial
        curves.parquet        a row per evaluation of a replicate, in search and confirm
        topologies.parquet    a row per confirmed replicate: its topology's digest, every measure of it, and how
                              signals propagate through the network before training
        convergence.parquet   a row per confirmed replicate and label
        matrices.parquet      each arm's matrix, of replicate 0, in at most 200 by 200 blocks: for a picture of it
        summary.json          every number on the report's page
        report/               index.html, figures/, tables/
        checkpoints/          of running trials, and the confirmed networks with their edges; in the storage instead if
                              state.json names one. A checkpoint that could not be read is kept as NAME.pt.damaged
        ray/                  Ray's own

Every file is written under a temporary name, flushed to the disk and renamed, so that a kill at any moment leaves
either the old file or the new one. Each table carries the digests of `state.json` in its metadata, and a checksum of
every page: a table of another study, or a damaged one, is not read.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from biotune.digests import BEFORE_AND_NOW, difference, study_difference, study_digest
from biotune.errors import UserError, run_command
from biotune.io.files import replacing
from biotune.results.documents import Environment, State, checked
from biotune.results.journal import Journal
from biotune.results.tables import DIGESTS_KEY, TABLES

SCHEMA = 6
"""Version of this layout, in `state.json`; raised whenever a reader of the old one would misread the new one."""


class Results:
    """One results directory, for writing and reading the files of the contract.

    Args:
        path: the directory; it is not created until something is written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser().resolve()

    @classmethod
    def open(cls, path: Path | str) -> "Results":
        """An existing results directory.

        Raises:
            UserError: it does not exist, is not a results directory, or was written with another schema; or its
                study.yaml is not the one that the study was started with.
        """
        results = cls(path)
        if not results.path.is_dir():
            raise UserError(f"{path}: no such directory; a study printed its own after 'Results:'")
        if not (results.path / "study.yaml").is_file() or not (results.path / "state.json").is_file():
            within = sorted(file.parent.name for file in results.path.glob("*/state.json"))
            hint = f"; those in it are {', '.join(within)}" if within else ""
            raise UserError(f"{path}: not a results directory (it has no study.yaml and state.json){hint}")
        state, study = results.read_json("state"), results.read_study()
        found = state.get("schema")
        if found != SCHEMA:
            raise UserError(
                f"{path}: written with schema {found}, this version reads {SCHEMA}; run the study again, or read it "
                "with the version of biotune that environment.json names"
            )
        if study_digest(study) != state.get("study_sha256"):
            begun = (results.journal().first() or {}).get("study")
            changed = study_difference(begun, study, BEFORE_AND_NOW) if isinstance(begun, dict) else ""
            raise UserError(
                f"{results.path / 'study.yaml'}: has changed since the study was started "
                f"({changed or 'state.json has another digest'}); put it back, or "
                "run it as a study of its own (--space)"
            )
        return results

    def journal(self) -> Journal:
        """Its journal, which must have come at least as far as `state.json` says."""
        if not (self.path / "state.json").is_file():
            return Journal(self.path / "journal.jsonl")
        return Journal(self.path / "journal.jsonl", self.read_state().journal)

    def require_whole(self) -> None:
        """Makes sure that the journal is whole, and of this study.

        Raises:
            UserError: a line of it is damaged or missing, or it is of another study than `state.json`.
        """
        journal = self.journal()
        journal.check()
        begun = journal.first()
        if begun is None:  # killed before its first event
            return
        digests, held = begun.get("digests"), self.read_state().digests
        differs = difference(digests, held) if isinstance(digests, dict) else "it has no digests"
        if differs:
            raise UserError(f"{journal.file}:1: is not of the study in state.json ({differs}); put back what was moved")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Writes `<name>.parquet` whole. A column of the schema may not be missing; further columns are written too."""
        schema = TABLES[name]
        missing = [field for field in schema.names if field not in table.columns]
        if missing:
            raise ValueError(f"table {name} lacks the columns {missing}")
        extra = [column for column in table.columns if column not in schema.names]
        # in one thread: each thread would keep memory of its own
        core = pa.Table.from_pandas(table[schema.names], schema=schema, preserve_index=False, nthreads=1)
        for column in extra:
            core = core.append_column(column, pa.array(table[column], from_pandas=True))
        core = core.replace_schema_metadata({**(core.schema.metadata or {}), DIGESTS_KEY: json.dumps(self._digests())})
        with replacing(self.path / f"{name}.parquet") as temporary:
            pq.write_table(core, temporary, write_page_checksum=True)
        del core
        pa.default_memory_pool().release_unused()  # otherwise it keeps what a large table took

    def read_table(self, name: str) -> pd.DataFrame:
        """Reads `<name>.parquet`; an empty table if the study has not come that far.

        Raises:
            UserError: the file is damaged, is of another study, or lacks a column of its schema.
        """
        file = self.path / f"{name}.parquet"
        if not file.is_file():
            return TABLES[name].empty_table().to_pandas()
        try:
            held = pq.read_table(file, page_checksum_verification=True)
            table = held.to_pandas()
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(f"{file}: not readable as Parquet ({error}); {self._remedy}") from None
        digests = json.loads((held.schema.metadata or {}).get(DIGESTS_KEY, b"{}"))
        if differs := difference(digests, self._digests()):
            raise UserError(f"{file}: is not of the study in state.json ({differs}); {self._remedy}")
        missing = [field for field in TABLES[name].names if field not in table.columns]
        if missing:
            raise UserError(f"{file}: lacks the columns {', '.join(missing)}; was it written by another version?")
        return table

    @property
    def _remedy(self) -> str:
        return f"to have it written from the journal: {run_command()} --resume {self.path}"

    def _digests(self) -> dict[str, Any]:
        return self.read_state().digests if (self.path / "state.json").is_file() else {}

    def write_state(self, state: State) -> None:
        """Writes `state.json`."""
        self.write_json("state", state.model_dump(by_alias=True))

    def read_state(self) -> State:
        """Reads `state.json`.

        Raises:
            UserError: it is missing or damaged, or a key of it is none that this version writes.
        """
        return checked(self.read_json("state"), State, f"{self.path / 'state.json'}")

    def write_environment(self, environment: Environment) -> None:
        """Writes `environment.json`."""
        self.write_json("environment", environment.model_dump())

    def read_environment(self) -> Environment:
        """Reads `environment.json`.

        Raises:
            UserError: it is missing or damaged, or a key of it is none that this version writes.
        """
        return checked(self.read_json("environment"), Environment, f"{self.path / 'environment.json'}")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes `<name>.json`."""
        with replacing(self.path / f"{name}.json") as temporary:
            temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads `<name>.json`.

        Raises:
            UserError: it is missing or is not JSON.
        """
        file = self.path / f"{name}.json"
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{file}: not readable as JSON ({error})") from None
        return _mapping(content, file)

    def write_study(self, study: Mapping[str, Any]) -> None:
        """Writes `study.yaml`."""
        with replacing(self.path / "study.yaml") as temporary:
            temporary.write_text(yaml.safe_dump(dict(study), sort_keys=False, allow_unicode=True, width=120))

    def read_study(self) -> dict[str, Any]:
        """Reads `study.yaml`, the study with every default written out.

        Raises:
            UserError: it is missing or is not YAML.
        """
        file = self.path / "study.yaml"
        try:
            content = yaml.safe_load(file.read_text())
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise UserError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from None
        return _mapping(content, file)


def _mapping(content: Any, file: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{file}: its content is a {type(content).__name__}, but keys and values are needed")
    return content

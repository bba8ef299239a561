"""Results on disk: the contract between a study, which writes, and the report, which reads."""

from biotune.results.directory import SCHEMA, Results, digests_of
from biotune.results.tables import TABLES
from biotune.results.vocabulary import PHASES, POSITIVE_CONTROL

__all__ = ["PHASES", "POSITIVE_CONTROL", "SCHEMA", "TABLES", "Results", "digests_of"]

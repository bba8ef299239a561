"""Results on disk: the contract between a study, which writes, and the report, which reads."""

from biotune.results.directory import SCHEMA, Results
from biotune.results.tables import TABLES
from biotune.results.vocabulary import GAIN_KEYS, LABELS, PHASES, POSITIVE_CONTROL, PROPAGATION, RUNNING, STATUSES

__all__ = [
    "GAIN_KEYS",
    "LABELS",
    "PHASES",
    "POSITIVE_CONTROL",
    "PROPAGATION",
    "RUNNING",
    "SCHEMA",
    "STATUSES",
    "TABLES",
    "Results",
]

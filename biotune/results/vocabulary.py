"""The words that a study writes and the report reads: phases, and the arm that a study adds itself."""

PHASES = ("search", "shared", "own_best")
"""`search`; `shared`, the confirmation of all arms at one setting; `own_best`, of each arm at its own best."""


POSITIVE_CONTROL = "positive_control"
"""The name of the arm that a study's key of the same name adds; study.yaml doesn't list it among its arms."""

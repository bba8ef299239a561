"""The words that a study writes and the report reads: phases, labels, statuses, the arm that a study adds itself, the
keys that set gain, and the measures that networks have beside their topology's."""

from typing import Literal, get_args

PHASES = ("search", "confirm")
"""Of a study; `state.json` has "finished" for one that has been through both."""

Label = Literal["pair", "own_best", "gain_search"]
LABELS: tuple[Label, ...] = get_args(Label)
"""What an arm is confirmed at: `pair`, one setting for it and the reference; `own_best`, the best setting of each arm.

Both are of the common settings, which every arm tried. `gain_search` is the setting of the pair too, on the seeds of
the search: each arm's own best gain is chosen there.
The column `phase` of the tables holds one of them, or "search".
"""

Ending = Literal["completed", "stopped", "diverged", "failed"]
ENDINGS: tuple[Ending, ...] = get_args(Ending)
"""How a search trial ends; `stopped` is by ASHA."""

RUNNING = "running"
STATUSES = (*ENDINGS, RUNNING)
"""Of a search trial."""

GAIN_KEYS = ("spectral_radius", "frobenius_norm")
"""Keys of a study's topology, each a way to scale the initial recurrent matrix: one of them is set, or neither."""

PROPAGATION = ("mean_activity", "saturated", "gradient_norm", "lyapunov")
"""Columns of `topologies.parquet` that are of the whole network before training: how signals propagate through it."""

POSITIVE_CONTROL = "positive_control"
"""The name of the arm that a study's key of the same name adds; study.yaml doesn't list it among its arms."""

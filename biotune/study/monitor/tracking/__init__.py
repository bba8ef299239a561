"""A study in experiment trackers while it runs: MLflow, Weights & Biases, TensorBoard (`--log`).

A run of a tracker is a search trial, or a block of confirmed replicates: its setting, the medians of its losses by
epoch, and how it ended. What is sent is read from the record, so a tracker knows nothing that the journal doesn't. What
was sent is kept in `tracking.json`, so that a resumed study goes on where it was. No number of the study depends on it,
and a tracker that can't be reached holds nothing up.
"""

from biotune.study.monitor.tracking.send import Tracking, make_trackers
from biotune.study.monitor.tracking.trackers import Tracker

__all__ = ["Tracker", "Tracking", "make_trackers"]

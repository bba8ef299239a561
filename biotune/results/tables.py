"""The tables of a results directory: the columns of each, their types, and what they mean."""

from collections.abc import Mapping

import pyarrow as pa

_TRIALS = pa.schema(
    [
        ("arm", pa.string()),
        ("trial", pa.string()),  # "<arm>-0007": unique in the study
        ("index", pa.int32()),  # order of proposal within its arm
        (
            "origin",
            pa.string(),
        ),  # "shared" (the common settings, which every arm tries), "tpe", "tpe_bounded" or "random"
        ("status", pa.string()),  # one of STATUSES
        ("epochs", pa.int32()),
        ("updates", pa.int64()),
        ("best_loss", pa.float64()),  # median over replicates of each one's best validation loss
        ("mean_updates", pa.float64()),  # restricted mean updates to criterion, min(T, budget), over replicates
        ("converged", pa.int32()),  # replicates that met the criterion
        ("diverged", pa.int32()),  # replicates with a non-finite loss
        ("replicates", pa.int32()),
        ("seconds", pa.float64()),
        ("error", pa.string()),  # empty unless failed
    ]
)  # and one column "tune.<key>" per tuned hyperparameter, text if its choices are of several types


_CURVES = pa.schema(
    [
        ("phase", pa.string()),
        ("condition", pa.string()),  # of the search, the primary
        ("arm", pa.string()),
        ("against", pa.string()),  # of the reference in a pair, the other arm; else empty
        ("trial", pa.string()),  # of a confirmed cell "<arm>-<label>", and "-<against>" if that is not empty
        ("replicate", pa.int32()),
        ("epoch", pa.int32()),  # from 1; row 0 is the network before its first update
        ("updates", pa.int64()),
        ("training_loss", pa.float64()),  # empty at epoch 0
        ("validation_loss", pa.float64()),
        ("accuracy", pa.float64()),  # empty for tasks that have none
    ]
)


_TOPOLOGIES = pa.schema(
    [
        ("condition", pa.string()),
        ("arm", pa.string()),
        ("replicate", pa.int32()),
        ("neurons", pa.int64()),
        ("edges", pa.int64()),
        ("digest", pa.string()),  # of size and weighted edges, see `Topology.digest`
    ]
)  # `rewired` and `entries_changed`, see `Topology`; one float column per measure of the topology, and one for each of
# PROPAGATION, which are of the network at epoch 0 (what they are: docs/measures.md), empty if it has no value;
# `left_empty`, the reasons: "name: reason; ..."


_CONVERGENCE = pa.schema(
    [
        ("phase", pa.string()),  # one of LABELS
        ("condition", pa.string()),
        ("arm", pa.string()),
        ("against", pa.string()),  # of the reference in a pair, the other arm; else empty
        ("trial", pa.string()),
        ("replicate", pa.int32()),
        ("look", pa.int32()),  # pairs at the look that it was trained for; past the plan, those with its replication
        ("converged", pa.bool_()),
        ("diverged", pa.bool_()),
        ("updates", pa.float64()),  # updates to criterion; the budget if it was not met (censored)
        ("budget", pa.int64()),  # updates
        ("best_loss", pa.float64()),  # least validation loss within the budget
        ("final_loss", pa.float64()),  # validation loss at the budget
        ("test_loss", pa.float64()),  # of trials that neither training nor the criterion has seen, at the budget
        ("left_empty", pa.string()),  # which of the losses were not measured, and why; empty if all were
    ]
)  # and one column "tune.<key>" per tuned hyperparameter


_MATRICES = pa.schema(
    [
        ("arm", pa.string()),
        ("replicate", pa.int32()),
        ("target", pa.int32()),  # bin of consecutive regions; of one region each if there are bins enough
        ("source", pa.int32()),
        ("edges", pa.int64()),  # a block without any has no row
        ("weight", pa.float64()),  # sum of |weight| of the topology, before the network's values are drawn
        ("pairs", pa.int64()),  # of neurons: edges / pairs is the block's density
        ("regions", pa.int32()),
        ("bins", pa.int32()),  # along each side; region i lies in bin i * bins // regions
    ]
)  # `target_region` and `source_region`, their names, if each bin is a region and the connectome names them


DIGESTS_KEY = b"biotune"
"""The key of a table's metadata under which it has the digests of what the study was made from."""


TABLES: Mapping[str, pa.Schema] = {
    "trials": _TRIALS,
    "curves": _CURVES,
    "topologies": _TOPOLOGIES,
    "convergence": _CONVERGENCE,
    "matrices": _MATRICES,
}

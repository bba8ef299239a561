"""What the search of each arm found, from the table of its trials."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from biotune.report.results.comparisons import scalar
from biotune.report.results.summary import SearchResult
from biotune.results import RUNNING, STATUSES
from biotune.results.documents import Selection
from biotune.seeds import derived_seed
from biotune.statistics import Importances, expected_best, importances


def search_result(
    arm: str, trials: pd.DataFrame, search: Mapping[str, Any], selection: Selection | None, null_loss: float
) -> SearchResult:
    """The search of one arm. Its best trial is the one that the study chose, or, until it has, the one of the least
    loss.

    Args:
        trials: the table of all arms' trials.
        search: the section of study.yaml. selection: of state.json.
        null_loss: the loss assigned to a quasi-random trial that diverged or failed: the null predictor's.
    """
    rows = trials[trials["arm"] == arm]
    chosen = None if selection is None else selection.own_best.get(arm)
    ranked = rows[rows["best_loss"].notna()].sort_values("best_loss")
    best = rows[rows["trial"] == chosen] if chosen else ranked.head(1)
    keys = [key for key in rows.columns if key.startswith("tune.")]
    quasi_random = rows[(rows["origin"] == "shared") & (rows["status"] != RUNNING)]
    losses = quasi_random["best_loss"].fillna(null_loss)
    return SearchResult(
        arm=arm,
        planned=search["trials_per_arm"],
        statuses={status: int((rows["status"] == status).sum()) for status in STATUSES},
        best_trial=None if best.empty else str(best["trial"].iloc[0]),
        best_updates=None if best.empty else float(best["mean_updates"].iloc[0]),
        best_loss=None if best.empty else float(best["best_loss"].iloc[0]),
        best_setting={} if best.empty else {key.removeprefix("tune."): scalar(best[key].iloc[0]) for key in keys},
        # the settings of a grid are not drawn at random
        expected_best=[] if search["sampler"] == "grid" else expected_best(losses[losses > 0]).tolist(),
    )


def find_importances(trials: pd.DataFrame, seed: int) -> Importances | None:
    """Importances of the hyperparameters over the completed trials of all arms; None with too few."""
    completed = trials[(trials["status"] == "completed") & (trials["best_loss"] > 0)]
    settings = completed[[key for key in completed.columns if key.startswith("tune.")]]
    if settings.shape[1] == 0:
        return None
    settings = settings.rename(columns=lambda key: key.removeprefix("tune."))
    return importances(settings, completed["arm"], completed["best_loss"], derived_seed(seed, "importances"))

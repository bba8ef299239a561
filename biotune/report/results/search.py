"""What the search of each arm found, from the table of its trials."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from biotune.report.results.comparisons import scalar
from biotune.report.results.summary import AtSetting, SearchResult
from biotune.results import RUNNING, STATUSES
from biotune.results.documents import Selection
from biotune.seeds import derived_seed
from biotune.statistics import Importances, expected_best, importances


def search_result(
    arm: str, trials: pd.DataFrame, search: Mapping[str, Any], selection: Selection | None, null_loss: float
) -> SearchResult:
    """The search of one arm. Its best trial is the one at its own best of the common settings.

    Args:
        trials: the table of all arms' trials.
        search: the section of study.yaml. selection: of state.json.
        null_loss: the loss assigned to a quasi-random trial that diverged or failed: the null predictor's.
    """
    rows = trials[trials["arm"] == arm]
    chosen = None if selection is None else selection.own_best.get(arm)
    common = rows[(rows["origin"] == "shared") & rows["best_loss"].notna()]
    # until the study has chosen, the best so far
    best = common.sort_values(["mean_updates", "best_loss"]).head(1) if chosen is None else _at(rows, chosen.index)
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


def at_common_settings(arm: str, trials: pd.DataFrame) -> list[AtSetting]:
    """What the search found of an arm at each of the common settings, in the order in which they were tried.

    Args:
        trials: the table of all arms' trials.
    """
    rows = trials[(trials["arm"] == arm) & (trials["origin"] == "shared")].sort_values("index")
    keys = [key for key in rows.columns if key.startswith("tune.")]
    return [
        AtSetting(
            index=int(row["index"]),
            setting={key.removeprefix("tune."): scalar(row[key]) for key in keys},
            updates=float(row["mean_updates"]) if row["status"] in ("completed", "stopped") else None,
            met=(int(row["converged"]), int(row["replicates"])),
            diverged=row["status"] == "diverged",
        )
        for _, row in rows.iterrows()
    ]


def _at(rows: pd.DataFrame, index: int) -> pd.DataFrame:
    return rows[rows["index"] == index]


def find_importances(trials: pd.DataFrame, seed: int) -> Importances | None:
    """Importances of the hyperparameters over the completed trials of all arms; None with too few."""
    completed = trials[(trials["status"] == "completed") & (trials["best_loss"] > 0)]
    settings = completed[[key for key in completed.columns if key.startswith("tune.")]]
    if settings.shape[1] == 0:
        return None
    settings = settings.rename(columns=lambda key: key.removeprefix("tune."))
    return importances(settings, completed["arm"], completed["best_loss"], derived_seed(seed, "importances"))

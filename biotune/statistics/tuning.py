"""About the search: what fewer trials would have found, and which hyperparameters mattered.

Nothing here enters the verdict. Every function states its equation, its source and the axes of its arrays.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

LEAST_TRIALS = 30
"""Smallest number of completed trials for importances: with fewer, the forest fits noise."""

FOLDS = 5
TREES = 200
SHUFFLES = 10


def expected_best(losses: ArrayLike) -> NDArray[np.float64]:
    """Expected best loss of n of these N trials, as a geometric mean: log b_n = Σ_i C(N - i, n - 1) / C(N, n) log
    l_(i).

    l_(1) ≤ … ≤ l_(N); the sum runs over all ways to choose n without replacement, which, unlike the plug-in
    estimate, is unbiased (Tang et al. 2020, ACL 2020:2766, "Showing Your Work Doesn't Always Work"). Valid only for
    settings that were not chosen by the losses of others.

    Args:
        losses: [trials], finite and above 0.

    Returns:
        [n], n from 1 to all of them.
    """
    ordered = np.sort(np.log(np.asarray(losses, dtype=np.float64)))
    count = len(ordered)
    n, i = np.ogrid[1 : count + 1, 1 : count + 1]
    with np.errstate(invalid="ignore"):
        ways = _log_ways(count - i, n - 1) - _log_ways(count, n)
    return np.exp(np.where(n - 1 <= count - i, np.exp(ways), 0) @ ordered)


def _log_ways(a: Any, b: Any) -> Any:
    """ln C(a, b), computed so that it doesn't overflow."""
    return special.gammaln(a + 1) - special.gammaln(b + 1) - special.gammaln(a - b + 1)


@dataclass(frozen=True)
class Importances:
    """How much of the variation of the score each hyperparameter explains.

    Attributes:
        trials: number of completed trials that it is computed from.
        explained: R² of the forest on trials that it was not fitted to; near 0 or below, it explains nothing.
        lost: hyperparameter -> the decrease of R² when its values are shuffled; above 1 if the forest then predicts
            worse than the mean does.
    """

    trials: int
    explained: float
    lost: dict[str, float]


def importances(settings: pd.DataFrame, arm: ArrayLike, losses: ArrayLike, seed: int) -> Importances | None:
    """Permutation importances in a random forest of log loss on the setting, after subtracting each arm's mean.

    R²(held-out trials) - R²(the same, one hyperparameter shuffled) (Breiman 2001, Mach. Learn. 45:5), over five folds.
    Exploratory: the sampler chose most settings by the losses of others, and correlated hyperparameters divide their
    importance between them.

    Args:
        settings: one row per trial, one column per hyperparameter. arm: [trials]. losses: [trials], above 0.
        seed: for folds, trees and shuffles.

    Returns:
        None with fewer than 30 trials, or if the losses do not vary.
    """
    log_loss = pd.Series(np.log(np.asarray(losses, dtype=np.float64)))
    if len(log_loss) < LEAST_TRIALS:
        return None
    centred = (log_loss - log_loss.groupby(np.asarray(arm)).transform("mean")).to_numpy()
    if np.ptp(centred) < 1e-12:
        return None
    # imported late: it takes a second, and few studies need it
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    features = np.column_stack([_numbers(settings[key]) for key in settings.columns])
    residual, worse = 0.0, []
    for fitted, held in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=seed).fit(
            features[fitted], centred[fitted]
        )
        residual += float(np.sum((centred[held] - forest.predict(features[held])) ** 2))
        shuffled = permutation_importance(
            forest,
            features[held],
            centred[held],
            n_repeats=SHUFFLES,
            random_state=seed,
            scoring="neg_mean_squared_error",
        )
        worse.append(shuffled.importances_mean * len(held))
    total = float(np.sum((centred - centred.mean()) ** 2))
    lost = np.sum(worse, axis=0) / total
    return Importances(
        trials=len(log_loss),
        explained=1 - residual / total,
        lost=dict(zip(settings.columns, lost.tolist(), strict=True)),
    )


def _numbers(column: pd.Series) -> NDArray[np.float64]:
    """A hyperparameter's values as numbers; categories are numbered."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64)
    return pd.factorize(column.map(str))[0].astype(np.float64)

"""The statistics of a study: one ratio, its interval, the rule for the verdict, and further checks."""

from biotune.statistics.association import (
    LEAST_DOSES,
    MOST_GROUPS,
    Correlation,
    Slope,
    dose_trend,
    rank_correlation,
    rank_correlation_within,
)
from biotune.statistics.claim import claim, disagree
from biotune.statistics.conditions import FLIPS, least_number, one_sided_p, simultaneous_ratios
from biotune.statistics.curves import interquartile_mean, kaplan_meier, log_loss_area, median_updates, quartiles
from biotune.statistics.forecast import MOST_TIMES, POWER, decision_probability, pairs_to_decide
from biotune.statistics.intervals import FAMILY_CONFIDENCE, Share, bonferroni, jackknife_interval, share
from biotune.statistics.looks import FIRST_SHARE, LEAST_PAIRS, boundaries, look_confidence, nominal_levels
from biotune.statistics.permutation import (
    EXACT_PAIRS,
    LEAST_DRAWS,
    MONTE_CARLO_FLIPS,
    NullRank,
    null_rank,
    sign_flip_interval,
    sign_flip_p,
)
from biotune.statistics.power import detectable_ratio, equivalence_power
from biotune.statistics.ratios import (
    RESAMPLES,
    Ratio,
    bootstrap_t,
    geometric_ratio,
    log_ratios,
    pooled_ratio,
    ratio_matrix,
)
from biotune.statistics.settings import Chosen, choose, own_best, pair_setting, regrets
from biotune.statistics.tuning import FOLDS, LEAST_TRIALS, SHUFFLES, TREES, Importances, expected_best, importances
from biotune.statistics.verdict import LEAST_SHARE_CONVERGED, Direction, Verdict, VerdictName, verdict

__all__ = [
    "EXACT_PAIRS",
    "FAMILY_CONFIDENCE",
    "FIRST_SHARE",
    "FLIPS",
    "FOLDS",
    "LEAST_DOSES",
    "LEAST_DRAWS",
    "LEAST_PAIRS",
    "LEAST_SHARE_CONVERGED",
    "LEAST_TRIALS",
    "MONTE_CARLO_FLIPS",
    "MOST_GROUPS",
    "MOST_TIMES",
    "POWER",
    "RESAMPLES",
    "SHUFFLES",
    "TREES",
    "Chosen",
    "Correlation",
    "Direction",
    "Importances",
    "NullRank",
    "Ratio",
    "Share",
    "Slope",
    "Verdict",
    "VerdictName",
    "bonferroni",
    "bootstrap_t",
    "boundaries",
    "choose",
    "claim",
    "decision_probability",
    "detectable_ratio",
    "disagree",
    "dose_trend",
    "equivalence_power",
    "expected_best",
    "geometric_ratio",
    "importances",
    "interquartile_mean",
    "jackknife_interval",
    "kaplan_meier",
    "least_number",
    "log_loss_area",
    "log_ratios",
    "look_confidence",
    "median_updates",
    "nominal_levels",
    "null_rank",
    "one_sided_p",
    "own_best",
    "pair_setting",
    "pairs_to_decide",
    "pooled_ratio",
    "quartiles",
    "rank_correlation",
    "rank_correlation_within",
    "ratio_matrix",
    "regrets",
    "share",
    "sign_flip_interval",
    "sign_flip_p",
    "simultaneous_ratios",
    "verdict",
]
